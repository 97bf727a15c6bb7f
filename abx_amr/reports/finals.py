"""The final of a study as its summary tells it: who was selected, and what it is worth held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from abx_amr.errors import counted
from abx_amr.reports.resistance import levels_of
from abx_amr.reports.wording import interval, is_known, number, signed

DEFAULT = "default"
VERDICTS = {True: "better", False: "not better", None: "not distinguishable"}


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What a point earns on training seeds and episodes that have chosen nothing.

    Attributes:
        mean: Mean return over the seeds; None where all failed.
        ends: 95 % interval of the mean; None where there is none.
        returns: The mean return of each seed.
        final_amr: Antibiotic -> mean level at the end of an episode; empty: not kept.
        treatments: How many patients got which antibiotic (`given`) and `none`; None: not kept.
        by_seed: Of each seed `seed`, `mean`, `final_amr`, `given` and `none`; empty: not kept.
    """

    mean: float | None
    ends: Sequence[float] | None
    returns: Sequence[float]
    final_amr: Mapping[str, float] = field(default_factory=dict)
    treatments: Mapping[str, Any] | None = None
    by_seed: Sequence[Mapping[str, Any]] = ()

    @property
    def in_words(self) -> str:
        """Mean and interval."""
        return f"{number(self.mean)}{within(self.ends)}"


@dataclass(frozen=True, kw_only=True)
class Final:
    """A final that is over.

    Attributes:
        candidates: Point (a trial's number or `default`), seeds (text -> return) and objective.
        selected: The point that won on fresh seeds.
        found: The best value of the search, as it was searched.
        seeds: The training seeds that were held out.
        winner: What the selected point earns there.
        default: What the default earns there.
        difference: Of the two, and its interval.
        best_rule: The best rule, and the winner less it; None: not compared.
        episodes: Of each held-out seed; None: not told.
        evaluation_seed: Names the held-out episodes; None: not told.
        limits: What is said of the winner's held-out mean, by the names that a run's summary has:
            optimum, optimality_gap, share_of_range, best_rule.
        is_beaten: Whether the default is; None: not distinguishable.
        params: Configuration path -> value of the selected point, where that is told.
        effective_values: Configuration path -> what its built agents had, where that is told.
    """

    candidates: Sequence[Mapping[str, Any]]
    selected: int | str
    found: float | None
    seeds: Sequence[int]
    winner: HeldOut
    default: HeldOut
    difference: HeldOut
    best_rule: Mapping[str, Any] | None
    episodes: int | None
    evaluation_seed: int | None
    limits: Mapping[str, Any]
    is_beaten: bool | None
    params: Mapping[str, Any]
    effective_values: Mapping[str, Any]

    @property
    def fresh_seeds(self) -> list[int]:
        """The seeds by which the winner was selected."""
        return sorted({int(seed) for one in self.candidates for seed in one.get("seeds") or {}})

    @property
    def seeds_in_words(self) -> str:
        """How many held-out seeds the winner's mean is over, and of how many if some failed."""
        known, planned = len(self.winner.returns), counted(len(self.seeds), "training seed")
        return planned if known == len(self.seeds) else f"{known} of {planned}"


def final_of(summary: Mapping[str, Any]) -> Final | None:
    """Return the final that a study's summary tells of; None where the study holds none.

    Raises:
        LookupError, TypeError, ValueError: what it says is damaged.
    """
    told = summary.get("final")
    if told is None:
        return None
    held = told["held_out"]
    return Final(
        candidates=list(told["candidates"]),
        selected=told["selected"],
        found=told.get("found"),
        seeds=[int(seed) for seed in held["seeds"]],
        winner=_value(held["selected"]),
        default=_value(held["default"]),
        difference=_value(held["difference"]),
        best_rule=held.get("best_rule"),
        episodes=int(episodes) if is_known(episodes := held.get("episodes")) else None,
        evaluation_seed=held.get("evaluation_seed"),
        limits=held,
        is_beaten=told["default_beaten"],
        params=told.get("params") or {},
        effective_values=told.get("effective_values") or {},
    )


def _value(told: Mapping[str, Any]) -> HeldOut:
    return HeldOut(
        mean=told["mean"],
        ends=told.get("interval_95"),
        returns=list(told.get("returns") or ()),
        final_amr=levels_of(told.get("final_amr")),
        treatments=told.get("treatments"),
        by_seed=[one for one in told.get("by_seed") or () if isinstance(one, Mapping)],
    )


def named(point: int | str) -> str:
    """Return a point for people.

    >>> named(3), named("default")
    ('trial 3', 'the default')
    """
    return "the default" if point == DEFAULT else f"trial {point}"


def within(ends: Sequence[float] | None) -> str:
    """Return an interval in brackets, nothing where there is none."""
    known = ends is not None and all(map(is_known, ends))
    return f" (95 % interval {interval(ends)})" if known else ""


def compared(final: Final) -> str:
    """Return in one sentence whether the default is beaten."""
    if final.selected == DEFAULT:
        return "The default is not beaten: it won the comparison itself, and is the result."
    if final.difference.mean is None:
        return "The default cannot be compared: no seed succeeded in both."
    by = f"{signed(final.difference.mean)}{within(final.difference.ends)}"
    if final.is_beaten:
        return f"The default is beaten: the difference is {by}."
    if final.is_beaten is False:
        return f"The default is not beaten, it is better: the difference is {by}."
    return f"The default is not beaten: the two cannot be told apart, the difference is {by}."


def compared_at(tuning: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Return at what length of training settings were compared, where the default's is another.

    Args:
        tuning: The settings of the search.
        config: Of the study.

    >>> agent = {"default_training_episodes": 1000}
    >>> print(compared_at({"truncated_episodes": 150}, {"agent_algorithm": agent}))
    All trained for 150 episodes, while the default is made for 1,000: what is better after 150 may not be after 1,000.
    """  # noqa: E501
    own = tuning.get("truncated_episodes")
    usual = (config.get("agent_algorithm") or {}).get("default_training_episodes")
    if not is_known(own) or not is_known(usual) or usual <= own:
        return None
    short, long = number(own, 0), number(usual, 0)
    return (
        f"All trained for {short} episodes, while the default is made for {long}: what is better "
        f"after {short} may not be after {long}."
    )
