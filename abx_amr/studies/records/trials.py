"""What is stored on a trial beside Optuna's own: the names of its attributes, and their types."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from abx_amr.studies.parameters import path_of, point_of
from abx_amr.studies.points import why_not_searched
from abx_amr.studies.records.races import Rung, rung_in
from abx_amr.studies.records.workers import Worker

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from abx_amr.studies.search_space import ParameterValue, SearchSpace

STATES = ("COMPLETE", "PRUNED", "RUNNING", "WAITING", "FAIL")
INTERRUPTED = "interrupted"  #: the failure of a trial that was given back by its worker

OWNER = "owner"
LINEAGE = "lineage"
RETRIES = "retries"
RETRY_OF = "retry_of"
TRY_AGAIN = "try_again"
FAILURE = "failure"
WORKER_IS_GONE = "worker_is_gone"
HEARTBEAT = "abx:heartbeat"  # among the system's
MEAN_REWARD = "mean_reward"
STD_REWARD = "std_reward"
STABILITY_PENALTY = "stability_penalty"
SEEDS = "seeds"
FAILED_SEEDS = "failed_seeds"
COLLAPSED_SEEDS = "collapsed_seeds"
EFFECTIVE_VALUES = "effective_values"
WALL_TIME = "wall_time_seconds"


@dataclass(frozen=True, kw_only=True)
class SeedRecord:
    """What is stored of one seed of a trial.

    `episodes` is how long it was trained, None where all trainings of its study are equally long;
    `shorter` what it gave before, when it had been trained for fewer: episodes, episode_return.
    """

    seed: int
    episode_return: float | None
    failure: str | None
    seconds: float | None
    episodes: int | None = None
    shorter: Mapping[str, Any] | None = None

    def as_record(self) -> dict[str, Any]:
        """Return what is told of it, without what does not count for its study."""
        record = asdict(self)
        return {
            key: value
            for key, value in record.items()
            if value is not None or key not in ("episodes", "shorter")
        }


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """A sign of life: a count for programs, a moment for people."""

    count: int
    moment: datetime


@dataclass(frozen=True)
class TrialRecord:
    """A trial as it is stored at one moment; what is asked for is read once.

    Args:
        frozen: The trial.
        space: What its study searches, None where that is not known.
    """

    frozen: FrozenTrial = field(repr=False)
    space: SearchSpace | None = field(default=None, repr=False)

    @property
    def id(self) -> int:
        """The storage's own number of it."""
        return self.frozen._trial_id

    @property
    def number(self) -> int:
        """Its number in the study, from 0."""
        return self.frozen.number

    @cached_property
    def state(self) -> str:
        """One of STATES."""
        return self.frozen.state.name

    @cached_property
    def is_finished(self) -> bool:
        """Whether it counts towards the budget: complete or pruned, a point of what is searched."""
        return self.state in ("COMPLETE", "PRUNED") and self.why_not_counted is None

    @property
    def is_at_work(self) -> bool:
        """Whether a worker is at it; in a race a point is nobody's between two of its claims."""
        if self.state != "RUNNING":
            return False
        return self.rung is None or (self.rung.is_claimed and self.lacks_seeds)

    @property
    def lacks_seeds(self) -> bool:
        """Whether, in a race, it is to have seeds, or more of them, that have not ended."""
        return self.rung is not None and self.amount < self.rung.amount

    @property
    def length(self) -> int:
        """What the budget of a race counts for each of its trainings that have ended.

        Their episodes where there are shorter ones, else 1.
        """
        return _length_of(self.seeds)

    @cached_property
    def amount(self) -> int:
        """What the budget of a race counts for all of its trainings that have ended."""
        seeds = self.seeds
        return len(seeds) * _length_of(seeds)

    @cached_property
    def why_not_counted(self) -> str | None:
        """Why it is no point of what is searched: another program has added it. None where it is.

        One that a worker of the study has run is a point wherever it has the keys.
        """
        if self.space is None or self.state not in ("COMPLETE", "PRUNED"):
            return None
        drawn = self.frozen.params
        if OWNER in self.frozen.user_attrs and self.space.is_point(drawn):
            return None
        missing = self.space.missing(drawn)
        reason = why_not_searched(drawn, self.space)
        if reason is None and not missing:
            return None
        what = f"without a value of {path_of(missing[0])}" if reason is None else f"with {reason}"
        return f"it was added by another program {what}"

    @cached_property
    def value(self) -> float | None:
        """What it is worth, infinite where too few of its seeds succeeded; None before the end.

        In a race: by the seeds that it has so far.
        """
        values: Sequence[float] | None = self.frozen.values
        if values:
            return values[0]
        by_seeds: Mapping[int, float] = self.frozen.intermediate_values
        if self.rung is None:
            return None
        return by_seeds[max(by_seeds)] if by_seeds else None

    @property
    def params(self) -> Mapping[str, ParameterValue]:
        """Configuration path -> value."""
        return point_of(self.frozen.params)

    @property
    def started(self) -> datetime | None:
        """When it was claimed, as Optuna keeps it: local time without a zone."""
        return self.frozen.datetime_start

    @property
    def ended(self) -> datetime | None:
        """When it was told or failed, like `started`."""
        return self.frozen.datetime_complete

    @property
    def owner(self) -> Worker | None:
        """Who runs it or ran it."""
        record = self.frozen.user_attrs.get(OWNER)
        return None if record is None else Worker.from_record(record)

    @cached_property
    def lineage(self) -> int | None:
        """The number of its point, which all attempts at the point share."""
        return self._whole(LINEAGE)

    @property
    def retries(self) -> int:
        """How many attempts at its point have failed before it; interrupts do not count."""
        return self._whole(RETRIES) or 0

    @property
    def retry_of(self) -> int | None:
        """The number of the trial that it repeats."""
        return self._whole(RETRY_OF)

    @property
    def try_again(self) -> int | None:
        """Failed attempts at its point by now, where the point is to be queued again."""
        return self._whole(TRY_AGAIN)

    @property
    def failure(self) -> str | None:
        """Why it failed."""
        return self.frozen.user_attrs.get(FAILURE)

    @property
    def was_interrupted(self) -> bool:
        """Whether its worker gave it back because it was interrupted: no failure of the trial."""
        return self.state == "FAIL" and self.failure == INTERRUPTED

    @property
    def worker_is_gone(self) -> bool:
        """Whether it failed with its worker and is tried again."""
        return bool(self.frozen.user_attrs.get(WORKER_IS_GONE))

    @cached_property
    def rung(self) -> Rung | None:
        """How far it is to come in a race over seeds; None where there is none."""
        return rung_in(self.frozen.user_attrs)

    @property
    def mean_reward(self) -> float | None:
        """The mean return over its seeds."""
        return self.frozen.user_attrs.get(MEAN_REWARD)

    @property
    def std_reward(self) -> float | None:
        """The standard deviation of the return over its seeds."""
        return self.frozen.user_attrs.get(STD_REWARD)

    @property
    def stability_penalty(self) -> float | None:
        """What the spread over seeds has cost its value."""
        return self.frozen.user_attrs.get(STABILITY_PENALTY)

    @cached_property
    def seeds(self) -> list[SeedRecord]:
        """What each of its seeds gave; empty before the end."""
        return [
            SeedRecord(
                seed=stored["seed"],
                episode_return=stored.get("episode_return"),
                failure=stored.get("failure"),
                seconds=stored.get("seconds"),
                episodes=stored.get("episodes"),
                shorter=stored.get("shorter"),
            )
            for stored in self.frozen.user_attrs.get(SEEDS) or ()
        ]

    @property
    def failed_seeds(self) -> Mapping[str, str]:
        """Seed (as text) -> why it failed."""
        return self.frozen.user_attrs.get(FAILED_SEEDS) or {}

    @property
    def collapsed_seeds(self) -> Mapping[str, str] | None:
        """Seed (as text) -> to what kind its policy has collapsed; None before it was recorded."""
        return self.frozen.user_attrs.get(COLLAPSED_SEEDS)

    @property
    def effective_values(self) -> Mapping[str, Any]:
        """Configuration path -> what the built agent was found to use."""
        return self.frozen.user_attrs.get(EFFECTIVE_VALUES) or {}

    @property
    def wall_time_seconds(self) -> float | None:
        """How long it took."""
        return self.frozen.user_attrs.get(WALL_TIME)

    @property
    def heartbeat(self) -> Heartbeat | None:
        """The last sign of life of its worker."""
        beat = self.frozen.system_attrs.get(HEARTBEAT)
        if not isinstance(beat, list) or len(beat) != 2:
            return None
        return Heartbeat(count=beat[0], moment=datetime.fromisoformat(beat[1]))

    @property
    def last_sign(self) -> datetime | None:
        """When it was last heard of, in UTC: a beat, its start or its end."""
        beat = self.heartbeat
        moments = [self.started, self.ended, None if beat is None else beat.moment]
        return max((m.astimezone(UTC) for m in moments if m is not None), default=None)

    def _whole(self, name: str) -> int | None:
        value = self.frozen.user_attrs.get(name)
        return None if value is None else int(value)


def _length_of(seeds: Sequence[SeedRecord]) -> int:
    return max((seed.episodes or 1 for seed in seeds), default=1)


def best_trial(trials: Iterable[TrialRecord], *, direction: str) -> TrialRecord | None:
    """Return the finished trial with the best finite value, the earliest of equals.

    In a race: of the points that are still in it and have at least half of the most seeds, since a
    value of fewer is the best by luck too often.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    scored = [
        (sign * trial.value, trial.number, trial)
        for trial in comparable_trials(trials)
        if trial.value is not None and math.isfinite(trial.value)
    ]
    return min(scored, key=lambda entry: entry[:2])[2] if scored else None


def comparable_trials(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials whose values may be compared; in a race, of the longest trainings."""
    found = [*trials]
    racing = [trial for trial in found if trial.rung is not None and trial.state != "PRUNED"]
    if not racing:
        return [trial for trial in found if trial.is_finished]
    longest = max(trial.length for trial in racing)
    racing = [trial for trial in racing if trial.length == longest]
    most = max(len(trial.seeds) for trial in racing)
    return [trial for trial in racing if 2 * len(trial.seeds) >= max(most, 1)]


def count_lineages(trials: Iterable[TrialRecord]) -> int:
    """Return the number of points drawn so far; a retry is the same point."""
    return len({t.lineage for t in trials if t.lineage is not None})


def count_done(trials: Iterable[TrialRecord], *, is_race: bool) -> int:
    """Return how much of the budget is spent: finished trials, or trainings of a race's points."""
    if is_race:
        return sum(trial.amount for trial in trials if trial.rung is not None)
    return sum(trial.is_finished for trial in trials)
