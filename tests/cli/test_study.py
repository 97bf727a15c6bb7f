"""abx-study: what it shows, writes, copies and deletes, and how it refuses."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pandas as pd
import pytest

from abx_amr.cli import study as command
from abx_amr.errors import InputError
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import JournalStorage, SqliteStorage
from abx_amr.studies.stored import read_study
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import TUNING_DEFAULTS

SPACE = {
    "x": {"type": "float", "low": -1.0, "high": 1.0},
    "size": {"type": "categorical", "choices": [32, "auto"]},
}


def outcomes(params, seeds, folder):
    """Seed 1001 fails in trial 1; the best is near x = 0.3."""
    return [
        SeedOutcome(seed, None, failure="OutOfMemoryError")
        if (seed, folder.name) == (1001, "1")
        else SeedOutcome(seed, -((params["agent_algorithm.x"] - 0.3) ** 2) + 0.001 * (seed % 7))
        for seed in seeds
    ]


def make(name="exp", *, storage=None, n_trials=4, run_trial=outcomes):
    """Run a study as abx-tune would have, below the working folder."""
    settings = StudySettings.from_configuration(
        {
            "run_name": name,
            "optimization_dir": "optimization",
            "agent_algorithm": {"x": 0.0, "size": 32},
            "tuning": {
                **TUNING_DEFAULTS,
                "final": False,
                "n_trials": n_trials,
                "sampler": "random",
                "search_space": SPACE,
            },
        }
    )
    storage = storage or SqliteStorage(path=settings.folder / "optuna_study.db")
    prepare_study(settings, storage)
    run_worker(settings, storage, run_trial)
    return settings, storage


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ask(capsys):
    """Return a caller of the command: (status, lines printed, lines of error)."""

    def run(*arguments):
        status = 0
        try:
            command.main(list(arguments))
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        return status, printed.out.splitlines(), printed.err.splitlines()

    return run


def test_create_makes_a_study_that_abx_tune_takes_over(ask):
    status, out, _ = ask("create", "exp", "direction=minimize")
    assert (status, len(out)) == (0, 1)
    assert "created in sqlite" in out[0]
    storage = SqliteStorage(path="optimization/exp/optuna_study.db")
    assert read_study(storage, "exp").direction == "minimize"
    assert "exists already" in ask("create", "exp")[1][0]


def test_a_study_created_by_hand_is_worked_on_and_has_its_files(ask):
    ask("create", "exp")
    settings, _ = make()
    assert (settings.folder / "full_agent_env_config.yaml").is_file()
    assert (settings.folder / "best_params.json").is_file()
    assert "finished: 4 (4 COMPLETE)" in "\n".join(ask("show", "exp")[1])


@pytest.mark.parametrize("kind", ["sqlite", "journal", "postgres"])
def test_create_by_eight_at_once_makes_one_study(kind, request, in_processes):
    if kind == "postgres":
        request.getfixturevalue("postgres")
    codes = in_processes(8, lambda _: command.main(["create", "exp", f"storage={kind}"]))
    assert codes == [0] * 8


def test_list_shows_every_study_below_the_folder(ask):
    make("first")
    make("second", n_trials=2)
    status, out, _ = ask("list")
    assert status == 0
    assert [line.split()[:2] for line in out[1:]] == [["first", "4/4"], ["second", "2/2"]]


def test_an_attempt_that_was_interrupted_is_not_listed_as_failed(ask):
    def interrupted(params, seeds, folder):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    _, storage = make("exp", run_trial=interrupted)
    assert read_study(storage, "exp").states["FAIL"] == 1
    assert ask("list")[1][1].split()[1:4] == ["0/4", "0", "0"]


def test_list_shows_every_study_of_a_storage(ask):
    storage = JournalStorage(path="all.log")
    make("first", storage=storage)
    make("second", storage=storage)
    out = ask("list", "storage=journal", f"storage.path={storage.path}")[1]
    assert [line.split()[0] for line in out[1:]] == ["first", "second"]


def test_list_of_nothing_creates_nothing(ask, tmp_path):
    status, out, _ = ask("list")
    assert (status, out[0].startswith("no study in sqlite")) == (0, True)
    assert list(tmp_path.iterdir()) == []


def test_show_says_how_far_the_study_is_and_who_works_on_it(ask):
    settings, storage = make()
    study = read_study(storage, "exp")
    text = "\n".join(ask("show", "exp")[1])
    assert "budget: 4 trials; finished: 4 (4 COMPLETE)" in text
    shown = ", ".join(f"seed {s.seed} {s.episode_return:.3f}" for s in study.best.seeds)
    assert f"(trial {study.best.number}): {shown}" in text
    assert "workers seen: 1: this study has one worker" in text
    assert f"process {os.getpid()}: 4 finished, gone or idle" in text
    assert f"fingerprint: {settings.fingerprint.digest}" in text
    assert "last heartbeat: 20" in text


def test_best_prints_what_best_params_json_holds(ask):
    settings, _ = make()
    out = ask("best", "exp")[1]
    assert json.loads("\n".join(out)) == json.loads(
        (settings.folder / "best_params.json").read_text()
    )


def test_best_of_a_study_without_a_finite_value_says_so(ask):
    make(run_trial=lambda p, seeds, f: [SeedOutcome(s, None, failure="x") for s in seeds])
    status, _, err = ask("best", "exp")
    assert status == 2
    assert "4 trials are finished, none has a finite value" in err[0]


def test_trials_has_a_line_for_each(ask):
    make()
    out = ask("trials", "exp")[1]
    assert out[0].split()[:4] == ["trial", "state", "value", "mean"]
    assert [line.split()[:2] for line in out[1:]] == [[str(n), "COMPLETE"] for n in range(4)]


def test_a_trial_of_another_program_is_shown_and_does_not_count(ask):
    _, storage = make()
    added = optuna.trial.create_trial(
        params={"x": 3},
        distributions={"x": optuna.distributions.IntDistribution(1, 5)},
        value=999.0,
    )
    optuna.load_study(study_name="exp", storage=storage.open()).add_trial(added)
    shown = "\n".join(ask("show", "exp")[1])
    assert "finished: 4 (5 COMPLETE)" in shown
    assert "best: 999" not in shown
    assert "does not count: it was added by another program with 'x'" in ask("trials", "exp")[1][-1]
    point = next(line for line in ask("audit", "exp")[1] if "budget" in line)
    assert point.startswith("pass"), point


def test_export_writes_a_row_for_every_trial_and_seed(ask):
    _, storage = make()
    mine = optuna.load_study(study_name="exp", storage=storage.open())
    mine.enqueue_trial({"agent_algorithm.x": 0.5})
    status, out, _ = ask("export", "exp", "folder=tables")
    assert (status, len(out)) == (0, 2)
    csv = pd.read_csv("tables/exp_trials.csv")
    parquet = pd.read_parquet("tables/exp_trials.parquet")
    assert len(csv) == len(parquet) == 4 * 3 + 1
    assert list(csv.columns) == list(parquet.columns)
    assert not csv.duplicated(["number", "seed"]).any()
    study = read_study(storage, "exp")
    for trial in study.trials[:4]:
        rows = parquet[parquet["number"] == trial.number]
        assert list(rows["seed"]) == [1000, 1001, 1002]
        assert set(rows["value"]) == {trial.value}
        assert set(rows["params.agent_algorithm.x"]) == {trial.params["agent_algorithm.x"]}
        for row, seed in zip(rows.itertuples(), trial.seeds, strict=True):
            expected = seed.episode_return
            assert (
                math.isnan(row.episode_return)
                if expected is None
                else (row.episode_return == expected)
            )
    failed = csv[csv["seed_failure"] == "OutOfMemoryError"]
    assert list(zip(failed["number"], failed["seed"], strict=True)) == [(1, 1001)]
    assert list(csv["state"])[-1] == "WAITING"


def test_copy_to_another_storage_and_back_is_the_same_study(ask, postgres):
    _, storage = make()
    assert ask("copy", "exp", "storage=sqlite", "to=postgres")[0] == 0
    status, out, _ = ask(
        *("copy", "exp", "storage=postgres", "to=journal", "to.path=back.log", "to_study_name=b")
    )
    assert status == 0
    assert "study b: 4 trials copied to journal" in out[0]
    back = read_study(JournalStorage(path="back.log"), "b")
    there = read_study(storage, "exp")
    copied, original = (
        [(t.params, t.values, t.user_attrs) for t in (one.frozen for one in study.trials)]
        for study in (back, there)
    )
    assert copied == original
    assert back.user_attrs == there.user_attrs


def test_delete_removes_the_study_and_leaves_its_files(ask):
    settings, storage = make()
    (settings.folder / "trials" / "0").mkdir(parents=True)
    assert ask("delete", "exp")[0] == 0
    assert not storage.exists("exp")
    assert (settings.folder / "best_params.json").exists()
    make()  # a new one of the same name does not take them for its own
    assert (settings.folder / "trials_earlier_1" / "0").is_dir()
    assert not (settings.folder / "trials" / "0").exists()


def test_delete_and_copy_are_refused_while_a_worker_is_at_work_unless_forced(ask):
    refused = []

    def run_trial(params, seeds, folder):
        refused.append(ask("delete", "exp"))
        refused.append(ask("copy", "exp", "to=journal"))
        assert ask("copy", "exp", "to=journal", "force=true")[0] == 0
        return outcomes(params, seeds, folder)

    make(n_trials=1, run_trial=run_trial)
    for status, _, err in refused:
        assert status == 2
        assert f"is being worked on by process {os.getpid()}" in err[0]
        assert "force=true" in err[0]


def files():
    """Return what lies below the working folder; SQLite's own files come and go."""
    return sorted(p for p in Path().rglob("*") if not p.name.endswith(("-wal", "-shm")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shwo", "exp"], "verb 'shwo' does not exist; did you mean 'show'"),
        (["show"], "write abx-study show NAME"),
        (["show", "storage=sqlite"], "write abx-study show NAME"),
        (["show", "nowhere"], "study 'nowhere' does not exist"),
        (["show", "ex"], "study 'ex' does not exist"),
        (["show", "exp", "storage=sqlit"], "did you mean 'sqlite'"),
        (["show", "exp", "storage.pth=x"], "storage.pth does not exist"),
        (["show", "exp", "nonsense"], "write key=value"),
        (["show", "exp", "to=journal"], "goes with abx-study copy"),
        (["copy", "exp"], "copy needs to=STORAGE"),
        (["copy", "exp", "to=sqlite"], "'exp' exists in sqlite"),
        (["create", "x", "direction=up"], "direction must be maximize or minimize"),
        (["delete", "exp", "force=maybe"], "force must be true or false"),
        (["show", "exp", "storage=url"], "ABX_STORAGE_URL"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(ask, arguments, message, monkeypatch):
    monkeypatch.delenv("ABX_STORAGE_URL", raising=False)
    make(n_trials=1)
    before = files()
    status, out, err = ask(*arguments)
    assert (status, out, len(err)) == (2, [], 1)
    assert err[0].startswith("abx-study: error: ")
    assert message in err[0]
    assert files() == before


def test_a_server_that_is_not_there_is_one_line_and_status_2():
    done = subprocess.run(
        [sys.executable, "-m", "abx_amr.cli.study", "show", "exp", "storage=postgres"],
        env={**os.environ, "PG_HOST": "127.0.0.1", "PG_PORT": "1", "PG_USERNAME": "ada"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "host 127.0.0.1, port 1, user ada" in done.stderr
    assert "`abx-postgres up`" in done.stderr


def test_help_has_commands_to_paste(ask):
    text = "\n".join(ask("--help")[1])
    assert "abx-study show first_study" in text
    assert all(verb in text for verb in command.VERBS)


def test_list_and_show_find_a_journal_beside_databases_and_pass_over_a_broken_one(ask):
    make("first")
    settings, _ = make(
        "second", storage=JournalStorage(path="optimization/second/optuna_journal.log")
    )
    (settings.optimization_dir / "third").mkdir()
    (settings.optimization_dir / "third" / "optuna_study.db").write_bytes(b"no database" * 99)
    status, out, _ = ask("list")
    assert status == 0
    assert [line.split()[0] for line in out[1:3]] == ["first", "second"]
    assert out[3].startswith("not listed: ") and "third" in out[3]
    assert "finished: 4" in "\n".join(ask("show", "second")[1])


def test_a_renamed_folder_is_recognised_by_abx_study_and_by_the_search(ask):
    settings, _ = make("old")
    settings.folder.rename(settings.folder.with_name("new"))
    status, _, err = ask("show", "new")
    assert status == 2
    assert "write old run_name=new" in "\n".join(err)
    assert ask("show", "old", "run_name=new")[0] == 0
    best = Path("optimization/new/best_params.json").read_bytes()
    with pytest.raises(InputError, match="add study_name=old"):
        make("new")
    assert Path("optimization/new/best_params.json").read_bytes() == best


def test_trials_says_why_seeds_and_trials_failed(ask):
    make()
    text = "\n".join(ask("trials", "exp")[1])
    assert "seed 1001 failed: OutOfMemoryError" in text


# --- a study by its folder ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["optimization/exp", "optimization/exp/", "./optimization/exp"])
@pytest.mark.parametrize("verb", ["best", "show", "trials"])
def test_a_study_is_found_by_its_folder_as_by_its_name(ask, verb, path):
    make()
    assert ask(verb, path) == ask(verb, "exp")


def test_a_folder_elsewhere_with_blanks_is_found(ask, tmp_path):
    make()
    elsewhere = tmp_path / "sent by, a colleague"
    os.rename("optimization", elsewhere)
    status, out, _ = ask("best", str(elsewhere / "exp"))
    assert (status, out[0]) == (0, "{")


def test_the_folder_of_one_study_is_not_taken_for_that_of_all(ask):
    make()
    for verb in (["list"], ["show", "exp"]):
        status, out, err = ask(*verb, "optimization_dir=optimization/exp")
        assert (status, out, len(err)) == (2, [], 1)
        assert "is the folder of one study, exp: write optimization_dir=optimization," in err[0]
    assert ask("list", "optimization_dir=optimization")[1][1].startswith("exp ")


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["list", "optimization"], "write abx-study list optimization_dir=optimization"),
        (
            ["create", "optimization/new"],
            "write abx-study create new optimization_dir=optimization",
        ),
        (["best", "optimization/nope"], "give the NAME of one (abx-study list shows all)"),
        (["best", "optimization/exp", "optimization_dir=x"], "write exp in place of optimization"),
    ],
)
def test_a_path_that_cannot_be_meant_is_refused_with_a_cure(ask, words, cure):
    make()
    status, out, err = ask(*words)
    assert (status, out, len(err)) == (2, [], 1)
    assert cure in err[0]


def test_best_says_where_the_file_that_is_handed_on_holds_other_values(ask):
    settings, _ = make()
    assert ask("best", "exp")[2] == []
    file = settings.folder / "best_params.json"
    best = json.loads(file.read_text())
    file.write_text(json.dumps({**best, "agent_algorithm.x": 0.75}))
    status, out, (line,) = ask("best", "exp")
    assert (status, json.loads("\n".join(out))) == (0, best)
    assert f"agent_algorithm.x 0.75, not {best['agent_algorithm.x']}" in line
