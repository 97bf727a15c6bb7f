"""What tells runs apart: their clinics, and the conditions that are compared within a clinic.

Two runs have one clinic when every resolved value of it is the same and they were evaluated on the
same episodes; they have one condition when, beside that, everything but the seed is the same.
Labels hold every choice and value that tells them apart and that a command line named, and of the
others as few as are needed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from abx_amr.comparison.reading import GatheredRun
from abx_amr.comparison.settings import SEEN, leaves_of, text_of
from abx_amr.errors import InputError, counted, did_you_mean

CLINIC_SECTIONS = (
    "antibiotics",
    "amr_dynamics",
    "environment",
    "patient_generator",
    "reward_calculator",
)
_CHOSEN_FIRST = ("experiment", "agent_algorithm", "option_library", "hrl", "training")
_TARGET = "agent_algorithm._target_"
#: A study tells a reader more than what it chose: agent, values, length.
_STUDY = "best_params_from"
_LENGTH = "training.total_num_training_episodes"
_LONGEST_LABEL = 48
_LONG_NUMBER = re.compile(r"-?\d+\.\d{5,}(e-?\d+)?")
MISSING = "none"
RULES = "_rules"  # behind a condition of by=... that holds agents too

Classes = list[int]


def evaluation_of(run: GatheredRun) -> tuple[str, int]:
    """Return how a run was evaluated: the seed that names its episodes (and how), their number."""
    is_sampled = (run.config.get("evaluation") or {}).get("deterministic") is False
    seed = f"{run.facts['evaluation_seed']}{', actions sampled' if is_sampled else ''}"
    return seed, int(run.facts["episodes"])


def clinic_of(run: GatheredRun) -> str:
    """Return the resolved values of a run's clinic as text, however it was evaluated."""
    own = {p: v for p, v in run.settings.items() if is_of_clinic(p)}
    return json.dumps(sorted(own.items()))


def is_of_clinic(path: str) -> bool:
    """Return whether a value makes the clinic what it is, whatever is seen of it.

    >>> is_of_clinic("environment.max_time_steps"), is_of_clinic("environment.temporal_windows")
    (True, False)
    """
    return path.split(".")[0] in CLINIC_SECTIONS and path not in SEEN


def label_runs(
    runs: Sequence[GatheredRun], *, by: Sequence[str] = ()
) -> tuple[list[str], list[str], list[str]]:
    """Return the clinic and the condition of each run, and what is to be said about them.

    Args:
        runs: At least one.
        by: Groups and paths that make the conditions; none: whatever differs.

    Raises:
        InputError: `by` names what no run has.
    """
    settings = [run.settings for run in runs]
    in_clinic = [{p: v for p, v in s.items() if is_of_clinic(p)} for s in settings]
    outside = [
        {p: v for p, v in s.items() if p not in c} for s, c in zip(settings, in_clinic, strict=True)
    ]
    evaluations = [evaluation_of(run) for run in runs]
    where = _classes([_frozen(c) for c in in_clinic])
    clinics = _labels(
        runs, in_clinic, goal=where, start=[0] * len(runs), first=("experiment", *CLINIC_SECTIONS)
    )
    experiments = sorted({run.choices.get("experiment", "") for run in runs})
    if not any(clinics):
        clinics = ["/".join(filter(None, experiments)) or "clinic"] * len(runs)
    elif len(experiments) == 1:
        clinics = _behind(experiments[0], clinics)
    notes: list[str] = []
    if len(set(where)) > 1:
        notes.append(
            f"{len(set(where))} clinics: runs are compared within a clinic, never across clinics"
        )
    blocks = _classes(list(zip(where, evaluations, strict=True)))
    if len(set(blocks)) > len(set(where)):
        notes.append("runs evaluated on different episodes are not compared: each stands apart")
        clinics = [
            f"{clinic} (evaluation seed {seed}, {counted(episodes, 'episode')})"
            for clinic, (seed, episodes) in zip(clinics, evaluations, strict=True)
        ]
    goal = _classes([(b, _frozen(o)) for b, o in zip(blocks, outside, strict=True)])
    if by:
        conditions, apart = _rules_apart(runs, _by(runs, settings, by))
        notes += [f"{name} holds rules and agents (by=...): {name}{RULES} apart" for name in apart]
        pooled = _pooled(conditions, blocks, goal)
        notes += [f"{name} pools {count} different settings (by=...)" for name, count in pooled]
    else:
        conditions = _labels(runs, outside, goal=goal, start=blocks, first=_CHOSEN_FIRST)
        agents = [_agent(run) for run in runs]
        if not any(conditions):
            conditions = agents
        elif len(set(agents)) == 1:
            conditions = _behind(agents[0], conditions)
    return clinics, conditions, notes


def _rules_apart(
    runs: Sequence[GatheredRun], conditions: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the conditions with rules apart from agents, and the names of those that held both.

    A rule is the partner of every seed and an agent of its own seed alone: together they have none.
    """
    learned = {c for c, run in zip(conditions, runs, strict=True) if run.learned}
    mixed = learned & {c for c, run in zip(conditions, runs, strict=True) if not run.learned}
    taken = set(conditions) & {f"{name}{RULES}" for name in mixed}
    told = [
        f"{name}{RULES}" if name in mixed and not run.learned else name
        for name, run in zip(conditions, runs, strict=True)
    ]
    if taken:
        raise InputError(
            f"by: {', '.join(sorted(taken))} is a condition already, and rules of "
            f"{', '.join(sorted(mixed))} would be called so too: add a group such as "
            "agent_algorithm to by"
        )
    return told, sorted(mixed)


def _behind(name: str, labels: Sequence[str]) -> list[str]:
    """Return the labels behind the name that all share."""
    return [f"{name}_{label}" if name else label for label in labels]


def identity(run: GatheredRun) -> str:
    """Return everything that a run was asked for but its seed, as text."""
    return json.dumps([sorted(run.settings.items()), evaluation_of(run)])


def _agent(run: GatheredRun) -> str:
    target = str((run.config.get("agent_algorithm") or {}).get("_target_", "agent"))
    return run.choices.get("agent_algorithm") or target.rsplit(".", 1)[-1]


def _pooled(conditions: Sequence[str], blocks: Classes, goal: Classes) -> list[tuple[str, int]]:
    found: dict[tuple[str, int], set[int]] = {}
    for condition, block, settings in zip(conditions, blocks, goal, strict=True):
        found.setdefault((condition, block), set()).add(settings)
    most: dict[str, int] = {}
    for (condition, _), kinds in found.items():
        most[condition] = max(most.get(condition, 0), len(kinds))
    return sorted((name, count) for name, count in most.items() if count > 1)


def _by(
    runs: Sequence[GatheredRun], settings: Sequence[Mapping[str, str]], by: Sequence[str]
) -> list[str]:
    choices = {group for run in runs for group in run.choices}
    every = [{p: text_of(v) for p, v in leaves_of(run.config).items()} for run in runs]
    paths = {path for leaves in every for path in leaves}
    for key in by:
        if key in choices or key in paths:
            continue
        below = sorted(path for path in paths if path.startswith(f"{key}."))
        if below:
            raise InputError(f"by: {key} is a section: name a value of it, such as {below[0]}")
        raise InputError(
            f"by: no run has '{key}'{did_you_mean(key, choices | paths)} (a group such as "
            f"{', '.join(sorted(choices)[:4]) or 'experiment'}, or the path of a value)"
        )
    columns = [
        (
            key,
            [
                run.choices.get(key) if key in choices else leaves.get(key)
                for run, leaves in zip(runs, every, strict=True)
            ],
        )
        for key in by
    ]
    return _written(columns, choices)


def _labels(
    runs: Sequence[GatheredRun],
    leaves: Sequence[Mapping[str, str]],
    *,
    goal: Classes,
    start: Classes,
    first: Sequence[str],
) -> list[str]:
    """Return a label per run that tells the classes of `goal` apart within those of `start`."""
    groups = dict.fromkeys([*first, *sorted({g for run in runs for g in run.choices})])
    named = {key for run in runs for key in run.keys}
    paths = {path for each in leaves for path in each}
    sections = {path.split(".")[0] for path in paths}
    studies = [each.get(_STUDY) for each in leaves]
    candidates: list[tuple[str, list[Any]]] = [(_STUDY, studies)]
    candidates += [
        (group, [run.choices.get(group) for run in runs])
        for group in groups
        if group in sections or group in ("experiment", "tuning")
    ]
    ordered = sorted(paths - {_STUDY}, key=lambda p: (p != _TARGET, p not in named, p))
    candidates += [(path, [each.get(path) for each in leaves]) for path in ordered]
    # The line that a study ends with names the length too: it tells nothing beside the study.
    lengths = [
        each.get(_LENGTH) if _LENGTH in run.keys else None
        for each, run in zip(leaves, runs, strict=True)
    ]
    is_length_told = _varies(lengths, _together(start, _classes(studies)))
    columns: list[tuple[str, list[Any]]] = []
    reached = start
    for key, values in candidates:
        is_told = key in named & paths and _varies(values, start)
        if key == _LENGTH:
            is_told = is_length_told
        if _count(reached, goal) == _count(reached) and not is_told:
            continue
        # A name that differs where the settings are the same tells nothing.
        if _count(goal, _classes(values)) > _count(goal):
            continue
        refined = _together(reached, _classes(values))
        if _count(refined) > _count(reached) or is_told:
            reached = refined
            columns.append((key, values))
    for column in list(reversed(columns)):  # a later one may have made it superfluous
        rest = [other for other in columns if other is not column]
        told = _together(start, *(_classes(values) for _, values in rest))
        if column[0] == _STUDY or (column[0] in named & paths and column[0] != _LENGTH):
            continue
        if column[0] not in first and _count(told, goal) == _count(told):
            columns = rest
    return _written(columns, set(groups)) if columns else [""] * len(runs)


def _varies(values: Sequence[Any], within: Classes) -> bool:
    """Return whether a value differs between runs of one class that have it."""
    found: dict[int, set[Hashable]] = {}
    for value, one in zip(values, within, strict=True):
        if value is not None:
            found.setdefault(one, set()).add(value)
    return any(len(kinds) > 1 for kinds in found.values())


def _written(columns: Sequence[tuple[str, Sequence[Any]]], groups: set[str]) -> list[str]:
    """Return the labels: choices by their name, values behind the last part of their path."""
    last = [key.rsplit(".", 1)[-1] for key, _ in columns]
    parts: list[list[str]] = []
    for (key, values), short in zip(columns, last, strict=True):
        word = short if last.count(short) == 1 else key
        if key in groups:
            parts.append([MISSING if v is None else _plain(v) for v in values])
        elif key == _TARGET:
            parts.append([str(v).strip('"').rsplit(".", 1)[-1] for v in values])
        elif key == _STUDY:
            parts.append(["untuned" if v is None else f"tuned-{_plain(v)}" for v in values])
        else:
            short_values = _shortened(values)
            parts.append([word + (MISSING if v is None else _plain(v)) for v in short_values])
    rows = list(zip(*parts, strict=True))
    of_each = list(zip(*(values for _, values in columns), strict=True))
    whole = _distinct(["_".join(row) for row in rows], of_each)
    # What a run does not have need not be said, unless it is all that tells it apart.
    message = [
        "_".join(p for p, value in zip(row, own, strict=True) if value is not None)
        for row, own in zip(rows, of_each, strict=True)
    ]
    return message if all(message) and len(set(message)) == len(set(whole)) else whole


def _shortened(values: Sequence[Any]) -> list[Any]:
    """Return numbers of many digits in four of them, where these tell the values apart.

    >>> _shortened(["0.9905113559937229", "0.999", None])
    ['0.9905', '0.999', None]
    >>> _shortened(["0.99051135", "0.99051136"])
    ['0.99051135', '0.99051136']
    """
    short = [f"{float(v):.4g}" if _LONG_NUMBER.fullmatch(str(v)) else v for v in values]
    return short if len(set(short)) == len(set(values)) else list(values)


def _distinct(labels: Sequence[str], meant: Sequence[Hashable]) -> list[str]:
    """Return the labels, with a hash behind those that stand for several things.

    Args:
        labels: Equal for equal things.
        meant: What each stands for.
    """
    kinds: dict[str, set[Hashable]] = {}
    for label, thing in zip(labels, meant, strict=True):
        kinds.setdefault(label, set()).add(thing)
    return [
        label if len(kinds[label]) == 1 else f"{label}-{_hash(repr(thing))}"
        for label, thing in zip(labels, meant, strict=True)
    ]


def _plain(text: str) -> str:
    """Return a value so that it can stand in a label and on a command line.

    >>> _plain("-0.1"), _plain("[-1, 1]"), _plain("[]")
    ('-0.1', '-1-1', 'empty')
    """
    inner = re.sub(r"^[^\w.+-]+|[^\w.+-]+$", "", str(text))
    plain = re.sub(r"[^\w.+-]+", "-", inner) or "empty"
    if len(plain) <= _LONGEST_LABEL:
        return plain
    return f"{plain[: _LONGEST_LABEL - 7]}-{_hash(str(text))}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]


def _frozen(leaves: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(leaves.items()))


def _classes(values: Sequence[Hashable]) -> Classes:
    """Return a number per value, the same for equal values.

    >>> _classes(["b", "a", "b"])
    [0, 1, 0]
    """
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(value, len(numbers)) for value in values]


def _together(*classes: Classes) -> Classes:
    return _classes(list(zip(*classes, strict=True)))


def _count(*classes: Classes) -> int:
    return len(set(zip(*classes, strict=True)))
