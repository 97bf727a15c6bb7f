"""What a run is worth, in plain words: its return, how sure, against which rule and the optimum."""

from __future__ import annotations

import re

from markupsafe import Markup

from abx_amr.reports.checkpoints import weights_in_words
from abx_amr.reports.clinic import clinic_in_words
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.tables import KeyFigure
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import is_known, number, over_episodes, reached, signed

NAME = "Verdict"
PAGES = ("run",)
ORDER = 0

_UNNAMED_PLAN = re.compile(r"run (first: )?abx-plan for (this clinic|it)( first)?")


def render(subject: RunSubject) -> Markup:
    """Return sentences and the figures they rest on."""
    if not subject.summary:
        return fill(
            "verdict.html",
            sentences=["This run is not complete: it has no result yet."],
            warning=None,
            keys=[],
        )
    return fill(
        "verdict.html",
        sentences=[
            sentence
            for sentence in (
                *(_return(subject), _weights(subject), *_against(subject), _optimum(subject)),
                clinic_in_words(subject.config),
            )
            if sentence
        ],
        warning=_collapse(subject),
        keys=_keys(subject),
    )


def _return(subject: RunSubject) -> str:
    found = subject.summary
    who = f"The agent {_agent(subject)}" if subject.learned else f"The rule {_agent(subject)}"
    return (
        f"{who} earned a mean return of {number(found.get('mean_return'))} per episode "
        f"(95 % interval {over_episodes(found.get('mean_return_interval_95'))}, "
        f"{number(found.get('evaluation_episodes'), 0)} episodes of evaluation seed "
        f"{found.get('evaluation_seed')})."
    )


def _weights(subject: RunSubject) -> str | None:
    table = subject.evaluations
    count = None if table is None or "transitions" not in table else table["transitions"].nunique()
    return weights_in_words(subject.config, subject.summary, subject.provenance, evaluations=count)


def _agent(subject: RunSubject) -> str:
    chosen = (subject.provenance.get("choices") or {}).get("agent_algorithm")
    return str(chosen or str(subject.summary.get("algorithm")).rpartition(".")[2])


def _against(subject: RunSubject) -> list[str]:
    sentences = []
    rule, other = subject.summary.get("best_rule"), subject.summary.get("against")
    if rule:
        difference = rule.get("difference") or {}
        sentences.append(
            f"{_compared(rule.get('verdict'))} the best tuned rule, {rule.get('name')}, which "
            f"earns {number(rule.get('mean_return'))}: the difference on the same "
            f"{number(difference.get('episodes'), 0)} episodes is "
            f"{signed(difference.get('mean'))} ({over_episodes(difference.get('interval_95'))})."
        )
    if other:
        ends = other.get("interval") or (None, None)
        sentences.append(
            f"{_compared(verdict_of(ends))} {other.get('name')}: the difference on the same "
            f"episodes is {signed(other.get('mean'))} ({over_episodes(ends)})."
        )
    return sentences


def verdict_of(ends: object) -> str:
    """Return what an interval of a difference says.

    >>> verdict_of((0.5, 2.0)), verdict_of((-1.0, 2.0)), verdict_of((-2.0, -1.0))
    ('better', 'not distinguishable', 'worse')
    """
    low, high = ends if isinstance(ends, list | tuple) and len(ends) == 2 else (None, None)
    if not is_known(low) or not is_known(high):
        return "not distinguishable"
    return "better" if low > 0 else "worse" if high < 0 else "not distinguishable"


def _compared(verdict: object) -> str:
    return {"better": "It is better than", "worse": "It is worse than"}.get(
        str(verdict), "It cannot be told apart from"
    )


def _optimum(subject: RunSubject) -> str:
    found = subject.summary
    gap, share, note = (
        found.get(key) for key in ("optimality_gap", "share_of_range", "optimum_note")
    )
    if not is_known(gap):
        why = f": {with_command(note, subject.plan_command)}" if note else "."
        return f"How far it is from the optimum is not known{why}"
    reference = f"the {note}" if note else f"the optimum, {number(found.get('optimum'))}"
    expected = _expected_gap(subject)
    if expected is not None and _is_against_interpolated(subject):
        cost, sure = expected
        return (
            f"In expectation it is {cost} ({sure}) below the best policy that could be computed "
            "here, which is near the optimum: what its choices cost in the states that it met, "
            f"without the luck of these episodes. The mean return of these episodes lies "
            f"{number(abs(gap))} {'below' if gap >= 0 else 'above'} {reference}: no prescriber is "
            "above that bound in the long run, and the best may be below it."
        )
    if expected is not None:
        cost, sure = expected
        return (
            f"In expectation it is {cost} ({sure}) below {reference}: what its choices cost in the "
            "states that it met, without the luck of these episodes. The mean return of these "
            f"episodes lies {number(abs(gap))} {'below' if gap >= 0 else 'above'} it: the two "
            "differ by the luck of the patients who happened to come, and the first is the one to "
            "quote."
        )
    low, high = found.get("mean_return_interval_95") or (None, None)
    optimum = found.get("optimum")
    if is_known(low) and is_known(high) and is_known(optimum) and low <= optimum <= high:
        return f"It cannot be told apart from {reference}, which lies within its interval."
    if gap < 0:
        return f"It lies above {reference}, which nothing does in the long run: easy episodes."
    if is_known(share) and share < 0:
        return f"It is {number(gap)} below {reference}, and worse than never treating."
    gained = f": it {reached(share)}" if is_known(share) else ""
    return f"It is {number(gap)} below {reference}{gained}."


def with_command(note: str, command: str) -> str:
    """Return a note whose abx-plan can be pasted; those of earlier runs did not say the clinic.

    >>> with_command("run abx-plan for this clinic first", "abx-plan experiment=base")
    'run first: abx-plan experiment=base'
    """
    return _UNNAMED_PLAN.sub(lambda _: f"run first: {command}", note)


def _expected_gap(subject: RunSubject) -> tuple[str, str] | None:
    """Return the gap without the luck of the episodes, and its interval, where they are known."""
    found = subject.summary.get("agreement")
    if not isinstance(found, dict) or not is_known(found.get("expected_gap")):
        return None
    return number(found["expected_gap"]), over_episodes(found.get("expected_gap_interval_95"))


def _is_against_interpolated(subject: RunSubject) -> bool:
    """Return whether its choices are held against a policy that is near the optimum, not it."""
    return bool((subject.summary.get("agreement") or {}).get("note"))


def _collapse(subject: RunSubject) -> str | None:
    found = subject.summary.get("collapse")
    if not isinstance(found, dict):
        return None
    kind = str(found.get("kind")).replace("_", " ")
    return (
        f"The policy has collapsed ({kind}): {found.get('evidence')}. "
        f"What may help: {found.get('advice')}"
    )


def _keys(subject: RunSubject) -> list[KeyFigure]:
    found = subject.summary
    keys = [
        KeyFigure(
            "mean return",
            number(found.get("mean_return")),
            over_episodes(found.get("mean_return_interval_95")),
        )
    ]
    rule = found.get("best_rule")
    if rule:
        difference = rule.get("difference") or {}
        keys.append(
            KeyFigure(
                f"against {rule.get('name')}",
                signed(difference.get("mean")),
                over_episodes(difference.get("interval_95")),
            )
        )
    other = found.get("against")
    if other:
        keys.append(
            KeyFigure(
                f"against {other.get('name')}",
                signed(other.get("mean")),
                over_episodes(other.get("interval")),
            )
        )
    expected = _expected_gap(subject)
    if expected is not None:
        below = "the best policy computed" if _is_against_interpolated(subject) else "the optimum"
        keys.append(KeyFigure(f"below {below}, in expectation", *expected))
    elif is_known(found.get("optimality_gap")):
        keys.append(
            KeyFigure(
                "gap to the optimum",
                number(found["optimality_gap"]),
                reached(found.get("share_of_range")),
            )
        )
    return keys
