"""SFC64, the streams' generator, written once: uniforms and normals, one word of a stream each.

Shapes: E environments; `row` is the state of one stream, shape (4,), advanced in place.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled
from abx_amr.simulator.kernel.quantiles import normal_quantiles

Floats = NDArray[np.float64]
Rows = NDArray[np.uint64]

_1, _3, _11 = np.uint64(1), np.uint64(3), np.uint64(11)
_12, _24, _40 = np.uint64(12), np.uint64(24), np.uint64(40)
_UNIT_53, _UNIT_52 = 2.0**-53, 2.0**-52


@compiled
def next_word(
    a: np.uint64, b: np.uint64, c: np.uint64, counter: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]:
    """Return SFC64's next 64 bits and its state (a, b, c, counter) after them."""
    bits = a + b + counter
    return bits, b ^ (b >> _11), c + (c << _3), ((c << _24) | (c >> _40)) + bits, counter + _1


@compiled
def unit_interval(bits: np.uint64) -> float:
    """Return the uniform in [0, 1) that numpy's `Generator.random` makes of 64 bits."""
    return float(np.int64(bits >> _11) * _UNIT_53)


@compiled
def next_uniform(row: Rows) -> float:
    """Return one uniform in [0, 1): the bits of numpy's `Generator(SFC64).random`."""
    bits, row[0], row[1], row[2], row[3] = next_word(row[0], row[1], row[2], row[3])
    return unit_interval(bits)


@compiled
def fill_uniform(row: Rows, out: Floats) -> None:
    """Fill `out` (n,) with uniforms in [0, 1)."""
    a, b, c, counter = row[0], row[1], row[2], row[3]
    for i in range(out.shape[0]):
        bits, a, b, c, counter = next_word(a, b, c, counter)
        out[i] = unit_interval(bits)
    row[0], row[1], row[2], row[3] = a, b, c, counter


@compiled
def fill_uniform_columns(row: Rows, out: Floats, first: int) -> None:
    """Fill the columns of `out` (P, C) from `first` on with uniforms in [0, 1), row by row."""
    a, b, c, counter = row[0], row[1], row[2], row[3]
    for p in range(out.shape[0]):
        for i in range(first, out.shape[1]):
            bits, a, b, c, counter = next_word(a, b, c, counter)
            out[p, i] = unit_interval(bits)
    row[0], row[1], row[2], row[3] = a, b, c, counter


@compiled
def fill_chances(row: Rows, out: Floats) -> None:
    """Fill `out` (n,) with probabilities in (0, 1), whose quantiles are standard normals."""
    a, b, c, counter = row[0], row[1], row[2], row[3]
    for i in range(out.shape[0]):
        bits, a, b, c, counter = next_word(a, b, c, counter)
        out[i] = (np.int64(bits >> _12) + 0.5) * _UNIT_52  # never 0 and never 1
    row[0], row[1], row[2], row[3] = a, b, c, counter


@compiled
def fill_normal(row: Rows, out: Floats, spare: Floats) -> None:
    """Fill `out` (n,) with standard normals, one word of the stream each, by the inverse CDF.

    `spare` (at least 3n) is overwritten.
    """
    chances, tails = spare[: out.shape[0]], spare[out.shape[0] :]
    fill_chances(row, chances)
    normal_quantiles(chances, out, tails)


@compiled
def fill_uniform_rows(rows: Rows, out: Floats) -> None:
    """Fill `out` (E, n) with uniforms in [0, 1), row e from the stream of environment e."""
    for e in range(rows.shape[0]):
        fill_uniform(rows[e], out[e])


@compiled
def fill_normal_rows(rows: Rows, out: Floats) -> None:
    """Fill `out` (E, n) with standard normals, row e from the stream of environment e."""
    spare = np.empty(3 * out.shape[1])
    for e in range(rows.shape[0]):
        fill_normal(rows[e], out[e], spare)
