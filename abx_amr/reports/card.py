"""The policy card: what a prescriber does to patients, for a clinician, from a run folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from abx_amr.errors import InputError, counted
from abx_amr.reports.behaviour import HARDLY, Behaviour, Share, Stop, behaviour_of
from abx_amr.reports.clinical import PATIENTS, Outcome, outcomes_of
from abx_amr.reports.limits import known_to, limits_of
from abx_amr.reports.resistance import in_words, levels_at_end, levels_of
from abx_amr.reports.wording import amr, is_known
from abx_amr.reports.wording import rule as rule_in_words
from abx_amr.reports.worth import against_in_words, returns_in_words
from abx_amr.runs.figures import group_names
from abx_amr.runs.seen_patients import risk_is_seen

_FEW = 0.02  # of the patients, below which a group is not spoken of
_CHANGED = 0.1  # of the patients, by which the last part of an episode counts as treated otherwise


@dataclass(frozen=True, kw_only=True)
class PolicyCard:
    """What a clinician asks of a prescriber.

    Attributes:
        name: Of the run.
        about: What prescribes, and for whom, in a sentence.
        behaviour: What it does, in numbers.
        sentences: What it does, in words.
        missing: What cannot be said, and the command that makes it sayable.
        outcomes: What comes of it.
        worth: What its return is, the score it was trained for, and how it was compared.
        rule: The rule it is compared with, None where there is none.
        known: What it was told that a clinic may not know.
        limits: Where it was trained, and what was not tested.
    """

    name: str
    about: str
    behaviour: Behaviour
    sentences: Sequence[str]
    missing: Sequence[str]
    outcomes: Sequence[Outcome]
    worth: Sequence[str]
    rule: str | None
    known: Sequence[str]
    limits: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Played:
    """A prescriber's evaluation as its folder holds it.

    Attributes:
        name: Of the run.
        folder: Of the run, or of the one that was evaluated: what a command names it by.
        config: Resolved configuration.
        summary: summary.json.
        provenance: provenance.json.
        episodes: One row per episode of the last evaluation.
        steps: One row per (episode, step); None where they were not kept.
        patients: One row per (episode, step, patient); None likewise.
        rule: Name and episodes of the rule that played the same episodes; None where none did.
        trained: The configuration it was trained with; None where that is not at hand.
    """

    name: str
    folder: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    provenance: Mapping[str, Any]
    episodes: pd.DataFrame
    steps: pd.DataFrame | None
    patients: pd.DataFrame | None
    rule: tuple[str, pd.DataFrame] | None
    trained: Mapping[str, Any] | None


def card_of(played: Played) -> PolicyCard:
    """Return the card of an evaluation.

    Raises:
        InputError: the table of episodes lacks what a card counts.
    """
    lacking = [name for name in (*PATIENTS, "benefits", "failures") if name not in played.episodes]
    if lacking or played.episodes.empty:
        raise InputError(
            f"{played.folder} has no policy card: its evaluations.csv lacks "
            f"{', '.join(lacking) or 'episodes'}; evaluate it again with abx-evaluate"
        )
    behaviour = behaviour_in(
        played.config, played.episodes, steps=played.steps, patients=played.patients
    )
    name, rule = played.rule or (None, None)
    return PolicyCard(
        name=played.name,
        about=_about(played),
        behaviour=behaviour,
        sentences=[*sentences_of(behaviour), *_resistance(played)],
        worth=_worth(played),
        missing=_missing(played),
        outcomes=outcomes_of(played.episodes, rule),
        rule=name,
        known=known_to(played.config),
        limits=limits_of(played.config, played.summary, played.provenance, played.trained),
    )


def behaviour_in(
    config: Mapping[str, Any],
    episodes: pd.DataFrame,
    *,
    steps: pd.DataFrame | None,
    patients: pd.DataFrame | None,
) -> Behaviour:
    """Return what a prescriber does in the clinic of a configuration.

    Args:
        config: Resolved.
        episodes: One row per episode.
        steps: One row per (episode, step); None where they were not kept.
        patients: One row per (episode, step, patient); None likewise.
    """
    return behaviour_of(
        episodes,
        steps,
        patients,
        groups=group_names(config),
        sees_time=bool((config.get("environment") or {}).get("include_time_remaining")),
    )


def _about(played: Played) -> str:
    target = str((played.config.get("agent_algorithm") or {}).get("_target_", "?"))
    chosen = (played.provenance.get("choices") or {}).get("agent_algorithm")
    clinic = (played.provenance.get("choices") or {}).get("experiment")
    environment = played.config.get("environment") or {}
    patients = counted(int(environment.get("num_patients_per_time_step") or 0), "patient")
    episodes = counted(len(played.episodes), "episode")
    place = f" in the simulated clinic {clinic}" if clinic else " in a simulated clinic"
    return (
        f"{chosen or target.rsplit('.', 1)[-1]} prescribes{place}: at each step {patients} "
        f"{'come' if patients != '1 patient' else 'comes'}, and it decides who is given which "
        f"antibiotic, or none. What it does was measured in {episodes} of "
        f"{environment.get('max_time_steps', '?')} steps."
    )


def _missing(played: Played) -> list[str]:
    again = shlex.join(["abx-evaluate", f"run={played.folder}", "card=true"])
    missing = []
    if played.steps is None:
        missing.append(
            f"At which resistance and when it treats: the steps were not kept. Make them: {again}"
        )
    groups = (played.config.get("patient_generator") or {}).get("populations") or ()
    if played.patients is None and (len(groups) > 1 or risk_is_seen(played.config)):
        missing.append(f"Whom it treats: the patients were not kept. Make them: {again}")
    if played.rule is None:
        best = best_rule_of(played.summary)
        other = shlex.quote(f"against={against_of(best)}")
        missing.append(
            "How it compares with a rule: no rule played the same episodes. "
            f"Make it: {again} {other}"
            if best is None
            else f"What {rule_in_words(best['name'])} does to the same patients: of that rule only "
            f"return and resistance were kept. Make the rest: {again} {other}"
        )
    return missing


def best_rule_of(summary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the best tuned rule that a summary knows of; None where it knows none."""
    rule = summary.get("best_rule")
    return rule if isinstance(rule, Mapping) and rule.get("name") else None


def against_of(rule: Mapping[str, Any] | None) -> str:
    """Return a rule with all its parameters, as abx-evaluate takes it behind against=.

    >>> against_of({"overrides": ["agent_algorithm=amr_threshold", "agent_algorithm.risk=0.9"]})
    '{rule: amr_threshold, risk: 0.9}'
    >>> against_of({"overrides": ["agent_algorithm=greedy"]}), against_of(None)
    ('greedy', 'amr_threshold')
    """
    pairs = [str(one).partition("=") for one in (rule or {}).get("overrides") or ()]
    own = {key: value for key, _, value in pairs if key.split(".")[0] == "agent_algorithm"}
    name = own.pop("agent_algorithm", "amr_threshold")
    if not own:
        return name
    given = ", ".join(f"{key.partition('.')[2]}: {value}" for key, value in own.items())
    return f"{{rule: {name}, {given}}}"


def _resistance(played: Played) -> list[str]:
    """Return the resistance at the end of an episode, and that of the best rule."""
    name, episodes = played.rule or (None, None)
    best = best_rule_of(played.summary) or {}
    theirs = levels_of(best.get("final_amr")) or levels_at_end(episodes)
    text = in_words(levels_at_end(played.episodes), theirs, best.get("name") or name)
    return [] if text is None else [text]


def _worth(played: Played) -> list[str]:
    """Return its return: the expectation first, the episodes' luck after it, against rules."""
    summary = played.summary
    name = (played.provenance.get("choices") or {}).get("agent_algorithm")
    returns = returns_in_words(summary, str(name or "It"))
    return [*returns, *against_in_words(summary)] if is_known(summary.get("mean_return")) else []


def sentences_of(behaviour: Behaviour) -> list[str]:
    """Return what a prescriber does, in words that follow from its numbers."""
    everybody = behaviour.everybody
    infected, others = behaviour.infected
    ending = behaviour.ending[1] if behaviour.ending is not None else None
    sentences = [
        f"It treats {_percent(everybody.treated)} of all patients: {_percent(infected)} of those "
        f"who have an infection, and {_percent(others)} of those who have none.",
        _with_what(everybody),
        *(_when_it_stops(stop, ending) for stop in behaviour.stops),
        *_in_the_end_game(behaviour),
        *_by_whom("of the group", behaviour.by_group),
        *_by_whom("with an observed probability of infection of", behaviour.by_risk),
    ]
    return [sentence for sentence in sentences if sentence]


def in_short(behaviour: Behaviour) -> list[str]:
    """Return whom a prescriber treats, with what, up to which resistance and of which group."""
    ending = behaviour.ending[1] if behaviour.ending is not None else None
    return [
        f"It treats {_percent(behaviour.everybody.treated)} of all patients.",
        _with_what(behaviour.everybody),
        *(_when_it_stops(stop, ending) for stop in behaviour.stops),
        *_by_whom("of the group", behaviour.by_group),
    ]


def _with_what(everybody: Share) -> str:
    given = sorted(everybody.given.items(), key=lambda item: -item[1])
    *most, last = [f"{name} to {_percent(share)}" for name, share in given]
    named = f"{', '.join(most)} and {last}" if most else last
    return f"It gives {named} of all patients, and no antibiotic to the others."


def _when_it_stops(stop: Stop, ending: Share | None) -> str:
    name, when = stop.antibiotic, "" if ending is None else "Before the end game, "
    if stop.between is None and stop.most < HARDLY:
        text = f"it hardly ever gives {name} ({_percent(stop.share)} of patients)."
    elif stop.between is None:
        text = (
            f"it does not stop giving {name} at any clear level of reported resistance: "
            f"{_percent(stop.share)} of patients are given it, at levels up to "
            f"{amr(stop.highest)}."
        )
    else:
        low, high = map(amr, stop.between)
        text = (
            f"it gives {name} to {_percent(stop.below)} of patients while its reported resistance "
            f"is at most {low}, and to {_percent(stop.above)} "
            f"{f'from {high} on' if low != high else 'above that'}. The highest level that it met "
            f"was {amr(stop.highest)}."
        )
    return f"{when}{text}" if when else f"{text[0].upper()}{text[1:]}"


def _in_the_end_game(behaviour: Behaviour) -> list[str]:
    """Return what changes where treating surges before the end; else how it ends."""
    if behaviour.ending is None:
        return _at_the_end(behaviour.by_time)
    before, last = behaviour.ending
    given = ", ".join(f"{name} to {_percent(share)}" for name, share in last.given.items())
    return [
        f"From {last.who} on it plays an end game: it treats {_percent(last.treated)} of patients "
        f"({given}), {_percent(before.treated)} before that. An end that only the simulation has "
        "is no reason in a clinic.",
        "High resistance and the end of the episode coincide: that it gives an antibiotic there in "
        "spite of its resistance comes of the end, and says nothing of any other time.",
    ]


def _at_the_end(parts: Sequence[Share]) -> list[str]:
    """Return what changes in an episode's last part, against all before it."""
    if len(parts) < 2:
        return []
    *before, last = parts
    came = sum(part.patients for part in before)
    usual = sum(part.treated * part.patients for part in before) / came
    change, over_all = abs(last.treated - usual), abs(last.treated - parts[0].treated)
    if change < _CHANGED and change <= max(_FEW, usual / 4):
        if over_all >= _CHANGED or over_all > max(_FEW, usual / 4):
            way = "falls" if last.treated < parts[0].treated else "rises"
            return [
                f"From the first to the last of {len(parts)} parts of an episode the share that it "
                f"treats {way} from {_percent(parts[0].treated)} to {_percent(last.treated)}."
            ]
        return [
            f"It treats alike all the time: {_percent(last.treated)} of patients in the last part "
            f"of an episode ({last.who}), {_percent(usual)} before it."
        ]
    is_more = last.treated > usual
    why = (
        "An end that only the simulation has is no reason in a clinic."
        if is_more
        else "Resistance may have grown by then: the table by its level tells."
    )
    return [
        f"It treats {'more' if is_more else 'less'} towards the end of an episode: "
        f"{_percent(last.treated)} of patients in {last.who}, {_percent(usual)} before that. {why}"
    ]


def _by_whom(what: str, shares: Sequence[Share]) -> list[str]:
    came = sum(share.patients for share in shares)
    shares = [share for share in shares if share.patients >= _FEW * came]
    if len(shares) < 2:
        return []
    most, least = (pick(shares, key=lambda share: share.treated) for pick in (max, min))
    if most.treated - least.treated < HARDLY:
        return [
            f"It treats patients {what} {most.who} and {what} {least.who} about alike: "
            f"{_percent(most.treated)} and {_percent(least.treated)} of them."
        ]
    return [
        f"It treats {_percent(most.treated)} of the patients {what} {most.who}, and "
        f"{_percent(least.treated)} of those {what} {least.who}."
    ]


def _percent(share: float | None) -> str:
    """Return a share in percent; what is not none is not called none.

    >>> _percent(0.123), _percent(0.0004), _percent(0.0), _percent(float("nan"))
    ('12 %', 'under 1 %', '0 %', 'unknown')
    """
    if share is None or share != share:
        return "unknown"
    if 0 < share < 0.01:
        return "under 1 %"
    return f"{100 * share:.0f} %"
