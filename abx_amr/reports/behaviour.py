"""What a prescriber does, measured: whom it treats with what, at which resistance, and when.

Shapes: K antibiotics.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from abx_amr.plots.policy_map import before_each_step
from abx_amr.plots.treatment_by_group import (
    NONE,
    RISK,
    named_groups,
    risk_bands,
    shares_by,
    treatments_of,
)
from abx_amr.reports.clinical import PATIENTS, antibiotics_of, patients_of

#: Below this share of patients an antibiotic counts as not given.
HARDLY = 0.05
LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
_FINE = 0.02  # width of the bins in which the end of treating is looked for
_ENOUGH, _ENOUGH_SHARE = 50, 0.01  # patients, or share of all, from which a bin says something
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
    """Up to which reported resistance an antibiotic is given.

    Attributes:
        antibiotic: Which.
        level: Above it hardly anybody is given it; None: that was never seen.
        below: Share of patients who are given it up to that level.
        above: Share above it; None where that was never seen.
        highest: The highest level at which patients came.
    """

    antibiotic: str
    level: float | None
    below: float
    above: float | None
    highest: float


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
    """

    everybody: Share
    infected: tuple[float, float]
    stops: Sequence[Stop] = ()
    by_level: Mapping[str, Sequence[Share]] | None = None
    by_time: Sequence[Share] = ()
    by_group: Sequence[Share] = ()
    by_risk: Sequence[Share] = ()


def behaviour_of(
    episodes: pd.DataFrame,
    steps: pd.DataFrame | None,
    patients: pd.DataFrame | None,
    *,
    groups: Sequence[str] = (),
) -> Behaviour:
    """Return what a prescriber does.

    Args:
        episodes: One row per episode, the columns of `Evaluation.episodes`.
        steps: One row per (episode, step), see `Evaluation.trajectories_frame`.
        patients: One row per (episode, step, patient), see `Evaluation.patients_frame`.
        groups: Names of the groups of patients, by index.
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
    return Behaviour(
        everybody=everybody,
        infected=infected,
        stops=[_stop(known, name) for name in names],
        by_level={name: _by_level(known, name) for name in names},
        by_time=_by_time(steps, names),
        by_group=_by_group(patients, groups),
        by_risk=_by_risk(patients),
    )


def _share(who: str, rows: pd.DataFrame, names: Sequence[str]) -> Share:
    came = float(patients_of(rows).sum())
    given = {name: _ratio(float(rows[f"prescriptions_{name}"].sum()), came) for name in names}
    return Share(who=who, patients=int(came), given=given)


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else float("nan")


def _by_level(known: pd.DataFrame, name: str) -> list[Share]:
    """Return what was given of an antibiotic by its reported level before the step."""
    level = known[f"seen_{name}"]
    shares = []
    for low, high in itertools.pairwise(LEVELS):
        here = known[(level >= low) & ((level < high) | ((high == LEVELS[-1]) & (level <= high)))]
        if len(here):
            shares.append(_share(f"{100 * low:.0f} to {100 * high:.0f} %", here, [name]))
    return shares


def _stop(known: pd.DataFrame, name: str) -> Stop:
    """Return up to which reported level an antibiotic is given."""
    level = known[f"seen_{name}"].to_numpy(dtype=np.float64)
    table = pd.DataFrame(
        {
            # a level on an edge belongs below it, whatever rounding makes of it
            "bin": np.maximum(np.ceil(level / _FINE - 1e-9).astype(np.int64) - 1, 0),
            "given": known[f"prescriptions_{name}"].to_numpy(dtype=np.float64),
            "patients": patients_of(known),
        }
    )
    bins = table.groupby("bin").sum()
    highest = float(level.max())
    share = _ratio(float(table["given"].sum()), float(table["patients"].sum()))
    bins = bins[bins["patients"] >= min(_ENOUGH, _ENOUGH_SHARE * float(bins["patients"].sum()))]
    is_given = bins["given"] / bins["patients"] >= HARDLY
    if not is_given.any():
        return Stop(antibiotic=name, level=0.0, below=0.0, above=share, highest=highest)
    last = int(is_given[is_given].index.max())
    lower, upper = table[table["bin"] <= last], table[table["bin"] > last]
    below = _ratio(float(lower["given"].sum()), float(lower["patients"].sum()))
    if not (bins.index > last).any():
        return Stop(antibiotic=name, level=None, below=below, above=None, highest=highest)
    above = _ratio(float(upper["given"].sum()), float(upper["patients"].sum()))
    return Stop(
        antibiotic=name, level=(last + 1) * _FINE, below=below, above=above, highest=highest
    )


def _by_time(steps: pd.DataFrame, names: Sequence[str]) -> list[Share]:
    """Return what was given in each part of an episode."""
    length = int(steps["step"].max())
    part = (steps["step"] - 1) * PARTS // length
    return [
        _share(f"steps {int(here['step'].min())} to {int(here['step'].max())}", here, names)
        for _, here in steps.groupby(part)
    ]


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
