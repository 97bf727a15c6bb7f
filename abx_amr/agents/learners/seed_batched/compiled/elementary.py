"""Exponential, logarithm and hyperbolic tangent of float32, without branches.

Those of the C library are called one by one; these run on vector units. What is not a number stays
so.
"""

import numpy as np

from abx_amr.simulator.kernel.compiling import compiled_sums

_LN2 = np.float32(0.69314718055994531)
#: Bits of sqrt(1/2): a mantissa is taken between it and sqrt(2).
_SQRT_HALF = 0x3F3504F3
_MANTISSA = 0x007FFFFF


@compiled_sums
def exp_of(x: np.float32) -> np.float32:
    """Return exp(x) to 3e-7 of it, between -10 and 1 to 1.2e-7; beyond -87 and 88 theirs.

    2^n exp(r) with |r| <= ln(2) / 2 (the coefficients of Cephes' expf).
    """
    x = np.float32(-87.0) if x < np.float32(-87.0) else x  # not min and max: not a number stays so
    x = np.float32(88.0) if x > np.float32(88.0) else x
    n = np.int32(x * np.float32(1.44269504088896341) + np.float32(128.5)) - np.int32(128)
    r = x - np.float32(n) * _LN2
    p = np.float32(1.9875691500e-04) * r + np.float32(1.3981999507e-03)
    p = p * r + np.float32(8.3334519073e-03)
    p = p * r + np.float32(4.1665795894e-02)
    p = p * r + np.float32(1.6666665459e-01)
    p = p * r + np.float32(5.0000001201e-01)
    power = np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)
    return power * (p * (r * r) + r + np.float32(1.0))


@compiled_sums
def log_of(x: np.float32) -> np.float32:
    """Return log(x) of a normal positive number to 1.3e-7 of it.

    n ln(2) + log(m) with m between sqrt(1/2) and sqrt(2) (the coefficients of Cephes' logf).
    """
    bits = np.float32(x).view(np.int32) - np.int32(_SQRT_HALF)
    n = bits >> np.int32(23)
    m = np.int32((bits & np.int32(_MANTISSA)) + np.int32(_SQRT_HALF)).view(np.float32)
    m -= np.float32(1.0)
    p = np.float32(7.0376836292e-02) * m + np.float32(-1.1514610310e-01)
    p = p * m + np.float32(1.1676998740e-01)
    p = p * m + np.float32(-1.2420140846e-01)
    p = p * m + np.float32(1.4249322787e-01)
    p = p * m + np.float32(-1.6668057665e-01)
    p = p * m + np.float32(2.0000714765e-01)
    p = p * m + np.float32(-2.4999993993e-01)
    p = p * m + np.float32(3.3333331174e-01)
    squared = m * m
    found = p * m * squared - np.float32(0.5) * squared + m + np.float32(n) * _LN2
    return found if x == x else x


@compiled_sums
def tanh_of(x: np.float32) -> np.float32:
    """Return tanh(x) to 3e-7.

    A rational approximation (the coefficients of Eigen's float tanh); beyond 7.9 the value is 1 in
    float32.
    """
    limit = np.float32(7.90531110763549805)
    x = limit if x > limit else x  # not min and max: what is not a number stays so
    x = -limit if x < -limit else x
    y = x * x
    over = np.float32(-2.76076847742355e-16) * y + np.float32(2.00018790482477e-13)
    over = over * y + np.float32(-8.60467152213735e-11)
    over = over * y + np.float32(5.12229709037114e-08)
    over = over * y + np.float32(1.48572235717979e-05)
    over = over * y + np.float32(6.37261928875436e-04)
    over = over * y + np.float32(4.89352455891786e-03)
    under = np.float32(1.19825839466702e-06) * y + np.float32(1.18534705686654e-04)
    under = under * y + np.float32(2.26843463243900e-03)
    under = under * y + np.float32(4.89352518554385e-03)
    return x * over / under
