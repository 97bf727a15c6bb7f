"""Write the gathered tables and their figure: over files of an earlier gather, never over others'.

<folder>/.abx-gather.json    what abx-gather wrote there: name -> digests, by which it knows its own
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from abx_amr.errors import InputError, counted
from abx_amr.host import atomic_files

FIGURE = "returns.png"
TABLES = ("runs", "conditions", "pairs", "overall")
WRITTEN = ".abx-gather.json"
_KNOWN = {FIGURE, *(f"{name}.{suffix}" for name in TABLES for suffix in ("csv", "parquet"))}


def tables_as_files(
    tables: Mapping[str, pd.DataFrame], *, formats: Sequence[str]
) -> dict[str, bytes]:
    """Return file name -> content of each table, as `<name>.csv` and `<name>.parquet`."""
    contents: dict[str, bytes] = {}
    for name, table in tables.items():
        for suffix in formats:
            if suffix == "csv":
                contents[f"{name}.csv"] = table.to_csv(index=False).encode()
            else:
                buffer = io.BytesIO()
                table.to_parquet(buffer, index=False)
                contents[f"{name}.parquet"] = buffer.getvalue()
    return contents


def figure_as_file(conditions: pd.DataFrame, runs: pd.DataFrame) -> dict[str, bytes]:
    """Return file name -> content of the figure of every condition's returns."""
    from abx_amr.plots import canvas
    from abx_amr.plots import conditions as of_conditions

    title = f"returns of {counted(len(runs), 'run')}, by condition"
    return {FIGURE: canvas.as_png(of_conditions.draw(conditions, runs, title=title))}


def write(contents: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write files into a folder, each atomically; return them.

    A file that an earlier call wrote and that there is none of now is removed: what lies together
    belongs together. What somebody else wrote, or changed since, stays.

    Raises:
        InputError: a file of this name is there already, and it is not one of an earlier call.
        OSError: the folder cannot be made or written.
    """
    earlier = _written_before(folder)
    own = {name for name, digests in earlier.items() if _digest_of(folder / name) in digests}
    for name in contents:
        if name not in own and os.path.lexists(folder / name):
            text = "was changed since" if name in earlier else "was not written by"
            raise InputError(
                f"{folder / name} {text} abx-gather{' wrote it' if name in earlier else ''}: "
                "move it away, or choose another folder with folder=FOLDER"
            )
    folder.mkdir(parents=True, exist_ok=True)
    new = {name: [hashlib.sha256(content).hexdigest()] for name, content in contents.items()}
    # Cut off between two files, the next call still knows both as its own.
    _note(folder, {n: [*earlier.get(n, ()), *new.get(n, ())] for n in {*own, *new}})
    for name in own - set(contents):
        (folder / name).unlink()
    for name, content in contents.items():
        atomic_files.write_bytes(folder / name, content)
    _note(folder, new)
    return [folder / name for name in contents]


def _note(folder: Path, digests: Mapping[str, Sequence[str]]) -> None:
    atomic_files.write_text(folder / WRITTEN, json.dumps(digests, indent=1, sort_keys=True) + "\n")


def _written_before(folder: Path) -> dict[str, list[str]]:
    """Return what earlier calls wrote into a folder, name -> digests it may have."""
    try:
        noted = json.loads((folder / WRITTEN).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    if not isinstance(noted, dict):
        return {}
    return {name: digests for name, digests in noted.items() if name in _KNOWN}


def _digest_of(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
