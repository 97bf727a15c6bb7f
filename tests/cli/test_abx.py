"""`abx`: the list of commands, the way to each of them, and the completion of a shell."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from abx_amr.cli import abx, completion
from tests.cli.conftest import Call

BIN = Path(sys.executable).parent
SCRIPTS = sorted(s.name for s in entry_points(group="console_scripts") if s.name.startswith("abx-"))


def test_abx_alone_lists_every_installed_command_and_three_to_paste(call: Call) -> None:
    ended = call(abx.main)
    assert ended.status == 0
    assert ended.out.count("\n  abx ") == 3
    listed = re.findall(r"^  (\w+)  +(\S.*)$", ended.out.partition("Commands")[2], re.MULTILINE)
    assert {f"abx-{name}" for name, _ in listed} >= set(SCRIPTS)
    assert all(len(purpose) > 20 for _, purpose in listed)


@pytest.mark.parametrize("name", SCRIPTS)
def test_abx_runs_every_command(name: str, call: Call) -> None:
    ended = call(abx.main, name.removeprefix("abx-"), "--help")
    assert ended.status == 0
    assert ended.out.startswith(f"{name}: ")


def test_a_mistake_behind_abx_names_the_command_itself(call: Call) -> None:
    ended = call(abx.main, "train", "trainng.seed=3")
    assert ended.status == 2
    assert ended.err.startswith("abx-train: error: 'trainng' does not exist; did you mean")


def test_a_misspelt_command_is_answered_with_the_nearest(call: Call) -> None:
    ended = call(abx.main, "tarin")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert ended.err.startswith("abx: error: command 'tarin' does not exist; did you mean 'train'?")


# --- completion ---

LINES = {
    "abx tr": ["train"],
    "abx do": ["doctor"],
    "abx-train patient_gen": ["patient_generator.", "patient_generator="],
    "abx-train experiment=paper_t": [
        "experiment=paper_two",
        "experiment=paper_two_cross_resistant",
    ],
    "abx train training.se": ["training.seed=", "training.seed_batched=", "training.seeds="],
    "abx-train -m 'training.seed=range(1,6)' run_n": ["run_name="],
    "abx-train -p figures=false run_n": ["run_name="],
    "abx-tune -m +tu": ["+tuning="],
    "abx-tune -m +tuning=ppo": ["+tuning=ppo_default", "+tuning=ppo_tutorial"],
    "abx-tune -m +tuning=ppo_default tuning.n_t": [
        "tuning.n_trials=",
        "tuning.n_trials_per_worker=",
    ],
    "abx-train agent_algorithm=hrl_ppo hrl.opt": ["hrl.option_gamma="],
    "abx-train hrl.opt": [],
    "abx-gather res": ["resamples=", "results_dir="],
    "abx-report out": ["output="],
    "abx-report first storage=p": ["storage=postgres"],
    "abx-app --po": ["--port"],
    "abx-init --f": ["--force", "--from-umbrella"],
    "abx-study sh": ["show"],
    "abx-study show done storage=p": ["storage=postgres"],
    "abx-postgres up po": ["port="],
    "abx-train --config-d": ["--config-dir"],
    "abx-train nonsense=1 trai": ["training="],
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_completed_with_what_there_is(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert completion.completions(line) == LINES[line]


def test_files_of_ones_own_folder_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/environment").mkdir()
    (tmp_path / "mine/environment/tiny.yaml").write_text("defaults: [default]\ntinily: 7\n")
    found = completion.completions("abx-train --config-dir mine environment=tiny environment.ti")
    assert found == ["environment.tinily="]


def test_an_unknown_shell_is_refused(call: Call) -> None:
    ended = call(abx.main, "completion", "tcsh")
    assert ended.status == 2
    assert "shell 'tcsh' does not exist (available: bash, fish, zsh)" in ended.err


def type_into(shell: list[str], setup: str, typed: str, wanted: str, *, seconds: float = 40) -> str:
    """Type into an interactive shell on a terminal and return what it shows until `wanted`."""
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "TERM": "dumb",
        "PS1": "ready> ",
        "LC_ALL": "C.UTF-8",
    }
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        shell, stdin=follower, stdout=follower, stderr=follower, env=environment, close_fds=True
    )
    os.close(follower)
    shown = ""

    def read_until(text: str) -> None:
        nonlocal shown
        end = time.monotonic() + seconds
        while text not in shown and time.monotonic() < end:
            if select.select([leader], [], [], 0.2)[0]:
                shown += os.read(leader, 65536).decode(errors="replace")

    try:
        os.write(leader, f"{setup}; echo set''-up\n".encode())
        read_until("set-up")
        shown = ""
        os.write(leader, typed.encode())
        read_until(wanted)
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    return shown


def test_tab_completes_groups_choices_and_keys_in_an_interactive_bash() -> None:
    bash = ["bash", "--norc", "--noprofile", "-i"]
    setup = 'eval "$(abx completion bash)"'
    for typed, wanted in (
        ("abx-train experiment=paper_deg\t", "experiment=paper_degraded"),
        ("abx-train experiment=paper_two training.num_ev\t", "training.num_eval_episodes="),
        ("abx tune -m +tuning=a2\t", "+tuning=a2c_default"),
    ):
        assert wanted in type_into(bash, setup, typed, wanted)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_tab_completes_in_an_interactive_zsh() -> None:
    setup = 'autoload -U compinit; compinit -u -D; eval "$(abx completion zsh)"'
    typed, wanted = "abx-train experiment=paper_deg\t", "paper_degraded"
    assert wanted in type_into(["zsh", "-f", "-i"], setup, typed, wanted)


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish_is_told_the_same_words() -> None:
    script = "abx completion fish | source; complete -C 'abx-train experiment=paper_deg'"
    shown = subprocess.run(
        ["fish", "--no-config", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
    )
    assert "experiment=paper_degraded" in shown.stdout, shown
