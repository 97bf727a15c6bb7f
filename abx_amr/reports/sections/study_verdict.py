"""What a study has searched, what it has found, and what that is worth."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.tables import KeyFigure
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import interval, is_known, number, percent, signed, value

NAME = "Verdict"
PAGES = ("study",)
ORDER = 0


def render(subject: StudySubject) -> Markup:
    """Return the three sentences and the figures they rest on."""
    best = subject.best
    sentences = [_searched(subject)]
    if best is None:
        sentences.append("No trial has a finite value yet.")
    else:
        sentences += [_found(subject, best), *_worth(best)]
    return fill(
        "verdict.html",
        sentences=sentences,
        warning=_warning(subject),
        keys=[] if best is None else _keys(subject, best),
    )


def agent_of(subject: StudySubject) -> str:
    """Return what the tuned agent is called."""
    target = (subject.config.get("agent_algorithm") or {}).get("_target_")
    return str(target).rpartition(".")[2] if target else "the agent"


def _searched(subject: StudySubject) -> str:
    found, tuning = subject.summary, subject.tuning
    finished, budget = found.get("n_finished"), found.get("budget")
    if finished is None:
        finished = int(subject.trials["state"].isin(["COMPLETE", "PRUNED"]).sum())
    of = f"{finished} of {budget}" if budget is not None and finished != budget else f"{finished}"
    n_seeds = tuning.get("n_seeds_per_trial")
    each = "" if n_seeds is None else f", each of them trained with {counted(n_seeds, 'seed')}"
    return (
        f"{of} trials ({found.get('sampler', tuning.get('sampler', 'unknown sampler'))}) searched "
        f"{counted(len(subject.space), 'setting')} of {agent_of(subject)}{each}."
    )


def _found(subject: StudySubject, best: dict[str, Any]) -> str:
    settings = ", ".join(
        f"{path.rsplit('.', 1)[-1]} {value(v)}" for path, v in (best.get("params") or {}).items()
    )
    seeds = len([s for s in best.get("seeds") or [] if is_known(s.get("episode_return"))])
    return (
        f"Trial {best.get('number')} is the best: mean return {number(best.get('mean_reward'))} "
        f"over {counted(seeds, 'seed')}, standard deviation {number(best.get('std_reward'))}, "
        f"with {settings}."
    )


def _worth(best: dict[str, Any]) -> list[str]:
    sentences = []
    rule = best.get("best_rule")
    if isinstance(rule, dict):
        difference = rule.get("difference") or {}
        sentences.append(
            f"Against the best tuned rule, {rule.get('name')}, it is {rule.get('verdict')}: "
            f"{signed(difference.get('mean'))} ({interval(difference.get('interval_95'))})."
        )
    gap, note = best.get("optimality_gap"), best.get("optimum_note")
    if is_known(gap):
        reference = f"the {note}" if note else f"the optimum, {number(best.get('optimum'))}"
        share = best.get("share_of_range")
        reached = f" ({percent(share)} of the range from never treating)" if is_known(share) else ""
        sentences.append(f"That is {number(gap)} below {reference}{reached}.")
    elif note:
        sentences.append(f"How far that is from the optimum is not known: {note}.")
    sentences.append(
        "It was chosen on these evaluation episodes, so that it looks better than it is: what the "
        "settings are worth is measured by training with them and evaluating on other episodes "
        "(commands below)."
    )
    return sentences


def _warning(subject: StudySubject) -> str | None:
    lines = []
    if subject.summary.get("status") == "unfinished":
        lines.append("The study is unfinished: the same abx-tune command goes on with it.")
    failed = subject.summary.get("n_all_seeds_failed")
    if failed:
        lines.append(f"{counted(failed, 'trial')} failed on all seeds.")
    return " ".join(lines) or None


def _keys(subject: StudySubject, best: dict[str, Any]) -> list[KeyFigure]:
    weight = subject.summary.get("stability_penalty_weight")
    keys = [
        KeyFigure(
            f"best value (trial {best.get('number')})",
            number(best.get("value")),
            f"mean − {number(weight, 2)} · std over seeds",
        ),
        KeyFigure("mean return", number(best.get("mean_reward")), _seed_range(best)),
    ]
    if is_known(best.get("optimality_gap")):
        share = percent(best.get("share_of_range"))
        keys.append(
            KeyFigure("gap to the optimum", number(best["optimality_gap"]), f"{share} of the range")
        )
    states = subject.trials["state"].value_counts()
    failed = int(states.get("FAIL", 0))
    keys.append(
        KeyFigure(
            "trials",
            str(int(states.get("COMPLETE", 0) + states.get("PRUNED", 0))),
            f"{failed} failed" if failed else "none failed",
        )
    )
    return keys


def _seed_range(best: dict[str, Any]) -> str:
    returns = [s.get("episode_return") for s in best.get("seeds") or []]
    known = [r for r in returns if is_known(r) and math.isfinite(r)]
    return f"seeds {number(min(known))} to {number(max(known))}" if known else ""
