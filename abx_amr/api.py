"""The door for notebooks, tests and other tools: overrides in, objects out.

Overrides are the strings of the command line, for example "experiment=paper_two".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr import checks
from abx_amr.configuration import composing
from abx_amr.configuration.clinic import build_clinic
from abx_amr.errors import InputError
from abx_amr.runs.loading import load_policy

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.comparison.service import Comparison
    from abx_amr.envs.single_env import ClinicEnv
    from abx_amr.envs.vec_env import ClinicVecEnv
    from abx_amr.planning.service import Plan
    from abx_amr.runs.finished import EvaluateResult, TrainResult
    from abx_amr.runs.listening import RunListener
    from abx_amr.simulator.model import ClinicModel
    from abx_amr.tuning.listening import StudyListener
    from abx_amr.tuning.result import TuneResult

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

    Raises:
        InputError: n_envs is not at least 1, or the overrides make no clinic.
    """
    from abx_amr.envs.vec_env import ClinicVecEnv

    checks.whole_number("n_envs", n_envs, 1)
    named = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    return ClinicVecEnv(make_model(*overrides), n_envs, seed=named)


def train(
    *overrides: str | Mapping[str, Any] | DictConfig,
    progress: bool | None = None,
    listener: RunListener | None = None,
) -> TrainResult:
    """Train as abx-train does with these overrides; return the finished runs.

    Args:
        overrides: the strings of the command line; or one composed configuration, which names its
            run itself (run_name).
        progress: whether a progress bar is shown; None: on a terminal and in a notebook.
        listener: who is told what happens, in place of the bar.

    Raises:
        InputError: what the user asked for cannot be trained.
        KeyboardInterrupt: the training was interrupted; its argument says how it goes on.
    """
    from abx_amr.runs import train_service
    from abx_amr.runs.listening import BarListener

    plain, choices, text = _composed("train", overrides)
    listening = listener or BarListener(progress)
    return train_service.train(plain, choices=choices, overrides=text, listener=listening)


def evaluate(*overrides: str | Mapping[str, Any] | DictConfig) -> EvaluateResult:
    """Evaluate as abx-evaluate does with these overrides; return what was played.

    `evaluate("run=mine", "against=greedy")` plays the newest run called mine, and a rule in the
    same episodes.

    Args:
        overrides: the strings of the command line; or one composed configuration.

    Raises:
        InputError: what the user asked for cannot be played.
    """
    from abx_amr.runs import evaluate_service

    plain, choices, text = _composed("evaluate", overrides)
    return evaluate_service.evaluate(plain, choices=choices, overrides=text)


def tune(
    *overrides: str | Mapping[str, Any] | DictConfig,
    progress: bool | None = None,
    listener: StudyListener | None = None,
) -> TuneResult:
    """Search for hyper-parameters as abx-tune does with these overrides, in this process.

    The same call again goes on with an interrupted study, and so does abx-tune with the same
    settings: `tune("+tuning=ppo_default", "tuning.n_trials=20")` is
    `abx-tune -m +tuning=ppo_default tuning.n_trials=20`.

    Args:
        overrides: the strings of the command line, sweeps among them; or one composed
            configuration, such as a study's full_agent_env_config.yaml and tuning_config.yaml hold
            together.
        progress: whether the study is shown; None: on a terminal and in a notebook.
        listener: who is told what happens, in place of what is shown.

    Raises:
        InputError: what the user asked for cannot be searched.
        KeyboardInterrupt: the search was interrupted; the same call goes on.
    """
    from omegaconf import OmegaConf

    from abx_amr.tuning import in_process
    from abx_amr.tuning.listening import StudyListener

    texts = [one for one in overrides if isinstance(one, str)]
    if len(texts) == len(overrides):
        config = in_process.composed_study(*texts)
    elif len(overrides) == 1:
        config = OmegaConf.create(cast("DictConfig", overrides[0]))
    else:
        raise InputError("give the strings of a command line, or one configuration alone")
    shown = StudyListener() if progress is False else in_process.listener_of_this_place()
    return in_process.tune_here(config, listener or shown)


def _composed(
    config_name: str, given: Sequence[str | Mapping[str, Any] | DictConfig]
) -> tuple[dict[str, Any], Mapping[str, str], list[str]]:
    """Return what a command would be handed: resolved values, choices, overrides."""
    from omegaconf import OmegaConf

    from abx_amr.configuration.overrides import check_together

    overrides = [one for one in given if isinstance(one, str)]
    if len(overrides) == len(given):
        check_together(overrides)
        for override in filter(composing.is_search_override, overrides):
            raise InputError(f"'{override}' sweeps over values: call once for each of them")
        composition = composing.compose(config_name, overrides)
        places = composing.places_in_project(composition.config, overrides)
        if places:
            composition = composing.compose(config_name, [*overrides, *places])
        return composition.plain, composition.choices, overrides
    if len(given) > 1:
        raise InputError("give the strings of a command line, or one configuration alone")
    return composing.resolved(OmegaConf.create(cast("DictConfig", given[0]))), {}, []


def plan(*overrides: str | Mapping[str, Any] | DictConfig) -> Plan:
    """Return how well a clinic can be treated at all, and how far rules and agents are from it.

    What abx-plan with these overrides prints, as an object; an interrupt returns what was found
    until then.

    Args:
        overrides: the strings of the command line; or one composed configuration.

    Raises:
        InputError: what the user asked for cannot be planned.
    """
    from abx_amr.comparison.planned import planned

    plain, choices, _ = _composed("plan", overrides)
    return planned(plain, name=choices.get("experiment", "clinic"))


def gather(*overrides: str) -> Comparison:
    """Return many runs in one table, compared as abx-gather does with these overrides.

    Nothing is written: `gather("runs=[paper_two_*]").conditions` is a table.

    Args:
        overrides: the strings of the command line.

    Raises:
        InputError: what the user asked for cannot be gathered.
    """
    from abx_amr.comparison import service

    plain, _, _ = _composed("gather", overrides)
    return service.gather(service.checked(plain))


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
