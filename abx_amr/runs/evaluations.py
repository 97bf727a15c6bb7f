"""A run's evaluations, appended to its tables as they are made."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from abx_amr.evaluation.episodes import Evaluation
from abx_amr.runs.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd


def append_evaluation(
    folder: RunFolder, evaluation: Evaluation, *, transitions: int, seed: int
) -> None:
    """Append an evaluation to the run's tables, made after so many transitions of training."""
    folder.append_evaluation(transitions, evaluation.episodes)
    if evaluation.decisions is not None:
        from abx_amr.hierarchy.diagnostics import option_usage

        usage = option_usage(evaluation.decisions_frame())
        folder.append_option_usage(transitions, seed, usage)


def carry_over_evaluations(
    source: RunFolder, folder: RunFolder, *, transitions: int, seed: int
) -> None:
    """Copy a run's evaluations up to so many transitions to the folder in which it goes on."""
    if source.evaluations_file.is_file():
        for seen, rows in _up_to(source.read_evaluations(), transitions):
            folder.append_evaluation(seen, {str(c): rows[c].to_numpy() for c in rows})
    if source.option_usage_file.is_file():
        for seen, rows in _up_to(source.read_option_usage(), transitions):
            folder.append_option_usage(seen, seed, rows.drop(columns="seed"))


def _up_to(table: pd.DataFrame, transitions: int) -> list[tuple[int, pd.DataFrame]]:
    """Return the table's rows of each count of transitions, in their order."""
    counts = sorted(int(t) for t in table["transitions"].unique() if t <= transitions)
    return [(t, table[table["transitions"] == t].drop(columns="transitions")) for t in counts]


def best_transitions(folder: RunFolder, best_return: float) -> int | None:
    """Return after how many transitions a run's best evaluation was made.

    None where its tables do not hold it: a run that goes on from one that was cut off.
    """
    table = folder.read_evaluations()
    means = table.groupby("transitions")["episode_return"].mean()
    if not math.isclose(means.max(), best_return, rel_tol=1e-9, abs_tol=1e-9):
        return None
    return int(means.index.to_numpy()[means.to_numpy().argmax()])
