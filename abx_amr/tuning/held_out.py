"""What a study's winner is worth: its return, and the default's, where nothing has chosen them.

Shapes: S seeds, N evaluation episodes; all seeds play the same episodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.studies.records import DEFAULT
from abx_amr.tuning.seed_files import evaluation_returns, final_amr, treatments

if TYPE_CHECKING:
    from abx_amr.planning.best_rule import RuleSearch
    from abx_amr.studies.final import FinalStanding
    from abx_amr.studies.records import Point
    from abx_amr.tuning.study import TuningStudy

Floats = NDArray[np.float64]


def describe_final(study: TuningStudy, final: FinalStanding) -> dict[str, Any]:
    """Return `held_out` and `default_beaten` of a final that is over, as the summary has them."""
    selected = final.selected
    assert selected is not None
    own, default = (_returns(study, final, point) for point in (selected, DEFAULT))
    difference = _difference(own, default)
    return {
        "held_out": {
            "seeds": list(final.held_out_seeds),
            "evaluation_seed": study.held_out_evaluation_seed,
            "episodes": max((len(row) for row in own.values()), default=0),
            "selected": {**_value(own), **_left(study, final, selected)},
            "default": {**_value(default), **_left(study, final, DEFAULT)},
            "difference": difference,
            "best_rule": None,
            "gap": None,
        },
        "default_beaten": _is_beaten(
            difference["interval_95"], selected=selected, direction=study.settings.direction
        ),
    }


def against_best_rule(
    study: TuningStudy, final: FinalStanding, rules: RuleSearch
) -> dict[str, Any] | None:
    """Return the clinic's best rule and whether the winner beats it, as a run's summary has it.

    But over seeds as well as episodes: another training may turn out otherwise. None where no rule
    fits, or the returns of single episodes are not here.
    """
    from abx_amr.planning.best_rule import compare_with_best

    assert final.selected is not None
    rows = [*_returns(study, final, final.selected).values()]
    if len(rows) < 2 or len(rows[0]) < 2 or not _is_rectangular(rows):
        return None
    returns = np.array(rows, dtype=np.float64)
    seed = study.held_out_evaluation_seed
    found = compare_with_best(returns.mean(axis=0), rules, seed=seed)
    if found is None:
        return None
    theirs = rules.returns(rules.found[0], episodes=returns.shape[1], seed=seed)
    low, high = crossed_interval(returns - theirs)
    verdict = "better" if low > 0 else "worse" if high < 0 else "not distinguishable"
    difference = {**found["difference"], "interval_95": [low, high], "seeds": len(rows)}
    return {**found, "difference": difference, "verdict": verdict}


def crossed_interval(returns: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the mean over seeds and episodes that are crossed, (S, N).

    With r = mean + seed + episode + rest, all independent, the mean's variance is
    var(row means) / S + var(column means) / N - var(rest) / (S N) (Searle, Casella and McCulloch
    1992, "Variance components", section 4.3); Student's t with Satterthwaite's degrees of freedom.
    Nan for a single seed.

    >>> seeds = np.array([1.0, 2.0, 3.0])
    >>> low, high = crossed_interval(np.repeat(seeds[:, None], 50, axis=1))  # episodes all alike
    >>> round(low, 3), round(high, 3)  # is Student's over the seeds
    (-0.484, 4.484)
    """
    from scipy import stats

    from abx_amr.evaluation.statistics import t_interval

    n_seeds, n_episodes = returns.shape
    if n_seeds < 2:
        return (math.nan, math.nan)
    if n_episodes < 2:
        return t_interval(returns.mean(axis=1))

    mean = float(returns.mean())
    rows, columns = returns.mean(axis=1), returns.mean(axis=0)
    rest = returns - rows[:, None] - columns[None, :] + mean
    of_rest = float((rest**2).sum()) / ((n_seeds - 1) * (n_episodes - 1))
    by_seed = float(rows.var(ddof=1)) / n_seeds
    by_episode = float(columns.var(ddof=1)) / n_episodes
    variance = max(by_seed, by_seed + by_episode - of_rest / (n_seeds * n_episodes))
    if variance == 0.0:
        return (mean, mean)
    parts = by_seed**2 / (n_seeds - 1) + by_episode**2 / (n_episodes - 1)
    freedom = max(n_seeds - 1.0, variance**2 / parts)
    reach = float(stats.t.ppf(0.975, freedom)) * math.sqrt(variance)
    return (mean - reach, mean + reach)


def _returns(study: TuningStudy, final: FinalStanding, point: Point) -> dict[int, list[float]]:
    """Return seed -> returns by episode of a point's held-out seeds that have one.

    Of a seed whose folder is not here, its mean alone.
    """
    folder = study.settings.files.final_point(point)
    found = {}
    for outcome in final.held_out(point):
        if outcome.failure_reason is not None or outcome.episode_return is None:
            continue
        row = evaluation_returns(folder.seed(outcome.seed), episode_return=outcome.episode_return)
        found[outcome.seed] = row or [outcome.episode_return]
    return found


def _left(study: TuningStudy, final: FinalStanding, point: Point) -> dict[str, Any]:
    """Return what a point's held-out seeds did to clinic and patients; None where one kept it not.

    `final_amr`: antibiotic -> mean level at the end of an episode; `treatments`: how many patients
    got which antibiotic and none; `by_seed`: seed, mean, and these two of each seed, as far as they
    were kept.
    """
    folder = study.settings.files.final_point(point)
    outcomes = [
        (outcome.seed, outcome.episode_return)
        for outcome in final.held_out(point)
        if outcome.failure_reason is None and outcome.episode_return is not None
    ]
    seeds = [(folder.seed(seed), mean) for seed, mean in outcomes]
    kept = [final_amr(seed, episode_return=mean) for seed, mean in seeds]
    levels = None
    if kept and all(kept):
        levels = {name: math.fsum(one[name] for one in kept) / len(kept) for name in kept[0]}
    by_seed = [
        {"seed": seed, "mean": mean, "final_amr": kept[at], **_counts(treatments([seeds[at]]))}
        for at, (seed, mean) in enumerate(outcomes)
    ]
    return {"final_amr": levels, "treatments": treatments(seeds), "by_seed": by_seed}


def _counts(kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return how many patients got which antibiotic, and none, of what a seed has kept."""
    return {key: kept[key] for key in ("given", "none") if kept is not None and key in kept}


def _value(returns: Mapping[int, Sequence[float]]) -> dict[str, Any]:
    """Return mean, interval and each seed's mean."""
    rows = [*returns.values()]
    means = [math.fsum(row) / len(row) for row in rows]
    return {
        "mean": math.fsum(means) / len(means) if means else None,
        "interval_95": _interval(rows),
        "returns": means,
    }


def _difference(
    own: Mapping[int, Sequence[float]], default: Mapping[int, Sequence[float]]
) -> dict[str, Any]:
    """Return the mean of own less default over seeds that both have, and its interval."""
    common = [seed for seed in own if seed in default and len(own[seed]) == len(default[seed])]
    rows = [list(np.subtract(own[seed], default[seed])) for seed in common]
    means = [math.fsum(row) / len(row) for row in rows]
    mean = math.fsum(means) / len(means) if means else None
    return {"mean": mean, "interval_95": _interval(rows)}


def _interval(rows: Sequence[Sequence[float]]) -> list[float] | None:
    if len(rows) < 2:
        return None
    if not _is_rectangular(rows):  # of a seed whose folder is not here its mean is all there is
        rows = [[math.fsum(row) / len(row)] for row in rows]
    return list(crossed_interval(np.array(rows, dtype=np.float64)))


def _is_rectangular(rows: Sequence[Sequence[float]]) -> bool:
    return len({len(row) for row in rows}) == 1


def _is_beaten(interval: Sequence[float] | None, *, selected: Point, direction: str) -> bool | None:
    """Return whether the default is beaten, None where the interval does not tell."""
    if selected == DEFAULT:
        return False
    if interval is None:
        return None
    low, high = interval if direction == "maximize" else (-interval[1], -interval[0])
    if low > 0:
        return True
    return False if high < 0 else None
