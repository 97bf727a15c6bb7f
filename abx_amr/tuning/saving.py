"""A trial's seeds as they are saved while they learn, so that they can go on elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from abx_amr.agents.prescriber import Agent, Learner
from abx_amr.runs.checkpoint_file import read_checkpoint, write_checkpoint
from abx_amr.runs.checkpoints import captured
from abx_amr.runs.loop import Callback, Moment, Trainee
from abx_amr.tuning.curves import Curve, KeepCurves
from abx_amr.tuning.seed_files import seed_checkpoint_file

if TYPE_CHECKING:
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.simulator.model import ClinicModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Where the seeds of a trial are saved while they learn, and how often.

    Args:
        folder: the trial's.
        interval: seconds between two saves.
        identities: seed -> what its training follows from; another one's checkpoint is not used.
        is_expected: whether they have been saved, after the part of their training that was done.
    """

    folder: Path
    interval: float
    identities: Mapping[int, str]
    is_expected: bool = False

    def write(self, seed: int, agent: Agent, curve: Curve) -> None:
        """Save a seed with its curve; a disk that is full costs the checkpoint alone."""
        file = seed_checkpoint_file(self.folder, seed)
        identity = np.array(self.identities[seed])
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            points = np.array(curve, dtype=np.float64).reshape(-1, 2)
            write_checkpoint(file, **captured(agent, identity=identity, curve=points))
        except OSError as error:
            log.warning("no checkpoint of seed %d: %s", seed, error)

    def begun(
        self, learner: Learner, model: ClinicModel, settings: TrainingSettings
    ) -> tuple[Agent, Curve] | None:
        """Return the agent of `settings.seed` and its curve as saved, None where it was not."""
        file = seed_checkpoint_file(self.folder, settings.seed)
        try:
            checkpoint = read_checkpoint(file)
            if str(checkpoint.state["identity"]) != self.identities[settings.seed]:
                self._say_missing(settings.seed)
                return None
            points = checkpoint.state.get("curve", ())  # not of release 0.1
            curve = [(int(seen), float(found)) for seen, found in points]
            return learner.restore(checkpoint, model, settings), curve
        except FileNotFoundError:
            self._say_missing(settings.seed)
            return None
        except Exception as error:  # of whichever library can no longer read it
            log.warning("%s cannot be used, the seed begins again: %s", file, error)
            return None

    def _say_missing(self, seed: int) -> None:
        if self.is_expected:
            log.warning(
                "trial %s: seed %d begins again, to the same bits: its checkpoint is not in %s",
                self.folder.name,
                seed,
                self.folder,
            )


class EndEarly(Callback):
    """Ends every training at its first update that reaches a count; saves it, to go on later."""

    def __init__(self, transitions: int, saving: Saving | None, curves: KeepCurves) -> None:
        self.transitions = transitions
        self.saving = saving
        self.curves = curves

    def is_due(self, moment: Moment) -> bool:
        """Return whether the count is reached."""
        return moment.transitions >= self.transitions

    def act(self, trainee: Trainee, moment: Moment) -> None:
        """End the training of one seed."""
        trainee.is_stopped = True

    def at_end(self, trainee: Trainee) -> None:
        """Save the seed as it ended."""
        if self.saving is not None:
            self.saving.write(trainee.seed, trainee.agent, self.curves.of(trainee.seed))


class SaveSeeds(Callback):
    """Saves a trial's seeds every so many seconds, so that they can go on elsewhere."""

    def __init__(self, saving: Saving, curves: KeepCurves) -> None:
        self.saving = saving
        self.curves = curves
        self._saved_at = time.perf_counter()
        self._is_due = False

    def is_due(self, moment: Moment) -> bool:
        """Return whether the interval is over; at the end there is nothing to go on with."""
        is_over = time.perf_counter() - self._saved_at >= self.saving.interval
        self._is_due = is_over and not moment.is_last
        return self._is_due

    def act(self, trainee: Trainee, moment: Moment) -> None:
        """Save one seed."""
        self.saving.write(trainee.seed, trainee.agent, self.curves.of(trainee.seed))

    def after_update(self, moment: Moment) -> None:
        """Begin the next interval when all seeds are saved."""
        if self._is_due:
            self._saved_at = time.perf_counter()
