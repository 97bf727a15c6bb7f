"""abx-app: what its flags say, and what it refuses in one line before it listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from abx_amr.cli import app
from abx_amr.errors import InputError
from abx_amr.host.locations import MARKER


def test_flags_say_port_path_and_names() -> None:
    words = [
        "ward",
        "--port",
        "8123",
        "--base-path=/user/ada/proxy/8123/",
        "--allowed-host",
        "Hub.org",
    ]
    asked = app.read(words)
    assert (asked.folder, asked.port) == (Path("ward"), 8123)
    assert (asked.base_path, asked.hosts) == ("/user/ada/proxy/8123", frozenset({"hub.org"}))
    plain = app.read([])
    assert (plain.folder, plain.port, plain.base_path, plain.hosts) == (
        Path(),
        None,
        "",
        frozenset(),
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--prot", "1"], "did you mean '--port'"),
        (["--port"], "--port needs a value"),
        (["--port", "http"], "whole number from 0"),
        (["--port", "70000"], "whole number from 0"),
        (["--base-path", "user"], "--base-path must be like /user"),
        (["--base-path", "/a b"], "--base-path must be like /user"),
        (["--base-path", "/a//evil.example"], "--base-path must be like /user"),
        (["--allowed-host", "*"], "must be a name such as"),
        (["--allowed-host", "a:80"], "must be a name such as"),
        (["a", "b"], "one folder at a time"),
    ],
)
def test_flags_that_say_nothing_are_refused(words: list[str], line: str) -> None:
    with pytest.raises(InputError, match=line):
        app.read(words)


def test_outside_of_a_project_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in ([], ["nowhere"]):
        with pytest.raises(SystemExit) as ended:
            app.main(words)
        error = capsys.readouterr().err
        assert ended.value.code == 2 and error.count("\n") == 1
        assert error.startswith("abx-app: error: ") and "abx-init" in error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / MARKER).write_text("# a project\n", encoding="utf-8")
    (tmp_path / ".abx").write_text("a file in the way", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        app.main([])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and "cannot be written" in error and error.count("\n") == 1
