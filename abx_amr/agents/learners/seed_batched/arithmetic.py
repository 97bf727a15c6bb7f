"""What a policy's networks compute for the trainer, by kind: with memory and without.

Shapes: S seeds, E environments of a seed, N transitions of a seed's rollout, D observation entries,
A choices per action, W numbers that an episode remembers (2 M H; none without an LSTM), Q
parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.networks import Networks

if TYPE_CHECKING:
    from abx_amr.agents.learners.seed_batched.seed_learner import SeedLearner

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Streams = NDArray[np.uint64]


class Choice(NamedTuple):
    """What was chosen for S * E observations.

    Attributes:
        actions: (S * E, A).
        log_probs: (S * E,).
        values: of the observations, (S * E,).
    """

    actions: Ints
    log_probs: Floats32
    values: Floats32


class Arithmetic(Protocol):
    """What a policy's networks compute; parameters `theta` of all seeds are (S, Q)."""

    def act(
        self,
        theta: Floats32,
        observations: Floats32,
        *,
        starts: Floats32,
        memory: Floats32,
        streams: Streams | None,
    ) -> Choice:
        """Choose actions.

        Args:
            theta: parameters.
            observations: (S * E, D), seed by seed.
            starts: 1 where an episode begins, (S * E,).
            memory: what the episodes remember, (S * E, W), replaced by that after the step.
            streams: each seed's stream (S, 4), advanced; None: take the likeliest actions.
        """

    def values(
        self, theta: Floats32, observations: Floats32, *, starts: Floats32, memory: Floats32
    ) -> Floats32:
        """Return the values (S * E,) of observations; the memory stays as it is."""

    def learn_epoch(self, learner: SeedLearner) -> int:
        """Pass once over a learner's rollout; return what `compiled.learn_epoch` does."""


def arithmetic_of(networks: Networks) -> Arithmetic:
    """Return what computes with these networks."""
    if len(networks.lstms):
        return Recurrent(networks)
    return Cohort(networks) if len(networks.reads) else Plain(networks)


def _room(networks: Networks, rows: int) -> Choice:
    actions = np.empty((rows, len(networks.choices)), np.int64)
    return Choice(actions, np.empty(rows, np.float32), np.empty(rows, np.float32))


def _shuffled(learner: SeedLearner) -> NDArray[np.int32]:
    """Return the transitions of a learner's rollout in a random order."""
    assert learner.rollout is not None
    order = np.empty(len(learner.rollout.included), dtype=np.int32)
    compiled.shuffle(learner.minibatches, order)
    return learner.rollout.included[order]


class Plain:
    """Networks of layers alone."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._layout = (networks.layers, networks.num_policy_layers, networks.relu)

    def act(
        self,
        theta: Floats32,
        observations: Floats32,
        *,
        starts: Floats32,
        memory: Floats32,
        streams: Streams | None,
    ) -> Choice:
        """Choose from the observations alone."""
        choice = _room(self._networks, len(observations))
        compiled.act(
            theta,
            *self._layout,
            self._networks.choices,
            observations,
            np.zeros((len(theta), 4), np.uint64) if streams is None else streams,
            streams is None,
            *choice,
        )
        return choice

    def values(
        self, theta: Floats32, observations: Floats32, *, starts: Floats32, memory: Floats32
    ) -> Floats32:
        """Return the values of the observations alone."""
        values = np.empty(len(observations), np.float32)
        compiled.state_values(theta, *self._layout, observations, values)
        return values

    def learn_epoch(self, learner: SeedLearner) -> int:
        """Learn from the transitions that are included, in random order."""
        rollout = learner.rollout
        assert rollout is not None
        return compiled.learn_epoch(
            learner.theta,
            learner.mean,
            learner.square,
            learner.count,
            *self._layout,
            self._networks.choices,
            rollout.observations,
            rollout.actions,
            rollout.log_probs,
            rollout.values,
            rollout.advantages,
            rollout.returns,
            _shuffled(learner),
            learner.agent.batch_size,
            learner.settings,
            learner.statistics,
        )


class Cohort(Plain):
    """A policy's network that the patients share, beside the value function's of the clinic."""

    def act(
        self,
        theta: Floats32,
        observations: Floats32,
        *,
        starts: Floats32,
        memory: Floats32,
        streams: Streams | None,
    ) -> Choice:
        """Choose patient by patient from the observations alone."""
        choice = _room(self._networks, len(observations))
        compiled.act_for_cohort(
            theta,
            *self._layout,
            self._networks.reads,
            self._networks.choices,
            observations,
            np.zeros((len(theta), 4), np.uint64) if streams is None else streams,
            streams is None,
            *choice,
        )
        return choice

    def learn_epoch(self, learner: SeedLearner) -> int:
        """Learn from the transitions in a random order."""
        rollout = learner.rollout
        assert rollout is not None
        return compiled.learn_epoch_of_cohort(
            learner.theta,
            learner.mean,
            learner.square,
            learner.count,
            *self._layout,
            self._networks.reads,
            self._networks.choices,
            rollout.observations,
            rollout.actions,
            rollout.log_probs,
            rollout.values,
            rollout.advantages,
            rollout.returns,
            _shuffled(learner),
            learner.agent.batch_size,
            learner.settings,
            learner.statistics,
        )


class Recurrent:
    """Networks above LSTMs."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._layout = (
            networks.layers,
            networks.num_policy_layers,
            networks.relu,
            networks.lstms,
        )

    def act(
        self,
        theta: Floats32,
        observations: Floats32,
        *,
        starts: Floats32,
        memory: Floats32,
        streams: Streams | None,
    ) -> Choice:
        """Choose from the observations and what is remembered."""
        choice = _room(self._networks, len(observations))
        compiled.act_with_memory(
            theta,
            *self._layout,
            self._networks.choices,
            observations,
            starts,
            memory,
            np.zeros((len(theta), 4), np.uint64) if streams is None else streams,
            streams is None,
            *choice,
        )
        return choice

    def values(
        self, theta: Floats32, observations: Floats32, *, starts: Floats32, memory: Floats32
    ) -> Floats32:
        """Return the values of the observations after what is remembered."""
        values = np.empty(len(observations), np.float32)
        compiled.state_values_with_memory(
            theta, *self._layout, observations, starts, memory, values
        )
        return values

    def learn_epoch(self, learner: SeedLearner) -> int:
        """Learn from the transitions in the order of the episodes, from a random one on."""
        rollout = learner.rollout
        assert rollout is not None
        total = len(rollout.returns)
        split = int(compiled.next_uniform(learner.minibatches) * total)
        return compiled.learn_epoch_with_memory(
            learner.theta,
            learner.mean,
            learner.square,
            learner.count,
            *self._layout,
            self._networks.choices,
            rollout.observations,
            rollout.starts,
            rollout.memory,
            total // learner.agent.n_envs,
            rollout.actions,
            rollout.log_probs,
            rollout.values,
            rollout.advantages,
            rollout.returns,
            split,
            learner.agent.batch_size,
            learner.settings,
            learner.statistics,
        )
