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
    """

    folder: Path
    interval: float
    identities: Mapping[int, str]

    def write(self, seed: int, agent: Agent) -> None:
        """Save a seed; a disk that is full costs the checkpoint alone."""
        file = seed_checkpoint_file(self.folder, seed)
        identity = np.array(self.identities[seed])
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_checkpoint(file, **captured(agent, identity=identity))
        except OSError as error:
            log.warning("no checkpoint of seed %d: %s", seed, error)

    def begun(
        self, learner: Learner, model: ClinicModel, settings: TrainingSettings
    ) -> Agent | None:
        """Return the agent of `settings.seed` as it was saved, None where it was not."""
        file = seed_checkpoint_file(self.folder, settings.seed)
        try:
            checkpoint = read_checkpoint(file)
            if str(checkpoint.state["identity"]) != self.identities[settings.seed]:
                return None
            return learner.restore(checkpoint, model, settings)
        except FileNotFoundError:
            return None
        except Exception as error:  # of whichever library can no longer read it
            log.warning("%s cannot be used, the seed begins again: %s", file, error)
            return None


class SaveSeeds(Callback):
    """Saves a trial's seeds every so many seconds, so that they can go on elsewhere."""

    def __init__(self, saving: Saving) -> None:
        self.saving = saving
        self._saved_at = time.perf_counter()
        self._is_due = False

    def is_due(self, moment: Moment) -> bool:
        """Return whether the interval is over; at the end there is nothing to go on with."""
        is_over = time.perf_counter() - self._saved_at >= self.saving.interval
        self._is_due = is_over and not moment.is_last
        return self._is_due

    def act(self, trainee: Trainee, moment: Moment) -> None:
        """Save one seed."""
        self.saving.write(trainee.seed, trainee.agent)

    def after_update(self, moment: Moment) -> None:
        """Begin the next interval when all seeds are saved."""
        if self._is_due:
            self._saved_at = time.perf_counter()
