"""A set of runs on the command line (-m): what is said of it, and a member's failure noted."""

from __future__ import annotations

import contextlib
import logging
import shlex
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from abx_amr.cli.door import explain_os
from abx_amr.cli.written_report import print_set_report
from abx_amr.errors import InputError, counted
from abx_amr.host.exit_codes import FAILURE
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.set_failures import write_failure

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.runs.experiment_set import Combination, Compose

log = logging.getLogger(__name__)


class PrintedSet:
    """The runs of a set, and what is printed of them."""

    def __init__(self) -> None:
        from abx_amr.runs.experiment_set import ExperimentSet

        self._set = ExperimentSet()

    def prepare(self, jobs: Sequence[Combination], compose: Compose) -> list[list[str]]:
        """Name the runs and say how many; return the overrides of those to be launched.

        Raises:
            InputError: they cannot be named or composed.
        """
        launched = self._set.prepare(jobs, compose)
        for agent, times in self._set.played_once.items():
            print(f"{agent} does not learn: it is played once, not {times} times with other seeds")
        skipped = len(self._set.skipped)
        known = f", {skipped} are complete already and skipped" if skipped else ""
        print(f"{counted(self._set.n_runs, 'run')}{known}", flush=True)
        return launched

    def is_ended(self, overrides: Sequence[str]) -> bool:
        """Return whether the run with these overrides has left a result or a failure."""
        return self._set.is_ended(overrides)

    def finish(self) -> None:
        """Say what came of the set.

        Raises:
            InputError: every run was refused for the same reason.
            SystemExit: with status 1, where a run failed.
        """
        outcome = self._set.outcome()
        n_complete = outcome.n_runs - len(outcome.failed)
        where = ", ".join(outcome.results_dirs)
        print(f"{n_complete} of {outcome.n_runs} runs are complete, in {where}")
        for place, reason in outcome.failed.items():
            print(f"failed: {Path(place).name}: {reason}")
        if outcome.failed:
            print("skip_if_exists=true with the same command runs only what is missing")
        for folder in outcome.results_dirs:
            runs = [run for run in outcome.complete if run.parent == Path(folder)]
            print_set_report(runs, name=_set_name(runs), config=self._set.config)
        print(gather_line(outcome.results_dirs))
        if outcome.failed:
            raise SystemExit(FAILURE)


def _set_name(runs: Sequence[Path]) -> str:
    """Return what a set's page is called: what the names of its runs begin with.

    >>> _set_name([Path("r/ppo_seed1_20261128_190000"), Path("r/ppo_seed2_20261128_190001")])
    'ppo_seed'
    """
    names = [RunFolder(path).run_name for path in runs]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in alike).rstrip("_-.=") or "set"


def is_member() -> bool:
    """Return whether the running job belongs to a set."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    config = HydraConfig.get()
    target = str(config.sweeper.get("_target_", ""))
    return config.mode == RunMode.MULTIRUN and target.endswith(".SetSweeper")


def run_member(task: Callable[[DictConfig], float], config: DictConfig) -> float:
    """Run one job of a set; why it fails is noted where the waiting command looks for it."""
    try:
        return task(config)
    except Exception as error:
        known = str(error) if isinstance(error, InputError) else None
        if isinstance(error, OSError):
            known = explain_os(error)
        line = known or f"{type(error).__name__}: {error}"
        reason = (line.strip().splitlines() or [""])[0]
        with contextlib.suppress(OSError):  # a full disk takes no note either
            write_failure(config.results_dir, config.run_name, reason)
        log.error(
            "%s failed: %s",
            config.run_name,
            reason,
            exc_info=None if known else error,
        )
        raise


def gather_line(results_dirs: Sequence[str | Path]) -> str:
    """Return the line that names abx-gather.

    >>> gather_line(["elsewhere"])
    'one table of all runs:  abx-gather results_dir=elsewhere'
    """
    lines = [
        "abx-gather" if str(f) == "results" else shlex.join(["abx-gather", f"results_dir={f}"])
        for f in results_dirs
    ]
    return "one table of all runs:  " + "; ".join(lines)
