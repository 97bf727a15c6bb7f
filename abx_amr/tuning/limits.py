"""What is said of a study's best trial: its gap's parts, and whether it beats the best rule.

Shapes: S seeds, N evaluation episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.tuning.seed_files import evaluation_returns, final_amr, treatments

if TYPE_CHECKING:
    from abx_amr.planning.best_rule import RuleSearch
    from abx_amr.tuning.study import TuningStudy


def limits_of_trial(study: TuningStudy, best: Mapping[str, Any]) -> dict[str, Any]:
    """Return `gap` and `best_rule` of the best trial, as a run's summary has them.

    What a trial leaves behind are its seeds' returns and how many patients got what: in which
    states they did is not known, and so neither is where it agrees with the optimum.

    Args:
        study: The study.
        best: What its summary says of the trial: number, params, mean_reward, seeds.
    """
    from abx_amr.planning.best_rule import RuleSearch, compare_with_best

    rules = RuleSearch(study.points.model)
    returns = _returns(study, best)
    best_rule = None
    if returns is not None:
        seed = int(study.config["training"]["evaluation_seed"])
        best_rule = compare_with_best(returns.mean(axis=0), rules, seed=seed)
    return {
        "gap": gap_of_point(study, best["params"], mean_return=best["mean_reward"], rules=rules),
        "best_rule": best_rule,
        **_left(study, best),
        "agreement": None,
        "why_no_agreement": "a trial keeps how often it gives what, not in which states",
    }


def gap_of_point(
    study: TuningStudy, params: Mapping[str, Any], *, mean_return: float, rules: RuleSearch
) -> dict[str, Any] | None:
    """Return where the gap of agents trained at a point comes from, None without an optimum.

    Args:
        study: The study.
        params: The point: configuration path -> value.
        mean_return: Over seeds and episodes.
        rules: The clinic's.
    """
    from abx_amr.planning.gap import gap_record
    from abx_amr.runs.optimality import limits_of, prescribing_of

    model = study.points.model
    config = study.points.configured(params)
    return gap_record(limits_of(model, prescribing_of(config, model, None), rules), mean_return)


def _left(study: TuningStudy, best: Mapping[str, Any]) -> dict[str, Any]:
    """Return `final_amr` and `treatments` of a trial, as `held_out` has them of a point."""
    trial = study.settings.files.trial(best["number"])
    seeds = [
        (trial.seed(seed["seed"]), seed["episode_return"])
        for seed in best["seeds"]
        if seed["episode_return"] is not None
    ]
    kept = [final_amr(seed, episode_return=mean) for seed, mean in seeds]
    levels = None
    if kept and all(kept):
        levels = {name: float(np.mean([one[name] for one in kept])) for name in kept[0]}
    return {"final_amr": levels, "treatments": treatments(seeds)}


def _returns(study: TuningStudy, best: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Return the returns of a trial's seeds, (S, N), None where they do not lie in its folder."""
    trial = study.settings.files.trial(best["number"])
    rows = []
    for seed in best["seeds"]:
        if seed["episode_return"] is None:
            continue
        row = evaluation_returns(trial.seed(seed["seed"]), episode_return=seed["episode_return"])
        if row is None:
            return None
        rows.append(row)
    if not rows or len({len(row) for row in rows}) > 1 or not rows[0]:
        return None
    return np.array(rows, dtype=np.float64)
