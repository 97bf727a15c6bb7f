"""How an agent is trained and evaluated: plain numbers, checked without a library of agents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from abx_amr.errors import InputError, cure


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop when `patience` evaluations in a row beat the best mean by no more than `min_delta`.

    Attributes:
        enabled: Whether training may end early.
        patience: Evaluations in a row without improvement after which it ends, at least 1.
        min_delta: Gain in mean return that counts as an improvement, >= 0.
    """

    enabled: bool = False
    patience: int = 5
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise InputError(
                f"training.early_stopping.patience must be at least 1, got {self.patience}"
            )
        if self.min_delta < 0:
            raise InputError(
                f"training.early_stopping.min_delta must not be negative, got {self.min_delta}"
            )


@dataclass(frozen=True, kw_only=True)
class VecNormalizeSettings:
    """SB3's VecNormalize: running normalisation of observations and rewards.

    Attributes:
        enabled: Whether the agent learns behind it.
        norm_obs: Whether observations are normalised by their running mean and variance.
        norm_reward: Whether rewards are divided by the running deviation of discounted returns.
        clip_obs: Normalised observations are clipped to [-clip_obs, clip_obs].
        clip_reward: Normalised rewards are clipped to [-clip_reward, clip_reward].
    """

    enabled: bool = False
    norm_obs: bool = True
    norm_reward: bool = True
    clip_obs: float = 10.0
    clip_reward: float = 10.0


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How an agent is trained and evaluated; the keys of conf/training/default.yaml."""

    seed: int
    seed_batched: bool
    total_num_training_episodes: int
    eval_freq_every_n_episodes: int
    save_freq_every_n_episodes: int
    num_eval_episodes: int
    evaluation_seed: int
    n_envs: int
    torch_threads: int
    seeds: Sequence[int] | None = None
    additional_episodes: int | None = None
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    vec_normalize: VecNormalizeSettings = field(default_factory=VecNormalizeSettings)

    def __post_init__(self) -> None:
        for name in (
            "total_num_training_episodes",
            "eval_freq_every_n_episodes",
            "save_freq_every_n_episodes",
            "num_eval_episodes",
            "n_envs",
            "torch_threads",
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(
                    f"training.{name} must be a whole number of at least 1, got {value!r}"
                    f"{cure(value)}"
                )
        for name in ("seed", "evaluation_seed"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(
                    f"training.{name} must be a whole number of at least 0, got {value!r}"
                    f"{cure(value)}"
                )
        if not isinstance(self.seed_batched, bool):
            raise InputError(
                f"training.seed_batched must be true or false, got {self.seed_batched!r}"
            )
        _check_seeds(self.seeds)
        more = self.additional_episodes
        if more is not None and (type(more) is not int or more < 1):
            raise InputError(
                f"training.additional_episodes must be a whole number of at least 1, got {more!r}"
            )


def transitions_of(episodes: int, steps: int, n_envs: int) -> int:
    """Return the transitions of episodes of so many steps, in whole steps of all environments.

    >>> transitions_of(10, 100, 8)
    1000
    >>> transitions_of(1, 100, 8)
    104
    """
    return math.ceil(episodes * steps / n_envs) * n_envs


def _check_seeds(seeds: Any) -> None:
    if seeds is None:
        return
    is_list = isinstance(seeds, Sequence) and not isinstance(seeds, str) and len(seeds) > 0
    if not is_list or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise InputError(
            f"training.seeds must list whole numbers of at least 0, such as [1,2,3], got {seeds}"
        )
    if len(set(seeds)) < len(seeds):
        raise InputError(f"training.seeds must name each seed once, got {list(seeds)}")
