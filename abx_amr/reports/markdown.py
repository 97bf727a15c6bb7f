"""Names of users as text of a Markdown file: no markup, no HTML, nothing that cannot be seen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from abx_amr.errors import printable

#: What would be read as markup -> what is read as itself, by every reader of Markdown.
_AS_ITSELF = {
    **{mark: f"\\{mark}" for mark in "\\`*[]{}#!"},
    **{"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;", "~": "&#126;", "@": "&#64;"},
    **{"$": "&#36;", "^": "&#94;"},
}
_MARK = re.compile("|".join(map(re.escape, _AS_ITSELF)))
_OUTER_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LINK = re.compile(r":(?=//)|(?<=\bwww)\.", re.IGNORECASE)
_BEGINS_A_LIST = re.compile(r"^([-+=]|\d+[.)](?=\s))")


def escape(name: object) -> str:
    r"""Return text that a Markdown reader shows as it is, inside a line.

    >>> escape("amoxicillin_clavulanate"), escape("<b>*x*</b> | http://a.b")
    ('amoxicillin_clavulanate', '&lt;b&gt;\\*x\\*&lt;/b&gt; &#124; http&#58;//a.b')
    """
    text = _MARK.sub(lambda found: _AS_ITSELF[found[0]], printable(name))
    text = _OUTER_UNDERSCORE.sub(r"\\_", text)
    return _LINK.sub(lambda found: f"&#{ord(found[0])};", text)


def line(text: object) -> str:
    r"""Return text that a Markdown reader shows as it is, as a line of its own or a list's.

    >>> line("- 3 patients")
    '&#45; 3 patients'
    """
    return _BEGINS_A_LIST.sub(lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", escape(text))


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    r"""Return the lines of a table; the cells are escaped, numbers to the right.

    >>> print("\n".join(table(("what", "how many"), [("a|b", "1")])))
    | what | how many |
    |---|---:|
    | a&#124;b | 1 |
    """
    lines = [_row(heading), f"|---|{'---:|' * (len(heading) - 1)}"]
    return lines + [_row(row) for row in rows]


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(escape(cell) for cell in cells)} |"
