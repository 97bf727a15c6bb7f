"""PPO's loss of a minibatch, its gradient by the networks' outputs, and its statistics.

Shapes: N transitions, n of a minibatch, A choices per action, C categories of all choices.
"""

import math

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.elementary import exp_of
from abx_amr.agents.learners.seed_batched.compiled.layout import (
    CLIP,
    CLIP_VALUE,
    CLIPPED,
    ENTROPY,
    ENTROPY_LOSS,
    KL,
    LOSS,
    MINIBATCHES,
    NORMALISE,
    POLICY_LOSS,
    VALUE,
    VALUE_LOSS,
)
from abx_amr.simulator.kernel.compiling import compiled_sums

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Order = NDArray[np.int32]

_0F = np.float32(0.0)
_1F = np.float32(1.0)


@compiled_sums
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


@compiled_sums
def by_logits_of(
    log_probs: Floats32,
    choices: Ints,
    by_log_prob: Floats32,
    by_entropy: np.float32,
    by_logits: Floats32,
) -> float:
    """Write the loss by logits (C, n) but for the actions' own; return the sum of all entropies.

    d log p(a) / d z_j = [j = a] - p_j;  dH / d z_j = -p_j (log p_j + H)

    Args:
        log_probs: of every category, (C, n).
        choices: the number of categories of each choice.
        by_log_prob: the loss by the actions' log probabilities, (n,).
        by_entropy: minus the loss by an entropy.
        by_logits: written.
    """
    n = log_probs.shape[1]
    entropy = np.empty(n, np.float32)
    at, total = 0, 0.0
    for k in choices:
        entropy[:] = _0F
        for j in range(at, at + k):
            for i in range(n):
                p = exp_of(log_probs[j, i])
                by_logits[j, i] = p  # probabilities for now
                entropy[i] -= p * log_probs[j, i]
        for i in range(n):
            total += entropy[i]
        for j in range(at, at + k):
            for i in range(n):
                slope = by_entropy * (log_probs[j, i] + entropy[i]) - by_log_prob[i]
                by_logits[j, i] *= slope
        at += k
    return total


@compiled_sums
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
    by_log_prob = np.empty(n, np.float32)
    policy_loss, value_loss, clipped, kl = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        row = order[i]
        at, log_prob = 0, _0F
        for a in range(choices.shape[0]):
            log_prob += log_probs[at + actions[row, a], i]
            at += choices[a]
        log_ratio = log_prob - old_log_probs[row]
        ratio = math.exp(log_ratio)
        inside = min(max(ratio, _1F - clip), _1F + clip)
        free, bounded = advantage[i] * ratio, advantage[i] * inside
        policy_loss -= min(free, bounded)
        is_active = free <= bounded  # equal where the ratio is inside
        by_log_prob[i] = -share * np.float32(free) if is_active else _0F
        clipped += 1.0 if abs(ratio - _1F) > clip else 0.0
        kl += (ratio - _1F) - log_ratio
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
    entropies = by_logits_of(log_probs, choices, by_log_prob, by_entropy, by_logits)
    for i in range(n):
        row, at = order[i], 0
        for a in range(choices.shape[0]):
            by_logits[at + actions[row, a], i] += by_log_prob[i]
            at += choices[a]
    statistics[POLICY_LOSS] = policy_loss / n
    statistics[VALUE_LOSS] = value_loss / n
    statistics[ENTROPY_LOSS] = -entropies / n
    statistics[CLIPPED] = clipped / n
    statistics[KL] = kl / n
    statistics[LOSS] = (
        policy_loss / n - settings[ENTROPY] * entropies / n + settings[VALUE] * value_loss / n
    )
    statistics[MINIBATCHES] = 1.0
