"""A study with a search that is computed, not trained: real storage, real folder, no agent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from abx_amr.host.atomic_files import write_json, write_text
from abx_amr.host.locations import packaged
from abx_amr.studies.finishing import finish_study
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import SqliteStorage
from abx_amr.studies.stored import read_study
from abx_amr.studies.tables import seeds_table
from abx_amr.studies.worker import run_worker
from abx_amr.tuning.seed_files import write_seed_result

SPACE = {
    "learning_rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
    "n_steps": {"type": "categorical", "choices": [64, 128, 256, 512]},
    "gamma": {"type": "float", "low": 0.9, "high": 0.999},
    "ent_coef": {"type": "float", "low": 1e-8, "high": 0.1, "log": True},
    "clip_range": {"type": "categorical", "choices": [0.1, 0.2, 0.3]},
    "n_epochs": {"type": "int", "low": 2, "high": 20},
}
GAP = {
    "optimality_gap": 13.53,
    "share_of_range": 0.941,
    "optimum": -51.83,
    "optimum_note": None,
}


def searched(
    params: Mapping[str, Any], seeds: Sequence[int], folder: Path | None
) -> list[SeedOutcome]:
    """Return what the seeds of a point give: a valley in the learning rate, noise by the seed."""
    rate = math.log10(params["agent_algorithm.learning_rate"])
    base = -60 - 12 * (rate + 3.4) ** 2 - 300 * (1 - params["agent_algorithm.gamma"])
    outcomes = []
    for seed in seeds:
        noise = 5 * math.sin(7919 * seed + 1000 * rate)
        failure = "ValueError: not finite" if seed % 3 == 1 and rate > -2.3 else None
        outcome = SeedOutcome(
            seed=seed,
            episode_return=None if failure else base + noise,
            failure=failure,
            effective_values={} if failure else dict(params),
            seconds=3.0,
        )
        outcomes.append(outcome)
        if folder is not None:
            write_seed_result(
                folder,
                outcome={
                    "seed": seed,
                    "episode_return": outcome.episode_return,
                    "failure": failure,
                    "effective_values": dict(outcome.effective_values),
                    "seconds": 3.0,
                },
                evaluation_returns=[],
            )
    return outcomes


def write_study(
    optimization_dir: Path,
    *,
    run_name: str = "first_study",
    n_trials: int = 12,
    n_seeds: int = 3,
    gap: Mapping[str, Any] = GAP,
    note: str = "",
) -> Path:
    """Search and finish a study; return its folder, which holds its storage too."""
    defaults = yaml.safe_load((packaged("conf") / "tuning/base.yaml").read_text(encoding="utf-8"))
    configuration = {
        "run_name": run_name,
        "study_name": run_name,
        "optimization_dir": str(optimization_dir),
        "results_dir": "results",
        "agent_algorithm": {
            "_target_": "stable_baselines3.PPO",
            "learning_rate": 3e-4,
            **dict.fromkeys([*SPACE][1:], 1),
            "note": note,
        },
        "training": {"seed": 42, "n_envs": 8},
        "tuning": {
            **defaults,
            "final": False,
            "n_trials": n_trials,
            "n_seeds_per_trial": n_seeds,
            "truncated_episodes": 50,
            "sampler": "random",
            "search_space": SPACE,
        },
    }
    settings = StudySettings.from_configuration(configuration)
    storage = SqliteStorage(path=settings.folder / "optuna_study.db")
    prepare_study(settings, storage)
    run_worker(settings, storage, searched, lambda event: None, write_summary=lambda: None)
    finish_study(settings, storage, describe_best=lambda mean: gap)
    record = read_study(storage, run_name)
    write_text(settings.files.trials_file, seeds_table(record).to_csv(index=False))
    write_json(
        settings.files.provenance_file,
        {
            "command": f"abx-tune -m +tuning=ppo_default run_name={run_name}",
            "started": "2026-11-28T19:00:00+00:00",
            "seeds": {"first tuning": 1000},
            "versions": {"python": "3.11.7", "abx-amr": "0.1.0", "optuna": "5.0.0"},
            "git": {
                "commit": "26aabb0f26aabb0f26aabb0f26aabb0f26aabb0f",
                "has_local_changes": False,
            },
        },
    )
    return settings.folder
