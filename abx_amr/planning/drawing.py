"""The figures of a plan: the optimal episode, the stewardship front."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abx_amr.host import atomic_files
from abx_amr.planning.front import optimal_episode
from abx_amr.planning.problem import NotComputable
from abx_amr.planning.progress import OnProgress
from abx_amr.planning.service import Plan
from abx_amr.simulator.model import ClinicModel

Floats = NDArray[np.float64]


def draw_plan(
    plan: Plan, folder: Path, *, episodes: int, seed: int, on_progress: OnProgress | None = None
) -> str | None:
    """Draw what a plan holds into `folder`; return why the optimal policy is not among it.

    Args:
        plan: With an optimum.
        folder: That the figures are written to.
        episodes: Of which the optimal policy's treatments are the mean, where there is chance.
        seed: Names them.
        on_progress: Told how far playing is.
    """
    from abx_amr.plots import canvas, optimal_policy, stewardship_front

    found, reason = plan.optimum, None
    if plan.posed is None or found is None:
        return "there is no optimum"
    model = plan.model
    try:
        given, level, _, _ = optimal_episode(
            model, plan.posed, found.given, episodes=episodes, seed=seed, on_progress=on_progress
        )
    except NotComputable as error:
        reason = str(error)
    else:
        _keep(given, level, model, folder / "data" / "optimal_episode.csv")
        figure = optimal_policy.draw(
            given,
            level,
            antibiotics=model.antibiotics,
            num_patients=model.num_patients_per_time_step,
            title=f"{plan.name}\nthe optimal policy, return {found.lower:.2f}",
        )
        canvas.save(figure, folder / "optimal_policy.png")
    if plan.front:
        points = stewardship_front.table_of(
            map(asdict, plan.front), plan.policies, steps=model.max_time_steps
        )
        title = f"{plan.name}\n{stewardship_front.CAPTION}"
        figure = stewardship_front.draw(points, title=title)
        canvas.save(figure, folder / "stewardship_front.png")
    return reason


def _keep(given: Floats, level: Floats, model: ClinicModel, file: Path) -> None:
    """Write what the figure of the optimal policy is drawn from: a row before and after each step.

    Columns: step, patients (a step), given_<X> (nan before the first), level_<X>.
    """
    import pandas as pd

    table = pd.DataFrame({"step": range(len(level)), "patients": model.num_patients_per_time_step})
    for k, name in enumerate(model.antibiotics):
        table[f"given_{name}"] = np.append(np.nan, given[:, k])
        table[f"level_{name}"] = level[:, k]
    file.parent.mkdir(exist_ok=True)
    atomic_files.write_text(file, table.to_csv(index=False, float_format="%.6g"))
