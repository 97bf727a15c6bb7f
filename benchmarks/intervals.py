"""How often the 95 % interval of a mean over few seeds holds the truth, and how wide it is.

python -m benchmarks intervals

Fixed before the run. Seeds' returns are drawn as in `benchmarks.racing_simulated`: `normal`
(deviation 8), `measured` (a seed falls 10 short of the best, times a gamma variable of mean 1 and
deviation 1.5, and a normal luck of 1.3) and `failing` (15 % of seeds lose 80, luck of 3). 2,000
times 6, 10 and 20 of them, the same for every method:

    Student       Student's t over the seeds: what a study's final reports, where episodes are many
    percentile    of 999 bootstrap means
    bootstrap-t   999 bootstrap means, each in its own standard errors (Efron and Tibshirani 1993,
                  "An introduction to the bootstrap", chapter 12)

Bar: 93 % in every case with 10 seeds, at a median width of at most 1.5 times Student's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from abx_amr.rng import stream

Floats = NDArray[np.float64]
Ends = tuple[Floats, Floats]

SAMPLES, RESAMPLES = 2_000, 999
SEEDS = (6, 10, 20)


def drawn(case: str, count: int, random: np.random.Generator) -> Floats:
    """Return samples of seeds' returns less their true mean, (SAMPLES, count)."""
    shape = (SAMPLES, count)
    if case == "normal":
        return random.normal(0.0, 8.0, shape)
    if case == "measured":
        times = random.gamma(1 / 1.5**2, 1.5**2, shape)
        return 10.0 * (1.0 - times) + random.normal(0.0, 1.3, shape)
    fails = random.random(shape) < 0.15
    return random.normal(0.0, 3.0, shape) - 80.0 * fails + 0.15 * 80.0


def student(samples: Floats, random: np.random.Generator) -> Ends:
    """Return Student's interval of each sample's mean."""
    from scipy import stats

    count = samples.shape[1]
    mean, error = samples.mean(axis=1), samples.std(axis=1, ddof=1) / math.sqrt(count)
    reach = float(stats.t.ppf(0.975, count - 1)) * error
    return mean - reach, mean + reach


def percentile(samples: Floats, random: np.random.Generator) -> Ends:
    """Return the percentile bootstrap's."""
    rows = [np.quantile(_resampled(row, random).mean(axis=1), [0.025, 0.975]) for row in samples]
    ends = np.array(rows)
    return ends[:, 0], ends[:, 1]


def bootstrap_t(samples: Floats, random: np.random.Generator) -> Ends:
    """Return the studentised bootstrap's; resamples of one value alone are left out."""
    count = samples.shape[1]
    ends = np.empty((len(samples), 2))
    for at, row in enumerate(samples):
        resampled = _resampled(row, random)
        errors = resampled.std(axis=1, ddof=1) / math.sqrt(count)
        is_spread = errors > 0
        away = (resampled.mean(axis=1) - row.mean())[is_spread] / errors[is_spread]
        low, high = np.quantile(away, [0.025, 0.975])
        error = row.std(ddof=1) / math.sqrt(count)
        ends[at] = row.mean() - high * error, row.mean() - low * error
    return ends[:, 0], ends[:, 1]


def _resampled(row: Floats, random: np.random.Generator) -> Floats:
    return np.asarray(row[random.integers(0, len(row), size=(RESAMPLES, len(row)))])


METHODS: Mapping[str, Callable[[Floats, np.random.Generator], Ends]] = {
    "Student": student,
    "percentile": percentile,
    "bootstrap-t": bootstrap_t,
}


def main(arguments: Sequence[str] = ()) -> str:
    """Return the table."""
    lines = [
        f"Share of {SAMPLES:,} intervals that hold the truth (median width, in Student's).",
        "",
        f"| case | seeds | {' | '.join(METHODS)} |",
        f"|---|---|{'---|' * len(METHODS)}",
    ]
    for case in ("normal", "measured", "failing"):
        for count in SEEDS:
            samples = drawn(case, count, stream(count, "intervals", case))
            unit, cells = math.nan, []
            for name, method in METHODS.items():
                low, high = method(samples, stream(count, "intervals", case, name))
                width = float(np.median(high - low))
                unit = width if name == "Student" else unit
                held = float(np.mean((low <= 0.0) & (high >= 0.0)))
                cells.append(f"{100 * held:.1f} % ({width / unit:.2f})")
            lines.append(f"| {case} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)
