"""What is said of a study's best trial: its gap's parts, and whether it beats the best rule.

Shapes: S seeds, N evaluation episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from abx_amr.tuning.study import TuningStudy


def limits_of_trial(study: TuningStudy, best: Mapping[str, Any]) -> dict[str, Any]:
    """Return `gap` and `best_rule` of the best trial, as a run's summary has them.

    What a trial leaves behind are its seeds' returns: its treatments are not known, and so neither
    is where it agrees with the optimum.

    Args:
        study: The study.
        best: What its summary says of the trial: number, params, mean_reward, seeds.
    """
    from abx_amr.configuration.values import with_values
    from abx_amr.planning.best_rule import RuleSearch, compare_with_best
    from abx_amr.planning.gap import gap_record
    from abx_amr.runs.optimality import limits_of, prescribing_of

    model = study.points.model
    config = with_values(study.config, best["params"])
    rules = RuleSearch(model)
    limits = limits_of(model, prescribing_of(config, model, None), rules)
    facts: dict[str, Any] = {
        "gap": gap_record(limits, best["mean_reward"]),
        "agreement": None,
        "why_no_agreement": "a trial keeps its returns, not its treatments",
    }
    returns = _returns(study, best)
    seed = int(config["training"]["evaluation_seed"])
    facts["best_rule"] = None
    if returns is not None:
        facts["best_rule"] = compare_with_best(returns.mean(axis=0), rules, seed=seed)
    return facts


def _returns(study: TuningStudy, best: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Return the returns of a trial's seeds, (S, N), None where they do not lie in its folder."""
    from abx_amr.errors import InputError
    from abx_amr.host.plain_files import read_json
    from abx_amr.studies.folder import SeedFolder

    trial = study.settings.files.trial(best["number"])
    rows = []
    for seed in best["seeds"]:
        if seed["episode_return"] is None:
            continue
        folder: SeedFolder = trial.seed(seed["seed"])
        try:
            result = read_json(folder.result_file)
        except InputError:
            return None
        row = result.get("evaluation_returns") or []
        if result.get("episode_return") != seed["episode_return"]:
            return None
        rows.append(row)
    if not rows or len({len(row) for row in rows}) > 1 or not rows[0]:
        return None
    return np.array(rows, dtype=np.float64)
