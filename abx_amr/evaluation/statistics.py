"""What samples of returns say: mean, spread, interquartile mean, intervals, paired comparisons.

Shapes: n values, one per episode or one per seed. What a sample is too small to say is nan.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr import checks
from abx_amr.errors import InputError
from abx_amr.rng import stream

Floats = NDArray[np.float64]
Interval = tuple[float, float]

RESAMPLES = 9_999
_ROUNDING = 8 * np.finfo(np.float64).eps  # of differences, relative to the values
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


@dataclass(frozen=True, kw_only=True)
class PairedTests:
    """What two tests say of paired samples: could the differences be chance alone?

    `t_p` is the p-value of the paired t test (is the mean difference zero?), `wilcoxon_p` that of
    the Wilcoxon signed-rank test (are the differences symmetric about zero?), both two-sided. Of
    one pair they are nan, of differences that are all zero 1. Of differences that are all the same
    but not zero `t_p` and `t_statistic` are nan: without a spread the t test has nothing to
    measure the mean by.
    """

    n: int
    t_statistic: float
    t_p: float
    wilcoxon_p: float


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
    samples = [_sample(values) for values in strata]
    sample = _sample(np.concatenate(samples) if samples else [])
    checks.whole_number("resamples", resamples, 1)
    mean_interval, iqm_interval = _bootstrap(samples, confidence, resamples, seed)
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
    return _bootstrap([_sample(values)], confidence, resamples, seed)[0]


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


def paired_tests(first: ArrayLike, second: ArrayLike) -> PairedTests:
    """Return the paired t test and the Wilcoxon signed-rank test of `first - second`.

    Args:
        first: one value per pair.
        second: the others, in the same order.

    Raises:
        InputError: the samples differ in length, are empty or hold a value that is not finite.
    """
    from scipy import stats  # loading it takes a second

    one, other = _sample(first), _sample(second)
    if one.size != other.size:
        raise InputError(
            f"paired samples must have as many values each, got {one.size} and {other.size}"
        )
    difference = one - other
    n = difference.size
    if n == 1:
        return PairedTests(n=1, t_statistic=math.nan, t_p=math.nan, wilcoxon_p=math.nan)
    if not difference.any():
        return PairedTests(n=n, t_statistic=0.0, t_p=1.0, wilcoxon_p=1.0)
    wilcoxon = float(stats.wilcoxon(difference).pvalue)
    largest = max(float(np.abs(one).max()), float(np.abs(other).max()))
    if np.ptp(difference) <= _ROUNDING * largest:
        return PairedTests(n=n, t_statistic=math.nan, t_p=math.nan, wilcoxon_p=wilcoxon)
    found = stats.ttest_1samp(difference, 0.0)
    return PairedTests(
        n=n, t_statistic=float(found.statistic), t_p=float(found.pvalue), wilcoxon_p=wilcoxon
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
    one, other = np.sort(_sample(first)), np.sort(_sample(second))
    wins = (one[:, None] > other).astype(np.float64) + 0.5 * (one[:, None] == other)
    generator = stream(seed, "statistics", "improvement")
    if one.size == other.size == 1:
        return float(wins.mean()), (math.nan, math.nan)
    counts_one, counts_other = (_counts(generator, s.size, resamples) for s in (one, other))
    drawn = ((counts_one @ wins) * counts_other).sum(axis=1) / wins.size
    low, high = np.quantile(drawn, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]).tolist()
    return float(wins.mean()), (low, high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number (Holm 1979); nan stays and does not count.

    The smallest is multiplied by their number, the next by one less, and so on; none becomes
    smaller than the one before it, none larger than 1.

    >>> holm([0.01, 0.04, 0.03, float("nan")])
    [0.03, 0.06, 0.06, nan]
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    corrected = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[index] = largest
    return corrected


def _counts(generator: np.random.Generator, n: int, resamples: int) -> Floats:
    """Return how often each of n values is drawn in each resample, shape (resamples, n)."""
    drawn = generator.integers(0, n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * n)
    return counts.reshape(resamples, n).astype(np.float64)


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
    samples: Sequence[Floats], confidence: float, resamples: int, seed: int
) -> tuple[Interval, Interval]:
    """Return the intervals of the mean and of the IQM from the same resamples of each sample."""
    from scipy import stats  # loading it takes a second

    _check_confidence(confidence)
    together = np.concatenate(samples)
    drawn = [sample for sample in samples if sample.size > 1]
    if not drawn:
        return (math.nan, math.nan), (math.nan, math.nan)
    if np.ptp(together) == 0.0:
        value = float(together[0])
        return (value, value), (value, value)
    # A stratum of one value is the same in every resample.
    fixed = np.concatenate([np.empty(0), *(s for s in samples if s.size == 1)])

    def both(*resampled: Floats, axis: int) -> Floats:
        parts = [*resampled, np.broadcast_to(fixed, (*resampled[0].shape[:-1], fixed.size))]
        values = resampled[0] if len(samples) == 1 else np.concatenate(parts, axis=axis)
        return np.stack([values.mean(axis), stats.trim_mean(values, 0.25, axis)])

    interval = stats.bootstrap(
        tuple(drawn),
        both,
        confidence_level=confidence,
        n_resamples=resamples,
        batch=max(1, _VALUES_AT_ONCE // together.size),
        method="percentile",
        rng=stream(seed, "statistics", "bootstrap"),
    ).confidence_interval
    (mean_low, iqm_low), (mean_high, iqm_high) = np.asarray([interval.low, interval.high]).tolist()
    return (mean_low, mean_high), (iqm_low, iqm_high)
