"""Which settings a study was made with: what counts, its digest, how two of them differ."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from abx_amr.host.atomic_files import jsonable
from abx_amr.host.former_names import first_name, present_name
from abx_amr.studies.space import describe, flatten

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ABSENT = "(absent)"

FREE_SECTIONS = (
    *("run_name", "study_name", "results_dir", "optimization_dir", "storage", "hydra", "tracker"),
    *(
        "overwrite_existing_study",
        "skip_if_exists",
        "overwrite",
        "best_params_from",
        "trajectories",
        "figures",
        "report",
    ),
    *(
        "training.seed",
        "training.seeds",
        "training.total_num_training_episodes",
        "training.early_stopping",
    ),
    *("training.additional_episodes", "training.torch_threads"),
    *("agent_algorithm.default_training_episodes", "agent_algorithm.default_evaluation_every"),
    *("tuning.n_trials", "tuning.n_workers", "tuning.n_trials_per_worker", "tuning.timeout"),
    *("tuning.wait", "tuning.parallel", "tuning.final", "tuning.max_retry", "tuning.max_failures"),
    *("tuning.enqueue_default",),
    *("tuning.heartbeat_interval", "tuning.checkpoint_interval"),
    *("tuning.worker", "tuning.local_workers", "tuning.job"),
)
#: Settings of a later release: their default is what a study without them was made with.
LATER_DEFAULTS: Mapping[str, Any] = {
    "environment.include_time_remaining": False,
    "tuning.enqueue": [],
    "tuning.race": False,
    "agent_algorithm.risk": None,
    "agent_algorithm.normalize_reward": False,
    "agent_algorithm.exploring_starts": 0.0,
    "agent_algorithm.exploring_doses": 60,
    "agent_algorithm.final_gamma": None,
    "agent_algorithm.final_ent_coef": None,
    "agent_algorithm.final_learning_rate": None,
    "agent_algorithm.clip_gradients_separately": False,
    "agent_algorithm.normalize_value_targets": False,
    "agent_algorithm.staggered_starts": False,
    "agent_algorithm.sees_log_levels": False,
    "agent_algorithm.patients_share_network": False,
}
FREE_FREQUENCIES = re.compile(r"training\.(save|eval)_(freq|every)\w*")
#: Before the path of a value of a configuration that a study may choose.
_OF_A_MEMBER = re.compile(r"tuning\.members\.\w+\.[^.]+\.")


@dataclass(frozen=True)
class Fingerprint:
    """The settings that make trials comparable: path -> value."""

    values: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The same for the same settings, in whatever order they were written.

        Seeds that have ended are known by it: it is taken over the names that classes had in the
        first release, so that a study of then believes what it has finished.
        """
        text = json.dumps(_renamed(self.values, first_name), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def difference(self, other: Fingerprint) -> list[tuple[str, Any, Any]]:
        """Return (path, value here, value there) for every path on which the two differ.

        What no longer counts is passed over in a fingerprint that was made when it did; a class
        that has moved since is the same.
        """
        here, there = _renamed(self.values, present_name), _renamed(other.values, present_name)
        paths = sorted(path for path in set(here) | set(there) if not is_free(path))
        pairs = [(path, here.get(path, ABSENT), there.get(path, ABSENT)) for path in paths]
        return [(path, old, new) for path, old, new in pairs if not _same(old, new)]


def fingerprint(
    configuration: Mapping[str, Any], *, space: Mapping[str, BaseDistribution]
) -> Fingerprint:
    """Return what counts of a plain resolved configuration; the space in its one spelling.

    Not counted: names and places, the storage, budgets and workers, how often a run saves and
    evaluates, and training.seed, training length (also as an agent's default) and early stopping,
    which trials do not use.
    A later setting counts where it is not at its default.
    """
    leaves = {
        path: jsonable(value)
        for path, value in flatten(configuration).items()
        if not is_free(path)
        and not _lies_in(path, "tuning.search_space")
        and not _is_later_default(path, value)
    }
    for path, fields in describe(space).items():
        leaves[f"tuning.search_space.{path}"] = fields
    return Fingerprint(leaves)


def is_free(path: str) -> bool:
    """Say whether a setting may change between the runs of one study.

    >>> is_free("tuning.n_trials"), is_free("training.n_envs")
    (True, False)
    >>> is_free("training.save_freq_every_n_episodes")
    True
    >>> is_free("tuning.members.agent_algorithm.ppo.training.seed")
    True
    """
    path = _OF_A_MEMBER.sub("", path, count=1)
    if FREE_FREQUENCIES.fullmatch(path):
        return True
    return any(_lies_in(path, section) for section in FREE_SECTIONS)


def _is_later_default(path: str, value: Any) -> bool:
    own = _OF_A_MEMBER.sub("", path, count=1)
    return own in LATER_DEFAULTS and _same(LATER_DEFAULTS[own], value)


def show_difference(difference: list[tuple[str, Any, Any]]) -> str:
    """Return 'path old -> new' for each path, separated by commas."""
    return ", ".join(f"{path} {_show(old)} -> {_show(new)}" for path, old, new in difference)


def _lies_in(path: str, section: str) -> bool:
    return path == section or path.startswith(f"{section}.")


def _renamed(value: Any, name: Callable[[str], str]) -> Any:
    """Return plain values with every text that names a class under another name."""
    if isinstance(value, str):
        return name(value)
    if isinstance(value, Mapping):
        return {key: _renamed(item, name) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(item, name) for item in value]
    return value


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    return bool(first == second)


def _show(value: Any) -> str:
    return value if value == ABSENT else json.dumps(value)
