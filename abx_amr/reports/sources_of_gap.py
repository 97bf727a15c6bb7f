"""Where a gap to the optimum comes from, in words."""

from __future__ import annotations

import re
from typing import Any

from abx_amr.reports.wording import is_known, number
from abx_amr.reports.worth import with_command

#: Part -> what it is called, and what it means.
PARTS = {
    "unseen_time": (
        "the end is not seen",
        "what is lost because the agent does not see how much of the episode is left",
    ),
    "discount": (
        "discounting",
        "what a perfect learner with the agent's discount factor loses",
    ),
    "partial_observation": (
        "what is not observed",
        "what late, noisy or missing reports of resistance and patients cost",
    ),
    "learning": (
        "not learned",
        "what is left: a better policy could be learned from what the agent sees",
    ),
}

#: What the last part is called while it holds parts that were not computed.
NOT_TOLD = "not told apart"
_COMPUTES = re.compile(r"it takes a while; (abx-plan.*) does, and keeps it")
#: Of a gap, from which a part is nearly all of it.
NEARLY_ALL = 0.9
_HARDLY = 0.05  # of a gap, up to which a part hardly counts


def sources_in_words(gap: Any, plan: str) -> str | None:
    """Return what a gap is made of, the largest part first; None where that is not told.

    Args:
        gap: Of a summary: total and parts, see `planning.gap`.
        plan: The command that computes what is missing.

    >>> print(sources_in_words({"total": 3.0, "parts": [
    ...     {"name": "unseen_time", "value": 0.0}, {"name": "discount", "value": 0.5},
    ...     {"name": "learning", "value": 2.5}], "references": {"own_discount": 0.99}}, "abx-plan"))
    It comes from: “not learned” 2.50 (what is left: a better policy could be learned from what the agent sees) and “discounting” 0.50 (what a perfect learner of gamma 0.99 loses by its discounting). So most of it is that a better policy was not learned.
    """  # noqa: E501
    if not isinstance(gap, dict) or not is_known(total := gap.get("total")) or total <= 0:
        return None
    parts = [part for part in gap.get("parts") or [] if isinstance(part, dict)]
    known = [part for part in parts if is_known(part.get("value")) and part["value"] != 0]
    missing = [part for part in parts if not is_known(part.get("value"))]
    if not known:
        return None
    known.sort(key=lambda part: -float(part["value"]))
    told = gap.get("references")
    references = told if isinstance(told, dict) else {}
    *most, last = [_part(part, references, has_missing=bool(missing)) for part in known]
    text = f"It comes from: {', '.join(most)}{' and ' * bool(most)}{last}."
    if not missing:
        return f"{text}{_what_counts(known, float(total))}"
    names = " and ".join(f"“{_named(part)[0]}”{_beside(part)}" for part in missing)
    why = "; ".join(dict.fromkeys(why_missing(part, plan) for part in missing))
    return f"{text} “{NOT_TOLD}” holds {names} too ({why})."


def _what_counts(known: list[dict[str, Any]], total: float) -> str:
    """Return what may be gained by another training, and how little a discount factor counts."""
    values = {str(part.get("name")): float(part["value"]) for part in known}
    text = ""
    if len(known) > 1 and known[0].get("name") == "learning":
        share = "nearly all" if values["learning"] >= NEARLY_ALL * total else "most"
        text = f" So {share} of it is that a better policy was not learned."
    if 0 < values.get("discount", 0.0) <= _HARDLY * total:
        worth = number(values["discount"])
        text += f" A larger discount factor could win back about {worth} of it at most."
    return text


def why_missing(part: dict[str, Any], plan: str) -> str:
    """Return why a part is not known; what a command computes is told by where that stands.

    Args:
        part: Of a gap.
        plan: The command that computes the clinic's optimum.

    >>> told = "not computed: it takes a while; abx-plan for this clinic does, and keeps it"
    >>> why_missing({"why_missing": told}, "abx-plan")
    'not computed: it takes a while; “Repeat it, go on” has the command'
    """
    told = str(part.get("why_missing") or "not known")
    if _COMPUTES.search(told):
        return "not computed: it takes a while; “Repeat it, go on” has the command"
    return with_command(told, plan)


def computing_command(gap: Any, plan: str) -> str | None:
    """Return the command that computes what is missing of a gap; None where none does.

    Args:
        gap: Of a summary.
        plan: The command that computes the clinic's optimum.
    """
    parts = gap.get("parts") if isinstance(gap, dict) else None
    for part in parts or []:
        found = _COMPUTES.search(str(part.get("why_missing"))) if isinstance(part, dict) else None
        if found is not None:
            return with_command(found[1], plan)
    return None


def _beside(part: dict[str, Any]) -> str:
    between = _between(part)
    return f", between {between}," if between else ""


def _between(part: dict[str, Any]) -> str:
    """Return what the discount factors beside an agent's cost; nothing where none is kept."""
    ends = neighbours_of(part)
    start = part.get("from")
    if ends is None or not is_known(start):
        return ""
    (low, first), (high, last) = ends
    return f"{number(start - first)} of gamma {low:g} and {number(start - last)} of {high:g}"


def neighbours_of(part: dict[str, Any]) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the discount factors that a part was taken between, each with its return."""
    ends = part.get("between")
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return None
    if not all(isinstance(end, list | tuple) and len(end) == 2 for end in ends):
        return None
    (low, first), (high, last) = ends
    if not all(map(is_known, (low, first, high, last))):
        return None
    return (float(low), float(first)), (float(high), float(last))


def meaning_of(part: dict[str, Any], references: dict[str, Any]) -> str:
    """Return what a part is, with the returns that it lies between where they are told.

    Args:
        part: Of a gap.
        references: Of the same gap: `own_discount`.

    >>> meaning_of({"name": "discount", "from": -79.04, "to": -141.44}, {"own_discount": 0.9905})
    'what a perfect learner of gamma 0.9905 loses by its discounting; it earns −141.44, the best policy that does not see the end −79.04'
    """  # noqa: E501
    _, meaning = _named(part)
    gamma, start, end = references.get("own_discount"), part.get("from"), part.get("to")
    if part.get("name") == "discount" and is_known(gamma):
        meaning = f"what a perfect learner of gamma {gamma:.4g} loses by its discounting"
    if part.get("name") == "discount" and (between := _between(part)):
        return f"{meaning}, taken between {between}"
    if not is_known(start) or not is_known(end) or start == end:
        return meaning
    if part.get("name") == "discount":
        return (
            f"{meaning}; it earns {number(end)}, the best policy that does not see the end "
            f"{number(start)}"
        )
    if part.get("name") == "unseen_time":
        return f"{meaning}; the best policy that does not see it earns {number(end)}"
    if part.get("name") == "partial_observation":
        return f"{meaning}; the best rule that sees no more earns {number(end)}"
    return meaning


def _part(part: dict[str, Any], references: dict[str, Any], *, has_missing: bool) -> str:
    name, _ = _named(part)
    if part.get("name") == "learning" and has_missing:
        return f"“{NOT_TOLD}” {number(part['value'])} (what is not learned is in it too)"
    meaning = meaning_of(part, references)
    about = "about " * (neighbours_of(part) is not None)
    return f"“{name}” {about}{number(part['value'])}{f' ({meaning})' * bool(meaning)}"


def _named(part: dict[str, Any]) -> tuple[str, str]:
    name = str(part.get("name"))
    return PARTS.get(name, (name.replace("_", " "), ""))
