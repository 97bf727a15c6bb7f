"""docs/option-libraries.md as it stands: its files written, its commands run, with small sizes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from abx_amr.cli import evaluate, train, tune
from abx_amr.results import newest_run
from tests.cli.conftest import Call, call

__all__ = ["call"]

PAGE = Path(__file__).parents[2] / "docs" / "option-libraries.md"
MAINS = {"abx-train": train.main, "abx-evaluate": evaluate.main, "abx-tune": tune.main}
SMALL = {
    "abx-train": (
        "environment.max_time_steps=20",
        "training.total_num_training_episodes=2",
        "training.n_envs=2",
        "training.num_eval_episodes=2",
        "figures=false",
    ),
    "abx-evaluate": ("evaluation.episodes=2",),
    "abx-tune": (
        "environment.max_time_steps=20",
        "training.n_envs=2",
        "training.num_eval_episodes=2",
        "tuning.n_trials=1",
        "tuning.n_seeds_per_trial=1",
        "tuning.truncated_episodes=1",
        "figures=false",
    ),
}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_page_runs_from_top_to_bottom(call: Call) -> None:
    commands = 0
    for language, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if named := re.match(r"# file: (\S+)\n", body):
            file = Path(named[1])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(body, encoding="utf-8")
        if language == "console":
            asked, *shown = body.splitlines()
            name, *arguments = shlex.split(asked.removeprefix("$ "))
            ended = call(MAINS[name], *arguments)
            assert ended.err.splitlines() == shown
        if language != "bash":
            continue
        for line in body.splitlines():
            name, *arguments = shlex.split(line)
            ended = call(MAINS[name], *arguments, *SMALL[name])
            assert ended.status == 0, (line, ended.err)
            commands += 1
    assert commands == 7
    library = newest_run("results", "one_file").read_config()["option_library"]
    assert list(library["options"]) == ["rest_short", "rest_long", "cycle", "careful"]
    usage = newest_run("results", "pauses_read").read_option_usage()
    assert list(usage["option"])[-2:] == ["course_A", "course_B"]
    own = newest_run("results", "sensitive").read_option_usage()
    assert own["option"].unique().tolist() == ["while_sensitive", "rest"]


def test_every_table_and_figure_that_the_page_names_is_written(call: Call) -> None:
    page = PAGE.read_text(encoding="utf-8")
    small = (*SMALL["abx-train"][:-1], "agent_algorithm=hrl_ppo", "run_name=named")
    assert call(train.main, *small).status == 0
    folder = newest_run("results", "named").path
    tables = set(re.findall(r"`(\w+\.csv)`", page))
    assert tables >= {"decisions.csv", "option_usage.csv", "option_trigrams.csv"}
    assert all((folder / table).is_file() for table in tables)
    sentence = re.search(r"with the figures (.*)\.", page)
    assert sentence is not None
    figures = re.findall(r"`(\w+)`", sentence[1])
    assert len(figures) == 4
    assert all((folder / "figures" / f"{figure}.png").is_file() for figure in figures)
