"""Train and tune reinforcement-learning antibiotic prescribers in a simulated clinic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from abx_amr.gymnasium_ids import register_with_gymnasium

if TYPE_CHECKING:
    from abx_amr.api import (
        compose,
        evaluate,
        expected_reward,
        gather,
        load_policy,
        make_env,
        make_model,
        make_vec_env,
        plan,
        train,
        tune,
    )

__all__ = [
    "compose",
    "evaluate",
    "expected_reward",
    "gather",
    "load_policy",
    "make_env",
    "make_model",
    "make_vec_env",
    "plan",
    "train",
    "tune",
]


def __dir__() -> list[str]:
    """Return the interface, so that a notebook completes it."""
    return [*__all__]


def __getattr__(name: str) -> Any:
    """Import the interface when it is first used: the commands start faster without it."""
    if name in __all__:
        from abx_amr import api

        return getattr(api, name)
    raise AttributeError(f"module 'abx_amr' has no attribute '{name}'")


register_with_gymnasium()
