"""What a study has searched, what it has found, and what that is worth."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.evaluation.statistics import t_interval
from abx_amr.reports.clinic import clinic_in_words
from abx_amr.reports.finals import DEFAULT, Final, compared, compared_at, final_of, named, within
from abx_amr.reports.resistance import aim_in_words, in_words, key_figure, levels_of
from abx_amr.reports.sections.study_failures import was_interrupted
from abx_amr.reports.sections.study_final import resistance_of
from abx_amr.reports.sections.study_learning import rising_of
from abx_amr.reports.sections.study_repeat import NAME as REPEAT
from abx_amr.reports.sections.study_repeat import (
    lengths_in_words,
    plan_command,
    train_command,
    trained_run,
)
from abx_amr.reports.sections.study_treating import told_of
from abx_amr.reports.sources_of_gap import sources_in_words
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.tables import KeyFigure
from abx_amr.reports.templating import fill, labelled
from abx_amr.reports.treating import groups_in_words, treated_in_words
from abx_amr.reports.wording import (
    collapse_in_words,
    interval,
    is_known,
    number,
    reached,
    rule,
    short,
    signed,
    what_a_rule_does,
)
from abx_amr.reports.worth import compared as compared_with
from abx_amr.reports.worth import optimum_name, reference_in_words, with_command
from abx_amr.studies.best import unlike_summary
from abx_amr.studies.members import AGENT, members_in

NAME = "Verdict"
PAGES = ("study",)
ORDER = 0

_CHOSEN = (
    "It was chosen by these evaluation episodes and looks better than it is: what the settings are "
    "worth, also against the default, is measured on other seeds and episodes (Repeat it, go on)."
)


def render(subject: StudySubject) -> Markup:
    """Return the three sentences and the figures they rest on."""
    best = subject.best
    sentences: list[str | Markup]
    if best is None:
        sentences = [f"Of {counted(_how_many(subject), 'finished trial')} none has a value yet."]
    else:
        final = final_of(subject.summary)
        told = _searched(subject, best) if final is None else _selected(subject, best, final)
        sentences = [*told]
    clinic = clinic_in_words(subject.config)
    sentences.append(clinic or "Of which clinic is not known here.")
    return fill(
        "verdict.html",
        sentences=sentences,
        warning=_warning(subject),
        keys=[] if best is None else _keys(subject, best),
    )


def _searched(subject: StudySubject, best: dict[str, Any]) -> list[Markup]:
    """Return what a search without a final has found, by the episodes that chose it."""
    seeds = len(best_seeds(best))
    found = (
        f"The best of {_how_many(subject)} settings of {agent_of(subject)} that were tried earns a "
        f"mean return of {number(best.get('mean_reward'))} per episode over "
        f"{counted(seeds, 'training seed')} (standard deviation {number(best.get('std_reward'))})."
    )
    settings = f"Trial {best.get('number')}: {_in_short(best.get('params') or {})}."
    told = [
        labelled("What was found", found, _CHOSEN),
        labelled("Its settings", settings),
        *_worth(best, plan_command(subject)),
        labelled("Whom it treats", *_treated(subject, best.get("treatments"), "it")),
        labelled("Resistance", _resistance(best), aim_in_words(subject.config)),
        labelled("To use it", *_use(subject)),
    ]
    return [sentence for sentence in told if sentence]


def _treated(subject: StudySubject, told: Any, whose: str) -> list[str]:
    """Return whom the winner treats as far as it was kept, and where the rest can be read."""
    text = treated_in_words(told, whose=whose)
    if text is None:
        return []
    sentences = [f"{text}.", *told_of(told)]
    if groups := groups_in_words(told):
        sentences.append(groups)
    if len(sentences) > 1 or not subject.folder.best_params_file.is_file():
        return sentences
    return [
        f"{text}. Whom, and when it stops, is on the page of a training with these settings: "
        f"{train_command(subject)}; then abx-report {shlex.quote(trained_run(subject))}"
    ]


def _use(subject: StudySubject) -> list[str]:
    """Return how an agent is trained with the settings, and for how long."""
    if not subject.folder.best_params_file.is_file():
        return []
    said = lengths_in_words(subject)
    long = f" ({said})" if said else ""
    return [
        f"“{REPEAT}” has the command that made the study, and the one that trains agents with "
        f"these settings{long}."
    ]


def _resistance(best: Mapping[str, Any]) -> str:
    """Return the resistance at the end of an episode, where the trial has kept it."""
    rule = best.get("best_rule") or {}
    ours, theirs = levels_of(best.get("final_amr")), levels_of(rule.get("final_amr"))
    said = in_words(ours, theirs, rule.get("name"))
    return said or "The resistance at the end of an episode was not kept."


def _selected(subject: StudySubject, best: dict[str, Any], final: Final) -> list[Markup]:
    """Return what the final has selected, what that is worth held out, and what the search said."""
    episodes = "episodes" if final.episodes is None else counted(final.episodes, "episode")
    worth = labelled(
        "What won",
        f"Held out, on {final.seeds_in_words} and on {episodes} that had chosen nothing, "
        f"{named(final.selected)} earns {number(final.winner.mean)} per episode"
        f"{within(final.winner.ends)}: this is the value to quote.",
    )
    search = (
        f"It had found trial {best.get('number')} the best of {_how_many(subject)} "
        f"settings of {agent_of(subject)}: a mean return of {number(best.get('mean_reward'))} over "
        f"{counted(len(best_seeds(best)), 'training seed')} (standard deviation "
        f"{number(best.get('std_reward'))}) on the episodes that chose it."
    )
    told = [
        worth,
        labelled("Its settings", f"{_in_short(final.params)}." if final.params else None),
        labelled(
            "Against the default",
            compared(final),
            compared_at(subject.tuning, subject.config),
            rising_of(subject),
        ),
        *_worth(final.limits, plan_command(subject)),
        labelled(
            "Whom it treats", *_treated(subject, final.winner.treatments, named(final.selected))
        ),
        labelled("Resistance", resistance_of(final), aim_in_words(subject.config)),
        labelled("The search", search),
        labelled("To use it", *_use(subject)),
    ]
    return [sentence for sentence in told if sentence]


def _in_short(params: Mapping[str, Any]) -> str:
    """Return settings by the last part of their names."""
    return ", ".join(f"{path.rsplit('.', 1)[-1]} {short(v)}" for path, v in params.items())


def agent_of(subject: StudySubject) -> str:
    """Return what the tuned agent is called."""
    if members := members_in(subject.tuning).get(AGENT):
        return " or ".join(members)
    target = (subject.config.get("agent_algorithm") or {}).get("_target_")
    return str(target).rpartition(".")[2] if target else "the agent"


def _how_many(subject: StudySubject) -> int:
    """Return how many trials have finished."""
    finished, race = (subject.summary.get(name) for name in ("n_finished", "race"))
    if race:
        return int(race["points"])
    if isinstance(finished, int):
        return finished
    return int(subject.trials["state"].isin(["COMPLETE", "PRUNED"]).sum())


def _worth(best: Mapping[str, Any], plan: str) -> list[Markup | None]:
    """Return how a mean return compares with the best rule and the optimum, where that is told."""
    sentences = []
    found = best.get("best_rule")
    if isinstance(found, dict):
        difference = found.get("difference") or {}
        text = (
            f"{compared_with(found.get('verdict'))} the best tuned rule, "
            f"{rule(found.get('name'))}{_in_words(found)}, which earns "
            f"{number(found.get('mean_return'))}: the "
            f"difference is {signed(difference.get('mean'))} "
            f"({interval(difference.get('interval_95'))}{_over(difference)})."
            f"{'' if is_known(difference.get('seeds')) else _over_seeds(found, best)}"
        )
        sentences.append(labelled("Against the best rule", text))
    gap, note = best.get("optimality_gap"), best.get("optimum_note")
    if is_known(gap):
        share = best.get("share_of_range")
        gained = f" It {_is_worse(share)}{reached(share)}{_never(best)}." if is_known(share) else ""
        if note:
            gained = gained.replace("reaches", "reaches at least")
        text = f"It is {number(gap)} below {reference_in_words(best)}.{gained}"
        sources = sources_in_words(best.get("gap"), plan)
        sentences.append(labelled("Against the optimum, and why", text, sources))
    elif note:
        text = f"How far it is from the optimum is not known: {with_command(note, plan)}"
        sentences.append(labelled("Against the optimum", text))
    return sentences


def _warning(subject: StudySubject) -> str | None:
    lines = []
    if subject.summary.get("status") == "unfinished":
        lines.append("The study is unfinished: the same abx-tune command goes on with it.")
    trainings = subject.summary.get("final_trainings") or {}
    if subject.summary.get("final") is None and trainings.get("planned"):
        lines.append(
            f"Its final has made {trainings.get('done')} of {trainings['planned']} trainings: what "
            "the winner is worth is not known before they are over."
        )
    if (different := unlike_summary(subject.folder)) is not None:
        lines.append(f"{different}.")
    failed = subject.summary.get("n_all_seeds_failed")
    if failed:
        lines.append(f"{counted(failed, 'trial')} failed on all seeds.")
    collapsed = (subject.best or {}).get("collapsed_seeds")
    if collapsed:
        seeds = ", ".join(f"seed {s}: {collapse_in_words(k)}" for s, k in collapsed.items())
        many = len(best_seeds(subject.best))
        mean = (
            "all of its policies did."
            if len(collapsed) >= many
            else "its mean is one over policies that learned and policies that did not."
        )
        lines.append(
            f"{len(collapsed)} of the {counted(many, 'training seed')} of the best trial collapsed "
            f"({seeds}): {mean}"
            f"{_without_collapse(subject)}"
        )
    return " ".join(lines) or None


def best_seeds(best: Mapping[str, Any] | None) -> list[float]:
    """Return the mean return of each training seed of a trial."""
    returns = [s.get("episode_return") for s in (best or {}).get("seeds") or []]
    return [float(r) for r in returns if is_known(r)]


def _without_collapse(subject: StudySubject) -> str:
    """Return the best trial of whose seeds none collapsed, where it may be as good as the winner.

    As good: its value lies within the winner's standard error over seeds.
    """
    best, trials = subject.best or {}, subject.trials
    seeds = best_seeds(best)
    if "collapsed" not in trials or len(seeds) < 2:
        return ""
    sign = -1.0 if subject.summary.get("direction") == "minimize" else 1.0
    values = pd.to_numeric(trials["value"], errors="coerce")
    whole = trials[(trials["collapsed"] == 0) & np.isfinite(values)]
    if whole.empty:
        return " No trial is without a collapsed seed."
    row = whole.loc[(sign * values[whole.index]).idxmax()]
    behind = sign * (float(best["value"]) - float(row["value"]))
    error = float(np.std(seeds, ddof=1)) / math.sqrt(len(seeds))
    said = (
        f" The best trial without a collapsed seed is trial {int(row['number'])}: value "
        f"{number(row['value'])}, mean return {number(row.get('mean_reward'))} (standard "
        f"deviation {number(row.get('std_reward'))})."
    )
    if behind <= error:
        return (
            f"{said} That is within the winner's standard error over its seeds ({number(error)}): "
            "which of the two is better is not known, and the steadier may be the better choice."
        )
    return said


def _over(difference: Mapping[str, Any]) -> str:
    """Return what an interval of a difference is one over."""
    episodes = difference.get("episodes")
    count = (
        f" {counted(int(episodes), 'evaluation episode')}" if is_known(episodes) else " episodes"
    )
    if is_known(seeds := difference.get("seeds")):
        return f", 95 % interval over {counted(int(seeds), 'training seed')} and{count}"
    return f", 95 % interval over{count}, not over training seeds"


def _over_seeds(rule: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    """Return the same difference with its interval over training seeds."""
    seeds, theirs = best_seeds(best), rule.get("mean_return")
    if len(seeds) < 2 or not is_known(theirs):
        return ""
    ends = t_interval(np.array(seeds) - theirs)
    hint = (
        " another training may turn out otherwise."
        if ends[0] <= 0 <= ends[1]
        else " another training is likely to say the same."
    )
    return (
        f" Over its {len(seeds)} training seeds the interval of that difference is "
        f"{interval(ends)}:{hint}"
    )


def _in_words(found: Mapping[str, Any]) -> str:
    words = what_a_rule_does(found.get("name"))
    return f" ({words})" if words else ""


def _never(told: Mapping[str, Any]) -> str:
    """Return what never treating earns, where that is told."""
    references = (told.get("gap") or {}).get("references") or {}
    value = references.get("never")
    return f", which earns {number(value)}" if is_known(value) else ""


def _is_worse(share: float) -> str:
    return "is " if share < 0 else ""


def _keys(subject: StudySubject, best: dict[str, Any]) -> list[KeyFigure]:
    final = final_of(subject.summary)
    keys = [] if final is None else _held_out(final)
    weight = subject.summary.get("stability_penalty_weight")
    valued = f"mean − {number(weight, 2)} · std over seeds"
    name = "best value" if final is None else "the search's best value"
    keys.append(
        KeyFigure(f"{name} (trial {best.get('number')})", number(best.get("value")), valued)
    )
    if final is None:
        keys.append(KeyFigure("mean return", number(best.get("mean_reward")), _seed_range(best)))
        keys += _gap(best)
    states = subject.trials["state"].value_counts()
    interrupted = sum(was_interrupted(trial) for trial in subject.trials.to_dict("records"))
    failed = int(states.get("FAIL", 0)) - interrupted
    keys.append(
        KeyFigure(
            "trials",
            str(int(states.get("COMPLETE", 0) + states.get("PRUNED", 0))),
            f"{failed} failed" if failed else "none failed",
        )
    )
    return keys


def _held_out(final: Final) -> list[KeyFigure]:
    """Return what winner and default are worth held out, and how far from the optimum that is."""
    name = f"held out ({named(final.selected)})"
    keys = [KeyFigure(name, number(final.winner.mean), interval(final.winner.ends))]
    if final.selected != DEFAULT:
        value, ends = final.default.mean, final.default.ends
        keys.append(KeyFigure("held out (the default)", number(value), interval(ends)))
    if levels := final.winner.final_amr:
        keys.append(key_figure(levels))
    return [*keys, *_gap(final.limits)]


def _gap(told: Mapping[str, Any]) -> list[KeyFigure]:
    if not is_known(told.get("optimality_gap")):
        return []
    share = reached(told.get("share_of_range"))
    return [KeyFigure(f"gap to the {optimum_name(told)}", number(told["optimality_gap"]), share)]


def _seed_range(best: dict[str, Any]) -> str:
    returns = [s.get("episode_return") for s in best.get("seeds") or []]
    known = [r for r in returns if is_known(r) and math.isfinite(r)]
    return f"seeds {number(min(known))} to {number(max(known))}" if known else ""
