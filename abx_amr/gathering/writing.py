"""Write the gathered tables and their figure."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from abx_amr import durable

FIGURE = "returns.png"


def write_tables(
    tables: Mapping[str, pd.DataFrame], folder: Path, *, formats: Sequence[str]
) -> list[Path]:
    """Write each table as `<name>.csv` and `<name>.parquet`, atomically; return the files.

    A table of an earlier time that there is none of now is removed: what lies together belongs
    together.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("runs", "conditions", "pairs", "overall"):
        for suffix in ("csv", "parquet"):
            if name not in tables or suffix not in formats:
                (folder / f"{name}.{suffix}").unlink(missing_ok=True)
    files = []
    for name, table in tables.items():
        for suffix in formats:
            file = folder / f"{name}.{suffix}"
            if suffix == "csv":
                durable.write_text(file, table.to_csv(index=False))
            else:
                content = io.BytesIO()
                table.to_parquet(content, index=False)
                durable.write_bytes(file, content.getvalue())
            files.append(file)
    return files


def write_figure(conditions: pd.DataFrame, runs: pd.DataFrame, folder: Path) -> Path:
    """Draw the returns of every condition; return the file."""
    from abx_amr.plots import canvas
    from abx_amr.plots import conditions as of_conditions

    count = len(runs)
    figure = of_conditions.draw(conditions, runs, title=f"returns of {count} runs, by condition")
    return canvas.save(figure, folder / FIGURE)
