"""Write the gathered tables and their figure."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from abx_amr import durable

FIGURE = "returns.png"
TABLES = ("runs", "conditions", "pairs", "overall")
WRITTEN = ".abx-gather.json"  # the tables of the last call and their digests


def write_tables(
    tables: Mapping[str, pd.DataFrame], folder: Path, *, formats: Sequence[str]
) -> list[Path]:
    """Write each table as `<name>.csv` and `<name>.parquet`, atomically; return the files.

    A table that an earlier call wrote and that there is none of now is removed: what lies together
    belongs together. What somebody else wrote, or changed since, stays.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, bytes] = {}
    for name, table in tables.items():
        for suffix in formats:
            if suffix == "csv":
                contents[f"{name}.csv"] = table.to_csv(index=False).encode()
            else:
                buffer = io.BytesIO()
                table.to_parquet(buffer, index=False)
                contents[f"{name}.parquet"] = buffer.getvalue()
    for earlier, digest in _written_before(folder).items():
        if earlier not in contents and _digest_of(folder / earlier) == digest:
            (folder / earlier).unlink()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    durable.write_text(folder / WRITTEN, json.dumps(digests, indent=1) + "\n")
    for name, content in contents.items():
        durable.write_bytes(folder / name, content)
    return [folder / name for name in contents]


def _written_before(folder: Path) -> dict[str, str]:
    """Return the tables that the last call wrote into a folder, name -> digest."""
    try:
        noted = json.loads((folder / WRITTEN).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    known = {f"{name}.{suffix}" for name in TABLES for suffix in ("csv", "parquet")}
    return {name: noted[name] for name in known & set(noted)} if isinstance(noted, dict) else {}


def _digest_of(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def write_figure(conditions: pd.DataFrame, runs: pd.DataFrame, folder: Path) -> Path:
    """Draw the returns of every condition; return the file."""
    from abx_amr.plots import canvas
    from abx_amr.plots import conditions as of_conditions

    count = len(runs)
    figure = of_conditions.draw(conditions, runs, title=f"returns of {count} runs, by condition")
    return canvas.save(figure, folder / FIGURE)
