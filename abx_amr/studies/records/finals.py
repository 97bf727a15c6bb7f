"""What is stored of a study's final, beside its trials, on the study: its size, work and result.

A unit of work is one training: a point of the search, or the default, with one seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from abx_amr.host.atomic_files import jsonable
from abx_amr.studies.changes import write_study
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.records.trials import Heartbeat
from abx_amr.studies.records.workers import Worker

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

DEFAULT: Literal["default"] = "default"
#: The number of a trial, or the agent's own values at every searched key.
Point = int | Literal["default"]

SIZE = "abx_final"
RESULT = "abx_final_result"
_OUTCOME = "abx_final_outcome:"
_CLAIM = "abx_final_claim:"
_BEAT = "abx_final_heartbeat:"

_SHARE_OF_SEARCH = 1 / 3
_FEWEST_SEEDS, _MOST_SEEDS = 3, 30
_MOST_POINTS = 10


@dataclass(frozen=True, kw_only=True)
class FinalSize:
    """How many of the best points a final compares with the default, and on how many seeds.

    Attributes:
        top: Points of the search.
        seeds: Fresh seeds of each point, and held-out seeds of the winner and of the default.
    """

    top: int
    seeds: int

    @classmethod
    def of_search(cls, trainings: int) -> FinalSize:
        """Return the size that follows a search: its comparison takes a third of the trainings.

        >>> FinalSize.of_search(50 * 3)  # 5 points with the default, x 10 seeds
        FinalSize(top=4, seeds=10)
        >>> FinalSize.of_search(4 * 2)
        FinalSize(top=1, seeds=3)
        """
        share = trainings * _SHARE_OF_SEARCH
        seeds = min(_MOST_SEEDS, max(_FEWEST_SEEDS, round(math.sqrt(2 * share))))
        points = min(_MOST_POINTS, max(2, round(share / seeds)))
        return cls(top=points - 1, seeds=seeds)

    @property
    def held_out(self) -> int:
        """Trainings on held-out seeds, of the winner and of the default."""
        return 2 * self.seeds

    def as_record(self) -> dict[str, int]:
        """Return what is stored of it."""
        return {"top": self.top, "seeds": self.seeds}


@dataclass(frozen=True)
class FinalUnit:
    """One training of a final."""

    point: Point
    seed: int

    @property
    def name(self) -> str:
        """Its name in the storage, `<point>:<seed>`."""
        return f"{self.point}:{self.seed}"

    @property
    def label(self) -> str:
        """Its name for people."""
        point = DEFAULT if self.point == DEFAULT else f"trial {self.point}"
        return f"{point}, seed {self.seed}"

    @classmethod
    def named(cls, name: str) -> FinalUnit:
        """Return the unit of this name.

        >>> FinalUnit.named("7:9003"), FinalUnit.named("default:9000").point
        (FinalUnit(point=7, seed=9003), 'default')
        """
        point, _, seed = name.rpartition(":")
        return cls(DEFAULT if point == DEFAULT else int(point), int(seed))


@dataclass(frozen=True, kw_only=True)
class FinalClaim:
    """Whose a unit is.

    Attributes:
        id: The unit's name.
        owner: Who trains it; None: it was given back.
        attempts: How many attempts at it have failed.
        heartbeat: The last sign of life of its worker.
    """

    id: str
    owner: Worker | None
    attempts: int = 0
    heartbeat: Heartbeat | None = None


@dataclass(frozen=True)
class FinalAttributes:
    """What is stored of a final among the attributes of its study."""

    user_attrs: Mapping[str, Any] = field(repr=False)

    @property
    def is_decided(self) -> bool:
        """Whether it was said at all if the study has a final; not in release 0.1."""
        return SIZE in self.user_attrs

    @property
    def size(self) -> FinalSize | None:
        """Its size; None: the study has none."""
        record = self.user_attrs.get(SIZE)
        return FinalSize(**record) if record else None

    @property
    def result(self) -> Mapping[str, Any] | None:
        """What came of it, as the study's summary has it."""
        return self.user_attrs.get(RESULT)

    @property
    def outcomes(self) -> dict[FinalUnit, SeedOutcome]:
        """What the units that have ended gave."""
        found = {}
        for key, record in self.user_attrs.items():
            if key.startswith(_OUTCOME):
                unit = FinalUnit.named(key.removeprefix(_OUTCOME))
                found[unit] = SeedOutcome(
                    seed=unit.seed,
                    episode_return=record["episode_return"],
                    failure=record["failure"],
                    seconds=record["seconds"],
                    collapse=record["collapse"],
                    effective_values=record["effective_values"],
                )
        return found

    @property
    def ended(self) -> list[datetime]:
        """When units ended, as far as it was kept, in local time like a trial's."""
        found = (
            record.get("ended")
            for key, record in self.user_attrs.items()
            if key.startswith(_OUTCOME)
        )
        return [datetime.fromisoformat(moment) for moment in found if moment is not None]

    @property
    def claims(self) -> dict[FinalUnit, FinalClaim]:
        """Whose each unit is or was."""
        found = {}
        for key, record in self.user_attrs.items():
            if not key.startswith(_CLAIM):
                continue
            name = key.removeprefix(_CLAIM)
            owner = None if record["owner"] is None else Worker.from_record(record["owner"])
            found[FinalUnit.named(name)] = FinalClaim(
                id=name,
                owner=owner,
                attempts=record["attempts"],
                heartbeat=None if owner is None else self._heartbeat(owner),
            )
        return found

    @property
    def open_claims(self) -> list[FinalClaim]:
        """Who has what has not ended."""
        ended = self.outcomes
        return [claim for unit, claim in self.claims.items() if unit not in ended and claim.owner]

    def _heartbeat(self, owner: Worker) -> Heartbeat | None:
        beat = self.user_attrs.get(f"{_BEAT}{owner.token}")
        if beat is None:
            return None
        return Heartbeat(count=beat[0], moment=datetime.fromisoformat(beat[1]))


def write_final_size(backend: BaseStorage, study_id: int, size: FinalSize | None) -> None:
    """Write how large a study's final is, or that it has none."""
    record = False if size is None else size.as_record()
    backend.set_study_user_attr(study_id, SIZE, record)


def write_final_result(backend: BaseStorage, study_id: int, result: Mapping[str, Any]) -> None:
    """Write what came of a final."""
    backend.set_study_user_attr(study_id, RESULT, dict(result))


def write_final_changes(
    backend: BaseStorage,
    study_id: int,
    *,
    claims: Iterable[FinalClaim] = (),
    outcomes: Mapping[FinalUnit, SeedOutcome] | None = None,
) -> None:
    """Write whose units are and what units gave, the outcomes last."""
    told = {f"{_CLAIM}{claim.id}": _claim_record(claim) for claim in claims}
    gave = {f"{_OUTCOME}{unit.name}": _outcome_record(o) for unit, o in (outcomes or {}).items()}
    write_study(backend, study_id, {**told, **gave})


def _claim_record(claim: FinalClaim) -> dict[str, Any]:
    owner = None if claim.owner is None else claim.owner.as_record()
    return {"owner": owner, "attempts": claim.attempts}


def _outcome_record(outcome: SeedOutcome) -> Any:
    return jsonable(
        {
            "episode_return": outcome.episode_return,
            "failure": outcome.failure_reason,
            "seconds": outcome.seconds,
            "collapse": outcome.collapse,
            "effective_values": outcome.effective_values,
            "ended": datetime.now().isoformat(timespec="seconds"),
        }
    )


def write_final_heartbeat(
    backend: BaseStorage, study_id: int, worker: Worker, beat: Heartbeat
) -> None:
    """Write a sign of life of a worker at a final."""
    stored = [beat.count, beat.moment.isoformat(timespec="seconds")]
    backend.set_study_user_attr(study_id, f"{_BEAT}{worker.token}", stored)
