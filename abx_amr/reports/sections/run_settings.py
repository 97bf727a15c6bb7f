"""The settings that a run was made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.templating import fill, mapping_rows
from abx_amr.studies.space import flatten

NAME = "Settings"
PAGES = ("run",)
ORDER = 90


def render(subject: RunSubject) -> Markup | None:
    """Return the configuration, a list for each of its sections."""
    return settings_of(subject.config, subject.provenance.get("choices") or {})


def settings_of(config: Mapping[str, Any], choices: Mapping[str, Any]) -> Markup | None:
    """Return a configuration as folded lists, None where there is none."""
    if not config:
        return None
    sections = {k: flatten(v) for k, v in config.items() if isinstance(v, Mapping) and v}
    loose = {k: v for k, v in config.items() if k not in sections}
    return fill(
        "settings.html",
        choices=mapping_rows(choices),
        sections=[(name, mapping_rows(values)) for name, values in sections.items()],
        loose=mapping_rows(loose),
    )
