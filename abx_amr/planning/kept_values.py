"""Values of clinics kept on disk, so that who plays a policy need not solve the clinic again.

<folder>/values/<fingerprint>.npz     what the nodes are worth after each step, and where they lie
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abx_amr.host import atomic_files
from abx_amr.host.locations import from_here
from abx_amr.planning.sampled import Grid, SampledClinic, Values

#: Where results of a project are kept.
FOLDER = ".abx/plans"
#: Raised when what is kept would come out otherwise.
VERSION = 1
LIMIT_BYTES = 512 * 1024**2  # of all files together


def default_folder() -> Path:
    """Return where results are kept unless told: in the project, else in the working folder."""
    return Path(from_here(FOLDER))


@dataclass(frozen=True)
class KeptValues:
    """The folder of kept values; the oldest make room for new ones."""

    folder: Path
    limit_bytes: int = LIMIT_BYTES

    def file(self, fingerprint: str) -> Path:
        """Return where the values of a clinic lie."""
        return self.folder / "values" / f"{fingerprint}.{VERSION}.npz"

    def read(self, fingerprint: str, clinic: SampledClinic) -> Values | None:
        """Return the values of a clinic, None where they are not kept or cannot be read."""
        try:
            with (
                self.file(fingerprint).open("rb") as stream,
                np.load(stream, allow_pickle=False) as kept,
            ):
                grid = Grid(clinic, int(kept["number"]))
                if not np.array_equal(grid.positions, kept["positions"]):
                    return None
                ahead, start = kept["ahead"], float(kept["start"])
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        if ahead.shape != (clinic.problem.num_steps, *grid.shape):
            return None
        return Values(grid=grid, ahead=ahead, start=start, upper=None)

    def write(self, fingerprint: str, values: Values) -> None:
        """Keep the values of a clinic, if they are not too large and the disk takes them."""
        size = values.ahead.nbytes
        if size > self.limit_bytes:
            return
        content = io.BytesIO()
        np.savez(
            content,
            number=values.grid.number,
            positions=values.grid.positions,
            start=values.start,
            ahead=values.ahead,
        )
        file = self.file(fingerprint)
        with contextlib.suppress(OSError):  # they can be computed again
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            self._make_room(size)
            atomic_files.write_bytes(file, content.getvalue())

    def _make_room(self, size: int) -> None:
        """Remove the oldest values until `size` more bytes are within the limit."""
        files = sorted((self.folder / "values").glob("*.npz"), key=lambda f: f.stat().st_mtime)
        total = size + sum(file.stat().st_size for file in files)
        for file in files:
            if total <= self.limit_bytes:
                return
            total -= file.stat().st_size
            file.unlink()
