"""What a study has searched, what it has found, and what that is worth."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.tables import KeyFigure
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import interval, is_known, number, percent, short, signed

NAME = "Verdict"
PAGES = ("study",)
ORDER = 0

_CHOSEN = (
    "It was chosen by these evaluation episodes and looks better than it is: what the settings are "
    "worth, also against the default, is measured on other seeds and episodes (last section)."
)


def render(subject: StudySubject) -> Markup:
    """Return the three sentences and the figures they rest on."""
    best = subject.best
    if best is None:
        sentences = [f"Of {counted(_how_many(subject), 'finished trial')} none has a value yet."]
    else:
        sentences = [_found(subject, best), *_worth(best), _settings(best), _CHOSEN]
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


def _how_many(subject: StudySubject) -> int:
    """Return how many trials have finished."""
    finished = subject.summary.get("n_finished")
    if isinstance(finished, int):
        return finished
    return int(subject.trials["state"].isin(["COMPLETE", "PRUNED"]).sum())


def _found(subject: StudySubject, best: dict[str, Any]) -> str:
    seeds = len([s for s in best.get("seeds") or [] if is_known(s.get("episode_return"))])
    return (
        f"The best of {_how_many(subject)} settings of {agent_of(subject)} that were tried earns a "
        f"mean return of {number(best.get('mean_reward'))} per episode over "
        f"{counted(seeds, 'training seed')} (standard deviation {number(best.get('std_reward'))})."
    )


def _settings(best: dict[str, Any]) -> str:
    settings = ", ".join(
        f"{path.rsplit('.', 1)[-1]} {short(v)}" for path, v in (best.get("params") or {}).items()
    )
    return f"It is trial {best.get('number')}: {settings}."


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
    return sentences


def _warning(subject: StudySubject) -> str | None:
    lines = []
    if subject.summary.get("status") == "unfinished":
        lines.append("The study is unfinished: the same abx-tune command goes on with it.")
    failed = subject.summary.get("n_all_seeds_failed")
    if failed:
        lines.append(f"{counted(failed, 'trial')} failed on all seeds.")
    collapsed = (subject.best or {}).get("collapsed_seeds")
    if collapsed:
        seeds = ", ".join(f"seed {s}: {str(k).replace('_', ' ')}" for s, k in collapsed.items())
        lines.append(f"Policies of the best trial have collapsed ({seeds}).")
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
