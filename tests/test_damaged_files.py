"""Every file that we write, damaged in every way: read again it is one line, or made again.

No reader ends in a traceback, and none takes damage for data.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import CompletionRegistry
from abx_amr.host.locations import Project
from abx_amr.host.plain_files import read_yaml
from abx_amr.planning.cache import PlanCache
from abx_amr.planning.views import view
from abx_amr.runs.best_parameters import read_best
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.set_failures import read_failure, write_failure
from abx_amr.studies.folder import StudyFolder
from abx_amr.studies.storages import JournalStorage, SqliteStorage
from abx_amr.studies.stored import read_studies
from abx_amr.tuning.seed_files import (
    read_seed_result,
    read_seed_results,
    read_trial_parameters,
    write_seed_result,
    write_trial_parameters,
)
from tests.clinics import DEFAULT_DRUGS, clinic_model, only

RANDOM = np.random.Generator(np.random.PCG64(17)).bytes(400)
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[: len(content) * 2 // 3],
    "cut to a byte": lambda content: content[:1],
    "empty": lambda content: b"",
    "random bytes": lambda content: RANDOM,
    "random bytes inside": lambda content: content[:20] + RANDOM + content[20:],
    "zeros": lambda content: bytes(len(content)),
    "other JSON": lambda content: b'[{"a": [1, null]}, "b"]',
    "a number": lambda content: b"3",
    "an empty object": lambda content: b"{}",
    "no UTF-8": lambda content: b"\xff\xfe" + content,
    "deep": lambda content: b"[" * 100_000,
}
Reader = Callable[[], Any]
#: Name -> writes a file below a folder and gives it, its reader, and what reads as nothing.
FILES: dict[str, Callable[[Path], tuple[Path, Reader, list[Any]]]] = {}


def file(*nothing: Any) -> Callable[[Callable[[Path], tuple[Path, Reader]]], Any]:
    """Register a kind of file; `nothing` is what its reader may give for a damaged one."""

    def register(make: Callable[[Path], tuple[Path, Reader]]) -> Any:
        FILES[make.__name__] = lambda folder: (*make(folder), list(nothing))
        return make

    return register


def a_run(folder: Path) -> RunFolder:
    run = RunFolder.create(folder, "mine")
    run.write_config({"agent_algorithm": {"_target_": "stable_baselines3.PPO", "gamma": 0.99}})
    return run


def table_of_a_run() -> dict[str, Any]:
    return {"episode": np.arange(9), "episode_return": np.linspace(-1.0, 1.0, 9)}


@file()
def config_of_a_run(folder: Path) -> tuple[Path, Reader]:
    run = a_run(folder)
    return run.config_file, lambda: run.read_config()["agent_algorithm"]["_target_"]


@file([])
def overrides_of_a_run(folder: Path) -> tuple[Path, Reader]:
    run = a_run(folder)
    run.write_overrides(["training.seed=3", "experiment=paper_two"])
    return run.overrides_file, run.read_overrides


@file({})
def provenance_of_a_run(folder: Path) -> tuple[Path, Reader]:
    run = a_run(folder)
    run.write_provenance({"choices": {"experiment": "base"}, "git": None})
    return run.provenance_file, run.read_provenance


@file()
def summary_of_a_run(folder: Path) -> tuple[Path, Reader]:
    run = a_run(folder)
    run.write_summary({"run_name": "mine", "mean_return": -1.5, "note": "a" * 40})
    return run.summary_file, run.read_summary


@file()
def evaluations_of_a_run(folder: Path) -> tuple[Path, Reader]:
    run = a_run(folder)
    run.append_evaluation(100, table_of_a_run())
    return run.evaluations_file, lambda: run.read_evaluations()["episode_return"].sum()


@file()
def regret_of_a_run(folder: Path) -> tuple[Path, Reader]:
    run = a_run(folder)
    row = {"antibiotic": "A", "level_low": 0.0, "level_high": 0.01, "regret": 0.5, "agrees": 0.25}
    run.write_regret_by_amr(pd.DataFrame([row, {**row, "level_low": 0.01, "level_high": 0.02}]))
    return run.regret_by_amr_file, lambda: run.read_regret_by_amr()["regret"].sum()


@file()
def trajectories_of_a_run(folder: Path) -> tuple[Path, Reader]:
    run = a_run(folder)
    run.write_trajectories(pd.DataFrame(table_of_a_run()))
    return run.trajectories_file, lambda: len(run.read_trajectories())


@file()
def checkpoint_of_a_run(folder: Path) -> tuple[Path, Reader]:
    run = a_run(folder)
    run.write_checkpoint("last", state={"a": np.arange(99)}, facts={"n": 1})
    return run.checkpoint_file("last"), lambda: dict(run.read_checkpoint("last").state)


@file([])
def registry_of_runs(folder: Path) -> tuple[Path, Reader]:
    registry = CompletionRegistry(folder / ".done.txt", columns=("run_name", "folder"))
    registry.add({"run_name": "mine", "folder": "mine_1"})
    registry.add({"run_name": "other, too", "folder": "other_1"})
    return registry.path, registry.rows


@file("")
def failure_of_a_set(folder: Path) -> tuple[Path, Reader]:
    write_failure(folder, "mine", "it went wrong")
    (found,) = (folder / ".failures").iterdir()

    def read() -> str:
        reason = read_failure(folder, "mine")
        assert reason is not None
        assert "\n" not in reason
        return reason if reason == "it went wrong" else ""

    return found, read


def a_study(folder: Path) -> StudyFolder:
    study = StudyFolder(folder / "mine")
    study.path.mkdir()
    settings = "agent_algorithm: {_target_: stable_baselines3.PPO}\ntraining: {n_envs: 8}\n"
    study.configuration_file.write_text(settings, encoding="utf-8")
    study.best_params_file.write_text('{"agent_algorithm.gamma": 0.9}\n', encoding="utf-8")
    return study


@file()
def configuration_of_a_study(folder: Path) -> tuple[Path, Reader]:
    study = a_study(folder)
    return study.configuration_file, lambda: read_best(folder, "mine").configuration


@file({})
def best_of_a_study(folder: Path) -> tuple[Path, Reader]:
    study = a_study(folder)
    return study.best_params_file, lambda: read_best(folder, "mine").values


@file()
def summary_of_a_study(folder: Path) -> tuple[Path, Reader]:
    study = a_study(folder)
    study.best_params_file.unlink()
    study.summary_file.write_text(json.dumps({"n_finished": 3, "budget": 9}), encoding="utf-8")
    return study.summary_file, lambda: read_best(folder, "mine")


def a_seed(folder: Path) -> Path:
    outcome = {"seed": 7, "episode_return": -2.5, "failure": None, "effective_values": {}}
    write_seed_result(
        folder / "trials" / "0",
        outcome={**outcome, "seconds": 1.5},
        evaluation_returns=[-2.0, -3.0],
        identity="same",
    )
    return folder / "trials" / "0"


@file(None)
def result_of_a_seed(folder: Path) -> tuple[Path, Reader]:
    trial = a_seed(folder)
    return trial / "seed_7" / "result.json", lambda: read_seed_result(trial, 7, identity="same")


@file(0)
def results_of_all_seeds(folder: Path) -> tuple[Path, Reader]:
    trial = a_seed(folder)
    return trial / "seed_7" / "result.json", lambda: len(read_seed_results(folder))


@file()
def parameters_of_a_trial(folder: Path) -> tuple[Path, Reader]:
    write_trial_parameters(folder / "0", parameters={"gamma": 0.9}, fingerprint="abc")
    return folder / "0" / "parameters.json", lambda: read_trial_parameters(folder / "0")[
        "parameters"
    ]


@file(None)
def kept_optimum(folder: Path) -> tuple[Path, Reader]:
    posed = view(clinic_model(only("A", DEFAULT_DRUGS), patients=1, steps=3))
    cache = PlanCache(folder)
    cache.optimum(posed)
    return cache.file(posed), lambda: PlanCache(folder).known(posed)


@file([])
def marker_of_a_project(folder: Path) -> tuple[Path, Reader]:
    marker = folder / "abx-project.yaml"
    marker.write_text("trusted: [our_rewards, theirs]\n", encoding="utf-8")
    return marker, Project(folder).trusted_modules


def names_in(storage: Any) -> Reader:
    def read() -> list[tuple[str, int]]:
        return [(study.name, len(study.trials)) for study in read_studies(storage)]

    return read


def some_trials(storage: Any) -> None:
    study = optuna.create_study(storage=storage.open(), study_name="mine")
    study.enqueue_trial({"x": 0.5})
    study.tell(study.ask(), 1.0)


@file([], [("mine", 0)])
def journal_of_a_study(folder: Path) -> tuple[Path, Reader]:
    path = folder / "journal.log"
    some_trials(JournalStorage(path=path))
    return path, lambda: names_in(JournalStorage(path=path))()


@file([])
def database_of_a_study(folder: Path) -> tuple[Path, Reader]:
    path = folder / "optuna.db"
    storage = SqliteStorage(path=path)
    some_trials(storage)
    storage.open()._backend.engine.dispose()  # type: ignore[attr-defined]
    for beside in (folder / "optuna.db-wal", folder / "optuna.db-shm"):
        beside.unlink(missing_ok=True)
    return path, lambda: names_in(SqliteStorage(path=path))()


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_one_line_or_read_as_nothing(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for number, (damage, change) in enumerate(DAMAGES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        path, read, nothing = FILES[name](folder)
        before = None if name == "summary_of_a_study" else repr(read())
        path.write_bytes(change(path.read_bytes()))
        try:
            found = read()
        except InputError as error:
            assert "\n" not in str(error), damage
            continue
        allowed = [before, *map(repr, nothing)]  # what the damage has not reached is as it was
        assert repr(found) in allowed, (damage, found)


def test_a_damaged_result_of_a_seed_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trial = a_seed(tmp_path)
    (trial / "seed_7" / "result.json").write_bytes(b"\xff")
    assert read_seed_result(trial, 7, identity="same") is None
    assert "not used" in caplog.text


def test_a_damaged_registry_is_put_aside_and_begun_again(tmp_path: Path) -> None:
    registry = CompletionRegistry(tmp_path / ".done.txt", columns=("run_name",))
    registry.add({"run_name": "mine"})
    registry.path.write_bytes(RANDOM)
    registry.add({"run_name": "next"})
    assert [row["run_name"] for row in registry.rows()] == ["next"]
    assert (tmp_path / ".done.txt.damaged").read_bytes() == RANDOM


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "\n".join(
            f"{b}: &{b} [{','.join(['*' + a] * 9)}]"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: &a [*a]",
        "- " * 50_000,
        "a: &a {x: 1}\nb: {<<: [*a, *a]}",
        "a: " + "1" * 10_000,
    ],
    ids=["anchors", "itself", "deep", "merges", "digits"],
)
def test_yaml_that_would_exhaust_the_machine_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.yaml is (damaged|not read)"):
        read_yaml(file)


def test_a_huge_file_and_a_pipe_are_refused_without_being_read(tmp_path: Path) -> None:
    import os

    huge = tmp_path / "config.yaml"
    with huge.open("wb") as stream:
        stream.truncate(40 * 1024**3)
    with pytest.raises(InputError, match="40960 MiB are more"):
        read_yaml(huge)
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(InputError, match="is no file"):
        read_yaml(tmp_path / "pipe.yaml")
