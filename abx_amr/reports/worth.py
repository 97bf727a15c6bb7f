"""What a run is worth, in words: in expectation first, then in the episodes that were played."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from abx_amr.reports.expectation import (
    Expected,
    against_best_rule,
    expected_of_rules,
    expected_return,
    is_mostly_luck,
    known_ends,
    luck_of,
)
from abx_amr.reports.wording import (
    is_known,
    number,
    over_episodes,
    reached,
    rule,
    signed,
    what_a_rule_does,
)

_BETWEEN = re.compile(r"upper bound: optimum between (-?[\d.]+) and (-?[\d.]+)")
_UNNAMED_PLAN = re.compile(r"run (first: )?abx-plan for (this clinic|it)( first)?")


def returns_in_words(summary: Mapping[str, Any], who: str) -> list[str]:
    """Return what a run earns: what is expected of it, and what its episodes gave.

    Args:
        summary: Of the run.
        who: What played, such as "The agent ppo".
    """
    mean, count = summary.get("mean_return"), summary.get("evaluation_episodes")
    played = (
        f"{number(count, 0)} episodes of evaluation seed {summary.get('evaluation_seed')}"
        if count != 1
        else f"the one episode of evaluation seed {summary.get('evaluation_seed')}"
    )
    sure = f"95 % interval {over_episodes(summary.get('mean_return_interval_95'))}"
    expected = expected_return(summary)
    if expected is None:
        text = f"{who} earned a mean return of {number(mean)} per episode ({sure}) in {played}."
        few = "So few episodes leave much to luck: 500 tell more (Repeat it, go on)."
        return [text, few] if is_mostly_luck(summary) else [text]
    apart = "" if not is_known(mean) else f", {_apart(mean - expected.mean)} that"
    return [
        f"{who} earns {number(expected.mean)} per episode in expectation ({expected.how_sure}): "
        "this is the value to quote.",
        f"In {played} its mean return was {number(mean)} ({sure}){apart}: {luck_of(count)}, of the "
        "patients who happened to come.",
    ]


def _of_that(summary: Mapping[str, Any]) -> str:
    """Return what the best policy earns that could be computed: no less than the lower bound."""
    found = _BETWEEN.fullmatch(str(summary.get("optimum_note")))
    least = "" if found is None else f" and earns at least {number(float(found[1]))}"
    return f", which is near the optimum{least}"


def _apart(difference: float) -> str:
    return f"{number(abs(difference))} {'above' if difference >= 0 else 'below'}"


def against_in_words(summary: Mapping[str, Any]) -> list[str]:
    """Return how a run compares with the best rule, and with whom it was played against."""
    sentences = []
    best, other = summary.get("best_rule"), other_than_best(summary)
    if best:
        found = best.get("difference") or {}
        count, ends = found.get("episodes"), found.get("interval_95") or (None, None)
        same = f"on the same {number(count, 0)} episodes" if count != 1 else "on the same episode"
        sure = f" (95 % interval {over_episodes(ends)})" if all(map(is_known, ends)) else ""
        of_episodes = f"{signed(found.get('mean'))}{sure}"
        expected, words = against_best_rule(summary), what_a_rule_does(best.get("name"))
        name = f"{rule(best.get('name'))}{f' ({words})' * bool(words)}"
        if expected is None:
            sentences.append(
                f"{compared(best.get('verdict'))} the best tuned rule, {name}, which earns "
                f"{number(best.get('mean_return'))}: the difference {same} is {of_episodes}."
            )
        else:
            theirs = expected_of_rules(best)[str(best.get("name"))]
            sentences.append(
                f"{compared(verdict_of(expected.ends))} the best tuned rule, {name}, which earns "
                f"{number(theirs.mean)} in expectation ({theirs.how_sure}): the difference is "
                f"{signed(expected.mean)} ({expected.within}), {same} {of_episodes}."
            )
    if other:
        ends = other.get("interval") or (None, None)
        sentences.append(
            f"{compared(verdict_of(ends))} {rule(other.get('name'))}: the difference on the same "
            f"episodes is {signed(other.get('mean'))} ({over_episodes(ends)})."
        )
    return sentences


def other_than_best(summary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return whom a run was played against, None where that is the best rule or nobody."""
    other, best = summary.get("against"), summary.get("best_rule") or {}
    return None if not other or other.get("name") == best.get("name") else other


def verdict_of(ends: object) -> str:
    """Return what an interval of a difference says.

    >>> verdict_of((0.5, 2.0)), verdict_of((-1.0, 2.0)), verdict_of((-2.0, -1.0))
    ('better', 'not distinguishable', 'worse')
    """
    low, high = ends if isinstance(ends, list | tuple) and len(ends) == 2 else (None, None)
    if not is_known(low) or not is_known(high):
        return "not distinguishable"
    return "better" if low > 0 else "worse" if high < 0 else "not distinguishable"


def compared(verdict: object) -> str:
    """Return a verdict as the beginning of a sentence."""
    return {"better": "It is better than", "worse": "It is worse than"}.get(
        str(verdict), "It cannot be told apart from"
    )


def optimum_in_words(summary: Mapping[str, Any], plan_command: str) -> str:
    """Return how far a run is from the optimum, or by which command that is told."""
    gap, share, note = (
        summary.get(key) for key in ("optimality_gap", "share_of_range", "optimum_note")
    )
    if not is_known(gap):
        why = f": {with_command(note, plan_command)}" if note else "."
        return f"How far it is from the optimum is not known{why}"
    optimum, cost = summary.get("optimum"), expected_gap(summary)
    reference = reference_in_words(summary)
    if cost is not None and is_against_interpolated(summary):
        return (
            f"In expectation it is {number(cost.mean)} ({cost.within}) below the best policy that "
            f"could be computed here{_of_that(summary)}: what its choices cost in the states that "
            "it met, without the luck of these episodes. What nothing can exceed in the long run "
            f"is {reference}: the mean return of these episodes lies {_apart(-gap)} that, and its "
            "parts below are of this larger gap."
        )
    if cost is not None:
        share = expected_share(summary)
        gained = f" It {'is ' * (share < 0)}{reached(share)}." if is_known(share) else ""
        return (
            f"In expectation it is {number(cost.mean)} ({cost.within}) below "
            f"{reference}: what its choices cost in the states that it met, without the luck of "
            f"these episodes.{gained}"
        )
    low, high = summary.get("mean_return_interval_95") or (None, None)
    if is_known(low) and is_known(high) and is_known(optimum) and low <= optimum <= high:
        return f"It cannot be told apart from {reference}, which lies within its interval."
    if gap < 0:
        return f"It lies above {reference}, which nothing does in the long run: easy episodes."
    if is_known(share) and share < 0:
        return f"It is {number(gap)} below {reference}, and worse than never treating."
    gained = f": it {reached(share)}" if is_known(share) else ""
    return f"It is {number(gap)} below {reference}{gained}."


def optimum_name(summary: Mapping[str, Any]) -> str:
    """Return what the optimum that a summary tells is called: mostly itself, or an upper bound.

    >>> optimum_name({"optimum_note": "upper bound: optimum between 41.21 and 45.74"})
    'upper bound of the optimum'
    >>> optimum_name({"optimum_note": None})
    'optimum'
    """
    is_bound = str(summary.get("optimum_note")).startswith("upper bound")
    return "upper bound of the optimum" if is_bound else "optimum"


def with_command(note: str, command: str) -> str:
    """Return a note whose abx-plan can be pasted; those of earlier runs did not say the clinic.

    >>> with_command("run abx-plan for this clinic first", "abx-plan experiment=base")
    'run first: abx-plan experiment=base'
    """
    said = _UNNAMED_PLAN.sub(lambda _: f"run first: {command}", note)
    said = said.replace("abx-plan for this clinic", command)
    return said.removeprefix("not computed: ")


def reference_in_words(summary: Mapping[str, Any]) -> str:
    """Return what a gap is measured to: the optimum, or an upper bound, with its value.

    >>> reference_in_words({"optimum": -51.826, "optimum_note": None})
    'the optimum, −51.83'
    >>> note = "upper bound: optimum between -23.38 and -17.54"
    >>> reference_in_words({"optimum": -17.54, "optimum_note": note})
    'the upper bound of the optimum, −17.54 (it lies between −23.38 and −17.54)'
    """
    optimum, note = summary.get("optimum"), summary.get("optimum_note")
    if not note:
        return f"the optimum, {number(optimum)}"
    if (found := _BETWEEN.fullmatch(str(note))) is None:
        return f"the {note}"
    low, high = (number(float(end)) for end in found.groups())
    return f"the upper bound of the optimum, {high} (it lies between {low} and {high})"


def expected_gap(summary: Mapping[str, Any]) -> Expected | None:
    """Return what a run's choices cost an episode in expectation, where they were judged."""
    found = summary.get("agreement")
    if not isinstance(found, dict) or not is_known(gap := found.get("expected_gap")):
        return None
    ends = found.get("expected_gap_interval_95") or (None, None)
    low, high = known_ends(ends, around=gap)
    return Expected(mean=gap, low=low, high=high)


def is_against_interpolated(summary: Mapping[str, Any]) -> bool:
    """Return whether its choices are held against a policy that is near the optimum, not it."""
    return bool((summary.get("agreement") or {}).get("note"))


def expected_share(summary: Mapping[str, Any]) -> float | None:
    """Return how much of what can be gained over never treating is gained in expectation."""
    width, cost = width_of(summary), expected_gap(summary)
    return None if width is None or cost is None or not width else 1.0 - cost.mean / width


def width_of(summary: Mapping[str, Any]) -> float | None:
    """Return what the optimum gains over never treating; None where it is not known."""
    gap, share = summary.get("optimality_gap"), summary.get("share_of_range")
    if not is_known(gap) or not is_known(share) or share == 1:
        return None
    return gap / (1.0 - share)
