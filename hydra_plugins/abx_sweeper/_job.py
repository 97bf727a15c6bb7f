"""One job of a sweep, to be run by another process: a composition and the function called with it.

A job composes its configuration itself, where and when it runs.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process needs to be one of the sweep's jobs."""

    index: int
    overrides: Sequence[str]
    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig
    singletons: Any = field(default_factory=Singleton.get_state, repr=False)
    command_line: Sequence[str] = field(default_factory=lambda: list(sys.argv))

    def __call__(self) -> Any:
        """Compose the configuration, call the task function and return what it returned."""
        Singleton.set_state(self.singletons)
        setup_globals()
        sys.argv = list(self.command_line)
        composed = self.hydra_context.config_loader.load_sweep_config(
            self.config, list(self.overrides)
        )
        with open_dict(composed):
            composed.hydra.job.id = f"job_{self.index}"
            composed.hydra.job.num = self.index
        result = run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=composed,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        return result.return_value  # raises what the task function raised

    def packed(self) -> bytes:
        """Return the job as bytes, from which `unpacked` makes it again."""
        import cloudpickle  # type: ignore[import-untyped]

        whole: bytes = cloudpickle.dumps(self)
        return whole


def unpacked(payload: bytes) -> Job:
    """Return the job that was packed."""
    job: Job = pickle.loads(payload)
    return job
