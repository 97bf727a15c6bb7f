"""Which condition of a set is best in each clinic, and whether that may be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports.clinic import clinic_in_words
from abx_amr.reports.members import first_of_each
from abx_amr.reports.subjects import SetSubject
from abx_amr.reports.tables import KeyFigure
from abx_amr.reports.templating import fill, labelled
from abx_amr.reports.wording import amr, collapse_in_words, interval, is_known, number, signed
from abx_amr.reports.wording import rule as rule_in_words

NAME = "Verdict"
PAGES = ("set",)
ORDER = 0

_MOST = 5  # clinics that are told in sentences
_MOST_COLLAPSED = 5  # runs that are named
_SAME_LENGTH = 0.02  # of a training, within which two are equally long


def render(subject: SetSubject) -> Markup | None:
    """Return two sentences for each clinic."""
    conditions = subject.tables.get("conditions")
    if conditions is None or conditions.empty:
        return None
    clinics = list(dict.fromkeys(conditions["clinic"]))
    runs_of = subject.tables.get("runs")
    sentences: list[str | Markup] = [*_clinics(subject, clinics[:_MOST])]
    for clinic in clinics[:_MOST]:
        here = _best_first(_with_steps(conditions[conditions["clinic"] == clinic], runs_of))
        sentences += _of_clinic(str(clinic), here, subject.tables.get("pairs"), len(clinics) > 1)
    if len(clinics) > _MOST:
        sentences.append(f"{len(clinics) - _MOST} more clinics are in the tables.")
    runs = int(conditions["runs"].sum())
    keys = _of_best(conditions) if len(clinics) == 1 else []
    keys += [
        KeyFigure("runs", str(runs)),
        KeyFigure("conditions", str(len(conditions))),
        KeyFigure("clinics", str(len(clinics))),
    ]
    return fill("verdict.html", sentences=sentences, warning=_warning(subject), keys=keys)


def _of_best(conditions: pd.DataFrame) -> list[KeyFigure]:
    """Return what the best condition is worth, of a single clinic."""
    best = _best_first(conditions).iloc[0]
    name = rule_in_words(best["condition"])
    keys = [KeyFigure(f"mean return ({name})", number(best["mean"]), _sure(best, "mean"))]
    if is_known(worth := best.get("expected_return")):
        keys = [KeyFigure(f"expected return ({name})", number(worth), _sure(best, "expected"))]
    if is_known(gap := best.get("expected_gap")):
        keys.append(KeyFigure("below the optimum, in expectation", number(gap)))
    if is_known(level := best.get("final_amr")):
        keys.append(KeyFigure("AMR at the end of an episode", amr(level), "mean over antibiotics"))
    return keys


def _sure(best: pd.Series, name: str) -> str:
    """Return the interval over the runs of a condition; of one run that there is none."""
    ends = (best[f"{name}_low"], best[f"{name}_high"])
    return interval(ends) if all(map(is_known, ends)) else "one run: no interval"


def _clinics(subject: SetSubject, clinics: Sequence[str]) -> list[str]:
    """Return each clinic in words, as far as the folder of one of its runs is at hand."""
    sentences = []
    there = (member for member in subject.members if member.path.is_dir())
    of_each = {(member.clinic, member.condition): member for member in there}
    for name, member in first_of_each(subject.members, "clinic").items():
        others = [other.config for (clinic, _), other in of_each.items() if clinic == name]
        words = clinic_in_words(member.config, others=others)
        if words is not None and name in clinics:
            said = words.removeprefix("The clinic: ")
            sentences.append(words if len(clinics) == 1 else f"The clinic {name}: {said}")
    return sentences or ["Of which clinic is not known here: the folders of the runs are not."]


def _of_clinic(
    clinic: str, here: pd.DataFrame, pairs: pd.DataFrame | None, is_named: bool
) -> list[Markup]:
    rows = here.to_dict("records")
    best = rows[0]
    over = counted(best["runs"], "run")
    mean = f"{number(best['mean'])}{_within((best['mean_low'], best['mean_high']))}"
    earned, luck = f"it has a mean return of {mean} over {over}.", None
    if is_known(worth := best.get("expected_return")):
        within = _within((best["expected_low"], best["expected_high"]))
        earned = f"it earns {number(worth)} per episode in expectation{within} over {over}."
        luck = f"In the episodes that were played its mean was {mean}, with the luck of these."
    name = rule_in_words(best["condition"])
    first = (
        f"he best of {counted(len(rows), 'condition')} is {name}: {earned}"
        if len(rows) > 1
        else f"he only condition is {name}: {earned}"
    )
    opening = f"In clinic {clinic}, t{first}" if is_named else f"T{first}"
    told = [labelled("What is best" if len(rows) > 1 else "What it earns", opening, luck)]
    if len(rows) > 1:
        told.append(labelled("Against the next", _against_next(clinic, best, rows[1], pairs)))
    optimum, expected = best.get("optimum"), best.get("expected_gap")
    if is_known(difference := best.get("best_rule_difference")):
        rule = f", {rule_in_words(best['best_rule'])}," if best.get("best_rule") else ""
        text = (
            f"On the same episodes it is {number(abs(difference))} "
            f"{'above' if difference >= 0 else 'below'} the best tuned rule of the clinic{rule} in "
            "the mean over its runs."
        )
        told.append(labelled("Against the best rule", text))
    below: str | None = None
    if is_known(optimum) and is_known(expected) and is_known(worth):
        below = f"In expectation it is {number(expected)} below the optimum, {number(optimum)}."
    elif is_known(optimum) and is_known(expected):
        below = (
            f"In expectation, without the luck of these episodes, it is {number(expected)} below "
            f"the best policy that could be computed (the optimum is at most {number(optimum)})."
        )
    elif is_known(optimum):
        below = (
            f"It is {number(optimum - best['mean'])} below the optimum, {number(optimum)}."
            if optimum >= best["mean"]
            else f"It lies above the optimum, {number(optimum)}: these episodes were easy."
        )
    told.append(labelled("Against the optimum", below))
    if is_known(level := best.get("final_amr")):
        theirs = best.get("best_rule_final_amr")
        beside = f"; under the best rule {amr(theirs)}" if is_known(theirs) else ""
        text = (
            f"At the end of an episode under it {amr(level)} of infections are resistant, in the "
            f"mean over antibiotics{beside}."
        )
        told.append(labelled("Resistance", text))
    return [sentence for sentence in told if sentence]


def _best_first(conditions: pd.DataFrame) -> pd.DataFrame:
    """Return the conditions of a clinic by what they are worth, in expectation where it is known.

    Of all of them: what some are worth in expectation is not held against others' luck.
    """
    is_expected = "expected_return" in conditions and conditions["expected_return"].notna().all()
    return conditions.sort_values("expected_return" if is_expected else "mean", ascending=False)


def _against_next(
    clinic: str, best: Mapping[Any, Any], other: Mapping[Any, Any], pairs: pd.DataFrame | None
) -> str:
    found = None if pairs is None else _pair(clinic, best, other, pairs)
    length = _lengths(best, other)
    has = (
        f"The next, {rule_in_words(other['condition'])}, earns {number(other['expected_return'])} "
        "in expectation"
        if all(is_known(one.get("expected_return")) for one in (best, other))
        else f"The next, {rule_in_words(other['condition'])}, has {number(other['mean'])}"
    )
    if found is None:
        return f"{has}; they were not paired.{length}"
    difference, ends, p_value, count = found
    if not count:
        return f"{has}; they have no training seed in common, so that no test was made.{length}"
    is_sure = is_known(p_value) and p_value < 0.05
    word = "cannot be told apart from"
    if is_sure:
        word = "is better than" if difference > 0 else "was worse on these episodes than"
    sure = f" (95 % interval {interval(ends)})" if all(map(is_known, ends)) else ""
    return (
        f"It {word} the next, {other['condition']}: in the episodes that were played the "
        f"difference over {counted(count, 'pair')} of runs of one training seed is "
        f"{signed(difference)}{sure}.{_chance(p_value)}{length}"
    )


def _with_steps(conditions: pd.DataFrame, runs: pd.DataFrame | None) -> pd.DataFrame:
    """Return the conditions with `steps`: for how many their runs were trained, in the mean."""
    if runs is None or "steps" not in runs:
        return conditions
    steps = pd.to_numeric(runs["steps"], errors="coerce").groupby(runs["condition"]).mean()
    return conditions.assign(steps=conditions["condition"].map(steps))


def _lengths(best: Mapping[Any, Any], other: Mapping[Any, Any]) -> str:
    """Return that two conditions were not trained equally long; nothing where they were.

    >>> _lengths({"steps": 50000}, {"steps": 30000})
    ' Beware: it was trained for 50,000 steps, the other for 30,000.'
    >>> _lengths({"steps": 0}, {"steps": 30000})
    ''
    """
    ours, theirs = best.get("steps"), other.get("steps")
    if not is_known(ours) or not is_known(theirs) or not ours or not theirs:
        return ""
    if abs(ours - theirs) <= _SAME_LENGTH * max(ours, theirs):
        return ""
    return (
        f" Beware: it was trained for {number(ours, 0)} steps, the other for {number(theirs, 0)}."
    )


def _chance(p_value: Any) -> str:
    """Return what a p-value means, nothing where it is not known.

    >>> _chance(0.669)
    ' If the two were alike, chance alone would show as large a difference in 67 of 100 such comparisons (paired t test, p = 0.669, corrected for the number of comparisons).'
    """  # noqa: E501
    if not is_known(p_value):
        return ""
    often = "fewer than 1" if p_value < 0.005 else number(100 * p_value, 0)
    return (
        f" If the two were alike, chance alone would show as large a difference in {often} of 100 "
        f"such comparisons (paired t test, p = {number(p_value, 3)}, corrected for the number of "
        "comparisons)."
    )


def _within(ends: tuple[float, float]) -> str:
    """Return an interval in brackets, nothing where there is none."""
    return f" ({interval(ends)})" if all(map(is_known, ends)) else ""


def _pair(
    clinic: str, best: Mapping[Any, Any], other: Mapping[Any, Any], pairs: pd.DataFrame
) -> tuple[float, tuple[float, float], float, int] | None:
    """Return difference, interval, p-value and number of pairs, of the best minus the other."""
    for row in pairs[pairs["clinic"] == clinic].to_dict("records"):
        named = (row["first"], row["second"])
        ends = (row["low"], row["high"])
        if named == (best["condition"], other["condition"]):
            return row["difference"], ends, row["t_p_holm"], int(row["pairs"])
        if named == (other["condition"], best["condition"]):
            return -row["difference"], (-ends[1], -ends[0]), row["t_p_holm"], int(row["pairs"])
    return None


def _warning(subject: SetSubject) -> str | None:
    lines = [_few(subject.tables["conditions"]), _collapsed(subject.tables.get("runs"))]
    return " ".join(filter(None, lines)) or None


def _collapsed(runs: pd.DataFrame | None) -> str | None:
    """Return which runs hold a policy that has collapsed; None: none does."""
    if runs is None or "collapse" not in runs:
        return None
    found = runs[runs["collapse"].notna()]
    if found.empty:
        return None
    named = [f"{r['run']}: {collapse_in_words(r['collapse'])}" for r in found.to_dict("records")]
    rest = len(named) - _MOST_COLLAPSED
    which = ", ".join(named[:_MOST_COLLAPSED])
    more = f" and {rest} more, marked in the table" if rest > 0 else ""
    return (
        f"{len(named)} of {counted(len(runs), 'run')} collapsed ({which}{more}): "
        f"{_whole_conditions(runs)}{_best_of_few(len(named), len(runs))}"
    )


def _best_of_few(collapsed: int, runs: int) -> str:
    """Return what a best condition means where most runs have collapsed."""
    if 2 * collapsed <= runs:
        return ""
    return (
        " The best is the best of runs of which most did not learn: it says little of the "
        "settings. Longer trainings, or other settings, come first."
    )


def _whole_conditions(runs: pd.DataFrame) -> str:
    """Return what the collapse of runs means for the mean of their conditions."""
    by_condition = runs["collapse"].notna().groupby([runs["clinic"], runs["condition"]])
    some, every = by_condition.any(), by_condition.all()
    whole, mixed = int(every.sum()), int((some & ~every).sum())
    if not whole:
        return (
            f"the mean of {'their condition' if mixed == 1 else 'each of their conditions'} is one "
            "over policies that learned and policies that did not."
        )
    names = dict.fromkeys(rule_in_words(condition) for _, condition in every.index[every])
    text = f"of {' and '.join(names)} all of {'its' if len(names) == 1 else 'their'} runs"
    if not mixed:
        return f"{text}."
    return (
        f"{text}; elsewhere the mean is one over policies that learned and policies that did not."
    )


def _few(conditions: pd.DataFrame) -> str | None:
    few = conditions[conditions["learns"].astype(bool) & (conditions["seeds"] < 5)]
    if few.empty:
        return None
    if len(conditions) == 1:
        return (
            "It has fewer than 5 training seeds: its interval is too narrow, and the next seed may "
            "lie outside."
        )
    return (
        f"{len(few)} of {len(conditions)} conditions have fewer than 5 training seeds: their "
        "intervals are too narrow, and which is best may change with the next seed."
    )
