"""A study's final as work: by this process, or by workers that a launcher starts for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from abx_amr.tuning.finishing import write_summary

if TYPE_CHECKING:
    from abx_amr.studies.events import WorkerReport
    from abx_amr.studies.final_worker import FinalWork
    from abx_amr.studies.objective import SeedOutcome
    from abx_amr.tuning.contract import Launch
    from abx_amr.tuning.listening import OnProgress, StudyListener
    from abx_amr.tuning.study import TuningStudy


def work_on_final(
    study: TuningStudy, listener: StudyListener, on_progress: OnProgress, *, began: float
) -> WorkerReport | None:
    """Be a worker of the final of a study whose search is over; return why it ends.

    None where the study has no final.

    Args:
        study: The study.
        listener: Who is told what happens.
        on_progress: Called with (transitions seen, planned) while seeds learn.
        began: When the worker began, by `time.monotonic`.
    """
    from abx_amr.studies.final_worker import run_final
    from abx_amr.studies.records import FinalAttributes
    from abx_amr.studies.stored import open_study

    backend, study_id = open_study(study.storage, study.settings.study_name)
    if FinalAttributes(backend.get_study_user_attrs(study_id)).size is None:
        return None
    return run_final(
        study.settings,
        study.storage,
        partial(_run_seeds, study, on_progress),
        listener.event,
        began=began,
        write_summary=partial(write_summary, study),
    )


def launch_final(study: TuningStudy, launch: Launch) -> None:
    """Have workers that `launch` runs do the final of a study whose seeds are jobs.

    They are started again while they leave work and get on with it, and `tuning.max_retry` times
    without.
    """
    settings = study.settings
    workers = [[f"++tuning.worker={number}"] for number in range(settings.n_workers)]
    idle, done = 0, study.overview().final_done
    while not (now := study.overview()).is_complete and idle <= settings.max_retry:
        launch(workers)
        now = study.overview()
        idle, done = (0 if now.final_done > done else idle + 1), now.final_done


def _run_seeds(
    study: TuningStudy, on_progress: OnProgress, work: FinalWork
) -> Sequence[SeedOutcome]:
    runner = study.held_out_runner if work.is_held_out else study.runner
    return runner.run(work.parameters, work.seeds, work.folder, on_progress)
