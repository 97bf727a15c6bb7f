"""What a worker tells while it works, and when it stops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from abx_amr.studies.records import BudgetUnit
from abx_amr.studies.search_space import ParameterValue
from abx_amr.studies.stopping import StopReason

EventKind = Literal[
    "trial_started",
    "trial_finished",
    "trial_failed",
    "trial_reaped",
    "final_trained",
    "final_failed",
    "waiting",
    "stopped",
]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a progress display may want to show.

    `finished` and `budget` count trials, in a race trainings or their episodes, in a final
    trainings. `n_seeds` says of a point in a race by how many seeds it has its value, `episodes`
    how long they were trained where that is not to their end.
    """

    kind: EventKind
    finished: int
    budget: int
    number: int | None = None
    params: Mapping[str, ParameterValue] = field(default_factory=dict)
    value: float | None = None
    failed_seeds: Mapping[int, str] = field(default_factory=dict)
    unit: BudgetUnit = "trial"
    n_seeds: int | None = None
    episodes: int | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """Why a worker stopped and what it had done by then."""

    reason: StopReason
    trials_run: int
    message: str
    signal_number: int | None = None  #: of an interrupted worker

    @property
    def was_interrupted(self) -> bool:
        """Whether the user or the cluster asked the worker to stop."""
        return self.reason == "interrupted"
