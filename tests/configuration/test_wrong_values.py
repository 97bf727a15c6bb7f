"""Every key of conf/ with a wrong value of each kind: refused in one line, never read otherwise."""

import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch

from abx_amr.checks import LARGEST
from abx_amr.comparison.service import checked as checked_gather
from abx_amr.configuration.agent import build_prescriber
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.storage import build_storage
from abx_amr.configuration.training import build_training
from abx_amr.errors import InputError
from abx_amr.planning.settings import PlanSettings
from abx_amr.runs.evaluate_service import _asked as checked_evaluation
from abx_amr.simulator.model import ClinicModel
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.space import flatten

WRONG: dict[str, Any] = {
    "text": "banana",
    "no": "no",
    "a number in quotes": "1",
    "list": [1],
    "list of anything": ["x", None],
    "empty list": [],
    "section": {"a": 1},
    "null": None,
    "true": True,
    "nan": math.nan,
    "infinity": math.inf,
    "1e400": float("1e400"),
    "400 digits": 10**400,
    "negative": -7,
    "fraction": 0.5,
    "octal-looking": "0100",
}
CLINIC = ("antibiotics", "amr_dynamics", "environment", "patient_generator", "reward_calculator")
AGENT = ("agent_algorithm", "hrl", "option_library")
SMALL = ["environment.max_time_steps=8", "training.n_envs=2"]

#: Last part of a path -> the kinds that are right there beside those of its own type.
RIGHT_TOO: dict[str, set[str]] = {
    **{key: {"list", "empty list", "null"} for key in ("seeds", "net_arch", "value_net_arch")},
    "temporal_windows": {"list"},
    "cross_resistance": {"null"},
    "duration": {"infinity", "1e400"},
    **{
        key: {"fraction"}
        for key in ("one_minus_gamma", "target_kl", "clip_range_vf", "option_gamma")
    },
    **{key: {"fraction"} for key in ("timeout", "checkpoint_interval", "heartbeat_interval")},
    **{
        key: {"text", "no", "a number in quotes", "octal-looking"}
        for key in ("host", "user", "database", "url", "against")
    },
    **{
        key: {"text", "no", "a number in quotes", "octal-looking", "empty list"}
        for key in ("runs", "by")
    },
    "lambda_weights": {"list", "empty list"},
    "choices": {"list", "list of anything"},  # tried on the agent before the first trial
    **{key: {"null"} for key in ("log", "log_below_one", "step", "pruner")},
    **{key: {"fraction", "null"} for key in ("final_gamma", "final_ent_coef", "risk")},
    "final_learning_rate": {"fraction", "null"},
    **{key: {"null"} for key in ("run_name", "study_name", "best_params_from")},
    "prescribe_*": {"null"},
    "prescribe_{antibiotic}": {"null"},
    "sampler_options": {"null"},
    "search_space": {"null"},
}


def with_value(config: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed: dict[str, Any] = deepcopy(dict(config))
    *parents, last = path.split(".")
    node = changed
    for parent in parents:
        node = node[parent]
    node[last] = value
    return changed


def is_right(path: str, before: Any, kind: str, value: Any) -> bool:
    """Say whether a value that was accepted is of the kind that stands in conf/."""
    if kind in RIGHT_TOO.get(path.rpartition(".")[2], ()):
        return True
    if isinstance(before, bool) or isinstance(value, bool):
        return isinstance(before, bool) and isinstance(value, bool)
    if isinstance(before, int):
        return isinstance(value, int) and abs(value) <= LARGEST
    if isinstance(before, float):
        return isinstance(value, int | float) and abs(value) < 1e300
    return isinstance(before, str) and isinstance(value, str)


@cache
def small_clinic() -> ClinicModel:
    return build_clinic(compose("train", SMALL).plain)


def build_agent(config: Mapping[str, Any]) -> None:
    prescriber: Any = build_prescriber(config)
    if prescriber.learns:
        prescriber.check_clinic(small_clinic())
    else:
        prescriber.policy(small_clinic())


#: What is composed, the sections that are walked, what reads them.
Reader = Callable[[Mapping[str, Any]], Any]
PLACES: dict[str, tuple[str, list[str], tuple[str, ...], Reader]] = {
    "clinic": ("train", ["agent_algorithm=never"], CLINIC, build_clinic),
    "mixture": (
        "train",
        ["patient_generator=mixed_risk", "agent_algorithm=never"],
        ("patient_generator",),
        build_clinic,
    ),
    "training": ("train", [], ("training",), build_training),
    **{
        agent: ("train", [f"agent_algorithm={agent}", *SMALL], AGENT, build_agent)
        for agent in (
            *("ppo", "a2c", "recurrent_ppo", "policy_search", "ppo_linear"),
            *("amr_threshold", "risk_stratified", "cycling"),
        )
    },
    "options": (
        "train",
        ["agent_algorithm=hrl_ppo", *SMALL],
        ("hrl", "option_library"),
        build_agent,
    ),
    "heuristic options": (
        "train",
        ["agent_algorithm=hrl_ppo", "option_library=heuristic", *SMALL],
        ("hrl", "option_library"),
        build_agent,
    ),
    "study": (
        "tune",
        ["+tuning=ppo_default", "run_name=x"],
        ("tuning", "run_name", "study_name", "overwrite_existing_study"),
        StudySettings.from_configuration,
    ),
    **{
        f"storage {name}": (
            "tune",
            ["+tuning=ppo_default", "run_name=x", f"storage={name}"],
            ("storage",),
            build_storage,
        )
        for name in ("sqlite", "journal", "postgres", "url")
    },
    "plan": ("plan", [], ("plan",), lambda config: PlanSettings(**config["plan"])),
    "evaluation": ("evaluate", [], ("evaluation",), lambda c: checked_evaluation(c["evaluation"])),
    "gather": ("gather", [], (), lambda config: checked_gather(dict(config))),
}


#: Sections whose members are alike: one of each kind is enough.
_ALIKE = r"^(antibiotics\.drugs|patient_generator\.populations|option_library\.\w+)\.[^.]+"


def leaves(place: str) -> Iterator[tuple[Mapping[str, Any], str, Any]]:
    name, overrides, sections, _ = PLACES[place]
    config = compose(name, overrides).plain
    seen: set[str] = set()
    for path, value in flatten(config).items():
        pattern = re.sub(_ALIKE, r"\1.*", path)
        if path.endswith(".type") and path.startswith("option_library"):
            pattern = f"{pattern} {value}"
        if path.endswith("_target_") or pattern in seen:
            continue
        if not sections or path.split(".")[0] in sections:
            seen.add(pattern)
            yield config, path, value


@pytest.mark.parametrize("place", PLACES)
def test_no_wrong_value_of_any_key_is_read_as_something_else(
    place: str, record_property: Callable[[str, object], None]
) -> None:
    torch.set_num_threads(1)
    read, tried = PLACES[place][3], 0
    misread: list[str] = []
    for config, path, before in leaves(place):
        for kind, value in WRONG.items():
            if value == before and type(value) is type(before):
                continue
            tried += 1
            try:
                read(with_value(config, path, value))
            except InputError as error:
                if "\n" in str(error) or len(str(error)) > 450:
                    misread.append(f"{path}: {kind}: {len(str(error))} characters")
            except Exception as error:
                misread.append(f"{path}: {kind}: {error!r}")
            else:
                if not is_right(path, before, kind, value):
                    misread.append(f"{path}: {kind} is accepted beside {before!r}")
    record_property("tried", tried)
    assert tried
    assert misread == []


SCALARS: list[Any] = [
    *(None, True, False, 0, 1, -1, 7, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e-300, 1e308),
    *(float("nan"), float("inf"), -float("inf"), "", " ", "no", "1e3", "0100", "nan", "é", "${x"),
]
FUZZED = ["ppo", "recurrent_ppo", "policy_search", "heuristic options", "training", "study"]


def anything(draws: random.Random) -> Any:
    """Return a value of any kind, nested at most twice."""
    kind = draws.random()
    if kind < 0.6:
        return draws.choice(SCALARS)
    if kind < 0.8:
        return [draws.choice(SCALARS) for _ in range(draws.randrange(4))]
    return {
        draws.choice(["", "a", "é", "1", "_target_"]): draws.choice(SCALARS)
        for _ in range(draws.randrange(3))
    }


@pytest.mark.parametrize("place", FUZZED)
def test_anything_at_any_key_builds_or_is_refused_in_one_line(place: str) -> None:
    draws, found = random.Random(place), list(leaves(place))
    for _ in range(40):
        config, path, _ = draws.choice(found)
        value = anything(draws)
        try:
            PLACES[place][3](with_value(config, path, value))
        except InputError as error:
            assert len(str(error).splitlines()) == 1, (path, value)
