"""The best rule of a family that sees what an agent sees, found by direct search.

Shapes: N observations, P patients, K antibiotics, R rules, E episodes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abx_amr.agents.rules import Rule
from abx_amr.evaluation.episodes import episode_returns
from abx_amr.planning.progress import OnProgress, counting
from abx_amr.rng import stream
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.observation import Decoded
from abx_amr.simulator.patients import ATTRIBUTES

Floats = NDArray[np.float64]

_RULES, _KEPT, _ROUNDS, _EPISODES = 48, 8, 12, 8
_SMOOTHING = 0.7  # of what a round learns
_LOWEST_LEVEL = 1e-3


class LevelAndWorth(Rule):
    """A level, a price and a trust in the report per antibiotic, for every patient by itself.

    An antibiotic is given only while its visible AMR is below its level, and to whom it is worth
    more than its price: expected reward above that of no treatment, at the visible AMR times the
    trust (0: as if there were no AMR). Among several the one that exceeds its price most.
    """

    def __init__(
        self, model: ClinicModel, *, levels: Floats, prices: Floats, trusts: Floats
    ) -> None:
        """Take levels, prices and trusts, (K,), or (R, K) for R rules side by side."""
        super().__init__(model)
        self.levels, self.prices, self.trusts = (np.atleast_2d(x) for x in (levels, prices, trusts))

    def prescribe(
        self, seen: Decoded, state: object, begins: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], None]:
        """Return the treatment of each patient; row blocks belong to the rules in order."""
        visible = seen.visible_amr.astype(np.float64)
        each = len(visible) // len(self.levels)
        levels, prices, trusts = (
            np.repeat(x, each, axis=0) for x in (self.levels, self.prices, self.trusts)
        )
        attributes = np.stack([self.believed(seen, name) for name in ATTRIBUTES], axis=-1)
        expected = self.model.reward.expected_reward(attributes, (trusts * visible)[:, None, :])
        surplus = expected[:, :, :-1] - expected[:, :, -1:] - prices[:, None, :]
        surplus = np.where((visible < levels)[:, None, :], surplus, -np.inf)
        best = surplus.argmax(axis=2)
        return np.where(surplus.max(axis=2) > 0, best, self.no_treatment), None


def best_level_and_worth(
    model: ClinicModel, *, threshold: float, seed: int, on_progress: OnProgress | None = None
) -> LevelAndWorth:
    """Return the best rule that a cross-entropy search finds on episodes of its own.

    Args:
        model: The clinic.
        threshold: A good level to begin with.
        seed: Names the episodes; what is reported must be played on others.
        on_progress: Told how many rounds are done.
    """
    k = len(model.antibiotics)
    rng = stream(seed, "planning", "rule search")
    surest = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])  # surely infected, neutral otherwise
    expected = model.reward.expected_reward(surest, np.zeros(k))
    scale = max(float(np.max(expected[:-1] - expected[-1])), 0.1)
    low = np.array([np.log(_LOWEST_LEVEL)] * k + [-0.2 * scale] * k + [0.0] * k)
    high = np.array([0.0] * k + [scale] * k + [1.5] * k)
    begin = [np.log(max(threshold, _LOWEST_LEVEL))] * k + [0.4 * scale] * k + [0.7] * k
    middle, spread = np.array(begin), (high - low) / 3

    def rules(rows: Floats) -> LevelAndWorth:
        levels, prices, trusts = np.split(rows, 3, axis=-1)
        return LevelAndWorth(model, levels=np.exp(levels), prices=prices, trusts=trusts)

    best, best_return = middle, -np.inf
    for n in counting(on_progress, "rule search: round", range(_ROUNDS)):
        tried = np.clip(middle + spread * rng.standard_normal((_RULES, 3 * k)), low, high)
        tried[0] = middle if n == 0 else best
        returns = episode_returns(rules(tried), model, episodes=_EPISODES, seed=seed, copies=_RULES)
        means = returns.mean(axis=1)
        order = np.argsort(-means, kind="stable")[:_KEPT]
        if means[order[0]] > best_return:
            best, best_return = tried[order[0]], float(means[order[0]])
        middle = middle + _SMOOTHING * (tried[order].mean(axis=0) - middle)
        spread = spread + _SMOOTHING * (tried[order].std(axis=0) - spread)
    return rules(best)
