"""The stewardship front and the value of information.

Shapes: T steps, K antibiotics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.rules import AmrThreshold
from abx_amr.evaluation.episodes import evaluate
from abx_amr.planning.cache import PlanCache
from abx_amr.planning.play import replay, reported_levels
from abx_amr.planning.policy import Optimal
from abx_amr.planning.problem import Posed
from abx_amr.planning.progress import OnProgress, counting, within
from abx_amr.planning.rollouts import rollouts
from abx_amr.planning.rule_values import THRESHOLDS, rule_value
from abx_amr.planning.sampled import MOST_ANTIBIOTICS
from abx_amr.planning.tuned_rules import best_level_and_worth
from abx_amr.planning.views import SampledView, values_of, view, weighed
from abx_amr.simulator.model import ClinicModel

Floats = NDArray[np.float64]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """The optimum for one weight of the community: its clinical part and its AMR.

    Attributes:
        lambda_weight: The weight.
        individual: The clinical part of the return.
        mean_amr: As reported, the mean over antibiotics and steps: what the weight is a price of.
        final_amr: Mean level after the last step.
    """

    lambda_weight: float
    individual: float
    mean_amr: float
    final_amr: float


@dataclass(frozen=True, kw_only=True)
class Information:
    """What a policy is worth that sees so much.

    Attributes:
        name: What is seen.
        value: Return of the best policy, or of the best constant threshold.
        standard_error: 0: exact.
        policy: Whose value it is.
    """

    name: str
    value: float
    standard_error: float
    policy: str


def optimal_episode(
    model: ClinicModel,
    posed: Posed,
    given: NDArray[np.int64] | None,
    *,
    episodes: int,
    seed: int,
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[Floats, Floats, float, float]:
    """Return treatments (T, K), levels (T + 1, K), clinical return and mean reported AMR.

    They are those of the optimal policy.

    Exact where the optimal episode has no chance in it, else means over played episodes.
    """
    problem = posed.problem
    if given is not None:
        path = replay(problem, given)
        level = problem.level(path.pressure)
        return path.given.astype(np.float64), level, path.individual, path.mean_amr
    if isinstance(posed, SampledView) and len(problem.antibiotics) <= MOST_ANTIBIOTICS:
        done = rollouts(
            values_of(posed, on_progress, folder=folder),
            episodes=episodes,
            seed=seed,
            on_progress=on_progress,
        )
        reported = float(reported_levels(problem, done.level).mean())
        return done.given, done.level, done.individual, reported
    policy = Optimal(model)
    policy.posed = posed
    policy.on_progress = on_progress
    played = evaluate(
        policy, model, episodes=episodes, seed=seed, max_batch=episodes, per_step=True
    )
    assert played.per_step is not None
    after = played.per_step["true_amr"].mean(axis=1)
    levels = np.vstack([problem.level(problem.initial), after])
    individual = float(played.episodes["individual_return"].mean())
    reported = float(played.per_step["visible_amr"].mean())
    return played.per_step["prescriptions"].mean(axis=1), levels, individual, reported


def front(
    model: ClinicModel,
    posed: Posed,
    *,
    weights: Sequence[float],
    cache: PlanCache,
    episodes: int,
    seed: int,
    say: Say = lambda line: None,
    on_progress: OnProgress | None = None,
) -> tuple[FrontPoint, ...]:
    """Return the optimum for each weight of the community."""
    points = []
    for weight in counting(on_progress, "stewardship front: weight", weights):
        posed_so = weighed(posed, weight)
        part = within(on_progress, f"stewardship front: lambda_weight {weight:g}")
        found = cache.optimum(posed_so, on_progress=part)
        _, levels, individual, mean_amr = optimal_episode(
            model,
            posed_so,
            found.given,
            episodes=episodes,
            seed=seed,
            folder=cache.folder,
            on_progress=part,
        )
        points.append(
            FrontPoint(
                lambda_weight=weight,
                individual=individual,
                mean_amr=mean_amr,
                final_amr=float(levels[-1].mean()),
            )
        )
        say(
            f"lambda_weight {weight:g}: clinical {individual:.2f}, "
            f"AMR {mean_amr:.3f} on average, {levels[-1].mean():.3f} at the horizon"
        )
    return tuple(points)


def information(
    model: ClinicModel,
    posed: Posed,
    *,
    cache: PlanCache,
    episodes: int,
    seed: int,
    on_progress: OnProgress | None = None,
) -> tuple[Information, ...]:
    """Return what seeing patients, and a timely report of AMR, are worth.

    A policy that knows the parameters carries the pressures itself: a late report costs it
    nothing. What is known to be reached by one who sees nothing of AMR but the report, is what a
    search over rules finds; what a later report costs is shown on the best constant threshold.
    """
    optimal = "optimal policy"
    seen = cache.optimum(posed, on_progress=on_progress)
    blind = cache.optimum(
        view(model, hide_patients=True), on_progress=within(on_progress, "nothing seen of patients")
    )
    rows = [
        Information(
            name="patients as they are shown", value=seen.value, standard_error=0.0, policy=optimal
        ),
        Information(
            name="nothing seen of patients", value=blind.value, standard_error=0.0, policy=optimal
        ),
    ]
    told = within(on_progress, "reports of AMR as they are")
    searched = best_level_and_worth(model, threshold=0.1, seed=seed + 1, on_progress=told)
    as_it_is = rule_value("", searched, model, posed, episodes=episodes, seed=seed)
    rows.append(
        Information(
            name="reports of AMR as they are",
            value=as_it_is.value,
            standard_error=as_it_is.standard_error,
            policy="level and worth per antibiotic",
        )
    )
    for every in (1, 10, 30, 90):
        visible = replace(model.visible_amr, update_every_n_time_steps=every)
        late = replace(model, visible_amr=visible)
        seen_so = view(late)
        reported = f"AMR reported every {every} step{'s' if every > 1 else ''}"
        best = max(
            counting(within(on_progress, reported), "thresholds", THRESHOLDS),
            key=lambda x: (
                rule_value(
                    "", AmrThreshold(late, threshold=x), late, seen_so, episodes=16, seed=seed + 1
                ).value
            ),
        )
        found = rule_value(
            "", AmrThreshold(late, threshold=best), late, seen_so, episodes=episodes, seed=seed
        )
        rows.append(
            Information(
                name=reported,
                value=found.value,
                standard_error=found.standard_error,
                policy=f"best constant threshold ({best:.3g})",
            )
        )
    return tuple(rows)
