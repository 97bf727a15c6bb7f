"""A study as it is stored, whoever made it: how far it is, who works on it, its best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError, did_you_mean
from abx_amr.host.processes import has_died, live_owner
from abx_amr.studies.study import (
    BUDGET_ATTRIBUTE,
    FINGERPRINT_ATTRIBUTE,
    GRACE_INTERVALS,
    HEARTBEAT_ATTRIBUTE,
    is_finished,
    quiet_optuna,
)

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from abx_amr.studies.storages import StudyStorage

STATES = ("COMPLETE", "PRUNED", "RUNNING", "WAITING", "FAIL")


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """What a storage holds of one study, at one moment."""

    name: str
    label: str  #: of the storage
    direction: str
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    trials: Sequence[FrozenTrial]

    @property
    def budget(self) -> int | None:
        """How many finished trials complete it, None for a study of something else."""
        return self.user_attrs.get(BUDGET_ATTRIBUTE)

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """Digest of the settings, Optuna's version, moment of creation; empty when unknown."""
        return self.user_attrs.get(FINGERPRINT_ATTRIBUTE) or {}

    @property
    def n_finished(self) -> int:
        """How many trials count towards the budget."""
        return sum(map(is_finished, self.trials))

    @property
    def states(self) -> dict[str, int]:
        """How many trials are in which state."""
        return {s: sum(t.state.name == s for t in self.trials) for s in STATES}

    @property
    def best(self) -> FrozenTrial | None:
        """The finished trial with the best finite value, the earliest of equals."""
        sign = -1.0 if self.direction == "maximize" else 1.0
        scored = [
            t for t in self.trials if is_finished(t) and t.values and math.isfinite(t.values[0])
        ]
        return min(scored, key=lambda t: (sign * t.values[0], t.number), default=None)

    @property
    def last_heartbeat(self) -> datetime | None:
        """When a worker was last heard of: a beat, a start or an end of a trial, in UTC."""
        return max((m for t in self.trials if (m := _last_sign(t)) is not None), default=None)

    def live_workers(self) -> list[Mapping[str, Any]]:
        """Return who may be at work: processes that run here, and others that were heard of."""
        now = datetime.now(UTC)
        found = []
        for trial in self.trials:
            owner = trial.user_attrs.get("owner")
            if trial.state.name != "RUNNING" or owner is None or has_died(owner):
                continue
            interval = float(owner.get("interval") or 0.0)
            heard = _last_sign(trial)
            silent = heard is None or now - heard > timedelta(seconds=GRACE_INTERVALS * interval)
            if live_owner(owner) is not None or not silent:
                found.append(owner)
        return found


def read_study(storage: StudyStorage, name: str) -> StoredStudy:
    """Return the study of this name.

    Raises:
        InputError: there is none.
    """
    quiet_optuna()
    storage.check()
    if not storage.exists(name):
        names = storage.names()
        holds = f" (it holds {', '.join(names)})" if names else " (it holds none)"
        raise InputError(
            f"study '{name}' does not exist in {storage.label}{did_you_mean(name, names)}{holds}"
        )
    backend = storage.open()
    return _read(backend, backend.get_study_id_from_name(name), storage.label)


def read_studies(storage: StudyStorage) -> list[StoredStudy]:
    """Return all studies of a storage, oldest first."""
    quiet_optuna()
    storage.check()
    return [read_study(storage, name) for name in storage.names()]


def _read(backend: BaseStorage, study_id: int, label: str) -> StoredStudy:
    return StoredStudy(
        name=backend.get_study_name_from_id(study_id),
        label=label,
        direction=backend.get_study_directions(study_id)[0].name.lower(),
        user_attrs=backend.get_study_user_attrs(study_id),
        system_attrs=backend.get_study_system_attrs(study_id),
        trials=backend.get_all_trials(study_id),
    )


def _last_sign(trial: FrozenTrial) -> datetime | None:
    beat = trial.system_attrs.get(HEARTBEAT_ATTRIBUTE)
    moments = [trial.datetime_start, trial.datetime_complete]
    if isinstance(beat, list) and len(beat) == 2:
        moments.append(datetime.fromisoformat(beat[1]))
    return max((m.astimezone(UTC) for m in moments if m is not None), default=None)
