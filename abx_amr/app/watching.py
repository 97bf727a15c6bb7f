"""How a command stands: its state, its curve, its trials, its log; read from its files alone."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.app.curves import Line, drawn, run_curve
from abx_amr.app.listing import Entry
from abx_amr.errors import InputError, first_line
from abx_amr.runs.folder import RunFolder

if TYPE_CHECKING:
    from abx_amr.studies.records import TrialRecord

_MOST_LINES = 5
_MOST_TRIALS = 12


def curve_of(root: Path, entries: list[Entry]) -> Any:
    """Return the curves of runs as SVG, None where there is none yet.

    Of one run, and of several against the same rule, the clinic's best rule is drawn, too, which
    is known once a run is finished.
    """
    lines = []
    for entry in entries[:_MOST_LINES]:
        if entry.kind == "run":
            label = entry.name if len(entries) > 1 else "mean return"
            lines.append(Line(name=label, points=run_curve(root / entry.at)))
    rules = {entry.rule_value for entry in entries if entry.rule_value is not None}
    level = ("the best rule", rules.pop()) if len(rules) == 1 else None
    shown = [line for line in lines if line.points]
    return drawn(shown, across="transitions", up="mean return", level=level)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How much of their training runs had behind them at their last evaluations.

    Attributes:
        share: Of the training, 0..1.
        left: Seconds that the rest takes at the rate so far; None where no rate is known.
    """

    share: float
    left: float | None


def progress_of(root: Path, entries: list[Entry], *, began: str) -> Progress | None:
    """Return how far the training of runs is, None where that cannot be told.

    Args:
        root: The project's top.
        entries: The runs.
        began: When their training began, as ISO 8601; "" where that is not known.
    """
    shares, looked = [], 0.0
    for entry in entries:
        folder = RunFolder(root / entry.at)
        curve = run_curve(root / entry.at)
        try:
            config = folder.read_config()
            planned = int(config["training"]["total_num_training_episodes"])
            steps = planned * int(config["environment"]["max_time_steps"])
        except (InputError, KeyError, TypeError, ValueError):
            return None
        shares.append(min(1.0, curve[-1][0] / steps) if curve and steps > 0 else 0.0)
        with contextlib.suppress(OSError):
            looked = max(looked, folder.evaluations_file.stat().st_mtime)
    if not shares:
        return None
    share = sum(shares) / len(shares)
    return Progress(share=share, left=_left(share, began, looked))


def _left(share: float, began: str, looked: float) -> float | None:
    """Return the seconds left, from the share that was done at a moment."""
    try:
        spent = looked - datetime.fromisoformat(began).timestamp()
    except ValueError:
        return None
    if not 0.0 < share < 1.0 or spent <= 0.0:
        return None
    return max(0.0, spent / share * (1.0 - share) - (time.time() - looked))


def study_standing(path: Path) -> dict[str, Any]:
    """Return how a study is, from its storage; runs in a worker.

    Returns:
        finished, budget, running, failed, best; workers: lines; trials: number, value, state of
        the newest; values: of all, in order. Only `problem` where it cannot be read.
    """
    from abx_amr.reports.subjects.study import own_storages
    from abx_amr.studies.overview import overview_of_stored
    from abx_amr.studies.stored import read_study

    for storage in own_storages(path):
        try:
            names = storage.names()
            name = path.name if path.name in names else names[0]
            now, study = overview_of_stored(storage, name), read_study(storage, name)
        except (InputError, IndexError) as error:
            return {"problem": first_line(error)}
        values = [(t.number, t.value) for t in study.trials if t.value is not None]
        return {
            "finished": now.n_finished,
            "budget": now.budget,
            "unit": now.unit,
            "running": now.n_running,
            "failed": now.n_failed,
            "best": now.best_value,
            "best_trial": now.best_trial,
            "left": now.remaining_seconds,
            "final": None if now.final_planned is None else (now.final_done, now.final_planned),
            "is_final_over": now.is_final_over,
            "workers": [
                f"{worker.name}: {worker.n_finished} finished"
                + ("" if worker.trial is None else f", at trial {worker.trial}")
                for worker in now.workers
            ],
            "trials": [
                (t.number, t.value, trial_state(t))
                for t in list(study.trials)[-_MOST_TRIALS:][::-1]
            ],
            "values": values,
        }
    return {"problem": "its trials are not in its folder: a server holds them"}


def trial_state(trial: TrialRecord) -> str:
    """Return in words how a trial stands."""
    if trial.is_finished:
        return "out of the race" if trial.state == "PRUNED" else "finished"
    if trial.was_interrupted:
        return "interrupted"
    if trial.state == "FAIL":
        return "failed"
    return "at work" if trial.is_at_work else "waiting"


def study_curve(standing: Mapping[str, Any]) -> Any:
    """Return the values of trials and the best so far, as SVG."""
    values = sorted(standing.get("values") or [])
    best: list[tuple[float, float]] = []
    for number, value in values:
        best.append((float(number), max(value, best[-1][1]) if best else value))
    return drawn(
        [
            Line(name="best so far", points=best),
            Line(name="trial", points=[(float(n), v) for n, v in values], is_dotted=True),
        ],
        across="trial",
        up="value",
    )


def event(name: str, content: Mapping[str, Any]) -> str:
    """Return a server-sent event; what it holds is one line of JSON.

    >>> print(event("part", {"id": "log"}).replace(chr(10), "|"))
    event: part|data: {"id": "log"}||
    """
    return f"event: {name}\ndata: {json.dumps(content)}\n\n"
