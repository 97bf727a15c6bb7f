"""How far from the optimum a result is, where the gap comes from, and the lines that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abx_amr.planning.reachable import Neighbours, Reachable

_EXACT = 1e-6  # wide: chance does not move what a prescriber does
_SAID = {
    "unseen_time": "unseen time",
    "discount": "discount",
    "partial_observation": "partial observation",
    "learning": "learning",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a gap: what lies between two returns, or why that is not known.

    `between` are the discount factors beside the agent's own, and their returns, where its own was
    not computed.
    """

    name: str
    value: float | None
    why_missing: str | None
    start: float | None
    end: float | None
    between: Neighbours | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as summaries have it."""
        found = asdict(self)
        return {**found, "from": found.pop("start"), "to": found.pop("end")}


class _Chain:
    """Parts one after the other, each from the return where the last known one ended."""

    def __init__(self, top: float) -> None:
        self.at = top
        self.parts: list[Part] = []

    def to(self, name: str, end: float, *, between: Neighbours | None = None) -> None:
        """Add the part that leads to a return."""
        value, start = self.at - end, self.at
        self.parts.append(
            Part(name=name, value=value, why_missing=None, start=start, end=end, between=between)
        )
        self.at = end

    def nothing(self, name: str) -> None:
        """Add a part that is nothing."""
        self.to(name, self.at)

    def missing(self, name: str, why: str | None, *, between: Neighbours | None = None) -> None:
        """Add a part that is not known: its amount is inside the next one that is."""
        self.parts.append(
            Part(
                name=name,
                value=None,
                why_missing=why or "not known",
                start=None if between is None else self.at,
                end=None,
                between=between,
            )
        )


def gap_record(limits: Reachable, mean_return: float) -> dict[str, Any] | None:
    """Return `gap` of a summary: the gap to the optimum and its parts, which add up to it.

    None where there is no optimum.
    """
    found, who = limits.reference.optimum, limits.prescribing
    if found is None:
        return None
    chain = _Chain(found.value)
    stationary, own = limits.best_stationary, limits.at_own_discount
    _unseen_time(chain, limits)
    is_told = chain.parts[0].value is not None
    if who.gamma is None:
        chain.nothing("discount")
    elif own.value is None or not is_told:
        why = own.why_missing or chain.parts[0].why_missing
        chain.missing("discount", why, between=own.between if is_told else None)
    else:
        chain.to("discount", own.value, between=own.between)
    _partial_observation(chain, limits)
    chain.to("learning", mean_return)
    return {
        "total": found.value - mean_return,
        "reference": "optimum" if found.is_exact and not found.caveats else "upper bound",
        "sees_time": who.sees_time,
        "learns": who.learns,
        "parts": [part.to_dict() for part in chain.parts],
        "references": {
            "optimum": found.value,
            "best_stationary": stationary.value,
            "best_stationary_at_own_discount": None if who.sees_time else own.value,
            "own_discount": who.gamma,
            "never": limits.reference.never,
        },
    }


def _unseen_time(chain: _Chain, limits: Reachable) -> None:
    name, stationary = "unseen_time", limits.best_stationary
    if limits.prescribing.sees_time:
        chain.nothing(name)
    elif limits.prescribing.remembers:
        chain.missing(name, "its memory may count the steps")
    elif stationary.value is None:
        chain.missing(name, stationary.why_missing)
    else:
        chain.to(name, stationary.value)


def _partial_observation(chain: _Chain, limits: Reachable) -> None:
    name, rule = "partial_observation", limits.with_its_view
    if limits.sees_amr:
        chain.nothing(name)
    elif limits.prescribing.sees_time:
        chain.missing(name, "no policy is known that sees the time and only reports of AMR")
    elif chain.parts[0].value is None:
        chain.missing(name, f"unseen time is not told apart: {chain.parts[0].why_missing}")
    elif rule.value is None:
        chain.missing(name, rule.why_missing)
    elif rule.value > chain.at:
        gamma = limits.prescribing.gamma
        at = "" if gamma is None else f" of gamma {gamma:g}"
        chain.missing(
            name,
            f"the best rule with this view reaches {rule.value:.2f}, more than the best policy{at}",
        )
    else:
        chain.to(name, rule.value)


# --- said ----------------------------------------------------------------------------------------


def gap_line(summary: Mapping[str, Any]) -> str:
    """Return what a run's summary says of the optimum; no verdict inside the interval.

    >>> gap_line({"optimality_gap": 20.67, "share_of_range": 0.798, "optimum": -179.56,
    ...           "optimum_note": None})
    'optimality gap 20.67 to the optimum -179.56 (79.8% of the range from never treating)'
    >>> gap_line({"optimality_gap": -7.74, "share_of_range": 1.03, "optimum": -51.83,
    ...           "optimum_note": None})
    'optimality gap -7.74 to the optimum -51.83 (none is better: these episodes were easy)'
    >>> never = {"optimality_gap": 103.0, "share_of_range": -0.01, "optimum": -180.0,
    ...          "optimum_note": None, "mean_return": -283.0}
    >>> gap_line({**never, "mean_return_interval_95": [-290.0, -276.0]})
    'optimality gap 103.00 to the optimum -180.00 (not distinguishable from never treating)'
    >>> gap_line({**never, "mean_return_interval_95": [-283.5, -282.5]})
    'optimality gap 103.00 to the optimum -180.00 (worse than never treating)'
    """
    gap, share = summary.get("optimality_gap"), summary.get("share_of_range")
    note = summary.get("optimum_note")
    if gap is None:
        return f"optimality gap: {note}"
    reached = "" if share is None else f" ({share:.1%} of the range from never treating)"
    if share is not None and share <= 0:
        is_worse = _is_below_never(summary, gap, share)
        said = "worse than" if is_worse else "not distinguishable from"
        reached = f" ({said} never treating)"
    if gap < 0:
        reached = " (none is better: these episodes were easy)"
    if note and "between" in note:
        return f"optimality gap {gap:.2f} to the {note}{reached}"
    return f"optimality gap {gap:.2f} to the {note or 'optimum'} {summary['optimum']:.2f}{reached}"


def _is_below_never(summary: Mapping[str, Any], gap: float, share: float) -> bool:
    """Return whether the whole interval of a mean return lies below that of never treating."""
    high = (summary.get("mean_return_interval_95") or [None, None])[1]
    if high is None or share == 1:
        return False
    mean = summary["optimum"] - gap
    never = (mean - share * summary["optimum"]) / (1 - share)
    return bool(high < never)


def gap_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return what a summary says of the optimum, where the gap comes from, and the best rule.

    At most five lines; what a summary does not hold is left out.
    """
    lines = [gap_line(summary)]
    if gap := summary.get("gap"):
        lines += _parts_lines(gap)
    if agreement := summary.get("agreement"):
        lines.append(agreement_line(agreement))
    if rule := summary.get("best_rule"):
        lines.append(best_rule_line(rule))
    return lines


def agreement_line(agreement: Mapping[str, Any]) -> str:
    """Return where a prescriber acts as the optimum, and what the rest costs in expectation.

    >>> agreement_line({"share_of_states": 0.548, "regret": 0.006, "expected_gap": 3.0,
    ...                 "expected_gap_interval_95": [2.6, 3.4]})
    'acts as the optimum in 54.8% of the states; the rest costs 3.00 an episode without its luck (95 % interval 2.60 to 3.40; regret_by_amr.csv)'
    """  # noqa: E501
    shared = f"acts as the optimum in {agreement['share_of_states']:.1%} of the states"
    if agreement.get("expected_gap") is None:  # an evaluation of before
        return f"{shared}, expected regret {agreement['regret']:.3f} a step (regret_by_amr.csv)"
    low, high = agreement["expected_gap_interval_95"]
    sure = "" if low is None else f"95 % interval {low:.2f} to {high:.2f}; "
    if low is not None and high - low < _EXACT:
        sure = "the same in every episode; "
    return (
        f"{shared}; the rest costs {agreement['expected_gap']:.2f} an episode without its luck "
        f"({sure}{'against the best policy computed; ' if agreement.get('note') else ''}"
        "regret_by_amr.csv)"
    )


def _parts_lines(gap: Mapping[str, Any]) -> list[str]:
    if gap["total"] <= 0:
        return []
    missing = [part for part in gap["parts"] if part["value"] is None]
    own = "learning" if gap["learns"] else "the rule itself"
    names = {**_SAID, "learning": f"{own} and what is not told apart" if missing else own}
    limits = {
        "unseen_time": "best known without time",
        "discount": f"best at gamma {gap['references']['own_discount'] or 1:g}",
        "partial_observation": "best rule with this view",
    }
    told = []
    for part in gap["parts"]:
        if part["value"] is None or (part["value"] == 0 and part["name"] != "learning"):
            continue
        limit = limits.get(part["name"])
        reached = f" ({limit}: {part['to']:.2f})" if limit else ""
        about = "about " if part.get("between") else ""
        told.append(f"{names[part['name']]} {about}{part['value']:.2f}{reached}")
    lines = [f"it comes from: {', '.join(told)}"]
    if missing:
        what = " and ".join(names[part["name"]] for part in missing)
        why = "; ".join(dict.fromkeys(part["why_missing"] for part in missing))
        lines.append(f"  {what} not told apart: {why}")
    return lines


_VERDICTS = {"better": "beats it by", "worse": "is worse by"}


def best_rule_line(rule: Mapping[str, Any]) -> str:
    """Return which rule is the best of the clinic, and whether it is beaten.

    >>> difference = {"mean": 24.0, "interval_95": [20.0, 28.0], "episodes": 10}
    >>> best_rule_line({"name": "greedy", "mean_return": -79.0, "difference": difference,
    ...                 "verdict": "better"})
    'best rule: greedy, -79.00; this one beats it by 24.00 (95 % interval 20.00 to 28.00 over 10 paired episodes)'
    """  # noqa: E501
    said, mean = rule["difference"], rule["difference"]["mean"]
    low, high = said["interval_95"]
    if low is None or low != low:
        return (
            f"best rule: {rule['name']}, {rule['mean_return']:.2f}; this one differs by "
            f"{mean:.2f} in one episode, which says nothing"
        )
    how = f"(95 % interval {low:.2f} to {high:.2f} over {said['episodes']} paired episodes)"
    if low == high == 0:
        return f"best rule: {rule['name']}, {rule['mean_return']:.2f}; this one does the same"
    verdict = _VERDICTS.get(rule["verdict"])
    if verdict is None:
        return (
            f"best rule: {rule['name']}, {rule['mean_return']:.2f}; not distinguishable from it: "
            f"difference {mean:.2f} {how}"
        )
    return (
        f"best rule: {rule['name']}, {rule['mean_return']:.2f}; "
        f"this one {verdict} {abs(mean):.2f} {how}"
    )
