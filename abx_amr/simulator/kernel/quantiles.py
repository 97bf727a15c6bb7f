"""Quantiles of the standard normal, by rational approximation on vector units."""

import math

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled, compiled_polynomial

Floats = NDArray[np.float64]

EXTREME = math.exp(-25.0)


@compiled_polynomial
def normal_quantiles(probability: Floats, out: Floats, tails: Floats) -> None:
    """Write the standard normal quantile of each probability in (0, 1) to `out` (n,).

    AS 241 (Wichura 1988), algorithm PPND16, relative error about 1e-16. Its three ranges are
    three passes without branches, so that they run on the processor's vector units; the first n
    of `tails` (at least 2n) hold the positions of the outer ranges, the rest their values.
    """
    for i in range(out.shape[0]):
        q = probability[i] - 0.5
        r = 0.180625 - q * q
        over = 2509.0809287301226727 * r + 33430.575583588128105
        over = over * r + 67265.770927008700853
        over = over * r + 45921.953931549871457
        over = over * r + 13731.693765509461125
        over = over * r + 1971.5909503065514427
        over = over * r + 133.14166789178437745
        over = over * r + 3.387132872796366608
        under = 5226.495278852854561 * r + 28729.085735721942674
        under = under * r + 39307.89580009271061
        under = under * r + 21213.794301586595867
        under = under * r + 5394.1960214247511077
        under = under * r + 687.1870074920579083
        under = under * r + 42.313330701600911252
        under = under * r + 1.0
        out[i] = q * over / under
    count, extreme = 0, 0
    for i in range(out.shape[0]):
        tails[count] = i
        count += abs(probability[i] - 0.5) > 0.425
    roots = tails[out.shape[0] :]
    for t in range(count):
        p = probability[int(tails[t])]
        roots[t] = -math.log(min(p, 1.0 - p))
    for t in range(count):
        r = math.sqrt(roots[t])
        extreme += roots[t] > 25.0
        r -= 1.6
        over = 7.7454501427834140764e-4 * r + 0.0227238449892691845833
        over = over * r + 0.24178072517745061177
        over = over * r + 1.27045825245236838258
        over = over * r + 3.64784832476320460504
        over = over * r + 5.7694972214606914055
        over = over * r + 4.6303378461565452959
        over = over * r + 1.42343711074968357734
        under = 1.05075007164441684324e-9 * r + 5.475938084995344946e-4
        under = under * r + 0.0151986665636164571966
        under = under * r + 0.14810397642748007459
        under = under * r + 0.68976733498510000455
        under = under * r + 1.6763848301838038494
        under = under * r + 2.05319162663775882187
        under = under * r + 1.0
        roots[t] = over / under
    for t in range(count):
        i = int(tails[t])
        out[i] = math.copysign(roots[t], probability[i] - 0.5)
    if extreme > 0:
        for t in range(count):
            i = int(tails[t])
            p = probability[i]
            if min(p, 1.0 - p) < EXTREME:
                out[i] = _extreme_quantile(p)


@compiled
def _extreme_quantile(probability: float) -> float:
    """Return the standard normal quantile of a probability within e^-25 of 0 or 1."""
    r = math.sqrt(-math.log(min(probability, 1.0 - probability)))
    r -= 5.0
    over = 2.01033439929228813265e-7 * r + 2.71155556874348757815e-5
    over = over * r + 0.0012426609473880784386
    over = over * r + 0.026532189526576123093
    over = over * r + 0.29656057182850489123
    over = over * r + 1.7848265399172913358
    over = over * r + 5.4637849111641143699
    over = over * r + 6.6579046435011037772
    under = 2.04426310338993978564e-15 * r + 1.4215117583164458887e-7
    under = under * r + 1.8463183175100546818e-5
    under = under * r + 7.868691311456132591e-4
    under = under * r + 0.0148753612908506148525
    under = under * r + 0.13692988092273580531
    under = under * r + 0.59983220655588793769
    under = under * r + 1.0
    return math.copysign(over / under, probability - 0.5)
