"""A trained agent of SB3 as a policy whose likeliest actions are computed by the compiled networks.

Where they cannot tell two categories apart the library is asked, so that what it does is what the
library's `predict` does, to the bit.

Shapes: E environments, D observation entries, A choices per action, H hidden units of an LSTM.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from abx_amr.agents.learners.on_policy.log_levels import HALF
from abx_amr.agents.learners.policy_search.network import FLOOR
from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.networks import (
    Networks,
    parameters_of,
    read_parameters,
    why_not_computed,
)

if TYPE_CHECKING:
    from stable_baselines3 import PPO

    from abx_amr.agents.learners.on_policy.policies import TrainedPolicy
    from abx_amr.evaluation.recording import Recording
    from abx_amr.simulator.clinic import Clinic

Floats32 = NDArray[np.float32]


def quick(trained: TrainedPolicy) -> TrainedPolicy | ComputedPolicy:
    """Return the same policy with its actions computed here, or itself where they cannot be."""
    return trained if why_not_computed(trained.agent) is not None else ComputedPolicy(trained)


class ComputedPolicy:
    """An agent that sees raw observations and does what the library would do.

    Attributes:
        trained: The library's agent, with how its observations are normalised; its weights are read
            anew whenever they have changed.
    """

    def __init__(self, trained: TrainedPolicy) -> None:
        """Take over an agent whose networks `why_not_computed` does not refuse."""
        self.trained = trained
        self._agent = cast("PPO", trained.agent)
        self._networks = Networks.of(self._agent)
        self._is_recurrent = len(self._networks.lstms) > 0
        self._read_at: tuple[int, ...] = ()
        self._decider = self._read()

    @property
    def agent(self) -> Any:
        """The library's agent."""
        return self.trained.agent

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Return the prescriptions (E, A), or a manager's options (E,), and the recurrent state."""
        rows = np.asarray(observation)
        if self._is_recurrent or not deterministic or rows.ndim != 2:
            return self.trained.predict(observation, state, episode_start, deterministic)
        if rows.shape[1:] != self._agent.observation_space.shape:
            return self.trained.predict(observation, state, episode_start, deterministic)
        seen = np.ascontiguousarray(self.trained.normalised(rows), dtype=np.float32)
        actions = np.empty((len(seen), len(self._networks.choices)), np.int64)
        with _blas().limit(limits=1, user_api="blas"):
            is_sure = compiled.decide(
                self._now(), seen, np.empty((len(seen), 0), np.float32), actions
            )
        if not is_sure:
            return self.trained.predict(observation, state, episode_start, deterministic)
        is_one = isinstance(self._agent.action_space, spaces.Discrete)
        return (actions[:, 0] if is_one else actions), state

    def player(self, clinic: Clinic) -> ComputedPlayer | None:
        """Return the policy at the start of episodes; None in a clinic that is not compiled."""
        if clinic.compiled_parts is None or self._agent.observation_space.shape != (
            clinic.layout.size,
        ):
            return None
        decider = self._now()
        scale = self.trained.scale()
        if scale is not None:
            mean, deviation, clip = scale
            decider = decider._replace(mean=mean, deviation=deviation, clip=clip)
        return ComputedPlayer(self.trained, decider, clinic)

    def _now(self) -> compiled.Decider:
        """Return what decides, with the agent's present weights."""
        if self._versions() != self._read_at:
            self._decider = self._read()
        return self._decider

    def _versions(self) -> tuple[int, ...]:
        return tuple(p._version for p in parameters_of(self._agent))

    def _read(self) -> compiled.Decider:
        networks = self._networks
        self._read_at = self._versions()
        nothing = np.zeros(0)
        extractor: Any = self._agent.policy.features_extractor
        return compiled.Decider(
            theta=read_parameters(self._agent),
            layers=networks.layers[: networks.num_policy_layers].copy(),
            relu=networks.relu,
            lstms=networks.lstms[:1].copy(),
            reads=networks.reads,
            choices=networks.choices,
            mean=nothing,
            deviation=nothing,
            clip=0.0,
            levels=np.array(getattr(extractor, "levels", []), dtype=np.int64),
            log_floor=FLOOR,
            log_half=HALF,
        )


class ComputedPlayer:
    """An agent at work in a batch of episodes, see `evaluation.recording.Player`."""

    def __init__(self, trained: TrainedPolicy, decider: compiled.Decider, clinic: Clinic) -> None:
        self._trained = trained
        self._decider = decider
        hidden = int(decider.lstms[:, 1].sum())
        self._memory = np.zeros((clinic.num_envs, 2 * hidden), np.float32)
        self._asked = _Asked(trained, is_recurrent=hidden > 0)

    def play(self, clinic: Clinic, recording: Recording) -> None:
        """Make the next T steps in the clinic and record them."""
        begun, steps = clinic.time, len(recording.state)
        actions = np.empty((clinic.num_envs, len(self._decider.choices)), np.int64)
        first, is_decided = 0, False
        while first < steps:
            parts = clinic.compiled_parts
            assert parts is not None
            observation = clinic.observation.copy()
            with _blas().limit(limits=1, user_api="blas"):
                reached = compiled.play_steps(
                    self._decider,
                    *parts,
                    observation,
                    self._memory,
                    actions,
                    begun,
                    first,
                    is_decided,
                    recording.observations,
                    recording.state,
                    recording.patients,
                )
            clinic.take_in(begun + reached, observation)
            self._asked.take_note(recording.observations[first + is_decided : reached])
            if reached < steps:
                actions[:] = self._asked.actions(observation)
            first, is_decided = reached, True


class _Asked:
    """The library's own agent in the same episodes, asked where it must be.

    A recurrent one is shown first what it has not seen yet.
    """

    def __init__(self, trained: TrainedPolicy, *, is_recurrent: bool) -> None:
        self._trained = trained
        self._is_recurrent = is_recurrent
        self._state: Any = None
        self._unseen: list[Floats32] = []
        self._is_new = True

    def take_note(self, observations: Floats32) -> None:
        """Keep observations (T, E, D) that it was not asked for."""
        if self._is_recurrent:
            self._unseen += list(observations.copy())

    def actions(self, observation: Floats32) -> NDArray[np.int64]:
        """Return the library's actions (E, A) on an observation (E, D)."""
        if not self._is_recurrent:
            return np.asarray(self._predict(observation))
        for seen in self._unseen:
            self._predict(seen)
        self._unseen = []
        actions = self._predict(observation)
        return np.asarray(actions)

    def _predict(self, observation: Floats32) -> NDArray[np.int64]:
        starts = np.full(len(observation), self._is_new)
        self._is_new = False
        actions, self._state = self._trained.predict(
            observation, self._state, starts, deterministic=True
        )
        return actions


@cache
def _blas() -> ThreadpoolController:
    """Return the switch of the linear algebra libraries' threads; to find them takes a while."""
    from scipy.linalg import cython_blas  # noqa: F401 (that of compiled products, to be found)

    return ThreadpoolController()
