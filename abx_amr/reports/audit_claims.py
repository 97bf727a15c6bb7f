"""Points of an audit of what a study is said to have found: held out, beaten, repeatable."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping

from abx_amr.errors import counted
from abx_amr.reports.audited import AuditedStudy, Finding, best_of, is_same
from abx_amr.reports.audited import named as named_values
from abx_amr.reports.finals import DEFAULT, Final, compared, compared_at, final_of, named, within
from abx_amr.reports.wording import is_known, number, percent, signed
from abx_amr.studies.space import flatten

#: What a discount factor alone may cost, as a share of the range from never treating.
DISCOUNT_SHARE = 0.05
NEEDED_VERSIONS = ("python", "abx-amr", "optuna", "torch", "stable-baselines3", "numpy")


def winner_held_out(study: AuditedStudy) -> Finding:
    """Whether the winner was evaluated with seeds and episodes that did not choose it."""
    final = final_of(study.summary)
    if final is None:
        return None, (
            "the study kept no final, so its winner's value is that by which it won; one on seeds "
            f"and episodes that chose nothing: abx-study confirm {shlex.quote(study.name)}"
        )
    searched = {seed.seed for trial in study.trials for seed in trial.seeds}
    chose = {*final.fresh_seeds, *searched}
    if common := sorted(chose & {*final.seeds}):
        return False, f"held-out seed {named_values(common)} had chosen the winner"
    if wrong := _other_than_told(final):
        return False, wrong
    best = _best_candidate(study, final)
    if best is not None and best != final.selected:
        return False, (
            f"{named(final.selected)} is said to be selected, but {named(best)} has the best "
            "objective on fresh seeds"
        )
    return True, (
        f"{named(final.selected)}, selected on {counted(len(final.fresh_seeds), 'fresh seed')}, "
        f"trained again on {counted(len(final.seeds), 'seed')} from {min(final.seeds)} on, which "
        f"had chosen nothing: {final.winner.in_words}; the best value of "
        f"the search was {number(final.found)}"
    )


def _other_than_told(final: Final) -> str | None:
    """Return where a held-out mean is not that of its seeds; None: nowhere."""
    for name, told in (("the winner", final.winner), ("the default", final.default)):
        if not told.returns or told.mean is None:
            continue
        mean = math.fsum(told.returns) / len(told.returns)
        if not is_same(mean, told.mean):
            return (
                f"the held-out mean of {name} is said to be {told.mean:g}, its seeds give {mean:g}"
            )
    return None


def _best_candidate(study: AuditedStudy, final: Final) -> int | str | None:
    """Return the point with the best objective, the first of equals; None: none has one."""
    sign = -1.0 if study.summary.get("direction") == "minimize" else 1.0
    known = [one for one in final.candidates if is_known(one.get("objective"))]
    best = max(known, key=lambda one: sign * float(one["objective"]), default=None)
    return None if best is None else best["point"]


def default_beaten(study: AuditedStudy) -> Finding:
    """Whether the winner is better than what the configuration has without a search."""
    final = final_of(study.summary)
    if final is not None:
        return _beaten_in_the_final(study, final)
    direction = study.summary.get("direction")
    defaults = flatten({k: v for k, v in study.config.items() if isinstance(v, Mapping)})
    tried = [
        trial
        for trial in study.finished
        if trial.params
        and all(path in defaults for path in trial.params)
        and all(is_same(defaults[path], value) for path, value in trial.params.items())
    ]
    best = best_of(study, direction)
    if not tried or best is None:
        return None, (
            "the values that the configuration has without a search were not among the trials: "
            "train them with abx-train and compare with abx-gather"
        )
    default = tried[0]
    if default.value is None or best.value is None:
        return None, f"trial {default.number}, the default, has no value"
    said = (
        f"best {number(best.value)} (trial {best.number}), default {number(default.value)}, by the "
        "episodes that chose the best"
    )
    sign = 1.0 if direction == "maximize" else -1.0
    if sign * (best.value - default.value) <= 0:
        return False, f"{said} (trial {default.number}): the search found nothing better"
    return True, f"{said} (trial {default.number})"


def _beaten_in_the_final(study: AuditedStudy, final: Final) -> Finding:
    """Whether the winner is better than the default on seeds that had chosen neither."""
    ends = final.difference.ends
    follows: bool | None = None
    if final.selected == DEFAULT:
        follows = False
    elif ends is not None and all(map(is_known, ends)):
        is_minimised = study.summary.get("direction") == "minimize"
        low, high = (-ends[1], -ends[0]) if is_minimised else (ends[0], ends[1])
        follows = True if low > 0 else False if high < 0 else None
    if follows is not final.is_beaten:
        return False, (
            f"the default is said to be {'' if final.is_beaten else 'not '}beaten, which does not "
            f"follow from the difference {signed(final.difference.mean)}{within(ends)}"
        )
    return final.is_beaten, " ".join(
        filter(None, (compared(final), compared_at(study.tuning, study.config)))
    )


def versions_recorded(study: AuditedStudy) -> Finding:
    """Whether the versions that results follow from are on record."""
    versions = study.summary.get("versions") or study.provenance.get("versions") or {}
    if not versions and "status" not in study.summary:
        return None, "study_summary.json, which records them, is not here"
    missing = [name for name in NEEDED_VERSIONS if not versions.get(name)]
    if missing:
        return False, f"not recorded: {', '.join(missing)}"
    commit = (study.provenance.get("git") or {}).get("commit")
    said = ", ".join(f"{name} {versions[name]}" for name in NEEDED_VERSIONS)
    return True, f"{said}{f'; commit {str(commit)[:12]}' if commit else ''}"


def discount_audited(study: AuditedStudy) -> Finding:
    """Whether the best trial's discount factor costs little by itself."""
    gap = study.best.get("gap") or {}
    references = gap.get("references") or {}
    parts = {part.get("name"): part for part in gap.get("parts") or ()}
    part = parts.get("discount") or {}
    cost = part.get("value")
    optimum, never = study.best.get("optimum"), references.get("never")
    if cost is None or optimum is None or never is None or not optimum > never:
        why = part.get("why_missing") or "what the best trial's discount factor costs is not kept"
        return None, f"what it costs is not known here: {str(why).removeprefix('not computed: ')}"
    share = cost / (optimum - never)
    gamma = references.get("own_discount")
    whose = f"the discount factor, {gamma:.4g}," if is_known(gamma) else "the discount factor"
    about = "about " if part.get("between") else ""
    said = (
        f"{whose} alone costs {about}{number(cost)} per episode, {percent(share)} of the range "
        "from never treating to the optimum"
    )
    return share <= DISCOUNT_SHARE, f"{said} (at most {percent(DISCOUNT_SHARE, 0)} passes)"
