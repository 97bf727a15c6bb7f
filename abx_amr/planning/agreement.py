"""How a prescriber's treatments compare with the optimal policy's, state by state.

The regret of a treatment is what the optimal policy would have got more in expectation, from that
state on, with its own. Summed over an episode it is the gap to the optimum, without the luck of the
episodes (Kakade and Langford 2002, lemma 6.1).

Shapes: T steps, N episodes, P patients, K antibiotics, C choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.evaluation.episodes import Evaluation
from abx_amr.evaluation.statistics import t_interval
from abx_amr.planning.kept_values import default_folder
from abx_amr.planning.lattice import counts
from abx_amr.planning.play import next_pressure
from abx_amr.planning.policy import Optimal
from abx_amr.planning.problem import Posed
from abx_amr.planning.sweep import choice_values_of
from abx_amr.planning.views import SampledView, values_of
from abx_amr.simulator.model import ClinicModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: AMR levels between which states are counted together: closer where they are low.
LEVELS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
_SAME = 1e-7  # of the values: treatments whose expected returns differ by less are the same


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What was found in the states that an evaluation visited.

    Attributes:
        antibiotics: The K antibiotics.
        regret: Of each state, (T, N).
        agrees: Whether the treatments are as good as the optimal policy's, (T, N).
        level: True AMR levels before the step, (T, N, K).
        note: Whose treatments they were compared with, where that is not the exact optimum.
    """

    antibiotics: tuple[str, ...]
    regret: Floats
    agrees: NDArray[np.bool_]
    level: Floats
    note: str | None

    def by_level(self) -> list[dict[str, Any]]:
        """Return regret and agreement by AMR level, a row for each that was visited."""
        rows: list[dict[str, Any]] = []
        for k, antibiotic in enumerate(self.antibiotics):
            place = np.digitize(self.level[:, :, k], LEVELS[1:-1])
            for n, (low, high) in enumerate(pairwise(LEVELS)):
                here = place == n
                if here.any():
                    rows.append(
                        {
                            "antibiotic": antibiotic,
                            "level_low": low,
                            "level_high": high,
                            "share_of_states_visited": float(here.mean()),
                            "regret": float(self.regret[here].mean()),
                            "agrees": float(self.agrees[here].mean()),
                        }
                    )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return `agreement` of a summary.

        `expected_gap` is the regret of an episode: how far below the optimum the prescriber is in
        expectation, without what the luck of these episodes adds to their mean return.
        """
        of_episodes = self.regret.sum(axis=0)
        low, high = t_interval(of_episodes)
        return {
            "share_of_states": float(self.agrees.mean()),
            "regret": float(self.regret.mean()),
            "expected_gap": float(of_episodes.mean()),
            "expected_gap_interval_95": [low, high] if of_episodes.size > 1 else [None, None],
            "by_level": self.by_level(),
            "note": self.note,
        }


def needs_patients(posed: Posed) -> bool:
    """Return whether an evaluation must have recorded its patients to be compared."""
    return not posed.is_homogeneous


def agreement(
    model: ClinicModel, posed: Posed, evaluation: Evaluation, *, folder: Any = None
) -> Agreement:
    """Return how the treatments of an evaluation compare with the optimal policy's.

    Args:
        model: The clinic.
        posed: As it is solved: exactly, or by sampling.
        evaluation: With its steps, and its patients where they differ.
        folder: Of kept results; None: that of the project.

    Raises:
        NotComputable: The clinic cannot be solved.
    """
    assert evaluation.per_step is not None
    judge = _Judge(model, posed, folder)
    problem = posed.problem
    given = evaluation.per_step["prescriptions"].astype(np.int64)
    steps, episodes, k = given.shape
    regret, agrees = np.zeros((steps, episodes)), np.zeros((steps, episodes), bool)
    level = np.empty((steps, episodes, k))
    pressure = np.tile(problem.initial, (episodes, 1))
    for step in range(steps):
        level[step] = problem.level(pressure)
        seen, actions = _cohort(evaluation.per_patient, step, given[step], model)
        regret[step], agrees[step] = judge(step, pressure, seen, actions)
        pressure = next_pressure(problem, pressure, given[step])
    note = None
    if isinstance(posed, SampledView):
        note = "compared with the policy of interpolated values, which is close to the optimum"
    return Agreement(
        antibiotics=evaluation.antibiotics, regret=regret, agrees=agrees, level=level, note=note
    )


def _cohort(
    recorded: Mapping[str, NDArray[Any]] | None, step: int, given: Ints, model: ClinicModel
) -> tuple[dict[str, Floats], Ints]:
    """Return what was seen of the patients, (N, P) each, and their treatments, (N, P)."""
    if recorded is None:
        bounds = given.cumsum(axis=1)
        patient = np.arange(model.num_patients_per_time_step)
        return {}, (patient[None, :, None] >= bounds[:, None, :]).sum(axis=2)
    prefix = "observed_"
    seen = {
        name.removeprefix(prefix): values[step].astype(np.float64)
        for name, values in recorded.items()
        if name.startswith(prefix)
    }
    return seen, recorded["actions"][step]


class _Judge:
    """Says what treatments are worth less than the optimal policy's."""

    def __init__(self, model: ClinicModel, posed: Posed, folder: Any) -> None:
        self.posed, self.problem = posed, posed.problem
        self.policy = Optimal(model)
        self.policy.posed = posed
        self.choices = counts(self.problem.num_patients, len(self.problem.antibiotics))
        size = self.problem.num_patients + 1
        self.index = np.full((size,) * self.choices.shape[1], -1, dtype=np.int64)
        self.index[tuple(self.choices.T)] = np.arange(len(self.choices))
        if isinstance(posed, SampledView):
            self.values = values_of(posed, folder=folder or default_folder())

    def __call__(
        self, step: int, pressure: Floats, seen: dict[str, Floats], actions: Ints
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the regret (N,) of actions (N, P), and whether they are as good as the best."""
        problem = self.problem
        gain, slope = self.policy.expected_worth(seen, len(pressure))
        level = problem.level(pressure)
        after = self._after(step, pressure)
        weight = (1 - problem.lambda_weight) / problem.num_patients
        each = weight * (gain + problem.harm - slope * level[:, None, :])
        best = self.policy.best_of(step, pressure, after, gain, slope)
        found = self._worth(after, each, actions)
        most = np.maximum(self._worth(after, each, best), found)
        regret = most - found
        scale = np.maximum(1.0, np.abs(most))
        return regret, (regret <= _SAME * scale) | (actions == best).all(axis=1)

    def _after(self, step: int, pressure: Floats) -> Floats:
        """Return what comes after each choice, (N, C)."""
        if not isinstance(self.posed, SampledView):
            return self.policy.solution().choice_values(step, pressure)
        grid = self.values.grid
        out = np.empty((len(pressure), len(self.choices)))
        choice_values_of(
            np.ascontiguousarray(pressure),
            grid.clinic.choices @ self.problem.cross,
            self.problem.leak,
            grid.positions,
            grid.sizes,
            self.values.ahead[step],
            out,
        )
        return out

    def _worth(self, after: Floats, each: Floats, actions: Ints) -> Floats:
        """Return what actions (N, P) are worth: now, by patient (N, P, K), and after."""
        k = each.shape[2]
        given = np.stack([(actions == j).sum(axis=1) for j in range(k)], axis=1)
        choice = self.index[tuple(given.T)]
        with_none = np.concatenate([each, np.zeros((*each.shape[:2], 1))], axis=2)
        now = np.take_along_axis(with_none, actions[:, :, None], axis=2)[:, :, 0].sum(axis=1)
        worth: Floats = now + np.take_along_axis(after, choice[:, None], axis=1)[:, 0]
        return worth
