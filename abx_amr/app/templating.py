"""Templates of the pages: whatever is put into one is escaped, whoever wrote it."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment
from markupsafe import Markup

from abx_amr.reports.templating import environment

ROOM = Path(__file__).parent
TEMPLATES, ASSETS = ROOM / "templates", ROOM / "assets"


def page(template: str, *, base: str, **values: Any) -> Markup:
    """Return a page, or a part of one.

    Args:
        template: Its name.
        base: What stands before every path.
        values: What is put into it, all of it escaped but Markup.
    """
    return Markup(_environment().get_template(template).render(base=base, **values))


def query(path: str, **values: Any) -> str:
    """Return a path with a query, of the values that are given.

    >>> query("/results/open", at="results/a b", kind=None)
    '/results/open?at=results%2Fa+b'
    """
    said = [(key, value) for key, value in values.items() if value not in (None, "", [])]
    return f"{quote(path)}?{urlencode(said, doseq=True)}" if said else quote(path)


@functools.cache
def version_of(asset: str) -> str:
    """Return a mark that changes with an asset, so that a browser may keep it."""
    return hashlib.sha256((ASSETS / asset).read_bytes()).hexdigest()[:12]


@functools.cache
def _environment() -> Environment:
    made = environment(TEMPLATES)
    made.globals |= {"query": query, "version_of": version_of}
    return made
