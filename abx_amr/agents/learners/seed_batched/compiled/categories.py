"""Choices of categories: log probabilities, and actions drawn from them.

Shapes: n samples, A choices per action, C categories of all choices.
"""

import math

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.learners.seed_batched.compiled.elementary import exp_of, log_of
from abx_amr.simulator.kernel.compiling import compiled_sums
from abx_amr.simulator.kernel.random_numbers import next_uniform

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Streams = NDArray[np.uint64]

_0F = np.float32(0.0)


@compiled_sums
def log_softmax(logits: Floats32, choices: Ints) -> None:
    """Replace the logits (C, n) of every choice by log probabilities."""
    n = logits.shape[1]
    shift = np.empty(n, np.float32)  # the highest logit, then with the logarithm of the sum
    total = np.empty(n, np.float32)
    at = 0
    for k in choices:
        shift[:] = logits[at]
        for j in range(at + 1, at + k):
            for i in range(n):
                shift[i] = max(shift[i], logits[j, i])
        total[:] = _0F
        for j in range(at, at + k):
            for i in range(n):
                total[i] += exp_of(logits[j, i] - shift[i])
        for i in range(n):
            shift[i] += log_of(total[i])
        for j in range(at, at + k):
            for i in range(n):
                logits[j, i] -= shift[i]
        at += k


@compiled_sums
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
