"""A policy of SB3 whose patients share one network.

Of a patient the network reads the place in the cohort from -1 to 1, the visible attributes and the
previous action, and of the clinic everything that the agent sees. The value function is one for the
clinic and reads the whole observation.

Shapes: N observations, F features each, P patients, K antibiotics, R entries that are read of a
patient and the clinic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from stable_baselines3.common.distributions import MultiCategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import nn

from abx_amr.simulator.observation import ObservationLayout


def read_of_patients(layout: ObservationLayout, *, more: int = 0) -> list[list[int]]:
    """Return the features that are read for each patient, (P, R).

    Args:
        layout: What the observation is made of.
        more: Features that follow the observation; all patients share them.
    """
    parts, num_patients = layout.parts, layout.num_patients
    entries = list(range(layout.size + more))
    seen = entries[parts.patients]
    previous = entries[parts.previous_action]
    shared = [entry for entry in entries if entry not in seen and entry not in previous]
    attributes, choices = len(seen) // num_patients, len(previous) // num_patients
    return [
        [
            *seen[p * attributes : (p + 1) * attributes],
            *previous[p * choices : (p + 1) * choices],
            *shared,
        ]
        for p in range(num_patients)
    ]


def places(num_patients: int) -> list[float]:
    """Return each patient's place in the cohort, from -1 to 1.

    >>> places(3), places(1)
    ([-1.0, 0.0, 1.0], [0.0])
    """
    return [(2 * p + 1 - num_patients) / max(1, num_patients - 1) for p in range(num_patients)]


class CohortDistribution(MultiCategoricalDistribution):
    """The choices of P patients, from logits of the same network: (N, P, K + 1)."""

    def proba_distribution_net(self, latent_dim: int) -> nn.Module:
        """Return the layer that makes the K + 1 logits of a patient."""
        return nn.Linear(latent_dim, self.action_dims[0])

    def proba_distribution(self, action_logits: torch.Tensor) -> CohortDistribution:
        """Take the logits (N, P, K + 1)."""
        super().proba_distribution(action_logits.flatten(start_dim=1))
        return self


class CohortExtractor(nn.Module):
    """The hidden layers: of the policy for each patient, of the value function for the clinic."""

    def __init__(
        self,
        features: int,
        reads: Sequence[Sequence[int]],
        net_arch: Sequence[int] | dict[str, list[int]],
        activation_fn: type[nn.Module],
    ) -> None:
        super().__init__()
        layers = net_arch if isinstance(net_arch, dict) else {"pi": net_arch, "vf": net_arch}
        self.reads = [list(row) for row in reads]
        of_patients = MlpExtractor(
            1 + len(self.reads[0]), {"pi": list(layers.get("pi", []))}, activation_fn
        )
        of_clinic = MlpExtractor(features, {"vf": list(layers.get("vf", []))}, activation_fn)
        self.policy_net, self.latent_dim_pi = of_patients.policy_net, of_patients.latent_dim_pi
        self.value_net, self.latent_dim_vf = of_clinic.value_net, of_clinic.latent_dim_vf

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the policy (N, P, units) and the value function (N, units) make of it."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        """Return what the policy makes of features (N, F) for each patient, (N, P, units)."""
        read = features[:, self.reads]
        place = features.new_tensor(places(len(self.reads)))[:, None].expand(len(features), -1, 1)
        made: torch.Tensor = self.policy_net(torch.cat([place, read], dim=2))
        return made

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        """Return what the value function makes of features (N, F), (N, units)."""
        made: torch.Tensor = self.value_net(features)
        return made


class CohortPolicy(ActorCriticPolicy):
    """SB3's MlpPolicy with one network for all patients in the place of one for the cohort."""

    def __init__(self, *args: Any, reads: Sequence[Sequence[int]], **kwargs: Any) -> None:
        """Take what SB3's policy takes, and the features `reads` (P, R) of each patient."""
        self._reads = reads
        super().__init__(*args, **kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "reads": self._reads}

    def _build(self, lr_schedule: Any) -> None:
        assert isinstance(self.action_dist, MultiCategoricalDistribution)
        self.action_dist = CohortDistribution(self.action_dist.action_dims)
        super()._build(lr_schedule)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor: Any = CohortExtractor(
            self.features_dim, self._reads, self.net_arch, self.activation_fn
        )
        self.mlp_extractor.to(self.device)
