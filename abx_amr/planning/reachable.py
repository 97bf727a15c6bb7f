"""What a prescriber could have reached in a clinic, by what it sees and how far it looks ahead.

All values are undiscounted expected returns of an episode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from abx_amr.errors import InputError
from abx_amr.planning import discounted
from abx_amr.planning.best_rule import RuleSearch
from abx_amr.planning.cache import PlanCache, Reference, quick_view, reference
from abx_amr.planning.episode_discount import expected_seconds, value_at
from abx_amr.planning.kept_values import default_folder
from abx_amr.planning.problem import NotComputable, Posed
from abx_amr.planning.programme import Programme
from abx_amr.planning.stationary import WARNING_SHARE
from abx_amr.planning.views import SampledView, view
from abx_amr.simulator.model import ClinicModel

#: Discount factors whose stationary policies are tried for the best one, of each kind of clinic.
_FAR_SIGHTED = {"exact": (0.998, 0.9995), "sampled": (0.999,)}
_FAR = 0.998  # from here on a kept one is far-sighted enough to stand for the best
_QUICK_SECONDS = 2.5  # of a processor, for each value
_QUICK_COMPARISONS = 2.5e6  # cells x (choices + allocations) of a policy iteration in that time


@dataclass(frozen=True, kw_only=True)
class Prescribing:
    """What of a prescriber decides what it could reach.

    Attributes:
        sees_time: Whether it knows how much of the episode is left.
        gamma: Its discount factor; None: it looks at the whole episode.
        remembers: Whether it may count the steps itself.
        learns: Whether it is an agent, not a fixed rule.
    """

    sees_time: bool
    gamma: float | None = None
    remembers: bool = False
    learns: bool = True


#: Two neighbouring discount factors, the smaller first, each with its return.
Neighbours = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Known:
    """A return, or why it is not known; and the kept ones that it was taken between."""

    value: float | None
    why_missing: str | None = None
    between: Neighbours | None = None


@dataclass(frozen=True, kw_only=True)
class Reachable:
    """What a prescriber could have reached.

    Attributes:
        reference: The optimum, or why there is none.
        prescribing: Whose limits these are.
        best_stationary: The best policy known that sees everything but the time.
        at_own_discount: The best policy, with the prescriber's view of time, at its discount.
        with_its_view: The best rule known that sees of AMR what is reported.
        sees_amr: Whether what is reported is all there is to see.
    """

    reference: Reference
    prescribing: Prescribing
    best_stationary: Known
    at_own_discount: Known
    with_its_view: Known
    sees_amr: bool


def reachable(
    model: ClinicModel,
    prescribing: Prescribing,
    *,
    rules: RuleSearch | None = None,
    folder: Path | None = None,
    command: str = "abx-plan for this clinic",
) -> Reachable:
    """Return what is kept of a clinic, or takes a few seconds; all else is missing and says why.

    Args:
        model: The clinic.
        prescribing: Whose limits are asked for.
        rules: The clinic's tuned rules, which are stationary policies too.
        folder: Of kept results; None: that of the project.
        command: What fills in what is missing.
    """
    cache = PlanCache(folder or default_folder())
    known = reference(model, folder=cache.folder, command=command)
    found = _Search(model, cache, rules, command)
    unasked = Known(None, "it is not asked for")
    try:
        posed = view(model)
    except NotComputable as error:
        unknown = Known(None, str(error))
        return Reachable(
            reference=known,
            prescribing=prescribing,
            best_stationary=unknown,
            at_own_discount=unknown,
            with_its_view=unknown,
            sees_amr=False,
        )
    sees_amr = posed.problem.sees_amr
    return Reachable(
        reference=known,
        prescribing=prescribing,
        best_stationary=unasked if prescribing.sees_time else found.best_stationary(posed),
        at_own_discount=found.at_own_discount(posed, prescribing),
        with_its_view=unasked if sees_amr else found.best_rule(),
        sees_amr=sees_amr,
    )


@dataclass(frozen=True)
class _Search:
    """Looks values up, and computes what is quick."""

    model: ClinicModel
    cache: PlanCache
    rules: RuleSearch | None
    command: str

    def best_stationary(self, posed: Posed) -> Known:
        """Return the best of the policies that discount factors lead to and of the tuned rules."""
        kept = self._kept(posed)
        asked = [gamma for gamma in kept if gamma >= _FAR]
        if not asked:
            quick = self._quick(posed)
            kind = "sampled" if isinstance(quick, SampledView) else "exact"
            for gamma in _FAR_SIGHTED[kind]:
                row = self._stationary(posed, gamma)
                if row.value is None:
                    return row
                kept[gamma] = row.value
        values = [*kept.values()]
        if self.rules is not None:
            values += [one.value for one in self.rules.found if one.is_stationary]
        return Known(max(values))

    def at_own_discount(self, posed: Posed, prescribing: Prescribing) -> Known:
        """Return the best policy of the prescriber's discount factor."""
        gamma = prescribing.gamma
        if gamma is None:
            return Known(None, "it does not discount")
        if not prescribing.sees_time:
            own = self._stationary(posed, gamma)
            return own if own.value is not None else self._between(posed, gamma, own)
        for one in (posed, self._quick(posed)):
            if one is not None and (kept := self.cache.episode_discount(one, gamma)) is not None:
                return Known(kept)
        quick = self._quick(posed)
        if quick is None or expected_seconds(quick) > _QUICK_SECONDS:
            return self._too_slow()
        return Known(value_at(quick, gamma, cache=self.cache))

    def best_rule(self) -> Known:
        """Return what the best tuned rule is worth, which sees of AMR what is reported."""
        if self.rules is None or not self.rules.found:
            return Known(None, "no rule was tuned here")
        return Known(max(one.value for one in self.rules.found))

    def _kept(self, posed: Posed) -> dict[float, float]:
        kept: dict[float, float] = {}
        for one in filter(None, (self._quick(posed), posed)):
            kept |= self.cache.stationary_returns(one)
        return kept

    def _quick(self, posed: Posed) -> Posed | None:
        return quick_view(self.model, posed)

    def _stationary(self, posed: Posed, gamma: float) -> Known:
        """Return the undiscounted value of the best stationary policy of a discount factor."""
        kept = self._kept(posed)
        if gamma in kept:
            return Known(kept[gamma])
        quick = self._quick(posed)
        if quick is None:
            return self._too_slow()
        if not isinstance(quick, SampledView) and _comparisons(quick) > _QUICK_COMPARISONS:
            from abx_amr.planning.views import sampled_view

            quick = sampled_view(self.model)
        if isinstance(quick, SampledView):
            seconds = discounted.expected_seconds(quick.clinic, gamma)
            if not quick.is_homogeneous or seconds > _QUICK_SECONDS:
                return self._too_slow()
        return Known(self.cache.stationary(quick, gamma).episode_return)

    def _between(self, posed: Posed, gamma: float, own: Known) -> Known:
        """Return about what a discount factor's policy is worth, by the kept ones beside it.

        What these are worth is told in any case; a value only where they differ by little.
        """
        ends = neighbours(gamma, self._kept(posed))
        if ends is None:
            return own
        known = reference(self.model, folder=self.cache.folder)
        if known.optimum is None or known.never is None:
            return own
        apart = abs(ends[1][1] - ends[0][1])
        if apart > WARNING_SHARE * (known.optimum.value - known.never):
            return replace(own, between=ends)
        return Known(interpolated(gamma, ends), between=ends)

    def _too_slow(self) -> Known:
        """Return why a value is missing: in the same words for each, to be said once."""
        return Known(None, f"not computed: it takes a while; {self.command} does, and keeps it")


def neighbours(gamma: float, kept: Mapping[float, float]) -> Neighbours | None:
    """Return the nearest kept discount factors on both sides of one, None where one lacks.

    >>> neighbours(0.9985, {0.99: -70.0, 0.998: -61.5, 0.999: -62.2})
    ((0.998, -61.5), (0.999, -62.2))
    >>> neighbours(0.9995, {0.998: -61.5, 0.999: -62.2})
    """
    below = max((one for one in kept if one < gamma), default=None)
    above = min((one for one in kept if one > gamma), default=None)
    if below is None or above is None:
        return None
    return (below, kept[below]), (above, kept[above])


def interpolated(gamma: float, ends: Neighbours) -> float:
    """Return what lies between two neighbours, evenly in the logarithm of 1 - gamma.

    >>> round(interpolated(0.99, ((0.9, -80.0), (0.999, -60.0))), 9)
    -70.0
    """
    (below, first), (above, last) = ends
    start, own, end = (math.log1p(-one) for one in (below, gamma, above))
    return first + (last - first) * (own - start) / (end - start)


def _comparisons(posed: Posed) -> float:
    """Return cells x (choices + allocations) of the exact lattice."""
    try:
        programme = Programme(posed.problem)
    except InputError:
        return float("inf")
    return programme.work / posed.problem.num_steps
