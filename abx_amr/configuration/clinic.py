"""Build the clinic: what is learned from, not what learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.configuration.classes import check_arguments, instantiate, locate, parameters_of
from abx_amr.configuration.drug_names import check_drug_names
from abx_amr.configuration.values import Plain, section_of
from abx_amr.errors import InputError, first_line, unknown

if TYPE_CHECKING:
    from abx_amr.simulator.model import ClinicModel


def build_clinic(config: Mapping[str, Any]) -> ClinicModel:
    """Return the clinic of a resolved configuration.

    Per antibiotic, `adverse_effect_*` belong to the rewards and everything else to the resistance
    model, which is handed each parameter as a mapping antibiotic -> value.

    Raises:
        InputError: a parameter is missing, unknown or out of range.
    """
    from abx_amr.simulator.model import ClinicModel
    from abx_amr.simulator.observation import ObservationSettings, VisibleAmr

    formulary = section_of(config, "antibiotics")
    drugs = formulary.pop("drugs", None)
    cross_resistance = formulary.pop("cross_resistance", None)
    if formulary:
        raise InputError(
            unknown("antibiotics key", next(iter(formulary)), ["drugs", "cross_resistance"])
        )
    if not isinstance(drugs, Mapping) or not drugs:
        raise InputError(
            "antibiotics.drugs must be a section with at least one antibiotic, NAME: {leak: 0.2, "
            f"...}} as in conf/antibiotics/single.yaml, got {drugs!r}"
        )
    names = tuple(str(n) for n in drugs)
    check_drug_names(names)
    dynamics_parameters: dict[str, dict[str, Any]] = {}
    adverse: dict[str, dict[str, Any]] = {
        "adverse_effect_penalty": {},
        "adverse_effect_probability": {},
    }
    for drug, parameters in drugs.items():
        if not isinstance(parameters, Mapping):
            raise InputError(f"antibiotics.drugs.{drug} must be a section, got {parameters!r}")
        for name, value in parameters.items():
            group = adverse if name in adverse else dynamics_parameters
            group.setdefault(str(name), {})[str(drug)] = value
    _check_drug_parameters(config, dynamics_parameters, names)

    dynamics = instantiate(
        section_of(config, "amr_dynamics"),
        key="amr_dynamics",
        antibiotics=names,
        **dynamics_parameters,
    )
    reward = instantiate(
        section_of(config, "reward_calculator"),
        key="reward_calculator",
        antibiotics=names,
        **adverse,
    )
    environment = section_of(config, "environment")
    try:
        visible = VisibleAmr(**_only(environment, "visible_amr", VisibleAmr, key="environment"))
        observation = ObservationSettings(
            **{
                f: environment.pop(f)
                for f in (
                    "include_steps_since_amr_update",
                    "include_previous_action",
                    "temporal_windows",
                    "include_time_remaining",
                )
                if f in environment
            }
        )
        check_arguments(ClinicModel, environment, key="environment")
        return ClinicModel(
            antibiotics=names,
            dynamics=dynamics,
            cross_resistance={} if cross_resistance is None else cross_resistance,
            population=build_population(section_of(config, "patient_generator")),
            reward=reward,
            visible_amr=visible,
            observation=observation,
            **environment,
        )
    except InputError:
        raise
    except TypeError as error:
        raise InputError(f"environment: {first_line(error)}") from error


def _check_drug_parameters(
    config: Mapping[str, Any], parameters: Mapping[str, Any], names: Sequence[str]
) -> None:
    target = section_of(config, "amr_dynamics").get("_target_")
    if not isinstance(target, str):
        return
    taken, takes_any = parameters_of(locate(target, key="amr_dynamics._target_"))
    taken |= {"adverse_effect_penalty", "adverse_effect_probability"}
    taken.discard("antibiotics")
    for parameter, values in parameters.items():
        if not takes_any and parameter not in taken:
            drug = next(iter(values))
            raise InputError(unknown(f"antibiotics.drugs.{drug} parameter", parameter, taken))


def _only(parent: Plain, name: str, made: Callable[..., Any], *, key: str) -> Plain:
    section = parent.pop(name, None)
    if not isinstance(section, Mapping):
        raise InputError(
            f"{key}.{name} must be a section, got {section!r} (a file of your own begins with "
            "'defaults: [default]' to keep the other values)"
        )
    check_arguments(made, section, key=f"{key}.{name}")
    return dict(section)


def build_population(section: Plain) -> Any:
    """Return a population, or a mixture with each member built from its own section."""
    members = section.get("populations")
    if members is None:
        return instantiate(section, key="patient_generator")
    if not isinstance(members, Mapping) or not members:
        raise InputError("patient_generator.populations must name at least one population")
    built = {}
    for name, member in members.items():
        key = f"patient_generator.populations.{name}"
        if not isinstance(member, Mapping) or "proportion" not in member:
            raise InputError(f"{key} must be a section with its proportion")
        parameters = dict(member)
        proportion = parameters.pop("proportion")
        parameters.setdefault("_target_", "abx_amr.simulator.patients.PatientPopulation")
        built[str(name)] = (proportion, instantiate(parameters, key=key))
    rest = {k: v for k, v in section.items() if k != "populations"}
    return instantiate(rest, key="patient_generator", populations=built)
