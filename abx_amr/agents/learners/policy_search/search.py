"""Direct policy search: the weights of a small network are bred on whole episodes.

A generation plays its candidates in common episodes, on the clinic's own compiled kernel; the order
of their returns moves the mean, which is the policy. There is no discount and no credit assignment.
Generation g draws from streams named by the seed and g, so that training goes on to the bit.

Shapes: N candidates, E episodes, Q weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr import checks
from abx_amr.agents.learners.policy_search.evolution import Evolution
from abx_amr.agents.learners.policy_search.network import PolicyNetwork, attribute_scales
from abx_amr.agents.learners.policy_search.policy import SearchedPolicy
from abx_amr.agents.learners.policy_search.rollouts import Rollouts
from abx_amr.agents.prescriber import Agent, Learner, SavedAgent, StoredAgent
from abx_amr.agents.settings import TrainingSettings
from abx_amr.errors import InputError
from abx_amr.host import processors
from abx_amr.rng import stream, stream_states
from abx_amr.simulator.model import ClinicModel

Floats = NDArray[np.float64]

CANDIDATES_STREAM = ("policy_search", "candidates")
EPISODES_STREAM = ("policy_search", "clinic")
#: Columns of `PolicySearchAgent.history`.
HISTORY = ("transitions", "population_mean", "population_best", "step_size")


@dataclass(frozen=True, kw_only=True)
class PolicySearch(Learner):
    """Separable CMA-ES on a network of one hidden layer, shared by all patients.

    Attributes:
        population: Candidates of a generation, at least 4.
        episodes_per_candidate: Common episodes that each plays.
        initial_step_size: Standard deviation of the first candidates' weights, above 0.
        hidden_units: Units of the hidden layer, tanh; 0: scores are linear in what is seen.
        sees_log_levels: Whether it reads the logarithm of the visible AMR beside the level.
    """

    population: int
    episodes_per_candidate: int
    initial_step_size: float
    hidden_units: int
    sees_log_levels: bool

    def __post_init__(self) -> None:
        """Check the ranges."""
        key = "agent_algorithm."
        checks.whole_number(f"{key}population", self.population, 4)
        checks.whole_number(f"{key}episodes_per_candidate", self.episodes_per_candidate, 1)
        checks.whole_number(f"{key}hidden_units", self.hidden_units, 0)
        checks.flag(f"{key}sees_log_levels", self.sees_log_levels)
        checks.number(f"{key}initial_step_size", self.initial_step_size, 0.0, open_low=True)

    def build(self, model: ClinicModel, settings: TrainingSettings) -> PolicySearchAgent:
        """Return an agent whose search has not begun; its policy gives the first antibiotic."""
        if settings.vec_normalize.enabled:
            raise InputError(
                "training.vec_normalize.enabled must be false for policy_search: it ranks whole "
                "returns and reads observations as they are"
            )
        network = self._network(model, *attribute_scales(model))
        evolution = Evolution.begin(np.zeros(network.size), self.initial_step_size)
        return PolicySearchAgent(
            evolution,
            Rollouts(model, network, threads=_threads(settings)),
            seed=settings.seed,
            population=self.population,
            episodes=self.episodes_per_candidate,
        )

    def restore(
        self, stored: StoredAgent, model: ClinicModel, settings: TrainingSettings
    ) -> PolicySearchAgent:
        """Return the agent that was saved; its search goes on to the bit."""
        agent = self.build(model, settings)
        network = self._network(model, *_stored_scales(stored))
        agent.rollouts = Rollouts(model, network, threads=_threads(settings))
        agent.restore(stored)
        return agent

    def load(self, stored: StoredAgent, model: ClinicModel, *, name: str) -> SearchedPolicy:
        """Return the mean of the saved search as a policy.

        Raises:
            InputError: its network does not fit the clinic.
        """
        network = self._network(model, *_stored_scales(stored))
        weights = np.asarray(stored.state["evolution.mean"])
        fits = len(network.centres) == len(model.layout.attributes)
        if not fits or weights.shape != (network.size,):
            raise InputError(
                f"the agent of {name} has {len(weights)} weights, this clinic takes "
                f"{network.size}: visible attributes, antibiotics and features must be those it "
                "was trained with"
            )
        return SearchedPolicy(network, weights)

    def _network(
        self, model: ClinicModel, centres: tuple[float, ...], spreads: tuple[float, ...]
    ) -> PolicyNetwork:
        return PolicyNetwork(
            layout=model.layout,
            hidden_units=self.hidden_units,
            log_levels=self.sees_log_levels,
            centres=centres,
            spreads=spreads,
        )


def _threads(settings: TrainingSettings) -> int:
    """Return the given threads, or the processors of this process: they change no bit."""
    return settings.torch_threads or processors.available()


def _stored_scales(stored: StoredAgent) -> tuple[tuple[float, ...], tuple[float, ...]]:
    centres, spreads = stored.state["network.centres"], stored.state["network.spreads"]
    return tuple(centres.tolist()), tuple(spreads.tolist())


class PolicySearchAgent(Agent):
    """One seed's search: where it stands, and what its generations have earned.

    Attributes:
        evolution: The search between two generations.
        history: Per generation the columns of HISTORY.
    """

    def __init__(
        self, evolution: Evolution, rollouts: Rollouts, *, seed: int, population: int, episodes: int
    ) -> None:
        """Take a search that plays `population` candidates in `episodes` each generation."""
        self.evolution = evolution
        self.rollouts = rollouts
        self.seed = seed
        self.population = population
        self.episodes = episodes
        self.initial_step_size = evolution.step_size
        self.history: list[tuple[float, ...]] = []
        self._log: Any = None

    @property
    def transitions(self) -> int:
        """The steps that all candidates have made."""
        return int(self.history[-1][0]) if self.history else 0

    @property
    def updates(self) -> int:
        """The generations."""
        return self.evolution.generation

    @property
    def training_return(self) -> float | None:
        """Mean return of the last generation's candidates; None before the first."""
        return self.history[-1][1] if self.history else None

    def learn(self, transitions: int) -> Iterator[int]:
        """Breed until candidates have made `transitions`; yield the count after a generation.

        Raises:
            InputError: they have made them already.
        """
        if transitions <= self.transitions:
            raise InputError(
                f"nothing to learn: the agent has seen {self.transitions} transitions and training "
                f"ends at {transitions}"
            )
        while self.transitions < transitions:
            self._breed()
            yield self.transitions

    def _breed(self) -> None:
        """Play one generation and move the mean."""
        search, steps = self.evolution, self.rollouts.model.max_time_steps
        normals = stream(self.seed, *CANDIDATES_STREAM, search.generation).normal(
            size=(self.population, search.mean.size)
        )
        candidates = search.candidates(normals)
        streams = stream_states(self.seed, *EPISODES_STREAM, search.generation, count=self.episodes)
        scores = self.rollouts.returns(candidates, streams).mean(axis=1)
        seen = self.transitions + self.population * self.episodes * steps
        self.evolution = search.told(candidates, scores)
        found = (float(scores.mean()), float(scores.max()), self.evolution.step_size)
        self.history.append((float(seen), *found))
        for name, value in zip(HISTORY[1:], found, strict=True):
            self.log(f"search/{name}", value)

    def policy(self) -> SearchedPolicy:
        """Return the mean as a policy."""
        return SearchedPolicy(self.rollouts.network, self.evolution.mean)

    def save(self) -> SavedAgent:
        """Return the search and its history, as arrays; a run draws its figure from the latter."""
        state = {f"evolution.{name}": value for name, value in self.evolution.state().items()}
        network = self.rollouts.network
        state["network.centres"] = np.array(network.centres)
        state["network.spreads"] = np.array(network.spreads)
        history = np.array(self.history, dtype=np.float64).reshape(-1, len(HISTORY))
        state |= {f"generations.{name}": history[:, i] for i, name in enumerate(HISTORY)}
        return SavedAgent(state=state)

    def restore(self, stored: StoredAgent) -> None:
        """Go on from what was saved."""
        parts = {
            name.removeprefix("evolution."): value
            for name, value in stored.state.items()
            if name.startswith("evolution.")
        }
        self.evolution = Evolution.restored(parts)
        columns = [stored.state[f"generations.{name}"].tolist() for name in HISTORY]
        self.history = list(zip(*columns, strict=True))

    def snapshot(self) -> dict[str, Any]:
        """Return the network, the search and what a generation plays."""
        network = self.rollouts.network
        return {
            "population": self.population,
            "episodes_per_candidate": self.episodes,
            "initial_step_size": self.initial_step_size,
            "step_size": self.evolution.step_size,
            "network.hidden_units": network.hidden_units,
            "network.weights": network.size,
            "network.sees_log_levels": network.log_levels,
            "network.inputs": [*network.clinic_inputs, *network.patient_inputs],
        }

    def log_to(self, folder: Path | None) -> None:
        """Write TensorBoard logs to the folder from now on; None: no logs."""
        self.close_log()
        if folder is None:
            return
        from stable_baselines3.common.logger import configure

        self._log = configure(str(folder), ["tensorboard"])

    def log(self, name: str, value: float) -> None:
        """Log a value at the present count of transitions."""
        if self._log is not None:
            self._log.record(name, value)
            self._log.dump(self.transitions)

    def close_log(self) -> None:
        """Write out what is logged."""
        if self._log is not None:
            self._log.close()
            self._log = None
