"""Dense layers: what they make of their inputs, and the loss's gradient by their parameters.

Shapes: D inputs, n samples, Q parameters. A column is a sample: products of (outputs, inputs) and
(inputs, few samples) are the quickest.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.elementary import tanh_of
from abx_amr.agents.learners.seed_batched.compiled.narrow import NARROW, product, product_of_rows
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
        if rows <= NARROW <= n:
            product(weights, below, out)
        else:
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
    w, rows, cols, _ = layers[last - 1]
    by_bias = gradient[w + rows * cols : w + rows * cols + rows]
    for j in range(rows):
        total = _0F
        for i in range(n):
            total += delta[j, i]
        by_bias[j] = total
    side = 0
    for at in range(last - 1, first, -1):
        w, rows, cols, _ = layers[at]
        weights = theta[w : w + rows * cols].reshape(rows, cols)
        by_weights = gradient[w : w + rows * cols].reshape(rows, cols)
        below_w, _, below_cols, place = layers[at - 1]
        h = outputs[n * place : n * (place + cols)].reshape(cols, n)
        if rows <= NARROW:
            product_of_rows(delta, h, by_weights)
        else:
            np.dot(delta, h.T, by_weights)
        below = spare[side * half : side * half + n * cols].reshape(cols, n)
        np.dot(weights.T, delta, below)
        bias_at = below_w + cols * below_cols
        through_hidden(below, h, relu, gradient[bias_at : bias_at + cols])
        delta = below
        side = 1 - side
    w, rows, cols, _ = layers[first]
    by_weights = gradient[w : w + rows * cols].reshape(rows, cols)
    if min(rows, cols) <= NARROW:
        product_of_rows(delta, inputs, by_weights)
    else:
        np.dot(delta, inputs.T, by_weights)
    return delta


@compiled_sums
def through_hidden(below: Floats32, h: Floats32, relu: bool, by_bias: Floats32) -> None:
    """Take the loss's gradient back through what a hidden layer ends in.

    Args:
        below: by the layer's outputs (w, n), replaced by that by its sums.
        h: the layer's outputs.
        relu: whether it ends in relu, else tanh.
        by_bias: by its biases (w,), written.
    """
    for j in range(h.shape[0]):
        total = _0F
        if relu:
            for i in range(h.shape[1]):
                slope = below[j, i] if h[j, i] > _0F else _0F
                below[j, i] = slope
                total += slope
        else:
            for i in range(h.shape[1]):
                slope = below[j, i] * (_1F - h[j, i] * h[j, i])
                below[j, i] = slope
                total += slope
        by_bias[j] = total
