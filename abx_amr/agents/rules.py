"""Fixed rules: prescribers that learn nothing, under the same interface as agents.

A rule sees what an agent sees: observed attributes and visible AMR, taken from the observation by
its layout. What it does not see (an attribute that is not shown, or is padded because the patient's
group hides it) it takes as neutral: multipliers 1, recovery 0, and as probability of infection 0.5,
which favours neither. The marginal effect of a dose (delta) counts as 0 in expected rewards.

Shapes: N observations, D entries each, P patients, K antibiotics; action K is no treatment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr import checks
from abx_amr.errors import InputError
from abx_amr.rng import stream
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.observation import Decoded
from abx_amr.simulator.patients import ATTRIBUTES, PADDING

Actions = NDArray[np.int64]
Floats = NDArray[np.float64]

NEUTRAL = {
    "prob_infected": 0.5,
    "benefit_value_multiplier": 1.0,
    "failure_value_multiplier": 1.0,
    "benefit_probability_multiplier": 1.0,
    "failure_probability_multiplier": 1.0,
    "recovery_without_treatment_prob": 0.0,
}


class Rule(ABC):
    """A prescriber that decides by what is observed now; its memory, if any, is `state`."""

    def __init__(self, model: ClinicModel) -> None:
        """Take the clinic's actions, layout and expected rewards from its model."""
        self.model = model
        self.no_treatment = len(model.antibiotics)
        self.num_patients = model.num_patients_per_time_step

    def predict(
        self,
        observation: ArrayLike,
        state: Any = None,
        episode_start: ArrayLike | None = None,
        deterministic: bool = False,
    ) -> tuple[Actions, Any]:
        """Return actions (N, P) and the memory for the next call; (D,) in gives (P,) out.

        Args:
            observation: Not normalised, shape (N, D) or (D,).
            state: What the previous call returned; None at first.
            episode_start: Whether an episode begins here, shape (N,); None: no.
            deterministic: Of no effect: a rule is what it is.
        """
        rows = np.asarray(observation, dtype=np.float32)
        single = rows.ndim == 1
        decoded = self.model.layout.decode(rows[None] if single else rows)
        count = len(decoded.visible_amr)
        begins = np.zeros(count, dtype=bool)
        if episode_start is not None:
            begins = np.broadcast_to(np.asarray(episode_start, dtype=bool), (count,))
        actions, state = self.prescribe(decoded, state, begins)
        return (actions[0] if single else actions), state

    @abstractmethod
    def prescribe(
        self, seen: Decoded, state: Any, begins: NDArray[np.bool_]
    ) -> tuple[Actions, Any]:
        """Return actions (N, P) and the memory, for N observations taken apart."""

    def believed(self, seen: Decoded, attribute: str) -> Floats:
        """Return the attribute as observed, neutral where it is not, shape (N, P)."""
        count = len(seen.visible_amr)
        observed = seen.attributes.get(attribute)
        if observed is None:
            return np.full((count, self.num_patients), NEUTRAL[attribute])
        values = observed.astype(np.float64)
        values[values == PADDING] = NEUTRAL[attribute]
        return values

    def expected_rewards(self, seen: Decoded) -> Floats:
        """Return what each treatment is expected to be worth, (N, P, K+1), last = none."""
        attributes = np.stack([self.believed(seen, name) for name in ATTRIBUTES], axis=-1)
        amr = seen.visible_amr.astype(np.float64)[:, None, :]
        return self.model.reward.expected_reward(attributes, amr)

    def lowest_amr(self, seen: Decoded) -> tuple[Actions, NDArray[np.float32]]:
        """Return the antibiotic of the lowest visible AMR, the first of equals, and that level."""
        lowest = seen.visible_amr.argmin(axis=1)
        return lowest, np.take_along_axis(seen.visible_amr, lowest[:, None], axis=1)[:, 0]

    def for_all(self, per_clinic: NDArray[np.integer[Any]]) -> Actions:
        """Return one treatment per clinic (N,) for each of its patients, (N, P)."""
        return np.repeat(per_clinic.astype(np.int64)[:, None], self.num_patients, axis=1)

    def __repr__(self) -> str:
        own = [
            f"{k}={v!r}"
            for k, v in vars(self).items()
            if k in ("threshold", "risk", "period") and v is not None
        ]
        return f"{type(self).__name__}({', '.join(own)})"


class Never(Rule):
    """Nobody is treated."""

    def prescribe(
        self, seen: Decoded, state: Any, begins: NDArray[np.bool_]
    ) -> tuple[Actions, None]:
        """Return no treatment for everybody."""
        return self.for_all(np.full(len(seen.visible_amr), self.no_treatment)), None


@dataclass(frozen=True, kw_only=True)
class RandomState:
    """Actions drawn ahead for N episodes, (N, steps, P), and the steps already made."""

    seed: int
    episodes: tuple[int, ...]
    actions: Actions
    step: int


class Random(Rule):
    """Any treatment, none included, with the same probability, for each patient by itself.

    In an evaluation the draws of an episode have a stream of their own, so that they do not depend
    on the other episodes. Without a state they go on from a stream of this object.
    """

    def __init__(self, model: ClinicModel) -> None:
        """Take the clinic's actions from its model."""
        super().__init__(model)
        self._unnamed = stream(0, "rule", "actions")

    def initial_state(self, episodes: Sequence[int], seed: int) -> RandomState:
        """Return the draws of these episodes of the evaluation `seed`."""
        numbers = tuple(episodes)
        return RandomState(
            seed=seed, episodes=numbers, actions=self._draw(numbers, seed, 0), step=0
        )

    def prescribe(
        self, seen: Decoded, state: RandomState | None, begins: NDArray[np.bool_]
    ) -> tuple[Actions, RandomState | None]:
        """Return the next draws."""
        count = len(seen.visible_amr)
        if state is None:
            shape = (count, self.num_patients)
            return self._unnamed.integers(self.no_treatment + 1, size=shape), None
        if len(state.episodes) != count:
            raise InputError(
                f"state must have one row per observation, got {len(state.episodes)} for {count}"
            )
        block, step = divmod(state.step, self.model.max_time_steps)
        if step == 0 and block > 0:
            state = replace(state, actions=self._draw(state.episodes, state.seed, block))
        return state.actions[:, step].copy(), replace(state, step=state.step + 1)

    def _draw(self, episodes: Sequence[int], seed: int, block: int) -> Actions:
        """Return actions for as many steps as an episode has, (N, steps, P)."""
        shape = (self.model.max_time_steps, self.num_patients)
        return np.stack(
            [
                stream(seed, "rule", "actions", episode, block).integers(
                    self.no_treatment + 1, size=shape
                )
                for episode in episodes
            ]
        )


class AlwaysBest(Rule):
    """The antibiotic with the highest expected reward, always; the first of equals."""

    def prescribe(
        self, seen: Decoded, state: Any, begins: NDArray[np.bool_]
    ) -> tuple[Actions, None]:
        """Return the best antibiotic of each patient."""
        return self.expected_rewards(seen)[:, :, :-1].argmax(axis=2), None


class Greedy(Rule):
    """The antibiotic with the highest expected reward if that is above 0, else nothing."""

    def prescribe(
        self, seen: Decoded, state: Any, begins: NDArray[np.bool_]
    ) -> tuple[Actions, None]:
        """Return the best antibiotic of each patient where it is worth something."""
        treated = self.expected_rewards(seen)[:, :, :-1]
        worthwhile = treated.max(axis=2) > 0.0
        return np.where(worthwhile, treated.argmax(axis=2), self.no_treatment), None


class Myopic(Rule):
    """Whatever has the highest expected reward; no treatment where it is among the best."""

    def prescribe(
        self, seen: Decoded, state: Any, begins: NDArray[np.bool_]
    ) -> tuple[Actions, None]:
        """Return the best of all treatments for each patient."""
        expected = self.expected_rewards(seen)
        treated, untreated = expected[:, :, :-1], expected[:, :, -1]
        better = treated.max(axis=2) > untreated
        return np.where(better, treated.argmax(axis=2), self.no_treatment), None


class AmrThreshold(Rule):
    """The antibiotic with the lowest visible AMR while below the threshold, else nothing.

    With a risk, only for patients whose observed probability of infection exceeds it.
    """

    def __init__(
        self, model: ClinicModel, *, threshold: float = 0.5, risk: float | None = None
    ) -> None:
        """Take the AMR level below which, and the risk above which, is treated, in [0, 1]."""
        super().__init__(model)
        self.threshold = checks.number("threshold", threshold, 0.0, 1.0)
        self.risk = None if risk is None else checks.number("risk", risk, 0.0, 1.0)

    def prescribe(
        self, seen: Decoded, state: Any, begins: NDArray[np.bool_]
    ) -> tuple[Actions, None]:
        """Return the same treatment for all patients of a clinic, or for those at risk."""
        antibiotic, level = self.lowest_amr(seen)
        # As the observation, the threshold is of single precision: what equals it is not below it.
        below = level < np.float32(self.threshold)
        if self.risk is None:
            return self.for_all(np.where(below, antibiotic, self.no_treatment)), None
        at_risk = self.believed(seen, "prob_infected") > np.float32(self.risk)
        treated = below[:, None] & at_risk
        return np.where(treated, antibiotic[:, None], self.no_treatment), None


class RiskStratified(Rule):
    """The antibiotic with the lowest visible AMR for patients whose risk exceeds the threshold."""

    def __init__(self, model: ClinicModel, *, threshold: float = 0.6) -> None:
        """Take the observed probability of infection, in [0, 1], above which is treated."""
        super().__init__(model)
        self.threshold = checks.number("threshold", threshold, 0.0, 1.0)

    def prescribe(
        self, seen: Decoded, state: Any, begins: NDArray[np.bool_]
    ) -> tuple[Actions, None]:
        """Return the treatment of each patient by its observed risk."""
        antibiotic, _ = self.lowest_amr(seen)
        risk = self.believed(seen, "prob_infected")
        # As the observation, the threshold is of single precision: what equals it is not above it.
        return np.where(
            risk > np.float32(self.threshold), antibiotic[:, None], self.no_treatment
        ), None


class Cycling(Rule):
    """Each antibiotic in turn for `period` steps, then nothing for as long, and again.

    The memory is the number of steps made in the episode, (N,).
    """

    def __init__(self, model: ClinicModel, *, period: int = 30) -> None:
        """Take the steps that each antibiotic, and no treatment, lasts."""
        super().__init__(model)
        self.period = checks.whole_number("period", period, 1)

    def prescribe(
        self, seen: Decoded, state: Actions | None, begins: NDArray[np.bool_]
    ) -> tuple[Actions, Actions]:
        """Return the treatment whose turn it is and the steps made."""
        made = np.zeros(len(begins), dtype=np.int64) if state is None else np.asarray(state)
        made = np.where(begins, 0, made)
        return self.for_all(made // self.period % (self.no_treatment + 1)), made + 1
