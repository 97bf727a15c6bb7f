"""What the help texts say is true: commands compose, groups and choices exist."""

import re
import shlex
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser

from abx_amr.cli import abx, postgres, study
from abx_amr.cli.arguments import translate
from abx_amr.configuration.composing import compose, is_search_override
from abx_amr.configuration.groups import available, groups

SCRIPTS = {s.name: s for s in entry_points(group="console_scripts") if s.name.startswith("abx-")}
HYDRA = ("abx-train", "abx-tune", "abx-evaluate", "abx-plan")
HELPS = {name: import_module(s.module).HELP for name, s in SCRIPTS.items()} | {
    "abx": abx.HEAD,
    "abx compile": import_module("abx_amr.cli.compile").HELP,
    "abx completion": import_module("abx_amr.cli.completion").HELP,
    "abx doctor": import_module("abx_amr.cli.doctor").HELP,
}


def commands_in(text: str) -> list[str]:
    """Return the commands to paste, without the remarks and redirections behind them."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if matched := re.match(r'  eval "\$\((abx[^)]*)\)"', line):
            found.append(matched[1])
        elif matched := re.match(r"  (abx[ -][a-z]\S*.*)", line):
            words = re.sub(r" {4,}(?=[a-z'+]\S*[=.])", " ", matched[1])  # a line that went on
            found.append(re.split(r"\s{2,}| [>|] ", words)[0])
    return found


PASTED = sorted({(name, line) for name, text in HELPS.items() for line in commands_in(text)})


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_help_says_its_purpose_and_at_least_three_commands(name: str) -> None:
    text = HELPS[name].strip()
    assert text.startswith(f"{name}: ")
    assert len(commands_in(text)) >= 3
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(("source", "line"), PASTED)
def test_a_command_of_a_help_can_be_pasted(
    source: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)
    if words[0] == "abx":
        words = [f"abx-{words[1]}", *words[2:]] if words[1] in abx.commands() else words
    if words[0] == "abx":
        assert words[1] in abx.OWN
        return
    command, *arguments = words
    assert command in SCRIPTS
    if command == "abx-study":
        # Without a name audit lists what it can audit.
        verb = "list" if arguments == ["audit"] else arguments[0]
        study._understood(verb, arguments[1:])
    elif command == "abx-postgres":
        postgres.read(arguments[0], arguments[1:])
    elif command in HYDRA:
        parsed = get_args_parser().parse_args(translate(arguments))
        fixed = [o for o in parsed.overrides if not is_search_override(o)]
        assert parsed.multirun or fixed == parsed.overrides, line
        # Searched and swept: the key must be there, so that its first value could be set.
        for swept in set(parsed.overrides) - set(fixed):
            key = swept.partition("=")[0]
            values = swept.partition("=")[2].removeprefix("choice(").removesuffix(")").split(",")
            fixed += [f"{key}={values[0]}"] if key.lstrip("+") in groups() else [f"{key}=1"]
        assert compose(command.removeprefix("abx-"), fixed).choices


@pytest.mark.parametrize("name", HYDRA)
def test_the_choices_that_a_help_names_exist(name: str) -> None:
    known = groups()
    seen = 0
    text = re.sub(r"\n {10,}", " ", HELPS[name])
    for line in text.splitlines():
        matched = re.match(r"  \+?(\w+)  +(.+)", line)
        if not matched or matched[1] not in known:
            continue
        options = available(matched[1])
        listed = re.findall(r"\b[a-z]\w*_\w+\b|\b(?:sqlite|journal|url|base|ppo|a2c)\b", matched[2])
        for word in listed:
            if word in known or word in ("run_name", "n_envs"):
                continue
            assert word in options, (matched[1], word)
            seen += 1
    assert seen > 0 or name in ("abx-plan",)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_help_takes_no_time(name: str) -> None:
    heavy = "'hydra', 'torch', 'optuna', 'pandas', 'numba', 'omegaconf'"
    code = (
        "import sys, importlib\n"
        f"sys.argv = ['{name}', '--help']\n"
        f"importlib.import_module('{SCRIPTS[name].module}').main()\n"
        f"print([m for m in ({heavy}) if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
