"""The figures of a study's folder, drawn from its trials and their seeds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from abx_amr.plots import canvas
from abx_amr.plots.catalogue import draw_all
from abx_amr.studies.folder import StudyFolder
from abx_amr.studies.tables import of_whole_trainings
from abx_amr.tuning.seed_files import read_seed_results


def draw_study(
    folder: Path | str, trials: pd.DataFrame, *, direction: str = "maximize"
) -> list[Path]:
    """Draw the figures of a study into its folder `figures/` and return their files.

    Args:
        folder: The study's folder; the seeds are read from its trials.
        trials: One row per trial: number, value, state.
        direction: maximize or minimize.
    """
    study = StudyFolder(Path(folder))
    study.figures_folder.mkdir(exist_ok=True)
    tables = {"trials": of_whole_trainings(trials), "seeds": read_seed_results(study.path)}
    drawn = draw_all(
        tables,
        title=lambda figure: f"{study.path.name}\n{figure.CAPTION}",
        direction=direction,
    )
    return [canvas.save(figure, study.figure_file(name)) for name, figure in drawn]
