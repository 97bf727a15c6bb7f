"""What comes from anybody is shown on a terminal as text."""

import sys

import pytest

from abx_amr.host.terminal import escaped_output, in_one_line, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("over\rwritten", r"over\rwritten"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\udce9", r"\udce9"),
        ("déjà vu, 95 % ≥ 0\n\ttab", "déjà vu, 95 % ≥ 0\n\ttab"),
    ],
)
def test_control_characters_are_escaped_and_other_text_is_left(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_a_cell_of_a_table_is_one_line() -> None:
    assert in_one_line("a\nb\tc") == r"a\nb\tc"


def test_what_is_printed_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with escaped_output():
        sys.stdout.write("study \x1b[2J\n")
    sys.stdout.write("\x1b[0m\n")
    assert capsys.readouterr().out == "study \\x1b[2J\n\x1b[0m\n"
