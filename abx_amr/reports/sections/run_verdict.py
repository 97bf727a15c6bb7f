"""What a run is worth, in plain words: its return, how sure, against which rule and the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from abx_amr.reports.card import behaviour_in, in_short
from abx_amr.reports.card_writing import rule_of
from abx_amr.reports.checkpoints import weights_in_words
from abx_amr.reports.clinic import clinic_in_words
from abx_amr.reports.clinical import PATIENTS
from abx_amr.reports.expectation import against_best_rule, expected_return
from abx_amr.reports.resistance import aim_in_words, in_words, key_figure, levels_at_end, levels_of
from abx_amr.reports.risks import by_risk_of
from abx_amr.reports.sections.run_gap import largest_part
from abx_amr.reports.subjects import RunSubject
from abx_amr.reports.tables import KeyFigure
from abx_amr.reports.templating import fill, labelled
from abx_amr.reports.wording import (
    collapse_in_words,
    is_known,
    number,
    over_episodes,
    reached,
    rule,
    signed,
)
from abx_amr.reports.worth import (
    against_in_words,
    expected_gap,
    is_against_interpolated,
    optimum_in_words,
    optimum_name,
    other_than_best,
    returns_in_words,
)

NAME = "Verdict"
PAGES = ("run",)
ORDER = 0


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
                labelled("What it earns", *returns_in_words(subject.summary, _who(subject))),
                labelled("Against the best rule", *against_in_words(subject.summary)),
                labelled(
                    "Against the optimum",
                    optimum_in_words(subject.summary, subject.plan_command),
                    largest_part(subject.summary),
                ),
                labelled("Whom it treats", *_whom(subject)),
                labelled("Resistance", *_resistance(subject)),
                labelled("Its weights", _weights(subject)),
                clinic_in_words(subject.config),
            )
            if sentence
        ],
        warning=_collapse(subject),
        keys=_keys(subject),
    )


def _weights(subject: RunSubject) -> str | None:
    table = subject.evaluations
    count = None if table is None or "transitions" not in table else table["transitions"].nunique()
    return weights_in_words(subject.config, subject.summary, subject.provenance, evaluations=count)


def _whom(subject: RunSubject) -> list[str]:
    """Return whom it treats with what, as far as its tables tell."""
    episodes = subject.final
    if episodes is None or any(name not in episodes for name in PATIENTS):
        return []
    found = behaviour_in(
        subject.config,
        episodes,
        steps=subject.drawn.get("steps"),
        patients=subject.drawn.get("patients"),
    )
    risks = by_risk_of(subject.drawn.get("patients"), subject.drawn.get("steps"))
    return [*in_short(found), *([] if risks is None else [risks.sentence()])]


def _who(subject: RunSubject) -> str:
    return f"The agent {_agent(subject)}" if subject.learned else f"The rule {_agent(subject)}"


def _agent(subject: RunSubject) -> str:
    chosen = (subject.provenance.get("choices") or {}).get("agent_algorithm")
    return str(chosen or str(subject.summary.get("algorithm")).rpartition(".")[2])


def _collapse(subject: RunSubject) -> str | None:
    found = subject.summary.get("collapse")
    if not isinstance(found, dict):
        return None
    kind = collapse_in_words(found.get("kind"))
    return (
        f"The policy has collapsed ({kind}): {found.get('evidence')}. "
        f"What may help: {found.get('advice')}"
    )


def _resistance(subject: RunSubject) -> list[str]:
    """Return the resistance at the end of an episode, and whether a low one is an aim."""
    said = _at_the_end(subject)
    return [] if said is None else [said, *filter(None, [aim_in_words(subject.config)])]


def _at_the_end(subject: RunSubject) -> str | None:
    """Return the resistance at the end of an episode, against that of the best rule."""
    best = subject.summary.get("best_rule") or {}
    theirs, played = levels_of(best.get("final_amr")), rule_of(subject)
    if not theirs and played is not None:
        name, episodes = played
        return in_words(levels_at_end(subject.final), levels_at_end(episodes), name)
    return in_words(levels_at_end(subject.final), theirs, best.get("name"))


def _keys(subject: RunSubject) -> list[KeyFigure]:
    found = subject.summary
    keys, expected = [], expected_return(found)
    if expected is not None:
        keys.append(KeyFigure("expected return", number(expected.mean), expected.how_sure))
    cost = expected_gap(found)
    if cost is not None:
        below = (
            "the best policy computed"
            if is_against_interpolated(found)
            else f"the {optimum_name(found)}"
        )
        name = f"below {below}, in expectation"
        keys.append(KeyFigure(name, number(cost.mean), cost.within))
    keys += _against(found)
    is_near = cost is not None and is_against_interpolated(found)
    if (cost is None or is_near) and is_known(found.get("optimality_gap")):
        share = reached(found.get("share_of_range"))
        keys.append(
            KeyFigure(f"gap to the {optimum_name(found)}", number(found["optimality_gap"]), share)
        )
    if levels := levels_at_end(subject.final):
        keys.append(key_figure(levels))
    luck = ", with their luck" if expected is not None else ""
    mean = KeyFigure(
        f"mean return of {number(found.get('evaluation_episodes'), 0)} episodes{luck}",
        number(found.get("mean_return")),
        over_episodes(found.get("mean_return_interval_95")),
    )
    return [*keys, mean] if expected is not None else [mean, *keys]


def _against(found: Mapping[str, Any]) -> list[KeyFigure]:
    """Return the differences from the best rule and from whom it was played against."""
    keys = []
    best, other = found.get("best_rule"), other_than_best(found)
    if best:
        told, expected = best.get("difference") or {}, against_best_rule(found)
        mean, within = told.get("mean"), over_episodes(told.get("interval_95"))
        if expected is not None:
            mean, within = expected.mean, expected.within
        name = f"against {rule(best.get('name'))}{', in expectation' * (expected is not None)}"
        keys.append(KeyFigure(name, signed(mean), within))
    if other:
        name, ends = f"against {rule(other.get('name'))}", other.get("interval")
        keys.append(KeyFigure(name, signed(other.get("mean")), over_episodes(ends)))
    return keys
