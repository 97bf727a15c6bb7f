"""A page: the sections that have something to say of a subject, in one file without any other."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib
import logging
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pandas as pd
from markupsafe import Markup

import abx_amr.reports.sections
from abx_amr.errors import first_line
from abx_amr.reports.subjects.subject import Subject
from abx_amr.reports.templating import as_json, asset, fill

log = logging.getLogger(__name__)

#: Where a section stands among the others that does not say it.
LAST = 100
GENERATOR = "abx-report"
_HEADINGS = {"run": "Run", "study": "Study", "set": "Set of runs", "plan": "Plan", "audit": "Audit"}


@runtime_checkable
class SectionModule(Protocol):
    """A module of one section; it may also say where it stands (ORDER, the lowest first)."""

    NAME: str  #: its heading
    PAGES: tuple[str, ...]  #: the kinds of page that have it

    @property
    def render(self) -> Callable[[Any], Markup | None]:
        """What writes it of a subject, None where there is nothing to show."""
        ...


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section as it stands in a page."""

    name: str
    content: Markup

    @property
    def anchor(self) -> str:
        """What it is linked to by.

        >>> Section(name="What the agent does", content=Markup()).anchor
        'what-the-agent-does'
        """
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page is made of.

    Attributes:
        title: What it is headed with: a name that a user gave.
        kind: What it is about: run, study, set, plan, audit, card.
        sections: In their order.
        notes: What could not be read or shown, a line each.
        tables: Name -> table that it holds as data.
    """

    title: str
    kind: str
    sections: Sequence[Section]
    notes: Sequence[str] = ()
    tables: Mapping[str, pd.DataFrame] | None = None

    def html(self) -> str:
        """Return the page as one file: nothing is loaded from elsewhere, and nothing may be."""
        script = asset("report.js")
        page = fill(
            "page.html",
            page=self,
            heading=_HEADINGS.get(self.kind, self.kind.capitalize()),
            style=Markup(asset("report.css")),
            script=Markup(script),
            script_digest=_digest(script),
            data=as_json({name: _columns(table) for name, table in (self.tables or {}).items()}),
            generator=GENERATOR,
        )
        return f"{page}\n"


def page_of(subject: Subject) -> Page:
    """Return the page of a subject; a section that fails is a note in it and a warning."""
    sections, failed = [], []
    for module in sections_of(subject.kind):
        try:
            content = module.render(subject)
        except Exception as error:  # the page says what it lacks; what it is about stands
            reason = f"{module.NAME}: {type(error).__name__}: {first_line(error)}"
            log.warning("the report lacks a section: %s", reason)
            log.debug("section %s", module.NAME, exc_info=True)
            failed.append(f"a section could not be written: {reason}")
        else:
            if content is not None:
                sections.append(Section(name=module.NAME, content=content))
    return Page(
        title=subject.name,
        kind=subject.kind,
        sections=sections,
        notes=[*dict.fromkeys([*subject.problems, *failed])],
        tables=subject.tables,
    )


@functools.cache
def sections_of(kind: str) -> tuple[SectionModule, ...]:
    """Return the sections of a kind of page, in their order."""
    package = abx_amr.reports.sections
    names = [found.name for found in pkgutil.iter_modules(package.__path__)]
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    declared = [m for m in modules if isinstance(m, SectionModule) and kind in m.PAGES]
    return tuple(sorted(declared, key=lambda m: (getattr(m, "ORDER", LAST), m.NAME)))


def _columns(table: pd.DataFrame) -> dict[str, Any]:
    """Return a table as JSON takes it: its columns and its rows."""
    return {
        "columns": [str(column) for column in table.columns],
        "rows": table.astype(object).where(table.notna(), None).to_numpy().tolist(),
    }


def _digest(text: str) -> str:
    """Return how a Content-Security-Policy names a script by what it holds."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
