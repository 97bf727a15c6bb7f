"""Where Optuna arranges its tables as no release known here does, its own storage does the work."""

import sys

import pytest
from optuna.storages import JournalStorage as OptunaJournal
from optuna.storages import RDBStorage
from optuna.storages._rdb import models

from abx_amr.studies.overview import overview_of_stored
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import JournalStorage
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola

TABLES = "abx_amr.studies.storages.trial_tables"


@pytest.fixture(params=["a newer version of the tables", "a module is gone"])
def other_optuna(request, monkeypatch):
    """An Optuna that is not the one that our statements know."""
    if request.param == "a module is gone":
        monkeypatch.setitem(sys.modules, TABLES, None)
    else:
        monkeypatch.setattr(models, "SCHEMA_VERSION", models.SCHEMA_VERSION + 1)


def test_a_study_is_searched_by_optunas_own_storage(other_optuna, study):
    settings, storage = study(n_trials=4)
    run_worker(settings, storage, parabola)
    assert type(storage.open()._backend) is RDBStorage
    assert overview_of_stored(storage, settings.study_name).n_finished == 4


def test_a_journal_is_written_by_optunas_own_storage(configuration, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "abx_amr.studies.storages.journal_trials", None)
    settings = StudySettings.from_configuration(configuration(n_trials=4))
    storage = JournalStorage(path=tmp_path / "journal.log")
    prepare_study(settings, storage)
    run_worker(settings, storage, parabola)
    assert type(storage.open()) is OptunaJournal
    assert overview_of_stored(storage, settings.study_name).n_finished == 4


def test_both_storages_search_the_same_study(study, monkeypatch):
    found = []
    for name in ("ours", "optunas"):
        if name == "optunas":
            monkeypatch.setitem(sys.modules, TABLES, None)
        settings, storage = study({"run_name": name}, n_trials=6)
        run_worker(settings, storage, parabola)
        backend = storage.open()
        trials = backend.get_all_trials(backend.get_study_id_from_name(settings.study_name))
        found.append([(trial.params, trial.values, trial.state) for trial in trials])
    assert found[0] == found[1]
