"""Who works on a study: what a worker writes on each of its trials."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abx_amr.host.processes import ProcessIdentity
from abx_amr.host.slurm_job import slurm_job

GRACE_INTERVALS = 3  #: heartbeats that may be missing before a worker is taken for dead


@dataclass(frozen=True, kw_only=True)
class Worker:
    """Who runs a trial: a process, and what it says of itself. What is not known is None."""

    process: ProcessIdentity
    interval: float | None = None  #: seconds between its heartbeats
    index: int | None = None  #: its number among the workers of one command
    slurm_job: str | None = None
    token: str | None = None  #: its own, unlike the process's after a fork or a restart

    @classmethod
    def here(cls, *, interval: float, index: int | None) -> Worker:
        """Return a worker in this process."""
        return cls(
            process=ProcessIdentity.of_this_process(),
            interval=interval,
            index=index,
            slurm_job=slurm_job(),
            token=uuid.uuid4().hex[:12],
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Worker:
        """Return the worker that `as_record` has written."""
        interval = record.get("interval")
        return cls(
            process=ProcessIdentity.from_record(record),
            interval=None if interval is None else float(interval),
            index=record.get("worker"),
            slurm_job=record.get("slurm_job"),
            token=record.get("token"),
        )

    def as_record(self) -> dict[str, Any]:
        """Return what is stored of it."""
        return {
            **self.process.as_record(),
            "interval": self.interval,
            "worker": self.index,
            "slurm_job": self.slurm_job,
            "token": self.token,
        }

    @property
    def place(self) -> str:
        """Where it runs, for people."""
        return f"process {self.process.pid} on {self.process.host}"

    @property
    def title(self) -> str:
        """Its number, machine, process and job, for people."""
        name = f"worker {self.index}" if self.index is not None else "worker"
        job = f", SLURM {self.slurm_job}" if self.slurm_job else ""
        return f"{name} on {self.process.host} ({self.process.pid}{job})"
