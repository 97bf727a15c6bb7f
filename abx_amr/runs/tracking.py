"""What a tracker is told of each seed: its settings, its returns on the way, its result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from abx_amr.evaluation.episodes import Evaluation
from abx_amr.host.secrets import redacted
from abx_amr.runs.loop import Callback, Moment, Trainee
from abx_amr.studies.space import flatten
from abx_amr.tracking.guarded import GuardedTrack
from abx_amr.tracking.tracker import Setting, Track, TrackedSeed, Tracker

#: Moments of a training at which its return is told.
PARTS = 100
#: What a tracker is told of settings: what makes the agent and its clinic.
_TOLD = (
    *("antibiotics", "amr_dynamics", "environment", "patient_generator", "reward_calculator"),
    *("agent_algorithm", "hrl", "option_library", "training"),
)
Tracks = Mapping[int, Track]  # by seed


def settings_told(config: Mapping[str, Any]) -> dict[str, Setting]:
    """Return what a tracker is told of a configuration: path -> value, lists as text.

    >>> settings_told({"training": {"seed": 1, "seeds": None, "x": [1, 2]}, "run_name": "mine"})
    {'training.seed': 1, 'training.x': '[1, 2]'}
    """
    leaves = flatten({name: config[name] for name in _TOLD if name in config})
    return {
        path: value if isinstance(value, Setting) else str(value)
        for path, value in redacted(leaves).items()
        if value is not None
    }


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Who follows trainings, and how they are grouped.

    Attributes:
        tracker: Who follows.
        study: The study, or what the runs of a command are called.
        config: The configuration of the trainings, but for their seeds.
    """

    tracker: Tracker
    study: str
    config: Mapping[str, Any]

    def tracks(
        self, names: Mapping[int, str], *, trial: str | None = None
    ) -> dict[int, GuardedTrack]:
        """Return a track for each seed, by the names (seed -> name) that they are given."""
        told = settings_told(self.config)
        return {
            seed: GuardedTrack(
                self.tracker,
                TrackedSeed(
                    study=self.study,
                    trial=trial,
                    name=name,
                    seed=seed,
                    settings={**told, "training.seed": seed},
                ),
            )
            for seed, name in names.items()
        }


class TellReturns(Callback):
    """Tells what every agent earns while it explores, at even distances over the training."""

    def __init__(self, tracks: Tracks, trainees: Iterable[Trainee]) -> None:
        self.tracks = tracks
        self.trainees = {trainee.seed: trainee for trainee in trainees}
        self._told = dict.fromkeys(self.trainees, 0)

    def after_update(self, moment: Moment) -> None:
        """Tell the return of those of which a further part of the training is over."""
        for seed, trainee in self.trainees.items():
            agent = trainee.agent
            part = PARTS * agent.transitions // moment.planned
            if part > self._told[seed] and (found := agent.training_return) is not None:
                self._told[seed] = part
                self.tracks[seed].log({"train/mean_return": found}, transitions=agent.transitions)


@dataclass(frozen=True)
class TellEvaluation:
    """Tells what an evaluation on the way found; it follows each."""

    tracks: Tracks

    def __call__(self, trainee: Trainee, evaluation: Evaluation) -> None:
        """Tell the mean return and how much was prescribed."""
        values = {
            "eval/mean_return": evaluation.mean_return,
            "eval/best_return": max(evaluation.mean_return, trainee.counters.best_return),
        }
        self.tracks[trainee.seed].log(values, transitions=trainee.agent.transitions)


@contextmanager
def followed(
    tracking: Tracking | None, names: Mapping[int, str], *, trial: str | None = None
) -> Iterator[Tracks]:
    """Give a track for each seed, none without tracking; those not ended then have failed.

    Args:
        tracking: Who follows.
        names: Seed -> what its track is called.
        trial: The trial of a study.
    """
    tracks = {} if tracking is None else tracking.tracks(names, trial=trial)
    try:
        yield tracks
    finally:
        for track in tracks.values():
            track.end({}, status="failed")


#: What a summary says of a finished training, in numbers.
_OF_A_SUMMARY: Sequence[str] = (
    *("mean_return", "std_return", "iqm_return", "optimality_gap", "share_of_range"),
    *("best_return", "transitions", "updates", "training_seconds", "evaluation_seconds"),
)


def result_told(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a run's summary that a tracker is told.

    >>> result_told({"mean_return": -1.0, "optimality_gap": None, "run_name": "mine"})
    {'mean_return': -1.0}
    """
    numbers = {name: summary.get(name) for name in _OF_A_SUMMARY}
    return {
        name: float(value)
        for name, value in numbers.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
