"""What each seed of a trial earned while it learned: a few points, taken from its own rollouts.

Nothing is played for it: a point is the mean return of the latest episodes that the agent has
learned from, in which it explores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from abx_amr.agents.prescriber import Agent
from abx_amr.runs.loop import Callback, Moment

#: Points of a curve at most.
MOST_POINTS = 20
#: (transitions seen, mean return) of each point, in their order.
Curve = Sequence[tuple[int, float]]


class KeepCurves(Callback):
    """Notes what every agent earns, at even distances over the training."""

    def __init__(self, agents: Mapping[int, Agent], begun: Mapping[int, Curve]) -> None:
        """Note the agents' returns, by their seeds, behind what was noted of them before."""
        self.agents = agents
        self._curves = {seed: list(begun.get(seed, ())) for seed in agents}

    def after_update(self, moment: Moment) -> None:
        """Note a point of each agent where a further part of the training is over."""
        for seed, agent in self.agents.items():
            curve = self._curves[seed]
            parts, noted = (
                MOST_POINTS * seen // moment.planned
                for seen in (agent.transitions, curve[-1][0] if curve else 0)
            )
            if parts > noted:
                found = agent.training_return
                if found is not None and math.isfinite(found):
                    curve.append((agent.transitions, found))

    def of(self, seed: int) -> Curve:
        """Return the curve of a seed up to now."""
        return tuple(self._curves[seed])
