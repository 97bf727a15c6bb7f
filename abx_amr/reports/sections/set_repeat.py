"""How the runs of a set are repeated, what each was made with, and what to compare next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePath

import pandas as pd
from markupsafe import Markup

from abx_amr.reports.members import Member
from abx_amr.reports.repeating import Repeated, command_of
from abx_amr.reports.subjects import SetSubject
from abx_amr.reports.tables import Column
from abx_amr.reports.templating import fill

NAME = "Repeat it, go on"
PAGES = ("set",)
ORDER = 80

_USUAL = "results"
_ELSEWHERE = "The folders of the runs are not here: each holds the command that made it."


def render(subject: SetSubject) -> Markup | None:
    """Return commands, versions and commit, and commands to paste; None without runs."""
    runs = subject.tables.get("runs")
    if runs is None or runs.empty:
        return None
    commands = {m.name: command for m in subject.members if (command := command_of(m.provenance))}
    distinct = list(dict.fromkeys(commands.values()))
    return fill(
        "set_repeat.html",
        repeated=Repeated(
            command=distinct[0] if len(distinct) == 1 else None,
            facts=shared_facts(subject.members),
            warning=_warning(subject.members),
            elsewhere=_ELSEWHERE if not distinct else "The commands that made the runs:",
        ),
        columns=[Column("run"), Column("command")],
        commands=[[name, text] for name, text in commands.items()] if len(distinct) > 1 else [],
        steps=_steps(runs),
    )


def shared_facts(members: Sequence[Member]) -> list[tuple[str, str]]:
    """Return versions, commit and platform of all runs; where they differ, each value."""
    found: dict[str, dict[str, None]] = {}
    for member in members:
        for name, value in Repeated.of(member.provenance).facts:
            found.setdefault(name, {})[value] = None
    own = ("training seed", "started")
    facts = [
        (name, next(iter(values)) if len(values) == 1 else f"{', '.join(values)} (runs differ)")
        for name, values in found.items()
        if name not in own
    ]
    seeds = [*found.get("training seed", ())]
    started = sorted(found.get("started", ()))
    if seeds:
        facts.insert(0, ("training seeds", ", ".join(seeds)))
    if started:
        facts.append(("started", started[0] if len(started) == 1 else f"from {started[0]} on"))
    return facts


def _warning(members: Sequence[Member]) -> str | None:
    return next((w for m in members if (w := Repeated.of(m.provenance).warning)), None)


def _steps(runs: pd.DataFrame) -> list[tuple[str, str]]:
    expects = "expected_return" in runs and runs["expected_return"].notna().all()
    worth = "expected_return" if expects else "return"
    best = runs.sort_values(worth, ascending=False).iloc[0]
    name, steps_trained = str(best.get("path") or best["run"]), best.get("steps")
    place = sorted({str(PurePath(str(path)).parent) for path in runs.get("path", ())})
    where = [f"results_dir={place[0]}"] if len(place) == 1 and place[0] != _USUAL else []
    steps = [("See the best run by itself, with what made it", ["abx-report", name])]
    if pd.notna(steps_trained) and float(steps_trained) > 0:
        fairly = ["evaluation.episodes=500", "against=greedy"]
        evaluate = ["abx-evaluate", f"run={name}", *fairly]
        steps.append(("Play it on 500 unseen episodes, against a rule", evaluate))
    steps.append(("Compare these with all other runs", ["abx-gather", *where]))
    return [(title, shlex.join(words)) for title, words in steps]
