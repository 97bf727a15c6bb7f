"""The life of a study of agents: prepared, searched, finished.

The sweeper, its workers and a notebook all come through here; who listens is told what happens.
"""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError
from abx_amr.host import exit_codes
from abx_amr.studies.preparation import Preparation
from abx_amr.tuning.final import launch_final, work_on_final
from abx_amr.tuning.finishing import finish, write_summary
from abx_amr.tuning.study import TuningStudy, settled, what_is_shared

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.studies.events import WorkerReport
    from abx_amr.studies.objective import SeedOutcome
    from abx_amr.studies.worker import ClaimedTrial
    from abx_amr.tuning.contract import Launch
    from abx_amr.tuning.listening import OnProgress, StudyListener
    from abx_amr.tuning.result import TuneResult

log = logging.getLogger(__name__)

#: What a worker says that leaves work of the study behind.
TO_GO_ON = ": run the same command again to go on"


class SearchStoppedError(Exception):
    """A worker was told to stop, or its time limit is near, while the study has trials to do.

    Args:
        report: The worker's.
    """

    def __init__(self, report: WorkerReport) -> None:
        super().__init__(report.message)
        asked = signal.SIGINT if report.was_interrupted else None
        self.signal_number = report.signal_number or asked

    @property
    def status(self) -> int:
        """The exit status of the worker."""
        if self.signal_number is None:
            return exit_codes.TEMPORARY
        return exit_codes.of_signal(self.signal_number)

    def __str__(self) -> str:
        message = super().__str__()
        if self.signal_number is None:
            return f"{message}{TO_GO_ON}"
        return message


class TuneService:
    """Prepares, searches and finishes the study of a composed configuration.

    Args:
        listener: Who is told what happens.
    """

    __name__ = "tune"  # Hydra asks a task function for it

    def __init__(self, listener: StudyListener) -> None:
        self.listener = listener
        self._last: TuningStudy | None = None
        self._shared: dict[str, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker elsewhere begins with: it composes a study of its own."""
        return {"listener": self.listener, "_last": None, "_shared": None}

    def prepare(self, config: DictConfig, *, is_here: bool) -> Preparation:
        """Check everything, then create or join the study; nothing is created after a mistake.

        Args:
            config: The study's.
            is_here: Whether its workers are sure to run on this machine.

        Raises:
            InputError: what the user asked for cannot be searched.
        """
        study = self._study(config)
        found = _prepare(study, is_here=is_here)
        self.listener.prepared(study.settings, found)
        return found

    def report(self, line: str) -> None:
        """Say what a launcher has started."""
        self.listener.launched(line)

    @contextmanager
    def watching(self, config: DictConfig) -> Iterator[Callable[[], bool]]:
        """Show the study while the block runs; give a function that says whether it is complete."""
        study = self._study(config)
        # A worker in this process shows the study itself, beside its own trial.
        is_elsewhere = study.settings.n_workers > 1 or study.settings.has_jobs
        with self.listener.watching(study.look) if is_elsewhere else nullcontext():
            yield lambda: study.overview().is_complete

    def submitted(self, config: DictConfig, lines: Sequence[str]) -> None:
        """Say of workers that are left alone how to watch them and how long they may take."""
        study = self._study(config)
        self.listener.submitted(lines, study.overview().prediction(study.settings.n_workers))

    def search(self, config: DictConfig, launch: Launch) -> None:
        """Work on the study in batches of trials whose seeds are jobs that `launch` runs.

        Raises:
            SearchStoppedError: the search was stopped.
            InputError: only failures came of it.
        """
        from abx_amr.studies.worker import run_batches
        from abx_amr.tuning.seed_jobs import run_batch

        study = self._ready(config)

        def outcomes(batch: Sequence[ClaimedTrial]) -> list[list[SeedOutcome]]:
            return run_batch(batch, launch, runner=study.runner)

        report = run_batches(
            study.settings,
            study.storage,
            outcomes,
            self.listener.event,
            size=math.ceil(study.settings.n_workers / study.settings.n_seeds_per_trial),
            write_summary=partial(write_summary, study),
        )
        self._check(study, report)
        if report.reason == "budget":
            launch_final(study, launch)

    def finish(self, config: DictConfig) -> TuneResult:
        """Write how far the study is, its best and its figures; return it."""
        return self._finish(self._study(config))

    def __call__(self, config: DictConfig) -> float:
        """Be a worker (`tuning.worker`) or a job (`tuning.job`); else score the configuration once.

        Raises:
            SearchStoppedError: the worker was stopped.
        """
        study = self._ready(config)
        if study.settings.job is not None:
            self._do_job(study, **study.settings.job)
            return 0.0
        if study.settings.worker is not None:
            self._work(study)
            return 0.0
        return self._score(study)

    def _study(self, config: DictConfig) -> TuningStudy:
        """Return the configuration as objects; a worker in the sweeper's process reuses its own."""
        from abx_amr.configuration.composing import resolved

        plain = settled(resolved(config))
        shared = what_is_shared(plain)
        is_known = self._last is not None and self._shared == shared
        if self._last is None or not is_known or plain["tuning"].get("worker") is not None:
            points = self._last.points if self._last is not None and is_known else None
            self._last, self._shared = TuningStudy(plain, points=points), shared
        return self._last

    def _ready(self, config: DictConfig) -> TuningStudy:
        """Return the configuration as objects whose agents may learn."""
        study = self._study(config)
        study.set_threads()
        return study

    def _work(self, study: TuningStudy) -> None:
        from abx_amr.studies.agreement import check_settings
        from abx_amr.studies.worker import run_batches

        settings = study.settings
        began = time.monotonic()
        check_settings(settings, study.storage)
        with self.listener.watching(study.look) as on_progress:
            report = run_batches(
                settings,
                study.storage,
                partial(_run_trials, study, on_progress, self.listener),
                self.listener.event,
                size=1,
                write_summary=partial(write_summary, study),
            )
            if report.reason == "budget":
                final = work_on_final(study, self.listener, on_progress, began=began)
                report = final or report
        self._check(study, report)
        if report.reason == "budget" and not settings.wait:  # nobody else will
            self._finish(study)

    def _do_job(self, study: TuningStudy, *, number: int, seed: int) -> None:
        from abx_amr.tuning.seed_jobs import run_job

        self.listener.seed_ended(number, run_job(study.runner, number=number, seed=seed))

    def _score(self, study: TuningStudy) -> float:
        """Score the composed configuration the way a trial is scored; write nothing."""
        from abx_amr.studies.objective import score_outcomes

        settings = study.settings
        with self.listener.scoring(settings) as on_progress:
            outcomes = study.runner.run({}, settings.seeds(0), None, on_progress)
        score = score_outcomes(
            outcomes,
            penalty_weight=settings.penalty_weight,
            direction=settings.direction,
            min_successful_seeds=settings.min_successful_seeds,
        )
        self.listener.scored(outcomes, score)
        return score.value

    def _finish(self, study: TuningStudy) -> TuneResult:
        result = finish(study)
        self.listener.finished(result)
        return result

    def _check(self, study: TuningStudy, report: WorkerReport) -> None:
        """Come back where the study is searched, or others may go on; raise where it is stopped."""
        if report.was_interrupted or report.reason == "time limit":
            raise SearchStoppedError(report)
        if report.reason == "failures":
            raise InputError(report.message)
        if report.reason != "budget":
            # Where somebody waits for the workers, the end of the study says how to go on.
            is_told = study.settings.wait or study.overview().is_complete
            self.listener.stopped(report if is_told else _with_how_to_go_on(report))


def _with_how_to_go_on(report: WorkerReport) -> WorkerReport:
    return replace(report, message=f"{report.message}{TO_GO_ON}")


def _prepare(study: TuningStudy, *, is_here: bool) -> Preparation:
    from abx_amr.host.atomic_files import write_json
    from abx_amr.runs.provenance import provenance
    from abx_amr.simulator.validation import validate_components
    from abx_amr.studies.agreement import changed_since
    from abx_amr.studies.preparation import prepare_study, refuse_overwriting
    from abx_amr.studies.registry import is_registered

    settings = study.settings
    study.points.check()
    if study.points.needs_agents:
        study.set_threads()
    if settings.skip_if_exists and is_registered(settings):
        if different := changed_since(settings):
            log.warning("study %s was made with other settings: %s", settings.run_name, different)
        return Preparation.SKIPPED
    validate_components(study.points.model)
    if is_here:
        study.points.check_device()
    refuse_overwriting(settings, study.storage)
    study.storage.check()  # a server that is not there is said before agents are built
    _ = study.points.read_back_names
    found = prepare_study(settings, study.storage)
    if found is Preparation.CREATED:
        seeds = {
            "first tuning": settings.first_seed,
            "sampler": study.config["tuning"]["sampler_seed"],
        }
        write_json(settings.files.provenance_file, provenance(seeds=seeds))
    return found


def _run_trials(
    study: TuningStudy,
    on_progress: OnProgress,
    listener: StudyListener,
    batch: Sequence[ClaimedTrial],
) -> list[list[SeedOutcome]]:
    return [
        study.runner.run(
            trial.parameters,
            trial.seeds,
            trial.folder,
            on_progress,
            partial(listener.earned, f"trial {trial.number}"),
            part=trial.part,
        )
        for trial in batch
    ]
