"""In which states a study's prescriber treats: from which risk on, at which AMR, and when.

From the counts that its seeds have kept. Files are data: counts that are not whole are not told.
Shapes: R bands of a patient's observed risk, L bands of the visible AMR level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from abx_amr.evaluation.tally import BANDS, RISKS
from abx_amr.plots.policy_map import before_each_step
from abx_amr.plots.treatment_by_group import NONE, RISK
from abx_amr.reports.wording import amr, is_known, percent

Floats = NDArray[np.float64]

_ENOUGH = 0.01  # of all patients, from which a band of levels says something
_MOST = 0.5  # of a band's patients, from which they count as treated
_CHANGED = 0.05  # of the patients, by which treating must change over an episode to be said


@dataclass(frozen=True, kw_only=True)
class ByRisk:
    """Who came and who was treated, by the observed risk and the lowest visible AMR.

    Attributes:
        risks: Ends of the bands of the risk, (R + 1,).
        levels: Ends of the bands of the level, (L + 1,).
        patients: Who came, (R, L), the level being that of the least resisted antibiotic.
        treated: Who of them was given any antibiotic, (R, L).
        drugs: Antibiotic -> who came, and who was given it, by its own level, (R, L) each.
    """

    risks: Sequence[float]
    levels: Sequence[float]
    patients: Floats
    treated: Floats
    drugs: Mapping[str, tuple[Floats, Floats]]

    def sentence(self) -> str:
        """Return from which risk on patients are treated, and whether that hangs on the AMR."""
        known = self.columns()
        cuts = [
            (at, self._cut(self.patients[:, at].sum(axis=1), self.treated[:, at].sum(axis=1)))
            for at in known
        ]
        overall = self._cut(self.patients.sum(axis=1), self.treated.sum(axis=1))
        parts = [(cut, [at for at, _ in group]) for cut, group in groupby(cuts, key=_cut_of)]
        if len(parts) == 1 or _are_neighbours([cut for cut, _ in parts], len(self.risks)):
            met = "" if len(known) < 2 else ", at whatever visible AMR it met"
            return f"It treats most patients {self._whom(overall)}{met}{self._sharply(overall)}."
        first, *told = [
            f"{self._whom(cut, is_first=place == 0)} while that is {self._span(bands)}"
            for place, (cut, bands) in enumerate(parts)
        ]
        *between, last = told
        return (
            "Whom it treats hangs on the visible AMR of the least resisted antibiotic: most "
            f"patients {', '.join([first, *between])} and {last}{self._sharply(overall)}."
        )

    def _cut(self, patients: Floats, treated: Floats) -> int | None:
        """Return the band of risk from which on most patients are treated; None where none is."""
        share = np.divide(treated, patients, out=np.full(len(patients), np.nan), where=patients > 0)
        cut = None
        for at in np.flatnonzero(patients)[::-1]:
            if share[at] < _MOST:
                break
            cut = int(at)
        return cut

    def _whom(self, cut: int | None, *, is_first: bool = True) -> str:
        what = " observed risk of infection" * is_first
        if cut is None:
            return f"at no{what or ' risk'}"
        if not self.patients[:cut].sum():
            return f"at every{what or ' risk'}"
        return f"above about {percent(self.risks[cut], 0)}{what}"

    def _sharply(self, cut: int | None) -> str:
        """Return the shares above and below a risk; nothing where all patients are on one side."""
        if cut is None or not self.patients[:cut].sum():
            return ""
        above, below = (
            float(self.treated[part].sum() / self.patients[part].sum())
            for part in (slice(cut, None), slice(None, cut))
        )
        overall = percent(self.risks[cut], 0)
        return f" (over all levels {amr(above)} of those above {overall}, {amr(below)} below it)"

    def _span(self, bands: Sequence[slice]) -> str:
        low, high = self.levels[bands[0].start], self.levels[bands[-1].stop]
        return f"below {amr(high)}" if bands[0].start == 0 else f"{amr(low)} to {amr(high)}"

    def columns(self) -> list[slice]:
        """Return bands of levels side by side, joined until each holds enough of the patients."""
        came = self.patients.sum(axis=0) / self.patients.sum()
        found: list[slice] = []
        start, held = 0, 0.0
        for at, share in enumerate(came):
            held += float(share)
            if held >= _ENOUGH:
                found.append(slice(start, at + 1))
                start, held = at + 1, 0.0
        if held and found:
            found[-1] = slice(found[-1].start, len(came))
        return found

    def table(self) -> pd.DataFrame:
        """Return a row per antibiotic and cell, as `plots.treated_by_risk` reads it."""
        rows = [
            {
                "antibiotic": name,
                "risk_low": self.risks[r],
                "risk_high": self.risks[r + 1],
                "level_low": self.levels[at],
                "level_high": self.levels[at + 1],
                "patients": patients[r, at],
                "given": given[r, at],
            }
            for name, (patients, given) in self.drugs.items()
            for r in range(len(self.risks) - 1)
            for at in range(len(self.levels) - 1)
        ]
        return pd.DataFrame(rows)


def _cut_of(known: tuple[slice, int | None]) -> int | None:
    return known[1]


def _are_neighbours(cuts: Sequence[int | None], none: int) -> bool:
    """Return whether cuts lie in one band of risk or in two beside each other."""
    places = [none if cut is None else cut for cut in cuts]
    return max(places) - min(places) <= 1


def by_risk(told: Any) -> ByRisk | None:
    """Return what was kept by risk; None where nothing was, or all patients are of one risk."""
    kept = told.get("by_risk") if isinstance(told, Mapping) else None
    if not isinstance(kept, Mapping):
        return None
    risks, levels, drugs = _ends(kept, "ends"), _ends(kept, "levels"), kept.get("antibiotics")
    if not risks or not levels or not isinstance(drugs, Mapping):
        return None
    shape = (len(risks) - 1, len(levels) - 1)
    tables = {str(name): _cells(counts, shape) for name, counts in drugs.items()}
    whole = {name: cells for name, cells in tables.items() if cells is not None}
    lowest = _cells(kept.get("any"), shape)
    if lowest is None or len(whole) < len(tables) or np.count_nonzero(lowest[0].sum(axis=1)) < 2:
        return None
    return ByRisk(risks=risks, levels=levels, patients=lowest[0], treated=lowest[1], drugs=whole)


def by_risk_of(patients: pd.DataFrame | None, steps: pd.DataFrame | None) -> ByRisk | None:
    """Return the same of the tables of an evaluation; None where they do not tell it.

    Args:
        patients: One row per (episode, step, patient), see `Evaluation.patients_frame`.
        steps: One row per (episode, step), see `Evaluation.trajectories_frame`.
    """
    if patients is None or steps is None or RISK not in patients or int(steps["step"].max()) < 2:
        return None
    known = before_each_step(steps)
    names = [str(c).removeprefix("seen_") for c in known if str(c).startswith("seen_")]
    joined = patients.merge(known[["episode", "step", *(f"seen_{name}" for name in names)]])
    joined = joined[joined[RISK] >= 0]
    risk = np.searchsorted(RISKS[1:-1], joined[RISK], side="right")
    shape = (len(RISKS) - 1, len(BANDS) - 1)

    def counted(level: pd.Series, is_given: pd.Series) -> tuple[Floats, Floats]:
        cell = risk * shape[1] + np.searchsorted(BANDS[1:-1], level, side="right")
        came, given = (
            np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
            for cells in (cell, cell[is_given.to_numpy()])
        )
        return came, given

    treatment = joined["treatment"].astype(str)
    drugs = {name: counted(joined[f"seen_{name}"], treatment == name) for name in names}
    lowest = joined[[f"seen_{name}" for name in names]].min(axis=1)
    came, treated = counted(lowest, treatment != NONE)
    if np.count_nonzero(came.sum(axis=1)) < 2:
        return None
    return ByRisk(risks=RISKS, levels=BANDS, patients=came, treated=treated, drugs=drugs)


def _ends(kept: Mapping[str, Any], key: str) -> list[float]:
    """Return the ends of bands; empty where they are none."""
    found = kept.get(key)
    is_whole = isinstance(found, list) and len(found) > 1 and all(map(is_known, found))
    return [float(end) for end in found or ()] if is_whole else []


def _cells(counts: Any, shape: tuple[int, int]) -> tuple[Floats, Floats] | None:
    if not isinstance(counts, Mapping):
        return None
    found = []
    for key in ("patients", "given"):
        try:
            table = np.array(counts.get(key), dtype=np.float64)
        except (TypeError, ValueError):
            return None
        if table.shape != shape or not np.isfinite(table).all():
            return None
        found.append(table)
    return found[0], found[1]


def by_part(told: Any) -> list[tuple[Mapping[str, int], int]]:
    """Return how many got each antibiotic, and how many came, in each part of an episode."""
    kept = told.get("by_part") if isinstance(told, Mapping) else None
    found: list[tuple[Mapping[str, int], int]] = []
    for counts in kept if isinstance(kept, list) else []:
        given = counts.get("given") if isinstance(counts, Mapping) else None
        if not isinstance(given, Mapping) or not is_known(none := counts.get("none")):
            return []
        known = {str(name): int(count) for name, count in given.items() if is_known(count)}
        if not (total := sum(known.values()) + int(none)):
            return []
        found.append((known, total))
    return found


def over_time_in_words(told: Any) -> str | None:
    """Return how much is treated at the beginning of an episode and at its end.

    >>> parts = [{"given": {"A": 6}, "none": 4}, {"given": {"A": 3}, "none": 7}]
    >>> over_time_in_words({"by_part": parts})
    'From the first to the last of 2 parts of an episode the share treated falls from 60 % to 30 %.'
    """
    parts = by_part(told)
    if len(parts) < 2:
        return None
    first, last = (sum(given.values()) / total for given, total in (parts[0], parts[-1]))
    span = f"From the first to the last of {len(parts)} parts of an episode the share treated"
    if abs(last - first) < _CHANGED:
        return f"{span} hardly changes ({amr(first)}, {amr(last)})."
    return f"{span} {'rises' if last > first else 'falls'} from {amr(first)} to {amr(last)}."
