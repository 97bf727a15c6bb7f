"""Exploring starts: episodes of training that begin where antibiotics have been given before.

Shapes: E environments, N of them, K antibiotics.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abx_amr.rng import stream_states
from abx_amr.simulator.kernel.random_numbers import fill_uniform

EXPLORING_STREAM = ("training", "exploring starts")


class ExploringStarts:
    """Draws what precedes an episode, for each antibiotic by itself.

    Environment i draws from the stream (seed, *EXPLORING_STREAM, i), apart from its patients.

    Attributes:
        share: Of the starts, per antibiotic, that follow a course.
        most_doses: The longest course.
        rows: The streams' states, (E, 4).
    """

    def __init__(self, n_envs: int, *, share: float, most_doses: int, seed: int) -> None:
        self.share = share
        self.most_doses = most_doses
        self.rows = stream_states(seed, *EXPLORING_STREAM, count=n_envs)

    def draw(self, which: NDArray[np.int64], num_antibiotics: int) -> NDArray[np.int64]:
        """Return the doses that precede an episode in these environments, (N, K).

        round(most_doses * u^2) with probability `share`, else none; most are short.
        """
        uniforms = np.empty((len(which), 2 * num_antibiotics))
        for n, e in enumerate(which):
            fill_uniform(self.rows[e], uniforms[n])
        chances, lengths = np.split(uniforms, 2, axis=1)
        doses = np.rint(self.most_doses * lengths**2)
        return np.where(chances < self.share, doses, 0.0).astype(np.int64)
