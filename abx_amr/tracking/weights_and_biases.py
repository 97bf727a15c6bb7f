"""tracker=wandb: a run of Weights & Biases for each seed, grouped by study and trial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from abx_amr import checks
from abx_amr.tracking.tracker import Status, Track, TrackedSeed, Tracker, require


class WandbTracker(Tracker):
    """Writes offline files, which `wandb sync` sends, or sends at once."""

    def __init__(
        self, *, project: str, entity: str | None, mode: Literal["offline", "online"], folder: str
    ) -> None:
        """Track in a project of an entity (None: as wandb is set up), below a folder.

        Raises:
            InputError: wandb is not installed.
        """
        require("wandb", member="wandb")
        self.project = project
        self.entity = entity
        self.mode = checks.choice("tracker.mode", mode, ("offline", "online"))
        self.folder = Path(folder)

    def open(self, tracked: TrackedSeed) -> Track:
        """Return a new run of W&B, beside others of this process."""
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        return _WandbTrack(
            wandb.init(
                project=self.project,
                entity=self.entity,
                group=tracked.study,
                job_type=tracked.trial or "run",
                name=tracked.name,
                config={**tracked.tags, **tracked.settings},
                dir=str(self.folder),
                mode=self.mode,
                reinit="create_new",
                settings=wandb.Settings(silent=True, console="off", disable_git=True),
            )
        )


class _WandbTrack(Track):
    def __init__(self, run: Any) -> None:
        self.run = run

    def log(self, values: Mapping[str, float], *, transitions: int) -> None:
        self.run.log({**values, "transitions": transitions}, step=transitions)

    def end(self, values: Mapping[str, float], *, status: Status) -> None:
        self.run.summary.update({f"result/{name}": value for name, value in values.items()})
        self.run.finish(exit_code=0 if status == "finished" else 1)
