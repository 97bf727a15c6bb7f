"""Run folders written without a training, for tables whose numbers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from abx_amr.configuration.composing import compose
from abx_amr.configuration.groups import chosen_groups
from abx_amr.runs.folder import RunFolder

START = datetime(2026, 1, 1)
_composed: dict[tuple[str, ...], Any] = {}


def write_run(
    results_dir: Path,
    *overrides: str,
    returns: Sequence[float],
    seed: int = 1,
    complete: bool = True,
    learned: bool = True,
    share: float | None = 0.5,
    minute: int = 0,
    name: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> RunFolder:
    """Write what abx-train leaves, with the episodes' returns given."""
    if overrides not in _composed:
        _composed[overrides] = compose("train", list(overrides))
    composition = _composed[overrides]
    config = {**composition.plain}
    config["training"] = {**config["training"], "seed": seed, "num_eval_episodes": len(returns)}
    choices = chosen_groups(composition.choices)
    run_name = name or f"{choices['experiment']}_{choices['agent_algorithm']}_seed{seed}"
    folder = RunFolder.create(results_dir, run_name, moment=START + timedelta(minutes=minute))
    folder.write_config(config)
    folder.write_overrides([*overrides, f"training.seed={seed}"])
    folder.write_provenance(
        {
            "choices": choices,
            "versions": {"abx-amr": "0.1.0"},
            "git": {"commit": "abc", "has_local_changes": False},
            **(more or {}),
        }
    )
    n = len(returns)
    folder.append_evaluation(
        100 if learned else 0,
        {
            "episode": np.arange(n),
            "episode_return": np.asarray(returns, dtype=float),
            "prescriptions_A": np.full(n, 3),
            "mean_true_amr_A": np.full(n, 0.25),
        },
    )
    if complete:
        folder.write_summary(
            {
                "run_name": run_name,
                "algorithm": config["agent_algorithm"]["_target_"],
                "seed": seed,
                "evaluation_seed": config["training"]["evaluation_seed"],
                "evaluation_episodes": n,
                "mean_return": float(np.mean(returns)),
                "std_return": 1.0,
                "iqm_return": float(np.mean(returns)),
                "optimality_gap": None if share is None else 1.0,
                "share_of_range": share,
                "optimum": None if share is None else 0.0,
                "transitions": 100 if learned else 0,
                "stopped_early": False,
            }
        )
    return folder
