"""How a plan's optimum was computed, how sure it is, and what the optimal policy does."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from abx_amr.reports.figures import as_svg, plain
from abx_amr.reports.subjects import PlanSubject
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import duration, number, percent

NAME = "The optimum and its certificate"
PAGES = ("plan",)
ORDER = 20


def render(subject: PlanSubject) -> Markup | None:
    """Return method, bounds and the optimal episode; None where there is no optimum."""
    if not subject.optimum:
        return None
    return fill(
        "plan_certificate.html", certificate=_certificate(subject), episode=_episode(subject)
    )


def _certificate(subject: PlanSubject) -> list[tuple[str, str]]:
    """Return how the optimum was computed, and how sure it is."""
    found = subject.optimum
    if not found:
        return []
    facts = [("method", str(found.get("method")))]
    if found.get("programme"):
        facts.append(("problem", str(found["programme"])))
    if found.get("is_exact"):
        facts.append(("return of the optimum, exact", number(found.get("upper"), 3)))
    else:
        facts.append(("lower bound: a policy earns it", number(found.get("lower"), 3)))
        facts.append(("upper bound: no policy earns more", number(found.get("upper"), 3)))
    if found.get("confidence") is not None:
        facts.append(("certainty that both bounds hold", percent(found["confidence"], 0)))
    if found.get("shortfall"):
        facts.append(("why the bounds are not closer", str(found["shortfall"])))
    facts += [("why no agent may reach it", str(caveat)) for caveat in found.get("caveats") or []]
    facts.append(("computed in", duration(found.get("seconds"))))
    return facts


def _episode(subject: PlanSubject) -> Markup | None:
    """Return what the optimal policy gives over an episode, where the plan has kept that."""
    table = subject.optimal_episode
    if not subject.has_figures or table is None:
        return None
    from abx_amr.plots import optimal_policy

    names = [str(c).removeprefix("level_") for c in table if str(c).startswith("level_")]
    level = table[[f"level_{name}" for name in names]].to_numpy(dtype=np.float64)
    given = table[[f"given_{name}" for name in names]].to_numpy(dtype=np.float64)[1:]
    figure = optimal_policy.draw(
        given,
        level,
        antibiotics=tuple(plain(name) for name in names),
        num_patients=int(table["patients"].iloc[0]),
        title="",
    )
    return as_svg(figure, "patients treated by the optimal policy, and AMR, over an episode")
