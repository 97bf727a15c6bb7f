"""The compiled update once more, as batched torch operations over all seeds.

A second, independent implementation (gradients by autograd) that the compiled one is tested
against; on a processor it is several times slower.

Shapes: S seeds, Q parameters, N transitions of a seed, n of a minibatch, A choices per action.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.networks import Networks

if TYPE_CHECKING:
    from abx_amr.agents.learners.seed_batched.seed_learner import SeedLearner

Tensor = torch.Tensor


class StackedUpdate:
    """All epochs of all seeds; a seed that has stopped is masked out."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks

    def __call__(self, learners: Sequence[SeedLearner]) -> None:
        """Make all epochs of every learner that has `begin_update` behind it."""
        self.settings = self._tensor([one.settings for one in learners])
        self.normalises = learners[0].agent.normalize_advantage
        theta = self._tensor([one.theta for one in learners])
        mean = self._tensor([one.mean for one in learners])
        square = self._tensor([one.square for one in learners])
        counts = self._tensor([one.count for one in learners])[:, 0]
        rollouts = {
            name: self._tensor([getattr(one.rollout, name) for one in learners])
            for name in ("observations", "actions", "log_probs", "values", "advantages", "returns")
        }
        total = rollouts["returns"].shape[1]
        batch_size = learners[0].agent.batch_size
        goes_on = torch.ones(len(learners), dtype=torch.bool)
        for _ in range(learners[0].agent.n_epochs):
            going = goes_on.tolist()
            if not any(going):
                break
            order = self._orders(learners, going, total)
            sums = torch.zeros(len(learners), compiled.NUM_STATISTICS)
            for start in range(0, total, batch_size):
                chosen = order[:, start : start + batch_size]
                batch = {name: _pick(values, chosen) for name, values in rollouts.items()}
                theta.requires_grad_(True)
                losses, statistics = self._losses(theta, batch)
                statistics = torch.where(goes_on[:, None], statistics, torch.zeros_like(statistics))
                loss_at = compiled.LOSS
                sums[:, :loss_at] += statistics[:, :loss_at]
                sums[:, compiled.MINIBATCHES] += statistics[:, compiled.MINIBATCHES]
                sums[:, loss_at] = torch.where(goes_on, statistics[:, loss_at], sums[:, loss_at])
                limit = 1.5 * self.settings[:, compiled.TARGET_KL]
                goes_on = goes_on & ~(statistics[:, compiled.KL] > limit)
                (gradient,) = torch.autograd.grad(losses.sum(), theta)
                theta = theta.detach()
                norm = gradient.norm(dim=1)
                finite = torch.isfinite(losses.detach()) & torch.isfinite(norm)
                for one, is_finite, was_going in zip(
                    learners, finite.tolist(), goes_on.tolist(), strict=True
                ):
                    if was_going and not is_finite:
                        one.fail()
                goes_on = goes_on & finite
                counts = counts + goes_on
                theta, mean, square = self._adam(
                    goes_on, theta, gradient, norm, mean, square, counts
                )
            for one, was_going, row in zip(learners, going, sums.tolist(), strict=True):
                if was_going:
                    one.statistics[:] = row
                    one.agent._n_updates += 1
        for at, one in enumerate(learners):
            one.theta[:] = theta[at].numpy()
            one.mean[:] = mean[at].numpy()
            one.square[:] = square[at].numpy()
            one.count[0] = int(counts[at])

    def _tensor(self, arrays: Sequence[Any]) -> Tensor:
        whole = np.stack(arrays)
        if whole.dtype == np.float64:
            whole = whole.astype(np.float32)
        return torch.from_numpy(whole)

    def _orders(self, learners: Sequence[SeedLearner], going: list[bool], total: int) -> Tensor:
        """Return each seed's order of transitions, (S, N), from its own stream."""
        orders = np.zeros((len(learners), total), np.int32)
        for one, goes_on, order in zip(learners, going, orders, strict=True):
            if goes_on:
                compiled.shuffle(one.minibatches, order)
        return torch.from_numpy(orders.astype(np.int64))

    def _network(self, theta: Tensor, first: int, last: int, inputs: Tensor) -> Tensor:
        below = inputs
        for at in range(first, last):
            w, rows, cols, _ = (int(x) for x in self.networks.layers[at])
            weights = theta[:, w : w + rows * cols].reshape(-1, rows, cols)
            bias = theta[:, w + rows * cols : w + rows * cols + rows]
            below = torch.baddbmm(bias[:, None, :], below, weights.transpose(1, 2))
            if at < last - 1:
                below = torch.relu(below) if self.networks.relu else torch.tanh(below)
        return below

    def _losses(self, theta: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return PPO's loss of each seed (S,) and its statistics (S, NUM_STATISTICS)."""
        networks, settings = self.networks, self.settings
        seen = batch["observations"]
        logits = self._network(theta, 0, networks.num_policy_layers, seen)
        values = self._network(theta, networks.num_policy_layers, len(networks.layers), seen)
        values = values[:, :, 0]
        log_prob, entropy = torch.zeros_like(values), torch.zeros_like(values)
        for a, part in enumerate(torch.split(logits, networks.choices.tolist(), dim=2)):
            log_probs = torch.log_softmax(part, dim=2)
            log_prob = log_prob + log_probs.gather(2, batch["actions"][:, :, a : a + 1])[:, :, 0]
            entropy = entropy - (log_probs.exp() * log_probs).sum(dim=2)
        advantage = batch["advantages"]
        if self.normalises and advantage.shape[1] > 1:
            std = advantage.std(dim=1, keepdim=True)
            advantage = (advantage - advantage.mean(dim=1, keepdim=True)) / (std + 1e-8)
        log_ratio = log_prob - batch["log_probs"]
        ratio = log_ratio.exp()
        clip = settings[:, compiled.CLIP, None]
        inside = torch.minimum(torch.maximum(ratio, 1 - clip), 1 + clip)
        policy_loss = -torch.minimum(advantage * ratio, advantage * inside).mean(dim=1)
        clip_value = settings[:, compiled.CLIP_VALUE, None]
        change = values - batch["values"]
        bounded = torch.minimum(torch.maximum(change, -clip_value), clip_value)
        predicted = torch.where(clip_value >= 0, batch["values"] + bounded, values)
        value_loss = ((predicted - batch["returns"]) ** 2).mean(dim=1)
        entropy_loss = -entropy.mean(dim=1)
        loss = (
            policy_loss
            + settings[:, compiled.ENTROPY] * entropy_loss
            + settings[:, compiled.VALUE] * value_loss
        )
        with torch.no_grad():
            clipped = ((ratio - 1).abs() > clip).float().mean(dim=1)
            kl = ((ratio - 1) - log_ratio).mean(dim=1)
            parts = (policy_loss, value_loss, entropy_loss, clipped, kl, loss, torch.ones_like(kl))
            return loss, torch.stack(parts, dim=1)

    def _adam(
        self,
        goes_on: Tensor,
        theta: Tensor,
        gradient: Tensor,
        norm: Tensor,
        mean: Tensor,
        square: Tensor,
        counts: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return parameters and moments after a step of the seeds that go on."""
        column = self.settings[:, :, None]
        b1, b2 = column[:, compiled.BETA1], column[:, compiled.BETA2]
        g = self._clipped(gradient, norm)
        new_mean = b1 * mean + (1 - b1) * g
        new_square = b2 * square + (1 - b2) * g * g
        count = counts[:, None].double()
        rate = column[:, compiled.LEARNING_RATE] / (1 - b1.double() ** count)
        root = (1 - b2.double() ** count).rsqrt()
        size = new_square.sqrt() * root.float() + column[:, compiled.EPSILON]
        step = rate.float() * new_mean / size
        keep = goes_on[:, None]
        return (
            torch.where(keep, theta - step, theta),
            torch.where(keep, new_mean, mean),
            torch.where(keep, new_square, square),
        )

    def _clipped(self, gradient: Tensor, norm: Tensor) -> Tensor:
        """Return gradients (S, Q) cut to their longest norm, all together or in two parts."""
        most = self.settings[:, compiled.MAX_NORM, None]
        split = int(self.settings[0, compiled.POLICY_PARAMETERS])
        if split == 0:
            return gradient * torch.clamp(most / (norm[:, None] + 1e-6), max=1.0)
        parts = (gradient[:, :split], gradient[:, split:])
        cut = [
            part * torch.clamp(most / (part.norm(dim=1, keepdim=True) + 1e-6), max=1.0)
            for part in parts
        ]
        return torch.cat(cut, dim=1)


def _pick(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the chosen rows (S, n) of every seed's (S, N, ...)."""
    seeds = torch.arange(len(values), device=values.device)[:, None]
    return values[seeds, chosen]
