"""What is stored on a study beside Optuna's own, and the study as a whole at one moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from abx_amr.errors import InputError
from abx_amr.host.processes import ProcessIdentity
from abx_amr.studies.records.finals import FinalAttributes
from abx_amr.studies.records.races import BudgetUnit, RaceRules, rules_in
from abx_amr.studies.records.trials import STATES, TrialRecord, best_trial, count_done
from abx_amr.studies.records.workers import GRACE_INTERVALS, Worker
from abx_amr.studies.search_space import SearchSpace
from abx_amr.studies.space import parse_search_space

ORIGIN = "abx_fingerprint"
DRAWN_WITH = "abx_drawn_with"
IMPORTANCE = "abx_importance"
FAILURES_FROM = "abx_failures_counted_from"
BUDGET = "abx_budget"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a study was made with."""

    values: Mapping[str, Any]  #: the settings that make trials comparable, path -> value
    digest: str  #: of these
    optuna: str  #: version
    created: str | None = None  #: ISO 8601, None where the study was there before
    first_points: Sequence[Mapping[str, Any]] = ()  #: that it tries first

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Origin:
        """Return the origin that `as_record` has written."""
        return cls(
            values=record["values"],
            digest=record["digest"],
            optuna=record["optuna"],
            created=record.get("created"),
            first_points=record.get("first_points", ()),
        )

    @property
    def space(self) -> SearchSpace | None:
        """What is searched: configuration path -> what may be drawn; None where that is not known.

        A study of another version may know kinds of ranges that this one does not.
        """
        start = "tuning.search_space."
        try:
            return parse_search_space(
                {
                    path.removeprefix(start): fields
                    for path, fields in self.values.items()
                    if path.startswith(start)
                }
            )
        except InputError:
            return None

    def as_record(self) -> dict[str, Any]:
        """Return what is stored of it."""
        created = {} if self.created is None else {"created": self.created}
        first = {"first_points": list(self.first_points)} if self.first_points else {}
        return {
            "digest": self.digest,
            "values": dict(self.values),
            "optuna": self.optuna,
            **created,
            **first,
        }


@dataclass(frozen=True)
class StudyAttributes:
    """What is stored on a study itself."""

    user_attrs: Mapping[str, Any] = field(repr=False)

    @property
    def origin(self) -> Origin | None:
        """What it was made with, None for a study of something else."""
        record = self.user_attrs.get(ORIGIN)
        return None if record is None else Origin.from_record(record)

    @property
    def race(self) -> RaceRules | None:
        """How its seeds are given out; None: every trial has the same number."""
        return rules_in(self.user_attrs)

    @property
    def unit(self) -> BudgetUnit:
        """What its budget counts."""
        return "trial" if self.race is None else self.race.unit

    @property
    def budget(self) -> int | None:
        """How many finished trials complete it, None for a study of something else.

        Of a race: how many trainings, or episodes (see `unit`).
        """
        return self.user_attrs.get(BUDGET)

    @property
    def failures_counted_from(self) -> int:
        """The number of the trial from which failures in a row are counted."""
        return int(self.user_attrs.get(FAILURES_FROM, 0))

    @property
    def drawn_with(self) -> int | None:
        """How many trials were finished when its figures were last drawn."""
        return self.user_attrs.get(DRAWN_WITH)

    def importance(self, n_trials: int) -> list[dict[str, Any]] | None:
        """Which searched values mattered after so many finished trials; None: not told yet."""
        stored = self.user_attrs.get(IMPORTANCE, {})
        return stored.get("importance") if stored.get("n_trials") == n_trials else None


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """What a storage holds of one study, at one moment."""

    name: str
    label: str  #: of the storage
    direction: str
    user_attrs: Mapping[str, Any] = field(repr=False)
    system_attrs: Mapping[str, Any] = field(repr=False)
    trials: Sequence[TrialRecord] = field(repr=False)

    @property
    def attributes(self) -> StudyAttributes:
        """What is stored on the study itself."""
        return StudyAttributes(self.user_attrs)

    @property
    def final(self) -> FinalAttributes:
        """What is stored of its final."""
        return FinalAttributes(self.user_attrs)

    @property
    def n_finished(self) -> int:
        """How many trials count towards the budget; of a race, how many trainings or episodes."""
        return count_done(self.trials, is_race=self.attributes.race is not None)

    @property
    def n_failed(self) -> int:
        """How many attempts failed; one that was interrupted did not."""
        return sum(trial.state == "FAIL" and not trial.was_interrupted for trial in self.trials)

    @property
    def states(self) -> dict[str, int]:
        """How many trials are in which state."""
        return {state: sum(t.state == state for t in self.trials) for state in STATES}

    @property
    def best(self) -> TrialRecord | None:
        """The finished trial with the best finite value, the earliest of equals."""
        return best_trial(self.trials, direction=self.direction)

    @property
    def last_heartbeat(self) -> datetime | None:
        """When a worker was last heard of: a beat, a start or an end of a trial, in UTC."""
        signs = (trial.last_sign for trial in self.trials)
        return max((sign for sign in signs if sign is not None), default=None)

    def live_workers(self) -> list[Worker]:
        """Return who may be at work: processes that run here, and others that were heard of."""
        trials = [(trial.owner, trial.last_sign) for trial in self.trials if trial.is_at_work]
        at_final = [
            (claim.owner, None if claim.heartbeat is None else claim.heartbeat.moment)
            for claim in self.final.open_claims
        ]
        found: dict[ProcessIdentity, Worker] = {}
        for owner, heard in [*trials, *at_final]:
            if owner is not None and _may_be_at_work(owner, heard):
                found.setdefault(owner.process, owner)
        return [*found.values()]


def _may_be_at_work(worker: Worker, heard: datetime | None) -> bool:
    """Say whether a worker runs here, or was heard of within its grace and may run elsewhere."""
    if worker.process.has_died:
        return False
    grace = timedelta(seconds=GRACE_INTERVALS * (worker.interval or 0.0))
    is_silent = heard is None or datetime.now(UTC) - heard > grace
    return worker.process.is_alive or not is_silent
