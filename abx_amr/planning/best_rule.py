"""The best fixed rule of a clinic, with the parameters that suit it, and whether it is beaten.

A rule is chosen and tuned on episodes of its own; what it is compared on are others. Shapes: R
rules side by side, E episodes, N observations, P patients.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.rules import Cycling, Rule
from abx_amr.evaluation.episodes import episode_returns, evaluate
from abx_amr.evaluation.statistics import PairedDifference, paired_difference, t_interval
from abx_amr.planning.cache import PlanCache
from abx_amr.planning.kept_values import default_folder
from abx_amr.planning.play import replay
from abx_amr.planning.problem import NotComputable, Posed
from abx_amr.planning.rule_values import RULES, THRESHOLDS, is_exact, rule_label, rule_value
from abx_amr.planning.views import view
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.observation import Decoded

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "not distinguishable"]

#: Names the episodes that rules are tuned on and chosen by: those of no evaluation.
TUNING_SEED = 988_001
_KEPT_AS = 2  # what a kept rule is written as: 1 had no standard error
_SEARCH_EPISODES, _CHOICE_EPISODES = 8, 128
_PERIODS = (3, 5, 10, 20, 30, 50, 80)
_RISKS = tuple(x / 10 for x in range(10))
_RULES = {name: made for name, made in RULES.items() if name != "random"}


class ThresholdGrid(Rule):
    """Rules `AmrThreshold` side by side, each with a threshold and a risk of its own."""

    def __init__(self, model: ClinicModel, *, thresholds: Floats, risks: Floats) -> None:
        """Take thresholds and risks, (R,)."""
        super().__init__(model)
        self.thresholds, self.risks = (x.astype(np.float32) for x in (thresholds, risks))

    def prescribe(
        self, seen: Decoded, state: object, begins: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], None]:
        """Return the treatment of each patient; row blocks belong to the rules in order."""
        antibiotic, level = self.lowest_amr(seen)
        each = len(level) // len(self.thresholds)
        below = level < np.repeat(self.thresholds, each)
        treated = np.broadcast_to(below[:, None], (len(level), self.num_patients))
        if self.risks.any():
            risk = self.believed(seen, "prob_infected")
            treated = treated & (risk > np.repeat(self.risks, each)[:, None])
        return np.where(treated, antibiotic[:, None], self.no_treatment), None


@dataclass(frozen=True, kw_only=True)
class TunedRule:
    """A rule with its parameters.

    Attributes:
        name: Its name in conf/agent_algorithm/.
        parameters: Name -> value, of those that were tuned.
        value: Its expected return: exact where chance does not move it, else a mean over the
            episodes that it was chosen by.
        standard_error: Of the value; 0: it is exact.
    """

    name: str
    parameters: Mapping[str, float]
    value: float
    standard_error: float

    @property
    def is_stationary(self) -> bool:
        """Whether it does the same whenever it sees the same."""
        return self.name != "cycling"

    @property
    def label(self) -> str:
        """The rule in words.

        >>> TunedRule(name="amr_threshold", parameters={"threshold": 0.02}, value=0,
        ...           standard_error=0).label
        'amr_threshold (threshold 0.02)'
        """
        return rule_label(self.name, self.parameters)

    @property
    def overrides(self) -> list[str]:
        """What chooses it on a command line."""
        own = [f"agent_algorithm.{name}={value:g}" for name, value in self.parameters.items()]
        return [f"agent_algorithm={self.name}", *own]

    def policy(self, model: ClinicModel) -> Rule:
        """Return it for a clinic."""
        arguments: dict[str, Any] = dict(self.parameters)
        return _RULES[self.name](model, **arguments)


@dataclass(frozen=True)
class RuleSearch:
    """The rules of a clinic, tuned once and kept.

    Attributes:
        model: The clinic.
        folder: Of kept results; None: that of the project.
    """

    model: ClinicModel
    folder: Path | None = None

    @cached_property
    def found(self) -> tuple[TunedRule, ...]:
        """The rules, the best first; empty where the clinic's parts lack what rules ask for."""
        with contextlib.suppress(NotComputable):
            posed = view(self.model)
            cache = PlanCache(self.folder or default_folder())
            name = f"{_KEPT_AS} {self.model.layout.attributes!r}"
            kept = cache.tuned_rules(posed) or {}
            if name not in kept:
                rules = [asdict(one) for one in _tuned(self.model, posed)]
                cache.keep_tuned_rules(posed, {**kept, name: rules})
                return tuple(TunedRule(**one) for one in rules)
            return tuple(TunedRule(**one) for one in kept[name])
        return _tuned(self.model, None)

    def returns(self, rule: TunedRule, *, episodes: int, seed: int) -> Floats:
        """Return a rule's returns in the episodes of a seed, (E,)."""
        policy = rule.policy(self.model)
        found: Floats = episode_returns(policy, self.model, episodes=episodes, seed=seed)[0]
        return found

    def final_amr(self, rule: TunedRule, *, episodes: int, seed: int) -> dict[str, float]:
        """Return antibiotic -> a rule's mean AMR at the end of the episodes of a seed."""
        played = evaluate(rule.policy(self.model), self.model, episodes=episodes, seed=seed)
        return {
            name: float(played.episodes[f"final_true_amr_{name}"].mean())
            for name in played.antibiotics
        }

    def how_tuned(self) -> dict[str, Any]:
        """Return `tuning` of a summary's best_rule: what was tried, on which episodes.

        Of what could not be tuned there is nothing: thresholds, risks and periods are empty.
        """
        posed = None
        with contextlib.suppress(NotComputable):
            posed = view(self.model)
        tuned = {name for rule in self.found for name in rule.parameters}
        by_level = next((r for r in self.found if "threshold" in r.parameters), None)
        varies = by_level is not None and _risk_varies(self.model, posed)
        return {
            "rules": [rule.name for rule in self.found],
            "thresholds": sorted(set(THRESHOLDS)) if "threshold" in tuned else [],
            "risks": list(_RISKS) if varies else [],
            "periods": list(_PERIODS) if "period" in tuned else [],
            "seed": TUNING_SEED,
            "search_episodes": _SEARCH_EPISODES,
            "choice_episodes": _CHOICE_EPISODES,
            "is_exact": by_level is not None and by_level.standard_error == 0,
        }


def _tuned(model: ClinicModel, posed: Posed | None) -> tuple[TunedRule, ...]:
    """Return the fixed rules, threshold and period tuned, the best first."""
    parameters: dict[str, dict[str, float]] = {name: {} for name in _RULES}
    if Clinic(model, np.zeros((1, 4), np.uint64)).compiled_parts is not None:
        parameters |= {
            "amr_threshold": _best_threshold(model, posed),
            "cycling": _best_period(model),
        }
    rules = []
    for name, own in parameters.items():
        rule = TunedRule(name=name, parameters=own, value=0.0, standard_error=0.0)
        try:
            found = rule_value(
                name,
                rule.policy(model),
                model,
                posed,
                episodes=_CHOICE_EPISODES,
                seed=TUNING_SEED,
            )
        except Exception:  # a class of the user's own need not tell what rules ask for
            log.debug("%s is not played", name, exc_info=True)
            continue
        rules.append(replace(rule, value=found.value, standard_error=found.standard_error))
    return tuple(sorted(rules, key=lambda one: -one.value))


def _best_period(model: ClinicModel) -> dict[str, float]:
    """Return for how many steps each antibiotic is best given in turn."""
    returns = {
        period: episode_returns(
            Cycling(model, period=period), model, episodes=_SEARCH_EPISODES, seed=TUNING_SEED
        ).mean()
        for period in _PERIODS
    }
    return {"period": max(returns, key=lambda period: returns[period])}


def _best_threshold(model: ClinicModel, posed: Posed | None) -> dict[str, float]:
    """Return the best AMR level below which to treat, and the risk above which, where it differs.

    Of equals the lower level, and no risk.
    """
    levels = np.array(THRESHOLDS)
    found = _score(model, posed, levels, np.zeros(len(levels)))
    threshold = float(levels[found.argmax()])
    if not _risk_varies(model, posed):
        return {"threshold": threshold}
    near = sorted({threshold / 2, threshold, min(1.0, 2 * threshold), min(1.0, 4 * threshold), 1.0})
    grid = np.array([(level, risk) for risk in _RISKS for level in near])
    level, risk = grid[_score(model, posed, grid[:, 0], grid[:, 1]).argmax()].tolist()
    return {"threshold": level} | ({"risk": risk} if risk > 0 else {})


def _risk_varies(model: ClinicModel, posed: Posed | None) -> bool:
    """Return whether patients are seen to differ in their risk of infection."""
    looks_alike = posed is not None and posed.is_homogeneous
    return "prob_infected" in model.layout.attributes and not looks_alike


def _score(model: ClinicModel, posed: Posed | None, thresholds: Floats, risks: Floats) -> Floats:
    """Return what rules are worth, (R,): exactly, or on average over common episodes."""
    grid = ThresholdGrid(model, thresholds=thresholds, risks=risks)
    number = len(thresholds)
    if posed is not None and is_exact(grid, posed):  # episodes differ in their rule alone
        played = evaluate(
            grid, model, episodes=number, seed=TUNING_SEED, max_batch=number, per_step=True
        )
        assert played.per_step is not None
        given = played.per_step["prescriptions"]
        problem = posed.problem
        return np.array([replay(problem, given[:, n]).expected_return for n in range(number)])
    returns = episode_returns(
        grid, model, episodes=_SEARCH_EPISODES, seed=TUNING_SEED, copies=number
    )
    means: Floats = returns.mean(axis=1)
    return means


def verdict(difference: PairedDifference) -> Verdict:
    """Return what an interval says of a difference; within it nothing is said."""
    low, high = difference.interval
    if low > 0:
        return "better"
    return "worse" if high < 0 else "not distinguishable"


def compare_with_best(
    returns: Floats, rules: RuleSearch, *, seed: int, clinic: Sequence[str] = ()
) -> dict[str, Any] | None:
    """Return `best_rule` of a summary: the clinic's best rule, and whether it is beaten.

    `expected` holds what each rule is worth apart from these episodes, `final_amr` the best one's
    AMR at their end, `tuning` how it was found.

    Args:
        returns: The prescriber's, in the first E episodes of the seed, (E,).
        rules: The clinic's.
        seed: Names the episodes.
        clinic: What the clinic is composed of on a command line.
    """
    if not rules.found:
        return None
    episodes = len(returns)
    played = {rule.label: rules.returns(rule, episodes=episodes, seed=seed) for rule in rules.found}
    best = rules.found[0]
    difference = paired_difference(returns, played[best.label])
    return {
        "name": best.label,
        "overrides": [*best.overrides, *clinic],
        "mean_return": float(played[best.label].mean()),
        "difference": {
            "mean": difference.mean,
            "interval_95": list(difference.interval),
            "episodes": episodes,
        },
        "verdict": verdict(difference),
        "candidates": {label: float(found.mean()) for label, found in played.items()},
        "candidate_intervals_95": {
            label: list(t_interval(found)) for label, found in played.items()
        },
        "expected": {
            rule.label: {"mean": rule.value, "standard_error": rule.standard_error}
            for rule in rules.found
        },
        "final_amr": rules.final_amr(best, episodes=episodes, seed=seed),
        "tuning": rules.how_tuned(),
    }
