"""Build an on-policy agent of SB3 in its training environment.

Shapes: E environments. A transition is one environment's step.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from abx_amr.agents.learners.on_policy.cohort_policy import CohortPolicy, read_of_patients
from abx_amr.agents.learners.on_policy.log_levels import LogLevels
from abx_amr.agents.roles import Role, StepRole
from abx_amr.agents.techniques import Techniques
from abx_amr.envs.exploring_starts import ExploringStarts
from abx_amr.errors import InputError, first_line

if TYPE_CHECKING:
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.envs.staggered_vec_env import StaggeredVecEnv
    from abx_amr.envs.vec_env import ClinicVecEnv
    from abx_amr.hierarchy.manager_env import ManagerVecEnv
    from abx_amr.simulator.model import ClinicModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """An SB3 or sb3-contrib on-policy algorithm, its constructor's arguments, role and techniques.

    `n_steps` counts the transitions of one update over all environments.
    """

    algorithm: type[OnPolicyAlgorithm]
    arguments: Mapping[str, Any]
    role: Role = field(default_factory=StepRole)
    techniques: Techniques = field(default_factory=Techniques)


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
def library_errors(what: str) -> Iterator[None]:
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
    techniques, normalise = spec.techniques, settings.vec_normalize
    starts = None
    if techniques.exploring_starts > 0.0:
        starts = ExploringStarts(
            settings.n_envs,
            share=techniques.exploring_starts,
            most_doses=techniques.exploring_doses,
            seed=settings.seed,
        )
    env: VecEnv = spec.role.build_env(
        model,
        settings.n_envs,
        seed=settings.seed,
        gamma=gamma,
        exploring_starts=starts,
        staggered=techniques.staggered_starts,
    )
    if normalise.enabled or techniques.normalize_reward:
        env = VecNormalize(
            env,
            norm_obs=normalise.enabled and normalise.norm_obs,
            norm_reward=techniques.normalize_reward or normalise.norm_reward,
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
    n_steps, batch_size = (spec.arguments.get(name) for name in ("n_steps", "batch_size"))
    if n_steps is not None and batch_size is not None and batch_size > n_steps:
        steps_per_environment(n_steps, settings.n_envs)
        log.warning(
            "agent_algorithm.batch_size %s is larger than the rollout of %s transitions: "
            "clipped to it",
            batch_size,
            n_steps,
        )
    return build_in(build_env(spec, model, settings), spec, model, settings)


def build_in(
    env: VecEnv, spec: AgentSpec, model: ClinicModel, settings: TrainingSettings, **more: Any
) -> OnPolicyAlgorithm:
    """Return an untrained agent in an environment; `more` go before the configured arguments.

    Raises:
        InputError: the algorithm rejects an argument.
    """
    arguments = {**_seeing(spec, model), **more}
    if "n_steps" in arguments:
        n_steps = arguments["n_steps"]
        arguments["n_steps"] = steps_per_environment(n_steps, settings.n_envs)
        if arguments.get("batch_size") is not None:
            arguments["batch_size"] = min(arguments["batch_size"], n_steps)
    keep_compiler_unloaded()
    with library_errors(spec.algorithm.__name__), warnings.catch_warnings():
        # A last minibatch that is smaller than the others is learned from like the others.
        warnings.filterwarnings("ignore", message="You have specified a mini-batch size")
        agent = spec.algorithm(env=env, seed=settings.seed, verbose=0, **arguments)
    spec.techniques.begin(agent, spec.arguments)
    return agent


def _seeing(spec: AgentSpec, model: ClinicModel) -> dict[str, Any]:
    """Return the arguments of the constructor with the policy that sees the clinic as asked."""
    techniques, layout = spec.techniques, model.layout
    arguments, more = dict(spec.arguments), dict(spec.arguments.get("policy_kwargs") or {})
    levels: list[int] = []
    if techniques.sees_log_levels:
        levels = list(range(layout.size)[layout.parts.visible_amr])
        more["features_extractor_class"] = LogLevels
        more["features_extractor_kwargs"] = {"levels": levels}
    if techniques.patients_share_network:
        arguments["policy"] = CohortPolicy
        more["reads"] = read_of_patients(layout, more=len(levels))
    if more:
        arguments["policy_kwargs"] = more
    return arguments


def build_to_play(
    spec: AgentSpec, model: ClinicModel, observed: Any, acted: Any, *, seed: int
) -> OnPolicyAlgorithm:
    """Return an untrained agent without an environment, for what it sees and how it acts.

    Raises:
        InputError: the algorithm rejects an argument.
    """
    arguments = {**_seeing(spec, model), "device": "cpu", "_init_setup_model": False}
    keep_compiler_unloaded()
    with library_errors(spec.algorithm.__name__):
        # As the library's own `load` builds an agent.
        agent = spec.algorithm(env=None, seed=seed, verbose=0, **arguments)  # type: ignore[arg-type]
        agent.observation_space, agent.action_space, agent.n_envs = observed, acted, 1
        agent._setup_model()
    return agent


def clinic_env(agent: OnPolicyAlgorithm) -> ClinicVecEnv | StaggeredVecEnv | ManagerVecEnv:
    """Return the environment the agent trains in, below any wrapper."""
    env: Any = agent.get_env()
    while isinstance(env, VecNormalize):
        env = env.venv
    return cast("ClinicVecEnv | StaggeredVecEnv | ManagerVecEnv", env)
