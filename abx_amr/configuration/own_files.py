"""A user's own files of a composition, checked for what would be read as something else, or not.

YAML reads 0100 as 64 and 1:30 as 90; a sweeper that a file chooses is not the one that searches.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from abx_amr.errors import InputError
from abx_amr.host.folder_names import NAMES
from abx_amr.host.locations import find_project, from_here

_ODD = re.compile(r"[-+]?0[\d_]*\d|[-+]?[1-9][\d_]*(?::[0-5]?\d)+(?:\.[\d_]*)?")
#: Beside what YAML 1.1 says, Hydra's reader takes numbers such as 1e3.
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d+)(?:[eE][-+]?\d+)?")
_NAMED = re.compile(rf"^(?:{'|'.join(NAMES)})\s*:", re.MULTILINE)
_SWEEPERS = ("abx", "abx_set", "basic")


def check_own_files(
    choices: Mapping[str, str], config_name: str, folders: Sequence[str] = ()
) -> None:
    """Refuse what Hydra would take in silence in the user's own files of a composition.

    Args:
        choices: Group -> what is chosen in it.
        config_name: The primary configuration.
        folders: Further folders of configuration files.

    Raises:
        InputError: naming file, line and cure.
    """
    for file in _own_files(choices, config_name, folders):
        file.check_keys()
        if _NAMED.search(file.text):
            file.check_names()
        if _ODD.search(file.text):
            file.check_numbers()
        file.check_package()
        file.check_sweeper()
        file.check_search()


def check_keys_of_chosen(overrides: Sequence[str], folders: Sequence[str] = ()) -> None:
    """Refuse a name that YAML reads as no text in the files that overrides choose.

    For what Hydra cannot compose: a name that is null ends it without a word.

    Args:
        overrides: Of the command line.
        folders: Further folders of configuration files.

    Raises:
        InputError: naming file, line and cure.
    """
    project = find_project()
    places = [*([] if project is None else [project.conf]), *map(Path, folders)]
    for override in overrides:
        group, _, choice = override.lstrip("+").partition("=")
        for place in places:
            file = _OwnFile.at(place / group / f"{choice}.yaml")
            if file is not None:
                file.check_keys()


def explain_no_text(error: UnicodeDecodeError, folders: Sequence[str] = ()) -> str:
    """Return the line about a configuration file that is no UTF-8 text.

    Args:
        error: What reading it raised.
        folders: Further folders of configuration files.
    """
    project = find_project()
    places = [*([] if project is None else [project.conf]), *map(Path, folders)]
    named = "a configuration file"
    for file in sorted(file for place in places for file in place.rglob("*.yaml")):
        try:
            file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            named = os.path.relpath(file)
            break
        except OSError:
            continue
    return f"{named} is no UTF-8 text ({error.reason}): save it as UTF-8"


@dataclass(frozen=True, kw_only=True)
class _OwnFile:
    """A file of a user, and what stands in its defaults list."""

    path: Path
    text: str
    defaults: Sequence[Any]
    keys: Sequence[str]

    @classmethod
    def at(cls, path: Path) -> _OwnFile | None:
        """Return the file; None where it cannot be read, which is said where it is composed."""
        try:
            text = path.read_text(encoding="utf-8")
            content = yaml.safe_load(text)
        except (OSError, ValueError, yaml.YAMLError):
            return None
        top = content if isinstance(content, dict) else {}
        listed = top.get("defaults")
        defaults = listed if isinstance(listed, list) else ()
        return cls(path=path, text=text, defaults=defaults, keys=[str(key) for key in top])

    @property
    def inherited(self) -> list[str]:
        """The names in its defaults list that are of its own group."""
        names = [each for each in self.defaults if isinstance(each, str) and each != "_self_"]
        return [name.partition("@")[0] for name in names if not name.startswith("/")]

    def check_package(self) -> None:
        """Refuse a byte order mark before '# @package', which Hydra then passes over."""
        if re.match("\ufeff\\s*#\\s*@package", self.text):
            name = os.path.relpath(self.path)
            raise InputError(
                f"{name}: a byte order mark stands before '# @package', which is not read then: "
                f"save it as UTF-8 without BOM (sed -i '1s/^\\xEF\\xBB\\xBF//' {shlex.quote(name)})"
            )

    def check_names(self) -> None:
        """Refuse a name that YAML reads as a number, a time or a truth."""
        top = yaml.compose(self.text, Loader=yaml.SafeLoader)
        for key, value in top.value if isinstance(top, yaml.MappingNode) else ():
            is_plain = isinstance(value, yaml.ScalarNode) and value.style is None
            if key.value in NAMES and is_plain and not value.tag.endswith((":str", ":null")):
                raise InputError(
                    f"{os.path.relpath(self.path)} line {value.start_mark.line + 1}: YAML reads "
                    f"{value.value} as {yaml.safe_load(value.value)}: write '{value.value}' in "
                    f"quotes, {key.value} is a name"
                )

    def check_keys(self) -> None:
        """Refuse a name before a colon, of a drug say, that YAML reads as no text (NO, 1e3)."""
        for key in _keys(yaml.compose(self.text, Loader=yaml.SafeLoader)):
            is_text = key.tag.endswith((":str", ":merge")) and not _NUMBER.fullmatch(key.value)
            if key.style is None and not is_text:
                read = {True: "true", False: "false", None: "nothing"}
                value = yaml.safe_load(key.value)
                said = read[value] if value is None or isinstance(value, bool) else "a number"
                raise InputError(
                    f"{os.path.relpath(self.path)} line {key.start_mark.line + 1}: YAML reads the "
                    f"name {key.value} as {said}: write '{key.value}' in quotes"
                )

    def check_numbers(self) -> None:
        """Refuse numbers that YAML reads as others."""
        for node in _scalars(yaml.compose(self.text, Loader=yaml.SafeLoader)):
            if node.style is None and _ODD.fullmatch(node.value) and not node.tag.endswith(":str"):
                read = yaml.safe_load(node.value)
                plain = node.value.replace("_", "").lstrip("+-0") or "0"
                number = "" if ":" in node.value else f"{plain} for the number, "
                raise InputError(
                    f"{os.path.relpath(self.path)} line {node.start_mark.line + 1}: YAML reads "
                    f"{node.value} as {read}: write {number}'{node.value}' in quotes for the text"
                )

    def check_search(self) -> None:
        """Refuse an experiment's search without a choice below it, which a choice would hide."""
        carries = self.path.parent.name == "experiment" and "tuning" in self.keys
        if carries and "tuning" not in self.chosen:
            raise InputError(
                f"{os.path.relpath(self.path)}: its search needs a choice that it changes: add "
                "'- /tuning: base' (or ppo_default, ...) to the defaults list"
            )

    @property
    def chosen(self) -> dict[str, Any]:
        """Group -> choice in its defaults list, overridden or not."""
        return {
            str(key).removeprefix("override ").strip().lstrip("/").partition("@")[0]: name
            for entry in self.defaults
            if isinstance(entry, dict)
            for key, name in entry.items()
        }

    def check_sweeper(self) -> None:
        """Refuse the choice of a sweeper that the commands would pass over."""
        name = self.chosen.get("hydra/sweeper")
        if name is not None and name not in _SWEEPERS:
            raise InputError(
                f"{os.path.relpath(self.path)}: 'override /hydra/sweeper: {name}' is not read: "
                "abx-tune -m searches by Optuna itself, abx-train -m runs every combination; "
                "remove the line (tuning.sampler, tuning.n_trials and tuning.search_space say "
                "what hydra.sweeper would)"
            )


def _own_files(
    choices: Mapping[str, str], config_name: str, folders: Sequence[str]
) -> Iterator[_OwnFile]:
    """Yield the user's own files that a composition is made of."""
    project = find_project()
    own = [Path(folder) for folder in folders]
    own += [] if project is None else [project.conf]
    own.append(Path(from_here(os.path.join(".abx", "conf"))))
    roots = [folder for folder in own if folder.is_dir()]
    todo = [config_name, *(f"{g.partition('@')[0]}/{c}" for g, c in choices.items())] * bool(roots)
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        path = next((f for root in roots if (f := root / f"{name}.yaml").is_file()), None)
        if name in seen or path is None:
            continue
        seen.add(name)
        if (file := _OwnFile.at(path)) is not None:
            yield file
            todo += [f"{name.rpartition('/')[0]}/{each}".lstrip("/") for each in file.inherited]


def _keys(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Return every key of a YAML document that is no list or mapping."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key
            yield from _keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _keys(each)


def _scalars(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(key)
            yield from _scalars(value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _scalars(each)
