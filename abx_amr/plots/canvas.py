"""What all figures share: an empty figure, colours, a mean with its band, a file.

Shapes: N episodes, T steps.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from abx_amr.errors import InputError, printable
from abx_amr.host import atomic_files

Floats = NDArray[np.float64]

# Okabe and Ito (2008): told apart with every common colour vision deficiency.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
VERMILION, SKY, YELLOW, BLACK, GREY = "#D55E00", "#56B4E9", "#F0E442", "#222222", "#8A8A8A"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY)
LOW_QUANTILE, HIGH_QUANTILE = 0.1, 0.9
_LETTERS = 10.5  # of a title's line per inch
BAND = "10–90 % of episodes"


def blank(
    title: str,
    *,
    rows: int = 1,
    columns: int = 1,
    panel_height: float = 2.6,
    share_x: bool | None = None,
    share_y: bool = False,
    width: float = 8.0,
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure with its panels, row by row, and its title.

    Panels above one another share their x axis unless told otherwise.
    """
    figure = Figure(figsize=(width, 0.9 + panel_height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    is_shared = columns == 1 if share_x is None else share_x
    panels = figure.subplots(rows, columns, squeeze=False, sharex=is_shared, sharey=share_y)
    lines = "\n".join(wrapped(line, int(_LETTERS * width)) for line in title.split("\n"))
    figure.suptitle(lines, x=0.01, ha="left", fontsize=11, fontweight="bold")
    axes: list[Axes] = list(panels.ravel())
    for axis in axes:
        axis.grid(True, color="#E3E3E3", linewidth=0.7)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: Figure, path: Path | str) -> Path:
    """Write the figure as PNG, atomically, and return where."""
    atomic_files.write_bytes(path, as_png(figure))
    return Path(path)


def as_png(figure: Figure) -> bytes:
    """Return the figure as the content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise InputError when the table is empty or lacks a column."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"the table must have the columns {list(columns)}: missing {missing}")
    if table.empty:
        raise InputError("the table must have at least one row")


def antibiotics(table: pd.DataFrame) -> list[str]:
    """Return the antibiotics that a table of steps speaks of, in its order."""
    prefix = "true_amr_"
    return [str(c).removeprefix(prefix) for c in table.columns if str(c).startswith(prefix)]


def by_episode(table: pd.DataFrame, column: str) -> Floats:
    """Return a column of a table of steps, ordered by episode and step, shape (N, T)."""
    ordered = table.pivot(index="episode", columns="step", values=column)
    return np.asarray(ordered.to_numpy(dtype=np.float64))


def smooth(values: Floats, window: int) -> Floats:
    """Return the running mean over `window` steps, (N, T); shorter at the two ends.

    >>> smooth(np.array([[0.0, 3.0, 0.0, 3.0]]), 3).tolist()
    [[1.5, 1.0, 2.0, 1.5]]
    """
    steps = values.shape[1]
    sums = np.concatenate([np.zeros((len(values), 1)), values.cumsum(axis=1)], axis=1)
    centre = np.arange(steps)
    first = np.maximum(centre - (window - 1) // 2, 0)
    after = np.minimum(centre + window // 2 + 1, steps)
    means: Floats = (sums[:, after] - sums[:, first]) / (after - first)
    return means


def smoothing_window(steps: int) -> int:
    """Return an odd window of about a twenty-fifth of the episode, so that single steps show."""
    return max(1, steps // 25 // 2 * 2 + 1)


def mean_and_band(
    axis: Axes,
    x: NDArray[np.generic],
    values: Floats,
    *,
    colour: str,
    label: str,
    dashed: bool = False,
    band: bool = True,
) -> None:
    """Draw the mean of values (N, T) over episodes, and their band if there are several."""
    axis.plot(
        x,
        values.mean(axis=0),
        color=colour,
        linewidth=1.3 if dashed else 2.0,
        linestyle=(0, (4, 2)) if dashed else "-",
        label=label,
    )
    if band and len(values) > 1:
        low, high = np.quantile(values, [LOW_QUANTILE, HIGH_QUANTILE], axis=0)
        axis.fill_between(x, low, high, color=colour, alpha=0.12 if dashed else 0.2, linewidth=0)


def legend_beside(axis: Axes, title: str | None = None, *, upwards: bool = False) -> None:
    """Put the legend to the right of the panel, where it hides nothing; upwards as in a stack."""
    axis.legend(
        reverse=upwards,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        fontsize=9,
        title=title,
        title_fontsize=8,
        alignment="left",
    )


def band_note(episodes: int) -> str | None:
    """Return what the bands stand for, as a legend's title."""
    return f"mean and\n{BAND}" if episodes > 1 else None


@dataclass(frozen=True)
class Point:
    """What a mark stands for: in words, and the trial it belongs to, if it is one of a study."""

    name: str
    trial: int | None = None


_NAMED: WeakKeyDictionary[Artist, Sequence[Point]] = WeakKeyDictionary()


def name_points(artist: Artist, points: Sequence[Point]) -> None:
    """Say what each mark of a drawn series stands for, in its order: a page shows it."""
    _NAMED[artist] = points


def named_points(figure: Figure) -> Iterator[tuple[Artist, Sequence[Point]]]:
    """Yield each series of a figure whose marks have names, with these."""
    for artist in figure.findobj():
        if artist in _NAMED:
            yield artist, _NAMED[artist]


def label(name: object) -> str:
    r"""Return a user's name as text of a figure: no formula, nothing that cannot be seen.

    >>> label("10 $ a day")
    '10 \\$ a day'
    """
    return printable(name).replace("$", r"\$")


def wrapped(name: object, width: int) -> str:
    r"""Return a name on lines of at most `width` characters where it can be broken.

    >>> wrapped("trimethoprim-sulfamethoxazole", 16)
    'trimethoprim-\nsulfamethoxazole'
    >>> wrapped("A", 16)
    'A'
    """
    lines = [""]
    for part in re.findall(r"[^\s_/+-]*[\s_/+-]?", str(name)):
        while len(part) > width:
            lines, part = [*lines, part[:width]], part[width:]
        lines = [*lines, part] if len(lines[-1] + part) > width else [*lines[:-1], lines[-1] + part]
    return "\n".join(label(line.strip()) for line in lines if line.strip())


def in_percent(axis: Axis) -> None:
    """Write the numbers along an axis of shares, such as levels of AMR, in percent."""
    axis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))


def percent(level: float) -> str:
    """Return a level of AMR in percent, without the sign: two digits, or whole.

    >>> percent(0.0042), percent(0.0075), percent(0.123), percent(1.0), percent(0.0)
    ('0.42', '0.75', '12', '100', '0')
    """
    percents = 100.0 * level
    return f"{percents:.2g}" if 0.01 <= percents < 9.95 else f"{percents:.0f}"


def panel_height(rows: int) -> float:
    """Return the height of a panel with so many named rows, in inches."""
    return 1.0 + 0.22 * rows


def name_rows(axis: Axes, names: pd.Series | list[str]) -> None:
    """Write a name at each row of a panel."""
    axis.set_yticks(range(len(names)), [label(name) for name in names], fontsize=8)


def shade(axis: Axes, values: np.ndarray) -> None:
    """Draw probabilities as shades, each with its number where there is room."""
    axis.grid(False)
    axis.imshow(values, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    if values.size > 200:
        return
    for (row, column), value in np.ndenumerate(values):
        if value >= 0.005:
            colour = "white" if value > 0.6 else BLACK
            axis.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour
            )
