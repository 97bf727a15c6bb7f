"""What fixed rules are worth, and rules with one or two parameters tuned to the clinic.

Shapes: T steps, K antibiotics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from abx_amr.agents.rules import (
    AlwaysBest,
    AmrThreshold,
    Cycling,
    Greedy,
    Myopic,
    Never,
    Random,
    RiskStratified,
    Rule,
)
from abx_amr.evaluation.episodes import Evaluation, evaluate
from abx_amr.planning.play import replay
from abx_amr.planning.problem import Posed
from abx_amr.planning.progress import OnProgress, counting
from abx_amr.planning.tuned_rules import best_level_and_worth
from abx_amr.simulator.model import ClinicModel

RULES: dict[str, type[Rule]] = {
    "never": Never,
    "random": Random,
    "always_best": AlwaysBest,
    "greedy": Greedy,
    "myopic": Myopic,
    "amr_threshold": AmrThreshold,
    "risk_stratified": RiskStratified,
    "cycling": Cycling,
}
#: AMR levels to try: close together where they are low, where most is decided.
THRESHOLDS = (
    *(0.002, 0.004, 0.006, 0.008, 0.01, 0.0125, 0.015, 0.0175, 0.02, 0.025, 0.03, 0.04),
    *(x / 40 for x in range(2, 41)),
)
_TUNING_EPISODES = 16  # of another seed than the one that is reported


def rule_label(name: str, parameters: Mapping[str, Any]) -> str:
    """Return what a rule is called wherever it is named, with the parameters that are its own.

    >>> rule_label("amr_threshold", {"threshold": 0.02}), rule_label("greedy", {})
    ('amr_threshold (threshold 0.02)', 'greedy')
    """
    said = ", ".join(
        f"{key} {f'{value:g}' if isinstance(value, int | float) else value}"
        for key, value in parameters.items()
        if value is not None
    )
    return f"{name} ({said})" if said else name


@dataclass(frozen=True, kw_only=True)
class RuleValue:
    """What a rule is worth in an episode.

    Attributes:
        name: Of the rule, with its parameters.
        value: Mean undiscounted return.
        standard_error: Of the mean; 0: exact.
        individual: The clinical part of the return.
        mean_amr: As reported, the mean over antibiotics and steps.
        final_amr: Mean AMR level after the last step.
        sees_time: Whether it knows how much of the episode is left; no rule does.
    """

    name: str
    value: float
    standard_error: float
    individual: float
    mean_amr: float
    final_amr: float
    sees_time: bool = False


def rule_value(
    name: str, rule: Rule, model: ClinicModel, posed: Posed | None, *, episodes: int, seed: int
) -> RuleValue:
    """Return what a rule is worth: exactly where chance does not move it, else on average.

    A rule that sees the same in every episode treats the same: one episode gives its treatments,
    the closed form their expectation.
    """
    if posed is not None and is_exact(rule, posed):
        problem = posed.problem
        played = evaluate(rule, model, episodes=1, seed=seed, per_step=True)
        assert played.per_step is not None
        path = replay(problem, played.per_step["prescriptions"][:, 0])
        final = float(problem.level(path.pressure[-1]).mean())
        value = path.expected_return
        return RuleValue(
            name=name,
            value=value,
            standard_error=0.0,
            individual=path.individual,
            mean_amr=path.mean_amr,
            final_amr=final,
        )
    played = evaluate(rule, model, episodes=episodes, seed=seed, max_batch=episodes)
    error = float(played.returns.std(ddof=1)) / math.sqrt(episodes) if episodes > 1 else math.nan
    return RuleValue(
        name=name,
        value=played.mean_return,
        standard_error=error,
        individual=float(played.episodes["individual_return"].mean()),
        mean_amr=mean_over_antibiotics(played, "mean_visible_amr"),
        final_amr=mean_over_antibiotics(played, "final_true_amr"),
    )


def mean_over_antibiotics(played: Evaluation, name: str) -> float:
    """Return the mean over episodes and antibiotics of an episode's levels, such as the final."""
    return float(np.mean([played.episodes[f"{name}_{a}"].mean() for a in played.antibiotics]))


def is_exact(rule: Rule, posed: Posed) -> bool:
    """Return whether chance does not move what a rule does, so that its value is exact."""
    problem = posed.problem
    if isinstance(rule, Random) or (problem.epsilon > 0 and not problem.sees_amr):
        return False
    return posed.is_predictable


def rule_values(
    model: ClinicModel,
    posed: Posed | None,
    *,
    episodes: int,
    seed: int,
    on_progress: OnProgress | None = None,
) -> tuple[RuleValue, ...]:
    """Return what the fixed rules are worth with their default parameters."""
    return tuple(
        rule_value(name, made(model), model, posed, episodes=episodes, seed=seed)
        for name, made in counting(on_progress, "rules", list(RULES.items()))
    )


def tuned_values(
    model: ClinicModel,
    posed: Posed | None,
    *,
    episodes: int,
    seed: int,
    on_progress: OnProgress | None = None,
) -> tuple[RuleValue, ...]:
    """Return what tuned rules are worth: threshold, risk cut-off, cycling period, and all jointly.

    Where chance decides they are tuned on other episodes than those reported.
    """

    def score(rule: Rule) -> float:
        return rule_value("", rule, model, posed, episodes=_TUNING_EPISODES, seed=seed + 1).value

    def reported(name: str, rule: Rule, **parameters: float) -> RuleValue:
        label = rule_label(name, parameters)
        return rule_value(label, rule, model, posed, episodes=episodes, seed=seed)

    levels = counting(on_progress, "thresholds", THRESHOLDS)
    threshold = max(levels, key=lambda x: score(AmrThreshold(model, threshold=x)))
    periods = counting(on_progress, "cycling periods", (3, 5, 10, 20, 30, 50, 80))
    period = max(periods, key=lambda x: score(Cycling(model, period=x)))
    found = [
        reported("amr_threshold", AmrThreshold(model, threshold=threshold), threshold=threshold),
        reported("cycling", Cycling(model, period=period), period=period),
    ]
    if "prob_infected" in model.layout.attributes and not (
        posed is not None and posed.is_homogeneous
    ):
        pairs = [
            (level, risk)
            for level in (threshold / 2, threshold, min(1.0, 2 * threshold), 1.0)
            for risk in np.linspace(0.0, 0.9, 10)
        ]
        best = max(
            counting(on_progress, "thresholds and risks", pairs),
            key=lambda pair: score(AmrThreshold(model, threshold=pair[0], risk=float(pair[1]))),
        )
        both = {"threshold": best[0], "risk": float(best[1])}
        found.append(reported("amr_threshold", AmrThreshold(model, **both), **both))
    searched = best_level_and_worth(
        model, threshold=threshold, seed=seed + 1, on_progress=on_progress
    )
    found.append(reported("level and worth per antibiotic", searched))
    return tuple(found)
