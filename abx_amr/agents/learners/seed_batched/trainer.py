"""PPO for several seeds at once: one rollout in one simulator call a step, compiled updates.

The algorithm is Stable-Baselines3's PPO (arXiv 1707.06347), or sb3-contrib's RecurrentPPO, on its
own agents: it begins with their initial weights and leaves weights, optimiser, memory and
environment with them, so that saving, resuming and evaluating need not know how they were trained.
A seed draws its actions and minibatches from streams of its own and no arithmetic mixes seeds: what
it learns is the same to the bit whichever seeds learn beside it, and on however many threads.

Shapes: S seeds, E environments of a seed, T steps of a rollout, N = T * E, D observation entries,
A choices per action, W numbers that an episode remembers (none without an LSTM), Q parameters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.arithmetic import Arithmetic, arithmetic_of
from abx_amr.agents.learners.seed_batched.networks import (
    AdamState,
    Features,
    Networks,
    read_memory,
    write_adam,
    write_memory,
    write_parameters,
)
from abx_amr.agents.learners.seed_batched.seed_learner import (
    Buffer,
    Rollout,
    SeedFailedError,
    SeedLearner,
)
from abx_amr.agents.learners.seed_batched.simulation import Simulation, Step, simulation
from abx_amr.agents.roles import role_of
from abx_amr.agents.techniques import apply_schedules, techniques_of
from abx_amr.errors import InputError

Floats32 = NDArray[np.float32]


class SeedBatchedPPO:
    """Trains SB3's PPO agents of several seeds together.

    Attributes:
        learners: The seeds, in the order of the agents; those that failed or left stay listed.
    """

    def __init__(
        self,
        agents: Sequence[PPO],
        *,
        threads: int = 1,
        streams: Sequence[Mapping[str, NDArray[np.uint64]] | None] | None = None,
    ) -> None:
        """Take over agents that differ in nothing but their seed.

        Args:
            agents: built agents that `networks.why_not_covered` does not refuse.
            threads: how many seeds may learn at the same time.
            streams: for each agent, where its streams stood at its checkpoint, see `streams`.
        """
        self.learners = [
            SeedLearner(agent, stood)
            for agent, stood in zip(agents, streams or [None] * len(agents), strict=True)
        ]
        self.networks = Networks.of(agents[0])
        self._arithmetic = arithmetic_of(self.networks)
        self._features = Features(agents[0])
        self.num_envs = agents[0].n_envs
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None
        self._libraries = ThreadpoolController()
        self._batch: list[SeedLearner] = []
        self._simulation: Simulation | None = None

    # ------------------------------------------------------------------------------- learning

    def rollouts(self, transitions: int, *, planned: int | None = None) -> Iterator[int]:
        """Learn until every seed has seen `transitions`; yield the count after each update.

        The last rollout is shortened so that learning ends exactly there, and is learned from. A
        manager's transitions are primitive steps, which nobody knows beforehand: each seed ends
        with its first rollout that reaches the count, and the least count is what comes back.
        `planned` is the count at which schedules end (default: `transitions`). A seed whose loss
        is no longer finite is left out from then on, see `SeedLearner.failure`.

        Raises:
            InputError: nothing is left to learn.
        """
        agents = [learner.agent for learner in self.learners]
        seen = agents[0].num_timesteps
        if transitions <= seen:
            raise InputError(
                f"nothing to learn: the agent has seen {seen} transitions "
                f"and training ends at {transitions}"
            )
        for agent in agents:
            agent._setup_learn(transitions - seen, None, reset_num_timesteps=seen == 0)
        starts = np.concatenate([np.asarray(agent._last_episode_starts) for agent in agents])
        memory = np.concatenate([read_memory(agent) for agent in agents])
        self._assemble(self.learners, starts.astype(np.float32), memory)
        lasts = role_of(agents[0]).decisions_last
        iteration = 0
        while self._batch:
            left = transitions - min(learner.agent.num_timesteps for learner in self._batch)
            length = agents[0].n_steps if lasts else min(agents[0].n_steps, left // self.num_envs)
            iteration += 1
            for learner in self._batch:
                apply_schedules(learner.agent, planned or transitions)
            with self._libraries.limit(limits=1, user_api="blas"):
                buffer = self._collect(length)
                for s, learner in enumerate(self._batch):
                    agent, rollout = learner.agent, Rollout(buffer, s, self.num_envs)
                    agent.num_timesteps += rollout.primitive_steps
                    now = agent.num_timesteps
                    agent._update_current_progress_remaining(now, planned or transitions)
                    agent.dump_logs(iteration)
                    learner.begin_update(rollout)
                self._update(self._batch)
            for learner in self._batch:
                learner.record()
            seen = min(learner.agent.num_timesteps for learner in self._batch)
            going = [one for one in self._batch if one.failure is None]
            if seen < transitions:
                going = [one for one in going if one.agent.num_timesteps < transitions]
            if len(going) < len(self._batch):
                self._keep(going)
            yield seen
            if seen >= transitions:
                return

    def leave(self, agent: PPO) -> None:
        """Let a seed end here, while the others go on."""
        self._keep([learner for learner in self._batch if learner.agent is not agent])

    def failure(self, agent: PPO) -> SeedFailedError | None:
        """Return why a seed could not go on, None where it could."""
        return self._learner(agent).failure

    def publish(self) -> None:
        """Give every agent in training its weights, optimiser, memory and environment of now."""
        assert self._simulation is not None
        self._simulation.give_back()
        observations = np.split(self._simulation.observations, len(self._batch) or 1)
        starts = np.split(self._starts, len(self._batch) or 1)
        memories = np.split(self._memory, len(self._batch) or 1)
        for learner, seen, start, memory in zip(
            self._batch, observations, starts, memories, strict=False
        ):
            agent = learner.agent
            write_parameters(agent, learner.theta)
            write_adam(agent, AdamState(learner.mean, learner.square, int(learner.count[0])))
            for group in agent.policy.optimizer.param_groups:
                group["lr"] = agent.lr_schedule(agent._current_progress_remaining)
            agent._last_obs = seen.copy()
            agent._last_episode_starts = start.astype(bool)
            write_memory(agent, memory)

    def streams(self, agent: PPO) -> dict[str, NDArray[np.uint64]]:
        """Return where a seed's streams stand, for a checkpoint."""
        learner = self._learner(agent)
        return {"actions": learner.actions.copy(), "minibatches": learner.minibatches.copy()}

    def _learner(self, agent: PPO) -> SeedLearner:
        return next(learner for learner in self.learners if learner.agent is agent)

    def _keep(self, learners: list[SeedLearner]) -> None:
        """Go on with some of the seeds; all are published first."""
        self.publish()
        is_kept = np.repeat([learner in learners for learner in self._batch], self.num_envs)
        self._assemble(learners, self._starts[is_kept], self._memory[is_kept])

    def _assemble(
        self, learners: Sequence[SeedLearner], starts: Floats32, memory: Floats32
    ) -> None:
        """Lay parameters, streams, memory and environments of the seeds side by side."""
        self._batch = list(learners)
        self._starts, self._memory = starts, memory
        if not learners:
            return
        self._theta = np.stack([learner.theta for learner in learners])
        self._actions = np.stack([learner.actions for learner in learners])
        for s, learner in enumerate(learners):
            learner.theta, learner.actions = self._theta[s], self._actions[s]
        self._simulation = simulation([learner.agent for learner in learners])

    # ------------------------------------------------------------------------------- rollouts

    def _collect(self, length: int) -> Buffer:
        """Return `length` steps of every environment, with advantages and value targets."""
        world = self._simulation
        assert world is not None
        seen = self._features(world.observations)
        rows, width = seen.shape
        buffer = Buffer(length, rows, width, self.networks)
        gamma = self._gammas()
        for t in range(length):
            buffer.observations[t] = seen
            buffer.starts[t] = self._starts
            buffer.memory[t] = self._memory
            actions, log_probs, values = self._arithmetic.act(
                self._theta,
                seen,
                starts=self._starts,
                memory=self._memory,
                streams=self._actions,
            )
            buffer.actions[t], buffer.log_probs[t] = actions, log_probs
            buffer.values[t] = self._in_rewards(values)
            step = world.step(actions)
            seen = self._features(world.observations)
            buffer.rewards[t] = step.rewards
            if step.durations is not None:
                buffer.durations[t] = step.durations
            if step.included is not None:
                buffer.included[t] = step.included
            if len(step.cut):
                of_cut = gamma[step.cut] if gamma.ndim else gamma
                discounts = of_cut ** buffer.durations[t, step.cut].astype(np.float32)
                buffer.rewards[t, step.cut] += discounts * self._terminal_values(step)
            self._starts = step.dones
            for learner, infos in zip(self._batch, step.infos, strict=True):
                if infos:
                    learner.agent._update_info_buffer(infos)
        if not buffer.included.reshape(length, len(self._batch), -1).any(axis=(0, 2)).all():
            raise InputError(
                "hrl.exclude_clipped_decisions_from_training leaves nothing to learn from: the end "
                "of the episode cut every option of the rollout; use shorter options, or false"
            )
        last_values = self._in_rewards(
            self._arithmetic.values(self._theta, seen, starts=self._starts, memory=self._memory)
        )
        compiled.advantages_and_returns(
            buffer.rewards,
            buffer.values,
            buffer.starts,
            last_values,
            self._starts,
            gamma ** buffer.durations.astype(np.float32),
            self._batch[0].agent.gae_lambda,
            buffer.advantages,
            buffer.returns,
        )
        return buffer

    def _gammas(self) -> NDArray[np.float32]:
        """Return the agents' discount, (); (S * E,) where seeds may have come to different ones."""
        agents = [learner.agent for learner in self._batch]
        if techniques_of(agents[0]).final_gamma is None:
            return np.asarray(agents[0].gamma, dtype=np.float32)
        return np.repeat(np.array([agent.gamma for agent in agents], np.float32), self.num_envs)

    def _terminal_values(self, step: Step) -> Floats32:
        """Return the values of what stood at the time limit, (number,)."""
        assert self._simulation is not None
        rows = np.zeros_like(self._simulation.observations)
        rows[step.cut] = step.terminal_observations
        values = self._arithmetic.values(
            self._theta,
            self._features(rows),
            starts=np.zeros(len(rows), np.float32),
            memory=self._memory,
        )
        return self._in_rewards(values)[step.cut]

    def _in_rewards(self, values: Floats32) -> Floats32:
        """Return predicted values (S * E,) in the unit of rewards."""
        scales = [learner.value_scale for learner in self._batch]
        if scales[0] is None:
            return values
        means, deviations = (
            np.repeat(
                np.array([getattr(scale, name) for scale in scales], np.float32), self.num_envs
            )
            for name in ("mean", "deviation")
        )
        return means + deviations * values

    # --------------------------------------------------------------------------------- updates

    def _update(self, learners: Sequence[SeedLearner]) -> None:
        """Make all epochs of every learner that has `begin_update` behind it.

        They take turns epoch by epoch, so that every thread is busy to the end.
        """
        waiting = deque(learners)

        def work() -> None:
            while True:
                try:
                    learner = waiting.popleft()
                except IndexError:
                    return
                if learn_epoch(learner, self._arithmetic):
                    waiting.append(learner)

        helpers = min(self._threads, len(learners)) - 1
        futures = [self._pool.submit(work) for _ in range(helpers)] if self._pool else []
        work()
        for future in futures:
            future.result()

    # -------------------------------------------------------------------------------- evaluation

    def policy(self, agents: Sequence[PPO]) -> SeedBatchPolicy:
        """Return the seeds' present weights as one policy over S equal blocks of observations."""
        return SeedBatchPolicy(self.networks, [self._learner(agent) for agent in agents])


def learn_epoch(learner: SeedLearner, arithmetic: Arithmetic) -> bool:
    """Pass once over a seed's rollout; return whether another epoch is to follow."""
    learner.statistics[:] = 0.0
    outcome = arithmetic.learn_epoch(learner)
    learner.agent._n_updates += 1
    learner.epochs_left -= 1
    if outcome == compiled.NOT_FINITE:
        learner.fail()
    return learner.epochs_left > 0 and outcome == compiled.GOES_ON


class SeedBatchPolicy:
    """The policies of S seeds over one batch of raw observations: block s is seed s's."""

    def __init__(self, networks: Networks, learners: Sequence[SeedLearner]) -> None:
        self.networks = networks
        self._arithmetic = arithmetic_of(networks)
        self.theta = np.stack([learner.theta for learner in learners])
        self.statistics = [learner.agent.get_vec_normalize_env() for learner in learners]
        self._features = Features(learners[0].agent)
        self._libraries = ThreadpoolController()

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Floats32 | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Floats32]:
        """Return the likeliest actions (S * E, A) and what is remembered (S * E, W)."""
        if not deterministic:
            raise ValueError("a batch of seeds is played deterministically")
        seen = np.concatenate(
            [
                _normalised(statistics, block)
                for statistics, block in zip(
                    self.statistics, np.split(observation, len(self.theta)), strict=True
                )
            ]
        )
        rows, width = len(seen), self.networks.memory_size
        memory = np.zeros((rows, width), np.float32) if state is None else state.copy()
        starts = np.zeros(rows, np.float32)
        if episode_start is not None:
            starts[:] = episode_start
        with self._libraries.limit(limits=1, user_api="blas"):
            choice = self._arithmetic.act(
                self.theta,
                self._features(np.ascontiguousarray(seen, dtype=np.float32)),
                starts=starts,
                memory=memory,
                streams=None,
            )
        return choice.actions, memory


def _normalised(statistics: VecNormalize | None, block: Floats32) -> Floats32:
    if statistics is None or not statistics.norm_obs:
        return block
    return np.asarray(statistics.normalize_obs(block), dtype=np.float32)
