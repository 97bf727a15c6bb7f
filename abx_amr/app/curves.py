"""Lines of what is running, as SVG: small, drawn anew at every look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from abx_amr.app.templating import page
from abx_amr.errors import InputError
from abx_amr.host.plain_files import read_text
from abx_amr.runs.folder import RunFolder

WIDTH, HEIGHT, LEFT, BELOW = 640, 220, 78, 34
_TICKS = 5


@dataclass(frozen=True, kw_only=True)
class Line:
    """Points of a line, in what they mean, x rising."""

    name: str
    points: Sequence[tuple[float, float]]
    is_dotted: bool = False


def run_curve(path: Path) -> list[tuple[float, float]]:
    """Return (transitions, mean return) of each evaluation of a run so far."""
    try:
        lines = read_text(RunFolder(path).evaluations_file).splitlines()
        columns = lines[0].split(",")
        at, value = columns.index("transitions"), columns.index("episode_return")
    except (InputError, IndexError, ValueError):
        return []
    sums: dict[float, list[float]] = {}
    for line in lines[1:]:
        cells = line.split(",")
        try:
            x, y = float(cells[at]), float(cells[value])
        except (IndexError, ValueError):
            continue
        if math.isfinite(x) and math.isfinite(y):
            sums.setdefault(x, []).append(y)
    return sorted((x, sum(values) / len(values)) for x, values in sums.items())


def drawn(
    lines: Sequence[Line], *, across: str, up: str, level: tuple[str, float] | None = None
) -> Markup | None:
    """Return lines as SVG, None where there are not two points.

    Args:
        lines: What is drawn.
        across: What x is.
        up: What y is.
        level: The name and height of a level line, to compare with.
    """
    points = [point for line in lines for point in line.points]
    if len({x for x, _ in points}) < 2:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if level is not None:
        ys.append(level[1])
    low, high = min(ys), max(ys)
    margin = 0.05 * (high - low) or 1.0
    low, high = low - margin, high + margin
    left, right = min(xs), max(xs)

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - left) / (right - left) * (WIDTH - LEFT - 10)
        return round(across, 1), round((high - y) / (high - low) * (HEIGHT - BELOW - 10) + 10, 1)

    paths = [
        {
            "name": line.name,
            "dotted": line.is_dotted,
            "points": " ".join(f"{x},{y}" for x, y in (place(*point) for point in line.points)),
        }
        for line in lines
    ]
    return page(
        "curve.html",
        base="",
        paths=paths,
        level=None if level is None else (level[0], place(left, level[1])[1]),
        ticks=[(place(left, y)[1], f"{y:.10g}".replace("-", "−")) for y in round_steps(low, high)],
        feet=[(place(x, low)[0], _count(x)) for x in round_steps(left, right)],
        across=across,
        up=up,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        foot=HEIGHT - BELOW,
    )


def round_steps(low: float, high: float) -> list[float]:
    """Return some round numbers in an interval, equally far apart.

    >>> round_steps(-82.3, -51.9), round_steps(0, 1e6)
    ([-80.0, -70.0, -60.0], [0.0, 200000.0, 400000.0, 600000.0, 800000.0, 1000000.0])
    """
    raw = (high - low) / _TICKS
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _count(number: float) -> str:
    """Return a large number in few characters.

    >>> _count(38400000), _count(512)
    ('38.4M', '512')
    """
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"
