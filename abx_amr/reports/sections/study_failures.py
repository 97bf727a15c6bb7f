"""What failed in a study, why, and what was tried again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from abx_amr.errors import counted
from abx_amr.reports.subjects import StudySubject
from abx_amr.reports.tables import Cell, Column
from abx_amr.reports.templating import fill
from abx_amr.reports.wording import is_known
from abx_amr.studies.records import INTERRUPTED

NAME = "Failures and retries"
PAGES = ("study",)
ORDER = 40


def render(subject: StudySubject) -> Markup | None:
    """Return a row per failed trial and seed; None where there is no trial yet."""
    trials, seeds = subject.trials, subject.seeds
    if trials.empty:
        return None
    rows = [
        [Cell(str(row["number"]), float(row["number"])), "whole trial", _text(row), _retry(row)]
        for row in trials.to_dict("records")
        if row["state"] == "FAIL" and not was_interrupted(row)
    ]
    if "seed_failure" in seeds:
        rows += [
            [
                Cell(str(row["number"]), float(row["number"])),
                f"seed {row['seed']}",
                str(row["seed_failure"]),
                "",
            ]
            for row in seeds[seeds["seed_failure"].notna()].to_dict("records")
        ]
    retried = int(trials["retry_of"].notna().sum()) if "retry_of" in trials else 0
    sentence = (
        f"No trial and no seed failed. {_retried(retried)}"
        if not rows
        else f"{counted(len(rows), 'failure')}. {_retried(retried)}"
    )
    interrupted = sum(was_interrupted(row) for row in trials.to_dict("records"))
    if interrupted:
        sentence += f" {counted(interrupted, 'attempt')} interrupted, which is no failure."
    collapsed = subject.summary.get("n_trials_with_collapsed_seeds")
    if is_known(collapsed):
        sentence += (
            f" {_of_seeds(int(collapsed))}: it trained to its end and counts (Words: collapsed)."
            if collapsed
            else " No policy of the search collapsed."
        )
    columns = [Column("trial", numeric=True), Column("what"), Column("why"), Column("attempt")]
    return fill("study_failures.html", sentence=sentence, columns=columns, rows=rows)


def was_interrupted(trial: Mapping[Any, Any]) -> bool:
    """Return whether a trial's worker was interrupted, which says nothing about the trial."""
    return trial["state"] == "FAIL" and trial.get("failure") == INTERRUPTED


def _of_seeds(count: int) -> str:
    return f"In {counted(count, 'trial')} the policy of a seed collapsed (column collapsed above)"


def _text(row: Mapping[Any, Any]) -> str:
    reason = row.get("failure")
    return str(reason) if isinstance(reason, str) else "no reason was recorded"


def _retry(row: Mapping[Any, Any]) -> str:
    of = row.get("retry_of")
    return f"again what trial {int(of)} tried" if is_known(of) else ""


def _retried(count: int) -> str:
    return "Nothing was tried again." if not count else f"{counted(count, 'trial')} tried again."
