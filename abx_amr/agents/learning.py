"""Build an agent for a clinic, let it learn exactly as long as asked, and score it.

Shapes: E environments, P patients. A transition is one environment's step.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from abx_amr.agents.learners.seed_batched.networks import why_not_covered
from abx_amr.agents.settings import TrainingSettings
from abx_amr.envs.vec_env import ClinicVecEnv, action_space, observation_space
from abx_amr.errors import InputError, first_line
from abx_amr.evaluation.episodes import Evaluation, Policy, evaluate

if TYPE_CHECKING:
    from stable_baselines3 import PPO

    from abx_amr.hierarchy.manager_env import ManagerVecEnv
    from abx_amr.simulator.clinic import ClinicModel

log = logging.getLogger(__name__)


class Role(Protocol):
    """An agent's part: what it sees and decides, in training and in evaluation."""

    def build_env(self, model: ClinicModel, n_envs: int, *, seed: int, gamma: float) -> VecEnv:
        """Return the training environment; `gamma` is the agent's, per step."""
        ...

    def spaces(self, model: ClinicModel) -> tuple[Any, Any]:
        """Return the agent's observation and action space."""
        ...

    def prescriber(self, agent: Any, model: ClinicModel) -> Any:
        """Return the agent as a policy over the clinic's observations."""
        ...


class PrescriberRole:
    """Sees the clinic's observation and prescribes for each patient at every step."""

    def build_env(self, model: ClinicModel, n_envs: int, *, seed: int, gamma: float) -> VecEnv:
        """Return the batch of clinics."""
        return ClinicVecEnv(model, n_envs, seed=seed)

    def spaces(self, model: ClinicModel) -> tuple[Any, Any]:
        """Return the clinic's spaces."""
        return observation_space(model), action_space(model)

    def prescriber(self, agent: Any, model: ClinicModel) -> Any:
        """Return the agent itself."""
        return agent


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """An SB3 or sb3-contrib on-policy algorithm, its constructor's arguments and its role.

    `n_steps` counts the transitions of one update over all environments.
    """

    algorithm: type[OnPolicyAlgorithm]
    arguments: Mapping[str, Any]
    role: Role = field(default_factory=PrescriberRole)


# --- building ------------------------------------------------------------------------------------


def steps_per_environment(n_steps: int, n_envs: int) -> int:
    """Return how many steps each environment makes for one update of `n_steps` transitions.

    >>> steps_per_environment(2048, 8)
    256
    """
    if n_steps < n_envs or n_steps % n_envs:
        below = max(n_envs, n_steps // n_envs * n_envs)
        above = (n_steps // n_envs + 1) * n_envs
        near = below if n_steps - below <= above - n_steps else above
        raise InputError(
            f"agent_algorithm.n_steps must be a multiple of training.n_envs = {n_envs}, "
            f"got {n_steps}; the nearest is {near}"
        )
    return n_steps // n_envs


@contextmanager
def _library_errors(what: str) -> Iterator[None]:
    """Turn what a library's constructor says of its arguments into one line."""
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError, AssertionError, KeyError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"agent_algorithm: {what} rejects its arguments: {first_line(error)}"
        ) from error


def keep_compiler_unloaded() -> None:
    """Let optimisers be built without torch's compiler, whose loading alone takes a second.

    torch marks the methods of its optimisers as not to be compiled and loads the compiler to do so,
    on their first call. Here nothing is compiled by torch, so that each stands for itself; where
    torch no longer has the marks nothing changes.
    """
    for method in vars(torch.optim.Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if getattr(method, "__globals__", {}).get("__name__") == "torch._compile":
            vars(plain).setdefault("__dynamo_disable", plain)


def build_env(spec: AgentSpec, model: ClinicModel, settings: TrainingSettings) -> VecEnv:
    """Return the training environment of `settings.seed`, normalised when asked for."""
    gamma = float(spec.arguments.get("gamma", 0.99))
    env = spec.role.build_env(model, settings.n_envs, seed=settings.seed, gamma=gamma)
    normalise = settings.vec_normalize
    if normalise.enabled:
        env = VecNormalize(
            env,
            norm_obs=normalise.norm_obs,
            norm_reward=normalise.norm_reward,
            clip_obs=normalise.clip_obs,
            clip_reward=normalise.clip_reward,
            gamma=gamma,
        )
    return env


def build_agent(
    spec: AgentSpec, model: ClinicModel, settings: TrainingSettings
) -> OnPolicyAlgorithm:
    """Return an untrained agent in its training environment.

    A batch larger than the rollout is clipped to it, with a warning.

    Raises:
        InputError: the algorithm rejects an argument.
    """
    arguments = dict(spec.arguments)
    name = spec.algorithm.__name__
    if "n_steps" in arguments:
        n_steps = arguments["n_steps"]
        arguments["n_steps"] = steps_per_environment(n_steps, settings.n_envs)
        batch_size = arguments.get("batch_size")
        if batch_size is not None and batch_size > n_steps:
            log.warning(
                "agent_algorithm.batch_size %s is larger than the rollout of %s transitions: "
                "clipped to it",
                batch_size,
                n_steps,
            )
            arguments["batch_size"] = n_steps
    env = build_env(spec, model, settings)
    keep_compiler_unloaded()
    with _library_errors(name), warnings.catch_warnings():
        # A last minibatch that is smaller than the others is learned from like the others.
        warnings.filterwarnings("ignore", message="You have specified a mini-batch size")
        return spec.algorithm(env=env, seed=settings.seed, verbose=0, **arguments)


def check_device(spec: AgentSpec) -> None:
    """Refuse a device that torch does not know or that this machine lacks.

    Raises:
        InputError: naming what there is.
    """
    wanted = spec.arguments.get("device", "auto")
    if wanted == "auto" or isinstance(wanted, torch.device):
        return
    try:
        kind = torch.device(str(wanted)).type
    except RuntimeError:
        raise InputError(
            f"agent_algorithm.device must be cpu, cuda or auto, got {wanted!r}"
        ) from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"agent_algorithm.device={wanted}: torch {torch.__version__} finds no GPU here; write "
            "agent_algorithm.device=cpu, which these small networks are fast on"
        )


def clinic_env(agent: OnPolicyAlgorithm) -> ClinicVecEnv | ManagerVecEnv:
    """Return the environment the agent trains in, below any wrapper."""
    env: Any = agent.get_env()
    while isinstance(env, VecNormalize):
        env = env.venv
    return cast("ClinicVecEnv | ManagerVecEnv", env)


def counts_decisions(agent: OnPolicyAlgorithm) -> bool:
    """Return whether the agent's transitions are decisions that last: a manager's."""
    return bool(getattr(agent, "chooses_options", False))


# --- learning ------------------------------------------------------------------------------------


def transitions_of(episodes: int, model: ClinicModel, n_envs: int) -> int:
    """Return the transitions of `episodes`, rounded up to whole steps of all environments."""
    return math.ceil(episodes * model.max_time_steps / n_envs) * n_envs


def rollouts(
    agent: OnPolicyAlgorithm, transitions: int, *, planned: int | None = None
) -> Iterator[int]:
    """Learn until the agent has seen `transitions`; yield the count after each update.

    SB3's own `learn`, except that the last rollout is shortened so that learning ends exactly at
    `transitions` and that every rollout is learned from. `planned` is the count at which schedules
    end (default: `transitions`). A manager's rollout is counted in primitive steps, which nobody
    knows beforehand: it is not shortened, and learning ends with the first that reaches the count.

    Raises:
        InputError: nothing is left to learn.
    """
    n_envs = agent.n_envs
    remaining = transitions - agent.num_timesteps
    if remaining < 1:
        raise InputError(
            f"nothing to learn: the agent has seen {agent.num_timesteps} transitions "
            f"and training ends at {transitions}"
        )
    fresh = agent.num_timesteps == 0
    full_length, full_buffer = agent.n_steps, agent.rollout_buffer
    _, callback = agent._setup_learn(remaining, None, reset_num_timesteps=fresh)
    env = agent.env
    assert env is not None
    iteration = 0
    while agent.num_timesteps < transitions:
        length = min(full_length, (transitions - agent.num_timesteps) // n_envs)
        if counts_decisions(agent):
            length = full_length
        if length < full_length:
            agent.n_steps, agent.rollout_buffer = length, _shorter(full_buffer, length)
        try:
            agent.collect_rollouts(env, callback, agent.rollout_buffer, n_rollout_steps=length)
            agent._update_current_progress_remaining(agent.num_timesteps, planned or transitions)
            iteration += 1
            agent.dump_logs(iteration)
            agent.train()
        finally:
            agent.n_steps, agent.rollout_buffer = full_length, full_buffer
        yield agent.num_timesteps


class Learner(Protocol):
    """Trains the agents of one or more seeds, which differ in nothing else."""

    def rollouts(self, transitions: int) -> Iterator[int]:
        """Learn until every agent has seen `transitions`; yield the count after each update."""

    def publish(self) -> None:
        """Give the agents what they have learned, as it is now."""

    def leave(self, agent: OnPolicyAlgorithm) -> None:
        """Let an agent's training end here, while the others' go on."""

    def failure(self, agent: OnPolicyAlgorithm) -> InputError | None:
        """Return why an agent could not go on, None where it could."""

    def streams(self, agent: OnPolicyAlgorithm) -> Mapping[str, np.ndarray]:
        """Return where the agent's own random streams stand, for a checkpoint."""

    def policy(self, agents: Sequence[OnPolicyAlgorithm]) -> Policy:
        """Return the agents as one policy: block s of the observations is agent s's."""


class Separately:
    """One agent, trained by its own library."""

    def __init__(self, agent: OnPolicyAlgorithm) -> None:
        self.agent = agent

    def rollouts(self, transitions: int) -> Iterator[int]:
        """Learn as the library does."""
        return rollouts(self.agent, transitions)

    def publish(self) -> None:
        """The agent has everything already."""

    def leave(self, agent: OnPolicyAlgorithm) -> None:
        """There is no other."""

    def failure(self, agent: OnPolicyAlgorithm) -> None:
        """A library raises its errors."""

    def streams(self, agent: OnPolicyAlgorithm) -> Mapping[str, np.ndarray]:
        """The library draws from global generators, see `random_state`."""
        return {}

    def policy(self, agents: Sequence[OnPolicyAlgorithm]) -> Policy:
        """Return the agent as a policy."""
        return policy_of(self.agent)


def can_learn_together(agent: OnPolicyAlgorithm, settings: TrainingSettings) -> bool:
    """Say whether the seed-batched trainer takes the agent; where it cannot, say why, once."""
    if not settings.seed_batched:
        return False
    reason = why_not_covered(agent)
    if reason is not None and reason not in _reasons_said:
        _reasons_said.add(reason)
        log.info("seeds are trained one after the other by the library's own trainer: %s", reason)
    return reason is None


_reasons_said: set[str] = set()


def learner_of(
    agents: Sequence[OnPolicyAlgorithm],
    settings: TrainingSettings,
    *,
    streams: Sequence[Mapping[str, np.ndarray] | None] | None = None,
) -> Learner:
    """Return what trains the agents: several only where `can_learn_together` says so.

    Args:
        agents: built agents that differ in their seed alone.
        settings: the training plan, for the knob and the number of threads.
        streams: for each agent, where its streams stood at its checkpoint.
    """
    if can_learn_together(agents[0], settings):
        from abx_amr.agents.learners.seed_batched.trainer import SeedBatchedPPO

        return cast(
            Learner,
            SeedBatchedPPO(
                cast("Sequence[PPO]", agents), threads=settings.torch_threads, streams=streams
            ),
        )
    assert len(agents) == 1
    return Separately(agents[0])


def _shorter(buffer: Any, length: int) -> Any:
    """Return an empty rollout buffer like `buffer` with room for `length` steps."""
    small = object.__new__(type(buffer))
    small.__dict__.update(buffer.__dict__)
    small.buffer_size = length
    if hasattr(buffer, "hidden_state_shape"):
        small.hidden_state_shape = (length, *buffer.hidden_state_shape[1:])
    small.reset()
    return small


def silent_logger() -> Logger:
    """Return a logger that writes nothing."""
    return Logger(folder=None, output_formats=[])


# --- randomness that a checkpoint carries --------------------------------------------------------


def random_state() -> dict[str, np.ndarray]:
    """Return the state of the global generators that SB3 draws from."""
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    assert name == "MT19937"
    return {
        "torch": torch.get_rng_state().numpy().copy(),
        "numpy_keys": np.asarray(keys),
        "numpy_rest": np.array([position, has_gauss, cached], dtype=np.float64),
    }


def set_random_state(state: Mapping[str, np.ndarray]) -> None:
    """Put the global generators where `random_state` found them."""
    torch.set_rng_state(torch.from_numpy(state["torch"].copy()))
    position, has_gauss, cached = state["numpy_rest"]
    np.random.set_state(  # noqa: NPY002
        ("MT19937", state["numpy_keys"], int(position), int(has_gauss), float(cached))
    )


@contextmanager
def own_draws(seed: int) -> Iterator[None]:
    """Keep what an evaluation draws apart from what training draws."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


# --- evaluating ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainedPolicy:
    """An agent that sees raw observations: normalised, where it was trained on normalised ones."""

    agent: OnPolicyAlgorithm
    statistics: VecNormalize | None = None

    def predict(
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Return the prescriptions (E, P), or a manager's options (E,), and the recurrent state."""
        if self.statistics is not None and self.statistics.norm_obs:
            observation = cast(np.ndarray, self.statistics.normalize_obs(observation))
        return self.agent.predict(observation, state, episode_start, deterministic)


def policy_of(agent: OnPolicyAlgorithm) -> Policy:
    """Return the agent as a policy over the clinic's raw observations."""
    trained = TrainedPolicy(agent, agent.get_vec_normalize_env())
    return cast(Policy, clinic_env(agent).prescriber(trained))


def evaluate_agent(
    agent: OnPolicyAlgorithm,
    model: ClinicModel,
    settings: TrainingSettings,
    *,
    per_step: bool = False,
    trajectories: bool = False,
) -> Evaluation:
    """Return the agent's evaluation on the paired episodes of `settings.evaluation_seed`."""
    with own_draws(settings.evaluation_seed):
        return evaluate(
            policy_of(agent),
            model,
            episodes=settings.num_eval_episodes,
            seed=settings.evaluation_seed,
            per_step=per_step,
            trajectories=trajectories,
        )
