"""What an agent's discount factor alone costs in its clinic, said before it is trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.configuration.overrides import settings_of
from abx_amr.configuration.values import CLINIC_SECTIONS

if TYPE_CHECKING:
    from abx_amr.simulator.model import ClinicModel

log = logging.getLogger(__name__)


def gamma_of(section: Any) -> float | None:
    """Return an agent's discount factor, None for a rule or where it does not discount.

    >>> gamma_of({"gamma": 0.99}), gamma_of({"gamma": 1}), gamma_of({})
    (0.99, None, None)
    >>> gamma_of({"gamma": 0.99, "one_minus_gamma": 0.25})
    0.75
    """
    gamma = section.get("gamma") if isinstance(section, Mapping) else None
    complement = section.get("one_minus_gamma") if isinstance(section, Mapping) else None
    if isinstance(complement, float):
        gamma = 1.0 - complement
    if isinstance(gamma, bool) or not isinstance(gamma, int | float) or not 0 < gamma < 1:
        return None
    return float(gamma)


def audit_discount_factor(
    config: Mapping[str, Any], model: ClinicModel, overrides: Sequence[str]
) -> None:
    """Warn where the agent's discount factor alone costs much; or name the command that can say.

    Args:
        config: The run's.
        model: Its clinic.
        overrides: What the clinic was composed with, which the named command needs too.
    """
    gamma = gamma_of(config.get("agent_algorithm"))
    if gamma is None:
        return
    # Here, so that what is refused before is refused without loading the planner.
    from abx_amr.planning.cache import PlanCache, audits_quickly
    from abx_amr.planning.kept_values import default_folder
    from abx_amr.planning.problem import NotComputable
    from abx_amr.planning.stationary import GAMMAS
    from abx_amr.planning.views import view

    try:
        posed = view(model)
        cache = PlanCache(default_folder())
        known = cache.known(posed)
        is_kept = known is not None and cache.is_audited(posed, (*GAMMAS, gamma))
        if not is_kept and not audits_quickly(posed):
            same = settings_of(("experiment", *CLINIC_SECTIONS), overrides)
            log.info(
                "abx-plan%s agent_algorithm.gamma=%r tells what gamma costs even a perfect "
                "learner here",
                *(same, gamma),
            )
            return
        found = cache.optimum(posed)
        warning = cache.audit(posed, found, gammas=GAMMAS, gamma=gamma).warning
    except NotComputable as error:
        log.info("no discount audit: %s", error)
        return
    if warning is not None:
        log.warning("%s", warning)
