"""tracker=tensorboard: scalars of each seed, and its settings beside its result (HParams)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from abx_amr.tracking.folders import own_folder
from abx_amr.tracking.tracker import Status, Track, TrackedSeed, Tracker


class TensorBoardTracker(Tracker):
    """Writes `<folder>/<study>/<trial>/<name>/`, for `tensorboard --logdir <folder>`."""

    def __init__(self, *, folder: str) -> None:
        """Write below a folder."""
        self.folder = Path(folder)

    def open(self, tracked: TrackedSeed) -> Track:
        """Return a writer of events."""
        return _TensorBoardTrack(own_folder(self.folder, tracked), tracked)


class _TensorBoardTrack(Track):
    def __init__(self, folder: Path, tracked: TrackedSeed) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.settings = {**tracked.tags, **tracked.settings}
        self.writer = SummaryWriter(str(folder))

    def log(self, values: Mapping[str, float], *, transitions: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, transitions)

    def end(self, values: Mapping[str, float], *, status: Status) -> None:
        results = {f"result/{name}": value for name, value in values.items()}
        self.writer.add_hparams({**self.settings, "status": status}, results, run_name=".")
        self.writer.close()
