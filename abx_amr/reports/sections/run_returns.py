"""A run's return beside those of rules and of the optimum."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.tables import Column, numbers, over_episodes, signed
from abx_amr.reports.templating import fill

NAME = "Return against rules and optimum"
PAGES = ("run",)
ORDER = 10


def render(subject: RunSubject) -> Markup | None:
    """Return the figure and its table; None where the run is compared with nothing."""
    policies = policies_of(subject)
    if len(policies) < 2:
        return None
    ours = subject.summary["mean_return"]
    rows = [
        [
            row["name"],
            row["kind"],
            numbers(row["value"]),
            over_episodes((row["low"], row["high"])),
            signed(ours - row["value"]) if not row["is_this"] else "",
        ]
        for row in policies.to_dict("records")
    ]
    return fill(
        "returns.html",
        svg=inline_svg("policy_returns", {"policies": policies}) if subject.has_figures else None,
        columns=[
            Column("policy"),
            Column("kind"),
            Column("mean return", numeric=True),
            Column("95 % interval", numeric=True),
            Column("this run minus it", numeric=True, title="minus: it has more"),
        ],
        rows=rows,
        marked=next(i for i, row in enumerate(policies["is_this"]) if row),
        learned=subject.learned,
        has_optimum=bool((policies["kind"] == "optimum").any()),
    )


def policies_of(subject: RunSubject) -> pd.DataFrame:
    """Return a row per policy that the summary tells of, the best first."""
    found = subject.summary
    if "mean_return" not in found:
        return pd.DataFrame(columns=["name", "kind", "value", "low", "high", "is_this"])
    ends = found.get("mean_return_interval_95") or (None, None)
    rows: dict[str, dict[str, Any]] = {}

    def add(name: str, kind: str, value: Any, low: Any = None, high: Any = None) -> None:
        if isinstance(value, int | float) and name not in rows:
            rows[name] = {"name": name, "kind": kind, "value": value, "low": low, "high": high}

    name = str(found.get("run_name"))
    add(name, "agent" if subject.learned else "rule", found["mean_return"], *ends)
    bound = "between" in str(found.get("optimum_note"))
    add("upper bound of the optimum" if bound else "optimum", "optimum", found.get("optimum"))
    rule = found.get("best_rule") or {}
    played = rule.get("candidate_intervals_95") or {}
    for candidate, value in (rule.get("candidates") or {}).items():
        add(str(candidate), "rule", value, *(played.get(candidate) or (None, None)))
    add(str(rule.get("name")), "rule", rule.get("mean_return"))
    references = (found.get("gap") or {}).get("references") or {}
    add("best policy that does not see time", "optimum", references.get("best_stationary"))
    add("never", "rule", references.get("never"))
    other = found.get("against") or {}
    if isinstance(other.get("mean"), int | float):
        add(str(other.get("name")), "rule", found["mean_return"] - other["mean"])
    table = pd.DataFrame(rows.values()).astype({"low": float, "high": float, "value": float})
    table["is_this"] = table["name"] == name
    return table.sort_values("value", ascending=False, kind="stable", ignore_index=True)
