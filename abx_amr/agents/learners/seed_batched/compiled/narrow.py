"""Products of narrow matrices: a BLAS arranges their operands for longer than it multiplies.

Two rows by four at a time, which is what vector units have registers for. Shapes: m rows of the
product, s of its sums' addends, n of its columns.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled_sums

Floats32 = NDArray[np.float32]

#: Up to so many rows or columns these are quicker than OpenBLAS, for as many samples or more.
NARROW = 32

_0F = np.float32(0.0)


@compiled_sums
def product(left: Floats32, right: Floats32, out: Floats32) -> None:
    """Write `left` (m, s) times `right` (s, n) to `out`; rows of `right` are samples abreast."""
    m, s = left.shape
    n = right.shape[1]
    out[:] = _0F
    for k in range(0, s - 3, 4):
        for j in range(0, m - 1, 2):
            a0, a1, a2, a3 = left[j, k], left[j, k + 1], left[j, k + 2], left[j, k + 3]
            b0, b1, b2, b3 = (
                left[j + 1, k],
                left[j + 1, k + 1],
                left[j + 1, k + 2],
                left[j + 1, k + 3],
            )
            for i in range(n):
                x0, x1, x2, x3 = right[k, i], right[k + 1, i], right[k + 2, i], right[k + 3, i]
                out[j, i] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                out[j + 1, i] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
        for j in range(m - m % 2, m):
            a0, a1, a2, a3 = left[j, k], left[j, k + 1], left[j, k + 2], left[j, k + 3]
            for i in range(n):
                out[j, i] += (
                    a0 * right[k, i]
                    + a1 * right[k + 1, i]
                    + a2 * right[k + 2, i]
                    + a3 * right[k + 3, i]
                )
    for k in range(s - s % 4, s):
        for j in range(m):
            a0 = left[j, k]
            for i in range(n):
                out[j, i] += a0 * right[k, i]


@compiled_sums
def product_of_rows(left: Floats32, right: Floats32, out: Floats32) -> None:
    """Write `left` (m, s) times the transpose of `right` (n, s) to `out`."""
    m, s = left.shape
    n = right.shape[0]
    for k in range(0, n - 3, 4):
        for j in range(0, m - 1, 2):
            a0, a1, a2, a3 = _0F, _0F, _0F, _0F
            b0, b1, b2, b3 = _0F, _0F, _0F, _0F
            for i in range(s):
                a, b = left[j, i], left[j + 1, i]
                x0, x1, x2, x3 = right[k, i], right[k + 1, i], right[k + 2, i], right[k + 3, i]
                a0 += a * x0
                a1 += a * x1
                a2 += a * x2
                a3 += a * x3
                b0 += b * x0
                b1 += b * x1
                b2 += b * x2
                b3 += b * x3
            out[j, k], out[j, k + 1], out[j, k + 2], out[j, k + 3] = a0, a1, a2, a3
            out[j + 1, k], out[j + 1, k + 1], out[j + 1, k + 2], out[j + 1, k + 3] = b0, b1, b2, b3
        for j in range(m - m % 2, m):
            a0, a1, a2, a3 = _0F, _0F, _0F, _0F
            for i in range(s):
                a = left[j, i]
                a0 += a * right[k, i]
                a1 += a * right[k + 1, i]
                a2 += a * right[k + 2, i]
                a3 += a * right[k + 3, i]
            out[j, k], out[j, k + 1], out[j, k + 2], out[j, k + 3] = a0, a1, a2, a3
    for k in range(n - n % 4, n):
        for j in range(m):
            a0 = _0F
            for i in range(s):
                a0 += left[j, i] * right[k, i]
            out[j, k] = a0
