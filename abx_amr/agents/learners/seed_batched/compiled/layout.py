"""Where a network's parameters, settings, statistics and traces lie.

Shapes: L layers, Q parameters of a seed in one float32 vector, D inputs; of recurrent networks: M
LSTMs, H their hidden units.

A network is a range of rows of the table `layers` (int64, L x 4): where its weights begin in the
vector, outputs, inputs, where its outputs begin in a row of all outputs. A layer's weights are
(outputs, inputs) as in torch, its biases follow them. The policy's layers come first.

Recurrent networks have LSTMs below them, rows of the table `lstms` (int64, M x 3): where its
parameters begin in the vector, hidden units H, inputs; the policy's first, then the value
function's. An LSTM's parameters are torch's: weights of the inputs (4 H, D) and of the hidden state
(4 H, H), the biases of both (4 H,); gates in the order input, forget, cell, output. Where the value
function has no LSTM, the first of its layers is linear and stands in its place. What an episode
carries from step to step is one row of `memory` (2 M H): hidden and cell state of each LSTM.
"""

# columns of `layers`
WEIGHTS, OUTPUTS, INPUTS, PLACE = 0, 1, 2, 3
# entries of `settings`
LEARNING_RATE, CLIP, CLIP_VALUE, ENTROPY, VALUE, MAX_NORM, TARGET_KL = 0, 1, 2, 3, 4, 5, 6
NORMALISE, BETA1, BETA2, EPSILON = 7, 8, 9, 10
POLICY_PARAMETERS = 11  # the first so many are clipped by themselves; 0: all together
NUM_SETTINGS = 12
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
