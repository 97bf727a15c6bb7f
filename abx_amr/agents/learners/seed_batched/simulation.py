"""The environments of all seeds, stepped as one.

Shapes: S seeds, E environments of a seed, D observation entries, A choices per action.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.roles import role_of
from abx_amr.envs.vec_env import ClinicVecEnv
from abx_amr.simulator.clinic import Clinic

Floats32 = NDArray[np.float32]
Infos = list[dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """What all environments answered to one action.

    Attributes:
        rewards: (S * E,).
        dones: 1 where the step ended an episode, (S * E,).
        cut: The environments that ended at their time limit, (number,), and
        terminal_observations: what stood there before the reset, (number, D).
        infos: Per seed the infos of its environments; empty while no episode ended.
        durations: How many primitive steps each lasted, (S * E,); None: one, as everybody's.
        included: Whether each is learned from, (S * E,); None: all are.
    """

    rewards: Floats32
    dones: Floats32
    cut: NDArray[np.intp]
    terminal_observations: Floats32
    infos: Sequence[Infos]
    durations: NDArray[np.int64] | None = None
    included: NDArray[np.bool_] | None = None


class Simulation(Protocol):
    """All environments of all seeds: seed s has the rows s * E to (s + 1) * E - 1."""

    observations: Floats32

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Make a step with actions (S * E, A); `observations` (S * E, D) are the next ones."""

    def give_back(self) -> None:
        """Leave every agent's own environment where its rows stand here."""


def simulation(agents: Sequence[PPO]) -> Simulation:
    """Return the agents' environments as one: one clinic where they are plain clinics."""
    normalisers = [agent.get_vec_normalize_env() for agent in agents]
    envs = [agent.get_env() for agent in agents]
    below = [
        by.venv if by is not None and env is by else env
        for env, by in zip(envs, normalisers, strict=True)
    ]
    clinics = [env for env in below if type(env) is ClinicVecEnv]
    if len(clinics) < len(envs) or any(env.model is not clinics[0].model for env in clinics):
        return SideBySide(agents)
    given = [by for by in normalisers if by is not None]
    if not given:
        return OneClinic(clinics)
    if len(given) == len(envs) and all(by.training and not by.norm_obs for by in given):
        return OneClinic(clinics, RewardNormalisation(given))
    return SideBySide(agents)


class OneClinic:
    """One batch of clinics for the environments of all seeds: a step is one call."""

    def __init__(
        self, envs: Sequence[ClinicVecEnv], normalisation: RewardNormalisation | None = None
    ) -> None:
        """Take over where the environments stand, all at the same step of an episode.

        Args:
            envs: The seeds' own.
            normalisation: Of their rewards; None: rewards are learned from as they are.
        """
        self.envs = envs
        self._normalisation = normalisation
        self.num_envs = envs[0].num_envs
        states = [env.clinic.state() for env in envs]
        whole = {
            name: states[0][name] if name == "time" else np.concatenate([s[name] for s in states])
            for name in states[0]
        }
        self.clinic = Clinic(envs[0].model, whole["rows"])
        self.clinic.restore(whole)
        self.observations: Floats32 = self.clinic.observation
        self._returns = np.concatenate([env.episode_returns for env in envs])
        self._running = np.zeros(len(self._returns), np.float32)
        self._ended = np.ones(len(self._returns), np.float32)
        self._nobody = np.zeros(0, np.intp)
        self._everybody = np.arange(len(self._returns))
        is_cut = not self.clinic.model.observation.include_time_remaining
        self._cut = self._everybody if is_cut else self._nobody
        self._nothing = np.zeros((0, self.observations.shape[1]), np.float32)
        self._no_infos: list[Infos] = [[] for _ in envs]
        self._began = time.time()

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Make a step; at the time limit all episodes end and begin again.

        They are cut there, unless the time remaining is observed.
        """
        observations, rewards, truncated = self.clinic.step(actions)
        self._returns += rewards
        single = rewards.astype(np.float32)
        if self._normalisation is not None:
            self._normalisation(single, ended=truncated)
        if not truncated:
            self.observations = observations
            return Step(single, self._running, self._nobody, self._nothing, self._no_infos)
        elapsed = round(time.time() - self._began, 6)
        length = self.clinic.model.max_time_steps
        infos = [
            [{"episode": {"r": float(r), "l": length, "t": elapsed}} for r in of_seed]
            for of_seed in self._returns.reshape(len(self.envs), self.num_envs)
        ]
        self._returns[:] = 0.0
        self.observations = self._first_seen()
        return Step(single, self._ended, self._cut, observations[self._cut], infos)

    def _first_seen(self) -> Floats32:
        """Start an episode everywhere, each seed's as its own environment would."""
        first = self.clinic.reset()
        everyone, k = np.arange(self.num_envs), len(self.clinic.model.antibiotics)
        starts = [env.exploring_starts for env in self.envs]
        doses = [one.draw(everyone, k) for one in starts if one is not None]
        return self.clinic.expose(np.concatenate(doses)) if doses else first

    def give_back(self) -> None:
        """Leave every seed's own clinic where its rows stand."""
        whole = self.clinic.state()
        for s, env in enumerate(self.envs):
            rows = slice(s * self.num_envs, (s + 1) * self.num_envs)
            env.clinic.restore({k: v if k == "time" else v[rows] for k, v in whole.items()})
            env.episode_returns[:] = self._returns[rows]
        if self._normalisation is not None:
            self._normalisation.give_back()


class RewardNormalisation:
    """What SB3's VecNormalize does to the rewards of each seed, for all seeds at once.

    A reward is divided by the running deviation of the seed's discounted returns and clipped.
    Taken over from the seeds' own and given back to them, to the bit.
    """

    def __init__(self, normalisers: Sequence[VecNormalize]) -> None:
        """Begin where each seed's own stands, (S,) or (S, E) side by side."""
        self._normalisers = normalisers
        first = normalisers[0]
        self._gamma, self._epsilon, self._longest = first.gamma, first.epsilon, first.clip_reward
        self._divides = first.norm_reward
        self._returns = np.stack([np.array(one.returns, dtype=np.float64) for one in normalisers])
        self._all = RunningMeanStd(shape=(len(normalisers),))
        self._all.mean = np.array([float(one.ret_rms.mean) for one in normalisers])
        self._all.var = np.array([float(one.ret_rms.var) for one in normalisers])
        self._all.count = normalisers[0].ret_rms.count

    def __call__(self, rewards: Floats32, *, ended: bool) -> None:
        """Replace the rewards (S * E,) by those that are learned from."""
        moments = self._all
        compiled.scale_rewards(
            rewards.reshape(self._returns.shape),
            self._returns,
            moments.mean,
            moments.var,
            moments.count,
            self._gamma,
            self._epsilon,
            self._longest,
            self._divides,
        )
        moments.count += self._returns.shape[1]
        if ended:
            self._returns[:] = 0.0

    def give_back(self) -> None:
        """Leave every seed's own where its row stands here."""
        for s, one in enumerate(self._normalisers):
            one.returns = self._returns[s].copy()
            one.ret_rms.mean, one.ret_rms.var = self._all.mean[s], self._all.var[s]
            one.ret_rms.count = self._all.count


class SideBySide:
    """Each seed's own environment, with whatever wraps it, stepped one after the other."""

    def __init__(self, agents: Sequence[PPO]) -> None:
        """Begin with the agents' last observations."""
        self.envs = [agent.get_env() for agent in agents]
        self._is_single_choice = isinstance(agents[0].action_space, spaces.Discrete)
        self._lasts = role_of(agents[0]).decisions_last
        last = [np.asarray(agent._last_obs, dtype=np.float32) for agent in agents]
        self.observations: Floats32 = np.concatenate(last)

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Make a step in every seed's environment."""
        observations: list[Any] = []
        rewards: list[Any] = []
        dones: list[Any] = []
        infos: list[Infos] = []
        cut: list[int] = []
        terminal: list[Floats32] = []
        for env, chosen in zip(self.envs, np.split(actions, len(self.envs)), strict=True):
            assert env is not None
            seen, reward, done, info = env.step(chosen[:, 0] if self._is_single_choice else chosen)
            for e in np.flatnonzero(done):
                # A manager's episodes end at the time limit alone, which hides from SB3.
                is_cut = self._lasts or info[e].get("TimeLimit.truncated", False)
                if is_cut and "terminal_observation" in info[e]:
                    cut.append(sum(len(d) for d in dones) + int(e))
                    terminal.append(info[e]["terminal_observation"])
            observations.append(seen)
            rewards.append(reward)
            dones.append(done)
            infos.append(info)
        self.observations = np.ascontiguousarray(np.concatenate(observations), dtype=np.float32)
        width = self.observations.shape[1]
        return Step(
            np.concatenate(rewards).astype(np.float32),
            np.concatenate(dones).astype(np.float32),
            np.array(cut, dtype=np.intp),
            np.array(terminal, dtype=np.float32).reshape(len(cut), width),
            infos,
            *(self._decisions(infos) if self._lasts else ()),
        )

    def _decisions(self, infos: Sequence[Infos]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return how long each decision lasted and whether it is learned from, (S * E,)."""
        told = [info for of_seed in infos for info in of_seed]
        env = self.envs[0]
        assert env is not None
        excludes = env.get_attr("exclude_clipped_decisions_from_training")[0]
        clipped = np.array([info["option_clipped"] for info in told], dtype=np.bool_)
        durations = np.array([info["duration"] for info in told], dtype=np.int64)
        return durations, ~(clipped & excludes)

    def give_back(self) -> None:
        """Nothing is to be done: the environments are the agents' own."""
