"""A study of a parabola, and every kind of storage."""

import copy
import os
import signal

import pytest
import yaml

from abx_amr.host.locations import packaged
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import (
    JournalStorage,
    PostgresStorage,
    SqliteStorage,
    storage_at_url,
)

TUNING_DEFAULTS = yaml.safe_load((packaged("conf") / "tuning/base.yaml").read_text())
CONFIGURATION = {
    "run_name": "parabola",
    "study_name": None,
    "overwrite_existing_study": False,
    "skip_if_exists": False,
    "agent_algorithm": {"x": 0.0, "n_steps": 3, "mode": "flat"},
    "hrl": {"option_gamma": 0.9},
    "training": {"seed": 1, "n_envs": 8},
    "reward_calculator": {"lambda_weight": 0.0},
    "tuning": {
        **TUNING_DEFAULTS,
        "n_trials": 6,
        "final": False,
        "enqueue_default": False,
        "sampler": "random",
        "heartbeat_interval": 30,
        "search_space": {
            "x": {"type": "float", "low": -1.0, "high": 1.0},
            "n_steps": {"type": "int", "low": 1, "high": 9, "step": 2},
        },
    },
}


def parabola(params, seeds, folder):
    """One outcome per seed: best at x = 0.3."""
    x = params["agent_algorithm.x"]
    n = params.get("agent_algorithm.n_steps", 0)
    return [SeedOutcome(s, -((x - 0.3) ** 2) - 0.01 * n + 0.001 * (s % 7)) for s in seeds]


@pytest.fixture
def configuration(tmp_path):
    """Return a maker of configurations: tuning values by name, others as a mapping."""

    def make(changes=None, **tuning):
        made = copy.deepcopy(CONFIGURATION)
        made["optimization_dir"] = str(tmp_path / "optimization")
        made["tuning"] |= tuning
        for path, value in (changes or {}).items():
            node = made
            *sections, last = path.split(".")
            for section in sections:
                node = node[section]
            node[last] = value
        return made

    return make


@pytest.fixture
def study(configuration):
    """Return a maker of prepared studies: (settings, storage)."""

    def make(changes=None, **tuning):
        settings = StudySettings.from_configuration(configuration(changes, **tuning))
        storage = SqliteStorage(path=settings.folder / "optuna_study.db")
        prepare_study(settings, storage)
        return settings, storage

    return make


STORAGES = ("sqlite", "journal", "postgres", "url")


@pytest.fixture(params=STORAGES)
def storage(request, tmp_path, monkeypatch):
    """Every kind of storage, empty."""
    if request.param == "sqlite":
        return SqliteStorage(path=tmp_path / "deep" / "study.db")
    if request.param == "journal":
        return JournalStorage(path=tmp_path / "deep" / "journal.log")
    if request.param == "url":
        monkeypatch.setenv("ABX_STORAGE_URL", f"journal:///{tmp_path}/deep/at_url.log")
        return storage_at_url()
    request.getfixturevalue("postgres")
    return PostgresStorage()


@pytest.fixture
def stored_study(configuration, storage):
    """Return a maker of prepared studies in every kind of storage: (settings, storage)."""

    def make(changes=None, **tuning):
        settings = StudySettings.from_configuration(configuration(changes, **tuning))
        prepare_study(settings, storage)
        return settings, storage

    return make


@pytest.fixture
def trials_of():
    """Return a reader of all trials of a study, in order."""

    def read(settings, storage):
        backend = storage.open()
        return backend.get_all_trials(backend.get_study_id_from_name(settings.study_name))

    return read


@pytest.fixture
def killed_at_write():
    """Return what does some work in a process that is killed at a write of its storage."""

    def run(storage, n_writes, work):
        child = os.fork()
        if child:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert code in (0, -signal.SIGKILL)
            return
        kind, done = type(storage.open()), [0]
        for name in (
            "set_trial_user_attr",
            "set_trial_state_values",
            "set_trial_intermediate_value",
            "set_trial_system_attr",
            "create_new_trial",
            "write_trial",
        ):
            original = getattr(kind, name)

            def counted(self, *args, _original=original, **kwargs):
                done[0] += 1
                if done[0] >= n_writes:
                    os.kill(os.getpid(), signal.SIGKILL)
                return _original(self, *args, **kwargs)

            setattr(kind, name, counted)
        work()
        os._exit(0)

    return run
