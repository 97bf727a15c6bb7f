"""Random draws for a batch: one stream per environment, advanced in place.

Shapes: E environments.
"""

import math

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.random_numbers import fill_normal_rows, fill_uniform_rows


class Draws:
    """Draws for all environments at once, each environment from its own stream.

    Every call takes the same number of draws from each stream, so that what one environment
    meets never depends on the others.
    """

    def __init__(self, rows: NDArray[np.uint64]) -> None:
        self.rows = rows

    @property
    def num_envs(self) -> int:
        """The number of environments E."""
        return int(self.rows.shape[0])

    def uniform(self, shape: tuple[int, ...] = ()) -> NDArray[np.float64]:
        """Return uniforms in [0, 1), shape (E, *shape)."""
        out = np.empty((self.num_envs, math.prod(shape)))
        fill_uniform_rows(self.rows, out)
        return out.reshape(self.num_envs, *shape)

    def normal(self, shape: tuple[int, ...] = ()) -> NDArray[np.float64]:
        """Return standard normals, shape (E, *shape)."""
        out = np.empty((self.num_envs, math.prod(shape)))
        fill_normal_rows(self.rows, out)
        return out.reshape(self.num_envs, *shape)
