"""Compare conditions: each over its runs, and over all clinics; in pairs see `pairs`.

What is replicated is the training seed. A run therefore counts once, with the mean return of its
final evaluation; its episodes are not pooled with those of other runs, since episodes of one agent
say nothing about the next seed. Comparisons over episodes are given beside that: they hold for the
agents that were trained, on other patients.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.comparison.conditions import MISSING, clinic_of, is_of_clinic
from abx_amr.comparison.reading import GatheredRun
from abx_amr.evaluation.statistics import (
    RESAMPLES,
    Summary,
    bootstrap_interval,
    summarise,
    summarise_strata,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

_MOST_SETTINGS = 3  # named in a note
_MOST_NAMES = 3  # of runs


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How intervals are drawn: the same numbers give the same intervals, to the bit."""

    confidence: float = 0.95
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True)
class Condition:
    """The runs of one condition in one clinic, ordered by seed and value."""

    clinic: str
    name: str
    runs: tuple[GatheredRun, ...]

    @property
    def learned(self) -> bool:
        """Whether its runs are agents."""
        return all(run.learned for run in self.runs)

    @cached_property
    def by_seed(self) -> Mapping[int | None, float]:
        """Training seed -> return; the mean where several runs share a seed (by=...)."""
        found: dict[int | None, list[float]] = {}
        for run in self.runs:
            found.setdefault(run.seed, []).append(run.value)
        return {seed: float(np.mean(values)) for seed, values in found.items()}

    def by_episode(self, seeds: Sequence[int | None]) -> Floats:
        """Return the mean return of each evaluation episode over the runs with these seeds."""
        wanted = set(seeds)
        returns = [run.returns for run in self.runs if run.seed in wanted]
        return np.asarray(np.mean(returns, axis=0))


def grouped(
    runs: Sequence[GatheredRun], clinics: Sequence[str], conditions: Sequence[str]
) -> list[Condition]:
    """Return the conditions, ordered by clinic and name, whatever the order of the runs."""
    found: dict[tuple[str, str], list[GatheredRun]] = {}
    for run, clinic, condition in zip(runs, clinics, conditions, strict=True):
        found.setdefault((clinic, condition), []).append(run)
    return [
        Condition(clinic, name, tuple(sorted(members, key=_order)))
        for (clinic, name), members in sorted(found.items())
    ]


def _order(run: GatheredRun) -> tuple[int, float, str]:
    return (seed_order(run.seed), run.value, str(run.path))


def seed_order(seed: int | None) -> int:
    """Return a seed to be ordered by; rules, which have none, come first."""
    return -1 if seed is None else seed


def conditions_table(
    conditions: Sequence[Condition], bootstrap: Bootstrap | None = None
) -> pd.DataFrame:
    """Return one row per condition: seeds, mean, std, IQM over runs, intervals, what was reached.

    The intervals are percentile bootstrap intervals over runs; of a single run they are nan.
    """
    import pandas as pd

    rows = []
    for condition in conditions:
        values = np.sort([run.value for run in condition.runs])
        scores = _summarised(summarise(values, **asdict(bootstrap or Bootstrap())))
        rows.append(
            {
                "clinic": condition.clinic,
                "condition": condition.name,
                "runs": len(condition.runs),
                "seeds": len({r.seed for r in condition.runs if r.learned}),
                "learns": condition.learned,
                **scores,
                **{
                    name: _mean([run.facts[name] for run in condition.runs])
                    for name in (
                        *("mean_amr", "final_amr", "prescriptions", "gap", "share_of_range"),
                        *("expected_gap", "best_rule_difference", "best_rule_final_amr"),
                    )
                },
                **_expected([run.facts["expected_return"] for run in condition.runs], bootstrap),
                "best_rule": _alike([run.facts["best_rule"] for run in condition.runs]),
                "optimum": _mean([run.facts["optimum"] for run in condition.runs]),
                "run_names": names_of_runs([str(run.facts["run"]) for run in condition.runs]),
            }
        )
    return pd.DataFrame(rows)


def _expected(returns: Sequence[float | None], bootstrap: Bootstrap | None) -> dict[str, float]:
    """Return the mean of the expected returns of runs and its interval; nan where one lacks."""
    known = [value for value in returns if value is not None]
    names = ("expected_return", "expected_low", "expected_high")
    if not known or len(known) < len(returns):
        return dict.fromkeys(names, math.nan)
    values = np.sort(known)
    interval = bootstrap_interval(values, **asdict(bootstrap or Bootstrap()))
    return dict(zip(names, (float(values.mean()), *interval), strict=True))


def names_of_runs(names: Sequence[str]) -> str:
    """Return what the runs of a condition are called, their seeds left out.

    >>> names_of_runs(["base_ppo_seed1", "base_ppo_seed2", "again"])
    'base_ppo, again'
    >>> names_of_runs(["a", "b", "c", "d"])
    'a, b and 2 more'
    """
    found = list(dict.fromkeys(re.sub(r"_seed\d+$", "", name) for name in names))
    if len(found) <= _MOST_NAMES:
        return ", ".join(found)
    return f"{', '.join(found[: _MOST_NAMES - 1])} and {len(found) - _MOST_NAMES + 1} more"


def _summarised(scores: Summary) -> dict[str, float]:
    return {
        "mean": scores.mean,
        "mean_low": scores.mean_interval[0],
        "mean_high": scores.mean_interval[1],
        "iqm": scores.iqm,
        "iqm_low": scores.iqm_interval[0],
        "iqm_high": scores.iqm_interval[1],
        "std": scores.std,
        "minimum": scores.minimum,
        "maximum": scores.maximum,
    }


def _alike(values: Sequence[Any]) -> Any:
    """Return what all have, None where they differ."""
    return values[0] if all(value == values[0] for value in values) else None


def _mean(values: Sequence[float | None]) -> float:
    known = np.sort([v for v in values if v is not None])
    return float(np.mean(known)) if len(known) == len(values) else math.nan


def overall_table(
    conditions: Sequence[Condition], bootstrap: Bootstrap | None = None
) -> pd.DataFrame:
    """Return one row per condition of several clinics, on the scale that clinics share.

    A run's score is its share of the range from never treating (0) to the optimum (1). All rows
    are over the same clinics and evaluation episodes: those that all conditions shown have, with a
    known optimum. A clinic is one stratum of the bootstrap, whatever its evaluations: an agent
    that was evaluated on several sets of episodes counts once, with the mean of its shares.
    """
    import pandas as pd

    shared = _shared(conditions)
    rows = []
    for name in shared.names:
        members = [c for c in conditions if c.name == name and c.clinic in shared.clinics]
        strata: dict[str, list[Condition]] = {}
        for member in members:
            strata.setdefault(clinic_of(member.runs[0]), []).append(member)
        shares = [_shares(stratum) for _, stratum in sorted(strata.items())]
        scores = _summarised(summarise_strata(shares, **asdict(bootstrap or Bootstrap())))
        rows.append(
            {"condition": name, "clinics": len(shares), "runs": sum(map(len, shares)), **scores}
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Shared:
    """What stands in the table over clinics: conditions, and the labels of clinics all have.

    `without` are conditions of several clinics that have too few of these.
    """

    names: tuple[str, ...]
    clinics: frozenset[str]
    without: tuple[str, ...]


def _shared(conditions: Sequence[Condition]) -> _Shared:
    """Return what can be set side by side: those with the most clinics come first."""
    places = {c.clinic: clinic_of(c.runs[0]) for c in conditions}
    of_name: dict[str, set[str]] = {}
    for condition in conditions:
        if all(run.facts["share_of_range"] is not None for run in condition.runs):
            of_name.setdefault(condition.name, set()).add(condition.clinic)

    def count(clinics: set[str]) -> int:
        return len({places[clinic] for clinic in clinics})

    several = [name for name, clinics in of_name.items() if count(clinics) > 1]
    names: list[str] = []
    common: set[str] = set()
    for name in sorted(several, key=lambda n: (-count(of_name[n]), -len(of_name[n]), n)):
        together = common & of_name[name] if names else of_name[name]
        if count(together) > 1:
            names.append(name)
            common = together
    without = sorted(set(several) - set(names))
    return _Shared(tuple(sorted(names)), frozenset(common), tuple(without))


def _shares(evaluations: Sequence[Condition]) -> Floats:
    """Return the shares of a condition's runs in one clinic, the mean of each over evaluations."""
    found: dict[str, list[float]] = {}
    for condition in evaluations:
        for run in condition.runs:
            key = (
                str(run.path)
                if len(evaluations) == 1
                else f"{run.seed} {sorted(run.settings.items())}"
            )
            found.setdefault(key, []).append(float(run.facts["share_of_range"]))
    return np.sort([float(np.mean(np.sort(values))) for values in found.values()])


def notes_on(conditions: Sequence[Condition], pairs: pd.DataFrame) -> list[str]:
    """Return what a reader of the tables must know: few seeds, unpaired seeds, mixed versions."""
    notes = []
    few = [c for c in conditions if c.learned and len(c.by_seed) < 5]
    if few:
        notes.append(
            f"{len(few)} of {len(conditions)} conditions have fewer than 5 seeds: their bootstrap "
            "intervals are too narrow, and a Wilcoxon test of n pairs cannot go below 2 / 2^n"
        )
    if len(pairs):
        lonely = int(((pairs["unpaired_first"] > 0) | (pairs["unpaired_second"] > 0)).sum())
        if lonely:
            notes.append(
                f"{lonely} of {len(pairs)} pairs with seeds that have no partner: the tests leave "
                "these out"
            )
        constant = int(((pairs["pairs"] > 1) & pairs["t_p"].isna()).sum())
        if constant:
            notes.append(
                f"{constant} of {len(pairs)} pairs without a t test: the seeds do not differ from "
                "each other (every difference is the same)"
            )
    notes += _notes_on_clinics(conditions)
    runs = [run for condition in conditions for run in condition.runs]
    for name, what in (("version", "versions of abx-amr"), ("commit", "commits")):
        found = {run.facts[name] for run in runs}
        if len(found) > 1:
            listed = ", ".join(sorted(str(one)[:10] for one in found))
            notes.append(f"the runs come from {len(found)} {what}: {listed}")
    return notes


def _notes_on_clinics(conditions: Sequence[Condition]) -> list[str]:
    """Return what is to be said of the table over clinics: what it leaves out, what it merges."""
    shared = _shared(conditions)
    if not shared.names:
        return []
    notes = []
    for name in shared.names:
        members = [c for c in conditions if c.name == name and c.clinic in shared.clinics]
        if differing := _differing_over_clinics(members):
            notes.append(f"over clinics, {name} is not the same in each: {differing}")
    theirs = {c.clinic for c in conditions if c.name in shared.names}
    if left := sorted(theirs - shared.clinics):
        notes.append(
            "over clinics only what all its conditions have, with a known optimum: without "
            + ", ".join(left)
        )
    if shared.without:
        notes.append(
            "not in the table over clinics, for too few clinics in common: "
            + ", ".join(shared.without)
        )
    places = {clinic_of(c.runs[0]) for c in conditions if c.clinic in shared.clinics}
    if len(places) < len(shared.clinics):
        notes.append(
            "over clinics a clinic counts once: of an agent evaluated on several sets of episodes "
            "the mean counts"
        )
    return notes


def _differing_over_clinics(members: Sequence[Condition]) -> str:
    """Return which settings of a condition differ between clinics, '' where none does."""
    in_each: dict[str, dict[str, set[str]]] = {}
    for member in members:
        values = in_each.setdefault(clinic_of(member.runs[0]), {})
        for run in member.runs:
            for path, value in run.settings.items():
                if not is_of_clinic(path):
                    values.setdefault(path, set()).add(value)
    text = []
    for path in sorted({path for values in in_each.values() for path in values}):
        found = [values.get(path, {MISSING}) for values in in_each.values()]
        if any(each != found[0] for each in found):
            text.append(f"{path} ({', '.join(sorted(set().union(*found)))})")
    more = [f"and {len(text) - _MOST_SETTINGS} more"] if len(text) > _MOST_SETTINGS else []
    return ", ".join(text[:_MOST_SETTINGS] + more)
