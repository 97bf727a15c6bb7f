"""The door for notebooks, tests and other tools: overrides in, objects out.

Overrides are the strings of the command line, for example "experiment=paper_two".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.configuration import composing
from abx_amr.configuration.clinic import build_clinic
from abx_amr.errors import InputError
from abx_amr.runs.loading import load_policy

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.envs.single_env import ClinicEnv
    from abx_amr.envs.vec_env import ClinicVecEnv
    from abx_amr.planning.service import Plan
    from abx_amr.simulator.clinic import ClinicModel

__all__ = [
    "compose",
    "expected_reward",
    "load_policy",
    "make_env",
    "make_model",
    "make_vec_env",
    "plan",
]


def compose(*overrides: str) -> DictConfig:
    """Return the composed configuration of a training run.

    >>> compose("experiment=paper_two").environment.num_patients_per_time_step
    1
    """
    return composing.compose("train", overrides).config


def make_model(*overrides: str) -> ClinicModel:
    """Return the clinic that the overrides describe.

    >>> make_model("antibiotics=single").antibiotics
    ('A',)
    """
    return build_clinic(composing.resolved(compose(*overrides)))


def make_env(*overrides: str, seed: int | None = None) -> ClinicEnv:
    """Return the clinic as a gymnasium.Env; `info` is about the step just made."""
    from abx_amr.envs.single_env import ClinicEnv

    return ClinicEnv(make_model(*overrides), seed=seed)


def make_vec_env(n_envs: int, *overrides: str, seed: int | None = None) -> ClinicVecEnv:
    """Return `n_envs` clinics as one SB3 VecEnv; `last_step` is about the step just made.

    Args:
        n_envs: number of environments, stepped together.
        overrides: the strings of the command line.
        seed: names the random streams; None draws one.
    """
    from abx_amr.envs.vec_env import ClinicVecEnv

    named = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    return ClinicVecEnv(make_model(*overrides), n_envs, seed=named)


def plan(*overrides: str) -> Plan:
    """Return how well a clinic can be treated at all, and how far rules and agents are from it.

    What `abx-plan` prints, as an object; an interrupt returns what was found until then.
    """
    from abx_amr.comparison.planned import planned

    composition = composing.compose("plan", overrides)
    name = str(composition.choices["experiment"])
    return planned(composing.resolved(composition.config), name=name)


def expected_reward(
    config: Mapping[str, Any] | DictConfig,
    *,
    amr_level: ArrayLike,
    delta: ArrayLike = 0.0,
    **attributes: ArrayLike,
) -> NDArray[np.float64]:
    """Return the expected individual reward of every action for one patient, shape (..., K+1).

    The closed form of the model; the last entry is no treatment.

    Args:
        config: a composed configuration.
        amr_level: AMR level per antibiotic, shape (..., K).
        delta: marginal effect of the last dose on resistance, shape (..., K).
        attributes: true attributes by name, shapes that broadcast with (...); what is not given is
            neutral (multipliers 1, recovery 0). `prob_infected` must be given.

    Raises:
        InputError: an attribute is unknown or prob_infected is missing.
    """
    from abx_amr.errors import unknown
    from abx_amr.simulator.patients import ATTRIBUTES

    plain = config if isinstance(config, dict) else composing.resolved(cast("DictConfig", config))
    model = build_clinic(plain)
    for name in attributes:
        if name not in ATTRIBUTES:
            raise InputError(unknown("patient attribute", name, ATTRIBUTES))
    if "prob_infected" not in attributes:
        raise InputError("expected_reward needs prob_infected=...")
    levels = np.asarray(amr_level, dtype=np.float64)
    neutral = {"recovery_without_treatment_prob": 0.0}
    columns = np.broadcast_arrays(
        *(np.asarray(attributes.get(n, neutral.get(n, 1.0)), dtype=np.float64) for n in ATTRIBUTES),
        np.zeros(levels.shape[:-1]),
    )
    return model.reward.expected_reward(np.stack(columns[:-1], axis=-1), levels, delta)
