"""A database that is only looked at is read without being opened to work in."""

import sqlite3

import pytest
from optuna.storages import RDBStorage
from optuna.storages._rdb import models

from abx_amr.studies.storages import SqliteStorage
from abx_amr.studies.storages.relational import REVISION, SCHEMA
from abx_amr.studies.storages.sqlite_reading import whole_studies
from abx_amr.studies.stored import read_studies
from tests.studies.test_trial_tables import make_study, optunas_own, shown, trials_given


@pytest.fixture
def storage(tmp_path):
    """A database of one study whose trials are in every state, and of an empty one."""
    storage = SqliteStorage(path=tmp_path / "some study?.db")
    backend, study_id = make_study(storage)
    backend.set_study_user_attr(study_id, "abx_budget", 4)
    backend.set_study_system_attr(study_id, "kept", [1, None])
    for trial in trials_given():
        backend.create_new_trial(study_id, template_trial=trial)
    backend.create_new_study([models.StudyDirection.MINIMIZE], "empty")
    backend._backend.engine.dispose()
    return storage


def seen(storage):
    return {study.name: len(study.trials) for study in read_studies(storage)}


def test_studies_are_read_as_optuna_reads_them(storage):
    found = whole_studies(storage.path, schema=SCHEMA, revision=REVISION)
    with optunas_own(storage) as own:
        theirs = own.get_all_studies()
        assert [vars(study) for study, _ in found] == [vars(study) for study in theirs]
        for study, trials in found:
            told = own.get_all_trials(study._study_id)
            assert [shown(trial) for trial in trials] == [shown(trial) for trial in told]


def test_looking_at_a_database_opens_no_storage_and_leaves_nothing_behind(storage, monkeypatch):
    elsewhere = SqliteStorage(path=storage.path)
    before = {file.name: file.read_bytes() for file in storage.path.parent.iterdir()}
    monkeypatch.setattr(elsewhere, "_connect", None)
    assert seen(elsewhere) == {"study": 6, "empty": 0}
    assert {file.name: file.read_bytes() for file in storage.path.parent.iterdir()} == before


def test_a_worker_that_writes_holds_nobody_off_who_looks(storage):
    writer = sqlite3.connect(storage.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM studies WHERE study_name = 'empty'")
    assert set(seen(SqliteStorage(path=storage.path))) == {"study", "empty"}
    writer.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = 'v3.0.0.d'",
        "UPDATE version_info SET schema_version = 11",
    ],
)
def test_tables_of_another_optuna_are_left_to_optuna(storage, change):
    with sqlite3.connect(storage.path) as database:
        database.execute(change)
    database.close()
    assert whole_studies(storage.path, schema=SCHEMA, revision=REVISION) is None


def test_a_database_that_cannot_be_read_here_is_left_to_optuna(storage):
    with sqlite3.connect(storage.path) as database:
        database.execute("UPDATE trial_values SET value_type = 'UNHEARD'")
    database.close()
    with pytest.raises(KeyError, match="UNHEARD"):
        whole_studies(storage.path, schema=SCHEMA, revision=REVISION)
    assert storage._read_quickly() is None


def test_the_revision_is_that_of_the_optuna_that_is_installed(tmp_path):
    own = RDBStorage(f"sqlite:///{tmp_path / 'own.db'}")
    assert (models.SCHEMA_VERSION, own.get_head_version()) == (SCHEMA, REVISION)
    own.remove_session()
    own.engine.dispose()
