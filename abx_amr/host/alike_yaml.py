"""YAML files of which most parts are alike, as those of many runs: each part is read once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from abx_amr.errors import InputError
from abx_amr.host.plain_files import (
    LARGEST_COUNT,
    parsed_yaml,
    read_text,
    read_yaml,
    unfolded_count,
)

#: A section of a mapping: its first line, and those that are indented or items of its list.
_SECTION = re.compile(r"[A-Za-z_]\w*:(?: .*)?\n(?:(?: |- ).*\n)*", re.ASCII)
#: An item of a list, in which indented lines go on.
_ITEM = re.compile(r"- .*\n(?: .*\n)*")
#: What may refer from one part to another.
_REFERS = re.compile(r"[&*]")

Part = dict[Any, Any] | list[Any]


class AlikeYaml:
    """Reads files of plain settings as `read_yaml` does.

    Parts of the same text, sections of a mapping or items of a list, are one object in all that it
    returns: nobody may change it. A file that does not fall into parts, or one of which a part
    cannot be read alone, is read whole.
    """

    def __init__(self) -> None:
        """Know no part yet."""
        self._known: dict[str, tuple[Part, float]] = {}

    def read_yaml(self, file: Path, *, is_ours: bool = False) -> Any:
        """Return what a file holds; arguments and errors as of `read_yaml`."""
        text = read_text(file)
        content = self._together(_parts(text), file) if text.endswith("\n") else None
        return read_yaml(file, is_ours=is_ours) if content is None else content

    def _together(self, texts: list[str], file: Path) -> Part | None:
        """Return what parts of one kind make up; None where they do not, or are too many."""
        parts = [self._part(text, file) for text in texts]
        found = [part for part in parts if part is not None]
        if not texts or len(found) < len(parts):
            return None
        if 1 + sum(count for _, count in found) > LARGEST_COUNT:
            return None
        sections = [part for part, _ in found if isinstance(part, dict)]
        items = [part for part, _ in found if isinstance(part, list)]
        if sections and items:
            return None
        if items:
            return [item for (item,) in items]
        return {key: value for section in sections for key, value in section.items()}

    def _part(self, text: str, file: Path) -> tuple[Part, float] | None:
        """Return what a part holds and how many values; None where it is not one by itself."""
        known = self._known.get(text)
        if known is None:
            try:
                content = parsed_yaml(text, file)
            except InputError:
                return None
            if not isinstance(content, dict | list) or len(content) != 1:
                return None
            known = self._known[text] = content, unfolded_count(content) - 1
        return known


def _parts(text: str) -> list[str]:
    r"""Return the texts of the parts; none where they do not make up the whole or may refer.

    >>> _parts("a: 1\nb:\n- 2\n  3\n"), _parts("- a\n- b\n")
    (['a: 1\n', 'b:\n- 2\n  3\n'], ['- a\n', '- b\n'])
    >>> _parts("a: &one 1\nb: *one\n"), _parts("---\na: 1\n"), _parts("- a\nb: 1\n")
    ([], [], [])
    """
    if _REFERS.search(text):
        return []
    parts: list[str] = (_ITEM if text.startswith("-") else _SECTION).findall(text)
    return parts if sum(map(len, parts)) == len(text) else []
