"""PPO's arithmetic for small networks, compiled: forward, backward and Adam written by hand.

What is random comes from the caller: streams are SFC64 states, shape (4,), advanced in place.
"""

from abx_amr.agents.learners.seed_batched.compiled.acting import act, state_values
from abx_amr.agents.learners.seed_batched.compiled.advantages import advantages_and_returns
from abx_amr.agents.learners.seed_batched.compiled.cohort import (
    act_for_cohort,
    learn_epoch_of_cohort,
)
from abx_amr.agents.learners.seed_batched.compiled.dense import add_bias_tanh, backward, forward
from abx_amr.agents.learners.seed_batched.compiled.epoch import learn_epoch, shuffle
from abx_amr.agents.learners.seed_batched.compiled.layout import (
    BETA1,
    BETA2,
    CLIP,
    CLIP_VALUE,
    CLIPPED,
    ENTROPY,
    ENTROPY_LOSS,
    EPSILON,
    GOES_ON,
    KL,
    LEARNING_RATE,
    LOSS,
    MAX_NORM,
    MINIBATCHES,
    NORMALISE,
    NOT_FINITE,
    NUM_SETTINGS,
    NUM_STATISTICS,
    NUM_TRACES,
    POLICY_LOSS,
    POLICY_PARAMETERS,
    STOPPED_BY_KL,
    TARGET_KL,
    VALUE,
    VALUE_LOSS,
)
from abx_amr.agents.learners.seed_batched.compiled.lstm import lstm_backward, lstm_forward
from abx_amr.agents.learners.seed_batched.compiled.playing import (
    NEAR,
    Decider,
    decide,
    play_steps,
    scores_of,
)
from abx_amr.agents.learners.seed_batched.compiled.recurrent_acting import (
    act_with_memory,
    state_values_with_memory,
)
from abx_amr.agents.learners.seed_batched.compiled.recurrent_epoch import learn_epoch_with_memory
from abx_amr.agents.learners.seed_batched.compiled.rewards import scale_rewards
from abx_amr.simulator.kernel.random_numbers import next_uniform

__all__ = [
    "BETA1",
    "BETA2",
    "CLIP",
    "CLIPPED",
    "CLIP_VALUE",
    "ENTROPY",
    "ENTROPY_LOSS",
    "EPSILON",
    "GOES_ON",
    "KL",
    "LEARNING_RATE",
    "LOSS",
    "MAX_NORM",
    "MINIBATCHES",
    "NEAR",
    "NORMALISE",
    "NOT_FINITE",
    "NUM_SETTINGS",
    "NUM_STATISTICS",
    "NUM_TRACES",
    "POLICY_LOSS",
    "POLICY_PARAMETERS",
    "STOPPED_BY_KL",
    "TARGET_KL",
    "VALUE",
    "VALUE_LOSS",
    "Decider",
    "act",
    "act_for_cohort",
    "act_with_memory",
    "add_bias_tanh",
    "advantages_and_returns",
    "backward",
    "decide",
    "forward",
    "learn_epoch",
    "learn_epoch_of_cohort",
    "learn_epoch_with_memory",
    "lstm_backward",
    "lstm_forward",
    "next_uniform",
    "play_steps",
    "scale_rewards",
    "scores_of",
    "shuffle",
    "state_values",
    "state_values_with_memory",
]
