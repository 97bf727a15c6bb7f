"""Adam's step with a gradient cut to its longest norm.

Shapes: Q parameters.
"""

import math

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.layout import (
    BETA1,
    BETA2,
    EPSILON,
    LEARNING_RATE,
    MAX_NORM,
    POLICY_PARAMETERS,
)
from abx_amr.simulator.kernel.compiling import compiled_sums

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@compiled_sums
def adam_step(
    theta: Floats32,
    gradient: Floats32,
    mean: Floats32,
    square: Floats32,
    count: int,
    scale: float,
    settings: Floats,
) -> None:
    """Make Adam's step number `count` (from 1) with `scale` times the gradient, all (Q,).

    arXiv 1412.6980, as torch.optim.Adam does it without weight decay.
    """
    b1, b2 = settings[BETA1], settings[BETA2]
    rate = np.float32(settings[LEARNING_RATE] / (1.0 - b1**count))
    root = np.float32(1.0 / math.sqrt(1.0 - b2**count))
    epsilon, factor = np.float32(settings[EPSILON]), np.float32(scale)
    keep1, keep2 = np.float32(b1), np.float32(b2)
    new1, new2 = np.float32(1.0 - b1), np.float32(1.0 - b2)
    for i in range(theta.shape[0]):
        g = gradient[i] * factor
        m = keep1 * mean[i] + new1 * g
        v = keep2 * square[i] + new2 * g * g
        mean[i] = m
        square[i] = v
        theta[i] -= rate * m / (math.sqrt(v) * root + epsilon)


@compiled_sums
def _shorten(gradient: Floats32, longest: float) -> None:
    """Cut a gradient (Q,) to its longest norm, in place."""
    squares = 0.0
    for i in range(gradient.shape[0]):
        squares += gradient[i] * gradient[i]
    factor = np.float32(min(1.0, longest / (math.sqrt(squares) + 1e-6)))
    for i in range(gradient.shape[0]):
        gradient[i] *= factor


@compiled_sums
def clipped_step(
    theta: Floats32,
    gradient: Floats32,
    mean: Floats32,
    square: Floats32,
    count: Ints,
    loss: float,
    settings: Floats,
) -> bool:
    """Make Adam's next step with the gradient cut to its longest norm; False: it is not finite.

    With POLICY_PARAMETERS set, the policy's part and the value function's are cut each.
    """
    squares = 0.0
    for i in range(gradient.shape[0]):
        squares += gradient[i] * gradient[i]
    if not math.isfinite(loss) or not math.isfinite(squares):
        return False
    split = int(settings[POLICY_PARAMETERS])
    if split > 0:
        _shorten(gradient[:split], settings[MAX_NORM])
        _shorten(gradient[split:], settings[MAX_NORM])
        count[0] += 1
        adam_step(theta, gradient, mean, square, count[0], 1.0, settings)
        return True
    scale = min(1.0, settings[MAX_NORM] / (math.sqrt(squares) + 1e-6))
    count[0] += 1
    adam_step(theta, gradient, mean, square, count[0], scale, settings)
    return True
