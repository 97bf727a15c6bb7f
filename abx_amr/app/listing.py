"""What lies in a project's results: runs, evaluations, studies, plans, tables of abx-gather.

A folder is read once, and again when one of its few files has changed: hundreds stay quick. Who
made it, the application, a shell or SLURM, makes no difference.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from abx_amr.app.workplace import Workplace
from abx_amr.errors import InputError
from abx_amr.host.plain_files import read_json
from abx_amr.reports.finding import PLAN, TABLES
from abx_amr.reports.wording import number
from abx_amr.runs.folder import RunFolder
from abx_amr.studies.folder import StudyFolder, is_study_folder

Kind = Literal["run", "evaluation", "study", "plan", "set"]
State = Literal["complete", "runs", "stopped"]

#: Folders within folders of results that are looked into.
DEEPEST = 3
#: An unfinished folder in which nothing was written for so many seconds is taken for stopped.
QUIET_SECONDS = 90.0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is known of one folder without reading much of it.

    Attributes:
        at: Its path from the project's top.
        kind: What it is.
        name: What its user called it.
        moment: When it was begun, as ISO 8601 in the time of this machine.
        state: Whether it is complete, or somebody seems to be at it.
        clinic: The experiment.
        agent: Who prescribes.
        value: Mean return of a run, of a study's winner on held-out seeds (its best value where it
            has no final), optimum of a plan.
        compared: The verdict of that against the clinic's best rule; "" where unknown.
        rule_value: What the best rule is worth on the same episodes, where a run was compared.
        lacks_optimum: Whether a run waits for an abx-plan of its clinic to be held to the optimum.
        command: The command that made it.
    """

    at: str
    kind: Kind
    name: str
    moment: str = ""
    state: State = "complete"
    clinic: str = ""
    agent: str = ""
    seed: int | None = None
    value: float | None = None
    compared: str = ""
    difference: float | None = None
    rule_value: float | None = None
    lacks_optimum: bool = False
    command: str = ""
    progress: str = ""

    def fits(self, words: str) -> bool:
        """Return whether each of the words is in what is shown of it."""
        shown = f"{self.name} {self.kind} {self.clinic} {self.agent} {self.state} {self.at}"
        return all(word in shown.lower() for word in words.lower().split())


class Listing:
    """The entries of a project, kept by the state of their files."""

    def __init__(self, workplace: Workplace) -> None:
        """Name the project; nothing is read yet."""
        self.workplace = workplace
        self._kept: dict[Path, tuple[object, Entry]] = {}
        self._lock = threading.RLock()
        self.n_read = 0  #: folders whose files were opened, ever

    def entries(self) -> list[Entry]:
        """Return what there is, the newest first."""
        with self._lock:
            found = dict(self._folders())
            self._kept = {path: kept for path, kept in self._kept.items() if path in found}
            entries = [self._entry(path, kind) for path, kind in found.items()]
        return sorted(entries, key=lambda entry: (entry.moment, entry.at), reverse=True)

    def entry(self, path: Path) -> Entry:
        """Return that of a folder.

        Raises:
            InputError: it holds nothing of ours.
        """
        kind = kind_of(path)
        if kind is None:
            raise InputError(f"{self.workplace.name_of(path)} holds no run, study or plan")
        with self._lock:
            return self._entry(path, kind)

    def _folders(self) -> Iterator[tuple[Path, str]]:
        for top in dict.fromkeys((self.workplace.results, self.workplace.studies)):
            yield from _below(top, DEEPEST)

    def _entry(self, path: Path, kind: str) -> Entry:
        stamp = _stamp(path)
        kept = self._kept.get(path)
        if kept is not None and kept[0] == stamp and kept[1].state != "runs":
            return kept[1]
        self.n_read += 1
        entry = _READERS[kind](path, self.workplace.name_of(path))
        self._kept[path] = (stamp, entry)
        return entry


def kind_of(path: Path) -> str | None:
    """Return what a folder holds: run, study, plan, set; None: nothing of ours."""
    if (path / "config.yaml").is_file():
        return "run"
    if (path / PLAN).is_file():
        return "plan"
    if is_study_folder(path):
        return "study"
    if any((path / name).is_file() for name in TABLES):
        return "set"
    return None


def _below(folder: Path, depth: int) -> Iterator[tuple[Path, str]]:
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for each in found:
        if each.name.startswith(".") or not each.is_dir(follow_symlinks=False):
            continue
        path = Path(each.path)
        if (kind := kind_of(path)) is not None:
            yield path, kind
        elif depth > 1:
            yield from _below(path, depth - 1)


def _stamp(path: Path) -> tuple[int, ...]:
    names = ("summary.json", "evaluations.csv", "study_summary.json", PLAN, "conditions.csv")
    return tuple(_modified(path / name) for name in (*names, "trials", "."))


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _run(path: Path, at: str) -> Entry:
    folder = RunFolder(path)
    summary, facts = _json(folder.summary_file), _json(folder.provenance_file)
    choices = _section(facts, "choices")
    rule = _section(summary, "best_rule")
    is_evaluation = "evaluated_run" in facts
    seeds = _section(facts, "seeds")
    seed = summary.get("seed", seeds.get("training"))
    state: State = "complete" if summary else _state_of(path)
    return Entry(
        at=at,
        kind="evaluation" if is_evaluation else "run",
        name=folder.run_name,
        moment=_moment(facts, path),
        state=state,
        clinic=str(choices.get("experiment", "")),
        agent=str(choices.get("agent_algorithm", "")),
        seed=seed if isinstance(seed, int) else None,
        value=_number(summary.get("mean_return")),
        compared=str(rule.get("verdict", "")),
        difference=_number(_section(rule, "difference").get("mean")),
        rule_value=_number(rule.get("mean_return")),
        lacks_optimum="abx-plan" in str(summary.get("optimum_note") or ""),
        command=str(facts.get("command", "")),
    )


def _study(path: Path, at: str) -> Entry:
    folder = StudyFolder(path)
    summary, facts = _json(folder.summary_file), _json(folder.provenance_file)
    best = _section(summary, "best_trial")
    held_out = _section(_section(summary, "final"), "held_out")
    worth = _number(_section(held_out, "selected").get("mean"))
    rule = _section(held_out, "best_rule")
    budget = summary.get("budget", summary.get("n_trials"))
    finished = summary.get("n_finished")
    is_complete = summary.get("status") == "complete"
    if finished is None:
        finished = sum(1 for _ in _names(folder.trials_folder))
    command = str(facts.get("command", ""))
    choices = dict(word.lstrip("+").partition("=")[::2] for word in command.split() if "=" in word)
    return Entry(
        at=at,
        kind="study",
        name=str(summary.get("run_name") or path.name),
        moment=_moment(facts, path),
        state="complete" if is_complete else _state_of(path),
        clinic=choices.get("experiment", ""),
        agent=choices.get("tuning", ""),
        value=_number(summary.get("best_value", best.get("value"))) if worth is None else worth,
        compared=str(rule.get("verdict", "")),
        difference=_number(_section(rule, "difference").get("mean")),
        rule_value=_number(rule.get("mean_return")),
        command=command,
        progress=f"{finished} of {budget} trials" if budget else f"{finished} trials",
    )


def _plan(path: Path, at: str) -> Entry:
    content, facts = _json(path / PLAN), _json(path / "provenance.json")
    optimum = _section(content, "optimum")
    low, high = _number(optimum.get("lower")), _number(optimum.get("upper"))
    is_exact = low is not None and low == high
    within = "" if low is None or high is None else f"optimum {number(low)} to {number(high)}"
    return Entry(
        at=at,
        kind="plan",
        name=path.name,
        moment=_moment(facts, path),
        clinic=str(_section(facts, "choices").get("experiment", "")),
        value=high if is_exact else None,
        progress="" if is_exact else within,
        command=str(facts.get("command", "")),
    )


def _set(path: Path, at: str) -> Entry:
    return Entry(at=at, kind="set", name=path.name, moment=_moment({}, path))


_READERS = {"run": _run, "study": _study, "plan": _plan, "set": _set}


def _state_of(path: Path) -> State:
    """Return whether somebody seems to be at an unfinished folder: has it changed of late?"""
    newest = max(_modified(path / name) for name in (".", *_names(path)))
    return "runs" if time.time() - newest / 1e9 < QUIET_SECONDS else "stopped"


def _names(path: Path) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _moment(facts: Mapping[str, Any], path: Path) -> str:
    started = facts.get("started")
    try:
        moment = datetime.fromisoformat(str(started)).astimezone()
    except (ValueError, OverflowError):
        moment = datetime.fromtimestamp(_modified(path) / 1e9).astimezone()
    return moment.isoformat(timespec="seconds")


def _json(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except InputError:
        return {}


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
