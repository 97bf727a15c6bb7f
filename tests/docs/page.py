"""What a page of docs/ says: its blocks, run in one shell, and what they must show.

    ```bash               every line is run and must succeed without a word of `error:`
    ```console            `$ command`, then what it shows; `...` is any text, alone any lines.
                          A line with `: error: ` asks for exit status 2; after `^C` the command
                          is interrupted, once it has shown the lines before
    ```python             run as a script
    ```text, ```yaml      not run
    # file: path          in the first line: the rest of the block is written to that file, not run
    ```sh                 not run, with `<!-- not run: reason -->` in the line before

A page with `<!-- notebook -->` is one: its python blocks are cells of one session. The last
expression of a cell is shown, and a text block behind a cell is what that must show.

A comment `<!-- status: 1 -->` before a console block gives the exit status of its last command,
`<!-- figures -->` before a block has its commands draw, which they do not otherwise, and
`<!-- test: slow postgres slurm -->` says what a page needs.
"""

from __future__ import annotations

import ast
import re
import shlex
import signal
import subprocess
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from abx_amr.host.exit_codes import of_signal

INTERRUPT = "^C"
NEEDS = {"slow", "postgres", "slurm"}
NOT_RUN = {"text", "yaml"}


@dataclass
class Step:
    """A piece of shell; the lines it must show (None: whatever) and its exit status.

    It is interrupted after so many lines, where `lines_until_interrupt` is not None.
    """

    text: str
    shown: list[str] | None = None
    status: int = 0
    lines_until_interrupt: int | None = None


class PageError(ValueError):
    """A page breaks the conventions."""


def needs_of(text: str) -> set[str]:
    """Return what a page says that it needs."""
    return set(" ".join(re.findall(r"<!-- test: (.*?) -->", text)).split())


def steps_of(text: str) -> list[Step]:
    """Return what a page does.

    Raises:
        PageError: a block that is neither run nor marked, or is not closed.
    """
    if unknown := needs_of(text) - NEEDS:
        raise PageError(f"a page can need {sorted(NEEDS)}, not {sorted(unknown)}")
    if "<!-- notebook -->" in text:
        return [_notebook(_blocks(text))]
    steps: list[Step] = []
    for block in _blocks(text):
        found = _steps(block.kind, block.body, block.before)
        if block.before == "<!-- figures -->":
            found = [Step("export ABX_PAGE_FIGURES=1"), *found, Step("unset ABX_PAGE_FIGURES")]
        steps += found
    return steps


@dataclass(frozen=True)
class Block:
    """A block of a page, with the last line before it that is not empty."""

    kind: str
    body: str
    before: str


def _blocks(text: str) -> list[Block]:
    blocks: list[Block] = []
    lines = iter(text.splitlines())
    before = ""
    for line in lines:
        fence = re.match(r"( *)(`{3,}|~{3,})\s*(\w*)", line)
        if fence is None:
            before = line.strip() or before
            continue
        body: list[str] = []
        for inside in lines:
            if inside.strip() == fence[2]:
                break
            body.append(inside)
        else:
            raise PageError(f"the block that begins with {line!r} is not closed")
        blocks.append(Block(fence[3], textwrap.dedent("\n".join(body)) + "\n", before))
        before = ""
    return blocks


def _notebook(blocks: list[Block]) -> Step:
    """Return the cells as one script, and all that it must show."""
    cells: list[str] = []
    shown: list[str] = []
    for block in blocks:
        if block.kind == "python":
            cells.append(_cell(block.body))
            shown.append("...")
        elif block.kind == "text" and shown and shown[-1] == "...":
            shown[-1:] = block.body.splitlines()
        else:
            raise PageError(f"a notebook has python and what it shows, not {block.kind!r}")
    return Step("python-block <<'END OF BLOCK'\n" + "\n".join(cells) + "END OF BLOCK", shown)


def _cell(body: str) -> str:
    """Return a cell as a script: what its last expression gives is printed, but None."""
    statements = ast.parse(body).body
    if not statements or not isinstance(last := statements[-1], ast.Expr):
        return body
    value = ast.unparse(last.value)
    kept = "\n".join(body.splitlines()[: last.lineno - 1])
    return f"{kept}\nif (shown := ({value})) is not None:\n    print(repr(shown))\n"


def _steps(kind: str, body: str, before: str) -> list[Step]:
    if named := re.match(r"# file: (\S+)\n", body):
        file, folder = shlex.quote(named[1]), shlex.quote(str(Path(named[1]).parent))
        content = body[named.end() :]
        return [
            Step(f"mkdir -p {folder} && cat > {file} <<'END OF {file}'\n{content}END OF {file}")
        ]
    if kind == "bash":
        return [Step(body)]
    if kind == "python":
        return [Step(f"python-block <<'END OF BLOCK'\n{body}END OF BLOCK")]
    if kind == "console":
        return _commands(body, before)
    if kind == "sh" and re.fullmatch(r"<!-- not run: .+ -->", before):
        return []
    if kind in NOT_RUN:
        return []
    raise PageError(
        f"a block {kind or 'without a language'} is neither run nor marked: {body.splitlines()[:1]}"
    )


def _commands(body: str, before: str) -> list[Step]:
    found: list[Step] = []
    lines = iter(body.splitlines())
    for line in lines:
        if line.startswith("$ "):
            command = line[2:]
            while command.endswith("\\"):
                command += f"\n{next(lines)}"
            found.append(Step(command, []))
        elif not found or found[-1].shown is None:
            raise PageError(f"a console block begins with a command, not with {line!r}")
        elif line == INTERRUPT:
            found[-1].lines_until_interrupt = len(found[-1].shown)
        else:
            found[-1].shown.append(line)
    for step in found:
        step.status = 2 if any(": error: " in line for line in step.shown or ()) else 0
        if step.lines_until_interrupt is not None:
            step.status = of_signal(signal.SIGINT)
    if told := re.fullmatch(r"<!-- status: (\d+) -->", before):
        found[-1].status = int(told[1])
    return found


def matches(shown: list[str], message: str) -> bool:
    """Say whether the lines were printed in this order; `...` is any text, alone any lines."""
    parts = []
    for line in shown:
        if line.strip() == "...":
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            words = (
                re.escape(part) for part in re.split(r"\s+", line.strip().replace("...", "\0"))
            )
            parts.append(r"[ \t]*" + r"[ \t]+".join(words).replace("\0", "[^\\n]*") + r"[ \t]*\n")
    return re.fullmatch("".join(parts), message) is not None


def as_in_full_size(shown: list[str], message: str) -> str:
    """Leave out that a training of a few steps, as here, ended in a collapse the page has not."""
    if any("COLLAPSED" in line for line in shown):
        return message
    return "".join(
        line for line in message.splitlines(keepends=True) if not line.startswith("COLLAPSED: ")
    )


def _run(text: str, out: str, lines_until_interrupt: int | None) -> list[str]:
    if lines_until_interrupt is None:
        return [text]
    return [
        f": > {out}",
        "set -m",  # a process group of its own, as at a terminal
        f"{text} &",
        "set +m",
        f"while kill -0 $! && [ $(wc -l < {out}) -lt {lines_until_interrupt} ]; do sleep 0.1; done",
        "kill -INT -- -$!",
        "wait $!",
    ]


def run_page(
    steps: list[Step], *, folder: Path, notes: Path, environment: Mapping[str, str], timeout: float
) -> None:
    """Run a page from top to bottom in an empty folder; notes is a folder for its output.

    Raises:
        AssertionError: something failed, or showed other than the page says.
    """
    script = ["set -u", "trap 'failed=$?' ERR"]
    for number, step in enumerate(steps):
        out = shlex.quote(str(notes / f"{number}.out"))
        # Not in a subshell: what a block sets, the next ones see.
        script += [
            "failed=0",
            *_run(f"{{\n{step.text}\n}} > {out} 2>&1 < /dev/null", out, step.lines_until_interrupt),
            f"echo $failed > {out}.status",
            f"[ $failed = {step.status} ] || exit 1",
        ]
    subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=environment,
        timeout=timeout,
        check=False,
    )
    for number, step in enumerate(steps):
        file = notes / f"{number}.out"
        assert file.exists(), f"not reached: {step.text}"
        message = file.read_text(encoding="utf-8")
        status = Path(f"{file}.status")
        assert status.exists(), f"ended the shell: {step.text}\n{message}"
        told = f"$ {step.text}\n{message}"
        assert int(status.read_text()) == step.status, f"status {status.read_text()}{told}"
        assert "Traceback (most recent call last)" not in message, told
        if step.shown is None:
            assert "error:" not in message, told
        else:
            assert matches(step.shown, as_in_full_size(step.shown, message)), (
                told + "-- the page shows\n" + "\n".join(step.shown)
            )
