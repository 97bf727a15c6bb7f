"""PPO's arithmetic for small networks, compiled: forward, backward and Adam written by hand.

Shapes: S seeds, E environments of a seed, n samples, D observation entries, A choices per action,
C categories of all choices, T steps of a rollout, N = T * E its transitions, Q the parameters of a
seed in one float32 vector; of recurrent networks: M LSTMs, H their hidden units.
All compiled code stands in this one file, because a compiled function's disk cache is renewed when
its own file changes, not when a file it calls into does.

A network is a range of rows of the table `layers` (int64, L x 4): where its weights begin in the
vector, outputs, inputs, where its outputs begin in a row of all outputs. A layer's weights are
(outputs, inputs) as in torch, its biases follow them. The policy's layers come first. Inside, a
column is a sample: products of (outputs, inputs) and (inputs, few samples) are the quickest.

Recurrent networks have LSTMs below them, rows of the table `lstms` (int64, M x 3): where its
parameters begin in the vector, hidden units H, inputs; the policy's first, then the value
function's. An LSTM's parameters are torch's: weights of the inputs (4 H, D) and of the hidden state
(4 H, H), the biases of both (4 H,); gates in the order input, forget, cell, output. Where the value
function has no LSTM, the first of its layers is linear and stands in its place. Inside an LSTM a
row is a sample, as its steps follow one another. What an episode carries from step to step is one
row of `memory` (2 M H): hidden and cell state of each LSTM.

What is random comes from the caller: streams are SFC64 states, shape (4,), advanced in place.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Order = NDArray[np.int32]
Streams = NDArray[np.uint64]
Flags = NDArray[np.bool_]
_Function = TypeVar("_Function", bound=Callable[..., Any])

# Sums may be taken in any order and products fused, so that they run on vector units; what is
# infinite or not a number stays so.
_FAST = {"contract", "reassoc", "nsz", "arcp"}


def compiled(function: _Function) -> _Function:
    """Return `function` compiled on its first call, kept on disk, free of the interpreter lock."""
    dispatcher = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)(function)
    return cast(_Function, dispatcher)


# columns of `layers`
WEIGHTS, OUTPUTS, INPUTS, PLACE = 0, 1, 2, 3
# entries of `settings`
LEARNING_RATE, CLIP, CLIP_VALUE, ENTROPY, VALUE, MAX_NORM, TARGET_KL = 0, 1, 2, 3, 4, 5, 6
NORMALISE, BETA1, BETA2, EPSILON = 7, 8, 9, 10
NUM_SETTINGS = 11
# entries of `statistics`
POLICY_LOSS, VALUE_LOSS, ENTROPY_LOSS, CLIPPED, KL, LOSS, MINIBATCHES = 0, 1, 2, 3, 4, 5, 6
NUM_STATISTICS = 7
# columns of `lstms`
LSTM_WEIGHTS, HIDDEN, LSTM_INPUTS = 0, 1, 2
# planes of an LSTM's `trace`
HIDDEN_BEFORE, CELL_BEFORE, CELL, TANH_CELL, HIDDEN_AFTER = 0, 1, 2, 3, 4
NUM_TRACES = 5
# what `learn_epoch` returns
GOES_ON, STOPPED_BY_KL, NOT_FINITE = 0, 1, 2

_3 = np.uint64(3)
_11 = np.uint64(11)
_24 = np.uint64(24)
_40 = np.uint64(40)
_1 = np.uint64(1)
_UNIT_53 = 2.0**-53
_0F, _1F, _HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)

# ------------------------------------------------------------------------------------------ draws


@compiled
def next_uniform(stream: Streams) -> float:
    """Return one uniform in [0, 1): the bits of numpy's `Generator(SFC64).random`."""
    bits = stream[0] + stream[1] + stream[3]
    stream[3] += _1
    stream[0] = stream[1] ^ (stream[1] >> _11)
    stream[1] = stream[2] + (stream[2] << _3)
    stream[2] = ((stream[2] << _24) | (stream[2] >> _40)) + bits
    return float(np.int64(bits >> _11) * _UNIT_53)


@compiled
def shuffle(stream: Streams, order: Order) -> None:
    """Fill `order` (n,) with a random permutation of 0..n-1 (Fisher and Yates)."""
    for i in range(order.shape[0]):
        order[i] = i
    for i in range(order.shape[0] - 1, 0, -1):
        j = int(next_uniform(stream) * (i + 1))
        order[i], order[j] = order[j], order[i]


# --------------------------------------------------------------------------------------- networks


@compiled
def add_bias(h: Floats32, bias: Floats32) -> None:
    """Add `bias` (w,) to every column of `h` (w, n)."""
    for j in range(h.shape[0]):
        for i in range(h.shape[1]):
            h[j, i] += bias[j]


@compiled
def add_bias_relu(h: Floats32, bias: Floats32) -> None:
    """Replace `h` (w, n) by max(0, h + bias)."""
    for j in range(h.shape[0]):
        for i in range(h.shape[1]):
            h[j, i] = max(_0F, h[j, i] + bias[j])


@compiled
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


@compiled
def add_bias_tanh(h: Floats32, bias: Floats32) -> None:
    """Replace `h` (w, n) by tanh(h + bias), to 3e-7."""
    for j in range(h.shape[0]):
        for i in range(h.shape[1]):
            h[j, i] = tanh_of(h[j, i] + bias[j])


@compiled
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


@compiled
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


# ------------------------------------------------------------------------------------------ LSTMs


@compiled
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


@compiled
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


@compiled
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


@compiled
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


# ------------------------------------------------------------------------------------- categories


@compiled
def log_softmax(logits: Floats32, choices: Ints) -> None:
    """Replace the logits (C, n) of every choice by log probabilities."""
    for i in range(logits.shape[1]):
        at = 0
        for k in choices:
            highest = logits[at, i]
            for j in range(at + 1, at + k):
                highest = max(highest, logits[j, i])
            total = _0F
            for j in range(at, at + k):
                total += math.exp(logits[j, i] - highest)
            shift = highest + math.log(total)
            for j in range(at, at + k):
                logits[j, i] -= shift
            at += k


@compiled
def choose(
    logits: Floats32,
    choices: Ints,
    stream: Streams,
    is_deterministic: bool,
    actions: Ints,
    log_probs: Floats32,
) -> None:
    """Choose actions (n, A), with log probabilities (n,), from those of all categories (C, n)."""
    for i in range(logits.shape[1]):
        at, log_prob = 0, _0F
        for a in range(choices.shape[0]):
            k = choices[a]
            chosen = k - 1
            if is_deterministic:
                chosen = 0
                for j in range(1, k):
                    if logits[at + j, i] > logits[at + chosen, i]:
                        chosen = j
            else:
                left = next_uniform(stream)
                for j in range(k - 1):
                    left -= math.exp(logits[at + j, i])
                    if left < 0.0:
                        chosen = j
                        break
            actions[i, a] = chosen
            log_prob += logits[at + chosen, i]
            at += k
        log_probs[i] = log_prob


# ---------------------------------------------------------------------------------------- rollouts


@compiled
def act(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    choices: Ints,
    observations: Floats32,
    streams: Streams,
    is_deterministic: bool,
    actions: Ints,
    log_probs: Floats32,
    values: Floats32,
) -> None:
    """Choose actions for every seed, each from its own parameters and stream.

    Args:
        theta: (S, Q).
        layers: the table.
        num_policy_layers: how many of them are the policy's.
        relu: whether hidden layers end in relu, else tanh.
        choices: the number of categories of each of the A choices.
        observations: (S * E, D), seed by seed.
        streams: (S, 4), advanced unless the choice is deterministic.
        is_deterministic: take the likeliest (the first of equals) instead of a drawn category.
        actions: (S * E, A), written.
        log_probs: (S * E,), written.
        values: (S * E,), written.
    """
    num_seeds = theta.shape[0]
    n = observations.shape[0] // num_seeds
    outputs = np.empty(n * (layers[-1, PLACE] + layers[-1, OUTPUTS]), np.float32)
    for s in range(num_seeds):
        seen = observations[s * n : (s + 1) * n].T.copy()
        logits = forward(theta[s], layers, 0, num_policy_layers, relu, seen, outputs)
        log_softmax(logits, choices)
        value = forward(theta[s], layers, num_policy_layers, len(layers), relu, seen, outputs)
        rows = slice(s * n, (s + 1) * n)
        choose(logits, choices, streams[s], is_deterministic, actions[rows], log_probs[rows])
        values[rows] = value[0]


@compiled
def state_values(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    observations: Floats32,
    values: Floats32,
) -> None:
    """Write every seed's values (S * E,) of its observations (S * E, D)."""
    num_seeds = theta.shape[0]
    n = observations.shape[0] // num_seeds
    outputs = np.empty(n * (layers[-1, PLACE] + layers[-1, OUTPUTS]), np.float32)
    for s in range(num_seeds):
        seen = observations[s * n : (s + 1) * n].T.copy()
        value = forward(theta[s], layers, num_policy_layers, len(layers), relu, seen, outputs)
        for i in range(n):
            values[s * n + i] = value[0, i]


@compiled
def remember(
    theta: Floats32,
    lstms: Ints,
    which: int,
    inputs: Floats32,
    memory: Floats32,
    outputs: Floats32,
) -> None:
    """Make one step of LSTM `which` of a seed's environments, each a sequence of its own.

    Args:
        theta: parameters (Q,).
        lstms: the table.
        which: row of the table.
        inputs: (E, D).
        memory: (E, 2 M H), the LSTM's part replaced by that after the step.
        outputs: (H, E), written.
    """
    n, hidden = inputs.shape[0], lstms[which, HIDDEN]
    at = 2 * hidden * which
    mine = memory[:, at : at + 2 * hidden]
    gates, trace = (
        np.empty((n, 4 * hidden), np.float32),
        np.empty((NUM_TRACES, n, hidden), np.float32),
    )
    lstm_forward(
        theta, lstms[which], inputs, np.ones(n, np.bool_), mine.copy(), gates, trace, outputs
    )
    mine[:, :hidden] = trace[HIDDEN_AFTER]
    mine[:, hidden:] = trace[CELL]


@compiled
def recurrent_values(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    lstms: Ints,
    inputs: Floats32,
    memory: Floats32,
    latent: Floats32,
    outputs: Floats32,
) -> Floats32:
    """Return one seed's values (1, E) of inputs (E, D); `memory` (E, 2 M H) becomes the next."""
    first = num_policy_layers
    if len(lstms) > 1:
        remember(theta, lstms, 1, inputs, memory, latent)
    else:
        latent[:] = forward(theta, layers, first, first + 1, relu, inputs.T.copy(), outputs)
        first += 1
    return forward(theta, layers, first, len(layers), relu, latent, outputs)


@compiled
def act_with_memory(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    lstms: Ints,
    choices: Ints,
    observations: Floats32,
    starts: Floats32,
    memory: Floats32,
    streams: Streams,
    is_deterministic: bool,
    actions: Ints,
    log_probs: Floats32,
    values: Floats32,
) -> None:
    """Choose actions for every seed as `act` does, with recurrent networks.

    Args:
        theta: (S, Q).
        layers: the table.
        num_policy_layers: how many of them are the policy's.
        relu: whether hidden layers end in relu, else tanh.
        lstms: the table.
        choices: the number of categories of each of the A choices.
        observations: (S * E, D), seed by seed.
        starts: 1 where an episode begins, which begins without memory, (S * E,).
        memory: (S * E, 2 M H), replaced by that after the step.
        streams: (S, 4), advanced unless the choice is deterministic.
        is_deterministic: take the likeliest (the first of equals) instead of a drawn category.
        actions: (S * E, A), written.
        log_probs: (S * E,), written.
        values: (S * E,), written.
    """
    num_seeds = theta.shape[0]
    n = observations.shape[0] // num_seeds
    outputs = np.empty(n * (layers[-1, PLACE] + layers[-1, OUTPUTS]), np.float32)
    latent = np.empty((lstms[0, HIDDEN], n), np.float32)
    for s in range(num_seeds):
        rows = slice(s * n, (s + 1) * n)
        seen, mine = observations[rows], memory[rows]
        for i in range(n):
            if starts[s * n + i] > _0F:
                mine[i] = _0F
        remember(theta[s], lstms, 0, seen, mine, latent)
        logits = forward(theta[s], layers, 0, num_policy_layers, relu, latent, outputs)
        log_softmax(logits, choices)
        value = recurrent_values(
            theta[s], layers, num_policy_layers, relu, lstms, seen, mine, latent, outputs
        )
        choose(logits, choices, streams[s], is_deterministic, actions[rows], log_probs[rows])
        values[rows] = value[0]


@compiled
def state_values_with_memory(
    theta: Floats32,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    lstms: Ints,
    observations: Floats32,
    starts: Floats32,
    memory: Floats32,
    values: Floats32,
) -> None:
    """Write every seed's values (S * E,) of its observations (S * E, D), with `memory` as it is."""
    num_seeds = theta.shape[0]
    n = observations.shape[0] // num_seeds
    outputs = np.empty(n * (layers[-1, PLACE] + layers[-1, OUTPUTS]), np.float32)
    latent = np.empty((lstms[0, HIDDEN], n), np.float32)
    for s in range(num_seeds):
        rows = slice(s * n, (s + 1) * n)
        mine = memory[rows].copy()
        for i in range(n):
            if starts[s * n + i] > _0F:
                mine[i] = _0F
        value = recurrent_values(
            theta[s],
            layers,
            num_policy_layers,
            relu,
            lstms,
            observations[rows],
            mine,
            latent,
            outputs,
        )
        values[rows] = value[0]


@compiled
def advantages_and_returns(
    rewards: Floats32,
    values: Floats32,
    starts: Floats32,
    last_values: Floats32,
    last_dones: Floats32,
    discounts: Floats32,
    gae_lambda: float,
    advantages: Floats32,
    returns: Floats32,
) -> None:
    """Write generalised advantages and value targets, (T, S * E) each.

    delta_t = r_t + g_t V_{t+1} - V_t;  A_t = delta_t + g_t lambda A_{t+1}   (arXiv 1506.02438)

    Args:
        rewards: (T, S * E), bootstrapped at time limits.
        values: (T, S * E).
        starts: 1 where an episode begins at step t, (T, S * E).
        last_values: values after the last step, (S * E,).
        last_dones: 1 where the last step ended an episode, (S * E,).
        discounts: g_t, (T, S * E).
        gae_lambda: lambda.
        advantages: written.
        returns: written; A + V.
    """
    steps = rewards.shape[0]
    smoothing = np.float32(gae_lambda)
    for e in range(rewards.shape[1]):
        advantage = _0F
        for t in range(steps - 1, -1, -1):
            if t == steps - 1:
                goes_on, following = _1F - last_dones[e], last_values[e]
            else:
                goes_on, following = _1F - starts[t + 1, e], values[t + 1, e]
            g = discounts[t, e] * goes_on
            delta = rewards[t, e] + g * following - values[t, e]
            advantage = delta + g * smoothing * advantage
            advantages[t, e] = advantage
            returns[t, e] = advantage + values[t, e]


# ------------------------------------------------------------------------------------------ update


@compiled
def normalised(values: Floats32) -> None:
    """Replace `values` (n,) by (values - mean) / (std + 1e-8); std with n - 1."""
    n = values.shape[0]
    total = 0.0
    for i in range(n):
        total += values[i]
    mean = total / n
    squares = 0.0
    for i in range(n):
        squares += (values[i] - mean) ** 2
    scale = 1.0 / (math.sqrt(squares / (n - 1)) + 1e-8)
    for i in range(n):
        values[i] = np.float32((values[i] - mean) * scale)


@compiled
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


@compiled
def clipped_step(
    theta: Floats32,
    gradient: Floats32,
    mean: Floats32,
    square: Floats32,
    count: Ints,
    loss: float,
    settings: Floats,
) -> bool:
    """Make Adam's next step with the gradient cut to its longest norm; False: it is not finite."""
    squares = 0.0
    for i in range(gradient.shape[0]):
        squares += gradient[i] * gradient[i]
    if not math.isfinite(loss) or not math.isfinite(squares):
        return False
    scale = min(1.0, settings[MAX_NORM] / (math.sqrt(squares) + 1e-6))
    count[0] += 1
    adam_step(theta, gradient, mean, square, count[0], scale, settings)
    return True


@compiled
def loss_and_output_gradients(
    log_probs: Floats32,
    values: Floats32,
    choices: Ints,
    actions: Ints,
    old_log_probs: Floats32,
    old_values: Floats32,
    advantages: Floats32,
    returns: Floats32,
    order: Order,
    settings: Floats,
    by_logits: Floats32,
    by_values: Floats32,
    statistics: Floats,
) -> None:
    """Write PPO's loss by logits (C, n) and values (1, n), and its statistics.

    loss = -mean(min(A r, A clip(r))) - ent_coef mean(H) + vf_coef mean((V - R)^2)
    (arXiv 1707.06347; `log_probs` are those of all categories, (C, n))

    Args:
        log_probs: of every category now.
        values: now, (1, n).
        choices: the number of categories of each of the A choices.
        actions: (N, A).
        old_log_probs: of the actions, when they were taken, (N,).
        old_values: (N,).
        advantages: (N,).
        returns: (N,).
        order: which n of the N.
        settings: hyper-parameters.
        by_logits: written.
        by_values: written.
        statistics: of this minibatch, (NUM_STATISTICS,), written.
    """
    n = order.shape[0]
    clip, clip_value = np.float32(settings[CLIP]), np.float32(settings[CLIP_VALUE])
    share = np.float32(1.0 / n)
    by_entropy = np.float32(settings[ENTROPY] / n)
    by_value = np.float32(2.0 * settings[VALUE] / n)
    advantage = np.empty(n, np.float32)
    for i in range(n):
        advantage[i] = advantages[order[i]]
    if settings[NORMALISE] > 0.0 and n > 1:
        normalised(advantage)
    policy_loss, value_loss, entropies, clipped, kl = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        row = order[i]
        at, log_prob, entropy = 0, _0F, _0F
        for a in range(choices.shape[0]):
            k = choices[a]
            log_prob += log_probs[at + actions[row, a], i]
            of_choice = _0F
            for j in range(at, at + k):
                p = math.exp(log_probs[j, i])
                by_logits[j, i] = p  # probabilities for now
                of_choice -= p * log_probs[j, i]
            entropy += of_choice
            at += k
        log_ratio = log_prob - old_log_probs[row]
        ratio = math.exp(log_ratio)
        inside = min(max(ratio, _1F - clip), _1F + clip)
        free, bounded = advantage[i] * ratio, advantage[i] * inside
        policy_loss -= min(free, bounded)
        is_active = free <= bounded  # equal where the ratio is inside
        by_log_prob = -share * np.float32(free) if is_active else _0F
        clipped += 1.0 if abs(ratio - _1F) > clip else 0.0
        kl += (ratio - _1F) - log_ratio
        entropies += float(entropy)
        # logits: d log p(a) / d z_j = [j = a] - p_j;  dH / d z_j = -p_j (log p_j + H)
        at = 0
        for a in range(choices.shape[0]):
            k = choices[a]
            of_choice = _0F
            for j in range(at, at + k):
                of_choice -= by_logits[j, i] * log_probs[j, i]
            for j in range(at, at + k):
                p = by_logits[j, i]
                by_logits[j, i] = by_entropy * p * (log_probs[j, i] + of_choice) - by_log_prob * p
            by_logits[at + actions[row, a], i] += by_log_prob
            at += k
        predicted, slope = np.float32(values[0, i]), _1F
        if clip_value >= _0F:
            change = predicted - old_values[row]
            if abs(change) > clip_value:
                slope = _0F
                change = clip_value if change > _0F else -clip_value
            predicted = np.float32(old_values[row] + change)
        error = predicted - returns[row]
        value_loss += error * error
        by_values[0, i] = by_value * error * slope
    statistics[POLICY_LOSS] = policy_loss / n
    statistics[VALUE_LOSS] = value_loss / n
    statistics[ENTROPY_LOSS] = -entropies / n
    statistics[CLIPPED] = clipped / n
    statistics[KL] = kl / n
    statistics[LOSS] = (
        policy_loss / n - settings[ENTROPY] * entropies / n + settings[VALUE] * value_loss / n
    )
    statistics[MINIBATCHES] = 1.0


@compiled
def learn_epoch(
    theta: Floats32,
    mean: Floats32,
    square: Floats32,
    count: Ints,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    choices: Ints,
    observations: Floats32,
    actions: Ints,
    old_log_probs: Floats32,
    old_values: Floats32,
    advantages: Floats32,
    returns: Floats32,
    order: Order,
    batch_size: int,
    settings: Floats,
    statistics: Floats,
) -> int:
    """Pass once over a seed's rollout in minibatches; return GOES_ON, STOPPED_BY_KL or NOT_FINITE.

    Args:
        theta: parameters (Q,), changed in place.
        mean: Adam's first moments (Q,), changed in place.
        square: Adam's second moments (Q,), changed in place.
        count: Adam's steps so far, (1,), changed in place.
        layers: the table.
        num_policy_layers: how many of them are the policy's.
        relu: whether hidden layers end in relu, else tanh.
        choices: the number of categories of each of the A choices.
        observations: (N, D).
        actions: (N, A).
        old_log_probs: (N,).
        old_values: (N,).
        advantages: (N,).
        returns: (N,).
        order: the transitions in the order in which they are learned from, at most (N,).
        batch_size: transitions of a minibatch; the last may be smaller.
        settings: hyper-parameters, (NUM_SETTINGS,).
        statistics: sums over minibatches (LOSS: the last one's), (NUM_STATISTICS,), added to.
    """
    total, width = order.shape[0], observations.shape[1]
    most = min(batch_size, total)
    per_row = layers[-1, PLACE] + layers[-1, OUTPUTS]
    widest = 0
    for at in range(len(layers)):
        widest = max(widest, layers[at, OUTPUTS], layers[at, INPUTS])
    outputs = np.empty(most * per_row, np.float32)
    spare = np.empty(2 * most * widest, np.float32)
    inputs_room = np.empty(most * width, np.float32)
    by_logits_room = np.empty(most * choices.sum(), np.float32)
    by_values_room = np.empty(most, np.float32)
    gradient = np.zeros(theta.shape[0], np.float32)
    now = np.zeros(NUM_STATISTICS)
    for start in range(0, total, batch_size):
        chosen = order[start : min(start + batch_size, total)]
        n = chosen.shape[0]
        inputs = inputs_room[: n * width].reshape(width, n)
        for i in range(n):
            for d in range(width):
                inputs[d, i] = observations[chosen[i], d]
        by_logits = by_logits_room[: n * choices.sum()].reshape(choices.sum(), n)
        by_values = by_values_room[:n].reshape(1, n)
        logits = forward(theta, layers, 0, num_policy_layers, relu, inputs, outputs)
        log_softmax(logits, choices)
        values = forward(theta, layers, num_policy_layers, len(layers), relu, inputs, outputs)
        loss_and_output_gradients(
            logits,
            values,
            choices,
            actions,
            old_log_probs,
            old_values,
            advantages,
            returns,
            chosen,
            settings,
            by_logits,
            by_values,
            now,
        )
        for j in range(NUM_STATISTICS):
            statistics[j] = now[j] if j == LOSS else statistics[j] + now[j]
        if now[KL] > 1.5 * settings[TARGET_KL]:
            return STOPPED_BY_KL
        backward(
            theta,
            layers,
            0,
            num_policy_layers,
            relu,
            inputs,
            outputs,
            by_logits,
            gradient,
            spare,
        )
        backward(
            theta,
            layers,
            num_policy_layers,
            len(layers),
            relu,
            inputs,
            outputs,
            by_values,
            gradient,
            spare,
        )
        if not clipped_step(theta, gradient, mean, square, count, now[LOSS], settings):
            return NOT_FINITE
    return GOES_ON


@compiled
def learn_epoch_with_memory(
    theta: Floats32,
    mean: Floats32,
    square: Floats32,
    count: Ints,
    layers: Ints,
    num_policy_layers: int,
    relu: bool,
    lstms: Ints,
    choices: Ints,
    observations: Floats32,
    starts: Floats32,
    memory: Floats32,
    steps: int,
    actions: Ints,
    old_log_probs: Floats32,
    old_values: Floats32,
    advantages: Floats32,
    returns: Floats32,
    split: int,
    batch_size: int,
    settings: Floats,
    statistics: Floats,
) -> int:
    """Pass once over a seed's rollout as `learn_epoch` does, with recurrent networks.

    The transitions are learned from in the order `split`, ..., N - 1, 0, ..., `split` - 1, as
    sb3-contrib's RecurrentRolloutBuffer gives them. Within a minibatch a sequence begins at its
    first transition, where an episode begins and where another environment follows; it begins with
    the memory of its rollout. The sequences are walked one after the other, so that none is padded.

    Args:
        theta: parameters (Q,), changed in place.
        mean: Adam's first moments (Q,), changed in place.
        square: Adam's second moments (Q,), changed in place.
        count: Adam's steps so far, (1,), changed in place.
        layers: the table.
        num_policy_layers: how many of them are the policy's.
        relu: whether hidden layers end in relu, else tanh.
        lstms: the table.
        choices: the number of categories of each of the A choices.
        observations: (N, D), environment by environment.
        starts: 1 where an episode begins, (N,).
        memory: what was remembered before each transition, (N, 2 M H).
        steps: T.
        actions: (N, A).
        old_log_probs: (N,).
        old_values: (N,).
        advantages: (N,).
        returns: (N,).
        split: the transition that is learned from first.
        batch_size: transitions of a minibatch; the last may be smaller.
        settings: hyper-parameters, (NUM_SETTINGS,).
        statistics: sums over minibatches (LOSS: the last one's), (NUM_STATISTICS,), added to.
    """
    total, width = observations.shape
    most = min(batch_size, total)
    num_lstms, hidden = len(lstms), lstms[0, HIDDEN]
    per_row = layers[-1, PLACE] + layers[-1, OUTPUTS]
    widest = 0
    for at in range(len(layers)):
        widest = max(widest, layers[at, OUTPUTS], layers[at, INPUTS])
    outputs = np.empty(most * per_row, np.float32)
    spare = np.empty(2 * most * widest, np.float32)
    gates_room = np.empty(num_lstms * most * 4 * hidden, np.float32)
    trace_room = np.empty(num_lstms * NUM_TRACES * most * hidden, np.float32)
    gradient = np.zeros(theta.shape[0], np.float32)
    now = np.zeros(NUM_STATISTICS)
    first_value = num_policy_layers + 2 - num_lstms  # the first layer above what is remembered
    for start in range(0, total, batch_size):
        n = min(batch_size, total - start)
        chosen = np.empty(n, np.int32)
        begins = np.empty(n, np.bool_)
        inputs = np.empty((n, width), np.float32)
        before = np.zeros((num_lstms, n, 2 * hidden), np.float32)
        for i in range(n):
            row = (split + start + i) % total
            chosen[i] = row
            inputs[i] = observations[row]
            begins[i] = i == 0 or starts[row] > _0F or row % steps == 0
            if begins[i] and starts[row] == _0F:
                for m in range(num_lstms):
                    before[m, i] = memory[row, 2 * hidden * m : 2 * hidden * (m + 1)]
        gates = gates_room[: num_lstms * n * 4 * hidden].reshape(num_lstms, n, 4 * hidden)
        trace = trace_room[: num_lstms * NUM_TRACES * n * hidden].reshape(
            num_lstms, NUM_TRACES, n, hidden
        )
        latent = np.empty((2, hidden, n), np.float32)
        for m in range(num_lstms):
            lstm_forward(theta, lstms[m], inputs, begins, before[m], gates[m], trace[m], latent[m])
        columns = latent[0]
        if num_lstms == 1:
            columns = inputs.T.copy()
            latent[1] = forward(
                theta, layers, num_policy_layers, first_value, relu, columns, outputs
            )
        by_logits = np.empty((choices.sum(), n), np.float32)
        by_values = np.empty((1, n), np.float32)
        logits = forward(theta, layers, 0, num_policy_layers, relu, latent[0], outputs)
        log_softmax(logits, choices)
        values = forward(theta, layers, first_value, len(layers), relu, latent[1], outputs)
        loss_and_output_gradients(
            logits,
            values,
            choices,
            actions,
            old_log_probs,
            old_values,
            advantages,
            returns,
            chosen,
            settings,
            by_logits,
            by_values,
            now,
        )
        for j in range(NUM_STATISTICS):
            statistics[j] = now[j] if j == LOSS else statistics[j] + now[j]
        if now[KL] > 1.5 * settings[TARGET_KL]:
            return STOPPED_BY_KL
        by_latent = np.empty((hidden, n), np.float32)
        for m in range(2):
            first, last, by_outputs = 0, num_policy_layers, by_logits
            if m == 1:
                first, last, by_outputs = first_value, len(layers), by_values
            delta = backward(
                theta, layers, first, last, relu, latent[m], outputs, by_outputs, gradient, spare
            )
            w, rows, cols, _ = layers[first]
            np.dot(theta[w : w + rows * cols].reshape(rows, cols).T, delta, by_latent)
            if m < num_lstms:
                lstm_backward(
                    theta, lstms[m], inputs, begins, gates[m], trace[m], by_latent, gradient
                )
            else:
                backward(
                    theta,
                    layers,
                    num_policy_layers,
                    first_value,
                    relu,
                    columns,
                    outputs,
                    by_latent,
                    gradient,
                    spare,
                )
        if not clipped_step(theta, gradient, mean, square, count, now[LOSS], settings):
            return NOT_FINITE
    return GOES_ON
