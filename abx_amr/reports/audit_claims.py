"""Points of an audit of what a study is said to have found: held out, beaten, repeatable."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from abx_amr.reports.audited import AuditedStudy, Finding, best_of, is_same
from abx_amr.reports.repeating import given_by, settings_to_repeat
from abx_amr.studies.space import flatten

#: What a discount factor alone may cost, as a share of the range from never treating.
DISCOUNT_SHARE = 0.05
NEEDED_VERSIONS = ("python", "abx-amr", "optuna", "torch", "stable-baselines3", "numpy")


def winner_held_out(study: AuditedStudy) -> Finding:
    """Whether the winner was evaluated on episodes that did not choose it."""
    held_out = study.summary.get("held_out") or study.best.get("held_out")
    name = study.name
    if not isinstance(held_out, Mapping):
        return None, (
            "a study keeps no evaluation of its winner on episodes that did not choose it: its "
            f"value is that by which it won. To see for yourself: {_train_line(study)}, then "
            f"abx-evaluate run={shlex.quote(f'{name}_optimized')}"
        )
    chosen_by = (study.config.get("training") or {}).get("evaluation_seed")
    seed = held_out.get("evaluation_seed")
    if seed is None or seed == chosen_by:
        return False, f"the winner was held out on the episodes that chose it (seed {chosen_by})"
    return True, (
        f"the winner was evaluated on episodes of seed {seed}, chosen by those of seed "
        f"{chosen_by}: mean return {held_out.get('mean_return')}"
    )


def _train_line(study: AuditedStudy) -> str:
    """Return the command that trains with the best values, in the clinic of the study."""
    settings = settings_to_repeat(given_by(study.provenance, searched=study.best_params))
    return shlex.join(["abx-train", f"best_params_from={study.name}", *settings])


def default_beaten(study: AuditedStudy) -> Finding:
    """Whether the best trial is better than what the configuration has without a search."""
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
    said = f"best {best.value:g} (trial {best.number}), default {default.value:g}"
    sign = 1.0 if direction == "maximize" else -1.0
    if sign * (best.value - default.value) <= 0:
        return False, f"{said} (trial {default.number}): the search found nothing better"
    return True, f"{said} (trial {default.number})"


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
        return None, f"{why}; abx-plan says it for the clinic and agent_algorithm.gamma"
    share = cost / (optimum - never)
    said = f"the discount factor alone costs {cost:g}, {share:.1%} of the range from never treating"
    return share <= DISCOUNT_SHARE, f"{said} (at most {DISCOUNT_SHARE:.0%} passes)"
