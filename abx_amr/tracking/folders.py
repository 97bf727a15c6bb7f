"""A folder for each track, which no other has."""

from __future__ import annotations

from pathlib import Path

from abx_amr.tracking.tracker import TrackedSeed


def own_folder(parent: Path, tracked: TrackedSeed) -> Path:
    """Make and return `<parent>/<study>/<trial>/<name>`, `<name>_2` where that is there, ...

    A seed that is trained again, or goes on, has a further track.
    """
    first = parent / tracked.place
    first.parent.mkdir(parents=True, exist_ok=True)
    attempt = 1
    while True:
        folder = first if attempt == 1 else first.with_name(f"{first.name}_{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            attempt += 1
        else:
            return folder
