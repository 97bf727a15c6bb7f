"""What a trial costs beside its training, on every storage, and 200 workers on one PostgreSQL.

The real worker loop with an objective that does nothing (the table of storages) or sleeps (the
crowd); workers are forked processes, PostgreSQL is started here in a folder of its own on the disk.
"""

from __future__ import annotations

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
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any

import yaml

WORKERS = (1, 4, 16)
TRIALS_PER_STUDY = 160
CROWD, CROWD_TRIALS, CROWD_SECONDS = 200, 1000, (6.0, 14.0)
STORAGES = ("sqlite", "journal", "postgres")


def settings_of(folder: Path, **tuning: Any) -> Any:
    """Return a study over eight values."""
    from abx_amr.host.locations import packaged
    from abx_amr.studies.settings import StudySettings

    names = [f"x{i}" for i in range(8)]
    space = {name: {"type": "float", "low": 0.0, "high": 1.0} for name in names}
    defaults = yaml.safe_load((packaged("conf") / "tuning/base.yaml").read_text())
    return StudySettings.from_configuration(
        {
            "run_name": "bench",
            "optimization_dir": str(folder),
            "agent_algorithm": dict.fromkeys(names, 0.5),
            "tuning": {
                **defaults,
                "search_space": space,
                "sampler": "random",
                "final": False,
                **tuning,
            },
        }
    )


def storage_of(kind: str, settings: Any) -> Any:
    """Return a storage of this kind for a study."""
    from abx_amr.studies import storages

    if kind == "sqlite":
        return storages.SqliteStorage(path=settings.folder / "optuna_study.db")
    if kind == "journal":
        return storages.JournalStorage(path=settings.folder / "journal.log")
    return storages.PostgresStorage(n_workers=settings.n_workers)


def run_workers(settings: Any, storage: Any, sleep: Callable[[], None], folder: Path) -> Crowd:
    """Run the study's workers to the end of its budget; return what they went through."""
    from abx_amr.studies.objective import SeedOutcome
    from abx_amr.studies.worker import run_worker

    def work(index: int) -> int:
        between: list[float] = []
        used: list[float] = []
        ended: list[tuple[float, float]] = []
        logging.basicConfig(filename=folder / f"{index}.log", level=logging.WARNING)

        def run_trial(params: Any, seeds: Any, _: Path) -> list[SeedOutcome]:
            if ended:
                between.append(time.perf_counter() - ended[-1][0])
                used.append(time.process_time() - ended[-1][1])
            sleep()
            ended.append((time.perf_counter(), time.process_time()))
            return [SeedOutcome(seed, float(sum(params.values()))) for seed in seeds]

        try:
            run_worker(settings, storage, run_trial)
        except Exception as error:
            logging.warning("%s: %s", type(error).__name__, error)
            return 1
        text = json.dumps({"between": between, "used": used})
        (folder / f"{index}.json").write_text(text)
        return 0

    began = time.perf_counter()
    children: list[int] = []
    try:
        for index in range(settings.n_workers):
            child = os.fork()
            if child == 0:
                os._exit(work(index))
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    except BaseException:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        raise
    return Crowd(time.perf_counter() - began, codes, folder)


class Crowd:
    """How workers fared: wall time, exit codes, seconds between their trials, log lines.

    Seconds by the clock and of their processors; their starts and ends are no part of these.
    """

    def __init__(self, seconds: float, codes: list[int], folder: Path) -> None:
        self.seconds = seconds
        self.failed = sum(code != 0 for code in codes)
        told = [json.loads(file.read_text()) for file in folder.glob("*.json")]
        self.between = [seconds for one in told for seconds in one["between"]]
        self.used = [seconds for one in told for seconds in one["used"]]
        self.complaints = [
            line for file in folder.glob("*.log") for line in file.read_text().splitlines()
        ]


def exchanges_of(settings: Any, storage: Any) -> dict[str, float]:
    """Run a worker to the end of its study; return what its storage was asked per trial.

    Statements of a database, or appendings of a journal: `inside` the critical section, where all
    other workers wait, and `outside`.
    """
    import sqlalchemy

    from abx_amr.studies.objective import SeedOutcome
    from abx_amr.studies.worker import run_worker

    where, counted = ["outside"], Counter[str]()
    section = storage.critical_section

    @contextlib.contextmanager
    def watched() -> Iterator[None]:
        where.append("inside")
        try:
            with section():
                yield
        finally:
            where.pop()

    def count(*_: Any) -> None:
        counted[where[-1]] += 1

    def run_trial(params: Any, seeds: Any, _: Path) -> list[SeedOutcome]:
        return [SeedOutcome(seed, float(sum(params.values()))) for seed in seeds]

    journal = getattr(storage.open(), "_backend", None)
    append = getattr(journal, "append_logs", None)
    storage.critical_section = watched
    if append is not None:
        journal.append_logs = lambda records: (count(), append(records))[-1]
    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", count)
    try:
        run_worker(settings, storage, run_trial, write_summary=lambda: None)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", count)
        storage.critical_section = section
        if append is not None:
            journal.append_logs = append
    return {place: counted[place] / settings.n_trials for place in ("inside", "outside")}


def finished(settings: Any, storage: Any) -> int:
    """Return how many trials of the study are finished."""
    from abx_amr.studies.stored import open_study, read_trials

    backend, study = open_study(storage, settings.study_name)
    return sum(trial.is_finished for trial in read_trials(backend, study))


def per_trial() -> list[str]:
    """Return the table of storages and workers."""
    from abx_amr.studies.preparation import prepare_study

    cells: dict[tuple[str, int], str] = {}
    for kind in STORAGES:
        for n_workers in WORKERS:
            with tempfile.TemporaryDirectory() as place, fresh_database(kind):
                folder = Path(place)
                settings = settings_of(folder, n_trials=TRIALS_PER_STUDY, n_workers=n_workers)
                storage = storage_of(kind, settings)
                prepare_study(settings, storage)
                ran = run_workers(settings, storage, lambda: None, folder)
                assert finished(settings, storage) == TRIALS_PER_STUDY
                assert ran.failed == 0, ran.complaints
                rate = TRIALS_PER_STUDY / ran.seconds
                each = 1000 * mean(ran.used)
                cells[kind, n_workers] = (
                    f"{1000 * median(ran.between):.0f} / {each:.0f} / {rate:.1f}"
                )
                print(kind, n_workers, cells[kind, n_workers], flush=True)
    head = " | ".join(f"{n} worker{'s' if n > 1 else ''}" for n in WORKERS)
    rows = [f"| storage | {head} |", "|---" * (len(WORKERS) + 1) + "|"]
    for kind in STORAGES:
        rows.append(f"| {kind} | " + " | ".join(cells[kind, n] for n in WORKERS) + " |")
    return rows


def crowd() -> list[str]:
    """Return the table of the crowd on PostgreSQL."""
    from abx_amr.studies.preparation import prepare_study

    with tempfile.TemporaryDirectory() as place, fresh_database("postgres") as database:
        folder = Path(place)
        settings = settings_of(folder, n_trials=CROWD_TRIALS, n_workers=CROWD)
        storage = storage_of("postgres", settings)
        prepare_study(settings, storage)
        used_before = database.used()
        with watching(database) as most:
            ran = run_workers(
                settings, storage, lambda: time.sleep(random.uniform(*CROWD_SECONDS)), folder
            )
        used = database.used() - used_before
        exact = finished(settings, storage)
        trials = storage.open().get_all_trials(
            storage.open().get_study_id_from_name(settings.study_name), deepcopy=False
        )
    ideal = CROWD / (sum(CROWD_SECONDS) / 2)
    begun = sorted(trial.datetime_start for trial in trials)
    first, last = CROWD_TRIALS // 4, 3 * CROWD_TRIALS // 4
    rate = (last - first) / (begun[last] - begun[first]).total_seconds()
    slow = quantiles(ran.between, n=100)
    rows = [
        "| what | value |",
        "|---|---|",
        f"| finished trials, asked for {CROWD_TRIALS} | {exact} |",
        f"| trials of any other state | {len(trials) - exact} |",
        f"| workers that failed | {ran.failed} |",
        f"| lines of warnings | {len(ran.complaints)} |",
        f"| wall time, s | {ran.seconds:.0f} |",
        f"| trials/s, starts of workers and the last trainings included | "
        f"{exact / ran.seconds:.1f} |",
        f"| trials/s from claim {first} to {last} (all workers always training: {ideal:.0f}) | "
        f"{rate:.1f} |",
        f"| processor ms per trial between trainings: worker | {1000 * mean(ran.used):.0f} |",
        f"| the server's processor ms per trial, everything included | "
        f"{1000 * used / CROWD_TRIALS:.0f} |",
        f"| between two trials of a worker, s: median | {median(ran.between):.2f} |",
        f"| the same, 99th percentile | {slow[98]:.2f} |",
        f"| connections at once, most (admitted {database.admitted}) | {most['connections']} |",
    ]
    for line in sorted(set(ran.complaints))[:10]:
        print(line)
    return rows


@contextlib.contextmanager
def watching(database: Database) -> Iterator[dict[str, int]]:
    """Give the largest number of connections seen while the block runs."""
    most = {"connections": 0}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.25):
            most["connections"] = max(most["connections"], database.connections())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        over.set()
        watcher.join()


class Database:
    """The server of this benchmark, and a new database on it for each study."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.admitted = server.recorded_state().max_connections
        self.process = server.pid()

    def used(self) -> float:
        """Return the seconds of processors that the server has used, all its processes together."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text(errors="replace").rsplit(")", 1)[-1].split()
                if stat.parent.name == str(self.process):
                    ticks += sum(map(int, fields[11:15]))  # its own, and of children that ended
                elif fields[1] == str(self.process):
                    ticks += sum(map(int, fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def connections(self) -> int:
        """Return how many clients are connected, the one that asks left out."""
        import psycopg2

        there = self.server.recorded_state().connection
        connection = psycopg2.connect(
            host=there.host,
            port=there.port,
            user=there.user,
            dbname=there.database,
            passfile=str(self.server.passfile),
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname IS NOT NULL"
                )
                return int(cursor.fetchone()[0])
        finally:
            connection.close()


_server: list[Database] = []


@contextlib.contextmanager
def fresh_database(kind: str) -> Iterator[Any]:
    """Give an empty database, to which PG_* point; for other storages nothing."""
    if kind != "postgres":
        yield None
        return
    from abx_amr.host.postgres import Wish

    [database] = _server
    name = f"bench_{time.monotonic_ns()}"
    server = database.server
    decided = server.up(Wish(user="bench", database=name))
    os.environ |= {
        "PG_HOST": decided.connection.host,
        "PG_PORT": str(decided.port),
        "PG_USERNAME": "bench",
        "DB_NAME": name,
        "PGPASSFILE": str(server.passfile),
    }
    yield database


def main(arguments: list[str]) -> str:
    """Return the tables."""
    from abx_amr.host.postgres import Server, Wish
    from abx_amr.host.postgres.server import max_connections_for
    from abx_amr.studies.stored import quiet_optuna

    quiet_optuna()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="abx-bench-") as place:
        Path(place).chmod(0o755)
        server = Server(Path(place) / "pg")
        most = max_connections_for(CROWD)
        server.up(Wish(user="bench", database="bench", any_port=True, max_connections=most))
        _server[:] = [Database(server)]
        try:
            storages, crowded = per_trial(), crowd()
        finally:
            server.down()
    low, high = CROWD_SECONDS
    return "\n".join(
        [
            "The real worker loop (claim, ask, eight values, attributes, tell) with trials that "
            f"take no time, {TRIALS_PER_STUDY} trials a study: milliseconds between two trials of "
            "a worker (median) / milliseconds of the workers' processor time per trial / trials "
            "per second of all workers together.",
            "",
            *storages,
            "",
            f"{CROWD} workers on one PostgreSQL, {CROWD_TRIALS} trials of {low:g} to {high:g} s:",
            "",
            *crowded,
        ]
    )
