"""Large things, each as the command that a user types: many studies, many runs, many trials.

python -m benchmarks large                     every row
python -m benchmarks large list gather         rows of these kinds
BEFORE=PYTHON python -m benchmarks large       beside those of another installation's interpreter

The studies and runs are made here, in a temporary folder: one is made by the code that makes them
for users, and copied under other names, seeds and values.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from abx_amr.errors import counted
from abx_amr.rng import stream
from benchmarks.bookkeeping import settings_of, storage_of

RUNS = 3
BEFORE = "BEFORE"

STUDIES, TRIALS = 200, 50
CONDITIONS, SEEDS, EVALUATIONS = 20, 50, 20
TRIALS_OF_ONE = 1000
FINISHED, CLAIMS = 2000, 10
SHORT_TRIALS = 500
MEASURED_FROM = 100  #: trials, after which all code is loaded

#: What stands for the seed, the searched value and the name in files that are copied.
SEED, GAMMA, NAME = "918273", "0.987654", "bench"


# --- what is measured on -------------------------------------------------------------------------


def write_study(
    place: Path, *, kind: str, n_trials: int, budget: int | None = None, **tuning: Any
) -> tuple[Any, Any]:
    """Return the settings and the storage of a new study whose finished trials were drawn.

    Args:
        place: Of its folder.
        kind: Of its storage.
        n_trials: How many are finished.
        budget: And how many are to be; None: no more.
        tuning: Settings.
    """
    from optuna.trial import TrialState, create_trial

    from abx_amr.studies.objective import SeedOutcome, score_outcomes
    from abx_amr.studies.preparation import prepare_study
    from abx_amr.studies.records import Worker
    from abx_amr.studies.records.writing import begun, result
    from abx_amr.studies.stored import quiet_optuna

    quiet_optuna()
    settings = settings_of(place, n_trials=budget or n_trials, n_workers=1, **tuning)
    storage = storage_of(kind, settings)
    prepare_study(settings, storage)
    backend = storage.open()
    study = backend.get_study_id_from_name(settings.study_name)
    worker = Worker.here(interval=30.0, index=0)
    drawn = stream(0, "large", "trials")
    for lineage in range(n_trials):
        outcomes = [SeedOutcome(1000 + i, float(drawn.normal(-80, 8))) for i in range(3)]
        score = score_outcomes(
            outcomes, penalty_weight=0.2, direction="maximize", min_successful_seeds=2
        )
        trial = create_trial(
            state=TrialState.COMPLETE,
            value=score.value,
            params={name: float(drawn.random()) for name in settings.space},
            distributions=dict(settings.space),
            user_attrs={
                **begun(lineage=lineage, owner=worker),
                **result(outcomes, score, seconds=60.0),
            },
        )
        backend.create_new_trial(study, trial)
    return settings, storage


def write_studies(place: Path, *, kind: str, count: int = STUDIES) -> None:
    """Write folders of studies, each with a database or a journal of its own."""
    _in_another_process(_write_first_study, place, kind)
    first = place / NAME
    for number in range(count):
        name = f"study_{number:03d}"
        shutil.copytree(first, place / name)
        if kind == "sqlite":
            with sqlite3.connect(place / name / "optuna_study.db") as database:
                database.execute("UPDATE studies SET study_name = ?", (name,))
            database.close()
        else:
            file = place / name / "optuna_journal.log"
            (place / name / "journal.log").rename(file)
            file.write_text(file.read_text().replace(f'"{NAME}"', f'"{name}"', 1))
    shutil.rmtree(first)


def _write_first_study(place: Path, kind: str) -> None:
    write_study(place, kind=kind, n_trials=TRIALS)


def write_runs(place: Path, *, conditions: int = CONDITIONS, seeds: int = SEEDS) -> None:
    """Write run folders of conditions, each trained with so many seeds, and as often evaluated."""
    import pandas as pd

    from abx_amr.runs.folder import RunFolder, run_folders

    _run("train", "experiment=paper_two", f"agent_algorithm.gamma={GAMMA}",
         f"training.seed={SEED}", "training.total_num_training_episodes=4", "report=false",
         at=place)  # fmt: skip
    [made] = run_folders(place / "results")
    table, summary = made.read_evaluations(), made.read_summary()
    kept = [made.config_file, made.overrides_file, made.provenance_file, made.regret_by_amr_file]
    texts = {file.name: file.read_text() for file in kept}
    drawn = stream(0, "large", "runs")
    for condition in range(conditions):
        for seed in range(1, seeds + 1):
            folder = RunFolder.create(place / "results", f"gamma{condition}_seed{seed}")
            gamma = f"{0.9 + 0.004 * condition:.3f}"
            for name, text in texts.items():
                (folder.path / name).write_text(_with(text, seed, gamma))
            level = drawn.normal(condition - 80, 8)
            own = [
                table.assign(
                    transitions=summary["transitions"] * number // EVALUATIONS,
                    episode_return=np.round(level + drawn.normal(0, 10, len(table)), 1),
                )
                for number in range(1, EVALUATIONS + 1)
            ]
            folder.evaluations_file.write_text(pd.concat(own).to_csv(index=False))
            told = json.loads(_with(json.dumps(summary), seed, gamma))
            told["mean_return"] = float(own[-1]["episode_return"].mean())
            told["agreement"]["expected_gap"] -= level
            folder.write_summary(told)
    shutil.rmtree(made.path)


def _with(text: str, seed: int, gamma: str) -> str:
    return text.replace(SEED, str(seed)).replace(GAMMA, gamma)


# --- how it is measured --------------------------------------------------------------------------


@dataclass(frozen=True)
class Used:
    """What a command took: seconds of processors, and its peak memory in MiB."""

    seconds: float
    memory: float


def command(name: str, *words: str, at: Path, python: str = sys.executable) -> Used:
    """Return what a command takes, as a user runs it.

    Args:
        name: Of the command, without abx-.
        words: Its arguments.
        at: The folder it is run in.
        python: The interpreter.
    """
    process = subprocess.Popen(
        [python, "-m", f"abx_amr.cli.{name}", *words],
        cwd=at, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"abx-{name} {' '.join(words)} failed: {said}")
    return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _run(name: str, *words: str, at: Path) -> None:
    command(name, *words, at=at)


def claim() -> float:
    """Return the processor seconds of a claim with TPE where many trials are finished."""
    from abx_amr.studies.race_claims import claims_of
    from abx_amr.studies.records import Worker

    with tempfile.TemporaryDirectory() as place:
        settings, storage = write_study(
            Path(place), kind="sqlite", n_trials=FINISHED, sampler="tpe", budget=2 * FINISHED
        )
        worker = Worker.here(interval=30.0, index=0)
        claims = claims_of(settings, storage, worker, on_reaped=lambda *_: None)
        claims.open()
        seconds = []
        for _ in range(CLAIMS + 1):
            began = time.process_time()
            trial = claims.claim()
            seconds.append(time.process_time() - began)
            assert trial is not None
            claims.current.add(trial.id)
        return median(seconds[1:])  # the first reads all trials


def memory_of_worker(kind: str) -> tuple[float, float]:
    """Return the resident memory of a worker in MiB, early and at the end of its short trials."""
    import gc

    from abx_amr.studies.objective import SeedOutcome
    from abx_amr.studies.preparation import prepare_study
    from abx_amr.studies.stored import quiet_optuna
    from abx_amr.studies.worker import run_worker

    quiet_optuna()
    seen: list[float] = []

    def run_trial(params: Any, seeds: Any, _: Path) -> list[SeedOutcome]:
        if len(seen) in (MEASURED_FROM, SHORT_TRIALS - 1):
            gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        seen.append(pages * os.sysconf("SC_PAGE_SIZE") / 1024**2)
        return [SeedOutcome(seed, float(sum(params.values()))) for seed in seeds]

    with tempfile.TemporaryDirectory() as place:
        settings = settings_of(Path(place), n_trials=SHORT_TRIALS, n_workers=1)
        storage = storage_of(kind, settings)
        prepare_study(settings, storage)
        run_worker(settings, storage, run_trial, write_summary=lambda: None)
    return seen[MEASURED_FROM], seen[-1]


def _in_another_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a process of its own, which closes what it has opened."""
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


# --- rows ----------------------------------------------------------------------------------------


def _list_rows(pythons: Sequence[str]) -> list[str]:
    rows = []
    for kind, where in (("sqlite", "databases"), ("journal", "journals")):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            write_studies(place, kind=kind)
            name = f"`abx-study list` of {STUDIES} {where}, {TRIALS} trials each"
            rows += _row(name, pythons, "study", "list", f"optimization_dir={place}", at=place)
    return rows


def _gather_rows(pythons: Sequence[str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_runs(place)
        name = f"`abx-gather` of {CONDITIONS * SEEDS:,} runs, {CONDITIONS} conditions"
        plain = ("figures=false", "report=false")
        return [
            *_row(f"{name}, tables alone", pythons, "gather", *plain, at=place),
            *_row(f"{name}, with figure and page", pythons, "gather", at=place),
        ]


def _report_rows(pythons: Sequence[str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _in_another_process(_write_large_study, place)
        words = (NAME, f"optimization_dir={place}")
        name = f"`abx-report` of a study of {TRIALS_OF_ONE:,} trials"
        return [
            *_row(f"{name}, figures=false", pythons, "report", *words, "figures=false", at=place),
            *_row(name, pythons, "report", *words, at=place),
        ]


def _write_large_study(place: Path) -> None:
    write_study(place, kind="sqlite", n_trials=TRIALS_OF_ONE)


def _claim_rows(_: Sequence[str]) -> list[str]:
    milliseconds = 1000 * _in_another_process(claim)
    return [f"one claim with TPE beside {FINISHED:,} finished trials: {milliseconds:.0f} ms"]


def _memory_rows(_: Sequence[str]) -> list[str]:
    rows = []
    for kind in ("sqlite", "journal"):
        early, late = _in_another_process(memory_of_worker, kind)
        rows.append(
            f"memory of a worker on {kind} from trial {MEASURED_FROM} to {SHORT_TRIALS}: "
            f"{early:.0f} to {late:.0f} MiB"
        )
    return rows


def _row(name: str, pythons: Sequence[str], of: str, *words: str, at: Path) -> list[str]:
    found = [  # in turn, so that all meet the same machine
        [command(of, *words, at=at, python=python) for python in pythons] for _ in range(RUNS + 1)
    ]
    cells = []
    for used in zip(*found[1:], strict=True):
        seconds = median(one.seconds for one in used)
        memory = max(one.memory for one in used)
        cells.append(f"{seconds:.2f} / {memory:.0f}")
    row = f"| {name} | {' | '.join(cells)} |"
    print(row, flush=True)
    return [row]


COMMANDS = {"list": _list_rows, "gather": _gather_rows, "report": _report_rows}
OTHERS = {"claim": _claim_rows, "memory": _memory_rows}


def main(arguments: list[str]) -> str:
    """Return the table."""
    if unknown := set(arguments) - {*COMMANDS, *OTHERS}:
        raise SystemExit(f"there is no row of {', '.join(unknown)}")
    asked = arguments or [*COMMANDS, *OTHERS]
    pythons = [sys.executable, *filter(None, [os.environ.get(BEFORE)])]
    lines = [row for name in asked if name in COMMANDS for row in COMMANDS[name](pythons)]
    others = [row for name in asked if name in OTHERS for row in OTHERS[name](pythons)]
    head = [
        f"Processor seconds (median of {counted(RUNS, 'run')} after one that warms the disk) / "
        "peak memory in MiB; each takes one core.",
        "",
        f"| command | now |{' before |' * (len(pythons) - 1)}",
        f"|---|---:|{'---:|' * (len(pythons) - 1)}",
    ]
    return "\n".join([*(head if lines else []), *lines, *([""] if lines else []), *others])
