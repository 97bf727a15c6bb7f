"""An SB3 or sb3-contrib agent's networks, optimiser and memory as plain arrays, and back.

Shapes: Q parameters of an agent in one float32 vector, L layers, M LSTMs of H hidden units (none in
networks that are not recurrent), E environments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from abx_amr.agents.learners.on_policy.cohort_policy import CohortPolicy
from abx_amr.agents.learners.on_policy.log_levels import LogLevels
from abx_amr.agents.managers import ManagerPPO
from abx_amr.agents.semi_markov import SemiMarkovRolloutBuffer

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]


def why_not_covered(agent: OnPolicyAlgorithm) -> str | None:
    """Return why the seed-batched trainer cannot train this agent, None where it can."""
    if type(agent) in (PPO, ManagerPPO):
        if type(agent.policy) not in (ActorCriticPolicy, CohortPolicy):
            return f"the policy {type(agent.policy).__name__} is not MlpPolicy"
        if type(agent.rollout_buffer) not in (RolloutBuffer, SemiMarkovRolloutBuffer):
            return f"the buffer {type(agent.rollout_buffer).__name__} is not RolloutBuffer"
    else:
        reason = _why_no_recurrent_ppo(agent)
        if reason is not None:
            return reason
    if agent.device.type != "cpu":
        return f"compiled code learns on the processor, not on {agent.device.type}"
    if agent.use_sde:
        return "use_sde=true explores with a noise matrix"
    reason = why_not_computed(agent)
    if reason is not None:
        return reason
    optimizer = agent.policy.optimizer
    if type(optimizer) is not torch.optim.Adam:
        return f"the optimiser {type(optimizer).__name__} is not Adam"
    groups = optimizer.param_groups
    extras = ("weight_decay", "amsgrad", "maximize")
    if len(groups) != 1 or any(groups[0][name] for name in extras):
        return f"Adam has more than one group of parameters, or one of {', '.join(extras)}"
    if {id(p) for p in groups[0]["params"]} != {id(p) for p in agent.policy.parameters()}:
        return "some parameters are not the optimiser's"
    return None


def why_not_computed(agent: OnPolicyAlgorithm) -> str | None:
    """Return why compiled code cannot compute what this agent's networks do, None where it can."""
    policy: Any = agent.policy
    if type(policy) not in (ActorCriticPolicy, CohortPolicy):
        reason = _why_no_lstm_policy(policy)
        if reason is not None:
            return reason
    if type(policy.features_extractor) not in (FlattenExtractor, LogLevels):
        return f"{type(policy.features_extractor).__name__} is not FlattenExtractor"
    if not isinstance(agent.action_space, spaces.Discrete | spaces.MultiDiscrete):
        return f"the action space {type(agent.action_space).__name__} is not Discrete"
    if not isinstance(agent.observation_space, spaces.Box):
        return f"the observation space {type(agent.observation_space).__name__} is not Box"
    activations: set[type[nn.Module]] = set()
    for body in (policy.mlp_extractor.policy_net, policy.mlp_extractor.value_net):
        for at, module in enumerate(body):
            if at % 2 == 0 and not (isinstance(module, nn.Linear) and module.bias is not None):
                return f"a layer {type(module).__name__} stands where Linear is expected"
            if at % 2 == 1:
                activations.add(type(module))
    if not activations <= {nn.Tanh} and not activations <= {nn.ReLU}:
        names = ", ".join(sorted(a.__name__ for a in activations))
        return f"the activation {names} is neither Tanh nor ReLU"
    return None


def _why_no_recurrent_ppo(agent: OnPolicyAlgorithm) -> str | None:
    """Return what sets an agent apart from a RecurrentPPO that is covered."""
    from sb3_contrib import RecurrentPPO
    from sb3_contrib.common.recurrent.buffers import RecurrentRolloutBuffer

    if type(agent) is not RecurrentPPO:
        name = type(agent).__name__
        return f"{name} is not stable_baselines3.PPO or sb3_contrib.RecurrentPPO"
    if type(agent.rollout_buffer) is not RecurrentRolloutBuffer:
        return f"the buffer {type(agent.rollout_buffer).__name__} is not RecurrentRolloutBuffer"
    return _why_no_lstm_policy(agent.policy)


def _why_no_lstm_policy(policy: Any) -> str | None:
    """Return what sets a policy apart from an MlpLstmPolicy of usual LSTMs."""
    from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

    if type(policy) is not RecurrentActorCriticPolicy:
        return f"the policy {type(policy).__name__} is not MlpLstmPolicy"
    if policy.shared_lstm:
        return "shared_lstm=true gives the value function the policy's LSTM"
    lstm = policy.lstm_actor
    if lstm.num_layers != 1:
        return f"n_lstm_layers={lstm.num_layers} is not 1"
    odd = [
        f"{name}={getattr(lstm, name)}"
        for name, usual in _USUAL_LSTM.items()
        if getattr(lstm, name) != usual
    ]
    if odd:
        return f"lstm_kwargs: {', '.join(odd)}"
    return None


# what lstm_kwargs may not change (dropout stands between layers: one layer has none)
_USUAL_LSTM = {"bias": True, "batch_first": False, "bidirectional": False, "proj_size": 0}


@dataclass(frozen=True)
class Networks:
    """Where everything of a policy stands in a vector of parameters.

    Attributes:
        layers: (L, 4): where the weights begin, outputs, inputs, where the outputs begin in a row
            of all outputs; the policy's layers first. Above the policy's one LSTM alone, the first
            of the value function's is its linear layer in the place of an LSTM.
        num_policy_layers: How many of them are the policy's.
        relu: Whether hidden layers end in relu, else tanh.
        choices: The number of categories of each choice of an action.
        size: Q.
        lstms: (M, 3): where the parameters begin, hidden units, inputs; the policy's first.
        reads: Which features the policy's network reads for each patient, (P, R); (0, 0) where
            it is one for the whole cohort.
    """

    layers: Ints
    num_policy_layers: int
    relu: bool
    choices: Ints
    size: int
    lstms: Ints
    reads: Ints

    @classmethod
    def of(cls, agent: PPO) -> Networks:
        """Return the plan of an agent's networks (one that `why_not_covered` does not refuse)."""
        rows: list[tuple[int, int, int, int]] = []
        lstms: list[tuple[int, int, int]] = []
        at = place = 0
        for module in _modules(agent):
            if isinstance(module, nn.LSTM):
                lstms.append((at, module.hidden_size, module.input_size))
            else:
                outputs, inputs = module.weight.shape
                rows.append((at, outputs, inputs, place))
                place += outputs
            at += sum(p.numel() for p in module.parameters())
        space = agent.action_space
        choices = space.nvec if isinstance(space, spaces.MultiDiscrete) else [space.n]  # type: ignore[attr-defined]
        extractor = agent.policy.mlp_extractor
        hidden = [*extractor.policy_net, *extractor.value_net]
        return cls(
            layers=np.array(rows, dtype=np.int64),
            num_policy_layers=len(extractor.policy_net) // 2 + 1,
            relu=any(isinstance(module, nn.ReLU) for module in hidden),
            choices=np.array(choices, dtype=np.int64),
            size=at,
            lstms=np.array(lstms, dtype=np.int64).reshape(-1, 3),
            reads=np.array(getattr(extractor, "reads", np.zeros((0, 0))), dtype=np.int64),
        )

    @property
    def policy_size(self) -> int:
        """How many parameters are the policy's, which come first."""
        first_value = int(self.layers[self.num_policy_layers, 0])
        return first_value if len(self.lstms) < 2 else int(self.lstms[1, 0])

    @property
    def memory_size(self) -> int:
        """How many numbers an episode carries from step to step."""
        return int(2 * self.lstms[:, 1].sum())


def _modules(agent: PPO) -> list[Any]:
    """Return what has parameters, in the vector's order: the policy's, then the value function's.

    An LSTM stands below the linear layers of its network.
    """
    policy: Any = agent.policy
    found: list[Any] = []
    for below, body, head in (
        (_lstms(agent)[:1], policy.mlp_extractor.policy_net, policy.action_net),
        (_lstms(agent)[1:], policy.mlp_extractor.value_net, policy.value_net),
    ):
        found += [*below, *(module for module in body if isinstance(module, nn.Linear)), head]
    return found


def _lstms(agent: PPO) -> list[Any]:
    """Return what stands below both networks: two LSTMs, an LSTM and a layer, or nothing."""
    policy: Any = agent.policy
    if not hasattr(policy, "lstm_actor"):
        return []
    return [policy.lstm_actor, policy.critic if policy.lstm_critic is None else policy.lstm_critic]


def parameters_of(agent: PPO) -> list[torch.Tensor]:
    """Return an agent's parameters in the vector's order."""
    # A module lists its own as the vector has them: weights before biases, inputs' before states'.
    return [p for module in _modules(agent) for p in module.parameters()]


class Features:
    """What an agent's networks are given of observations (N, D): features (N, F)."""

    def __init__(self, agent: PPO) -> None:
        extractor: Any = agent.policy.features_extractor
        self._extractor = None if type(extractor) is FlattenExtractor else extractor

    def __call__(self, observations: Floats32) -> Floats32:
        """Return the features; the observations themselves where nothing is made of them."""
        if self._extractor is None:
            return observations
        with torch.no_grad():
            made = self._extractor(torch.from_numpy(observations))
        return np.asarray(made.numpy())


@dataclass(frozen=True)
class AdamState:
    """Adam's memory: first and second moments (Q,) and the steps made so far."""

    mean: Floats32
    square: Floats32
    count: int


def read_parameters(agent: PPO) -> Floats32:
    """Return an agent's parameters, (Q,)."""
    parts = [p.detach().cpu().numpy().ravel() for p in parameters_of(agent)]
    return np.concatenate(parts).astype(np.float32, copy=False)


def read_adam(agent: PPO) -> AdamState:
    """Return what an agent's optimiser remembers."""
    memory = agent.policy.optimizer.state
    parameters = parameters_of(agent)
    if not any(p in memory for p in parameters):
        zeros = np.zeros(sum(p.numel() for p in parameters), np.float32)
        return AdamState(zeros, zeros.copy(), 0)
    mean, square = (
        np.concatenate([memory[p][name].detach().cpu().numpy().ravel() for p in parameters])
        for name in ("exp_avg", "exp_avg_sq")
    )
    return AdamState(mean, square, int(memory[parameters[0]]["step"]))


def write_parameters(agent: PPO, theta: Floats32) -> None:
    """Give an agent the parameters (Q,)."""
    at = 0
    with torch.no_grad():
        for p in parameters_of(agent):
            part = theta[at : at + p.numel()].reshape(tuple(p.shape))
            p.copy_(torch.from_numpy(np.ascontiguousarray(part)))
            at += p.numel()


def write_adam(agent: PPO, adam: AdamState) -> None:
    """Give an agent's optimiser its memory; none where it has made no step."""
    if adam.count == 0:
        return
    at = 0
    memory = agent.policy.optimizer.state
    for p in parameters_of(agent):
        shape, device = tuple(p.shape), p.device
        parts = [a[at : at + p.numel()].reshape(shape).copy() for a in (adam.mean, adam.square)]
        memory[p] = {
            "step": torch.tensor(float(adam.count)),
            "exp_avg": torch.from_numpy(parts[0]).to(device),
            "exp_avg_sq": torch.from_numpy(parts[1]).to(device),
        }
        at += p.numel()


def read_memory(agent: PPO) -> Floats32:
    """Return what an agent's episodes remember, (E, 2 M H); nothing without an LSTM."""
    lstms = Networks.of(agent).lstms
    states = [
        state[0].detach().cpu().numpy()
        for pair in getattr(agent, "_last_lstm_states", ())[: len(lstms)]
        for state in pair
    ]
    empty = np.zeros((agent.n_envs, 0), np.float32)
    return np.concatenate([empty, *states], axis=1, dtype=np.float32)


def write_memory(agent: PPO, memory: Floats32) -> None:
    """Give an agent what its episodes remember, (E, 2 M H)."""
    if memory.shape[1] == 0:
        return
    told: Any = agent
    states = type(told._last_lstm_states)
    hidden = told.policy.lstm_actor.hidden_size
    parts = [memory[:, at : at + hidden] for at in range(0, memory.shape[1], hidden)]
    # Without an LSTM of its own the value function is said to remember what the policy does.
    pairs = [parts[:2], parts[-2:]]
    told._last_lstm_states = states(
        *(
            tuple(torch.from_numpy(part[None].copy()).to(agent.device) for part in pair)
            for pair in pairs
        )
    )
