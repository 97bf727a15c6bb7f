"""Dense layers: what they make of their inputs, and the loss's gradient by their parameters.

Shapes: D inputs, n samples, Q parameters. A column is a sample: products of (outputs, inputs) and
(inputs, few samples) are the quickest.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.layout import PLACE
from abx_amr.simulator.kernel.compiling import compiled_sums

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]

_0F = np.float32(0.0)
_1F = np.float32(1.0)


@compiled_sums
def add_bias(h: Floats32, bias: Floats32) -> None:
    """Add `bias` (w,) to every column of `h` (w, n)."""
    for j in range(h.shape[0]):
        for i in range(h.shape[1]):
            h[j, i] += bias[j]


@compiled_sums
def add_bias_relu(h: Floats32, bias: Floats32) -> None:
    """Replace `h` (w, n) by max(0, h + bias)."""
    for j in range(h.shape[0]):
        for i in range(h.shape[1]):
            h[j, i] = max(_0F, h[j, i] + bias[j])


@compiled_sums
def tanh_of(x: np.float32) -> np.float32:
    """Return tanh(x) to 3e-7.

    A rational approximation without branches, which runs on vector units (the coefficients of
    Eigen's float tanh); beyond 7.9 the value is 1 in float32.
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


@compiled_sums
def add_bias_tanh(h: Floats32, bias: Floats32) -> None:
    """Replace `h` (w, n) by tanh(h + bias), to 3e-7."""
    for j in range(h.shape[0]):
        for i in range(h.shape[1]):
            h[j, i] = tanh_of(h[j, i] + bias[j])


@compiled_sums
def forward(
    theta: Floats32,
    layers: Ints,
    first: int,
    last: int,
    relu: bool,
    inputs: Floats32,
    outputs: Floats32,
) -> Floats32:
    """Return what layers `first` to `last` - 1 make of `inputs` (D, n): the last one's outputs.

    `outputs` (n * all outputs,) receives those of every layer; the last layer is linear.
    """
    n = inputs.shape[1]
    below = inputs
    for at in range(first, last):
        w, rows, cols, place = layers[at]
        weights = theta[w : w + rows * cols].reshape(rows, cols)
        bias = theta[w + rows * cols : w + rows * cols + rows]
        out = outputs[n * place : n * (place + rows)].reshape(rows, n)
        np.dot(weights, below, out)
        if at == last - 1:
            add_bias(out, bias)
        elif relu:
            add_bias_relu(out, bias)
        else:
            add_bias_tanh(out, bias)
        below = out
    return below


@compiled_sums
def backward(
    theta: Floats32,
    layers: Ints,
    first: int,
    last: int,
    relu: bool,
    inputs: Floats32,
    outputs: Floats32,
    loss_by_output: Floats32,
    gradient: Floats32,
    spare: Floats32,
) -> Floats32:
    """Write the loss's gradient by every parameter of layers `first` to `last` - 1.

    Returns:
        The loss's gradient by what layer `first` makes of its inputs, (outputs, n).

    Args:
        theta: parameters (Q,).
        layers: the table.
        first: the network's first layer.
        last: one past its last.
        relu: whether hidden layers end in relu, else tanh.
        inputs: (D, n).
        outputs: those that `forward` left.
        loss_by_output: the loss's gradient by the last layer's outputs, (outputs, n).
        gradient: (Q,), written where the network's parameters are.
        spare: at least two times n * widest layer, overwritten.
    """
    n = inputs.shape[1]
    half = spare.shape[0] // 2
    delta = loss_by_output
    side = 0
    for at in range(last - 1, first - 1, -1):
        w, rows, cols, _ = layers[at]
        weights = theta[w : w + rows * cols].reshape(rows, cols)
        by_weights = gradient[w : w + rows * cols].reshape(rows, cols)
        by_bias = gradient[w + rows * cols : w + rows * cols + rows]
        for j in range(rows):
            total = _0F
            for i in range(n):
                total += delta[j, i]
            by_bias[j] = total
        if at == first:
            np.dot(delta, inputs.T, by_weights)
        else:
            place = layers[at - 1, PLACE]
            h = outputs[n * place : n * (place + cols)].reshape(cols, n)
            np.dot(delta, h.T, by_weights)
            below = spare[side * half : side * half + n * cols].reshape(cols, n)
            np.dot(weights.T, delta, below)
            if relu:
                for j in range(cols):
                    for i in range(n):
                        below[j, i] = below[j, i] if h[j, i] > _0F else _0F
            else:
                for j in range(cols):
                    for i in range(n):
                        below[j, i] *= _1F - h[j, i] * h[j, i]
            delta = below
            side = 1 - side
    return delta
