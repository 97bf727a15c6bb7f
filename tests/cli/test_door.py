"""What a user sees who types something wrong: one line, status 2, nothing left behind."""

import importlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from abx_amr.cli import evaluate, gather, init, study, train, tune
from abx_amr.cli.door import RUN_AGAIN, run_command
from tests.cli.conftest import SMALL_STUDY, Call

MISTAKES = {
    "patient_generator=hihg_risk": "did you mean 'high_risk'",
    "reward_calculator.lamda_weight=0.5": "did you mean 'lambda_weight'",
    "environmnt=default": "did you mean 'environment'",
    "+environment=default": "without the +",
    "tuning=ppo_default": "write +tuning=ppo_default",
    "a=[1,": "cannot be read",
    "nonsense": "write key=value",
    "environment.max_time_steps=1,2": "add -m",
    "~environment.foo": "environment.foo does not exist",
    "+environment.foo=3": "environment.foo is unknown",
    "environment.visible_amr=3": "environment.visible_amr must be a section",
    "environment.visible_amr.update_every_n_time_steps=0": "update_every_n_time_steps",
    "environment.num_patients_per_time_step=two": "num_patients_per_time_step",
    "training.seed=abc": "training.seed must be a whole number",
    "training.seed=1000": "belong to tuning",
    "training.n_envs=0": "training.n_envs must be a whole number of at least 1",
    "training.early_stopping.patience=0": "patience must be a whole number of at least 1",
    "+training.sed=3": "did you mean 'seed'",
    "antibiotics.drugs.A.leak=1.5": "leak",
    "+antibiotics.drugs.A.leek=0.1": "did you mean 'leak'",
    "antibiotics.drugs.B=null": "antibiotics.drugs.B must be a section",
    "~antibiotics.drugs.B.leak": "missing ['B']",
    "antibiotics.cross_resistance.A.B=2": "cross_resistance.A.B",
    "patient_generator.visible_patient_attributes=[prob_infectd]": "prob_infected",
    "patient_generator.prob_infected.distribution.type=uniform": "uniform",
    "reward_calculator.lambda_weight=2": "lambda_weight",
    "agent_algorithm.n_steps=130": "the nearest is 128",
    "agent_algorithm.gamma=1.5": "agent_algorithm.gamma must be a number in (0, 1]",
    "agent_algorithm.one_minus_gamma=1.5": "one_minus_gamma must be a number in (0, 1)",
    "agent_algorithm.learning_rate=fast": "agent_algorithm.learning_rate must be a number above 0",
    "+agent_algorithm.learning_rat=1": "did you mean 'learning_rate'",
    "+agent_algorithm.seed=1": "agent_algorithm.seed is set by the run itself",
    "agent_algorithm._target_=stable_baselines3.DQN": "is unknown to DQN",
    "agent_algorithm._target_=nowhere.PPO": "cannot be imported",
    "agent_algorithm.policy=CnnPolicyy": "CnnPolicyy",
    "amr_dynamics._target_=abx_amr.simulator.dynamics.LeakyBaloon": "cannot be imported",
    "resume_from=nowhere": "nowhere",
    "best_params_from=nowhere": "no optimisation run 'nowhere'",
    "training.additional_episodes=3": "goes with resume_from",
    "+foo=1": "foo",
    "--run-name": "run_name=NAME",
    "--resolve": "--resolve goes with --cfg: write --cfg job --resolve",
    "--package=training": "--package goes with --cfg: write --cfg job --package training",
    "results_dir=link": "results_dir must be a folder, but 'link' is a link that leads nowhere",
    "optimization_dir=loop/x": "must be a folder, but 'loop' is a link that leads nowhere",
    "--experimental-rerun=x.pickle": "resume_from=FOLDER goes on with it",
    "--config-name=tune": "--config-name=tune is that of abx-tune",
    "run_name=None": "run_name=null (or none given) is the default one",
    "hydra.job.chdir=true": "would change the working folder",
    "agent_algorithm.normalize_advantage=no": "must be true or false, got 'no'",
}


#: Links that lead nowhere.
LINKS = {"link": "not_there", "loop": "loop"}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_in_one_line_and_leaves_nothing(
    mistake: str, call: Call, tmp_path: Path
) -> None:
    for name, target in LINKS.items():
        (tmp_path / name).symlink_to(target)
    ended = call(train.main, mistake)
    lines = ended.err.strip().splitlines()
    assert ended.status == 2, ended.err
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("abx-train: error: ")
    assert MISTAKES[mistake] in lines[0]
    assert {path.name for path in tmp_path.iterdir()} == set(LINKS)


def test_a_traceback_is_shown_only_when_asked_for(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="belong to tuning"):
        call(train.main, "training.seed=1000")


@pytest.mark.parametrize("command", [train, tune, evaluate])
def test_help_names_commands_to_paste(command: object, call: Call) -> None:
    ended = call(command.main, "--help")  # type: ignore[attr-defined]
    assert ended.status == 0
    assert ended.out.count("  abx-") >= 3


def test_cfg_shows_the_composed_configuration(call: Call) -> None:
    ended = call(train.main, "--cfg", "job", "--package", "environment", "experiment=paper_two")
    assert ended.status == 0
    assert "num_patients_per_time_step: 1" in ended.out


@pytest.mark.parametrize("threads", ["abc", "0", "-1", "1.5"])
def test_threads_that_are_no_number_are_refused(
    threads: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
    ended = call(train.main, "--cfg", "job")
    assert ended.status == 2
    assert f"got '{threads}': unset NUMBA_NUM_THREADS" in ended.err


def test_a_display_that_the_environment_asks_for_is_not_looked_for(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    assert call(train.main, "--help").status == 0
    assert os.environ["MPLBACKEND"] == "agg"


@pytest.mark.parametrize(
    ("setting", "cure"),
    [
        ("training.early_stopping=true", "write training.early_stopping.enabled=true"),
        ("training.vec_normalize=0", "write training.vec_normalize.enabled=false"),
        ("training.seeds=1-3", "write [1,2,3]"),
        ("agent_algorithm.gamma=0,99", "a number has a decimal point: agent_algorithm.gamma=0.99"),
        ("agent_algorithm.learning_rate=3e\u22124", "write agent_algorithm.learning_rate=3e-4"),
    ],
)
def test_what_is_nearly_right_has_a_cure_that_cures(setting: str, cure: str, call: Call) -> None:
    ended = call(train.main, setting)
    assert ended.status == 2
    assert ended.err.rstrip().endswith(cure)


@pytest.mark.parametrize("flags", [("job",), ("job", "--resolve"), ("all", "--resolve")])
def test_a_configuration_is_shown_without_its_passwords(
    flags: tuple[str, ...], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_URL", "postgresql://ada:swordfish@host/db")
    url = ("storage=url", "storage.url=${oc.env:SOME_URL}")
    ended = call(train.main, *url, "--cfg", *flags)
    assert ended.status == 0, ended.err
    assert "url: " in ended.out
    assert "swordfish" not in ended.out + ended.err


def test_a_configuration_is_shown_with_m_too(call: Call) -> None:
    ended = call(tune.main, "-m", "+tuning=ppo_default", "--cfg", "job", "--package", "tuning")
    assert ended.status == 0
    assert "n_trials: 50" in ended.out
    ended = call(train.main, "-m", "--cfg", "job", "training.seed=1,2")
    assert ended.status == 2
    assert "'training.seed=1,2' sweeps over values: one configuration is shown" in ended.err


@pytest.mark.parametrize("command", [train, gather, init])
def test_the_version_is_that_of_the_package(command: object, call: Call) -> None:
    ended = call(command.main, "--version")  # type: ignore[attr-defined]
    assert (ended.status, ended.out.strip()) == (0, f"abx-amr {version('abx-amr')}")


def test_a_set_searches_what_a_file_has_for_another_sweeper(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/swept.yaml").write_text(
        "# @package _global_\n"
        "hydra: {sweeper: {params: {reward_calculator.lambda_weight: 'choice(0.1, 0.2)'}}}\n"
    )
    ended = call(
        train.main, "-m", "--config-dir", "mine", "experiment=swept", "agent_algorithm=never",
        "environment.max_time_steps=5", "training.num_eval_episodes=2", "figures=false",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    assert "2 of 2 runs are complete" in ended.out


def test_tuning_without_a_tuning_choice_lists_the_choices(call: Call, tmp_path: Path) -> None:
    ended = call(tune.main, "-m")
    assert ended.status == 2
    assert "+tuning=NAME (available: a2c_default, " in ended.err
    assert ", ppo_default, " in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_tuning_value_without_a_tuning_choice_says_what_to_add(call: Call) -> None:
    ended = call(tune.main, "-m", "tuning.n_trials=2")
    assert ended.status == 2
    assert "tuning is not chosen yet: add +tuning=NAME" in ended.err


def test_a_misspelt_group_of_s_is_refused_before_its_file_is_copied(
    call: Call, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("a: 1\n")
    ended = call(train.main, "-s", "patient_genrator-subconfig=mine.yaml")
    assert ended.status == 2
    assert "did you mean 'patient_generator'" in ended.err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_users_own_group_member_is_found_in_a_config_dir(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine/environment").mkdir(parents=True)
    (tmp_path / "mine/environment/tiny.yaml").write_text("defaults: [default]\nmax_time_steps: 7\n")
    ended = call(
        train.main, "--config-dir", "mine", "environment=tiny", "--cfg", "job", "-p", "environment"
    )
    assert ended.status == 2  # -p is the tutorial's parameter flag, never Hydra's --package
    ended = call(
        train.main, "--config-dir", "mine", "environment=tiny", "--cfg", "job",
        "--package", "environment",
    )  # fmt: skip
    assert ended.status == 0
    assert "max_time_steps: 7" in ended.out


def ends_by_sigterm(task: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> None:
    """Check that a command with this task ends soon after the SIGTERM that the task sends."""

    def work() -> None:
        task()
        time.sleep(10)

    began = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        run_command("abx-x", work, after_interrupt=RUN_AGAIN)
    assert ended.value.code == 143
    assert time.monotonic() - began < 5
    message = capsys.readouterr().err
    assert message == "abx-x: interrupted (SIGTERM): run the same command again\n"


def test_a_signal_in_a_finalizer_is_obeyed_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    finalized = []

    class Held:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            finalized.append(True)

    ends_by_sigterm(lambda: Held() and None, capsys)
    assert finalized


def test_a_signal_that_comes_out_of_compiled_code_as_another_error_is_a_signal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def task() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except BaseException as error:
            raise SystemError("returned a result with an exception set") from error

    ends_by_sigterm(task, capsys)


def test_a_signal_while_a_module_is_imported_is_obeyed_after_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "swallowing.py").write_text(
        "import os, signal\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    import json\n"
        "except BaseException:\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ends_by_sigterm(lambda: importlib.import_module("swallowing"), capsys)
    assert "swallowing" in sys.modules


@pytest.mark.slow
def test_a_study_whose_output_nobody_reads_ends_quietly_and_goes_on_later(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-m", "abx_amr.cli.tune", *SMALL_STUDY])
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        ["bash", "-c", f"{command} tuning.n_trials=3 | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert ended.returncode == 128 + signal.SIGPIPE
    assert ended.stderr == ""
    again = subprocess.run(
        ["bash", "-c", f"{command} tuning.n_trials=3"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert "3 trials finished of 3" in again.stdout, again.stderr


def test_a_run_whose_output_nobody_reads_ends_without_a_word(tmp_path: Path) -> None:
    small = ("agent_algorithm=greedy", "environment.max_time_steps=4", "figures=false")
    command = shlex.join([sys.executable, "-um", "abx_amr.cli.train", *small, "report=false"])
    ended = subprocess.run(
        ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=240,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, "")


def test_what_a_folder_of_the_user_s_offers_is_among_the_names(call: Call, tmp_path: Path) -> None:
    group = tmp_path / "mine" / "patient_generator"
    group.mkdir(parents=True)
    (group / "our_ward.yaml").write_text("visible_patient_attributes: []\n")
    ended = call(train.main, "--config-dir", "mine", "patient_generator=our_wrad")
    assert (ended.status, "did you mean 'our_ward'" in ended.err) == (2, True), ended.err


def test_a_working_folder_that_was_removed_is_said_in_one_line(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for main in (evaluate.main, study.main):
        ended = call(main, "list")
        assert ended.status == 2
        assert "the working folder was removed" in ended.err
        assert len(ended.err.strip().splitlines()) == 1
