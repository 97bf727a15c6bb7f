"""abx-gather: one table of all runs, or one line that says why not."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from abx_amr.cli import evaluate, gather, train
from abx_amr.runs.folder import RunFolder
from tests.cli.conftest import SMALL, Call
from tests.comparison.written import write_run

TWO = ("experiment=paper_two",)
SLOWER = (*TWO, "agent_algorithm.gamma=0.9")


def write_some(*, seeds: int = 3) -> None:
    for seed in range(1, seeds + 1):
        write_run(Path("results"), *TWO, returns=[1.0 + seed, 2.0], seed=seed)
        write_run(Path("results"), *SLOWER, returns=[seed, 1.0], seed=seed, name=f"slow_{seed}")


def test_runs_of_a_set_and_their_evaluations_are_gathered(call: Call) -> None:
    few = [*SMALL, "training.total_num_training_episodes=2", "agent_algorithm.gamma=0.9,0.99"]
    ended = call(train.main, "-m", *few, "experiment=paper_two", "training.seed=1,2")
    assert ended.status == 0, ended.err
    rule = ("agent_algorithm=greedy", "environment.max_time_steps=16", "figures=false")
    ended = call(train.main, *TWO, *rule, "training.num_eval_episodes=3")
    assert ended.status == 0, ended.err
    ended = call(gather.main, "against=greedy")
    assert ended.status == 0, ended.err
    runs = pd.read_csv("gathered/runs.csv")
    assert runs["condition"].tolist() == ["greedy"] + ["ppo_gamma0.9"] * 2 + ["ppo_gamma0.99"] * 2
    assert runs["seed"].fillna(0).tolist() == [0, 1, 2, 1, 2]
    assert runs["agent_algorithm.gamma"].fillna(0).tolist() == [0, 0.9, 0.9, 0.99, 0.99]
    for path, value in zip(runs["path"], runs["return"], strict=True):
        table = pd.read_csv(Path(path) / "evaluations.csv")
        last = table[table["transitions"] == table["transitions"].max()]
        assert value == pytest.approx(last["episode_return"].mean())
    pairs = pd.read_parquet("gathered/pairs.parquet")
    assert pairs[["first", "second", "pairs"]].to_numpy().tolist() == [
        ["ppo_gamma0.9", "greedy", 2],
        ["ppo_gamma0.99", "greedy", 2],
    ]
    assert Path("gathered/returns.png").is_file()
    assert "clinic paper_two" in ended.out
    assert "5 runs, 3 conditions in 1 clinic" in ended.out

    for run in ("paper_two_ppo_gamma0.9_seed1", "paper_two_ppo_gamma0.9_seed2"):
        fair = ("evaluation.episodes=3", "evaluation.seed=5", "figures=false")
        assert call(evaluate.main, f"run={run}", *fair).status == 0
    before = Path("gathered/runs.csv").read_bytes()
    ended = call(gather.main, "what=evaluations")
    assert ended.status == 0, ended.err
    assert Path("gathered/runs.csv").read_bytes() == before
    fair_runs = pd.read_csv("gathered_evaluations/runs.csv")
    for run in fair_runs.to_dict("records"):
        summary = RunFolder(Path(run["path"])).read_summary()
        low, high = summary["mean_return_interval_95"]
        line = f" 3 {summary['mean_return']:.2f} {low:.2f} to {high:.2f} "
        assert line in " ".join(ended.out.split())
        rule = summary["best_rule"]["difference"]["mean"]
        assert run["best_rule_difference"] == pytest.approx(rule)
        assert (run["weights"], f"{rule:.2f}" in ended.out) == ("best", True)
    assert fair_runs["seed"].tolist() == [1, 2]
    assert fair_runs["evaluation_seed"].tolist() == [5, 5]
    assert fair_runs["condition"].tolist() == ["ppo", "ppo"]
    assert "5 of abx-train: what=runs gathers these" in ended.out
    assert "2 of abx-evaluate" in call(gather.main).out


def test_the_same_command_writes_the_same_bytes(call: Call) -> None:
    write_some()
    written = []
    for folder in ("one", "other"):
        plain = ("figures=false", "report=false")
        assert call(gather.main, f"folder={folder}", *plain).status == 0
        written.append({file.name: file.read_bytes() for file in Path(folder).iterdir()})
    assert len(written[0]) == 7
    assert written[0] == written[1]


def test_what_an_earlier_gather_wrote_and_this_one_has_not_is_removed(call: Call) -> None:
    write_some()
    for seed in (1, 2, 3):
        write_run(Path("results"), "experiment=paper_single", returns=[0.0, 1.0], seed=seed)
        slower = ("experiment=paper_single", "agent_algorithm.gamma=0.9")
        write_run(Path("results"), *slower, returns=[1.0, 1.0], seed=seed, name=f"single_{seed}")
    assert call(gather.main, "folder=t").status == 0
    assert Path("t/report.html").is_file()
    seen = {f.name for f in Path("t").iterdir() if not f.name.startswith(".")}
    assert {"overall.csv", "overall.parquet", "pairs.csv", "returns.png"} <= seen
    plain = ("figures=false", "report=false")
    ended = call(gather.main, "folder=t", "format=csv", *plain, "runs=[slow_*]")
    assert ended.status == 0, ended.err
    seen = {f.name for f in Path("t").iterdir() if not f.name.startswith(".")}
    assert seen == {"runs.csv", "conditions.csv"}
    assert pd.read_csv("t/runs.csv")["run"].tolist() == ["slow_1", "slow_2", "slow_3"]


def test_tables_that_somebody_else_wrote_or_changed_stay(call: Call) -> None:
    write_some()
    Path("t").mkdir()
    Path("t/overall.csv").write_text("mine\n")
    assert call(gather.main, "folder=t", "figures=false").status == 0
    assert Path("t/pairs.parquet").is_file()
    Path("t/pairs.csv").write_text("mine too\n")
    assert call(gather.main, "folder=t", "figures=false", "runs=[slow_*]").status == 0
    assert Path("t/overall.csv").read_text() == "mine\n"
    assert Path("t/pairs.csv").read_text() == "mine too\n"
    assert not Path("t/pairs.parquet").exists()


@pytest.mark.parametrize("name", ["pairs.csv", "runs.parquet", "returns.png"])
def test_a_file_of_somebody_else_is_never_written_over(call: Call, name: str) -> None:
    write_some()
    Path(name).write_text("mine\n")
    ended = call(gather.main, "folder=.")
    assert (ended.status, len(ended.err.strip().splitlines())) == (2, 1)
    assert f"{name} was not written by abx-gather" in ended.err
    assert "folder=" in ended.err
    assert sorted(file.name for file in Path().iterdir()) == sorted([name, "results"])
    assert Path(name).read_text() == "mine\n"


def test_a_table_that_was_changed_is_not_written_over_and_others_are(call: Call) -> None:
    write_some()
    assert call(gather.main, "folder=t").status == 0
    write_run(Path("results"), *TWO, returns=[9.0, 9.0], seed=4)
    assert call(gather.main, "folder=t").status == 0
    assert len(pd.read_csv("t/runs.csv")) == 7
    Path("t/runs.csv").write_text("mine\n")
    ended = call(gather.main, "folder=t")
    assert ended.status == 2
    assert "t/runs.csv was changed since abx-gather wrote it" in ended.err
    assert Path("t/runs.csv").read_text() == "mine\n"


def test_few_seeds_and_unpaired_ones_are_said(call: Call) -> None:
    write_some()
    write_run(Path("results"), *TWO, returns=[5.0, 2.0], seed=9)
    write_run(Path("results"), *TWO, returns=[5.0, 2.0], seed=10, complete=False)
    ended = call(gather.main, "figures=false")
    assert "2 of 2 conditions have fewer than 5 seeds" in ended.out
    assert "1 of 1 pairs with seeds that have no partner" in ended.out
    assert "paper_two_ppo_seed10_20260101_000000: not complete" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results_dir=nowhere"], "results_dir=nowhere: there is no such folder"),
        (["runs=[slow_l]"], "did you mean 'slow_1'?"),
        (["runs=[fast_*]"], "run 'fast_*' does not exist"),
        (["by=[agent_algorithm.gama]"], "did you mean 'agent_algorithm.gamma'?"),
        (["by=3"], "by: no run has '3'"),
        (["against=ppo_gamma0.99999"], "condition 'ppo_gamma0.99999' does not exist"),
        (["what=run"], "did you mean 'runs'?"),
        (["format=excel"], "format must be csv or parquet or both, got 'excel'"),
        (["confidence=95"], "confidence must be a number in (0, 1), got 95"),
        (["resamples=0"], "resamples must be a whole number of at least 1, got 0"),
        (["figures=perhaps"], "figures must be true or false"),
        (["folder=results/taken"], "'results/taken' is a file: name another"),
        (["result_dir=results"], "did you mean 'results_dir'?"),
        (["results"], "write key=value"),
        (["--all"], "'--all'"),
        (["what=evaluations"], "holds a complete run to gather"),
    ],
)
def test_a_mistake_is_one_line(call: Call, arguments: list[str], message: str) -> None:
    write_some(seeds=1)
    Path("results/taken").touch()
    ended = call(gather.main, *arguments)
    assert ended.status == 2
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not Path("gathered").exists()


def test_incomplete_runs_alone_are_one_line_with_what_goes_on(call: Call) -> None:
    for seed in (1, 2, 3):
        write_run(Path("results"), *TWO, returns=[5.0], seed=seed, complete=False)
    ended = call(gather.main)
    first = "results/paper_two_ppo_seed1_20260101_000000"
    assert (ended.status, ended.err) == (
        2,
        f"abx-gather: error: none of 3 folders holds a complete run to gather: {first}: "
        f"not complete, abx-train resume_from={first} goes on (and 2 others)\n",
    )


def test_an_empty_folder_is_one_line(call: Call) -> None:
    Path("results").mkdir()
    ended = call(gather.main)
    assert (ended.status, ended.err) == (
        2,
        "abx-gather: error: results_dir=results holds no runs: abx-train makes them\n",
    )


def test_help_loads_neither_hydra_nor_pandas() -> None:
    code = (
        "import sys; from abx_amr.cli.gather import main; main(['--help']); "
        "print(*{'hydra', 'pandas', 'numpy', 'scipy'} & set(sys.modules), 'loaded', sep='')"
    )
    message = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert message.stdout.splitlines()[-1] == "loaded"
