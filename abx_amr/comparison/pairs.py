"""Compare conditions two by two, their runs paired by training seed, their episodes by number."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from abx_amr.comparison.comparing import Bootstrap, Condition, Floats, seed_order
from abx_amr.errors import InputError, unknown
from abx_amr.evaluation.significance import holm, many_paired_tests
from abx_amr.evaluation.statistics import paired_difference, probability_of_improvement

if TYPE_CHECKING:
    import pandas as pd


def pairs_table(
    conditions: Sequence[Condition],
    *,
    against: str | None = None,
    bootstrap: Bootstrap | None = None,
) -> pd.DataFrame:
    """Return one row per pair of conditions in the same clinic.

    Args:
        conditions: As `grouped` gives them.
        against: The condition that all others are compared with; None: every pair.
        bootstrap: How intervals are drawn.

    Raises:
        InputError: `against` is no condition of any clinic.
    """
    import pandas as pd

    names = {condition.name for condition in conditions}
    if against is not None and against not in names:
        raise InputError(f"against: {unknown('condition', against, names)}")
    drawn = bootstrap or Bootstrap()
    chosen: list[_Pair] = []
    for clinic in dict.fromkeys(condition.clinic for condition in conditions):
        here = [condition for condition in conditions if condition.clinic == clinic]
        if against is None:
            pairs = list(itertools.combinations(here, 2))
        else:
            base = [condition for condition in here if condition.name == against]
            pairs = [(other, b) for b in base for other in here if other is not b]
        chosen += [_Pair.of(first, second) for first, second in pairs]
    runs = _tested([pair.values for pair in chosen], "", drawn.confidence)
    episodes = _tested([pair.episodes for pair in chosen], "episodes_", drawn.confidence)
    rows = [
        _row(pair, drawn, of_runs, of_episodes)
        for pair, of_runs, of_episodes in zip(chosen, runs, episodes, strict=True)
    ]
    table = pd.DataFrame(rows)
    for name in ("t_p", "wilcoxon_p", "episodes_t_p", "episodes_wilcoxon_p"):
        if len(table):
            place = [str(column) for column in table.columns].index(name) + 1
            table.insert(place, f"{name}_holm", holm(table[name].tolist()))
    return table


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Two conditions of a clinic, and what of them belongs together.

    `seeds` are those that have a partner, `values` the runs' and `episodes` the episodes' returns,
    the first condition's and the second's.
    """

    first: Condition
    second: Condition
    seeds: tuple[list[int | None], list[int | None]]
    values: tuple[Floats, Floats]
    episodes: tuple[Floats, Floats]

    @classmethod
    def of(cls, first: Condition, second: Condition) -> _Pair:
        """Return what belongs together of two conditions."""
        one, other, seeds = paired_values(first, second)
        return cls(
            first=first,
            second=second,
            seeds=seeds,
            values=(one, other),
            episodes=(
                first.by_episode(seeds[0]) if seeds[0] else np.empty(0),
                second.by_episode(seeds[1]) if seeds[1] else np.empty(0),
            ),
        )


def _row(
    pair: _Pair,
    bootstrap: Bootstrap,
    of_runs: Mapping[str, float],
    of_episodes: Mapping[str, float],
) -> dict[str, Any]:
    first, second = pair.first, pair.second
    probability, interval = probability_of_improvement(
        [run.value for run in first.runs],
        [run.value for run in second.runs],
        **asdict(bootstrap),
    )
    return {
        "clinic": first.clinic,
        "first": first.name,
        "second": second.name,
        "pairs": len(pair.values[0]),
        "unpaired_first": len(set(first.by_seed) - set(pair.seeds[0])),
        "unpaired_second": len(set(second.by_seed) - set(pair.seeds[1])),
        **of_runs,
        "probability_of_improvement": probability,
        "probability_low": interval[0],
        "probability_high": interval[1],
        "episodes": len(pair.episodes[0]),
        **of_episodes,
    }


def paired_values(
    first: Condition, second: Condition
) -> tuple[Floats, Floats, tuple[list[int | None], list[int | None]]]:
    """Return the values that belong together, and the seeds they come from.

    Agents are paired by training seed. A rule has none: it is the partner of every seed.
    """
    ours, theirs = first.by_seed, second.by_seed
    seeds: tuple[list[int | None], list[int | None]]
    if first.learned == second.learned:
        common = sorted(set(ours) & set(theirs), key=seed_order)
        seeds = (common, common)
    elif first.learned:
        seeds = (sorted(ours, key=seed_order), [None])
    else:
        seeds = ([None], sorted(theirs, key=seed_order))
    one, other = (
        [values[s] for s in chosen] for values, chosen in zip((ours, theirs), seeds, strict=True)
    )
    longest = max(len(one), len(other)) if one and other else 0
    return (
        np.resize(np.asarray(one, dtype=np.float64), longest),
        np.resize(np.asarray(other, dtype=np.float64), longest),
        seeds,
    )


def _tested(
    samples: Sequence[tuple[Floats, Floats]], prefix: str, confidence: float
) -> list[dict[str, float]]:
    """Return what is said of each two samples that belong together; nan where they are empty."""
    tests = iter(many_paired_tests([(one, other) for one, other in samples if len(one)]))
    told = []
    for one, other in samples:
        if len(one) == 0:
            names = ("difference", "low", "high", "standard_error", "t_p", "wilcoxon_p")
            told.append({f"{prefix}{name}": math.nan for name in names})
            continue
        found, test = paired_difference(one, other, confidence=confidence), next(tests)
        told.append(
            {
                f"{prefix}difference": found.mean,
                f"{prefix}low": found.interval[0],
                f"{prefix}high": found.interval[1],
                f"{prefix}standard_error": found.standard_error,
                f"{prefix}t_p": test.t_p,
                f"{prefix}wilcoxon_p": test.wilcoxon_p,
            }
        )
    return told
