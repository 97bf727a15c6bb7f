"""abx completion: complete commands, groups, choices and keys in bash, zsh and fish.

The shell hands over the line up to the cursor and gets whole words back. Hydra's own completion
knows one command at a time and neither `abx train` nor the tutorial's -p; its search is used here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from abx_amr.errors import InputError, unknown

HELP = """
abx completion: print the completion for a shell. In the file that your shell reads at its start:

  eval "$(abx completion bash)"          # ~/.bashrc
  eval "$(abx completion zsh)"           # ~/.zshrc, after compinit
  abx completion fish | source           # ~/.config/fish/config.fish

Then TAB completes commands, groups, their choices and keys: abx-train exp<TAB>, experiment=<TAB>,
training.<TAB>.
"""

_BASH = """
_abx_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\\n' word prefix
    word="${line##* }"
    COMPREPLY=($(abx completion query "$line" 2>/dev/null))
    # Where = ends a word for bash, it wants what follows alone.
    if [[ "$word" == *=* && "$COMP_WORDBREAKS" == *=* ]]; then
        prefix="${word%"${word##*=}"}"
        COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    fi
    if [[ "${COMPREPLY[0]}" == *[=./] && ${#COMPREPLY[@]} -eq 1 ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _abx_complete NAMES
"""
_ZSH = """
_abx_complete() {
    local -a found
    found=("${(@f)$(abx completion query "${LBUFFER}" 2>/dev/null)}")
    found=(${found:#})
    if (( $#found )); then compadd -S '' -- $found; else _files; fi
}
compdef _abx_complete NAMES
"""
_FISH = """
for name in NAMES
    complete -c $name -a '(abx completion query (commandline -cp) 2>/dev/null)'
end
"""
SHELLS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def main(arguments: Sequence[str]) -> int:
    """Print a shell's script, or what completes a line.

    Raises:
        InputError: no such shell.
    """
    if not arguments or any(a in ("--help", "-h") for a in arguments[:1]):
        print(HELP.strip())
        return 0
    if arguments[0] == "query":
        for word in completions(arguments[1] if len(arguments) > 1 else ""):
            print(word)
        return 0
    if arguments[0] not in SHELLS:
        raise InputError(unknown("shell", arguments[0], SHELLS))
    from abx_amr.cli.commands import commands

    names = " ".join(["abx", *(f"abx-{name}" for name in commands())])
    print(SHELLS[arguments[0]].replace("NAMES", names).strip())
    return 0


def completions(line: str) -> list[str]:
    """Return the words that the last word of a line may become; none where nothing is known."""
    from abx_amr.cli.commands import OWN, commands

    words = line.split()
    if not words:
        return []
    last = "" if line[-1].isspace() else words.pop()
    if not words:
        return []
    command, given = words[0].rsplit("/", 1)[-1], words[1:]
    if command == "abx":
        if not given:
            return [name for name in (*commands(), *OWN) if name.startswith(last)]
        command, given = f"abx-{given[0]}", given[1:]
    if command == "abx-completion":
        return [shell for shell in SHELLS if shell.startswith(last) and not given]
    if command in _CONFIG_NAMES:
        return _of_hydra(_CONFIG_NAMES[command], given, last)
    if command == "abx-report":
        found = _of_hydra("study", [], last) if last.startswith("storage=") else _OF_REPORT
        return [word for word in found if last and word.startswith(last)]
    if command == "abx-init":
        from abx_amr.cli.init import _FLAGS as flags

        return [flag for flag in flags if last and flag.startswith(last)]
    if command == "abx-app":
        from abx_amr.cli.app import FLAGS

        return [flag for flag in FLAGS if last and flag.startswith(last)]
    verbs = _verbs(command)
    if not given and verbs:
        return [verb for verb in verbs if verb.startswith(last)]
    if command == "abx-study":
        return _of_hydra("study", given[2:], last)
    if command == "abx-postgres" and given[0] in verbs:
        return [f"{key}=" for key in verbs[given[0]] if f"{key}=".startswith(last)]
    return []


_CONFIG_NAMES = {
    "abx-train": "train",
    "abx-tune": "tune",
    "abx-evaluate": "evaluate",
    "abx-plan": "plan",
    "abx-gather": "gather",
}
_OF_REPORT = (
    "figures=",
    "optimization_dir=",
    "output=",
    "results_dir=",
    "storage=",
    "storage.path=",
)


def _verbs(command: str) -> dict[str, tuple[str, ...]]:
    if command == "abx-study":
        from abx_amr.cli.study import VERBS

        return dict.fromkeys(VERBS, ())
    if command == "abx-postgres":
        from abx_amr.cli.postgres import KEYS

        return dict(KEYS)
    return {}


def _of_hydra(config_name: str, given: Sequence[str], last: str) -> list[str]:
    """Return groups, choices and keys of a composition; what cannot be read is skipped."""
    import os

    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from hydra.plugins.completion_plugin import CompletionPlugin
    from omegaconf.errors import OmegaConfBaseException

    from abx_amr.configuration.composing import is_search_override
    from abx_amr.configuration.groups import available, fresh_hydra
    from abx_amr.errors import InputError

    class Search(CompletionPlugin):
        """Hydra's search alone."""

        def install(self) -> None: ...
        def uninstall(self) -> None: ...
        def query(self, config_name: str | None) -> None: ...
        @staticmethod
        def provides() -> str:
            return "none"

        @staticmethod
        def help(command: str) -> str:
            return command

    settings = [w for w in given if "=" in w and not w.startswith("-")]
    settings = [w for w in settings if not re.search(r"[\"']", w) and not is_search_override(w)]
    before = given[-1] if given else ""
    if before in ("--config-dir", "-cd") or last.startswith("-"):
        return [f for f in _FLAGS if last.startswith("-") and f.startswith(last)]
    added = last[:1] if last[:1] in ("+", "~") else ""
    group, equals, start = last.removeprefix(added).partition("=")
    folders = [given[i + 1] for i, w in enumerate(given[:-1]) if w in ("--config-dir", "-cd")]
    places = ",".join(f"file://{os.path.abspath(f)}" for f in folders)
    search = [f"hydra.searchpath=[{places}]"] if places else []
    try:
        if equals and (choices := available(group)):
            return [
                f"{added}{group}={c}"
                for c in choices
                if c.startswith(start) and (group, c) != ("tuning", "base")
            ]
        with fresh_hydra():
            plugin = Search(GlobalHydra.instance().config_loader())
            found = plugin._query(
                config_name=config_name, line=" ".join([*search, *settings, last])
            )
    except (HydraException, OmegaConfBaseException, InputError, SystemExit):
        return []
    wanted = [w for w in found if last.lstrip("+~").startswith("hydra") or not _is_hydras(w)]
    if added == "+" and config_name == "tune" and "tuning".startswith(group):
        wanted.append("+tuning=")
    return sorted(set(wanted))


_FLAGS = ("-m", "--multirun", "--cfg", "--config-dir", "--help", "--info", "-s", "-p")


def _is_hydras(word: str) -> bool:
    return word.lstrip("+~").startswith("hydra") or "_target_" in word
