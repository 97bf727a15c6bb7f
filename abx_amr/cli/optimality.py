"""How far from the optimum: the line under a result, and the audit before a training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abx_amr.simulator.clinic import ClinicModel

log = logging.getLogger(__name__)


def gap_line(summary: Mapping[str, Any]) -> str:
    """Return what a run's summary says of the optimum.

    >>> gap_line({"optimality_gap": 20.67, "share_of_range": 0.798, "optimum": -179.56,
    ...           "optimum_note": None})
    'optimality gap 20.67 to the optimum -179.56 (79.8% of the range from never treating)'
    """
    gap, share = summary.get("optimality_gap"), summary.get("share_of_range")
    note = summary.get("optimum_note")
    if gap is None:
        return f"optimality gap: {note}"
    reached = "" if share is None else f" ({share:.1%} of the range from never treating)"
    if share is not None and share < 0:
        reached = " (worse than never treating)"
    if note and "between" in note:
        return f"optimality gap {gap:.2f} to the {note}{reached}"
    return f"optimality gap {gap:.2f} to the {note or 'optimum'} {summary['optimum']:.2f}{reached}"


def audit_before_training(
    config: Mapping[str, Any], model: ClinicModel, overrides: Sequence[str]
) -> None:
    """Warn where the agent's discount factor alone costs much; or name the command that can say.

    Args:
        config: The run's.
        model: Its clinic.
        overrides: What the clinic was composed with, which the named command needs too.
    """
    from pathlib import Path

    from abx_amr.cli.door import repeated
    from abx_amr.configuration.values import CLINIC_SECTIONS
    from abx_amr.host.locations import from_here
    from abx_amr.planning.cache import FOLDER, PlanCache, audits_quickly
    from abx_amr.planning.problem import NotComputable
    from abx_amr.planning.settings import gamma_of
    from abx_amr.planning.stationary import GAMMAS
    from abx_amr.planning.views import view

    gamma = gamma_of(config.get("agent_algorithm"))
    if gamma is None:
        return
    try:
        posed = view(model)
        cache = PlanCache(Path(from_here(FOLDER)))
        known = cache.known(posed)
        is_kept = known is not None and cache.is_audited(posed, (*GAMMAS, gamma))
        if not is_kept and not audits_quickly(posed):
            same = repeated("experiment", *CLINIC_SECTIONS, overrides=overrides)
            log.info(
                "abx-plan%s tells what gamma %g costs even a perfect learner here", same, gamma
            )
            return
        found = cache.optimum(posed)
        warning = cache.audit(posed, found, gammas=GAMMAS, gamma=gamma).warning
    except NotComputable as error:
        log.info("no discount audit: %s", error)
        return
    if warning is not None:
        log.warning("%s", warning)
