"""How the best rule of a clinic was found, in words: what was tried, on which episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from abx_amr.errors import counted
from abx_amr.reports.wording import amr, number, rule


def tuning_in_words(best_rule: Any, *, evaluation_seed: Any) -> str | None:
    """Return how a summary's `best_rule` was found; None where it does not say.

    Args:
        best_rule: Of the summary.
        evaluation_seed: Names the episodes that it is compared on.
    """
    found = best_rule.get("tuning") if isinstance(best_rule, Mapping) else None
    if not isinstance(found, Mapping):
        return None
    rules = ", ".join(map(str, found.get("rules") or ()))
    tried = _tried(found)
    choice = counted(int(found["choice_episodes"]), "episode")
    seed = found["seed"]
    kept = (
        f" These episodes are of seed {seed}: those of this evaluation (seed {evaluation_seed}) "
        "had no part in it."
        if evaluation_seed is not None and evaluation_seed != seed
        else " Beware: it was found on the very episodes that it is compared on."
    )
    exactly = (
        f"its expected return, computed exactly where chance does not move what a rule does, else "
        f"its mean over {choice}"
    )
    return (
        f"Tried were the rules {rules}{tried}. Of these {rule(best_rule.get('name'))} is the best "
        f"by {exactly}.{kept}"
    )


def _tried(found: Mapping[str, Any]) -> str:
    """Return the values of parameters that were tried, and by what they were chosen."""
    levels, risks, periods = (found.get(key) or () for key in ("thresholds", "risks", "periods"))
    search = counted(int(found["search_episodes"]), "episode")
    parts = []
    if levels:
        by = "the exact expected return" if found.get("is_exact") else search
        text = (
            f"amr_threshold with {len(levels)} thresholds from {amr(min(levels))} to "
            f"{amr(max(levels))}"
        )
        if risks:
            text += f", then with {len(risks)} least risks from {_span(risks)} and levels around it"
        parts.append(f"{text} (chosen by {by})")
    if periods:
        parts.append(
            f"cycling with {len(periods)} periods from {_span(periods)} steps (by {search})"
        )
    return f", with their own settings but for {' and '.join(parts)}" if parts else ""


def _span(values: Sequence[float]) -> str:
    low, high = (number(v, 0 if float(v).is_integer() else 1) for v in (min(values), max(values)))
    return f"{low} to {high}"
