"""Who prescribes: a fixed rule that only plays, or a learner whose agents are trained first.

A learner with a loop of its own is one class here: `class MySearch(Learner)` in a module of
`agents/learners/`, and a file in conf/agent_algorithm/ whose `_target_` names it; the keys beside
it are its constructor's arguments. Training, resuming, evaluating, tuning and reading back go
through these classes alone.

Shapes: S seeds, N episodes. A transition is one environment's step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.torch_state import own_draws
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import Policy, episode_returns

if TYPE_CHECKING:
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.evaluation.tally import Tally
    from abx_amr.simulator.model import ClinicModel

Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]


class Prescriber(ABC):
    """What conf/agent_algorithm/ describes, for any clinic.

    Attributes:
        learns: Whether it must be trained before it can play.
    """

    learns: ClassVar[bool]

    @abstractmethod
    def check_clinic(self, model: ClinicModel) -> None:
        """Refuse a clinic that it cannot prescribe in, before anything is trained or played.

        Raises:
            InputError: naming what does not fit.
        """


@dataclass(frozen=True)
class FixedRule(Prescriber):
    """A rule with its parameters; `make` gives its policy for a clinic."""

    learns: ClassVar[bool] = False
    make: Callable[[ClinicModel], Policy]

    def policy(self, model: ClinicModel) -> Policy:
        """Return the rule as a policy over the clinic's observations."""
        return self.make(model)

    def check_clinic(self, model: ClinicModel) -> None:
        """Refuse a clinic or a parameter that the rule rejects."""
        self.make(model)


# --- saved ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SavedAgent:
    """An agent as what one checkpoint file holds, from which its training goes on to the bit.

    Attributes:
        state: Arrays: parameters, the optimiser's memory, random streams, environment. None may be
            of objects, or be called transitions, counters, identity or curve, which the run keeps
            there.
        facts: Plain values of JSON's own types.
        agent: A zip of the agent's own library, for what is neither. It is read again only where
            this account wrote it, or the user trusts it (trust=true): prefer arrays and facts.
    """

    state: Arrays
    facts: Mapping[str, Any] = field(default_factory=dict)
    agent: bytes | None = None


class StoredAgent(Protocol):
    """A `SavedAgent` as it is found again."""

    @property
    def file(self) -> Path:
        """The checkpoint's file, to be read as data."""
        ...

    @property
    def state(self) -> Arrays:
        """The arrays, and those that the run keeps beside them."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """The plain values."""
        ...

    @property
    def agent(self) -> Path:
        """The file for the agent's own library; InputError where it is not to be trusted."""
        ...


# --- built ---------------------------------------------------------------------------------------


class Agent(ABC):
    """One seed's agent, built for a clinic: it learns, is saved, plays and can be read back."""

    @property
    @abstractmethod
    def transitions(self) -> int:
        """The environments' steps it has learned from, all environments together."""

    @property
    @abstractmethod
    def updates(self) -> int:
        """The updates it has made (of the library's own count, where it has one)."""

    @abstractmethod
    def learn(self, transitions: int) -> Iterator[int]:
        """Learn until `transitions` have been seen; yield the count after each update.

        The last update is the first that reaches the count. Between two updates the agent can be
        saved and played; whoever iterates may stop at any of them.

        Raises:
            InputError: nothing is left to learn, or learning cannot go on.
        """

    @abstractmethod
    def policy(self) -> Policy:
        """Return the agent as it is now, as a policy over the clinic's raw observations.

        Playing it draws nothing from what training draws from.
        """

    @abstractmethod
    def save(self) -> SavedAgent:
        """Return all that `Learner.restore` needs to go on to the bit, random streams included."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """Return what the built agent is made of: name -> plain, comparable value.

        Of the objects that act, not of the arguments that were given: it is the proof that a
        searched value arrived. A value is found by the last part of its name.
        """

    @property
    def explores(self) -> bool:
        """Whether it chooses at random while it learns, so that its entropy says something."""
        return False

    @property
    def entropy_fell_at(self) -> int | None:
        """The transitions since which its choices have hardly been random; None: they are."""
        return None

    @property
    def training_return(self) -> float | None:
        """Mean return of the latest episodes it has learned from, as it explores; None: unknown."""
        return None

    def log_to(self, folder: Path | None) -> None:  # noqa: B027 (logs are an agent's to offer)
        """Write TensorBoard logs to the folder from now on; None: no logs."""

    def log(self, name: str, value: float) -> None:  # noqa: B027
        """Log a value at the present count of transitions."""

    def close_log(self) -> None:  # noqa: B027
        """Write out what is logged."""


class Trainer(ABC):
    """Trains the agents of one or more seeds, which differ in nothing else."""

    @abstractmethod
    def rollouts(self, transitions: int) -> Iterator[int]:
        """Learn until every agent has seen `transitions`; yield the least count after an update."""

    @abstractmethod
    def publish(self) -> None:
        """Give the agents what they have learned, as it is now, to be saved and played."""

    @abstractmethod
    def leave(self, agent: Agent) -> None:
        """Let an agent's training end here, while the others' go on."""

    @abstractmethod
    def failure(self, agent: Agent) -> InputError | None:
        """Return why an agent could not go on, None where it could."""

    def returns(
        self,
        agents: Sequence[Agent],
        model: ClinicModel,
        settings: TrainingSettings,
        *,
        tally: Tally | None = None,
    ) -> Floats:
        """Return each agent's returns in the episodes of `settings.evaluation_seed`, (S, N).

        `tally` takes in what the agents did.
        """
        with own_draws(settings.evaluation_seed):
            return np.stack(
                [
                    episode_returns(
                        agent.policy(),
                        model,
                        episodes=settings.num_eval_episodes,
                        seed=settings.evaluation_seed,
                        tally=None if tally is None else tally.agent(s),
                    )[0]
                    for s, agent in enumerate(agents)
                ]
            )


class Alone(Trainer):
    """One agent, which learns by its own loop."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def rollouts(self, transitions: int) -> Iterator[int]:
        """Learn as the agent does."""
        return self.agent.learn(transitions)

    def publish(self) -> None:
        """The agent has everything already."""

    def leave(self, agent: Agent) -> None:
        """There is no other."""

    def failure(self, agent: Agent) -> None:
        """An agent that learns by itself raises its errors."""


# --- configured ----------------------------------------------------------------------------------


class Learner(Prescriber):
    """An algorithm with its checked arguments, which builds and restores agents for a clinic.

    Its constructor takes keyword arguments, those of its file in conf/agent_algorithm/, and refuses
    a value out of range with an InputError that names the argument.
    """

    learns: ClassVar[bool] = True

    @property
    def keeps_pace(self) -> bool:
        """Whether agents that learn together have seen equally many transitions at any update."""
        return True

    @abstractmethod
    def build(self, model: ClinicModel, settings: TrainingSettings) -> Agent:
        """Return an untrained agent of `settings.seed` in its training environment.

        Raises:
            InputError: an argument does not fit the clinic or the training plan.
        """

    @abstractmethod
    def restore(self, stored: StoredAgent, model: ClinicModel, settings: TrainingSettings) -> Agent:
        """Return the agent that was saved; its training goes on to the bit."""

    @abstractmethod
    def load(self, stored: StoredAgent, model: ClinicModel, *, name: str) -> Policy:
        """Return the saved agent as a policy over a clinic's raw observations.

        Args:
            stored: The checkpoint.
            model: The clinic it is to prescribe in.
            name: What messages call the agent.

        Raises:
            InputError: it does not fit the clinic.
        """

    def check_clinic(self, model: ClinicModel) -> None:
        """Refuse a clinic that it cannot prescribe in."""

    def check_device(self) -> None:
        """Refuse a device that this machine lacks.

        Raises:
            InputError: naming what there is.
        """

    def can_learn_together(self, agent: Agent, settings: TrainingSettings) -> bool:
        """Return whether agents like this one, of several seeds, can be trained by one trainer."""
        return False

    def trainer(self, agents: Sequence[Agent], settings: TrainingSettings) -> Trainer:
        """Return what trains the agents: several only where `can_learn_together` says so."""
        (agent,) = agents
        return Alone(agent)
