"""What PostgreSQL alone must do: restarts, its lock, who may enter, what is seen of a password."""

import logging
import os
import signal
import subprocess
import time
from pathlib import Path

import optuna
import pytest

from abx_amr.errors import InputError
from abx_amr.studies import patience
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import PostgresStorage, StorageError
from abx_amr.studies.storages import postgres as postgres_module
from abx_amr.studies.stored import read_study
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola
from tests.studies.test_worker import slow, states


def make_study(storage):
    return optuna.create_study(
        study_name="study", storage=storage.open(), direction="maximize", load_if_exists=True
    )


# -- the critical section ----------------------------------------------------------------------


def test_what_an_error_leaves_in_the_section_is_undone_as_a_whole(postgres):
    storage = PostgresStorage()
    make_study(storage).ask()
    with pytest.raises(RuntimeError), storage.critical_section():
        study = make_study(storage)
        study.ask()
        study.ask()
        assert len(study.trials) == 3
        raise RuntimeError
    assert len(make_study(storage).trials) == 1


def test_a_process_killed_in_the_section_has_written_nothing(postgres, in_processes):
    storage = PostgresStorage()
    make_study(storage)

    def die(index):
        with storage.critical_section():
            make_study(storage).ask()
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_processes(1, die) == [-signal.SIGKILL]
    with storage.critical_section():
        assert make_study(storage).trials == []


def test_a_writer_that_fails_inside_the_section_undoes_only_itself(postgres):
    """Optuna rolls back a duplicate; what the section has written before stays."""
    storage = PostgresStorage()
    study = make_study(storage)
    with storage.critical_section():
        study.ask()
        with pytest.raises(optuna.exceptions.DuplicatedStudyError):
            optuna.create_study(study_name="study", storage=storage.open())
    assert len(make_study(storage).trials) == 1


def test_a_server_that_goes_in_the_section_undoes_it_and_frees_the_next(postgres):
    storage = PostgresStorage()
    make_study(storage)
    with pytest.raises(StorageError) as error, storage.critical_section():
        make_study(storage).ask()
        with postgres.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        make_study(storage).ask()
    assert "\n" not in str(error.value)
    with storage.critical_section():
        assert make_study(storage).trials == []


def test_the_servers_view_of_a_worker_has_its_name_and_a_limit_for_who_stands_still(postgres):
    storage = PostgresStorage()
    make_study(storage)
    with storage.critical_section(), storage._storage().engine.connect() as connection:
        name, limit = connection.exec_driver_sql(
            "SELECT current_setting('application_name'), "
            "current_setting('idle_in_transaction_session_timeout')"
        ).one()
    assert (name, limit) == ("abx-amr", "5min")


@pytest.mark.parametrize(
    ("n_workers", "kept"),
    [(8, 1), (9, 1), (1001, 0)],
    ids=["few", "many that the server admits", "more than it admits"],
)
def test_a_worker_holds_few_connections_and_none_at_rest_where_the_server_admits_too_few(
    postgres, n_workers, kept, monkeypatch
):
    monkeypatch.setattr(postgres_module, "MOST_POOLED_WORKERS", 8)
    storage = PostgresStorage(n_workers=n_workers)
    study = make_study(storage)
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'abx-amr'"
    with postgres.cursor() as cursor:
        with storage.critical_section():
            study.ask()
            cursor.execute(count)
            assert 1 <= cursor.fetchone()[0] <= 3
        at_rest = -1
        end = time.monotonic() + 30
        while at_rest != kept and time.monotonic() < end:
            cursor.execute(count)  # the server takes a moment to see that a client is gone
            at_rest = cursor.fetchone()[0]
        assert at_rest == kept


# -- restarts ----------------------------------------------------------------------------------


def test_a_restart_in_mid_study_loses_nothing(own_server, configuration, in_processes, tmp_path):
    storage = PostgresStorage()
    settings = StudySettings.from_configuration(configuration(n_trials=24, heartbeat_interval=0.5))
    prepare_study(settings, storage)

    def restart(index):
        if index == 4:
            for _ in range(2):
                time.sleep(1.5)
                own_server.down()
                time.sleep(0.5)
                own_server.up_again()
            return
        logging.getLogger().addHandler(logging.FileHandler(tmp_path / f"log_{index}"))
        run_worker(settings, storage, slow(0.4))

    assert in_processes(5, restart) == [0] * 5
    trials = [trial.frozen for trial in read_study(storage, settings.study_name).trials]
    assert states(trials) == {"COMPLETE": 24, "FAIL": sum(t.state.name == "FAIL" for t in trials)}
    lineages = [t.user_attrs["lineage"] for t in trials if t.state.name == "COMPLETE"]
    assert sorted(lineages) == list(range(24))
    assert not [t for t in trials if t.state.name in ("RUNNING", "WAITING")]
    text = "".join(path.read_text() for path in tmp_path.glob("log_*"))
    assert "waiting for the study's storage" in text
    assert "Traceback" not in text


def test_a_server_that_stays_away_ends_the_worker_in_one_line_and_nothing_is_lost(
    own_server, configuration, monkeypatch
):
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 1.0)
    storage = PostgresStorage()
    settings = StudySettings.from_configuration(configuration(n_trials=4, heartbeat_interval=0.2))
    prepare_study(settings, storage)

    def run_trial(params, seeds, folder):
        if folder.name == "2":
            own_server.down()
        return parabola(params, seeds, folder)

    with pytest.raises(InputError, match=r"abx-postgres up.*run the same command again") as error:
        run_worker(settings, storage, run_trial)
    assert "\n" not in str(error.value)
    own_server.up_again()
    report = run_worker(settings, PostgresStorage(), parabola)
    assert report.reason == "budget"
    assert states([trial.frozen for trial in read_study(storage, settings.study_name).trials]) == {
        "COMPLETE": 4,
        "FAIL": 1,
    }


# -- who may enter -----------------------------------------------------------------------------


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_server_that_is_not_there_is_named_with_host_port_user_and_the_cure():
    port = free_port()
    storage = PostgresStorage(host="127.0.0.1", port=port, user="ada")
    for use in (storage.check, storage.open, lambda: storage.exists("x")):
        with pytest.raises(StorageError) as error:
            use()
        message = str(error.value)
        assert f"host 127.0.0.1, port {port}, user ada" in message
        assert "Connection refused" in message
        assert "`abx-postgres up`" in message
        assert "\n" not in message


def test_a_database_that_is_not_there_is_named(postgres):
    with pytest.raises(StorageError, match=r"there is no database nowhere; `abx-postgres up`"):
        PostgresStorage(database="nowhere").check()


def test_a_wrong_password_is_not_repeated(postgres, monkeypatch):
    monkeypatch.setenv("PG_PASSWORD", "wr0ng-m4rker")
    with pytest.raises(StorageError, match=r"set PG_PASSWORD or a \.pgpass file") as error:
        PostgresStorage().check()
    assert "wr0ng-m4rker" not in str(error.value)


# -- a password is seen nowhere ----------------------------------------------------------------


def test_the_password_is_in_nothing_that_is_written_printed_or_listed(
    postgres, configuration, tmp_path, monkeypatch, caplog, capfd
):
    """Everything that a study leaves behind is searched, and every command line on the way."""
    there = postgres.connection
    marker = there.password or Path(postgres.passfile).read_text().strip().rsplit(":", 1)[-1]
    monkeypatch.setenv("PG_PASSWORD", marker)
    monkeypatch.delenv("PGPASSFILE", raising=False)
    caplog.set_level(logging.DEBUG)
    storage = PostgresStorage()
    changes = configuration(n_trials=3)
    changes["storage"] = {"host": there.host, "port": there.port}
    settings = StudySettings.from_configuration(changes)
    seen = []

    def run_trial(params, seeds, folder):
        seen.extend(p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists())
        if folder.name == "1":
            raise RuntimeError("an error with a traceback")
        return parabola(params, seeds, folder)

    prepare_study(settings, storage)
    run_worker(settings, storage, run_trial)
    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert any(b"parabola" in text for text in written)
    dump = subprocess.run(
        ["pg_dump", "-h", there.host, "-p", str(there.port), "-d", there.database],
        env={**os.environ, "PGUSER": there.user, "PGPASSWORD": marker},
        capture_output=True,
        check=True,
    ).stdout
    assert b"abx_fingerprint" in dump
    printed = capfd.readouterr()
    everything = [*written, *seen, dump, (printed.out + printed.err + caplog.text).encode()]
    assert not [text for text in everything if marker.encode() in text]
