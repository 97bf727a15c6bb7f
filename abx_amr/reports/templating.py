"""Templates of a page: whatever is put into one is escaped, whoever wrote it."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from abx_amr.host.atomic_files import jsonable
from abx_amr.reports import wording

ROOM = Path(__file__).parent
TEMPLATES, ASSETS = ROOM / "templates", ROOM / "assets"


def fill(template: str, **values: Any) -> Markup:
    """Return a template of this room with values, all of them escaped but Markup."""
    return Markup(_environment().get_template(template).render(**values))


def labelled(label: str, *sentences: str | None) -> Markup | None:
    """Return sentences behind what they answer, None where there are none.

    >>> print(labelled("Worth", "a < b.", None))
    <b>Worth.</b> a &lt; b.
    """
    text = " ".join(sentence for sentence in sentences if sentence)
    return Markup("<b>{}.</b> {}").format(label, wording.visible(text)) if text else None


def asset(name: str) -> str:
    """Return the text of a style sheet or a script of this room."""
    return (ASSETS / name).read_text(encoding="utf-8")


def as_json(value: Any) -> Markup:
    r"""Return plain data as JSON that may stand in a <script> of a page, whatever texts it holds.

    >>> print(as_json({"name": "</script><b>", "value": float("nan")}))
    {"name":"\u003c/script\u003e\u003cb\u003e","value":null}
    """
    text = json.dumps(jsonable(value), separators=(",", ":"), allow_nan=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(text)


def environment(templates: Path) -> Environment:
    """Return how templates of a folder are filled: escaped, with the filters of `wording`."""
    made = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    for name in ("number", "signed", "interval", "percent", "value", "duration", "amr", "rule"):
        made.filters[name] = getattr(wording, name)
    return made


@functools.cache
def _environment() -> Environment:
    made = environment(TEMPLATES)
    made.filters["mapping_rows"] = mapping_rows
    return made


def _shown(value: Any) -> Any:
    """Return what is put into a page: its unseen characters made visible."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return wording.visible(value)


def mapping_rows(values: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Return name and value of each entry, for a list."""
    return [(str(name), wording.value(entry)) for name, entry in values.items()]
