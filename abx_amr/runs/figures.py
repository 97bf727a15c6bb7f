"""The figures of a run folder, drawn from the tables that lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from abx_amr.errors import counted
from abx_amr.hierarchy import diagnostics
from abx_amr.plots import canvas, paired_difference
from abx_amr.plots.catalogue import FigureModule, draw_all
from abx_amr.runs.folder import RunFolder


def draw_run(
    folder: RunFolder,
    steps: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
    summary: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Draw the figures of a run into its folder and return their files.

    Args:
        folder: The run, with evaluations.csv where it was evaluated on the way, and
            patients.parquet where patients were recorded.
        steps: One row per (episode, step) of the final evaluation; None: trajectories.parquet.
        decisions: One row per decision of the final evaluation, of a manager.
        summary: What the run is measured against; None: that of the folder, where it has one.
    """
    played = folder.read_trajectories() if steps is None else steps
    tables = {"steps": played}
    if folder.evaluations_file.is_file():
        tables["evaluations"] = folder.read_evaluations()
    if folder.patients_file.is_file():
        tables["patients"] = folder.read_patients()
    elif folder.drawn_file("patients").is_file():
        tables["patients"] = pd.read_parquet(folder.drawn_file("patients"))
    generations = folder.read_generations()
    if generations is not None:
        tables["generations"] = generations
    if decisions is not None:
        tables |= option_tables(decisions)
    if summary is None:
        summary = folder.read_summary() if folder.is_complete else {}
    groups = group_names(folder.read_config()) if folder.config_file.is_file() else []
    final = f", {counted(played['episode'].nunique(), 'evaluation episode')}"

    def title(figure: FigureModule) -> str:
        of_the_training = "evaluations" in figure.READS
        return f"{folder.path.name}\n{figure.CAPTION}{'' if of_the_training else final}"

    return [
        canvas.save(figure, folder.figure_file(name))
        for name, figure in draw_all(
            tables, title=title, references=references_of(summary), groups=groups
        )
    ]


def references_of(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return name -> mean return of what a run is measured against, as far as it is known.

    >>> references_of({"optimum": -180.0, "best_rule": {"name": "greedy", "mean_return": -200.0}})
    {'optimum': -180.0, 'best rule greedy': -200.0}
    >>> references_of({"optimum": None})
    {}
    """
    found = {}
    if summary.get("optimum") is not None:
        is_bound = "between" in str(summary.get("optimum_note"))
        found["upper bound" if is_bound else "optimum"] = float(summary["optimum"])
    rule = summary.get("best_rule")
    if rule is not None:
        found[f"best rule {rule['name']}"] = float(rule["mean_return"])
    return found


def group_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of a mixture's groups of patients, by index; none of a single group."""
    generator = config.get("patient_generator")
    groups = generator.get("populations") if isinstance(generator, Mapping) else None
    return [str(name) for name in groups] if isinstance(groups, Mapping) else []


def option_tables(decisions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return name -> table of what a manager chose, from one row per decision."""
    return {
        "decisions": decisions,
        "option_usage": diagnostics.option_usage(decisions),
        "option_by_amr": diagnostics.option_by_amr(decisions),
        "option_transitions": diagnostics.option_transitions(decisions),
        "option_trigrams": diagnostics.option_trigrams(decisions),
    }


def draw_difference(
    folder: RunFolder, ours: pd.DataFrame, theirs: pd.DataFrame, *, other: str
) -> Path:
    """Draw the paired difference of a run and another policy on the same episodes.

    Args:
        folder: The run.
        ours: One row per episode: episode, episode_return.
        theirs: The other policy's, on the same episodes.
        other: What the other policy is called.
    """
    figure = paired_difference.draw(
        ours,
        theirs,
        first_name=folder.run_name,
        second_name=other,
        title=f"{folder.path.name} against {other}",
    )
    return canvas.save(figure, folder.figure_file(paired_difference.NAME))
