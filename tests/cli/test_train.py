"""abx-train: a run folder that says everything, resumes to the bit, and stops when told."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from abx_amr.cli import evaluate, train
from abx_amr.runs.folder import RunFolder, newest_run
from abx_amr.runs.loading import load_policy
from tests.cli.conftest import SMALL, Call

TWO_EPISODES = ("training.total_num_training_episodes=2",)
BARE = ("figures=false", "report=false")
OFTEN = ("training.eval_freq_every_n_episodes=1", "training.save_freq_every_n_episodes=1")


def folder(name: str = "base_ppo") -> RunFolder:
    return newest_run("results", name)


def weights(run: RunFolder) -> list[np.ndarray]:
    agent = load_policy(run.path, checkpoint="last").agent  # type: ignore[attr-defined]
    return [p.detach().numpy() for p in agent.policy.parameters()]


@pytest.mark.pictures
def test_a_run_folder_says_everything(call: Call) -> None:
    everything = ("trajectories=true", "figures=true")
    ended = call(train.main, *SMALL, *TWO_EPISODES, *OFTEN, *everything)
    assert ended.status == 0, ended.err
    run = folder()
    assert str(run.path) in ended.out
    assert run.read_config()["environment"]["max_time_steps"] == 16
    assert "environment.max_time_steps=16" in run.read_overrides()
    facts = run.read_provenance()
    assert facts["seeds"] == {"training": 42, "evaluation": 0}
    assert facts["versions"]["stable-baselines3"]
    assert run.has_checkpoint("last")
    assert run.has_checkpoint("best")
    table = run.read_evaluations()
    assert set(table["transitions"]) == {16, 32}
    assert len(table) == 6
    for column in ("episode_return", "benefits", "failures", "adverse_events", "prescriptions_A"):
        assert column in table
    steps = pd.read_parquet(run.trajectories_file)
    assert len(steps) == 3 * 16
    drawn = {f.stem for f in (run.path / "figures").iterdir()}
    expected = {"amr", "prescriptions", "outcomes", "reward_parts", "learning_curve"}
    assert {*expected, "regret_by_amr"} <= drawn
    assert list(run.tensorboard.iterdir())
    summary = run.read_summary()
    last = table[table["transitions"] == 32]["episode_return"]
    assert summary["mean_return"] == pytest.approx(last.mean())
    assert summary["transitions"] == 32
    assert summary["updates"] > 0


def test_a_rule_is_run_like_an_agent(call: Call) -> None:
    ended = call(train.main, *SMALL[:3], "agent_algorithm=greedy")
    assert ended.status == 0, ended.err
    run = folder("base_greedy")
    assert run.read_summary()["transitions"] == 0
    assert not run.has_checkpoint("last")


#: Nothing is scheduled over the length of the training, which is another one for who goes on.
STEADY = ("agent_algorithm.final_learning_rate=null", "agent_algorithm.final_ent_coef=null")


@pytest.mark.parametrize(
    "more",
    [
        (),
        pytest.param(("training.vec_normalize.enabled=true",), marks=pytest.mark.slow),
        pytest.param(
            ("agent_algorithm=a2c", "~agent_algorithm.batch_size", "~agent_algorithm.n_epochs"),
            marks=pytest.mark.slow,
        ),
        ("agent_algorithm=recurrent_ppo",),
    ],
    ids=["ppo", "normalised", "a2c", "recurrent"],
)
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
    call: Call, more: tuple[str, ...]
) -> None:
    small = [*SMALL, *STEADY]
    if "agent_algorithm=a2c" in more:
        small = [s for s in small if "batch_size" not in s and "n_epochs" not in s]
        more = more[:1]
    assert call(train.main, *small, *more, *OFTEN, *FOUR, "run_name=whole").status == 0
    assert call(train.main, *small, *more, *OFTEN, *TWO_EPISODES, "run_name=part").status == 0
    part = folder("part")
    more = ("training.additional_episodes=2", *BARE)
    ended = call(train.main, f"resume_from={part.path}", "run_name=rest", *more)
    assert ended.status == 0, ended.err
    whole, rest = folder("whole"), folder("rest")
    pd.testing.assert_frame_equal(whole.read_evaluations(), rest.read_evaluations())
    assert rest.read_summary()["transitions"] == whole.read_summary()["transitions"]
    assert rest.read_provenance()["resumed_from"] == str(part.path)


FOUR = ("training.total_num_training_episodes=4",)


def test_resuming_a_finished_run_without_more_episodes_says_what_to_add(call: Call) -> None:
    call(train.main, *SMALL, *TWO_EPISODES)
    ended = call(train.main, "resume_from=base_ppo")
    assert ended.status == 2
    assert "training.additional_episodes=N" in ended.err


def test_a_resumed_run_keeps_its_own_clinic(call: Call) -> None:
    call(train.main, *SMALL, *TWO_EPISODES)
    ended = call(
        train.main, "resume_from=base_ppo", "training.additional_episodes=2", "antibiotics=single"
    )
    assert ended.status == 2
    assert "'antibiotics=single' cannot change" in ended.err


def test_an_interrupted_run_goes_on_from_its_last_checkpoint(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from abx_amr.runs import callbacks

    real = callbacks.evaluate
    calls = []

    def fails_in_the_third(*arguments: object, **keywords: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(callbacks, "evaluate", fails_in_the_third)
    ended = call(train.main, *SMALL, *OFTEN, *FOUR)
    assert ended.status == 130
    broken = folder()
    assert f"base_ppo: training for 64 transitions, in {broken.path}" in ended.out
    assert "base_ppo: learned from 32 of 64 transitions as kept" in ended.out
    assert ended.err == (
        "abx-train: interrupted (SIGINT): "
        f"go on with: abx-train resume_from={broken.path} figures=false report=false\n"
    )
    assert not broken.is_complete
    monkeypatch.setattr(callbacks, "evaluate", real)
    command = shlex.split(ended.err.partition("abx-train resume_from")[2])
    assert call(train.main, f"resume_from{command[0]}", *command[1:], "run_name=rest").status == 0
    assert call(train.main, *SMALL, *OFTEN, *FOUR, "run_name=whole").status == 0
    pd.testing.assert_frame_equal(
        folder("whole").read_evaluations(), folder("rest").read_evaluations()
    )


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have Ctrl-C do what it does in a terminal: it is ignored in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_sigterm_names_the_command_that_ends_the_run_as_if_it_had_never_been_stopped(
    call: Call, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "abx_amr.cli.train", *SMALL, *STEADY, *OFTEN, MANY],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        deadline = time.monotonic() + 300  # compiles first, where nothing is kept
        while not list(tmp_path.glob("results/*/checkpoints/last.zip")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.terminate()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    line = (
        r"abx-train: interrupted \(SIGTERM\): go on with: abx-train (resume_from=results/\S+ .*)\n"
    )
    message = re.fullmatch(line, err)
    assert message is not None, err
    learned = int(folder().read_checkpoint("last").state["transitions"]) // 16
    total = f"training.total_num_training_episodes={learned + 2}"
    ended = call(train.main, *shlex.split(message[1]), total, "run_name=rest")
    assert ended.status == 0, ended.err
    assert call(train.main, *SMALL, *STEADY, *OFTEN, total, "run_name=whole").status == 0
    whole, rest = folder("whole"), folder("rest")
    pd.testing.assert_frame_equal(whole.read_evaluations(), rest.read_evaluations())
    for one, other in zip(weights(whole), weights(rest), strict=True):
        np.testing.assert_array_equal(one, other)


MANY = "training.total_num_training_episodes=100000"


@pytest.mark.parametrize("more", [(), ("-m", "training.seed=1,2"), ("agent_algorithm=greedy",)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("interruptible")
def test_a_signal_before_a_checkpoint_leaves_no_folder_behind(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    more: tuple[str, ...],
) -> None:
    from abx_amr.runs import callbacks, training

    def asked_to_end(*arguments: object, **keywords: object) -> object:
        assert list(Path("results").iterdir())
        os.kill(os.getpid(), number)
        raise AssertionError("the signal was not obeyed")

    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    monkeypatch.setattr(callbacks, "evaluate", asked_to_end)
    monkeypatch.setattr(training, "evaluate", asked_to_end)
    small = SMALL[:3] if "agent_algorithm=greedy" in more else SMALL
    ended = call(train.main, *more, *small, *TWO_EPISODES, "figures=false")
    assert ended.status == 128 + number, ended.err
    advice = (
        "the same command with skip_if_exists=true goes on"
        if "-m" in more
        else "nothing was kept, run the same command again"
    )
    assert ended.err == f"abx-train: interrupted ({number.name}): {advice}\n"
    assert not (tmp_path / "results").exists()
    after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    assert after == handlers


def test_an_interrupt_of_a_resumed_run_leaves_the_one_that_it_went_on_from(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from abx_amr.runs import callbacks

    def interrupted(*arguments: object, **keywords: object) -> object:
        raise KeyboardInterrupt

    assert call(train.main, *SMALL, *OFTEN, *TWO_EPISODES).status == 0
    run = folder()
    monkeypatch.setattr(callbacks, "evaluate", interrupted)
    ended = call(train.main, "resume_from=base_ppo", "training.additional_episodes=2")
    assert ended.status == 130
    assert "nothing was kept, run the same command again" in ended.err
    assert folder().path == run.path


def test_an_interrupt_after_the_last_episode_names_the_command_that_evaluates(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from abx_amr.runs import results

    def interrupted(*arguments: object, **keywords: object) -> object:
        raise KeyboardInterrupt

    real = results.summarise
    monkeypatch.setattr(results, "summarise", interrupted)
    ended = call(train.main, *SMALL, *TWO_EPISODES)
    assert ended.status == 130
    command = f"abx-evaluate run={folder().path}"
    assert ended.err.endswith(f": all of its training was kept, evaluate it with: {command}\n")
    monkeypatch.setattr(results, "summarise", real)
    assert call(evaluate.main, *shlex.split(command)[1:], *BARE).status == 0


def test_early_stopping_ends_a_run_that_does_not_improve(call: Call) -> None:
    ended = call(
        train.main, *SMALL, *OFTEN, "training.total_num_training_episodes=40",
        "training.early_stopping.enabled=true", "training.early_stopping.patience=2",
        "training.early_stopping.min_delta=1000",
    )  # fmt: skip
    assert ended.status == 0, ended.err
    summary = folder().read_summary()
    assert summary["stopped_early"]
    # the first evaluation sets the mark, two in a row then fail to beat it by 1000
    assert sorted(set(folder().read_evaluations()["transitions"])) == [16, 32, 48]


def test_early_stopping_lets_an_improving_run_go_on(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from abx_amr.evaluation.episodes import Evaluation
    from abx_amr.runs import callbacks

    returns = iter(range(100))
    real = callbacks.evaluate

    def improving(*arguments: object, **keywords: object) -> Evaluation:
        evaluation = real(*arguments, **keywords)  # type: ignore[arg-type]
        evaluation.__dict__["mean_return"] = float(next(returns))
        return evaluation

    monkeypatch.setattr(callbacks, "evaluate", improving)
    call(
        train.main, *SMALL, *OFTEN, "training.total_num_training_episodes=6",
        "training.early_stopping.enabled=true", "training.early_stopping.patience=1",
    )  # fmt: skip
    assert not folder().read_summary()["stopped_early"]


def test_a_printed_command_gives_the_numbers_again_and_the_page_stands_last_but_one(
    call: Call,
) -> None:
    six = "training.total_num_training_episodes=6"
    ended = call(train.main, *SMALL, *OFTEN, six, "report=true")
    run = folder()
    summary = run.read_summary()
    mean = f"mean return {summary['mean_return']:.2f} "
    assert ended.out.startswith(mean) or f"\n{mean}" in ended.out
    again, page, test = ended.out.splitlines()[-3:]
    assert page.startswith("report:  ") and Path(page.split()[1]).is_file()
    assert again.startswith("again:   abx-evaluate ") and test.startswith("test:    abx-evaluate ")
    command = shlex.split(again)[2:]
    played = call(evaluate.main, *command, "figures=false", "report=false")
    assert played.status == 0, played.err
    same = folder("base_ppo_evaluated").read_summary()
    assert same["mean_return"] == summary["mean_return"]
    assert same["weights"] == summary["weights"] == {"checkpoint": "last", "transitions": 96}
    assert "its last weights, after 96 transitions)" in played.out


def test_the_best_weights_are_told_apart_from_the_last(call: Call) -> None:
    ended = call(train.main, *SMALL, *OFTEN, "training.total_num_training_episodes=6")
    summary = folder().read_summary()
    table = folder().read_evaluations().groupby("transitions")["episode_return"].mean()
    assert summary["best_return"] == pytest.approx(table.max())
    assert summary["best_transitions"] == table.idxmax()
    is_last = summary["best_return"] == summary["mean_return"]
    told = f"best weights: {summary['best_return']:.2f} after {table.idxmax()} transitions"
    assert is_last or told in ended.out
    assert ("which are the best too" in ended.out) == is_last


def test_skip_if_exists_does_not_run_again(call: Call) -> None:
    call(train.main, *SMALL, *TWO_EPISODES, "run_name=once")
    ended = call(train.main, *SMALL, *TWO_EPISODES, "run_name=once", "skip_if_exists=true")
    assert ended.status == 0
    assert "skipped" in ended.out
    assert len(list(Path("results").glob("once_*"))) == 1


def test_multirun_makes_one_folder_for_each_seed(call: Call) -> None:
    ended = call(train.main, "-m", *SMALL, *TWO_EPISODES, "training.seed=1,2")
    assert ended.status == 0, ended.err
    runs = [RunFolder(p) for p in Path("results").glob("base_ppo_*")]
    assert {r.read_summary()["seed"] for r in runs} == {1, 2}


def test_the_same_seed_gives_the_same_table(call: Call) -> None:
    tables = []
    for name in ("first", "second"):
        assert call(train.main, *SMALL, *TWO_EPISODES, f"run_name={name}").status == 0
        tables.append(folder(name).evaluations_file.read_bytes())
    assert tables[0] == tables[1]


def test_a_user_s_file_given_with_s_is_the_one_that_runs(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "my_clinic.yaml"
    file.write_text("defaults: [default]\nmax_time_steps: 16\n")
    ended = call(
        train.main, *SMALL[1:3], "-s", f"environment-subconfig={file}", "agent_algorithm=never",
        *BARE,
    )  # fmt: skip
    assert ended.status == 0, ended.err
    config = folder("base_never").read_config()
    assert config["environment"]["max_time_steps"] == 16
    assert json.loads(folder("base_never").summary_file.read_text())["mean_return"] < 0


def test_seeds_trained_at_once_are_the_runs_of_each_seed_alone(call: Call) -> None:
    ended = call(train.main, *SMALL, *TWO_EPISODES, *OFTEN, "training.seeds=[3,4]")
    assert ended.status == 0, ended.err
    assert "over 2 seeds: mean" in ended.out
    beside = folder("base_ppo_seed4")
    assert beside.read_config()["training"]["seed"] == 4
    assert beside.read_config()["training"]["seeds"] is None
    assert call(train.main, *SMALL, *TWO_EPISODES, *OFTEN, "training.seed=4").status == 0
    alone = folder()
    for one, other in zip(weights(beside), weights(alone), strict=True):
        assert np.array_equal(one, other)
    assert beside.read_evaluations().equals(alone.read_evaluations())
    assert beside.read_summary()["updates"] == alone.read_summary()["updates"]


def test_a_run_of_several_seeds_is_resumed_alone_to_the_bit(call: Call) -> None:
    four = "training.total_num_training_episodes=4"
    assert call(train.main, *SMALL, *STEADY, four, *OFTEN, "training.seed=4").status == 0
    whole = weights(folder())
    assert (
        call(train.main, *SMALL, *STEADY, *TWO_EPISODES, *OFTEN, "training.seeds=[3,4]").status == 0
    )
    half = folder("base_ppo_seed4")
    ended = call(train.main, f"resume_from={half.path}", "training.additional_episodes=2", *BARE)
    assert ended.status == 0, ended.err
    for one, other in zip(weights(folder("base_ppo_seed4")), whole, strict=True):
        assert np.array_equal(one, other)


def test_finished_seeds_are_skipped(call: Call) -> None:
    assert call(train.main, *SMALL, *TWO_EPISODES, "training.seeds=[3]").status == 0
    ended = call(train.main, *SMALL, *TWO_EPISODES, "training.seeds=[3,4]", "skip_if_exists=true")
    assert ended.status == 0, ended.err
    assert "base_ppo_seed3 is complete already" in ended.out
    assert "over 2 seeds" in ended.out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.seeds=[1,1]"], "each seed once"),
        (["training.seeds=5"], "such as [1,2,3]"),
        (["training.seeds=[1,1000]"], "got 1000"),
        (["training.seeds=[1]", "agent_algorithm=greedy"], "does not learn"),
        (["training.seed_batched=perhaps"], "true or false"),
    ],
)
def test_seeds_that_cannot_be_trained_are_refused(
    call: Call, overrides: list[str], message: str
) -> None:
    base = SMALL[:3] if "agent_algorithm=greedy" in overrides else SMALL
    ended = call(train.main, *base, *TWO_EPISODES, *overrides)
    assert ended.status == 2
    assert message in ended.err
    assert not Path("results").exists()


def test_seeds_evaluated_in_one_episode_are_reported_without_its_spread(call: Call) -> None:
    seeds = ("training.seeds=[1,2]", "training.num_eval_episodes=1")
    ended = call(train.main, *SMALL, *TWO_EPISODES, *seeds)
    assert ended.status == 0, ended.err
    assert ended.out.count("(95 % interval -, 1 episode)") == 2
    assert "over 2 seeds: mean" in ended.out


def test_a_run_made_with_skip_if_exists_is_resumed_all_the_same(call: Call) -> None:
    once = ("run_name=longer", "skip_if_exists=true", "trajectories=true")
    assert call(train.main, *SMALL, *TWO_EPISODES, *once).status == 0
    more = ("resume_from=longer", "training.additional_episodes=2", *BARE)
    ended = call(train.main, *more)
    assert ended.status == 0, ended.err
    assert "skipped" not in ended.out
    assert "longer: training for 32 transitions, in " in ended.out + ended.err
    rest = folder("longer")
    assert rest.read_summary()["transitions"] == 64
    assert not rest.trajectories_file.is_file()
    assert rest.read_config()["skip_if_exists"] is False
