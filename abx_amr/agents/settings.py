"""How an agent is trained and evaluated: plain numbers, checked without a library of agents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from abx_amr.checks import Count, Index, NotNegative, Positive, Seed, check_fields
from abx_amr.errors import InputError


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop when `patience` evaluations in a row beat the best mean by no more than `min_delta`.

    Attributes:
        enabled: Whether training may end early.
        patience: Evaluations in a row without improvement after which it ends, at least 1.
        min_delta: Gain in mean return that counts as an improvement, >= 0.
    """

    enabled: bool = False
    patience: Count = 5
    min_delta: NotNegative = 0.0

    def __post_init__(self) -> None:
        check_fields(self, key="training.early_stopping")


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
    clip_obs: Positive = 10.0
    clip_reward: Positive = 10.0

    def __post_init__(self) -> None:
        check_fields(self, key="training.vec_normalize")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How an agent is trained and evaluated; the keys of conf/training/default.yaml.

    `torch_threads` is None where it is left to who trains: torch takes one (`threads`), and what
    comes out the same to the bit with any number takes the processors that there are.
    """

    seed: Seed
    seed_batched: bool
    total_num_training_episodes: Count
    eval_freq_every_n_episodes: Count
    save_freq_every_n_episodes: Count
    num_eval_episodes: Count
    evaluation_seed: Index
    n_envs: Count
    torch_threads: Count | None
    seeds: Sequence[Seed] | None = None
    additional_episodes: Count | None = None
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)
    vec_normalize: VecNormalizeSettings = field(default_factory=VecNormalizeSettings)

    def __post_init__(self) -> None:
        check_fields(self, key="training")
        if self.seeds is not None and not self.seeds:
            raise InputError("training.seeds must list seeds, such as [1,2,3], got none")
        if self.seeds is not None and len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"training.seeds must name each seed once, got {list(self.seeds)}")

    @property
    def threads(self) -> int:
        """The threads of torch, and of what is not to be given all processors unasked."""
        return self.torch_threads or 1


def transitions_of(episodes: int, steps: int, n_envs: int) -> int:
    """Return the transitions of episodes of so many steps, in whole steps of all environments.

    >>> transitions_of(10, 100, 8)
    1000
    >>> transitions_of(1, 100, 8)
    104
    """
    return math.ceil(episodes * steps / n_envs) * n_envs
