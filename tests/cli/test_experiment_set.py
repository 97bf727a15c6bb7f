"""abx-train -m: every combination a run with a name of its own, whatever becomes of the others."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from abx_amr.cli import gather, train, tune
from abx_amr.runs.folder import newest_run, run_folders
from abx_amr.runs.registry import completed_runs
from abx_amr.runs.run_names import run_name_of
from tests.cli.conftest import SMALL, SMALL_STUDY, Call

TWO_EPISODES = ("training.total_num_training_episodes=2",)
SET = ("-m", *SMALL, *TWO_EPISODES, "experiment=paper_single,paper_two", "training.seed=range(1,3)")
NAMES = [f"{e}_ppo_seed{s}" for e in ("paper_single", "paper_two") for s in (1, 2)]
ABX_TRAIN = [sys.executable, "-m", "abx_amr.cli.train"]


def names() -> list[str]:
    return sorted(folder.run_name for folder in run_folders("results"))


def test_each_run_is_named_by_its_condition_and_seed_and_a_second_call_skips_it(call: Call) -> None:
    ended = call(train.main, *SET, "skip_if_exists=true")
    assert ended.status == 0, ended.err
    assert names() == NAMES
    assert "4 of 4 runs are complete, in results" in ended.out
    assert ended.out.rstrip().endswith("abx-gather")
    seeds = [newest_run("results", name).read_summary()["seed"] for name in NAMES]
    assert seeds == [1, 2, 1, 2]
    chosen = newest_run("results", NAMES[0]).read_provenance()["choices"]
    assert (chosen["experiment"], chosen["agent_algorithm"]) == ("paper_single", "ppo")
    assert not Path("multirun.yaml").exists()
    more = [*SET[:-1], "training.seed=range(1,4)"]
    again = call(train.main, *more, "skip_if_exists=true")
    assert again.status == 0, again.err
    assert "6 runs, 4 are complete already and skipped" in again.out
    assert len(names()) == 6


def test_a_run_that_is_skipped_although_other_settings_are_asked_for_is_named(call: Call) -> None:
    assert call(train.main, "-m", *SMALL, *TWO_EPISODES, "training.seed=1,2").status == 0
    more = "training.total_num_training_episodes=3"
    ended = call(train.main, "-m", *SMALL, more, "training.seed=1,2", "skip_if_exists=true")
    assert ended.status == 0
    assert "training.total_num_training_episodes 2 -> 3" in ended.out + ended.err


def test_a_run_that_was_interrupted_goes_on_from_its_checkpoint_to_the_bit(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from abx_amr.runs import callbacks

    often = ("training.eval_freq_every_n_episodes=1", "training.save_freq_every_n_episodes=1")
    whole = ("-m", *SMALL, *often, "training.total_num_training_episodes=4", "training.seed=1,2")
    real, calls = callbacks.evaluate, []

    def fails_in_the_third(*arguments: object, **keywords: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(callbacks, "evaluate", fails_in_the_third)
    stopped = call(train.main, *whole)
    assert stopped.status == 130
    assert "skip_if_exists=true" in stopped.err
    monkeypatch.setattr(callbacks, "evaluate", real)
    ended = call(train.main, *whole, "skip_if_exists=true")
    assert ended.status == 0, ended.err
    assert "base_ppo_seed1 was interrupted and goes on" in ended.out
    resumed = newest_run("results", "base_ppo_seed1")
    assert "resumed_from" in resumed.read_provenance()
    assert call(train.main, *whole[:-1], "training.seed=1", "run_name=alone").status == 0
    pd.testing.assert_frame_equal(
        resumed.read_evaluations(), newest_run("results", "alone_seed1").read_evaluations()
    )


def test_a_run_that_fails_costs_only_itself_and_is_listed(call: Call) -> None:
    ended = call(
        train.main, "-m", *SMALL, *TWO_EPISODES, "agent_algorithm.gamma=7,0.9", "training.seed=1,2"
    )
    assert ended.status == 1
    assert "2 of 4 runs are complete" in ended.out
    line = "failed: base_ppo_gamma7_seed1: agent_algorithm.gamma must be a number in (0, 1], got 7"
    assert line in ended.out
    assert names() == ["base_ppo_gamma0.9_seed1", "base_ppo_gamma0.9_seed2"]
    assert "Traceback" not in ended.err


def test_a_mistake_that_all_runs_share_is_one_line_and_leaves_nothing(call: Call) -> None:
    ended = call(train.main, "-m", *SMALL, "agent_algorithm.gamma=7", "training.seed=1,2")
    assert ended.status == 2
    assert "each of the 2 runs failed: agent_algorithm.gamma must be a number" in ended.err
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("experiment=paper_two,paper_tow", "did you mean 'paper_two'?"),
        ("agent_algorithm.gama=0.9,0.99", "did you mean 'gamma'?"),
        ("agent_algorithm.gamma=interval(0.9,0.99)", "an interval cannot be run through"),
        ("training.seed=range(3,3)", "the range holds no value"),
        ("experiment=glob(papr_*)", "experiment=glob(papr_*): no choice fits"),
        ("training.seed=1,1", "would both be called 'base_ppo_seed1'"),
    ],
)
def test_a_set_that_cannot_be_composed_is_refused_before_its_first_run(
    call: Call, sweep: str, message: str
) -> None:
    ended = call(train.main, "-m", *SMALL, sweep)
    assert ended.status == 2
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not Path("results").exists()


def test_a_rule_is_played_once_and_a_manager_takes_its_place_in_a_set(call: Call) -> None:
    small = [o for o in SMALL if not o.startswith("agent_algorithm.")]
    ended = call(
        train.main, "-m", *small, *TWO_EPISODES, "experiment=paper_two",
        "agent_algorithm=greedy,hrl_ppo", "training.seed=1,2", "skip_if_exists=true",
    )  # fmt: skip
    assert ended.status == 0, ended.out + ended.err
    assert "greedy does not learn: it is played once, not 2 times" in ended.out
    assert set(names()) == {
        "paper_two_greedy",
        "paper_two_hrl_ppo_seed1",
        "paper_two_hrl_ppo_seed2",
    }


def test_seeds_trained_together_are_runs_of_a_set_too(call: Call) -> None:
    together = ("training.seeds=[1,2]", "agent_algorithm.gamma=0.9,0.99")
    ended = call(train.main, "-m", *SMALL, *TWO_EPISODES, *together, "skip_if_exists=true")
    assert ended.status == 0, ended.err
    assert set(names()) == {f"base_ppo_gamma{g}_seed{s}" for g in ("0.9", "0.99") for s in (1, 2)}
    apart = ("training.seed=1,2", "agent_algorithm.gamma=0.9,0.99")
    again = call(train.main, "-m", *SMALL, *TWO_EPISODES, *apart, "skip_if_exists=true")
    assert "4 runs, 4 are complete already and skipped" in again.out


def test_the_best_parameters_of_a_study_are_trained_with_several_seeds(call: Call) -> None:
    assert call(tune.main, *SMALL_STUDY, "tuning.n_trials=1").status == 0
    best = ("-m", *SMALL[:3], SMALL[-1], *TWO_EPISODES, "best_params_from=ppo_default")
    ended = call(train.main, *best, "training.seed=1,2")
    assert ended.status == 0, ended.err
    assert names() == ["ppo_default_optimized_seed1", "ppo_default_optimized_seed2"]
    again = call(train.main, *best, "training.seed=1,2", "skip_if_exists=true")
    assert "2 runs, 2 are complete already and skipped" in again.out
    assert "other settings" not in again.out + again.err
    seeds = call(train.main, *best[1:], "training.seeds=[2,3]", "skip_if_exists=true")
    assert "ppo_default_optimized_seed2 is complete already" in seeds.out
    assert "other settings" not in seeds.out + seeds.err
    table = call(gather.main)
    assert "3 runs, 1 condition in 1 clinic" in table.out


def test_a_run_name_given_stands_before_what_is_swept(call: Call) -> None:
    ended = call(train.main, "-m", *SMALL, *TWO_EPISODES, "run_name=mine", "training.seed=1,2")
    assert ended.status == 0, ended.err
    assert names() == ["mine_seed1", "mine_seed2"]
    own = ["run_name=of_${training.seed}", "training.seed=1,2"]
    assert call(train.main, "-m", *SMALL, *TWO_EPISODES, *own).status == 0
    assert {"of_1", "of_2"} <= set(names())


def test_a_pattern_of_choices_is_every_choice_that_fits(call: Call) -> None:
    ended = call(train.main, "-m", *SMALL, *TWO_EPISODES, "experiment=glob(paper_t*,*_cross*)")
    assert ended.status == 0, ended.err
    assert len(names()) == 1
    assert names()[0].startswith("paper_two_ppo_seed")


@pytest.mark.parametrize(
    "name", ["it's", "a/b", "back\\\\", "${training.seed}'s", "${training.seed}/x"]
)
def test_a_name_that_no_folder_can_have_is_refused_before_the_first_run(
    call: Call, name: str
) -> None:
    ended = call(train.main, "-m", *SMALL, "training.seed=1,2", f'run_name="{name}"')
    assert ended.status == 2
    assert "run_name must be a plain folder name" in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("launcher", "setting", "message"),
    [
        ("joblib", "n_jobs=0", "hydra/launcher=joblib could not start a job: n_jobs == 0"),
        ("submitit_local", "timeout_min=ten", "hydra.launcher.timeout_min"),
        ("submitit_local", "nodes=2", "hydra/launcher=submitit_local could not start a job: "),
    ],
)
def test_a_launcher_that_cannot_start_is_a_mistake_and_no_killed_job(
    call: Call, launcher: str, setting: str, message: str
) -> None:
    own = (f"hydra/launcher={launcher}", f"hydra.launcher.{setting}")
    ended = call(train.main, "-m", *SMALL, *TWO_EPISODES, "training.seed=1,2", *own)
    assert ended.status == 2
    assert message in ended.err
    assert "killed" not in ended.out + ended.err
    assert "Traceback" not in ended.err
    assert not Path("results").exists()


def test_many_runs_on_a_launcher_that_cannot_start_are_refused_before_one_is_composed(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed: list[object] = []
    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", composed.append)
    monkeypatch.setenv("PATH", "/nowhere")
    slurm = ("hydra/launcher=submitit_slurm", "training.seed=range(512)")
    ended = call(train.main, "-m", *SMALL, *slurm)
    assert ended.status == 2
    assert "hydra/launcher=submitit_slurm: there is no sbatch on this machine" in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert composed == []
    assert not Path("results").exists()


def test_names_stay_short_and_plain() -> None:
    settings = {"run_name": None, "best_params_from": "found"}
    choices = {"experiment": "base", "agent_algorithm": "ppo"}
    swept = {"agent_algorithm.policy_kwargs.net_arch": "[64,64]", "antibiotics": "single"}
    name = run_name_of(swept, settings, choices, seed=None)
    assert name == "found_optimized_net_arch-64-64_single".replace("net_arch-", "net_arch-")
    long = {"reward_calculator.note": "x" * 100}
    assert len(run_name_of(long, settings, choices, seed=1)) < 80


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_killed_run_costs_only_itself_behind_any_launcher(tmp_path: Path, launcher: str) -> None:
    (tmp_path / "deadly.py").write_text(
        "import os, signal\n"
        "from abx_amr.agents.rules import Never\n"
        "class Deadly(Never):\n"
        "    def __init__(self, *, model, deadly=False):\n"
        "        super().__init__(model=model)\n"
        "        if deadly:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    more = ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []
    ended = subprocess.run(
        [
            *ABX_TRAIN, "-m", "agent_algorithm=never", "agent_algorithm._target_=deadly.Deadly",
            "+agent_algorithm.deadly=true,false", f"hydra/launcher={launcher}", *more,
            "figures=false", "environment.max_time_steps=8", "training.num_eval_episodes=2",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])},
    )  # fmt: skip
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "1 of 2 runs are complete" in ended.stdout
    assert "failed: base_never_deadlyTrue: it ended without a word (killed?)" in ended.stdout
    assert set(completed_runs(tmp_path / "results")) == {"base_never_deadlyFalse"}
