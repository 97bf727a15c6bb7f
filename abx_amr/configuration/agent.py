"""Build what prescribes: a fixed rule, or a learner; its `_target_` decides which."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from abx_amr.configuration.classes import instantiate, locate
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.off_policy import build_off_policy, is_off_policy
from abx_amr.configuration.on_policy import (
    build_on_policy,
    check_hyper_parameters,
    refuse_options,
)
from abx_amr.configuration.training import build_training, take_default_lengths
from abx_amr.configuration.values import section_of
from abx_amr.errors import InputError
from abx_amr.host.former_names import present_name

if TYPE_CHECKING:
    from abx_amr.agents.prescriber import Learner, Prescriber
    from abx_amr.evaluation.episodes import Policy
    from abx_amr.simulator.model import ClinicModel

# Their classes are algorithms of SB3, or nothing for us: known without loading them.
_LIBRARIES = ("stable_baselines3.", "sb3_contrib.")


def learns(config: Mapping[str, Any]) -> bool:
    """Return whether agent_algorithm has to be trained, and is no fixed rule."""
    target = _target(config)
    if target.startswith(_LIBRARIES):
        return True
    from abx_amr.agents.rules import Rule

    made = locate(target, key="agent_algorithm._target_")
    return not (isinstance(made, type) and issubclass(made, Rule))


def build_prescriber(config: Mapping[str, Any]) -> Prescriber:
    """Return the fixed rule or the learner of a configuration, its arguments checked.

    A rule's arguments are checked when it is made for a clinic.

    Raises:
        InputError: no such class, an unknown argument, a value out of range.
    """
    if learns(config):
        return build_learner(config)
    from abx_amr.agents.prescriber import FixedRule

    return FixedRule(partial(build_rule, config))


def build_learner(config: Mapping[str, Any]) -> Learner:
    """Return the learner of a configuration: its own class, or an algorithm of SB3.

    Raises:
        InputError: no learner, an unknown argument, a value out of range.
    """
    own = _own_learner(config)
    if own is None:
        algorithm = locate(_target(config), key="agent_algorithm._target_")
        if is_off_policy(algorithm):
            return build_off_policy(algorithm, config)
        return build_on_policy(algorithm, config)
    refuse_options(config, own.__name__)
    section = section_of(config, "agent_algorithm")
    take_default_lengths(section)
    return cast("Learner", instantiate(section, key="agent_algorithm"))


def check_quickly(config: Mapping[str, Any]) -> None:
    """Refuse what is out of range before the libraries of agents are loaded.

    The cheapest first: the hyper-parameters, the training plan, the clinic.

    Raises:
        InputError: naming the value, and what would be right.
    """
    if learns(config):
        if _own_learner(config) is None:
            check_hyper_parameters(config)
        else:
            build_learner(config)
    build_training(config)
    build_clinic(config)


def build_rule(config: Mapping[str, Any], model: ClinicModel) -> Policy:
    """Return the fixed rule of a configuration, for a clinic."""
    section = section_of(config, "agent_algorithm")
    return cast("Policy", instantiate(section, key="agent_algorithm", model=model))


def _own_learner(config: Mapping[str, Any]) -> type[Learner] | None:
    """Return the learner that agent_algorithm names itself; None: an algorithm of a library."""
    target = _target(config)
    if target.startswith(_LIBRARIES):
        return None
    from abx_amr.agents.prescriber import Learner

    made = locate(target, key="agent_algorithm._target_")
    return made if isinstance(made, type) and issubclass(made, Learner) else None


def _target(config: Mapping[str, Any]) -> str:
    target = section_of(config, "agent_algorithm").get("_target_")
    if not isinstance(target, str):
        raise InputError(f"agent_algorithm._target_ must name a class, got {target!r}")
    return present_name(target)
