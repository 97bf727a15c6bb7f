"""What an evaluation leaves in a run folder: tables, figures and, last, the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from abx_amr.evaluation.episodes import Evaluation
from abx_amr.evaluation.statistics import summarise
from abx_amr.planning.cache import reference
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.registry import register_completion

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.simulator.model import ClinicModel


def write_difference(
    folder: RunFolder, evaluation: Evaluation, other: Evaluation, *, name: str
) -> dict[str, Any]:
    """Return the paired difference from another prescriber's evaluation and draw it."""
    from abx_amr.runs.figures import draw_difference

    folder.add_compared(name, other.to_frame())
    draw_difference(folder, evaluation.to_frame(), other.to_frame(), other=name)
    return {"name": name, **asdict(evaluation.difference_from(other))}


def write_results(
    folder: RunFolder,
    final: Evaluation,
    model: ClinicModel,
    *,
    about: Mapping[str, Any],
    facts: Mapping[str, Any],
    trajectories: bool,
    figures: bool,
    report: bool = True,
) -> None:
    """Write the final evaluation's tables and figures and, last, the summary; register the run.

    The summary says whom it is `about`, then the scores, then the further `facts`.
    """
    steps = final.trajectories_frame()
    if trajectories:
        folder.write_trajectories(steps, final.patients_frame())
    decisions = None if final.decisions is None else final.decisions_frame()
    if decisions is not None:
        _write_decisions(folder, decisions)
    scores = summarise(final.episodes["episode_return"])
    summary = {
        **about,
        "evaluation_episodes": scores.n,
        "mean_return": scores.mean,
        "std_return": scores.std,
        "iqm_return": scores.iqm,
        "mean_return_interval_95": list(scores.mean_interval),
        **reference(model).gap(scores.mean),
        **facts,
    }
    if figures:
        from abx_amr.runs.figures import draw_run

        draw_run(folder, steps, decisions, summary)
    if report and figures:
        _keep_drawn(folder, steps, has_trajectories=trajectories)
    folder.write_summary(summary)
    register_completion(folder, mean_return=scores.mean)


def _keep_drawn(folder: RunFolder, steps: pd.DataFrame, *, has_trajectories: bool) -> None:
    """Write what a page draws its figures from, where no other file of the folder holds it."""
    if not has_trajectories:
        folder.write_drawn("steps", steps)
    generations = folder.read_generations()
    if generations is not None:
        folder.write_drawn("generations", generations)


def _write_decisions(folder: RunFolder, decisions: pd.DataFrame) -> None:
    """Write a manager's decisions in the final evaluation, and what they say."""
    from abx_amr.hierarchy import diagnostics

    folder.write_decisions(
        decisions,
        {
            "option_by_amr": (diagnostics.option_by_amr(decisions), False),
            "option_transitions": (diagnostics.option_transitions(decisions), True),
            "option_trigrams": (diagnostics.option_trigrams(decisions), False),
        },
    )
