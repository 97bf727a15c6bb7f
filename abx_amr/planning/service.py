"""How well a clinic can be treated at all, and how far rules and agents are from it: one object.

Shapes: T steps, K antibiotics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from abx_amr.evaluation.episodes import Policy, evaluate
from abx_amr.host.notebook import figure, result_as_html
from abx_amr.planning.cache import PlanCache, Reference
from abx_amr.planning.episode_discount import value_at
from abx_amr.planning.front import FrontPoint, Information, front, information
from abx_amr.planning.optimum import Optimum
from abx_amr.planning.play import never
from abx_amr.planning.problem import NotComputable, Posed
from abx_amr.planning.progress import OnProgress, counting, within
from abx_amr.planning.rule_values import RuleValue, mean_over_antibiotics, rule_values, tuned_values
from abx_amr.planning.settings import PlanSettings
from abx_amr.planning.stationary import Audit
from abx_amr.planning.views import view
from abx_amr.simulator.model import ClinicModel

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class PlannedAgent:
    """A trained agent, and the clinic with what this one sees of it."""

    policy: Policy
    model: ClinicModel


@dataclass(kw_only=True)
class Plan:
    """What is known of a clinic; parts that were not asked for, or failed, are None or empty.

    Attributes:
        name: Of the clinic.
        model: The clinic.
        posed: As the planner takes it up.
        optimum: Exact, or between bounds.
        never: Return of never treating.
        rules: Fixed and tuned rules.
        agents: Trained agents.
        audit: Of discount factors.
        front: The optimum for each weight of the community.
        information: What seeing patients, and timely reports, are worth.
        reasons: Part -> why it is missing.
        is_valued: Whether optimum, rules and agents are complete.
        interrupt: With which the user stopped it: parts may be missing, bounds may be wide.
    """

    name: str
    model: ClinicModel
    posed: Posed | None = None
    optimum: Optimum | None = None
    never: float | None = None
    rules: tuple[RuleValue, ...] = ()
    agents: tuple[RuleValue, ...] = ()
    audit: Audit | None = None
    front: tuple[FrontPoint, ...] = ()
    information: tuple[Information, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    interrupt: KeyboardInterrupt | None = None
    is_valued: bool = False

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: the optimum and who is how far from it."""
        import pandas as pd

        best = self.optimum
        optimum = self.reasons.get("optimum")
        if best is not None:
            bounds = f"{best.lower:.2f} to {best.upper:.2f}"
            optimum = figure(best.lower) if best.is_exact else f"between {bounds}"
        facts = {
            "optimum": optimum,
            "never treating": figure(self.never),
            "discount": None if self.audit is None else self.audit.warning,
        }
        columns = ["name", "kind", "value", "optimality_gap", "share_of_range"]
        table = pd.DataFrame(self.policies, columns=columns)
        return result_as_html(f"Plan of {self.name}", facts, {"policies": table})

    @property
    def policies(self) -> list[dict[str, Any]]:
        """A row per rule and agent: its value, its kind, its gap and share of the range."""
        reference = Reference(optimum=self.optimum, never=self.never, reason=None)
        rows = [asdict(v) | {"kind": "rule"} for v in self.rules]
        rows += [asdict(v) | {"kind": "agent"} for v in self.agents]
        for row in rows:
            gap = reference.gap(row["value"])
            row |= {key: gap[key] for key in ("optimality_gap", "share_of_range")}
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return what plan.json holds."""
        found = self.optimum
        content: dict[str, Any] = {
            "clinic": self.name,
            "max_time_steps": self.model.max_time_steps,
            "optimum": None if found is None else asdict(found) | {"is_exact": found.is_exact},
            "why_no_optimum": self.reasons.get("optimum"),
            "never": self.never,
            "policies": self.policies,
        }
        if self.audit is not None:
            audit = self.audit
            content["audit"] = {
                "rows": [
                    asdict(row) | {"loss": audit.loss(row), "share_of_range": audit.share(row)}
                    for row in audit.rows
                ],
                "spend_down": audit.spend_down,
                "agent_gamma": audit.gamma,
                "warning": audit.warning,
            }
        if self.front:
            content["front"] = [asdict(point) for point in self.front]
        if self.information:
            content["information"] = [asdict(row) for row in self.information]
        return content


def plan_clinic(
    plan: Plan,
    settings: PlanSettings,
    *,
    cache: PlanCache,
    gamma: float | None,
    agents: Mapping[str, PlannedAgent],
    say: Say = lambda line: None,
    on_part: Callable[[Plan, str], None] = lambda plan, part: None,
    on_progress: OnProgress | None = None,
) -> None:
    """Fill in a plan, part by part: what an interrupt leaves behind is what was found until then.

    Args:
        plan: With name and clinic.
        settings: What is asked for.
        cache: Where optima are kept.
        gamma: The agent's discount factor, if it has one.
        agents: Name -> a trained agent, valued on paired episodes.
        say: Told what a part will take, and each point of the front.
        on_part: Told what is there: "values" (optimum, rules, agents), "discount audit", "front",
            "value of information".
        on_progress: Told how far each part is.
    """
    model = plan.model
    played: Any = {"episodes": settings.episodes, "seed": settings.seed}
    plan.agents = _agent_values(agents, **played, on_progress=on_progress)

    def take(found: Optimum) -> None:
        plan.optimum = found

    try:
        plan.posed = posed = view(model)
        plan.never = never(posed.problem)
        take(
            cache.optimum(
                posed,
                tolerance=settings.tolerance,
                say=say,
                on_progress=on_progress,
                on_round=take,
            )
        )
    except NotComputable as error:
        plan.reasons["optimum"] = str(error)
        say(f"no optimum: {error}")
    if settings.rules:
        plan.rules = rule_values(model, plan.posed, **played, on_progress=on_progress)
        plan.rules += tuned_values(model, plan.posed, **played, on_progress=on_progress)
    plan.is_valued = True
    on_part(plan, "values")
    if plan.posed is None or plan.optimum is None:
        return

    def part(name: str, compute: Callable[[], None]) -> None:
        try:
            compute()
        except NotComputable as error:
            plan.reasons[name] = str(error)
            say(f"no {name}: {error}")
        else:
            on_part(plan, name)

    shared: Any = {"cache": cache, "on_progress": on_progress, **played}
    if settings.audit:
        part("discount audit", lambda: _audit(plan, settings, cache, gamma, say, on_progress))
    if settings.front:
        weights = settings.lambda_weights
        part("front", lambda: _front(plan, weights, say, shared))
    if settings.information:
        part("value of information", lambda: _information(plan, shared))


def _audit(
    plan: Plan,
    settings: PlanSettings,
    cache: PlanCache,
    gamma: float | None,
    say: Say,
    on_progress: OnProgress | None,
) -> None:
    assert plan.posed is not None
    assert plan.optimum is not None
    plan.audit = cache.audit(
        plan.posed,
        plan.optimum,
        gammas=settings.gammas,
        gamma=gamma,
        say=say,
        on_progress=on_progress,
    )
    if gamma is not None and plan.model.observation.include_time_remaining:
        told = within(on_progress, f"discount factor {gamma:g} of an agent that sees the time")
        value_at(plan.posed, gamma, cache=cache, on_progress=told)


def _front(plan: Plan, weights: Sequence[float], say: Say, shared: Any) -> None:
    assert plan.posed is not None
    say("stewardship front:")
    plan.front = front(plan.model, plan.posed, weights=weights, say=say, **shared)


def _information(plan: Plan, shared: Any) -> None:
    assert plan.posed is not None
    plan.information = information(plan.model, plan.posed, **shared)


def _agent_values(
    agents: Mapping[str, PlannedAgent],
    *,
    episodes: int,
    seed: int,
    on_progress: OnProgress | None,
) -> tuple[RuleValue, ...]:
    """Return what agents are worth in a clinic, on paired episodes."""
    found = []
    for name, agent in counting(on_progress, "agents", list(agents.items())):
        model = agent.model
        played = evaluate(agent.policy, model, episodes=episodes, seed=seed)
        found.append(
            RuleValue(
                name=name,
                value=played.mean_return,
                standard_error=float(played.returns.std(ddof=1)) / math.sqrt(episodes),
                individual=float(played.episodes["individual_return"].mean()),
                mean_amr=mean_over_antibiotics(played, "mean_visible_amr"),
                final_amr=mean_over_antibiotics(played, "final_true_amr"),
                sees_time=model.observation.include_time_remaining,
            )
        )
    return tuple(found)
