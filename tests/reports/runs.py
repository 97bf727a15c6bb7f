"""Folders of runs and plans written without a training, names as hostile as they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from abx_amr.host.atomic_files import write_json
from abx_amr.runs.folder import RunFolder

COUNTS = (
    *("benefits", "failures", "adverse_events", "recoveries"),
    *("treated_infected_sensitive", "treated_infected_resistant", "treated_not_infected"),
    *("untreated_infected", "untreated_not_infected"),
)
RULE = {
    "name": "amr_threshold, best (0.004)",
    "overrides": ["agent_algorithm=amr_threshold", "agent_algorithm.threshold=0.004"],
    "mean_return": -79.04,
    "difference": {"mean": 24.76, "interval_95": [22.1, 27.4], "episodes": 100},
    "verdict": "better",
    "candidates": {"never": -281.75, "greedy": -109.88, "amr_threshold, best (0.004)": -79.04},
}
GAP = {
    "total": 2.45,
    "reference": "optimum",
    "sees_time": True,
    "parts": [
        {"name": "unseen_time", "value": 0.0, "why_missing": None, "from": -51.83, "to": -51.83},
        {"name": "discount", "value": None, "why_missing": "no discount", "from": None, "to": None},
        {"name": "partial_observation", "value": 0.4, "why_missing": None}
        | {"from": -51.83, "to": -52.23},
        {"name": "learning", "value": 2.05, "why_missing": None, "from": -52.23, "to": -54.28},
    ],
    "references": {"optimum": -51.83, "best_stationary": -60.2, "never": -281.75},
}
AGREEMENT = {
    "share_of_states": 0.87,
    "regret": 0.004,
    "by_level": [
        {"antibiotic": "A", "level_low": 0.0, "level_high": 0.1}
        | {"share_of_states_visited": 0.6, "regret": 0.001, "agrees": 0.95}
    ],
    "note": None,
}
PROVENANCE = {
    "command": "abx-train experiment=paper_two run_name=first",
    "started": "2026-11-28T19:00:00+00:00",
    "seeds": {"training": 42, "evaluation": 0},
    "versions": {"python": "3.11.7", "abx-amr": "0.1.0", "torch": "2.13.0"},
    "host": {"platform": "Linux"},
    "git": {"commit": "26aabb0f26aabb0f26aabb0f26aabb0f26aabb0f", "has_local_changes": True},
    "choices": {"experiment": "paper_two", "agent_algorithm": "ppo"},
}


def write_run(
    results_dir: Path,
    *,
    name: str = "first",
    antibiotics: Sequence[str] = ("A", "B"),
    summary: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] = PROVENANCE,
    config: Mapping[str, Any] | None = None,
    n_steps: int = 40,
    n_episodes: int = 4,
) -> RunFolder:
    """Write what abx-train leaves of a run, with what its figures are drawn from."""
    path = results_dir / f"{name}_20261128_190000"
    path.mkdir(parents=True)
    folder = RunFolder(path)
    folder.write_config(config or {"agent_algorithm": {"_target_": "stable_baselines3.PPO"}})
    folder.write_overrides([])
    folder.write_provenance(provenance)
    draws = np.random.default_rng(0)
    for transitions, shift in ((100, -90.0), (200, -54.0)):
        columns: dict[str, Any] = {
            "episode": np.arange(n_episodes),
            "episode_return": shift + draws.normal(size=n_episodes),
            "individual_return": shift + draws.normal(size=n_episodes),
            "community_return": draws.normal(size=n_episodes),
        }
        columns |= {count: draws.integers(10, 90, n_episodes) for count in COUNTS}
        for antibiotic in antibiotics:
            columns[f"prescriptions_{antibiotic}"] = draws.integers(10, 90, n_episodes)
            for level in ("mean_true_amr", "mean_visible_amr", "final_true_amr"):
                columns[f"{level}_{antibiotic}"] = draws.random(n_episodes)
        folder.append_evaluation(transitions, columns)
    folder.write_drawn("steps", _steps(antibiotics, n_episodes, n_steps, draws))
    folder.write_summary(
        {
            "run_name": name,
            "algorithm": "stable_baselines3.ppo.ppo.PPO",
            "seed": 42,
            "evaluation_seed": 0,
            "evaluation_episodes": n_episodes,
            "mean_return": -54.28,
            "std_return": 13.9,
            "iqm_return": -53.9,
            "mean_return_interval_95": [-56.2, -52.39],
            "optimality_gap": 2.45,
            "share_of_range": 0.989,
            "optimum": -51.83,
            "optimum_note": None,
            "transitions": 200,
            "updates": 3,
            "tuned_values": {"agent_algorithm.gamma": 0.99},
            "effective_values": {"agent_algorithm.gamma": 0.99},
            "best_return": -54.0,
            "stopped_early": False,
            "training_seconds": 12.0,
            **(summary or {}),
        }
    )
    return folder


def _steps(
    antibiotics: Sequence[str], n_episodes: int, n_steps: int, draws: np.random.Generator
) -> pd.DataFrame:
    rows = n_episodes * n_steps
    table: dict[str, Any] = {
        "episode": np.repeat(np.arange(n_episodes), n_steps),
        "step": np.tile(np.arange(1, n_steps + 1), n_episodes),
        "reward": draws.normal(size=rows),
        "individual": draws.normal(size=rows),
        "community": draws.normal(size=rows),
        **{count: draws.integers(0, 3, rows) for count in COUNTS},
    }
    for antibiotic in antibiotics:
        table[f"prescriptions_{antibiotic}"] = draws.integers(0, 2, rows)
        for level in ("true_amr", "visible_amr", "effective_doses", "delta_visible_amr"):
            table[f"{level}_{antibiotic}"] = draws.random(rows)
    return pd.DataFrame(table)


def write_plan(results_dir: Path, *, clinic: str = "paper_two") -> Path:
    """Write what abx-plan leaves of an exact plan."""
    folder = results_dir / f"{clinic}_plan_20261128_190100"
    folder.mkdir(parents=True)
    policies = [
        {"name": name, "kind": kind, "value": value, "standard_error": error}
        | {"individual": value, "mean_amr": amr / 2, "final_amr": amr}
        | {"sees_time": kind == "agent"}
        | {"optimality_gap": -51.83 - value, "share_of_range": 1 + (value + 51.83) / 229.92}
        for name, kind, value, error, amr in (
            ("never", "rule", -281.75, 0.0, 0.0),
            ("greedy", "rule", -109.88, 0.0, 0.24),
            ("amr_threshold, best (0.004)", "rule", -79.04, 0.0, 0.01),
            ("first", "agent", -54.28, 1.0, 0.4),
        )
    ]
    write_json(
        folder / "plan.json",
        {
            "clinic": clinic,
            "max_time_steps": 500,
            "configuration": {
                "environment": {"num_patients_per_time_step": 10, "max_time_steps": 500},
                "antibiotics": {"drugs": {"A": {}, "B": {}}},
            },
            "optimum": {"lower": -51.83, "upper": -51.83, "is_exact": True, "caveats": []}
            | {"method": "dynamic programme over the pressure lattice", "seconds": 1.5}
            | {"programme": "398 x 794 cells", "confidence": None, "shortfall": ""},
            "never": -281.75,
            "policies": policies,
            "front": [
                {"lambda_weight": 0.0, "individual": -51.83, "mean_amr": 0.2, "final_amr": 0.42},
                {"lambda_weight": 1.0, "individual": -281.75, "mean_amr": 0.0, "final_amr": 0.0},
            ],
            "information": [{"name": "all", "value": -51.83, "policy": "optimal"}],
            "audit": {
                "rows": [
                    {"gamma": 0.99, "equilibrium_amr": 0.2, "episode_return": -60.0}
                    | {"loss": 8.2, "share_of_range": 0.96}
                ],
                "spend_down": 1.2,
                "agent_gamma": 0.99,
                "warning": None,
            },
        },
    )
    steps = np.arange(41)
    given = np.where(steps > 0, (steps % 3 == 0) * 1.0, np.nan)
    table = pd.DataFrame({"step": steps, "patients": 1, "given_A": given, "level_A": steps / 90})
    file = folder / "figures" / "data" / "optimal_episode.csv"
    file.parent.mkdir(parents=True)
    table.to_csv(file, index=False)
    return folder
