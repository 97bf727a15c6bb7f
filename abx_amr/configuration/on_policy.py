"""Build an on-policy algorithm of SB3 with its checked arguments and its role in the clinic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from abx_amr.agents.techniques import NAMES, Techniques
from abx_amr.checks import (
    Count,
    Index,
    NotNegative,
    Positive,
    Range,
    Share,
    check_declared,
    fits,
    number,
)
from abx_amr.configuration.classes import (
    check_arguments,
    instantiate_nested,
    locate,
    parameters_of,
)
from abx_amr.configuration.manager import build_manager_role
from abx_amr.configuration.training import take_default_lengths
from abx_amr.configuration.values import Plain, section_of
from abx_amr.errors import InputError, hint, listed

if TYPE_CHECKING:
    from abx_amr.agents.learners.on_policy.learner import OnPolicyLearner
    from abx_amr.agents.roles import Role

_SET_BY_US = ("env", "seed", "verbose", "tensorboard_log", "_init_setup_model")

_ShareAboveNone = Annotated[float, Range(low=0.0, high=1.0, open_low=True)]

#: What SB3 itself accepts in silence: name -> what it must be where it is no schedule.
_DECLARED: dict[str, Any] = {
    "gamma": _ShareAboveNone,
    "gae_lambda": Share,
    "learning_rate": Positive,
    "clip_range": Positive,
    "clip_range_vf": Positive | None,
    "n_steps": Count,
    "batch_size": Annotated[int, Range(low=2)],
    "n_epochs": Count,
    "ent_coef": NotNegative,
    "vf_coef": NotNegative,
    "max_grad_norm": Positive,
    "target_kl": Positive | None,
    "stats_window_size": Count,
    # of Q-learners
    "buffer_size": Count,
    "learning_starts": Index,
    "tau": _ShareAboveNone,
    "train_freq": Count,
    "gradient_steps": Annotated[int, Range(low=-1)],
    "target_update_interval": Count,
    "exploration_fraction": _ShareAboveNone,
    "exploration_initial_eps": Share,
    "exploration_final_eps": Share,
}


def check_hyper_parameters(config: Mapping[str, Any]) -> None:
    """Refuse hyper-parameters out of range; loads no library of agents.

    Raises:
        InputError: naming the value, and the range.
    """
    section = section_of(config, "agent_algorithm")
    take_default_lengths(section)
    _take_techniques(section)
    _check_ranges(_as_the_algorithm_names_them(section))


def _take_techniques(section: Plain) -> Techniques:
    """Take from a section what is not the library's.

    Raises:
        InputError: one is out of its range.
    """
    return Techniques(**{name: section.pop(name) for name in NAMES if name in section})


def _check_ranges(arguments: Mapping[str, Any]) -> None:
    """Refuse hyper-parameters out of range; imports no library of agents, so that it takes no time.

    Raises:
        InputError: naming the value, and the range.
    """
    for name, value in arguments.items():
        if not callable(value) and not isinstance(value, Mapping):
            fits(f"agent_algorithm.{name}", value, _DECLARED.get(name, Any))
    policy = arguments.get("policy_kwargs")
    if isinstance(policy, Mapping):
        layers = policy.get("net_arch")
        parts = [*layers.values()] if isinstance(layers, Mapping) else [layers]
        _check_layers([*parts, policy.get("value_net_arch")])


def _check_layers(parts: Iterable[Any]) -> None:
    for part in parts:
        if part is not None and not (
            isinstance(part, list) and all(type(size) is int and size > 0 for size in part)
        ):
            raise InputError(
                "agent_algorithm.policy_kwargs.net_arch (and value_net_arch) must list the sizes "
                f"of the layers, such as [64,64], got {part!r}"
            )


def _as_the_algorithm_names_them(values: Mapping[str, Any]) -> Plain:
    """Return the hyper-parameters of a section under the names of the algorithm's constructor.

    Raises:
        InputError: one_minus_gamma is no share, or the run itself sets what is given.
    """
    arguments = {k: v for k, v in values.items() if k not in ("_target_", "one_minus_gamma")}
    complement = values.get("one_minus_gamma")
    if complement is not None:
        arguments["gamma"] = 1.0 - number(
            "agent_algorithm.one_minus_gamma", complement, 0.0, 1.0, open_low=True, open_high=True
        )
    for name in _SET_BY_US:
        if name in arguments:
            raise InputError(
                f"agent_algorithm.{name} is set by the run itself: remove it (see training.*)"
            )
    return arguments


def build_on_policy(algorithm: Any, config: Mapping[str, Any]) -> OnPolicyLearner:
    """Return a configured algorithm of SB3 with its checked arguments.

    Args:
        algorithm: what agent_algorithm._target_ names.
        config: the configuration.

    Raises:
        InputError: not an on-policy algorithm, an unknown hyper-parameter, a value out of range.
    """
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    from abx_amr.agents.learners.on_policy.learner import OnPolicyLearner

    section = section_of(config, "agent_algorithm")
    target = section.pop("_target_")
    take_default_lengths(section)
    techniques = _take_techniques(section)
    if not (isinstance(algorithm, type) and issubclass(algorithm, OnPolicyAlgorithm)):
        raise InputError(
            f"agent_algorithm._target_ must be an algorithm of stable-baselines3 or sb3-contrib, "
            f"or a Learner, got {target}"
        )
    if algorithm.__module__.startswith("sb3_contrib.ppo_mask"):
        raise InputError(
            f"agent_algorithm._target_: {algorithm.__name__} masks actions that cannot be taken, "
            "and every patient can be given every antibiotic, or none: choose agent_algorithm=ppo, "
            "which is the same without a mask"
        )
    arguments = checked_arguments(algorithm, section)
    arguments = techniques.arguments(arguments)
    _check_techniques(algorithm, arguments, techniques)
    role = _build_role(algorithm, config)
    return OnPolicyLearner(
        algorithm=algorithm, arguments=arguments, role=role, techniques=techniques
    )


def checked_arguments(algorithm: Any, section: Mapping[str, Any]) -> Plain:
    """Return the arguments of an algorithm's constructor from its section of the configuration.

    Raises:
        InputError: an unknown hyper-parameter, a value out of range, a policy it does not have.
    """
    arguments = _as_the_algorithm_names_them(
        {
            name: instantiate_nested(value, key=f"agent_algorithm.{name}")
            for name, value in section.items()
        }
    )
    check_arguments(algorithm, arguments, key="agent_algorithm")
    for name, value in arguments.items():
        if isinstance(value, str) and name.endswith("_class"):
            arguments[name] = locate(value, key=f"agent_algorithm.{name}")
    _check_ranges(arguments)
    check_declared(algorithm, arguments, key="agent_algorithm")
    policy_arguments = _policy_arguments(arguments.get("policy_kwargs") or {})
    if policy_arguments or "policy_kwargs" in arguments:
        arguments["policy_kwargs"] = policy_arguments
    _check_policy(algorithm, arguments.get("policy"), policy_arguments)
    return arguments


def _check_techniques(algorithm: Any, arguments: Mapping[str, Any], techniques: Techniques) -> None:
    """Refuse techniques to an agent whose policy or environment cannot have them.

    Raises:
        InputError: naming the technique, and whom it is for.
    """
    from stable_baselines3.common.policies import ActorCriticPolicy

    from abx_amr.agents.roles import role_of

    policy = arguments.get("policy")
    made = getattr(algorithm, "policy_aliases", {}).get(policy, policy)
    is_for_all = not role_of(algorithm).decisions_last
    is_plain = is_for_all and made is ActorCriticPolicy and not arguments.get("use_sde")
    extracts = "features_extractor_class" in (arguments.get("policy_kwargs") or {})
    own = " without a features_extractor_class of its own"
    for name, is_right, whose in (
        ("staggered_starts", is_for_all, "agents that prescribe themselves"),
        ("sees_log_levels", is_for_all and not extracts, f"agents that prescribe themselves{own}"),
        ("patients_share_network", is_plain and not extracts, f"the plain MlpPolicy{own}"),
    ):
        if getattr(techniques, name) and not is_right:
            raise InputError(
                f"agent_algorithm.{name}=true is for {whose}: set it to false, or choose "
                "agent_algorithm=ppo"
            )


def _policy_arguments(given: Mapping[str, Any]) -> Plain:
    """Return policy_kwargs as the policy takes them: classes by their names, one net_arch."""
    arguments = dict(given)
    value_layers = arguments.pop("value_net_arch", None)
    if value_layers is not None:  # a list cannot be overridden by a mapping, so it has its own key
        arguments["net_arch"] = {"pi": arguments.get("net_arch"), "vf": value_layers}
    for name, value in arguments.items():
        if isinstance(value, str) and name.endswith(("_fn", "_class")):
            arguments[name] = locate(value, key=f"agent_algorithm.policy_kwargs.{name}")
    return arguments


def _build_role(algorithm: type, config: Mapping[str, Any]) -> Role:
    """Return the part that the algorithm plays, with its sections of the configuration.

    Raises:
        InputError: a section is given that the role would not read, or does not hold.
    """
    from abx_amr.agents.roles import StepRole, role_of

    if role_of(algorithm) is not StepRole:
        return build_manager_role(config)
    refuse_options(config, algorithm.__name__)
    return StepRole()


def refuse_options(config: Mapping[str, Any], name: str) -> None:
    """Refuse sections about options beside an agent that chooses none.

    Raises:
        InputError: naming the section and who would not read it.
    """
    for section in ("hrl", "option_library"):
        if config.get(section) is not None:
            raise InputError(
                f"{section} belongs to an agent that chooses options "
                f"(agent_algorithm=hrl_ppo or hrl_rppo): {name} would not read it"
            )


def _check_policy(algorithm: Any, policy: Any, arguments: Mapping[str, Any]) -> None:
    """Refuse a policy that the algorithm does not have, and what the policy does not take.

    Raises:
        InputError: naming those there are.
    """
    known = getattr(algorithm, "policy_aliases", {})
    made = policy
    if isinstance(policy, str) and known:
        if policy not in known:
            lstm = "; for an LSTM choose agent_algorithm=recurrent_ppo" if "Lstm" in policy else ""
            raise InputError(
                f"agent_algorithm.policy: {algorithm.__name__} has no '{policy}'{lstm} "
                f"({listed(sorted(known))})"
            )
        made = known[policy]
    if not isinstance(made, type):
        return
    names, takes_any = parameters_of(made)
    for name in arguments:
        if name not in names and not takes_any:
            if "lstm" in name:
                raise InputError(
                    f"agent_algorithm.policy_kwargs.{name} belongs to a recurrent agent: choose "
                    "agent_algorithm=recurrent_ppo (or hrl_rppo), or leave it out"
                )
            known_names = sorted(names - {"self", "observation_space", "action_space"})
            raise InputError(
                f"agent_algorithm.policy_kwargs.{name} is unknown to {made.__name__}"
                f"{hint(name, known_names, label='it takes')}"
            )
    check_declared(made, arguments, key="agent_algorithm.policy_kwargs")
