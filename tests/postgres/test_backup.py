"""A backup is whole or not there, and putting it back gives the same study."""

import os
import shlex
import subprocess

import optuna
import pytest

from abx_amr.errors import InputError
from abx_amr.host.postgres.backup import back_up
from abx_amr.studies.storages import PostgresStorage
from tests import services


@pytest.fixture
def there(server, monkeypatch):
    with services.fresh_database(services.database_of(server)) as database:
        for name, value in database.environment.items():
            monkeypatch.setenv(name, value)
        yield database


def fill(n_trials):
    storage = PostgresStorage().open()
    study = optuna.create_study(study_name="kept", storage=storage, load_if_exists=True)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=n_trials)


def values():
    storage = PostgresStorage().open()
    study_id = storage.get_study_id_from_name("kept")
    return [trial.values for trial in storage.get_all_trials(study_id)]


def test_a_backup_put_back_gives_the_same_study(command, there, tmp_path):
    fill(3)
    kept = values()
    file = tmp_path / "kept.dump"
    text = command("backup", f"file={file}", environment=there.environment)
    assert text.status == 0, text.err
    assert [path.name for path in tmp_path.iterdir()] == ["kept.dump"]
    fill(2)
    assert len(values()) == 5
    restore = text.out.splitlines()[-1].removeprefix("restore: ")
    subprocess.run(
        shlex.split(restore), env={**os.environ, **there.environment}, check=True, timeout=60
    )
    assert values() == kept


def test_a_backup_that_fails_leaves_the_earlier_one(command, there, tmp_path):
    fill(1)
    file = tmp_path / "kept.dump"
    assert command("backup", f"file={file}", environment=there.environment).status == 0
    before = file.read_bytes()
    wrong = {**there.environment, "DB_NAME": "no_such_database"}
    line = command("backup", f"file={file}", environment=wrong).line
    assert 'database "no_such_database" does not exist' in line
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["kept.dump"]


def test_a_file_that_is_no_backup_is_not_replaced(command, there, tmp_path):
    file = tmp_path / "thesis.tex"
    file.write_text("years of work")
    assert "is no backup" in command("backup", f"file={file}", environment=there.environment).line
    assert file.read_text() == "years of work"


def test_a_folder_that_is_not_there_is_said(server, there, tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*No such file"):
        back_up(there.connection, tmp_path / "no" / "x", programs=server.programs(), passfile=None)
