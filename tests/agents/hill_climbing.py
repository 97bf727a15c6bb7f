"""A learner with a loop of its own: a linear policy that keeps a random change where it pays.

It is all that a new learner needs: this file, and one in conf/agent_algorithm/ that names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from abx_amr import checks
from abx_amr.agents.prescriber import Agent, Learner, SavedAgent, StoredAgent
from abx_amr.agents.settings import TrainingSettings
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import Policy
from abx_amr.rng import stream_states
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.model import ClinicModel


class LinearPolicy:
    """The treatment with the highest linear score of the observation, for every patient."""

    def __init__(self, weights: np.ndarray, patients: int) -> None:
        self.weights = weights  # (D, K + 1)
        self.patients = patients

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, None]:
        chosen = (np.asarray(observation) @ self.weights).argmax(axis=-1)
        return np.repeat(chosen[..., None], self.patients, axis=-1), None


class HillClimbingAgent(Agent):
    """One seed: its weights, their return, and the generator that changes them."""

    def __init__(self, model: ClinicModel, settings: TrainingSettings, step_size: float) -> None:
        self.model = model
        self.n_envs = settings.n_envs
        self.step_size = step_size
        self.generator = np.random.Generator(np.random.PCG64(settings.seed))
        self.clinic = Clinic(
            model, stream_states(settings.seed, "training", "clinic", count=self.n_envs)
        )
        self.weights = np.zeros((self.clinic.reset().shape[1], len(model.antibiotics) + 1))
        self.best_return = -np.inf
        self.seen = 0
        self.tried = 0

    @property
    def transitions(self) -> int:
        return self.seen

    @property
    def updates(self) -> int:
        return self.tried

    def learn(self, transitions: int) -> Iterator[int]:
        if transitions <= self.seen:
            raise InputError(f"nothing to learn: {self.seen} transitions are seen already")
        while self.seen < transitions:
            change = self.generator.normal(size=self.weights.shape)
            candidate = self.weights + self.step_size * change
            policy = LinearPolicy(candidate, self.model.num_patients_per_time_step)
            observation, found = self.clinic.reset(), 0.0
            for _ in range(self.model.max_time_steps):
                observation, rewards, _ = self.clinic.step(policy.predict(observation)[0])
                found += float(rewards.mean())
            if found > self.best_return:
                self.weights, self.best_return = candidate, found
            self.tried += 1
            self.seen += self.model.max_time_steps * self.n_envs
            yield self.seen

    def policy(self) -> Policy:
        return LinearPolicy(self.weights.copy(), self.model.num_patients_per_time_step)

    def save(self) -> SavedAgent:
        state = self.generator.bit_generator.state["state"]
        words = [
            state[name] >> shift & (2**64 - 1) for name in ("state", "inc") for shift in (0, 64)
        ]
        return SavedAgent(
            state={
                "weights": self.weights,
                "counts": np.array([self.seen, self.tried]),
                "best_return": np.array(self.best_return),
                "generator": np.array(words, dtype=np.uint64),
                **{f"clinic.{name}": value for name, value in self.clinic.state().items()},
            }
        )

    def restore(self, state: Any) -> None:
        self.weights = state["weights"]
        self.seen, self.tried = (int(count) for count in state["counts"])
        self.best_return = float(state["best_return"])
        low, high, increment, above = (int(word) for word in state["generator"])
        self.generator.bit_generator.state = {
            **self.generator.bit_generator.state,
            "state": {"state": high << 64 | low, "inc": above << 64 | increment},
        }
        clinic = {n.removeprefix("clinic."): v for n, v in state.items() if n.startswith("clinic.")}
        self.clinic.restore(clinic)

    def snapshot(self) -> dict[str, Any]:
        return {"step_size": self.step_size, "n_envs": self.n_envs}


@dataclass(frozen=True, kw_only=True)
class HillClimbing(Learner):
    """Climbs by normal steps of standard deviation `step_size`, above 0."""

    step_size: float

    def __post_init__(self) -> None:
        checks.number("step_size", self.step_size, 0.0, open_low=True)

    def build(self, model: ClinicModel, settings: TrainingSettings) -> HillClimbingAgent:
        return HillClimbingAgent(model, settings, self.step_size)

    def restore(
        self, stored: StoredAgent, model: ClinicModel, settings: TrainingSettings
    ) -> HillClimbingAgent:
        agent = self.build(model, settings)
        agent.restore(stored.state)
        return agent

    def load(self, stored: StoredAgent, model: ClinicModel, *, name: str) -> Policy:
        weights = stored.state["weights"]
        treatments = len(model.antibiotics) + 1
        if weights.shape[1] != treatments:
            raise InputError(
                f"the agent of {name} chooses among {weights.shape[1]} treatments, this clinic has "
                f"{treatments}"
            )
        return LinearPolicy(weights, model.num_patients_per_time_step)
