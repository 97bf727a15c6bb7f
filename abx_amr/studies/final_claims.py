"""Whose training of a final is whose, decided inside the storage's critical section.

Like trials: those of a worker that is gone are tried again, and given up after `max_retry` times.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from abx_amr.host.slurm_job import TimeLimit
from abx_amr.studies.deaths import DeathWatch
from abx_amr.studies.final import FinalStanding, standing
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.opened import OpenedStudy
from abx_amr.studies.records import (
    INTERRUPTED,
    FinalAttributes,
    FinalClaim,
    FinalUnit,
    Worker,
)
from abx_amr.studies.records.finals import write_final_changes, write_final_heartbeat
from abx_amr.studies.stopping import StopError, stop_before_time_limit

if TYPE_CHECKING:
    from abx_amr.studies.records import Heartbeat
    from abx_amr.studies.settings import StudySettings
    from abx_amr.studies.storages import StudyStorage

log = logging.getLogger(__name__)


class FinalClaims:
    """What one worker has claimed of a final, and how it claims, tells and gives back.

    Attributes:
        study: The study in its storage.
        standing: How far the final was when it was last read; None: there is nothing to do.
    """

    def __init__(
        self,
        settings: StudySettings,
        storage: StudyStorage,
        worker: Worker,
        *,
        on_reaped: Callable[[FinalUnit, str], None],
    ) -> None:
        """Claim nothing yet.

        Args:
            settings: The study's.
            storage: Where it lies.
            worker: Who claims.
            on_reaped: Told of each training of a dead worker, and why it is taken for dead.
        """
        self.settings = settings
        self.storage = storage
        self.worker = worker
        self.on_reaped = on_reaped
        self.study = OpenedStudy(storage, settings.study_name)
        self.standing: FinalStanding | None = None
        self._time_limit = TimeLimit()
        self._deaths = DeathWatch(worker, interval=settings.heartbeat_interval)

    def claim(self) -> list[FinalUnit]:
        """Return seeds of one point that are now this worker's; none: there is but to wait.

        A worker takes its share of the seeds that are free, since some agents learn together.

        Raises:
            StopError: the final is complete, or the time limit is near.
        """
        remaining = self._time_limit.remaining_seconds()
        with self.storage.critical_section():
            try:
                return self._claim_inside(remaining)
            except StopError as stop:
                reason = stop  # raised outside, so that what was reaped stays written
        raise reason

    def _claim_inside(self, remaining: float | None) -> list[FinalUnit]:
        attributes = self._attributes()
        trials = self.study.trials()
        self.standing = standing(self.settings, trials, attributes)
        if self.standing is None or self.standing.is_complete:
            raise StopError("budget", "the final is complete")
        claims = attributes.claims
        free, failed = self._reaped(claims)
        stop_before_time_limit(trials, remaining)
        mine = self._share(free)
        known = {**claims, **failed}
        write_final_changes(
            self.study.backend,
            self.study.id,
            claims=[replace(_claim_of(unit, known), owner=self.worker) for unit in mine],
        )
        return mine

    def tell(self, outcomes: Mapping[FinalUnit, SeedOutcome]) -> None:
        """Write what trainings gave, unless others have told it meanwhile: it is the same."""
        with self.storage.critical_section():
            known = self._attributes().outcomes
            new = {unit: outcome for unit, outcome in outcomes.items() if unit not in known}
            write_final_changes(self.study.backend, self.study.id, outcomes=new)
        if self.standing is not None:
            told = {**self.standing.outcomes, **outcomes}
            self.standing = replace(self.standing, outcomes=told)

    def give_back(self, units: Sequence[FinalUnit], reason: str) -> None:
        """Leave trainings that have not ended to others, or give them up."""
        with self.storage.critical_section():
            attributes = self._attributes()
            claims, ended = attributes.claims, attributes.outcomes
            left = [unit for unit in units if unit not in ended]
            self._fail({unit: (_claim_of(unit, claims), reason) for unit in left})

    def beat(self, beat: Heartbeat) -> None:
        """Write a sign of life."""
        write_final_heartbeat(self.study.backend, self.study.id, self.worker, beat)

    def _attributes(self) -> FinalAttributes:
        self.study.check()
        return FinalAttributes(self.study.user_attrs())

    def _reaped(
        self, claims: Mapping[FinalUnit, FinalClaim]
    ) -> tuple[list[FinalUnit], dict[FinalUnit, FinalClaim]]:
        """Return the trainings that are nobody's, after those of dead workers were taken back.

        And the claims of the latter as they are now.
        """
        assert self.standing is not None
        dead: dict[FinalUnit, tuple[FinalClaim, str]] = {}
        free = []
        for unit in self.standing.open:
            claim = claims.get(unit)
            if claim is None or claim.owner is None:
                free.append(unit)
            elif (reason := self._deaths.reason_to_reap(claim)) is not None:
                self.on_reaped(unit, reason)
                dead[unit] = (claim, reason)
        failed = self._fail(dead)
        again = {*free, *(unit for unit, claim in failed.items() if self._is_tried_again(claim))}
        return [unit for unit in self.standing.open if unit in again], failed

    def _share(self, free: Sequence[FinalUnit]) -> list[FinalUnit]:
        assert self.standing is not None
        if not free:
            return []
        first = free[0]
        is_held_out = self.standing.is_held_out(first)
        alike = [
            unit
            for unit in free
            if unit.point == first.point and self.standing.is_held_out(unit) == is_held_out
        ]
        return alike[: math.ceil(len(alike) / self.settings.n_workers)]

    def _fail(
        self, failed: Mapping[FinalUnit, tuple[FinalClaim, str]]
    ) -> dict[FinalUnit, FinalClaim]:
        """Note a failed attempt of each, and give those up that have failed too often.

        Args:
            failed: Training -> its claim, and why it failed.

        Returns:
            The claims as they are now.
        """
        claims, given_up = {}, {}
        for unit, (claim, reason) in failed.items():
            attempts = claim.attempts + (reason != INTERRUPTED)
            claims[unit] = replace(claim, owner=None, attempts=attempts)
            if not self._is_tried_again(claims[unit]):
                log.warning("final: %s failed %d times: %s", unit.label, attempts, reason)
                given_up[unit] = SeedOutcome(seed=unit.seed, episode_return=None, failure=reason)
        write_final_changes(
            self.study.backend, self.study.id, claims=claims.values(), outcomes=given_up
        )
        return claims

    def _is_tried_again(self, claim: FinalClaim) -> bool:
        return claim.attempts <= self.settings.max_retry


def _claim_of(unit: FinalUnit, claims: Mapping[FinalUnit, FinalClaim]) -> FinalClaim:
    return claims.get(unit) or FinalClaim(id=unit.name, owner=None)
