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
from abx_amr.studies.claiming import StudyGoneError
from abx_amr.studies.deaths import DeathWatch
from abx_amr.studies.final import FinalStanding, standing
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.records import INTERRUPTED, FinalAttributes, FinalClaim, FinalUnit, Worker
from abx_amr.studies.records.finals import (
    write_final_claims,
    write_final_heartbeat,
    write_final_outcome,
)
from abx_amr.studies.stopping import StopError, stop_before_time_limit
from abx_amr.studies.stored import open_study, read_trials

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from abx_amr.studies.records import Heartbeat
    from abx_amr.studies.settings import StudySettings
    from abx_amr.studies.storages import StudyStorage

log = logging.getLogger(__name__)


class FinalClaims:
    """What one worker has claimed of a final, and how it claims, tells and gives back.

    Attributes:
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
        self.study_id = -1  # of no study
        self.standing: FinalStanding | None = None
        self._time_limit = TimeLimit()
        self._deaths = DeathWatch(worker, interval=settings.heartbeat_interval)

    def open(self) -> None:
        """Find the study."""
        _, self.study_id = open_study(self.storage, self.settings.study_name)

    @property
    def backend(self) -> BaseStorage:
        """Optuna's storage; a storage opens a new one after an error."""
        return self.storage.open()

    def check_study(self) -> None:
        """Raise a StudyGoneError where the study was deleted."""
        name = self.settings.study_name
        try:
            is_there = self.backend.get_study_id_from_name(name) == self.study_id
        except KeyError:
            is_there = False
        if not is_there:
            raise StudyGoneError(f"study {name!r} was deleted from {self.storage.label} meanwhile")

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
        trials = read_trials(self.backend, self.study_id)
        self.standing = standing(self.settings, trials, attributes)
        if self.standing is None or self.standing.is_complete:
            raise StopError("budget", "the final is complete")
        free = self._reaped(attributes.claims)
        stop_before_time_limit(trials, remaining)
        mine = self._share(free)
        claims = [replace(self._claim_of(u, attributes), owner=self.worker) for u in mine]
        write_final_claims(self.backend, self.study_id, claims)
        return mine

    def tell(self, outcomes: Mapping[FinalUnit, SeedOutcome]) -> None:
        """Write what trainings gave, unless others have told it meanwhile: it is the same."""
        with self.storage.critical_section():
            known = self._attributes().outcomes
            for unit, outcome in outcomes.items():
                if unit not in known:
                    write_final_outcome(self.backend, self.study_id, unit, outcome)
        if self.standing is not None:
            told = {**self.standing.outcomes, **outcomes}
            self.standing = replace(self.standing, outcomes=told)

    def give_back(self, units: Sequence[FinalUnit], reason: str) -> None:
        """Leave trainings that have not ended to others, or give them up."""
        with self.storage.critical_section():
            attributes = self._attributes()
            for unit in units:
                if unit not in attributes.outcomes:
                    self._fail(self._claim_of(unit, attributes), unit, reason)

    def beat(self, beat: Heartbeat) -> None:
        """Write a sign of life."""
        write_final_heartbeat(self.backend, self.study_id, self.worker, beat)

    def _attributes(self) -> FinalAttributes:
        self.check_study()
        return FinalAttributes(self.backend.get_study_user_attrs(self.study_id))

    def _reaped(self, claims: Mapping[FinalUnit, FinalClaim]) -> list[FinalUnit]:
        """Return the trainings that are nobody's, after those of dead workers were taken back."""
        assert self.standing is not None
        free = []
        for unit in self.standing.open:
            claim = claims.get(unit)
            if claim is None or claim.owner is None:
                free.append(unit)
                continue
            reason = self._deaths.reason_to_reap(claim)
            if reason is not None:
                self.on_reaped(unit, reason)
                if self._fail(claim, unit, reason):
                    free.append(unit)
        return free

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

    def _claim_of(self, unit: FinalUnit, attributes: FinalAttributes) -> FinalClaim:
        return attributes.claims.get(unit) or FinalClaim(id=unit.name, owner=None)

    def _fail(self, claim: FinalClaim, unit: FinalUnit, reason: str) -> bool:
        """Note a failed attempt; say whether there is to be another."""
        attempts = claim.attempts + (reason != INTERRUPTED)
        failed = replace(claim, owner=None, attempts=attempts)
        write_final_claims(self.backend, self.study_id, [failed])
        if attempts <= self.settings.max_retry:
            return True
        log.warning("final: %s failed %d times: %s", unit.label, attempts, reason)
        outcome = SeedOutcome(seed=unit.seed, episode_return=None, failure=reason)
        write_final_outcome(self.backend, self.study_id, unit, outcome)
        return False
