"""The one loop in which agents learn: updates, and between two of them the callbacks.

A run, seeds that learn together, a trial's seeds and a resumed run differ in their callbacks alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from abx_amr.agents.prescriber import Agent, Trainer
from abx_amr.evaluation.episodes import Evaluation


@dataclass
class Counters:
    """Where a training stands beside its weights, as its checkpoints keep it.

    Attributes:
        evaluations: Multiples of training.eval_freq_every_n_episodes passed.
        saves: Multiples of training.save_freq_every_n_episodes passed.
        best_return: The best mean return of an evaluation.
        without_improvement: Evaluations in a row without improvement.
    """

    evaluations: int = 0
    saves: int = 0
    best_return: float = -math.inf
    without_improvement: int = 0

    def to_array(self) -> np.ndarray:
        """Return the four as one array of floats."""
        counts = [self.evaluations, self.saves, self.best_return, self.without_improvement]
        return np.array(counts, dtype=np.float64)

    @classmethod
    def from_array(cls, values: np.ndarray) -> Counters:
        """Return what `to_array` gave."""
        evaluations, saves, best, without = values.tolist()[:4]
        return cls(int(evaluations), int(saves), best, int(without))


@dataclass
class Trainee:
    """One agent in the loop, and what its callbacks leave on it.

    Attributes:
        agent: The agent.
        seed: Its seed.
        counters: Where its training stands.
        evaluation: Its last evaluation, None before the first.
        evaluation_seconds: What its evaluations took.
        is_stopped: Whether a callback ended its training before the last transition.
    """

    agent: Agent
    seed: int
    counters: Counters = field(default_factory=Counters)
    evaluation: Evaluation | None = None
    evaluation_seconds: float = 0.0
    is_stopped: bool = False


@dataclass(frozen=True)
class Moment:
    """After an update: every agent has seen `transitions` of the `planned`."""

    transitions: int
    planned: int

    @property
    def is_last(self) -> bool:
        """Whether training ends here."""
        return self.transitions >= self.planned


class Callback:
    """What is done between two updates; each method does nothing unless a member says so."""

    def is_due(self, moment: Moment) -> bool:
        """Return whether `act` is to be called: agents are then as they are at this moment."""
        return False

    def act(self, trainee: Trainee, moment: Moment) -> None:
        """Do it for one agent that can go on; callbacks act in their order."""

    def after_update(self, moment: Moment) -> None:
        """Take note of an update, once for all agents, after what was due."""

    def at_end(self, trainee: Trainee) -> None:
        """Take leave of an agent whose training has ended, planned or stopped."""


def learn(
    trainer: Trainer, trainees: Sequence[Trainee], *, planned: int, callbacks: Sequence[Callback]
) -> None:
    """Let all agents learn to the planned transitions, or until a callback stops each.

    One that cannot go on is left out from then on, see `Trainer.failure`, and has no evaluation. At
    its end every agent holds what it has learned.
    """
    going = list(trainees)
    for transitions in trainer.rollouts(planned):
        moment = Moment(transitions, planned)
        due = [callback for callback in callbacks if callback.is_due(moment)]
        if due or moment.is_last:
            trainer.publish()
        for trainee in list(going):
            if trainer.failure(trainee.agent) is not None:
                trainee.evaluation = None
                going.remove(trainee)
                continue
            for callback in due:
                callback.act(trainee, moment)
        for callback in callbacks:
            callback.after_update(moment)
        for trainee in [one for one in going if one.is_stopped or moment.is_last]:
            for callback in callbacks:
                callback.at_end(trainee)
            going.remove(trainee)
            if trainee.is_stopped:
                trainer.leave(trainee.agent)
        if not going:
            return
