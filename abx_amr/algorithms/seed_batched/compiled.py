"""PPO's arithmetic for small networks, compiled: forward, backward and Adam written by hand.

Shapes: S seeds, E environments of a seed, n samples, D observation entries, A choices per action,
C categories of all choices, T steps of a rollout, N = T * E its transitions, Q the parameters of a
seed in one float32 vector.
All compiled code stands in this one file, because a compiled function's disk cache is renewed when
its own file changes, not when a file it calls into does.

A network is a range of rows of the table `layers` (int64, L x 4): where its weights begin in the
vector, outputs, inputs, where its outputs begin in a row of all outputs. A layer's weights are
(outputs, inputs) as in torch, its biases follow them. The policy's layers come first. Inside, a
column is a sample: products of (outputs, inputs) and (inputs, few samples) are the quickest.

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
# what `learn_epoch` returns
GOES_ON, STOPPED_BY_KL, NOT_FINITE = 0, 1, 2

_3 = np.uint64(3)
_11 = np.uint64(11)
_24 = np.uint64(24)
_40 = np.uint64(40)
_1 = np.uint64(1)
_UNIT_53 = 2.0**-53
_0F, _1F = np.float32(0.0), np.float32(1.0)

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
def add_bias_tanh(h: Floats32, bias: Floats32) -> None:
    """Replace `h` (w, n) by tanh(h + bias), to 3e-7.

    A rational approximation without branches, which runs on vector units (the coefficients of
    Eigen's float tanh); beyond 7.9 the value is 1 in float32.
    """
    limit = np.float32(7.90531110763549805)
    for j in range(h.shape[0]):
        for i in range(h.shape[1]):
            x = h[j, i] + bias[j]
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
            h[j, i] = x * over / under


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
) -> None:
    """Write the loss's gradient by every parameter of layers `first` to `last` - 1.

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
        stream = streams[s]
        for i in range(n):
            row = s * n + i
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
                actions[row, a] = chosen
                log_prob += logits[at + chosen, i]
                at += k
            log_probs[row] = log_prob
            values[row] = value[0, i]


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
        squares = 0.0
        for i in range(gradient.shape[0]):
            squares += gradient[i] * gradient[i]
        if not math.isfinite(now[LOSS]) or not math.isfinite(squares):
            return NOT_FINITE
        scale = min(1.0, settings[MAX_NORM] / (math.sqrt(squares) + 1e-6))
        count[0] += 1
        adam_step(theta, gradient, mean, square, count[0], scale, settings)
    return GOES_ON
