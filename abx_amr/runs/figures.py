"""The figures of a run folder and of a study folder, drawn from what lies in them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from abx_amr.hierarchy import diagnostics
from abx_amr.plots import (
    amr,
    canvas,
    learning_curve,
    options,
    outcomes,
    paired_difference,
    prescriptions,
    reward_parts,
    seed_spread,
    study_history,
)
from abx_amr.runs.folder import RunFolder, read_seed_results

OVER_TIME = {
    "amr": (amr.draw, "AMR"),
    "prescriptions": (prescriptions.draw, "prescriptions"),
    "outcomes": (outcomes.draw, "outcomes"),
    "reward_parts": (reward_parts.draw, "reward and its parts"),
}


def draw_run(
    folder: RunFolder,
    steps: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
) -> list[Path]:
    """Draw the figures of a run into its folder and return their files.

    Args:
        folder: The run; its learning curve is drawn from evaluations.csv where there is one with
            several evaluations.
        steps: One row per (episode, step) of the final evaluation; None: trajectories.parquet.
        decisions: One row per decision of the final evaluation, of a manager.
    """
    table = folder.read_trajectories() if steps is None else steps
    episodes = table["episode"].nunique()
    note = f"{episodes} evaluation episode{'s' if episodes > 1 else ''}"
    drawn = []
    for name, (draw, what) in OVER_TIME.items():
        figure = draw(table, title=f"{folder.path.name}\n{what}, {note}")
        drawn.append(canvas.save(figure, folder.figure_file(name)))
    if folder.evaluations_file.is_file():
        evaluations = folder.read_evaluations()
        if evaluations["transitions"].nunique() > 1:
            figure = learning_curve.draw(evaluations, title=f"{folder.path.name}\nlearning curve")
            drawn.append(canvas.save(figure, folder.figure_file("learning_curve")))
    if decisions is not None:
        drawn += draw_options(folder, decisions, note=note)
    return drawn


def draw_options(folder: RunFolder, decisions: pd.DataFrame, *, note: str) -> list[Path]:
    """Draw what a manager chose into its run's folder and return the files.

    Args:
        folder: The run.
        decisions: One row per decision, see `Evaluation.decisions_frame`.
        note: Of how many episodes.
    """

    def title(what: str) -> str:
        return f"{folder.path.name}\n{what}, {note}"

    transitions = diagnostics.option_transitions(decisions)
    trigrams = diagnostics.option_trigrams(decisions)
    figures = {
        "option_usage": options.draw_usage(
            diagnostics.option_usage(decisions), title=title("options chosen, and their reward")
        ),
        "option_durations": options.draw_durations(decisions, title=title("durations")),
        "option_by_amr": options.draw_by_amr(
            diagnostics.option_by_amr(decisions), title=title("options by visible AMR")
        ),
        "option_transitions": options.draw_transitions(
            transitions, trigrams, title=title("which option follows which")
        ),
    }
    return [canvas.save(figure, folder.figure_file(name)) for name, figure in figures.items()]


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
    return canvas.save(figure, folder.figure_file("paired_difference"))


def draw_study(
    folder: Path | str, trials: pd.DataFrame, *, direction: str = "maximize"
) -> list[Path]:
    """Draw the figures of a study into its folder `figures/` and return their files.

    Args:
        folder: The study's folder; the seeds are read from its trials.
        trials: One row per trial: number, value, state.
        direction: maximize or minimize.
    """
    folder = Path(folder)
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    drawn = []
    if len(trials):
        figure = study_history.draw(trials, title=f"{folder.name}\ntrials", direction=direction)
        drawn.append(canvas.save(figure, figures / "study_history.png"))
    seeds = read_seed_results(folder)
    if len(seeds):
        figure = seed_spread.draw(seeds, title=f"{folder.name}\nseeds of each trial")
        drawn.append(canvas.save(figure, figures / "seed_spread.png"))
    return drawn
