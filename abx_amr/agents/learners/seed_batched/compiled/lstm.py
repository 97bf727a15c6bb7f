"""LSTMs: what they make of sequences, and the loss's gradient through all steps of each.

Shapes: D inputs, n steps of all sequences, H hidden units, Q parameters. A row is a sample, as the
steps of a sequence follow one another.
"""

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.elementary import tanh_of
from abx_amr.agents.learners.seed_batched.compiled.layout import (
    CELL,
    CELL_BEFORE,
    HIDDEN_AFTER,
    HIDDEN_BEFORE,
    TANH_CELL,
)
from abx_amr.simulator.kernel.compiling import compiled_sums

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_0F = np.float32(0.0)
_1F = np.float32(1.0)
_HALF = np.float32(0.5)


@compiled_sums
def add_product(transposed: Floats32, x: Floats32, y: Floats32) -> None:
    """Add a matrix times `x` (c,) to `y` (r,); the matrix is given transposed, (c, r)."""
    columns, rows = transposed.shape
    whole = columns - columns % 4
    for k in range(0, whole, 4):
        a, b, c, d = x[k], x[k + 1], x[k + 2], x[k + 3]
        for j in range(rows):
            y[j] += (
                transposed[k, j] * a
                + transposed[k + 1, j] * b
                + transposed[k + 2, j] * c
                + transposed[k + 3, j] * d
            )
    for k in range(whole, columns):
        for j in range(rows):
            y[j] += transposed[k, j] * x[k]


@compiled_sums
def set_product(matrix: Floats32, x: Floats32, y: Floats32) -> None:
    """Write the matrix (r, c) times `x` (c,) to `y` (r,)."""
    rows, columns = matrix.shape
    whole = rows - rows % 4
    for j in range(0, whole, 4):
        a, b, c, d = _0F, _0F, _0F, _0F
        for k in range(columns):
            a += matrix[j, k] * x[k]
            b += matrix[j + 1, k] * x[k]
            c += matrix[j + 2, k] * x[k]
            d += matrix[j + 3, k] * x[k]
        y[j], y[j + 1], y[j + 2], y[j + 3] = a, b, c, d
    for j in range(whole, rows):
        a = _0F
        for k in range(columns):
            a += matrix[j, k] * x[k]
        y[j] = a


@compiled_sums
def lstm_forward(
    theta: Floats32,
    lstm: Ints,
    inputs: Floats32,
    begins: Flags,
    memory: Floats32,
    gates: Floats32,
    trace: Floats32,
    outputs: Floats32,
) -> None:
    """Write what an LSTM makes of sequences laid one after the other.

    i, f, o = sigmoid, g = tanh of (W x + b + U h + b');  c' = f c + i g;  h' = o tanh(c')
    (doi 10.1162/neco.1997.9.8.1735, with forget gates, as torch.nn.LSTM)

    Args:
        theta: parameters (Q,).
        lstm: the LSTM's row of the table.
        inputs: (n, D).
        begins: whether a sequence begins here, (n,); always true at 0.
        memory: hidden and cell state with which a sequence begins, read where it does, (n, 2 H).
        gates: (n, 4 H), written.
        trace: (NUM_TRACES, n, H), written.
        outputs: the hidden states after each step, samples in columns, (H, n), written.
    """
    n, width = inputs.shape
    at, hidden, _ = lstm
    four = 4 * hidden
    by_input = theta[at : at + four * width].reshape(four, width)
    at += four * width
    by_hidden = theta[at : at + four * hidden].reshape(four, hidden).T.copy()
    at += four * hidden
    bias = theta[at : at + four] + theta[at + four : at + 2 * four]
    np.dot(inputs, by_input.T, gates)
    for i in range(n):
        h, c = trace[HIDDEN_BEFORE, i], trace[CELL_BEFORE, i]
        if begins[i]:
            h[:] = memory[i, :hidden]
            c[:] = memory[i, hidden:]
        else:
            h[:] = trace[HIDDEN_AFTER, i - 1]
            c[:] = trace[CELL, i - 1]
        z = gates[i]
        for j in range(four):
            z[j] += bias[j]
        add_product(by_hidden, h, z)
        for j in range(2 * hidden):
            z[j] = _HALF + _HALF * tanh_of(_HALF * z[j])
        for j in range(2 * hidden, 3 * hidden):
            z[j] = tanh_of(z[j])
        for j in range(3 * hidden, four):
            z[j] = _HALF + _HALF * tanh_of(_HALF * z[j])
        cell, tanh_cell, after = trace[CELL, i], trace[TANH_CELL, i], trace[HIDDEN_AFTER, i]
        for j in range(hidden):
            cell[j] = z[hidden + j] * c[j] + z[j] * z[2 * hidden + j]
        for j in range(hidden):
            tanh_cell[j] = tanh_of(cell[j])
        for j in range(hidden):
            after[j] = z[3 * hidden + j] * tanh_cell[j]
    outputs[:] = trace[HIDDEN_AFTER].T


@compiled_sums
def lstm_backward(
    theta: Floats32,
    lstm: Ints,
    inputs: Floats32,
    begins: Flags,
    gates: Floats32,
    trace: Floats32,
    by_outputs: Floats32,
    gradient: Floats32,
) -> None:
    """Write the loss's gradient by every parameter of an LSTM, through all steps of a sequence.

    Args:
        theta: parameters (Q,).
        lstm: the LSTM's row of the table.
        inputs: (n, D).
        begins: whether a sequence begins here, (n,).
        gates: those that `lstm_forward` left, (n, 4 H); become the loss's gradient by what they
            are the sigmoid or tanh of.
        trace: that `lstm_forward` left; its HIDDEN_AFTER is overwritten.
        by_outputs: the loss's gradient by the outputs, (H, n).
        gradient: (Q,), written where the LSTM's parameters are.
    """
    n, width = inputs.shape
    at, hidden, _ = lstm
    four = 4 * hidden
    by_input = gradient[at : at + four * width].reshape(four, width)
    at += four * width
    weights = theta[at : at + four * hidden].reshape(four, hidden).T.copy()
    by_hidden = gradient[at : at + four * hidden].reshape(four, hidden)
    at += four * hidden
    by_bias, by_other_bias = gradient[at : at + four], gradient[at + four : at + 2 * four]
    by_rows = trace[HIDDEN_AFTER]
    by_rows[:] = by_outputs.T
    by_h, by_c = np.zeros(hidden, np.float32), np.zeros(hidden, np.float32)  # from the step after
    for i in range(n - 1, -1, -1):
        z, direct = gates[i], by_rows[i]
        tanh_cell, before = trace[TANH_CELL, i], trace[CELL_BEFORE, i]
        for j in range(hidden):
            in_, forget = z[j], z[hidden + j]
            new, out = z[2 * hidden + j], z[3 * hidden + j]
            h = direct[j] + by_h[j]
            c = by_c[j] + h * out * (_1F - tanh_cell[j] * tanh_cell[j])
            z[j] = c * new * in_ * (_1F - in_)
            z[hidden + j] = c * before[j] * forget * (_1F - forget)
            z[2 * hidden + j] = c * in_ * (_1F - new * new)
            z[3 * hidden + j] = h * tanh_cell[j] * out * (_1F - out)
            by_c[j] = c * forget
        if begins[i]:
            by_h[:] = _0F
            by_c[:] = _0F
        else:
            set_product(weights, z, by_h)
    np.dot(gates.T, inputs, by_input)
    np.dot(gates.T, trace[HIDDEN_BEFORE], by_hidden)
    by_bias[:] = _0F
    for i in range(n):
        for j in range(four):
            by_bias[j] += gates[i, j]
    by_other_bias[:] = by_bias
