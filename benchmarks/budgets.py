"""Exact budgets although workers die: the real worker loop, workers killed by SIGKILL.

python -m benchmarks budgets [--repetitions 20] [--storage postgres] [--trials 40] [--workers 8]
                             [--victims 5] [--seconds 0.2 2] [--seed 0]

--race: the points race over seeds, and the budget is that of trainings (`python -m benchmarks
race_budgets` is that, with a section of its own in the README).

Every repetition starts from an empty storage: all workers create the study at once and share its
budget; an objective sleeps. A victim dies at a random moment of the run, or while it creates the
study, asks for a trial or tells one: shortly after it has entered such an operation for the n-th
time. What is then stored, and all that was printed, is checked.

Workers are forked from a process that has imported everything and has opened nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import yaml

STORAGES = ("postgres", "journal", "sqlite")
#: After how long at most a victim dies that has entered an operation; making the tables takes long.
DELAY_SECONDS = {"creation": 0.2, "ask": 0.01, "tell": 0.01}
LONGEST_RUN_SECONDS = 300.0
#: Operations of Optuna's storages, by what a worker is doing when it enters them.
OPERATIONS = {
    "creation": ("__init__", "create_new_study", "set_study_user_attr"),
    "ask": ("create_new_trial", "_create_new_trial", "set_trial_param", "set_trial_system_attr"),
    "tell": ("write_trial", "set_trial_state_values"),
}


@dataclass(frozen=True)
class Fate:
    """When a worker dies: at a moment, or with the n-th operation of a kind."""

    kind: str  #: moment, creation, ask or tell
    seconds: float = 0.0
    count: int = 1
    delay: float = 0.0


#: How many of them every worker comes to: one for each trial in tell, two in ask.
MOST = {"creation": 2, "ask": 4, "tell": 3}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one repetition has shown; of a race, trainings stand for trials."""

    n_trials: int
    finished: int
    seconds: float
    killed: Mapping[str, int]
    faults: Sequence[str] = field(default_factory=tuple)

    @property
    def is_exact(self) -> bool:
        """Whether exactly the budget was finished and nothing else was wrong."""
        return self.finished == self.n_trials and not self.faults


def draw_fate(rng: random.Random, *, longest: float) -> Fate:
    """Return a random fate; a moment lies within `longest` seconds."""
    kind = rng.choice(["moment", "moment", "creation", "ask", "tell"])
    if kind == "moment":
        return Fate(kind, seconds=rng.uniform(0.0, longest))
    return Fate(kind, count=rng.randint(1, MOST[kind]), delay=rng.uniform(0.0, DELAY_SECONDS[kind]))


def meet(fate: Fate) -> None:
    """Make this process die as its fate says."""
    if fate.kind == "moment":
        _die_after(fate.seconds)
        return
    from abx_amr.studies.storages.journal_trials import JournalTrials
    from abx_amr.studies.storages.trial_tables import TrialTables

    entered = 0

    def watched(operation: Callable[..., Any]) -> Callable[..., Any]:
        def enter(*arguments: Any, **keywords: Any) -> Any:
            nonlocal entered
            entered += 1
            if entered == fate.count:
                _die_after(fate.delay)
            return operation(*arguments, **keywords)

        return enter

    for made in (TrialTables, JournalTrials):
        for name in OPERATIONS[fate.kind]:
            if hasattr(made, name):
                setattr(made, name, watched(getattr(made, name)))


def repeat_once(
    folder: Path,
    storage: Any,
    *,
    rng: random.Random,
    n_trials: int,
    n_workers: int,
    n_victims: int,
    seconds: tuple[float, float],
    is_race: bool = False,
) -> Outcome:
    """Return what a study with dying workers has come to, in a storage that nobody has opened.

    `seconds` is the range of a trial's length.
    """
    race = {"trainings": n_trials} if is_race else False
    settings = settings_of(folder, n_trials=n_trials, n_workers=n_workers, race=race)
    longest = sum(seconds) / 2 * n_trials / n_workers
    fates = [draw_fate(rng, longest=longest) for _ in range(n_victims)]
    began = time.monotonic()
    children = {}
    for index in range(n_workers):
        fate = fates[index] if index < n_victims else None
        seed = rng.getrandbits(32)

        def work(fate: Fate | None = fate, seed: int = seed) -> None:
            work_on(settings, storage, fate=fate, rng=random.Random(seed), seconds=seconds)

        children[fork(work, folder / f"worker_{index}.txt")] = (index, fate)
    killed: Counter[str] = Counter()
    faults = []
    for child, code in ended(children, began + LONGEST_RUN_SECONDS):
        index, fate = children[child]
        if fate is not None and code == -signal.SIGKILL:
            killed[fate.kind] += 1
        elif code != 0:
            faults.append(f"worker {index} ended with {code}")
    took = time.monotonic() - began
    for file in sorted(folder.glob("worker_*.txt")):
        text = file.read_text(encoding="utf-8")
        for sign in ("Traceback", "database is locked"):
            if sign in text:
                faults.append(f"{file.stem} printed '{sign}': {text[-2000:]}")
    report = folder / "stored.json"
    fork_and_wait(lambda: report.write_text(json.dumps(stored(settings, storage))))
    finished, wrong = json.loads(report.read_text(encoding="utf-8"))
    return Outcome(
        n_trials=n_trials,
        finished=finished,
        seconds=took,
        killed=killed,
        faults=(*faults, *wrong),
    )


def settings_of(folder: Path, *, n_trials: int, n_workers: int, race: Any = False) -> Any:
    """Return the settings of a study of a parabola."""
    from abx_amr.host.locations import packaged
    from abx_amr.studies.settings import StudySettings

    defaults = yaml.safe_load((packaged("conf") / "tuning/base.yaml").read_text())
    return StudySettings.from_configuration(
        {
            "run_name": "budget",
            "optimization_dir": str(folder / "optimization"),
            "agent_algorithm": {"x": 0.0, "n": 1},
            "tuning": {
                **defaults,
                "n_trials": n_trials,
                "n_workers": n_workers,
                "final": False,
                "race": race,
                "search_space": {
                    "x": {"type": "float", "low": -1.0, "high": 1.0},
                    "n": {"type": "int", "low": 1, "high": 9},
                },
            },
        }
    )


def work_on(
    settings: Any,
    storage: Any,
    *,
    fate: Fate | None,
    rng: random.Random,
    seconds: tuple[float, float],
) -> None:
    """Create or join the study and work until its end, or until fate strikes."""
    from abx_amr.studies.objective import SeedOutcome
    from abx_amr.studies.preparation import prepare_study
    from abx_amr.studies.worker import run_worker

    logging.basicConfig(level=logging.WARNING, force=True)
    if fate is not None:
        meet(fate)

    def sleeping(
        params: Mapping[str, Any], seeds: Sequence[int], folder: Path
    ) -> list[SeedOutcome]:
        time.sleep(rng.uniform(*seconds))
        x = params["agent_algorithm.x"]
        return [SeedOutcome(seed, -(x**2) + 0.01 * (seed % 7)) for seed in seeds]

    prepare_study(settings, storage)
    run_worker(settings, storage, sleeping)


def stored(settings: Any, storage: Any) -> tuple[int, list[str]]:
    """Return how many trials are finished, and what is wrong with the study."""
    from abx_amr.studies.stored import open_study

    backend, study_id = open_study(storage, settings.study_name)
    trials = backend.get_all_trials(study_id)
    finished = [trial for trial in trials if trial.state.name in ("COMPLETE", "PRUNED")]
    faults = []
    numbers = [trial.number for trial in trials]
    if numbers != list(range(len(trials))):
        faults.append(f"numbers are not 0..{len(trials) - 1}: {numbers}")
    for name, values in {
        "lineage": [trial.user_attrs.get("lineage") for trial in finished],
        "retry of": [t.user_attrs["retry_of"] for t in trials if "retry_of" in t.user_attrs],
        "point": [tuple(trial.params.values()) for trial in finished],
    }.items():
        faults += [
            f"{name} {v} was finished {n} times" for v, n in Counter(values).items() if n > 1
        ]
    left = [t.number for t in trials if t.state.name in ("RUNNING", "WAITING")]
    if left:
        faults.append(f"trials {left} were left running or waiting")
    for trial in trials:
        again = trial.user_attrs.get("retry_of")
        if again is not None and trials[again].params != trial.params:
            faults.append(f"trial {trial.number} has other parameters than trial {again}")
    if not (settings.files.best_params_file).is_file():
        faults.append("best_params.json was not written")
    if settings.race is None:
        return len(finished), faults
    for trial in finished:
        seeds = [seed["seed"] for seed in trial.user_attrs["seeds"]]
        if seeds != [settings.first_seed + i for i in range(len(seeds))]:
            faults.append(f"trial {trial.number} has the seeds {seeds}")
        if any(seed["failure"] for seed in trial.user_attrs["seeds"]):
            faults.append(f"trial {trial.number} has seeds that were given up")
    return sum(len(trial.user_attrs["seeds"]) for trial in finished), faults


# -- processes ----------------------------------------------------------------------------------


def fork(work: Callable[[], object], log: Path) -> int:
    """Start `work` in a process of its own; what it prints goes to the file `log`."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = sys.stderr = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8")
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def fork_and_wait(work: Callable[[], object]) -> None:
    """Do `work` in a process of its own, so that this one opens no connection."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("what is stored could not be read")


def ended(children: Mapping[int, Any], deadline: float) -> Iterator[tuple[int, int]]:
    """Yield each child and its exit code as it ends; the rest are killed at the deadline."""
    left = set(children)
    while left:
        for child in sorted(left):
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                left.discard(child)
                yield child, os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            for child in left:
                os.kill(child, signal.SIGTERM)
            deadline += 10.0
        time.sleep(0.01)


def _die_after(seconds: float) -> None:
    def die() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=die, daemon=True).start()


# -- storages -----------------------------------------------------------------------------------


@contextlib.contextmanager
def fresh(kind: str) -> Iterator[Callable[[Path], contextlib.AbstractContextManager[Any]]]:
    """Give a maker of empty storages of a kind; PostgreSQL is one server with a database each."""
    from abx_amr.studies.storages import JournalStorage, PostgresStorage, SqliteStorage

    if kind != "postgres":
        files = {"journal": JournalStorage, "sqlite": SqliteStorage}

        def in_file(folder: Path) -> contextlib.AbstractContextManager[Any]:
            return contextlib.nullcontext(files[kind](path=folder / "study.file"))

        yield in_file
        return
    from tests.services import database_of, fresh_database, running_server

    with running_server() as server:
        there = database_of(server)
        os.environ["PGPASSFILE"] = str(there.passfile)

        @contextlib.contextmanager
        def in_database(folder: Path) -> Iterator[Any]:
            with fresh_database(there) as database:
                yield PostgresStorage.at(database.connection)

        yield in_database


def warm_up() -> None:
    """Import what every worker needs; open nothing."""
    import psycopg2  # noqa: F401
    import scipy.stats  # noqa: F401

    import abx_amr.studies.storages.journal_file
    import abx_amr.studies.worker  # noqa: F401


def main(arguments: list[str]) -> str:
    """Return the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks budgets")
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--storage", choices=STORAGES, action="append")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--victims", type=int, default=5)
    parser.add_argument("--seconds", type=float, nargs=2, default=(0.2, 2.0))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--race", action="store_true", help="points race over seeds")
    asked = parser.parse_args(arguments)
    warm_up()
    what = "trainings" if asked.race else "trials"
    rows = [
        f"{asked.workers} workers, {asked.victims} of them with a fate, {asked.trials} "
        f"{what}, each claim of {asked.seconds[0]:g} to {asked.seconds[1]:g} s. Killed: at a "
        "random moment / in creation / in ask / in tell. Faults: a trial or lineage finished "
        "twice, one left over, other parameters in a retry, 'database is locked', a traceback, a "
        "wrong exit status.",
        "",
        f"| storage | repetitions | finished {what} | killed | faults | seconds (median) |",
        "|---|---|---|---|---|---|",
    ]
    for kind in asked.storage or STORAGES:
        outcomes = []
        with fresh(kind) as make:
            for number in range(asked.repetitions):
                rng = random.Random(f"{asked.seed} {kind} {number}")
                with tempfile.TemporaryDirectory() as name, make(Path(name)) as storage:
                    outcome = repeat_once(
                        Path(name),
                        storage,
                        rng=rng,
                        n_trials=asked.trials,
                        n_workers=asked.workers,
                        n_victims=asked.victims,
                        seconds=tuple(asked.seconds),
                        is_race=asked.race,
                    )
                outcomes.append(outcome)
                print(
                    f"{kind} {number}: {outcome.finished} finished, killed {dict(outcome.killed)}, "
                    f"{outcome.seconds:.1f} s {' '.join(outcome.faults)}",
                    flush=True,
                )
        rows.append(_row(kind, outcomes))
    return "\n".join(rows)


def _row(kind: str, outcomes: Sequence[Outcome]) -> str:
    finished = ", ".join(
        f"{n} ({count} x)" for n, count in sorted(Counter(o.finished for o in outcomes).items())
    )
    killed = " / ".join(
        str(sum(o.killed.get(k, 0) for o in outcomes)) for k in ("moment", *OPERATIONS)
    )
    faults = sum(len(o.faults) for o in outcomes)
    took = median(o.seconds for o in outcomes)
    return f"| {kind} | {len(outcomes)} | {finished} | {killed} | {faults} | {took:.1f} |"
