"""The policy of interpolated values played in many episodes: what it is worth, and how surely.

Shapes: E episodes, T steps, P patients, K antibiotics. A step's reward is its expectation given
what is seen of the patients, so that only who comes is left to chance. Who comes also gives the
mean gain of an episode's patients, whose expectation is known: it takes most of the chance out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abx_amr.planning.problem import Problem
from abx_amr.planning.progress import OnProgress, counting
from abx_amr.planning.sampled import Values
from abx_amr.planning.sweep import actions_of, play
from abx_amr.planning.threads import share_rows
from abx_amr.rng import stream

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BLOCK = 256  # episodes whose patients are in memory at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Played:
    """What a policy did in E episodes.

    Attributes:
        returns: Expected given who came, (E,).
        gains: Mean gain of the patients of each episode, (E,); its expectation is known.
        expected_gain: That expectation.
        given: Mean treatments by step, (T, K).
        level: Mean AMR levels at the start and after each step, (T + 1, K).
        individual: Mean of the clinical part.
    """

    returns: Floats
    gains: Floats
    expected_gain: float
    given: Floats
    level: Floats
    individual: float

    @property
    def mean(self) -> float:
        """The mean return, with the patients' mean gain set to its expectation (regression)."""
        return float(self._residuals.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean."""
        number = len(self.returns)
        return float(self._residuals.std(ddof=2)) / math.sqrt(number) if number > 2 else 0.0

    @property
    def _residuals(self) -> Floats:
        spread = float(self.gains.var())
        if spread < 1e-18 or len(self.gains) < 20:
            return self.returns
        slope = float(((self.gains - self.gains.mean()) * self.returns).mean()) / spread
        return self.returns - slope * (self.gains - self.expected_gain)


def rollouts(
    values: Values,
    *,
    episodes: int,
    seed: int,
    steps: int | None = None,
    on_progress: OnProgress | None = None,
) -> Played:
    """Return what the policy of these values does; one episode where there is no chance.

    Args:
        values: What the policy goes by.
        episodes: How many, where there is chance.
        seed: Names them.
        steps: Their length; None: an episode of the clinic.
        on_progress: Told how many blocks of them are played.
    """
    clinic = values.grid.clinic
    certain = clinic.is_homogeneous and not _draws_reports(clinic.problem)
    number = 1 if certain else episodes
    length = clinic.problem.num_steps if steps is None else steps
    blocks = [range(a, min(a + _BLOCK, number)) for a in range(0, number, _BLOCK)]
    parts = [
        _block(values, len(block), length, stream(seed, "planning", "rollouts", b))
        for b, block in counting(on_progress, "episodes played, block", list(enumerate(blocks)))
    ]
    shares = np.array([len(block) for block in blocks]) / number
    returns, gains = (np.concatenate([p[i] for p in parts]) for i in (0, 1))
    given, level, individual = (
        sum(share * p[i] for share, p in zip(shares, parts, strict=True)) for i in (2, 3, 4)
    )
    return Played(
        returns=returns,
        gains=gains,
        expected_gain=float(clinic.problem.gain.mean()),
        given=np.asarray(given),
        level=np.asarray(level),
        individual=float(individual),
    )


def _draws_reports(problem: Problem) -> bool:
    """Return whether noise of the reports decides rewards."""
    return problem.epsilon > 0 and problem.visible_noise > 0


def _block(
    values: Values, episodes: int, steps: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats, float]:
    clinic, problem = values.grid.clinic, values.grid.clinic.problem
    k, p = len(problem.antibiotics), problem.num_patients
    price = (1 - problem.lambda_weight) * problem.epsilon / p
    pressure = np.tile(problem.initial, (episodes, 1))
    visible = np.zeros((episodes, k))
    reported = np.tile(problem.reported(problem.level(problem.initial)).mean(), episodes)
    returns, individual, gains = (np.zeros(episodes) for _ in range(3))
    given_by_step, level = np.zeros((steps, k)), np.empty((steps + 1, k))
    level[0] = problem.level(problem.initial)
    rewards, given = np.empty(episodes), np.empty((episodes, k), dtype=np.int64)
    visible[:] = np.clip(level[0] + _report(problem, rng, visible.shape), 0.0, 1.0)
    doses = clinic.choices @ problem.cross
    for step in range(steps):
        uniforms = np.full((episodes * p, 13), 0.5)
        for d in clinic.beliefs.draws:
            uniforms[:, d] = rng.random(episodes * p)
        gain, slope = clinic.patients(uniforms)
        shape = (episodes, p, -1)
        gains += gain.reshape(shape).mean(axis=(1, 2))
        treatments = clinic.treatments(gain.reshape(shape), slope.reshape(shape))
        is_refreshed = (step + 1) % problem.update_every == 0
        report = _report(problem, rng, visible.shape)

        def some(a: int, b: int) -> None:
            play(
                pressure[a:b],
                treatments[0][a:b],  # noqa: B023
                treatments[1][a:b],  # noqa: B023
                doses,
                clinic.choices,
                clinic.fewer,
                clinic.totals,
                problem.leak,
                problem.flatness,
                problem.residual,
                values.grid.positions,
                values.grid.sizes,
                values.ahead[step],  # noqa: B023
                visible[a:b],
                report[a:b],  # noqa: B023
                is_refreshed,  # noqa: B023
                price,
                rewards[a:b],
                given[a:b],
            )

        share_rows(episodes, some)
        now = problem.level(pressure)
        if is_refreshed:
            reported = problem.reported(now).mean(axis=1)
        own = rewards + (1 - problem.lambda_weight) * float(problem.untreated[0])
        returns += own - problem.lambda_weight * reported
        individual += own
        given_by_step[step] = given.mean(axis=0)
        level[step + 1] = now.mean(axis=0)
    share = 1 - problem.lambda_weight
    # where benefit counts for nothing, nobody is treated
    clinical = float(individual.mean()) / share if share else float(problem.untreated[0]) * steps
    return returns, gains / steps, given_by_step, level, clinical


def _report(problem: Problem, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return noise and bias of a report, where they decide anything."""
    if not _draws_reports(problem):
        return np.full(shape, problem.visible_bias)
    return problem.visible_bias + problem.visible_noise * rng.standard_normal(shape)


def best_treatments(
    values: Values, step: int, pressure: Floats, gain: Floats, slope: Floats
) -> Ints:
    """Return the best treatments of cohorts (E, P), K is none, at pressures (E, K).

    Args:
        values: What the policy goes by.
        step: Steps made in the episode.
        pressure: Latent pressures, (E, K).
        gain: Of the patients, (E, P, 1 or K).
        slope: Of the patients, (E, P, 1 or K).
    """
    clinic, problem = values.grid.clinic, values.grid.clinic.problem
    actions = np.empty(gain.shape[:2], dtype=np.int64)
    actions_of(
        np.ascontiguousarray(pressure),
        *clinic.treatments(gain, slope),
        problem.level(pressure),
        clinic.choices @ problem.cross,
        clinic.fewer,
        clinic.totals,
        problem.leak,
        values.grid.positions,
        values.grid.sizes,
        values.ahead[step],
        actions,
    )
    return actions
