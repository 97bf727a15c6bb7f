"""What could tell runs apart: the values of their configurations, as text."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

#: Settings of a run that say nothing about what was trained.
_NO_SETTINGS = (
    *("run_name", "study_name", "results_dir", "optimization_dir", "skip_if_exists"),
    *(
        "figures",
        "report",
        "trajectories",
        "card",
        "storage",
        "resume_from",
        "run",
        "against",
        "evaluation",
        "wait",
    ),
    *("training.seed", "training.seeds", "training.torch_threads", "training.save_freq"),
    *("training.evaluation_seed", "training.num_eval_episodes", "training.additional_episodes"),
    *("agent_algorithm.default_training_episodes", "agent_algorithm.default_evaluation_every"),
)
#: Values that say no more than their absence, in runs of earlier releases too.
_SAYS_NOTHING = {
    "best_params_from": "null",
    "environment.include_time_remaining": "false",
    "agent_algorithm.risk": "null",
    "agent_algorithm.normalize_reward": "false",
    "agent_algorithm.exploring_starts": "0.0",
    "agent_algorithm.exploring_doses": "60",
    "agent_algorithm.final_gamma": "null",
    "agent_algorithm.final_ent_coef": "null",
    "agent_algorithm.final_learning_rate": "null",
    "agent_algorithm.clip_gradients_separately": "false",
    "agent_algorithm.normalize_value_targets": "false",
    "agent_algorithm.staggered_starts": "false",
    "agent_algorithm.sees_log_levels": "false",
    "agent_algorithm.patients_share_network": "false",
}
#: What an agent sees of a clinic beside its patients: the same clinic, patients and luck all the
#: same, so that agents which differ in it are conditions. Rules look at none of it.
SEEN = (
    "environment.include_time_remaining",
    "environment.include_previous_action",
    "environment.include_steps_since_amr_update",
    "environment.temporal_windows",
)


class Settings:
    """Writes out what configurations say; a section that several of them share is written once."""

    def __init__(self) -> None:
        """Know no section yet."""
        self._known: dict[tuple[str, int], tuple[object, dict[str, str]]] = {}

    def of(self, config: Mapping[str, Any], *, learned: bool) -> dict[str, str]:
        """Return path -> value, as text, of everything that could tell a run from another.

        Args:
            config: The resolved configuration of the run.
            learned: Whether it is an agent's: how a rule would have been trained is no matter.
        """
        told: dict[str, str] = {}
        for key, value in config.items():
            if isinstance(value, Mapping) and value:
                told |= self._of_section(f"{key}.", value)
            else:
                told |= _told({str(key): value})
        if learned:
            return told
        sections = ("training", "tuning")
        return {p: v for p, v in told.items() if p.split(".")[0] not in sections and p not in SEEN}

    def _of_section(self, above: str, section: Mapping[str, Any]) -> dict[str, str]:
        key = (above, id(section))
        known = self._known.get(key)
        if known is None:  # the section is kept, so that no other has its id
            known = self._known[key] = section, _told(leaves_of(section, above))
        return known[1]


def _told(leaves: Mapping[str, Any]) -> dict[str, str]:
    texts = {path: text_of(value) for path, value in leaves.items() if _is_setting(path)}
    return {path: value for path, value in texts.items() if _SAYS_NOTHING.get(path) != value}


@functools.lru_cache(maxsize=8192)
def _is_setting(path: str) -> bool:
    """Say whether a path could tell runs apart; every run holds the same few hundred."""
    return not any(path == no or path.startswith((f"{no}.", f"{no}_")) for no in _NO_SETTINGS)


def leaves_of(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return path -> value of all that lies in a configuration; an empty section is a value."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        path = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            found |= leaves_of(value, f"{path}.")
        else:
            found[path] = value
    return found


def text_of(value: Any) -> str:
    """Return a value as text; 1 and 1.0 are the same, text has no quotes."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
