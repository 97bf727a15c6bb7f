"""What a study's winner is worth where nothing has chosen it: on fresh seeds and episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from abx_amr.reports.finals import DEFAULT, Final, HeldOut, compared, compared_at, final_of, named
from abx_amr.reports.resistance import in_words, levels_of
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.tables import Cell, Column, Table, levels, numbers, with_interval
from abx_amr.reports.templating import fill
from abx_amr.reports.tuned_rule import tuning_in_words
from abx_amr.reports.wording import is_known, number
from abx_amr.reports.wording import rule as rule_in_words

NAME = "What the winner is worth"
PAGES = ("study",)
ORDER = 8


def render(subject: StudySubject) -> Markup | None:
    """Return found, selected and held out, beside the default; None without a final."""
    final = final_of(subject.summary)
    if final is None:
        return None
    return fill(
        "study_final.html",
        sentence=_sentence(final, subject),
        compared=" ".join(
            filter(None, (compared(final), compared_at(subject.tuning, subject.config)))
        ),
        resistance=resistance_of(final),
        tuning=tuning_in_words(final.best_rule, evaluation_seed=final.evaluation_seed),
        columns=[
            Column("on seeds and episodes that chose nothing"),
            Column("mean return (95 % interval)", numeric=True),
            Column("lowest seed", numeric=True),
            Column("highest seed", numeric=True),
        ],
        rows=_rows(final),
        candidate_columns=[
            Column("point"),
            Column("objective", numeric=True, title="mean less the penalty for the spread"),
            Column("mean of its seeds", numeric=True),
            Column("lowest seed", numeric=True),
            Column("highest seed", numeric=True),
            Column("failed", numeric=True),
        ],
        candidates=[_candidate(one) for one in final.candidates],
        marked=next(
            (i for i, one in enumerate(final.candidates) if one.get("point") == final.selected),
            None,
        ),
        fresh=_span(final.fresh_seeds),
        by_seed=_by_seed(final),
    )


def resistance_of(final: Final) -> str:
    """Return the resistance at the end of an episode, of the winner and of the best rule."""
    rule, whose = final.best_rule or {}, named(final.selected)
    text = in_words(
        final.winner.final_amr, levels_of(rule.get("final_amr")), rule.get("name"), whose=whose
    )
    return text or "The resistance at the end of an episode was not kept."


def _sentence(final: Final, subject: StudySubject) -> str:
    best, weight = subject.best or {}, subject.summary.get("stability_penalty_weight")
    mean = best.get("mean_reward")
    scale = (
        f" (a mean return of {number(mean)}, less {number(weight, 2)} times its spread over seeds: "
        "what is held out has no such penalty)"
        if is_known(mean) and is_known(weight) and weight
        else ""
    )
    both = "It" if final.selected == DEFAULT else "It and the default"
    count = len(final.candidates) - 1
    points = "best point" if count == 1 else f"{count} best points"
    return (
        f"The search's best value, {number(final.found)}{scale}, is the best of many, and so is "
        f"likely to flatter. Its {points} and the default trained again on fresh seeds "
        f"({_span(final.fresh_seeds)}); {named(final.selected)} won. {both} then trained on seeds "
        f"{_span(final.seeds)} and played episodes that had chosen nothing."
    )


def _span(seeds: list[int] | Any) -> str:
    known = sorted(seeds)
    return (
        "none" if not known else f"{known[0]} to {known[-1]}" if len(known) > 1 else f"{known[0]}"
    )


def _rows(final: Final) -> list[list[Any]]:
    rows = [_held(f"{named(final.selected)}, the winner", final.winner)]
    if final.selected != DEFAULT:
        rows.append(_held("the default", final.default))
        found = final.difference
        rows.append(
            ["winner minus default", with_interval(found.mean, found.ends, is_signed=True), "", ""]
        )
    rule = final.best_rule
    if rule is not None:
        difference = rule.get("difference") or {}
        name, mean = str(rule.get("name")), rule.get("mean_return")
        ends = (rule.get("candidate_intervals_95") or {}).get(name)
        rows += [
            [f"the best rule, {rule_in_words(name)}", with_interval(mean, ends), "", ""],
            [
                "winner minus best rule",
                with_interval(
                    difference.get("mean"), difference.get("interval_95"), is_signed=True
                ),
                "",
                "",
            ],
        ]
    return rows


def _by_seed(final: Final) -> Table | None:
    """Return a row per held-out agent of the winner; None where nothing but a mean was kept."""
    drugs = [*final.winner.final_amr]
    rows = [
        [
            Cell(
                str(told.get("seed")), float(told["seed"]) if is_known(told.get("seed")) else None
            ),
            numbers(told.get("mean")),
            *_given(told, drugs),
            *(levels(levels_of(told.get("final_amr")).get(drug)) for drug in drugs),
        ]
        for told in final.winner.by_seed
    ]
    columns = [
        Column("training seed", numeric=True),
        Column("mean return", numeric=True),
        *(Column(f"given {drug}", numeric=True, title="of all patients") for drug in drugs),
        *(Column(f"{drug}: AMR at the end", numeric=True) for drug in drugs),
    ]
    return (columns, rows) if rows and drugs else None


def _given(told: Mapping[str, Any], drugs: Sequence[str]) -> list[Cell]:
    given, none = told.get("given") or {}, told.get("none")
    total = sum(given.values()) + none if is_known(none) else 0
    return [levels(given.get(drug, 0) / total if total else None) for drug in drugs]


def _held(name: str, value: HeldOut) -> list[Any]:
    worst, best = (min(value.returns), max(value.returns)) if value.returns else (None, None)
    return [name, with_interval(value.mean, value.ends), numbers(worst), numbers(best)]


def _candidate(told: Mapping[str, Any]) -> list[Any]:
    returns = [*(told.get("seeds") or {}).values()]
    known = [float(r) for r in returns if is_known(r)]
    mean = math.fsum(known) / len(known) if known else None
    worst, best = (min(known), max(known)) if known else (None, None)
    return [
        named(told.get("point", "?")),
        numbers(told.get("objective")),
        *(numbers(mean), numbers(worst), numbers(best)),
        Cell(str(len(returns) - len(known)), float(len(returns) - len(known))),
    ]
