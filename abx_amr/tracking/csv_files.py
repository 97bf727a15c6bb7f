"""tracker=csv: a table and a file of settings for each seed, which need no library."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from abx_amr.host.atomic_files import write_json
from abx_amr.tracking.folders import own_folder
from abx_amr.tracking.tracker import Status, Track, TrackedSeed, Tracker

COLUMNS = ("transitions", "name", "value")
METRICS = "metrics.csv"
ABOUT = "about.json"


class CsvTracker(Tracker):
    """Writes `<folder>/<study>/<trial>/<name>/metrics.csv` and `about.json`."""

    def __init__(self, *, folder: str) -> None:
        """Write below a folder."""
        self.folder = Path(folder)

    def open(self, tracked: TrackedSeed) -> Track:
        """Return a new table."""
        return _CsvTrack(own_folder(self.folder, tracked), tracked)


class _CsvTrack(Track):
    def __init__(self, folder: Path, tracked: TrackedSeed) -> None:
        self.folder = folder
        self.about: dict[str, Any] = {**tracked.tags, "settings": dict(tracked.settings)}
        self._append(COLUMNS)
        write_json(folder / ABOUT, self.about)

    def log(self, values: Mapping[str, float], *, transitions: int) -> None:
        self._append(*((transitions, name, value) for name, value in values.items()))

    def end(self, values: Mapping[str, float], *, status: Status) -> None:
        self.about |= {"status": status, "result": dict(values)}
        write_json(self.folder / ABOUT, self.about)

    def _append(self, *rows: tuple[object, ...]) -> None:
        with (self.folder / METRICS).open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
