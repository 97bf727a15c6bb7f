"""An SB3 agent's networks and optimiser as plain arrays, and back.

Shapes: Q parameters of an agent in one float32 vector, L layers.
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

from abx_amr.algorithms.managers import ManagerPPO
from abx_amr.algorithms.semi_markov import SemiMarkovRolloutBuffer

Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]


def why_not_covered(agent: OnPolicyAlgorithm) -> str | None:
    """Return why the seed-batched trainer cannot train this agent, None where it can."""
    if type(agent) not in (PPO, ManagerPPO):
        return f"{type(agent).__name__} is not stable_baselines3.PPO"
    policy = agent.policy
    if type(policy) is not ActorCriticPolicy:
        return f"the policy {type(policy).__name__} is not MlpPolicy"
    if agent.use_sde:
        return "use_sde=true explores with a noise matrix"
    if type(agent.rollout_buffer) not in (RolloutBuffer, SemiMarkovRolloutBuffer):
        return f"the buffer {type(agent.rollout_buffer).__name__} is not RolloutBuffer"
    if type(policy.features_extractor) is not FlattenExtractor:
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
    optimizer = policy.optimizer
    if type(optimizer) is not torch.optim.Adam:
        return f"the optimiser {type(optimizer).__name__} is not Adam"
    groups = optimizer.param_groups
    extras = ("weight_decay", "amsgrad", "maximize")
    if len(groups) != 1 or any(groups[0][name] for name in extras):
        return f"Adam has more than one group of parameters, or one of {', '.join(extras)}"
    if {id(p) for p in groups[0]["params"]} != {id(p) for p in policy.parameters()}:
        return "some parameters are not the optimiser's"
    return None


@dataclass(frozen=True)
class Networks:
    """Where everything of a policy stands in a vector of parameters.

    Attributes:
        layers: (L, 4): where the weights begin, outputs, inputs, where the outputs begin in a row
            of all outputs; the policy's layers first.
        num_policy_layers: How many of them are the policy's.
        relu: Whether hidden layers end in relu, else tanh.
        choices: The number of categories of each choice of an action.
        size: Q.
    """

    layers: Ints
    num_policy_layers: int
    relu: bool
    choices: Ints
    size: int

    @classmethod
    def of(cls, agent: PPO) -> Networks:
        """Return the plan of an agent's networks (one that `why_not_covered` does not refuse)."""
        rows: list[tuple[int, int, int, int]] = []
        at = place = 0
        for linear in _linears(agent):
            outputs, inputs = linear.weight.shape
            rows.append((at, outputs, inputs, place))
            at += outputs * inputs + outputs
            place += outputs
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
        )


def _linears(agent: PPO) -> list[nn.Linear]:
    """Return the layers in the order of the table: the policy's, then the value function's."""
    policy = agent.policy
    found: list[Any] = []
    for body, head in (
        (policy.mlp_extractor.policy_net, policy.action_net),
        (policy.mlp_extractor.value_net, policy.value_net),
    ):
        found += [module for module in body if isinstance(module, nn.Linear)] + [head]
    return found


def _parameters(agent: PPO) -> list[torch.Tensor]:
    return [p for linear in _linears(agent) for p in (linear.weight, linear.bias)]


@dataclass(frozen=True)
class AdamState:
    """Adam's memory: first and second moments (Q,) and the steps made so far."""

    mean: Floats32
    square: Floats32
    count: int


def read_parameters(agent: PPO) -> Floats32:
    """Return an agent's parameters, (Q,)."""
    parts = [p.detach().cpu().numpy().ravel() for p in _parameters(agent)]
    return np.concatenate(parts).astype(np.float32, copy=False)


def read_adam(agent: PPO) -> AdamState:
    """Return what an agent's optimiser remembers."""
    memory = agent.policy.optimizer.state
    parameters = _parameters(agent)
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
        for p in _parameters(agent):
            part = theta[at : at + p.numel()].reshape(tuple(p.shape))
            p.copy_(torch.from_numpy(np.ascontiguousarray(part)))
            at += p.numel()


def write_adam(agent: PPO, adam: AdamState) -> None:
    """Give an agent's optimiser its memory; none where it has made no step."""
    if adam.count == 0:
        return
    at = 0
    memory = agent.policy.optimizer.state
    for p in _parameters(agent):
        shape, device = tuple(p.shape), p.device
        parts = [a[at : at + p.numel()].reshape(shape).copy() for a in (adam.mean, adam.square)]
        memory[p] = {
            "step": torch.tensor(float(adam.count)),
            "exp_avg": torch.from_numpy(parts[0]).to(device),
            "exp_avg_sq": torch.from_numpy(parts[1]).to(device),
        }
        at += p.numel()
