"""What a prescriber does, measured: whom it treats with what, at which resistance, and when.

Shapes: K antibiotics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from abx_amr.plots.policy_map import bands, before_each_step
from abx_amr.plots.treatment_by_group import (
    NONE,
    RISK,
    named_groups,
    risk_bands,
    shares_by,
    treatments_of,
)
from abx_amr.reports.clinical import PATIENTS, Floats, antibiotics_of, patients_of
from abx_amr.reports.wording import amr

#: Below this share of patients an antibiotic counts as not given.
HARDLY = 0.05
_BANDS = 6  # of levels, in a table
_FINE_BANDS = 24  # in which the level is looked for at which treating stops
_ENOUGH, _ENOUGH_SHARE = 50, 0.01  # patients, or share of all, from which levels say something
_SHORTEST = 20  # steps of an episode that can have an end game
_SURGE = 0.1  # of the patients, by which treating must rise to count as one
_NARROW = 20.0  # points between the levels met, within which a decimal tells them apart
PARTS = 5  # of an episode


@dataclass(frozen=True, kw_only=True)
class Share:
    """What was given to some of the patients.

    Attributes:
        who: Which patients.
        patients: How many.
        given: Antibiotic -> share of them who were given it.
    """

    who: str
    patients: int
    given: Mapping[str, float]

    @property
    def treated(self) -> float:
        """The share who were given any."""
        return sum(self.given.values())


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Up to which reported resistance an antibiotic is given, before the end game.

    Attributes:
        antibiotic: Which.
        share: Of all patients, who are given it.
        most: Of the patients at those levels at which it is given most.
        highest: The highest level at which patients came.
        between: The levels between which its share falls from more than half of its maximum to
            less than a tenth; None where it does not.
        below: The share up to the lower of them.
        above: The share from the upper of them on.
        ending: The share in the end game; None where there is none.
    """

    antibiotic: str
    share: float
    highest: float
    most: float = 0.0
    between: tuple[float, float] | None = None
    below: float = float("nan")
    above: float = float("nan")
    ending: float | None = None


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What a prescriber does; what its tables do not say is empty.

    Attributes:
        everybody: All patients.
        infected: The share of the infected, and of the others, who are given an antibiotic.
        stops: Up to which resistance each antibiotic is given.
        by_level: Antibiotic -> what was given at which reported level of it.
        by_time: The parts of an episode.
        by_group: The groups of a mixture of patients.
        by_risk: Bands of the observed probability of infection.
        ending: What was given before the end game, and in it; None where there is none.
    """

    everybody: Share
    infected: tuple[float, float]
    stops: Sequence[Stop] = ()
    by_level: Mapping[str, Sequence[Share]] | None = None
    by_time: Sequence[Share] = ()
    by_group: Sequence[Share] = ()
    by_risk: Sequence[Share] = ()
    ending: tuple[Share, Share] | None = None


def behaviour_of(
    episodes: pd.DataFrame,
    steps: pd.DataFrame | None,
    patients: pd.DataFrame | None,
    *,
    groups: Sequence[str] = (),
    sees_time: bool = False,
) -> Behaviour:
    """Return what a prescriber does.

    Args:
        episodes: One row per episode, the columns of `Evaluation.episodes`.
        steps: One row per (episode, step), see `Evaluation.trajectories_frame`.
        patients: One row per (episode, step, patient), see `Evaluation.patients_frame`.
        groups: Names of the groups of patients, by index.
        sees_time: Whether it is told how much of the episode is left.
    """
    names = antibiotics_of(episodes)
    sums = episodes[[*PATIENTS]].sum()
    treated = sums["treated_infected_sensitive"] + sums["treated_infected_resistant"]
    infected = (
        _ratio(treated, treated + sums["untreated_infected"]),
        _ratio(
            sums["treated_not_infected"],
            sums["treated_not_infected"] + sums["untreated_not_infected"],
        ),
    )
    everybody = _share("all patients", episodes, names)
    if steps is None or int(steps["step"].max()) < 2:
        return Behaviour(everybody=everybody, infected=infected)
    known = before_each_step(steps)
    ending = ending_of(steps) if sees_time else None
    return Behaviour(
        everybody=everybody,
        infected=infected,
        stops=[_stop(known, name, ending) for name in names],
        by_level={name: _by_level(known, name, ending) for name in names},
        by_time=_by_time(steps, names),
        by_group=_by_group(patients, groups),
        by_risk=_by_risk(patients),
        ending=None if ending is None else _before_and_in(steps, names, ending),
    )


def _share(who: str, rows: pd.DataFrame, names: Sequence[str]) -> Share:
    came = float(patients_of(rows).sum())
    given = {name: _ratio(float(rows[f"prescriptions_{name}"].sum()), came) for name in names}
    return Share(who=who, patients=int(came), given=given)


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else float("nan")


def ending_of(steps: pd.DataFrame) -> int | None:
    """Return the step from which treating surges until an episode ends; None where it does not.

    What is usual is the median over the first half; the surge begins after the last step at which
    treating, smoothed, had risen by less than a quarter of its rise.
    """
    names = antibiotics_of_steps(steps)
    length = int(steps["step"].max())
    if length < _SHORTEST:
        return None
    by_step = pd.DataFrame(
        {
            "step": steps["step"],
            "given": steps[[f"prescriptions_{name}" for name in names]].sum(axis=1),
            "patients": patients_of(steps),
        }
    )
    sums = by_step.groupby("step").sum().rolling(max(1, length // 20), min_periods=1).sum()
    treated = sums["given"] / sums["patients"]
    usual = float(treated[treated.index <= length / 2].median())
    rise = float(treated[treated.index > 0.9 * length].mean()) - usual
    if rise < max(_SURGE, 0.3 * usual):
        return None
    still = treated[treated <= usual + rise / 4].index
    start = int(still.max()) + 1 if len(still) else length
    return start if length / 2 < start < length else None


def antibiotics_of_steps(steps: pd.DataFrame) -> list[str]:
    """Return the antibiotics that a table of steps speaks of, in its order."""
    prefix = "prescriptions_"
    return [str(c).removeprefix(prefix) for c in steps if str(c).startswith(prefix)]


def _by_level(known: pd.DataFrame, name: str, ending: int | None) -> list[Share]:
    """Return what was given of an antibiotic by bands of its reported level before the step.

    The bands hold about equally many decisions before the end game, which is a row of its own.
    """
    before, last = _parted(known, ending)
    level = 100.0 * before[f"seen_{name}"].to_numpy(dtype=np.float64)
    is_narrow = bool(len(level)) and float(level.max() - level.min()) < _NARROW
    number = bands(level / 100.0, _BANDS).number
    labels = np.empty(len(level), dtype=object)
    for band in np.unique(number):
        here = level[number == band]
        low, high = (_level(float(end), is_fine=is_narrow) for end in (here.min(), here.max()))
        labels[number == band] = f"{low} %" if low == high else f"{low} to {high} %"
    order = dict.fromkeys(labels[np.argsort(number, kind="stable")])
    shares = [_share(str(who), before[labels == who], [name]) for who in order]
    if len(last):
        ends = [float(100.0 * last[f"seen_{name}"].quantile(q)) for q in (0.05, 0.95)]
        who = f"the end game, from step {ending}: {_level(ends[0])} to {_level(ends[1])} %"
        shares.append(_share(who, last, [name]))
    return shares


def _level(percent: float, *, is_fine: bool = False) -> str:
    """Return a level in percent, with a decimal where it is told to be fine.

    >>> _level(0.42), _level(12.3), _level(12.3, is_fine=True)
    ('0.42', '12', '12.3')
    """
    return f"{percent:.1f}" if is_fine and percent > 1 else amr(percent / 100).removesuffix(" %")


def _parted(known: pd.DataFrame, ending: int | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows before the end game, and those in it."""
    in_end = known["step"] >= (np.inf if ending is None else ending)
    return known[~in_end], known[in_end]


def _stop(known: pd.DataFrame, name: str, ending: int | None) -> Stop:
    """Return between which levels an antibiotic ceases to be given, before the end game."""
    before, last = _parted(known, ending)
    level = before[f"seen_{name}"].to_numpy(dtype=np.float64)
    number = bands(level, _FINE_BANDS).number
    table = pd.DataFrame(
        {
            "given": before[f"prescriptions_{name}"].to_numpy(dtype=np.float64),
            "patients": patients_of(before),
        }
    )
    found = table.groupby(number).sum()
    share = (found["given"] / found["patients"]).to_numpy()
    low = pd.Series(level).groupby(number).min().to_numpy()
    high = pd.Series(level).groupby(number).max().to_numpy()
    total = _ratio(float(table["given"].sum()), float(table["patients"].sum()))
    ends = None if last.empty else _share("", last, [name]).given[name]
    stop = Stop(antibiotic=name, share=total, highest=float(level.max()), ending=ends)
    stop = replace(stop, most=float(share.max()))
    if share.max() < HARDLY:
        return stop
    split = falls_apart_at(share, found["patients"].to_numpy(dtype=np.float64))
    often = int(np.flatnonzero(share[:split] >= share.max() / 2).max(initial=-1))
    after = np.flatnonzero(share[split:] < share.max() / 10)
    if often < 0 or not len(after):
        return stop
    seldom = split + int(after[0])
    lower, upper = table[number <= often], table[number >= seldom]
    below, above = (
        _ratio(float(part["given"].sum()), float(part["patients"].sum())) for part in (lower, upper)
    )
    came = float(upper["patients"].sum())
    is_clear = (
        above < share.max() / 10
        and below >= 3 * above
        and came >= min(_ENOUGH, _ENOUGH_SHARE * table["patients"].sum())
    )
    if not is_clear:
        return stop
    between = (float(high[often]), float(low[seldom]))
    return replace(stop, between=between, below=below, above=above)


def falls_apart_at(share: Floats, weight: Floats) -> int:
    """Return before which band the shares fall apart best into two, by least squares.

    Args:
        share: Of the patients of each band who were given an antibiotic.
        weight: How many patients each band has.
    """
    if len(share) < 2:
        return len(share)
    weights, sums = weight.cumsum(), (weight * share).cumsum()
    below, above = sums[:-1] / weights[:-1], (sums[-1] - sums[:-1]) / (weights[-1] - weights[:-1])
    apart = weights[:-1] * (weights[-1] - weights[:-1]) * (below - above) ** 2
    return int(np.argmax(np.where(below > above, apart, -1.0))) + 1


def _by_time(steps: pd.DataFrame, names: Sequence[str]) -> list[Share]:
    """Return what was given in each part of an episode."""
    length = int(steps["step"].max())
    part = (steps["step"] - 1) * PARTS // length
    return [
        _share(f"steps {int(here['step'].min())} to {int(here['step'].max())}", here, names)
        for _, here in steps.groupby(part)
    ]


def _before_and_in(steps: pd.DataFrame, names: Sequence[str], ending: int) -> tuple[Share, Share]:
    """Return what was given before the end game, and in it."""
    before, last = _parted(steps, ending)
    return _share("before", before, names), _share(f"step {ending}", last, names)


def _by_group(patients: pd.DataFrame | None, groups: Sequence[str]) -> list[Share]:
    if patients is None or patients["group"].nunique() < 2:
        return []
    return _shares_by(patients, named_groups(patients["group"], groups))


def _by_risk(patients: pd.DataFrame | None) -> list[Share]:
    if patients is None or RISK not in patients or patients[RISK].nunique() < 2:
        return []
    return _shares_by(patients, risk_bands(patients[RISK]))


def _shares_by(patients: pd.DataFrame, of: pd.Series) -> list[Share]:
    treatments = treatments_of(patients)
    table = shares_by(patients, of, treatments)
    return [
        Share(
            who=str(who),
            patients=int(table.loc[who, "patients"]),
            given={t: float(table.loc[who, t]) for t in treatments if t != NONE},
        )
        for who in table.index
    ]
