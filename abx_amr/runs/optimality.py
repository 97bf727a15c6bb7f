"""What a summary says of the limits of its clinic: the gap's parts, agreement, the best rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from abx_amr.agents.rules import Cycling
from abx_amr.configuration.overrides import section_of_key, settings_of
from abx_amr.configuration.values import CLINIC_SECTIONS
from abx_amr.evaluation.episodes import Evaluation
from abx_amr.planning.agreement import agreement, needs_patients
from abx_amr.planning.best_rule import RuleSearch, compare_with_best
from abx_amr.planning.cache import solved_view
from abx_amr.planning.gap import gap_record
from abx_amr.planning.kept_values import default_folder
from abx_amr.planning.problem import NotComputable
from abx_amr.planning.reachable import Prescribing, Reachable, reachable
from abx_amr.planning.sampled import MOST_ANTIBIOTICS
from abx_amr.planning.views import view
from abx_amr.runs.discount_audit import gamma_of

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.simulator.model import ClinicModel

_OF_A_CLINIC = ("experiment", *CLINIC_SECTIONS)
_MOST_PATIENTS = 1_000_000  # of an evaluation, that are remembered


def records_patients(model: ClinicModel, episodes: int) -> bool:
    """Return whether an evaluation is to remember its patients, to be compared with the optimum."""
    try:
        posed = view(model)
    except NotComputable:
        return False
    patients = episodes * model.max_time_steps * model.num_patients_per_time_step
    return needs_patients(posed) and patients <= _MOST_PATIENTS


def prescribing_of(config: Mapping[str, Any], model: ClinicModel, prescriber: Any) -> Prescribing:
    """Return what decides what a run's prescriber could reach.

    Args:
        config: The run's.
        model: Its clinic.
        prescriber: A learner, its agent's policy, or a rule.
    """
    from abx_amr.agents.rules import Rule

    section = config.get("agent_algorithm") or {}
    if section.get("final_gamma") is not None:  # raised while it was trained
        section = {**section, "gamma": section["final_gamma"], "one_minus_gamma": None}
    is_rule = isinstance(prescriber, Rule)
    knows_all = bool(getattr(prescriber, "knows_the_parameters", False))
    return Prescribing(
        sees_time=knows_all or (model.observation.include_time_remaining and not is_rule),
        gamma=None if is_rule else gamma_of(section),
        remembers=isinstance(prescriber, Cycling) or "Recurrent" in str(section.get("_target_")),
        learns=not is_rule,
    )


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What is said of a result.

    Attributes:
        facts: For the summary: optimality_gap and what goes with it, gap, agreement, best_rule.
        regret_by_amr: A row for each AMR level visited, None where it is not known.
    """

    facts: dict[str, Any]
    regret_by_amr: pd.DataFrame | None = None


def judge(
    final: Evaluation, model: ClinicModel, who: Prescribing, overrides: Sequence[str]
) -> Judgement:
    """Return what is said of an evaluation.

    Args:
        final: The evaluation, with its steps.
        model: The clinic.
        who: Whose evaluation it is.
        overrides: What the clinic was composed with.
    """
    import pandas as pd

    rules = RuleSearch(model)
    limits = limits_of(model, who, rules, overrides)
    facts: dict[str, Any] = {
        **limits.reference.gap(final.mean_return),
        "gap": gap_record(limits, final.mean_return),
    }
    found, facts["why_no_agreement"] = _agreement(final, model, overrides)
    facts["agreement"] = found
    clinic = [o for o in overrides if section_of_key(o) in _OF_A_CLINIC]
    facts["best_rule"] = compare_with_best(final.returns, rules, seed=final.seed, clinic=clinic)
    table = None if found is None else pd.DataFrame(found["by_level"])
    return Judgement(facts=facts, regret_by_amr=table)


def limits_of(
    model: ClinicModel,
    who: Prescribing,
    rules: RuleSearch,
    overrides: Sequence[str] | None = None,
) -> Reachable:
    """Return what a prescriber could have reached; what is missing names the command for it."""
    gamma = "" if who.gamma is None else f" agent_algorithm.gamma={who.gamma!r}"
    clinic = " for this clinic" if overrides is None else settings_of(_OF_A_CLINIC, overrides)
    return reachable(model, who, rules=rules, command=f"abx-plan{clinic}{gamma}")


def _agreement(
    final: Evaluation, model: ClinicModel, overrides: Sequence[str]
) -> tuple[dict[str, Any] | None, str | None]:
    """Return `agreement` of a summary, or why there is none."""
    try:
        posed = view(model)
        if len(model.antibiotics) > MOST_ANTIBIOTICS:
            return None, f"values are kept for at most {MOST_ANTIBIOTICS} antibiotics"
        solved = solved_view(model, posed, folder=default_folder())
        if solved is None:
            command = f"abx-plan{settings_of(_OF_A_CLINIC, overrides)}"
            return None, f"the values of this clinic are not kept; run first: {command}"
        if needs_patients(solved) and final.per_patient is None:
            return None, f"more than {_MOST_PATIENTS} patients came: evaluate fewer episodes"
        return agreement(model, solved, final).to_dict(), None
    except NotComputable as error:
        return None, str(error)
