"""What samples of returns say: mean, spread, interquartile mean, intervals, differences in pairs.

Shapes: n values, one per episode or one per seed. What a sample is too small to say is nan.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr import checks
from abx_amr.errors import InputError
from abx_amr.rng import stream

Floats = NDArray[np.float64]
Counts = NDArray[np.float32] | NDArray[np.float64]
Interval = tuple[float, float]

RESAMPLES = 9_999
_VALUES_AT_ONCE = 2_000_000  # resampled values held in memory
_EXACT = 2**24  # whole numbers up to it are exact in 32 bits


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A sample in a few numbers.

    `std` is that of the sample (ddof 1). `iqm` is the mean of the middle half (Agarwal et al. 2021,
    "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS). Both intervals
    are percentile bootstrap intervals. Of a single value `std` and the intervals are nan.
    """

    n: int
    mean: float
    std: float
    iqm: float
    minimum: float
    maximum: float
    mean_interval: Interval
    iqm_interval: Interval
    confidence: float


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The mean of `first - second` over common episodes, and what the pairing is worth.

    `standard_error` is that of the paired differences, `unpaired_standard_error` the one that two
    independent samples with these spreads would have. The intervals are Student t intervals, the
    unpaired one with Welch's degrees of freedom.
    """

    n: int
    mean: float
    standard_error: float
    unpaired_standard_error: float
    interval: Interval
    unpaired_interval: Interval
    confidence: float


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean of the middle half: a quarter of the values is cut from each end.

    The number cut is rounded down, so that fewer than 4 values give their mean.

    >>> interquartile_mean([0.0, 1.0, 3.0, 100.0])
    2.0
    """
    from scipy import stats  # loading it takes a second

    return float(stats.trim_mean(as_sample(values), 0.25))


def summarise(
    values: ArrayLike, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Summary:
    """Return mean, std (ddof 1), IQM and percentile bootstrap intervals of n values.

    Args:
        values: a sample, n >= 1 finite numbers.
        confidence: of the intervals, in (0, 1).
        resamples: bootstrap samples drawn.
        seed: names the stream that they are drawn from.

    Raises:
        InputError: the sample is empty or holds a value that is not finite.
    """
    return summarise_strata([values], confidence=confidence, resamples=resamples, seed=seed)


def summarise_strata(
    strata: Sequence[ArrayLike],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Summary:
    """Return what several samples together say, e.g. the runs of a prescriber in several clinics.

    Mean and IQM are those of all values together. The bootstrap is stratified (Agarwal et al.
    2021): values are drawn anew within each stratum, so that every resample holds each stratum as
    often as the data do. One stratum gives the ordinary bootstrap.

    Args:
        strata: one sample of finite numbers per stratum, n >= 1 each.
        confidence: of the intervals, in (0, 1).
        resamples: bootstrap samples drawn.
        seed: names the stream that they are drawn from.

    Raises:
        InputError: a stratum is empty or holds a value that is not finite, or there is none.
    """
    samples = [as_sample(values) for values in strata]
    sample = as_sample(np.concatenate(samples) if samples else [])
    checks.whole_number("resamples", resamples, 1)
    mean_interval, iqm_interval = _bootstrap(
        samples, _mean, _iqm, confidence=confidence, resamples=resamples, seed=seed
    )
    return Summary(
        n=sample.size,
        mean=float(sample.mean()),
        std=_std(sample),
        iqm=interquartile_mean(sample),
        minimum=float(sample.min()),
        maximum=float(sample.max()),
        mean_interval=mean_interval,
        iqm_interval=iqm_interval,
        confidence=confidence,
    )


def bootstrap_interval(
    values: ArrayLike, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the percentile bootstrap interval of the mean; arguments as for `summarise`."""
    [interval] = _bootstrap(
        [as_sample(values)], _mean, confidence=confidence, resamples=resamples, seed=seed
    )
    return interval


def t_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return Student's t interval of the mean: for a handful of seeds.

    mean -/+ t(n - 1) * std / sqrt(n), nan for n = 1.

    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    sample = as_sample(values)
    if sample.size == 1:
        return (math.nan, math.nan)
    error = _std(sample) / math.sqrt(sample.size)
    return _around(float(sample.mean()), error, sample.size - 1, confidence)


def paired_difference(
    first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95
) -> PairedDifference:
    """Return the mean difference `first - second` of values that belong together in pairs.

    Args:
        first: one value per episode.
        second: the other's values on the same episodes, in the same order.
        confidence: of the intervals, in (0, 1).

    Raises:
        InputError: the samples differ in length, are empty or hold a value that is not finite.
    """
    one, other = as_sample(first), as_sample(second)
    if one.size != other.size:
        raise InputError(
            "paired samples must have one value per common episode, "
            f"got {one.size} and {other.size} values"
        )
    n = one.size
    difference = one - other
    mean = float(difference.mean())
    if n == 1:
        unknown = (math.nan, math.nan)
        return PairedDifference(
            n=1,
            mean=mean,
            standard_error=math.nan,
            unpaired_standard_error=math.nan,
            interval=unknown,
            unpaired_interval=unknown,
            confidence=confidence,
        )
    error = _std(difference) / math.sqrt(n)
    squares = [_std(sample) ** 2 / n for sample in (one, other)]
    unpaired_error = math.sqrt(sum(squares))
    spread = sum(square**2 for square in squares) / (n - 1)
    welch_freedom = sum(squares) ** 2 / spread if spread > 0 else float(n - 1)
    return PairedDifference(
        n=n,
        mean=mean,
        standard_error=error,
        unpaired_standard_error=unpaired_error,
        interval=_around(mean, error, n - 1, confidence),
        unpaired_interval=_around(mean, unpaired_error, welch_freedom, confidence),
        confidence=confidence,
    )


def probability_of_improvement(
    first: ArrayLike,
    second: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, Interval]:
    """Return how probably a run of `first` beats one of `second`, and its bootstrap interval.

    P(X > Y) + P(X = Y) / 2 over all pairs of runs (Agarwal et al. 2021); both samples are drawn
    anew, each from itself. The interval is nan where both hold one value.

    >>> probability_of_improvement([1.0, 3.0], [2.0, 2.0])[0]
    0.5
    """
    _check_confidence(confidence)
    checks.whole_number("resamples", resamples, 1)
    one, other = np.sort(as_sample(first)), np.sort(as_sample(second))
    size = one.size * other.size
    below = np.searchsorted(other, one, side="left")
    not_above = np.searchsorted(other, one, side="right")
    probability = float((below + not_above).sum() / 2 / size)
    if one.size == other.size == 1:
        return probability, (math.nan, math.nan)
    counts_one, counts_below = _resampled_counts(one.size, other.size, resamples, seed)
    # Whole numbers, so that no order of adding them matters.
    twice = np.einsum("ir,ir->r", counts_one, counts_below[below] + counts_below[not_above])
    drawn = twice.astype(np.float64) / 2 / size
    low, high = np.quantile(drawn, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]).tolist()
    return probability, (low, high)


@functools.lru_cache(maxsize=1)
def _resampled_counts(n_one: int, n_other: int, resamples: int, seed: int) -> tuple[Counts, Counts]:
    """Return how often values of two samples are drawn in each resample, by their sizes alone.

    Kept for the next two samples of these sizes; nobody may change them.

    Returns:
        Of each value of the first, shape (n_one, resamples); of all values of the second before
        each, shape (n_other + 1, resamples).
    """
    generator = stream(seed, "statistics", "improvement")
    one, other = (_counts(generator, n, resamples) for n in (n_one, n_other))
    before = np.concatenate([np.zeros((1, resamples), dtype=other.dtype), other.cumsum(axis=0)])
    if 2 * n_one * n_other < _EXACT:
        return one.astype(np.float32), before.astype(np.float32)
    return one.astype(np.float64), before.astype(np.float64)


def _counts(generator: np.random.Generator, n: int, resamples: int) -> NDArray[np.int64]:
    """Return how often each of n values is drawn in each resample, shape (n, resamples)."""
    drawn = generator.integers(0, n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * n)
    return np.ascontiguousarray(counts.reshape(resamples, n).T)


def as_sample(values: ArrayLike) -> Floats:
    """Return values as a sample, shape (n,).

    Raises:
        InputError: there are none, or one is not finite.
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    if sample.size == 0:
        raise InputError("a sample must hold at least one value, got none")
    if not np.isfinite(sample).all():
        faulty = sample[~np.isfinite(sample)]
        raise InputError(f"a sample must hold finite values, got {faulty[0]} among {sample.size}")
    return sample


def _std(sample: Floats) -> float:
    return float(sample.std(ddof=1)) if sample.size > 1 else math.nan


def _check_confidence(confidence: float) -> None:
    checks.number("confidence", confidence, 0.0, 1.0, open_low=True, open_high=True)


def _around(mean: float, error: float, freedom: float, confidence: float) -> Interval:
    from scipy import special  # loading it takes a tenth of a second

    _check_confidence(confidence)
    half = float(special.stdtrit(freedom, (1.0 + confidence) / 2.0)) * error
    return (mean - half, mean + half)


def _mean(values: Floats, axis: int) -> Floats:
    return np.asarray(values.mean(axis))


def _iqm(values: Floats, axis: int) -> Floats:
    from scipy import stats  # loading it takes a second

    return np.asarray(stats.trim_mean(values, 0.25, axis))


def _bootstrap(
    samples: Sequence[Floats],
    *statistics: Callable[[Floats, int], Floats],
    confidence: float,
    resamples: int,
    seed: int,
) -> list[Interval]:
    """Return the intervals of statistics from the same resamples of each sample."""
    from scipy import stats  # loading it takes a second

    _check_confidence(confidence)
    together = np.concatenate(samples)
    drawn = [sample for sample in samples if sample.size > 1]
    if not drawn:
        return [(math.nan, math.nan) for _ in statistics]
    if np.ptp(together) == 0.0:
        value = float(together[0])
        return [(value, value) for _ in statistics]
    # A stratum of one value is the same in every resample.
    fixed = np.concatenate([np.empty(0), *(s for s in samples if s.size == 1)])

    def all_of(*resampled: Floats, axis: int) -> Floats:
        parts = [*resampled, np.broadcast_to(fixed, (*resampled[0].shape[:-1], fixed.size))]
        values = resampled[0] if len(samples) == 1 else np.concatenate(parts, axis=axis)
        return np.stack([statistic(values, axis) for statistic in statistics])

    interval = stats.bootstrap(
        tuple(drawn),
        all_of,
        confidence_level=confidence,
        n_resamples=resamples,
        batch=max(1, _VALUES_AT_ONCE // together.size),
        method="percentile",
        rng=stream(seed, "statistics", "bootstrap"),
    ).confidence_interval
    low: list[float] = np.asarray(interval.low).tolist()
    high: list[float] = np.asarray(interval.high).tolist()
    return list(zip(low, high, strict=True))
