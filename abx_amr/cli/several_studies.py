"""Several studies in one command: a study for each choice of the groups that are swept over."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException

from abx_amr.configuration.groups import groups
from abx_amr.configuration.overrides import key_of
from abx_amr.configuration.written import quoted, to_the_letter
from abx_amr.errors import InputError
from abx_amr.host.exit_codes import FAILURE, USER_ERROR

#: Groups of which several choices are no studies: one is searched, the other says where they lie.
_NO_STUDIES = ("agent_algorithm", "storage")
#: Flags that show one configuration and run nothing.
_SHOW = {"--cfg", "-c", "--info", "-i", "--hydra-help", "--shell-completion", "-sc"}


@dataclass(frozen=True, kw_only=True)
class OneOfSeveral:
    """One study of a command line: its name and its arguments."""

    name: str
    arguments: list[str]


def studies_of(arguments: Sequence[str]) -> list[OneOfSeveral]:
    """Return the studies of a command line that sweeps over choices, an empty list for one study.

    A study is called as its choices are, after the name that is given or the tuning choice.

    >>> [s.name for s in studies_of(["-m", "+tuning=ppo_default,a2c_default"])]
    ['ppo_default', 'a2c_default']
    >>> [s.name for s in studies_of(["-m", "run_name=x", "experiment=paper_two,paper_single"])]
    ['x_paper_two', 'x_paper_single']
    >>> studies_of(["-m", "+tuning=ppo_default", "agent_algorithm.gamma=0.9,0.99"])
    []
    """
    if not {"-m", "--multirun"} & set(arguments) or _SHOW & set(arguments):
        return []
    swept = {place: choices for place, one in enumerate(arguments) if (choices := _choices(one))}
    studies = []
    for chosen in itertools.product(*swept.values()):
        own = dict(zip(swept, chosen, strict=True))
        changed = [
            f"{word.partition('=')[0]}={own[place]}" if place in own else word
            for place, word in enumerate(arguments)
        ]
        named = {key_of(arguments[place]): choice for place, choice in own.items()}
        studies.append(_named(changed, named))
    return studies if swept else []


def run_each(
    command: str, studies: Sequence[OneOfSeveral], run: Callable[[list[str]], None]
) -> None:
    """Run studies one after the other; one that is refused or fails costs only itself.

    Args:
        command: The command's name, for its error lines.
        studies: What to run.
        run: Runs one study, by its arguments.

    Raises:
        SystemExit: with the status of the first that did not come to its end, at once where it was
            stopped.
    """
    failed: dict[str, int] = {}
    for position, study in enumerate(studies, start=1):
        print(f"study {position} of {len(studies)}: {study.name}", flush=True)
        try:
            run(study.arguments)
        except InputError as error:
            print(f"{command}: error: {study.name}: {error}", file=sys.stderr)
            failed[study.name] = USER_ERROR
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else FAILURE
            if status not in (0, FAILURE, USER_ERROR):
                raise
            if status:
                failed[study.name] = status
    if failed:
        done = len(studies) - len(failed)
        print(
            f"{done} of {len(studies)} studies are done, not {', '.join(failed)}: the same command "
            "goes on with what is missing",
            file=sys.stderr,
        )
        raise SystemExit(next(iter(failed.values())))


def _choices(argument: str) -> list[str]:
    """Return the choices that an argument sweeps over in a group, else an empty list."""
    if argument.startswith("-") or "=" not in argument:
        return []
    key = key_of(argument)
    if key not in groups() or key in _NO_STUDIES:
        return []
    try:
        (parsed,) = OverridesParser.create().parse_overrides(to_the_letter([argument]))
    except HydraException:  # said where the command line is read
        return []
    return _texts(parsed)


def _texts(override: Override) -> list[str]:
    sweep = override.value()
    if not (isinstance(sweep, ChoiceSweep) and sweep.simple_form):
        return []  # choice(...) is a search in one study
    return list(dict.fromkeys(str(getattr(choice, "text", choice)) for choice in sweep.list))


def _named(arguments: Sequence[str], chosen: Mapping[str, str]) -> OneOfSeveral:
    """Return a study whose run_name, and study_name where one is given, end with its choices."""
    given = {key_of(word): word.partition("=")[2].strip("'\"") for word in arguments if "=" in word}
    names = {}
    for key in ("run_name", "study_name"):
        first = given.get(key) or (given.get("tuning") if key == "run_name" else None)
        if key == "run_name" or first:
            others = [c for group, c in chosen.items() if c != first or group != "tuning"]
            names[key] = "_".join([*([first] if first else []), *others])
    rest = [word for word in arguments if key_of(word) not in names]
    return OneOfSeveral(
        name=names["run_name"],
        arguments=[*rest, *(f"{key}={quoted(name)}" for key, name in names.items())],
    )
