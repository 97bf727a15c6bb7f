"""The page on parallel tuning cannot lie: its blocks are run, and what it shows is compared."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from abx_amr.errors import InputError
from abx_amr.postgres.account import server_account
from abx_amr.postgres.programs import find_programs
from tests import services
from tests.cli.conftest import SMALL

PAGE = Path(__file__).parents[1] / "docs" / "parallel-tuning.md"
COMMANDS = {
    "abx-tune": "tune",
    "abx-train": "train",
    "abx-study": "study",
    "abx-postgres": "postgres",
}
#: Settings behind every command of the page, so that its trials take no time.
ADDED = {
    "abx-tune": (
        *SMALL,
        *("tuning.n_seeds_per_trial=1", "tuning.truncated_episodes=2", "tuning.n_trials=3"),
        *(f"~tuning.search_space.{key}" for key in ("n_steps", "batch_size", "n_epochs")),
    ),
    "abx-train": (*SMALL, "training.total_num_training_episodes=2"),
}


@dataclass
class Step:
    """One command, or a block of them; what it must print, None where the page does not say."""

    text: str
    shown: list[str] | None


def steps_of(page: str) -> list[Step]:
    found = []
    for kind, body in re.findall(r"^```(bash|console)\n(.*?)^```$", page, re.S | re.M):
        if kind == "bash":
            found.append(Step(body, None))
            continue
        for line in body.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:], []))
            else:
                found[-1].shown.append(line)
    return found


def matches(shown: list[str], said: str) -> bool:
    """Say whether the lines were printed in this order; `...` is any text, alone any lines."""
    parts = []
    for line in shown:
        if line.strip() == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            words = (re.escape(part) for part in re.split(r"\s+", line.replace("...", "\0")))
            parts.append(r"[ \t]+".join(words).replace("\0", "[^\\n]*") + r"[ \t]*\n")
    return re.fullmatch("".join(parts), said) is not None


def test_dots_match_any_text_and_nothing_else_does():
    assert matches(["a ... d", "...", "z"], "a b c d\nm\nn\nz\n")
    assert matches(["a: ...", "..."], "a: \n")
    assert not matches(["a b"], "a c\n")
    assert not matches(["a"], "a\nb\n")


@pytest.fixture
def shell(tmp_path):
    """A folder to work in, and commands on the PATH that are this project's with small trials."""
    try:
        find_programs(account=server_account())
    except InputError as error:
        services.lacking(str(error))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in COMMANDS.items():
        call = f"exec {shlex.quote(sys.executable)} -m abx_amr.cli.{module}"
        order = f'{call} {shlex.join(ADDED.get(name, ()))} "$@"'  # what the page says wins
        if name == "abx-tune":
            order = f'm=$1 tuning=$2\nshift 2\n{call} "$m" "$tuning" {shlex.join(ADDED[name])} "$@"'
        (programs / name).write_text(f"#!/bin/sh\n{order}\n")
        (programs / name).chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    clean = {k: v for k, v in os.environ.items() if k not in services.VARIABLES}
    with services.server_folder() as made:
        environment = {
            **clean,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(PAGE.parents[1]),
            "ABX_POSTGRES_DIR": str(made / "pg"),
            "TMPDIR": str(made),
            "OMP_NUM_THREADS": "1",
        }
        try:
            yield home, environment
        finally:
            subprocess.run([programs / "abx-postgres", "down"], env=environment, check=True)


def test_every_block_of_the_page_runs_and_shows_what_the_page_shows(shell, tmp_path):
    home, environment = shell
    steps = steps_of(PAGE.read_text(encoding="utf-8"))
    assert len(steps) > 20
    script = ["set -u"]
    for number, step in enumerate(steps):
        out = shlex.quote(str(tmp_path / f"{number}.out"))
        # Not in a subshell: what a block exports, the next ones see.
        script += [f"{{\n{step.text}\n}} > {out} 2>&1", f"echo $? > {out}.status"]
        if step.shown is None:
            script.append(f"[ $(cat {out}.status) = 0 ] || exit 1")
    ended = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    for number, step in enumerate(steps):
        file = tmp_path / f"{number}.out"
        assert file.exists(), f"not reached: {step.text}"
        said, status = file.read_text(), int(Path(f"{file}.status").read_text())
        assert "Traceback" not in said, said
        if step.shown is None:
            assert status == 0 and "error: " not in said, f"{step.text}\n{said}"
            continue
        assert matches(step.shown, said), f"$ {step.text}\n{said}"
        refused = any(": error: " in line for line in step.shown)
        is_down = step.text == "abx-postgres status" and "no server" in said
        assert status == (2 if refused else 1 if is_down else 0), f"{step.text}\n{said}"
    assert ended.returncode == 0, ended.stderr
    assert list((home / "results").glob("ppo_parallel_tune_optimized_*"))
