"""Read the files of the prior tool: an umbrella, the component files it names, a tuning file.

An umbrella names component files, or holds the sections itself. Paths are relative to its
`config_folder_location`, options to its `options_folder_location`; both are relative to its folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from abx_amr.errors import InputError

Plain = dict[str, Any]

COMPONENTS = ("environment", "reward_calculator", "patient_generator")
#: Keys of an agent file, whose content stood at the top level of a resolved umbrella.
AGENT_KEYS = (
    *("algorithm", "policy", "policy_kwargs", "lstm_kwargs"),
    *("ppo", "a2c", "recurrent_ppo", "mbpo"),
)
#: Our agent_algorithm for its PPO: what its files leave out was the library's own there, not what
#: agent_algorithm=ppo adds (normalised rewards, exploring starts, schedules).
PRIOR_PPO = "ppo_tutorial"
PLACES = ("config_folder_location", "options_folder_location")
UMBRELLA_KEYS = (*PLACES, *COMPONENTS, "agent_algorithm", "hrl", "training", *AGENT_KEYS)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A section with the file in which it is written."""

    content: Mapping[str, Any]
    file: Path

    @property
    def folder(self) -> Path:
        """Where its own references begin."""
        return self.file.parent


@dataclass(frozen=True, kw_only=True)
class Umbrella:
    """An umbrella file with the files it names; a part that it has not is None."""

    file: Path
    content: Mapping[str, Any]
    config_folder: Path
    options_folder: Path
    environment: Part | None
    reward_calculator: Part | None
    patient_generator: Part | None
    agent: Part | None
    hrl: Mapping[str, Any]
    training: Mapping[str, Any]


class _Placed(InputError):
    """An error that names the file it is about."""


@contextmanager
def reading(file: Path, key: str) -> Iterator[None]:
    """Name the file, and the key, in an error about a value of another kind than its place holds.

    Raises:
        InputError: what is read in this context holds such a value.
    """
    try:
        yield
    except _Placed:
        raise
    except InputError as error:
        where = "" if str(file) in str(error) else f" (in '{file}')"
        message = str(error)
        if key.startswith("--tuning"):  # the sections are read by what reads an umbrella's
            message = message.replace("--from-umbrella: ", "--tuning: ", 1)
        raise _Placed(f"{message}{where}") from error
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise _Placed(f"{key} in '{file}' holds a value of the wrong kind: {error}") from error


class _Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as the prior tool's files mean it."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\d[\d_]*)(?:\.[\d_]*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_yaml(file: Path, *, said_by: str) -> Mapping[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        InputError: it cannot be read, is no YAML, or holds something else; `said_by` names it.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise InputError(f"{said_by}: cannot read '{file}': {reason}") from error
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" line {mark.line + 1}"
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{said_by}: '{file}'{where} is no YAML: {problem}") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{said_by}: '{file}' must hold KEY: VALUE lines")
    return content


def kind_of(content: object) -> str | None:
    """Return which file of the prior tool this is the content of, None where it is none.

    >>> kind_of({"tuning_config": {}}), kind_of({"drugs": {}})
    ('tuning', None)
    """
    if not isinstance(content, Mapping):
        return None
    keys = set(content)
    if keys & {*PLACES} or len(keys & {*COMPONENTS, "agent_algorithm", "training"}) >= 2:
        return "umbrella"
    if "tuning_config" in keys or "optimization" in keys:
        return "tuning"
    if keys & {"antibiotics_AMR_dict", "crossresistance_matrix"}:
        return "environment"
    if "abx_clinical_reward_penalties_info_dict" in keys:
        return "reward_calculator"
    if content.get("type") == "mixer" or "generators" in keys:
        return "patient_generator"
    for key, value in content.items():
        if str(key).endswith("_dist") or (isinstance(value, Mapping) and "prob_dist" in value):
            return "patient_generator"
    if "algorithm" in keys and "_target_" not in keys:
        return "agent_algorithm"
    if isinstance(content.get("options"), Sequence) or "library_name" in keys:
        return "option_library"
    return None


def read_umbrella(file: Path) -> Umbrella:
    """Return an umbrella file with all that it names.

    Raises:
        InputError: it is none, or a file that it names is missing.
    """
    content = read_yaml(file, said_by="--from-umbrella")
    if not set(content) & {*COMPONENTS, "agent_algorithm", "training", "algorithm"}:
        kind = kind_of(content)
        what = f"its file for {kind}" if kind else "no file of the prior tool that is known"
        raise InputError(
            f"--from-umbrella: '{file}' is {what}: an umbrella file names environment, "
            "reward_calculator, patient_generator, agent_algorithm and training"
        )
    config_folder = _folder(file, content, "config_folder_location")
    parts = {key: _part(content.get(key), key, file, config_folder) for key in COMPONENTS}
    agent = _part(content.get("agent_algorithm"), "agent_algorithm", file, config_folder)
    at_top = {key: content[key] for key in AGENT_KEYS if key in content}
    if at_top:
        below = {} if agent is None else agent.content
        agent = Part(content={**below, **at_top}, file=file if agent is None else agent.file)
    own = {} if agent is None else agent.content
    return Umbrella(
        file=file,
        content=content,
        config_folder=config_folder,
        options_folder=_folder(file, content, "options_folder_location"),
        agent=agent,
        hrl={**_section(own, "hrl", file), **_section(content, "hrl", file)},
        training={**_section(own, "training", file), **_section(content, "training", file)},
        **parts,
    )


def alone_in_umbrella(kind: str, part: Part) -> Umbrella:
    """Return an umbrella that names one component alone, whose references begin beside it."""
    parts = {key: part if key == kind else None for key in COMPONENTS}
    is_agent = kind == "agent_algorithm"
    return Umbrella(
        file=part.file,
        content={},
        config_folder=part.folder,
        options_folder=part.folder,
        agent=part if is_agent else None,
        hrl=_section(part.content, "hrl", part.file) if is_agent else {},
        training={},
        **parts,
    )


def _folder(file: Path, content: Mapping[str, Any], key: str) -> Path:
    given = content.get(key)
    return file.parent if given is None else (file.parent / str(given)).resolve()


def _section(content: Mapping[str, Any], key: str, file: Path) -> Mapping[str, Any]:
    section = content.get(key) or {}
    if not isinstance(section, Mapping):
        raise InputError(f"--from-umbrella: {key} in '{file}' must be a section, got {section!r}")
    return section


def _part(value: Any, key: str, file: Path, folder: Path) -> Part | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return Part(content=value, file=file)
    if not isinstance(value, str):
        raise InputError(
            f"--from-umbrella: {key} in '{file}' must name a file or be a section, got {value!r}"
        )
    named = find(value, [folder], said_by=f"--from-umbrella: {key} in '{file}'")
    return Part(content=read_yaml(named, said_by=f"--from-umbrella: {key}"), file=named)


def find(reference: str, folders: Sequence[Path], *, said_by: str) -> Path:
    """Return the file that a reference means, looked for in each folder in turn.

    Raises:
        InputError: it is in none of them.
    """
    places = [(folder / reference).resolve() for folder in folders]
    for place in places:
        if place.is_file():
            return place
    looked = " and ".join(f"'{place}'" for place in dict.fromkeys(places))
    raise InputError(f"{said_by} names '{reference}', and there is no {looked}")


def read_tuning(file: Path) -> Mapping[str, Any]:
    """Return a tuning file's content, without its outer key.

    Raises:
        InputError: it is none.
    """
    content = read_yaml(file, said_by="--tuning")
    inner = content.get("tuning_config", content)
    if not isinstance(inner, Mapping) or not {"optimization", "search_space"} & set(inner):
        raise InputError(
            f"--tuning: '{file}' is no tuning file: it must hold optimization and search_space, "
            "below tuning_config or at the top"
        )
    return inner
