"""Whom a study's prescriber treats with what, from the counts that its seeds have kept, in words.

Files are data: counts that are not whole, or not there, are not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.reports.behaviour import HARDLY, falls_apart_at
from abx_amr.reports.wording import amr, is_known

_MUCH = 3.0  # times as often below a level as above it, from which an antibiotic counts as stopped


@dataclass(frozen=True, kw_only=True)
class ByLevel:
    """What was given of an antibiotic in bands of its own visible level, the lowest first.

    Attributes:
        antibiotic: Which.
        ends: Of the bands, one more than there are.
        patients: Who came while the level lay in a band.
        given: How many of them were given it.
    """

    antibiotic: str
    ends: Sequence[float]
    patients: NDArray[np.float64]
    given: NDArray[np.float64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of a band's patients who were given it; nan where none came."""
        shares: NDArray[np.float64] = np.divide(
            self.given, self.patients, out=np.full(len(self.given), np.nan), where=self.patients > 0
        )
        return shares

    @property
    def met(self) -> NDArray[np.float64]:
        """The share of all patients who came in each band."""
        met: NDArray[np.float64] = self.patients / self.patients.sum()
        return met

    def sentence(self, *, knows_risk: bool = False) -> str:
        """Return up to which level it is given.

        Args:
            knows_risk: Whether it is told beside this how that hangs on a patient's risk.

        >>> ends = (0, 0.01, 0.1, 1)
        >>> found = np.array([90.0, 10.0, 100.0]), np.array([45.0, 3.0, 2.0])
        >>> print(ByLevel(antibiotic="A", ends=ends, patients=found[0], given=found[1]).sentence())
        It gives A to 48 % of patients while its visible AMR is below 10 %, and to 2 % above that.
        >>> found = np.array([999.0, 999.0, 2.0]), np.array([500.0, 400.0, 0.0])
        >>> print(ByLevel(antibiotic="B", ends=ends, patients=found[0], given=found[1]).sentence())
        It gives B to 45 % of patients, and does not stop at any level of its visible AMR up to \
10 %; above, where 0.1 % of patients came, nobody got it.
        """
        name, came = self.antibiotic, np.flatnonzero(self.patients)
        total = float(self.given.sum() / self.patients.sum())
        if total < HARDLY / 10:
            return f"It hardly ever gives {name} ({amr(total)} of patients)."
        split = falls_apart_at(self.shares[came], self.patients[came])
        lower, upper = came[:split], came[split:]
        below, above = (self._share(part) for part in (lower, upper))
        if len(upper) and below >= HARDLY and below >= _MUCH * above:
            return (
                f"It gives {name} to {amr(below)} of patients while its visible AMR is below "
                f"{amr(self.ends[int(upper[0])])}, and to {amr(above)} above that."
            )
        if len(came) == 1:
            span = band_in_words(*self.ends[int(came[0]) :][:2])
            return f"It gives {name} to {amr(total)} of patients; its visible AMR was {span}."
        last = int(came[self.shares[came] > 0][-1])
        highest, seldom = amr(self.ends[last + 1]), float(self.met[last + 1 :].sum())
        beyond = f"; above, where {amr(seldom)} of patients came, nobody got it" if seldom else ""
        if knows_risk:
            return (
                f"It gives {name} to {amr(total)} of patients; at no level of its visible AMR up "
                f"to {highest} does it stop for patients of every risk{beyond}."
            )
        return (
            f"It gives {name} to {amr(total)} of patients, and does not stop at any level of its "
            f"visible AMR up to {highest}{beyond}."
        )

    def _share(self, bands: NDArray[np.intp]) -> float:
        came = float(self.patients[bands].sum())
        return float(self.given[bands].sum()) / came if came else 0.0


def band_in_words(low: float, high: float) -> str:
    """Return a band of levels.

    >>> band_in_words(0.0, 0.001), band_in_words(0.3, 1.0)
    ('below 0.1 %', '30 % to 100 %')
    """
    return f"below {amr(high)}" if low == 0 else f"{amr(low)} to {amr(high)}"


def by_level(told: Any) -> list[ByLevel]:
    """Return what was given by level, an antibiotic each; none where that was not kept."""
    kept = told.get("by_level") if isinstance(told, Mapping) else None
    ends = kept.get("ends") if isinstance(kept, Mapping) else None
    drugs = kept.get("antibiotics") if isinstance(kept, Mapping) else None
    if not isinstance(ends, list) or not all(map(is_known, ends)) or not isinstance(drugs, Mapping):
        return []
    found = []
    for name, counts in drugs.items():
        patients, given = (_numbers(counts, key, len(ends) - 1) for key in ("patients", "given"))
        if patients is None or given is None or not patients.sum():
            return []
        found.append(ByLevel(antibiotic=str(name), ends=ends, patients=patients, given=given))
    return found


def _numbers(counts: Any, key: str, length: int) -> NDArray[np.float64] | None:
    found = counts.get(key) if isinstance(counts, Mapping) else None
    if not isinstance(found, list) or len(found) != length or not all(map(is_known, found)):
        return None
    return np.array(found, dtype=np.float64)


def by_group(told: Any) -> dict[str, tuple[dict[str, float], int]]:
    """Return group of patients -> the shares who got each antibiotic, and how many there were."""
    kept = told.get("by_group") if isinstance(told, Mapping) else None
    found = {}
    for name, counts in (kept if isinstance(kept, Mapping) else {}).items():
        if (known := _counts(counts)) is None:
            return {}
        given, total = known
        found[str(name)] = ({drug: count / total for drug, count in given.items()}, total)
    return found


def groups_in_words(told: Any) -> str | None:
    """Return how much of each group of patients is treated; None where there are no groups.

    >>> groups_in_words({"by_group": {"low": {"given": {"A": 1}, "none": 3},
    ...                               "high": {"given": {"A": 3}, "none": 1}}})
    'Of the patients of the group low 25 % are treated, of high 75 %.'
    """
    groups = by_group(told)
    if not groups:
        return None
    shares = [(name, amr(sum(given.values()))) for name, (given, _) in groups.items()]
    (name, share), *others = shares
    rest = "".join(f", of {other} {theirs}" for other, theirs in others)
    return f"Of the patients of the group {name} {share} are treated{rest}."


def treated_in_words(told: Any, *, whose: str) -> str | None:
    """Return what share of the patients gets which antibiotic; None where that was not kept.

    Args:
        told: How many got which antibiotic (`given`), and `none`.
        whose: What the prescriber is called.

    >>> treated_in_words({"given": {"A": 40, "B": 12}, "none": 48}, whose="trial 2")
    'Trial 2 treats 52 % of patients: 40 % get A and 12 % get B'
    >>> treated_in_words({"given": {"A": 0}, "none": 48}, whose="it")
    'It treats no patient'
    """
    counts = _counts(told)
    if counts is None:
        return None
    given, total = counts
    who = whose[:1].upper() + whose[1:]
    treated = sum(given.values())
    if not treated:
        return f"{who} treats no patient"
    *most, last = [f"{amr(count / total)} get {name}" for name, count in given.items()]
    each = f"{', '.join(most)} and {last}" if most else last
    return f"{who} treats {amr(treated / total)} of patients: {each}"


def _counts(told: Any) -> tuple[dict[str, int], int] | None:
    """Return how many patients got each antibiotic, and how many there were; None: not kept."""
    given = told.get("given") if isinstance(told, Mapping) else None
    if not isinstance(given, Mapping) or not is_known(untreated := told.get("none")):
        return None
    known = {str(name): int(count) for name, count in given.items() if is_known(count)}
    total = sum(known.values()) + int(untreated)
    return (known, total) if known and total > 0 else None
