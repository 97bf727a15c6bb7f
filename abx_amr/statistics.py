"""What a sample of returns says: mean, spread, interquartile mean, intervals, paired difference.

Shapes: n values, one per episode or one per seed. What a sample is too small to say is nan.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.errors import InputError
from abx_amr.rng import stream
from abx_amr.simulator import checks

Floats = NDArray[np.float64]
Interval = tuple[float, float]

RESAMPLES = 9_999
_VALUES_AT_ONCE = 2_000_000  # resampled values held in memory


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

    return float(stats.trim_mean(_sample(values), 0.25))


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
    sample = _sample(values)
    checks.whole_number("resamples", resamples, 1)
    mean_interval, iqm_interval = _bootstrap(sample, confidence, resamples, seed)
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
    return _bootstrap(_sample(values), confidence, resamples, seed)[0]


def t_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return Student's t interval of the mean: for a handful of seeds.

    mean -/+ t(n - 1) * std / sqrt(n), nan for n = 1.

    >>> low, high = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    sample = _sample(values)
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
    one, other = _sample(first), _sample(second)
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


def _sample(values: ArrayLike) -> Floats:
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
    from scipy import stats  # loading it takes a second

    _check_confidence(confidence)
    half = float(stats.t.ppf((1.0 + confidence) / 2.0, freedom)) * error
    return (mean - half, mean + half)


def _bootstrap(
    sample: Floats, confidence: float, resamples: int, seed: int
) -> tuple[Interval, Interval]:
    """Return the intervals of the mean and of the IQM from the same resamples."""
    from scipy import stats  # loading it takes a second

    _check_confidence(confidence)
    if sample.size == 1:
        return (math.nan, math.nan), (math.nan, math.nan)
    if np.ptp(sample) == 0.0:
        value = float(sample[0])
        return (value, value), (value, value)

    def both(resampled: Floats, axis: int) -> Floats:
        return np.stack([resampled.mean(axis), stats.trim_mean(resampled, 0.25, axis)])

    interval = stats.bootstrap(
        (sample,),
        both,
        confidence_level=confidence,
        n_resamples=resamples,
        batch=max(1, _VALUES_AT_ONCE // sample.size),
        method="percentile",
        rng=stream(seed, "statistics", "bootstrap"),
    ).confidence_interval
    (mean_low, iqm_low), (mean_high, iqm_high) = np.asarray([interval.low, interval.high]).tolist()
    return (mean_low, mean_high), (iqm_low, iqm_high)
