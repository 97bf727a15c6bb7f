"""The figures of a run folder, drawn from the tables that lie in it."""

from __future__ import annotations

from pathlib import Path

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
) -> list[Path]:
    """Draw the figures of a run into its folder and return their files.

    Args:
        folder: The run, with evaluations.csv where it was evaluated on the way, and
            patients.parquet where patients were recorded.
        steps: One row per (episode, step) of the final evaluation; None: trajectories.parquet.
        decisions: One row per decision of the final evaluation, of a manager.
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
    final = f", {counted(played['episode'].nunique(), 'evaluation episode')}"

    def title(figure: FigureModule) -> str:
        of_the_training = "evaluations" in figure.READS
        return f"{folder.path.name}\n{figure.CAPTION}{'' if of_the_training else final}"

    return [
        canvas.save(figure, folder.figure_file(name))
        for name, figure in draw_all(tables, title=title)
    ]


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
