"""What comes of a clinic at once: every rule, and a policy search of a second or two.

Both are estimates to look at: rules are valued exactly or over 128 episodes, the search has a
second or two of a processor. `abx-train` and `abx-plan` give what is reported. Shapes: E episodes.
"""

from __future__ import annotations

import functools
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.app.clinic.draft import Draft
from abx_amr.errors import InputError

if TYPE_CHECKING:
    from abx_amr.planning.best_rule import RuleSearch
    from abx_amr.simulator.model import ClinicModel

#: Names the episodes on which rule and agent are compared: neither was tuned on them.
_EPISODES, _SEED = 100, 988_777
_FIXED_EPISODES = 16
#: Of the quick search: generations of so many candidates on so many episodes, until time is up.
_POPULATION, _CANDIDATE_EPISODES, _MOST_GENERATIONS = 24, 3, 120
SEARCH_SECONDS = 1.5  # of a processor: on a busy machine it takes longer, and finds as much
_LONGEST_SECONDS = 12.0
_MOST_STEPS = 100_000


def built(draft: Draft) -> RuleSearch:
    """Return the clinic of a draft with its rules, which are tuned when they are asked for.

    Raises:
        InputError: naming what cannot be so.
    """
    if draft.patients * draft.steps > _MOST_STEPS:
        raise InputError(
            f"environment.max_time_steps: {draft.patients} patients in {draft.steps} steps are "
            f"too many to be tried at once (at most {_MOST_STEPS:,} patients in an episode)"
        )
    return _built(json.dumps(draft.sections()), tuple(draft.overrides))


@functools.lru_cache(maxsize=8)
def _built(sections: str, overrides: tuple[str, ...]) -> RuleSearch:
    from abx_amr.configuration.clinic import build_clinic
    from abx_amr.planning.best_rule import RuleSearch

    # What is tried is kept apart from a project's own optima.
    return RuleSearch(build_clinic(_composed(json.loads(sections), overrides)), folder=_kept_here())


def configuration_of(draft: Draft) -> dict[str, Any]:
    """Return what an experiment of a draft would compose to, apart from its names."""
    return _composed(draft.sections(), draft.overrides)


def _composed(sections: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    from abx_amr.configuration.composing import compose

    config = compose("train", overrides).plain
    for name, section in sections.items():
        own = config.get(name)
        merges = name in ("environment", "reward_calculator") and isinstance(own, dict)
        config[name] = {**own, **section} if merges and isinstance(own, dict) else section
    return config


def try_fixed(draft: Draft) -> dict[str, Any]:
    """Return what rules are worth with their default parameters, over few episodes, as `try_rules`.

    Raises:
        InputError: there is no such clinic.
    """
    from abx_amr.planning.rule_values import RULES, rule_value

    model = built(draft).model
    values: list[dict[str, Any]] = []
    for name, made in RULES.items():
        if name != "random":
            found = rule_value(
                name, made(model), model, None, episodes=_FIXED_EPISODES, seed=_SEED + 1
            )
            error = found.standard_error
            values.append(
                {"name": name, "label": name, "value": found.value, "standard_error": error}
            )
    values.sort(key=lambda rule: -rule["value"])
    return {"antibiotics": list(model.antibiotics), "rules": values, "final_amr": None}


def try_rules(draft: Draft) -> dict[str, Any]:
    """Return what every rule is worth in a clinic, the best first.

    Returns:
        antibiotics: their names; rules: a mapping each with name, label, value, standard_error;
        best: the best one's final AMR level by antibiotic.

    Raises:
        InputError: there is no such clinic.
    """
    rules = built(draft)
    if not rules.found:
        raise InputError("no rule can be played in this clinic: its parts lack what rules ask for")
    return {
        "antibiotics": list(rules.model.antibiotics),
        "rules": [
            {
                "name": rule.name,
                "label": rule.label,
                "value": rule.value,
                "standard_error": rule.standard_error,
            }
            for rule in rules.found
        ],
        "final_amr": rules.final_amr(rules.found[0], episodes=16, seed=_SEED),
    }


def try_search(draft: Draft, seconds: float = SEARCH_SECONDS) -> dict[str, Any]:
    """Return what a quick policy search reaches in a clinic, against its best rule.

    Returns:
        mean_return, interval_95 over episodes; rule: label of the best one; difference and
        difference_95, paired over the same episodes; verdict; generations and seconds of the
        search; curve: mean return of each generation; final_amr; given: share of patients who get
        each antibiotic.

    Raises:
        InputError: there is no such clinic.
    """
    from abx_amr.evaluation.episodes import evaluate
    from abx_amr.evaluation.statistics import paired_difference, t_interval
    from abx_amr.planning.best_rule import verdict

    rules = built(draft)
    model = rules.model
    agent, taken = _search(model, seconds)
    played = evaluate(agent.policy(), model, episodes=_EPISODES, seed=_SEED, max_batch=_EPISODES)
    best = rules.found[0] if rules.found else None
    found: dict[str, Any] = {
        "mean_return": played.mean_return,
        "interval_95": list(t_interval(played.returns)),
        "generations": len(agent.history),
        "seconds": taken,
        "curve": [row[1] for row in agent.history],
        "final_amr": _final(played.episodes, model.antibiotics),
        "given": _given(played.episodes, model),
        "rule": None,
    }
    if best is not None:
        theirs = rules.returns(best, episodes=_EPISODES, seed=_SEED)
        difference = paired_difference(played.returns, theirs)
        found |= {
            "rule": best.label,
            "rule_return": float(theirs.mean()),
            "difference": difference.mean,
            "difference_95": list(difference.interval),
            "verdict": verdict(difference),
        }
    return found


def _search(model: ClinicModel, seconds: float) -> tuple[Any, float]:
    from abx_amr.agents.learners.policy_search.search import PolicySearch
    from abx_amr.agents.settings import TrainingSettings

    settings = TrainingSettings(
        seed=42,
        seed_batched=True,
        total_num_training_episodes=1,
        eval_freq_every_n_episodes=1,
        save_freq_every_n_episodes=1,
        num_eval_episodes=1,
        evaluation_seed=0,
        n_envs=1,
        torch_threads=1,
    )
    search = PolicySearch(
        population=_POPULATION,
        episodes_per_candidate=_CANDIDATE_EPISODES,
        initial_step_size=0.5,
        hidden_units=8,
        sees_log_levels=True,
    )
    agent = search.build(model, settings)
    each = _POPULATION * _CANDIDATE_EPISODES * model.max_time_steps
    began, until = time.process_time(), time.monotonic() + _LONGEST_SECONDS
    for _ in agent.learn(_MOST_GENERATIONS * each):
        if time.process_time() - began > seconds or time.monotonic() > until:
            break
    return agent, time.process_time() - began


@functools.cache
def _kept_here() -> Path:
    return Path(tempfile.mkdtemp(prefix="abx-app-"))


def _final(episodes: Mapping[str, Any], antibiotics: Sequence[str]) -> dict[str, float]:
    return {name: float(episodes[f"final_true_amr_{name}"].mean()) for name in antibiotics}


def _given(episodes: Mapping[str, Any], model: ClinicModel) -> dict[str, float]:
    patients = model.max_time_steps * model.num_patients_per_time_step
    return {
        name: float(episodes[f"prescriptions_{name}"].mean()) / patients
        for name in model.antibiotics
    }
