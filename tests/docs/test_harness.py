"""A page that lies fails, in every way in which it can lie."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.docs.page import PageError, as_in_full_size, matches, run_page, steps_of

BLOCK = "```{}\n{}\n```\n"


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path):
    """Run a page's text; the folder in which it ran comes back."""

    def runner(text: str) -> Path:
        folder, notes = tmp_path / "page", tmp_path / "notes"
        folder.mkdir(exist_ok=True)
        notes.mkdir(exist_ok=True)
        run_page(steps_of(text), folder=folder, notes=notes, environment=environment, timeout=60)
        return folder

    return runner


def test_dots_match_any_text_and_nothing_else_does() -> None:
    assert matches(["a ... d", "...", "z"], "a b c d\nm\nn\nz\n")
    assert matches(["a: ...", "..."], "a: \n")
    assert not matches(["a b"], "a c\n")
    assert not matches(["a"], "a\nb\n")


def test_a_collapse_of_a_training_made_small_is_no_fault_of_its_page() -> None:
    printed = "mean return 1.0\nCOLLAPSED: it treats nobody; a longer training\nresults: here\n"
    assert as_in_full_size(["mean return ..."], printed) == "mean return 1.0\nresults: here\n"
    assert as_in_full_size(["COLLAPSED: ..."], printed) == printed


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("bash", "false"),
        ("bash", "false\ntrue"),
        ("bash", "echo error: something"),
        ("bash", "no-such-command"),
        ("bash", "exit 0"),
        ("bash", "echo $UNSET"),
        ("bash", "abx-train nonsense=1 || true"),
        ("bash", "abx-study show never_made"),
        ("console", "$ echo a\nb"),
        ("console", "$ echo a"),
        ("console", "$ false"),
        ("console", "$ echo ': error: x'\n: error: x"),
        ("console", "$ abx-train nonsense=1\n..."),
        ("console", "$ echo a\na\n$ echo b\nc"),
        ("python", "1 / 0"),
        ("python", "try:\n    1 / 0\nexcept ArithmeticError:\n    import traceback as t\n"
                   "    t.print_exc()"),
    ],
)  # fmt: skip
def test_a_page_that_lies_fails(run, kind: str, body: str) -> None:
    with pytest.raises(AssertionError):
        run(BLOCK.format(kind, body))


@pytest.mark.parametrize(
    "text",
    [
        "```\nabx-train\n```\n",
        "```sh\nsbatch job\n```\n",
        "```bash\nabx-train\n",
        "```console\nabx-train\n```\n",
        "<!-- test: luck -->",
        "1. a list\n\n    ```\n    hidden\n    ```\n",
    ],
)
def test_a_block_that_would_escape_is_refused(text: str) -> None:
    with pytest.raises(PageError):
        steps_of(text)


def test_a_page_that_tells_the_truth_passes(run) -> None:
    folder = run(
        BLOCK.format("yaml", "# file: conf/experiment/mine.yaml\n# @package _global_\na: $b")
        + BLOCK.format("bash", "cd conf\nexport SET_HERE=1\nls")
        + BLOCK.format("python", "# file: below/it.py\nprint(1)")
        + BLOCK.format("console", "$ echo $SET_HERE \\\n    two; pwd\n1 two\n.../conf")
        + BLOCK.format("console", "$ abx-train nonsense=1\nabx-train: error: ...\n...")
        + "<!-- status: 1 -->\n"
        + BLOCK.format("console", "$ true\n$ false")
        + "1. a list\n\n    ```python\n    if True:\n        print(1)\n    ```\n"
        + "<!-- not run: nothing to run it on -->\n"
        + BLOCK.format("sh", "sbatch job")
        + BLOCK.format("text", "false")
    )
    made = folder / "conf" / "experiment" / "mine.yaml"
    assert made.read_text() == "# @package _global_\na: $b\n"
    assert (folder / "conf" / "below" / "it.py").is_file()


def test_what_waits_for_ever_is_interrupted_once_it_has_shown_what_comes_before(run) -> None:
    ends = "$ trap 'echo stopped; exit 130' INT; echo begun; while true; do sleep 0.1; done"
    run(BLOCK.format("console", f"{ends}\nbegun\n^C\nstopped"))
    with pytest.raises(AssertionError):
        run(BLOCK.format("console", "$ echo begun\nbegun\n^C"))  # it ends by itself
    with pytest.raises(AssertionError):
        run(BLOCK.format("console", "$ echo begun; exec sleep 30\nbegun\n^C\nstopped"))


NOTEBOOK = "<!-- notebook -->\n" + BLOCK.format("python", "a = 1\nprint('begun')\n(a, 'x')")


def test_the_cells_of_a_notebook_share_what_they_define_and_show_their_last_expression(run) -> None:
    shown = BLOCK.format("text", "begun\n(1, 'x')")
    run(NOTEBOOK + shown + BLOCK.format("python", "b = a + 1") + BLOCK.format("python", "print(b)"))


@pytest.mark.parametrize("shown", ["begun\n(2, 'x')", "begun", "(1, 'x')"])
def test_a_notebook_that_lies_fails(run, shown: str) -> None:
    with pytest.raises(AssertionError):
        run(NOTEBOOK + BLOCK.format("text", shown))


def test_a_notebook_holds_cells_alone() -> None:
    with pytest.raises(PageError, match="a notebook has python"):
        steps_of(NOTEBOOK + BLOCK.format("bash", "ls"))


def test_a_command_gets_the_folder_the_environment_and_small_sizes(run) -> None:
    folder = run(
        BLOCK.format("bash", "mkdir deep && cd deep\nABX_X=1 abx-train run_name=first")
        + BLOCK.format(
            "console", "$ abx-train --cfg job | grep max_time_steps\nmax_time_steps: 500"
        )
    )
    (summary,) = (folder / "deep" / "results").glob("first_*/summary.json")
    assert summary.is_file()


def test_a_signal_reaches_the_command_and_its_program_s_end_is_its_end(
    environment: dict[str, str], tmp_path: Path
) -> None:
    environment["ABX_NOTE"] = str(tmp_path / "note")
    text = (
        "import os, time\nwith open(os.environ['ABX_NOTE'], 'w') as note:\n"
        "    note.write(str(os.getpid()))\ntime.sleep(60)\n"
    )
    for number, status in ((signal.SIGINT, 1), (signal.SIGKILL, -9)):
        asked = subprocess.Popen(["python-block"], stdin=subprocess.PIPE, env=environment)
        asked.stdin.write(text.encode())
        asked.stdin.close()
        note = Path(environment["ABX_NOTE"])
        while not (note.is_file() and note.read_text()):
            time.sleep(0.02)
        command = Path("/proc") / note.read_text()
        assert command.exists()
        asked.send_signal(number)
        assert asked.wait(10) == status
        give_up = time.monotonic() + 10
        while command.exists() and time.monotonic() < give_up:
            time.sleep(0.02)
        assert not command.exists()
        note.unlink()
