"""Where a gap to the optimum comes from, in words."""

from __future__ import annotations

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


def sources_in_words(gap: Any, plan: str) -> str | None:
    """Return what a gap is made of, the largest part first; None where that is not told.

    Args:
        gap: Of a summary: total and parts, see `planning.gap`.
        plan: The command that computes what is missing.

    >>> print(sources_in_words({"total": 3.0, "parts": [
    ...     {"name": "unseen_time", "value": 0.0}, {"name": "discount", "value": 0.5},
    ...     {"name": "learning", "value": 2.5}], "references": {"own_discount": 0.99}}, "abx-plan"))
    It comes from: “not learned” 2.50 (what is left: a better policy could be learned from what the agent sees) and “discounting” 0.50 (what a perfect learner of gamma 0.99 loses by its discounting).
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
        return text
    names = " and ".join(f"“{_named(part)[0]}”" for part in missing)
    why = "; ".join(dict.fromkeys(str(part.get("why_missing") or "not known") for part in missing))
    return f"{text} Inside “not told apart”: {names} ({with_command(why, plan)})."


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
        return f"“not told apart” {number(part['value'])} (what is not learned is in it too)"
    meaning = meaning_of(part, references)
    return f"“{name}” {number(part['value'])}{f' ({meaning})' * bool(meaning)}"


def _named(part: dict[str, Any]) -> tuple[str, str]:
    name = str(part.get("name"))
    return PARTS.get(name, (name.replace("_", " "), ""))
