"""A run's return beside those of rules and of the optimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports import wording
from abx_amr.reports.expectation import Expected, expected_of_rules, expected_return
from abx_amr.reports.figures import inline_svg
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.tables import Cell, Column, signed, with_interval
from abx_amr.reports.templating import fill
from abx_amr.reports.tuned_rule import tuning_in_words
from abx_amr.reports.worth import optimum_name

NAME = "Return against rules and optimum"
PAGES = ("run",)
ORDER = 10

_SAME = 0.005  # of a return, below which two are written alike
_NUMBERS = ("value", "low", "high", "played", "played_low", "played_high")


def render(subject: RunSubject) -> Markup | None:
    """Return the figure and its table; None where the run is compared with nothing."""
    policies, is_expected = policies_of(subject)
    if len(policies) < 2:
        return None
    ours = float(policies.loc[policies["is_this"], "value"].iloc[0])
    episodes = counted(int(subject.summary.get("evaluation_episodes") or 0), "episode")
    drawn = policies[policies["value"].notna()]
    drawn = drawn.assign(name=drawn["name"].map(wording.rule))
    return fill(
        "returns.html",
        svg=inline_svg("policy_returns", {"policies": drawn}) if subject.has_figures else None,
        columns=[
            Column("policy"),
            Column("kind"),
            *([Column("expected return", numeric=True)] if is_expected else []),
            Column(f"mean of these {episodes}", numeric=True),
            Column("this run minus it", numeric=True, title="minus: it has more"),
        ],
        rows=[_row(row, ours, is_expected) for row in policies.to_dict("records")],
        marked=next(i for i, row in enumerate(policies["is_this"]) if row),
        is_expected=is_expected,
        has_optimum=bool((policies["kind"] == "optimum").any()),
        optimum=optimum_name(subject.summary),
        tuning=tuning_in_words(
            subject.summary.get("best_rule"), evaluation_seed=subject.summary.get("evaluation_seed")
        ),
    )


def _row(row: Mapping[Any, Any], ours: float, is_expected: bool) -> list[Any]:
    of_episodes = with_interval(row["played"], (row["played_low"], row["played_high"]))
    expected = with_interval(row["value"], (row["low"], row["high"]))
    if row["low"] == row["high"]:
        expected = Cell(f"{wording.number(row['value'])} (exact)", row["value"])
    if not is_expected and row["kind"] == "optimum":
        of_episodes = Cell(f"{wording.number(row['value'])} (expected)", row["value"])
    return [
        wording.rule(row["name"]),
        row["kind"],
        *([expected] if is_expected else []),
        of_episodes,
        signed(ours - row["value"]) if not row["is_this"] else "",
    ]


def policies_of(subject: RunSubject) -> tuple[pd.DataFrame, bool]:
    """Return a row per policy that the summary tells of, the best first.

    Columns: name, kind, value, low, high, played, played_low, played_high, is_this. The value is
    the expected return where the second item says that it is known of this run and of the rules;
    else the mean over the episodes that were played, but for the optimum. The best policy that does
    not see time is left out where a rule, which sees none either, earns as much.
    """
    found = subject.summary
    columns = ["name", "kind", *_NUMBERS, "is_this"]
    if "mean_return" not in found:
        return pd.DataFrame(columns=columns), False
    rule = found.get("best_rule") or {}
    candidates = rule.get("candidates") or {}
    expected, of_rules = expected_return(found), expected_of_rules(rule)
    is_expected = expected is not None and of_rules.keys() >= candidates.keys()
    rows: dict[str, dict[str, Any]] = {}

    def add(
        name: str,
        kind: str,
        played: Any = None,
        ends: Sequence[Any] | None = None,
        known: Expected | None = None,
    ) -> None:
        if name in rows or not (wording.is_known(played) or known is not None):
            return
        low, high = ends or (None, None)
        row = {"name": name, "kind": kind, "played": played}
        row |= {"played_low": low, "played_high": high}
        if known is not None and (is_expected or kind == "optimum"):
            row |= {"value": known.mean, "low": known.low, "high": known.high}
        elif not is_expected:
            row |= {"value": played, "low": low, "high": high}
        rows[name] = row

    def exactly(value: Any) -> Expected | None:
        return Expected(mean=value, low=value, high=value) if wording.is_known(value) else None

    name = str(found.get("run_name"))
    ours = found.get("mean_return_interval_95")
    add(name, "agent" if subject.learned else "rule", found["mean_return"], ours, expected)
    add(optimum_name(found), "optimum", known=exactly(found.get("optimum")))
    played = rule.get("candidate_intervals_95") or {}
    for candidate, value in candidates.items():
        add(str(candidate), "rule", value, played.get(candidate), of_rules.get(str(candidate)))
    add(str(rule.get("name")), "rule", rule.get("mean_return"))
    references = (found.get("gap") or {}).get("references") or {}
    best = exactly(references.get("best_stationary"))
    if best is not None and all(one.mean < best.mean - _SAME for one in of_rules.values()):
        add("best policy computed that does not see time", "optimum", known=best)
    never = exactly(references.get("never"))
    add("never", "rule", references.get("never"), known=never)
    other = found.get("against") or {}
    if wording.is_known(other.get("mean")):
        add(str(other.get("name")), "rule", found["mean_return"] - other["mean"])
    table = pd.DataFrame(rows.values(), columns=columns).astype(dict.fromkeys(_NUMBERS, float))
    table["is_this"] = table["name"] == name
    ordered = table.sort_values("value", ascending=False, kind="stable", ignore_index=True)
    return ordered, is_expected
