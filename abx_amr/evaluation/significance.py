"""Could paired differences be chance alone: t and Wilcoxon signed-rank tests, Holm's correction."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from abx_amr.errors import InputError
from abx_amr.evaluation.statistics import Floats, as_sample

_ROUNDING = 8 * np.finfo(np.float64).eps  # of differences, relative to the values


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


def paired_tests(first: ArrayLike, second: ArrayLike) -> PairedTests:
    """Return the paired t test and the Wilcoxon signed-rank test of `first - second`.

    Args:
        first: one value per pair.
        second: the others, in the same order.

    Raises:
        InputError: the samples differ in length, are empty or hold a value that is not finite.
    """
    return many_paired_tests([(first, second)])[0]


def many_paired_tests(samples: Sequence[tuple[ArrayLike, ArrayLike]]) -> list[PairedTests]:
    """Return `paired_tests` of each of these; a test of many takes little more than of one.

    Raises:
        InputError: as of `paired_tests`.
    """
    pairs = [(as_sample(first), as_sample(second)) for first, second in samples]
    for one, other in pairs:
        if one.size != other.size:
            raise InputError(
                f"paired samples must have as many values each, got {one.size} and {other.size}"
            )
    differences = [one - other for one, other in pairs]
    unequal = {i: d for i, d in enumerate(differences) if d.size > 1 and d.any()}
    spread = {
        i: d
        for i, d in unequal.items()
        if np.ptp(d) > _ROUNDING * max(float(np.abs(sample).max()) for sample in pairs[i])
    }
    wilcoxon_p, t_tests = _wilcoxon_p(unequal), _t_tests(spread)
    found = []
    for i, difference in enumerate(differences):
        n = difference.size
        if i in unequal:
            t_statistic, t_p = t_tests.get(i, (math.nan, math.nan))
            told = PairedTests(n=n, t_statistic=t_statistic, t_p=t_p, wilcoxon_p=wilcoxon_p[i])
        elif n > 1:
            told = PairedTests(n=n, t_statistic=0.0, t_p=1.0, wilcoxon_p=1.0)
        else:
            told = PairedTests(n=n, t_statistic=math.nan, t_p=math.nan, wilcoxon_p=math.nan)
        found.append(told)
    return found


def _wilcoxon_p(differences: Mapping[int, Floats]) -> dict[int, float]:
    """Return the p-values of Wilcoxon signed-rank tests.

    How one is computed hangs on ties and zeros among all that are tested together: those that have
    any are tested by themselves.
    """
    from scipy import stats  # loading it takes a second

    def is_clean(difference: Floats) -> bool:
        ordered: Floats = np.sort(np.abs(difference))
        return bool(ordered[0] > 0 and (np.diff(ordered) > 0).all())

    found: dict[int, float] = {}
    groups: dict[tuple[int, int | None], list[int]] = {}
    for i, difference in differences.items():
        groups.setdefault((difference.size, None if is_clean(difference) else i), []).append(i)
    for members in groups.values():
        together = np.stack([differences[i] for i in members])
        p_values: list[float] = np.asarray(stats.wilcoxon(together, axis=-1).pvalue).tolist()
        found |= zip(members, p_values, strict=True)
    return found


def _t_tests(differences: Mapping[int, Floats]) -> dict[int, tuple[float, float]]:
    """Return t statistics and p-values of differences that have a spread."""
    from scipy import stats  # loading it takes a second

    found: dict[int, tuple[float, float]] = {}
    for size in dict.fromkeys(d.size for d in differences.values()):
        members = [i for i, d in differences.items() if d.size == size]
        tested = stats.ttest_1samp(np.stack([differences[i] for i in members]), 0.0, axis=-1)
        statistics: list[float] = np.asarray(tested.statistic).tolist()
        p_values: list[float] = np.asarray(tested.pvalue).tolist()
        found |= zip(members, zip(statistics, p_values, strict=True), strict=True)
    return found


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
