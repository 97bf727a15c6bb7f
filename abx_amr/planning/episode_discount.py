"""What an agent that sees the time but discounts does at best in an episode.

It optimises the discounted return of what is left of the episode; what its policy is worth is the
undiscounted return. Shapes: boxes are (n, n, n).
"""

from __future__ import annotations

import numpy as np

from abx_amr.planning.cache import PlanCache, expected_seconds_of_exact
from abx_amr.planning.certificate import cohorts_of, first_grid
from abx_amr.planning.certificate import expected_seconds as seconds_of_bounds
from abx_amr.planning.optimum import optimal_path
from abx_amr.planning.problem import Posed
from abx_amr.planning.programme import Box, Programme
from abx_amr.planning.progress import OnProgress, counting
from abx_amr.planning.rollouts import rollouts
from abx_amr.planning.sampled import solve
from abx_amr.planning.views import SampledView

_EPISODES = 256


def value_at(
    posed: Posed, gamma: float, *, cache: PlanCache, on_progress: OnProgress | None = None
) -> float:
    """Return the undiscounted return of the policy that is optimal at a discount factor, kept.

    Raises:
        NotComputable: It takes more memory or time than allowed.
    """
    kept = cache.episode_discount(posed, gamma)
    if kept is None:
        kept = discounted_episode(posed, gamma, on_progress=on_progress)
        cache.keep_episode_discount(posed, gamma, kept)
    return kept


def expected_seconds(posed: Posed) -> float:
    """Return about how many processor seconds one discount factor takes."""
    if isinstance(posed, SampledView):
        return seconds_of_bounds(first_grid(posed.clinic))
    return expected_seconds_of_exact(posed)


def discounted_episode(
    posed: Posed, gamma: float, *, on_progress: OnProgress | None = None
) -> float:
    """Return the undiscounted return of the policy that is optimal at a discount factor."""
    if isinstance(posed, SampledView):
        values = solve(
            first_grid(posed.clinic),
            cohorts=cohorts_of(posed.clinic),
            seed=0,
            bounds=False,
            gamma=gamma,
            on_progress=on_progress,
        )
        return rollouts(values, episodes=_EPISODES, seed=0, on_progress=on_progress).mean
    programme = Programme(posed.problem)
    if posed.is_homogeneous:
        solution = programme.solve(on_progress, gamma=gamma)
        return optimal_path(solution, on_progress).expected_return
    return _among_types(programme, gamma, on_progress)


def _among_types(programme: Programme, gamma: float, on_progress: OnProgress | None) -> float:
    """Return it where several types of patient come: judged discounted, valued undiscounted."""
    problem, low = programme.problem, np.zeros(3, np.int64)
    high = np.array(programme.shape)
    judged = value = Box(low=low, values=np.zeros(programme.shape))
    for step in counting(on_progress, "step", range(problem.num_steps - 1, -1, -1)):
        weight = problem.report_weight(step + 1)
        ahead = programme.ahead_of(judged, weight, gamma)
        value = programme.follow(ahead, value, weight=weight)
        judged = programme.back(judged, low=low, high=high, weight=weight, gamma=gamma)
    return float(value.values[programme.start]) + programme.community_at_reset
