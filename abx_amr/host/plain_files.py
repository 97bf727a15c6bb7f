"""Files of plain data, YAML and JSON; one that cannot be read is an error of one line.

A file may be cut off, of another kind, or made to exhaust the machine: what is read is bounded.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml

from abx_amr.errors import InputError, first_line
from abx_amr.host import atomic_files

# The safe loader in C, where there is one: a table of many runs reads as many files.
_SAFE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Larger files of settings or results are none.
LARGEST_BYTES = 32 * 1024**2
#: More values, each counted as often as it is referred to, make no configuration.
LARGEST_COUNT = 1_000_000
#: Deeper trees are none.
DEEPEST = 200
_CURE = "put it back, or run again"


class _Loader(_SAFE_LOADER):  # type: ignore[misc]
    """Reads plain values; merge keys, whose copies no file of ours has, are an error."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Copy nothing."""


def write_yaml(file: Path, value: Any) -> None:
    """Write plain data as YAML in its own order, atomically."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    atomic_files.write_text(file, str(text))


def read_text(file: Path, *, largest: int = LARGEST_BYTES, cure: str = _CURE) -> str:
    """Return a text file's content.

    Args:
        file: the file.
        largest: more bytes than this are not read.
        cure: what a user does about a damaged one.

    Raises:
        InputError: there is no such file, or it is no UTF-8 text, too large or unreadable.
    """
    try:
        # Without waiting for whoever would write into a pipe of this name.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{file} is no file: {cure}")
            if status.st_size > largest:
                raise InputError(
                    f"{file} is not read: {status.st_size / 1024**2:.0f} MiB are more than any "
                    f"such file has ({largest / 1024**2:.0f} MiB); {cure}"
                )
            # Asked for so many bytes, it would make room for them at every small file.
            return stream.read()[:largest].decode("utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file} is damaged: it is no UTF-8 text (byte {error.start}); {cure}"
        ) from error


def read_yaml(file: Path, *, is_ours: bool = False, cure: str = _CURE) -> Any:
    """Return what a YAML file holds.

    Args:
        file: the file.
        is_ours: whether `write_yaml` wrote it, so that one without an end of its last line was cut.
        cure: what a user does about a damaged one.

    Raises:
        InputError: there is no such file, it is damaged, or too large as it stands or unfolded.
    """
    text = read_text(file, cure=cure)
    if is_ours and text and not text.endswith("\n"):
        raise InputError(f"{file} is damaged: it was cut off; {cure}")
    return parsed_yaml(text, file, cure=cure)


def parsed_yaml(text: str, file: Path, *, cure: str = _CURE) -> Any:
    """Return what YAML text of a file says.

    Raises:
        InputError: it is damaged, or too large as it unfolds.
    """
    try:
        check_depth(text)
        content = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(
            f"{file} is damaged: it cannot be read as YAML ({first_line(error)}); {cure}"
        ) from error
    if unfolded_count(content) > LARGEST_COUNT:
        raise InputError(
            f"{file} is not read: its anchors unfold to more than {LARGEST_COUNT} values; {cure}"
        )
    return content


def read_json(file: Path, *, cure: str = _CURE) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        InputError: there is no such file, it is damaged, or it holds something else.
    """
    text = read_text(file, cure=cure)
    try:
        value = json.loads(text, object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{file} is damaged: it cannot be read as JSON ({first_line(error)}); {cure}"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{file} must hold a JSON object, got {type(value).__name__}")
    return value


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice")
    return content


def check_depth(text: str) -> None:
    """Refuse YAML that is nested so deep that the loader in C, which recurses, ends the process.

    Raises:
        ValueError: it is; yaml.YAMLError: it is no YAML.
    """
    widest = max(
        (len(x) - len(x.lstrip(" ")) + x.count("-") + x.count("?") for x in text.split("\n")),
        default=0,
    )
    if text.count("[") + text.count("{") + widest <= DEEPEST:
        return  # cannot be deeper than that
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")


def unfolded_count(value: Any) -> float:
    """Return how many values a tree has, each counted as often as it is referred to.

    What holds itself has infinitely many.

    >>> nine = ["lol"] * 9
    >>> unfolded_count([nine, nine])
    21
    """
    known: dict[int, float] = {}

    def count(tree: Any) -> float:
        if not isinstance(tree, dict | list):
            return 1
        if id(tree) not in known:
            known[id(tree)] = float("inf")  # until it is known: what is met again inside is a loop
            parts = [*tree.keys(), *tree.values()] if isinstance(tree, dict) else tree
            known[id(tree)] = 1 + sum(count(part) for part in parts)
        return known[id(tree)]

    try:
        return count(value)
    except RecursionError:
        return float("inf")
