"""The best stationary policy of a discount factor where cohorts are sampled.

Shapes: T steps, K antibiotics; values are (n, n, n). The same cohorts at every round, so that the
rounds settle; what the policy is worth is found by playing it among patients drawn afresh.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.certificate import PACE
from abx_amr.planning.progress import OnProgress, counting, within
from abx_amr.planning.rollouts import rollouts
from abx_amr.planning.sampled import Grid, SampledClinic, Values
from abx_amr.planning.stationary import MEASURED, SETTLED, Stationary
from abx_amr.rng import stream

Floats = NDArray[np.float64]

_NODES = {1: 1024, 2: 64, 3: 20}
_PATIENTS = 40  # sampled in all, about
_MOST_ROUNDS = 1500
_SEEN_STEPS = 1000  # at least
_CLOSE = 1e-3  # how far from the optimum, of the range of values, a policy may be
_EPISODES, _LONG_EPISODES = 256, 16


def sampled_stationary(
    clinic: SampledClinic, gamma: float, *, on_progress: OnProgress | None = None
) -> Stationary:
    """Return what the best stationary policy of a discount factor is worth in an episode."""
    grid = _endless(clinic, gamma)
    judged = _judged(grid, gamma, on_progress)
    steps = clinic.problem.num_steps
    played = rollouts(
        _lasting(grid, judged, steps),
        steps=steps,
        episodes=_EPISODES,
        seed=0,
        on_progress=within(on_progress, "episode"),
    )
    settled = rollouts(
        _lasting(grid, judged, SETTLED + MEASURED),
        steps=SETTLED + MEASURED,
        episodes=_LONG_EPISODES,
        seed=1,
        on_progress=within(on_progress, "equilibrium"),
    )
    return Stationary(
        gamma=gamma,
        episode_return=played.mean,
        equilibrium_amr=float(settled.level[SETTLED:].mean()),
    )


def expected_seconds(clinic: SampledClinic, gamma: float) -> float:
    """Return about how many processor seconds a discount factor takes."""
    grid = _endless(clinic, gamma)
    each = grid.work(_cohorts(clinic)) / grid.clinic.problem.num_steps / PACE
    return each * _rounds(gamma) + 1.0


def _endless(clinic: SampledClinic, gamma: float) -> Grid:
    """Return the clinic on nodes that reach as far as a discounted return can see."""
    steps = max(_SEEN_STEPS, min(SETTLED + MEASURED, math.ceil(5 / (1 - gamma))))
    long = replace(clinic, problem=replace(clinic.problem, num_steps=steps))
    return Grid(long, _NODES[len(clinic.problem.antibiotics)])


def _rounds(gamma: float) -> int:
    return min(_MOST_ROUNDS, math.ceil(7 / (1 - gamma)))


def _cohorts(clinic: SampledClinic) -> int:
    return 1 if clinic.is_homogeneous else math.ceil(_PATIENTS / clinic.problem.num_patients)


def _judged(grid: Grid, gamma: float, on_progress: OnProgress | None) -> Floats:
    """Return gamma * value + the report of AMR, (n, n, n), of the endless discounted return."""
    clinic = grid.clinic
    gain, slope = clinic.cohorts(stream(0, "planning", "discounted"), 1, _cohorts(clinic))
    values = np.zeros(grid.shape)
    for _ in counting(on_progress, "round", range(_rounds(gamma))):
        after = grid.back(gamma * values + grid.community, gain[0], slope[0])
        # the middle of MacQueen's bounds: the same policy, fewer rounds
        change = after - values
        values = after + gamma / (1 - gamma) * (change.max() + change.min()) / 2
        if np.ptp(change) * gamma / (1 - gamma) < 1e-5:
            break
    return gamma * values + grid.community


def _lasting(grid: Grid, judged: Floats, steps: int) -> Values:
    """Return values that are the same at every step."""
    # a constant is no reason for a treatment, and single precision has digits to spare without it
    ahead = np.broadcast_to((judged - judged.max()).astype(np.float32), (steps, *grid.shape))
    return Values(grid=grid, ahead=ahead, start=math.nan, upper=None)
