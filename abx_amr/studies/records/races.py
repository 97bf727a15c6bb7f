"""What is stored of a race over seeds: its rules on the study, each point on its trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

RULES = "abx_race"
RUNG = "rung"

#: What the budget of a search counts.
BudgetUnit = Literal["trial", "training", "episode"]


@dataclass(frozen=True, kw_only=True)
class RaceRules:
    """How the seeds of a study are given out.

    Attributes:
        trainings: The budget: trainings of one seed each, of all points together.
        first_seeds: What every point begins with; each further rung doubles its seeds.
        reduction: One of so many points of a rung comes to the next.
        level: A point is out once it is better than the leader in fewer resamples than this share.
        episodes: How long points begin to be trained, and how long the better ones are, the latter
            a multiple of the former; None: all trainings are equally long.
    """

    trainings: int
    first_seeds: int = 2
    reduction: int = 3
    level: float = 0.1
    episodes: tuple[int, int] | None = None

    @property
    def short(self) -> int:
        """What the budget counts for a training with which points begin."""
        return 1 if self.episodes is None else self.episodes[0]

    @property
    def whole(self) -> int:
        """What the budget counts for a training to its end."""
        return 1 if self.episodes is None else self.episodes[1]

    @property
    def unit(self) -> Literal["training", "episode"]:
        """What the budget counts: a part of a training counts its episodes."""
        return "training" if self.episodes is None else "episode"

    @property
    def budget(self) -> int:
        """How much there is to be spent, in that unit."""
        return self.trainings * self.whole

    @property
    def expected_points(self) -> int:
        """How many points are drawn, roughly: each rung costs a share 1 / reduction of the last.

        >>> RaceRules(trainings=150).expected_points
        50
        """
        share = 1 + 1 / (self.reduction - 1)
        return max(1, int(self.trainings / (self.first_seeds * share)))

    def as_record(self) -> dict[str, Any]:
        """Return what is stored of it."""
        record = asdict(self)
        if self.episodes is None:
            del record["episodes"]
        else:
            record["episodes"] = list(self.episodes)
        return record


@dataclass(frozen=True, kw_only=True)
class Rung:
    """How many seeds a point is to have, and whether a worker is at those it lacks.

    Attributes:
        seeds: Trainings that are reserved for it, those that have ended included.
        is_claimed: Whether its owner trains what it lacks; else anybody may.
        attempts: How many attempts at what it lacks have failed, or died with their worker.
        errors: How many of these failed.
        episodes: How long each is to be trained; None where all trainings are equally long.
        is_chosen: Whether it goes on to the end of its trainings since it was among the best that
            were begun, and not as every point does at first.
    """

    seeds: int
    is_claimed: bool
    attempts: int = 0
    errors: int = 0
    episodes: int | None = None
    is_chosen: bool = False

    @property
    def amount(self) -> int:
        """What the budget counts for all of it."""
        return self.seeds * (self.episodes or 1)

    def claimed(self) -> Rung:
        """Return it as a worker's."""
        return replace(self, is_claimed=True)

    def given_back(self, *, has_failed: bool, is_death: bool) -> Rung:
        """Return it as nobody's, after an attempt that failed or was interrupted."""
        return replace(
            self,
            is_claimed=False,
            attempts=self.attempts + has_failed,
            errors=self.errors + (has_failed and not is_death),
        )

    def as_record(self) -> dict[str, Any]:
        """Return what is stored of it."""
        record = asdict(self)
        if self.episodes is None:
            del record["episodes"], record["is_chosen"]
        return record


def rules_in(user_attrs: Mapping[str, Any]) -> RaceRules | None:
    """Return the rules among a study's attributes, None for a study without a race."""
    record = user_attrs.get(RULES)
    if not record:
        return None
    episodes = record.get("episodes")
    return RaceRules(**{**record, "episodes": None if episodes is None else tuple(episodes)})


def rung_in(user_attrs: Mapping[str, Any]) -> Rung | None:
    """Return the rung among a trial's attributes, None for a trial that is in no race."""
    record = user_attrs.get(RUNG)
    return Rung(**record) if record else None


def write_rules(backend: BaseStorage, study_id: int, rules: RaceRules) -> None:
    """Write how the seeds of a study are given out."""
    backend.set_study_user_attr(study_id, RULES, rules.as_record())


def write_rung(backend: BaseStorage, trial_id: int, rung: Rung) -> None:
    """Write how far a point is to come, and whether a worker is at it."""
    backend.set_trial_user_attr(trial_id, RUNG, rung.as_record())
