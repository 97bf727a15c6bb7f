"""What the conditions of a set differ in, and the settings that all of them share, said once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from abx_amr.reports.members import common_choices, differing, first_of_each
from abx_amr.reports.sections.run_settings import settings_of
from abx_amr.reports.subjects import SetSubject
from abx_amr.reports.tables import Column
from abx_amr.reports.templating import fill
from abx_amr.studies.space import flatten

NAME = "What differs"
PAGES = ("set",)
ORDER = 20

#: Settings that say where a run lies, not what it is.
_OF_PLACES = ("run_name", "results_dir", "optimization_dir", "seed", "seeds")


def render(subject: SetSubject) -> Markup | None:
    """Return a row per condition with what it alone has, and what is common, folded."""
    runs = subject.tables.get("runs")
    if runs is None or runs.empty:
        return None
    told = differing(runs)
    first = first_of_each(subject.members, "condition")
    configs = [member.config for member in first.values()]
    return fill(
        "set_settings.html",
        columns=[Column("condition"), Column("what it has that others have not")],
        rows=[
            [condition, ", ".join(f"{key} = {value}" for key, value in values.items())]
            for condition, values in told.items()
            if any(told.values())
        ],
        is_one=len(told) == 1,
        common=settings_of(common_of(configs), common_choices(subject.members)),
    )


def common_of(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings that all configurations have with the same value, but for places.

    >>> common_of([{"a": {"x": 1, "y": 2}, "run_name": "p"}, {"a": {"x": 1, "y": 3}}])
    {'a': {'x': 1}}
    """
    if not configs:
        return {}
    flat = [flatten(config) for config in configs]
    common: dict[str, Any] = {}
    for path, value in flat[0].items():
        section, _, rest = path.partition(".")
        if path.rpartition(".")[2] in _OF_PLACES:
            continue
        if all(path in other and other[path] == value for other in flat[1:]):
            if rest:
                common.setdefault(section, {})[rest] = value
            else:
                common[section] = value
    return common
