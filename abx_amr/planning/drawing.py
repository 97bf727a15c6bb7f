"""The figures of a plan: the optimal episode, the stewardship front."""

from __future__ import annotations

from pathlib import Path

from abx_amr.planning.front import optimal_episode
from abx_amr.planning.problem import NotComputable
from abx_amr.planning.progress import OnProgress
from abx_amr.planning.service import Plan


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
        given, level, _ = optimal_episode(
            model, plan.posed, found.given, episodes=episodes, seed=seed, on_progress=on_progress
        )
    except NotComputable as error:
        reason = str(error)
    else:
        figure = optimal_policy.draw(
            given,
            level,
            antibiotics=model.antibiotics,
            num_patients=model.num_patients_per_time_step,
            title=f"{plan.name}\nthe optimal policy, return {found.lower:.2f}",
        )
        canvas.save(figure, folder / "optimal_policy.png")
    if plan.front:
        import pandas as pd

        points = [
            {
                "kind": "optimum",
                "name": f"{point.lambda_weight:g}",
                "individual": point.individual,
                "final_amr": point.final_amr,
            }
            for point in plan.front
        ]
        points += [{k: row[k] for k in stewardship_front.COLUMNS} for row in plan.policies]
        title = f"{plan.name}\nstewardship front"
        figure = stewardship_front.draw(pd.DataFrame(points), title=title)
        canvas.save(figure, folder / "stewardship_front.png")
    return reason
