"""How community resistance (AMR) answers to prescriptions: the family's Protocol and its members.

Shapes: E environments, K antibiotics.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.checks import antibiotic_names, number, one_each
from abx_amr.errors import InputError
from abx_amr.simulator.kernel import balloon, layout

Floats = NDArray[np.float64]


class ResistanceModel(Protocol):
    """What a clinic asks of a resistance model; its parameters are fixed, state goes in and out."""

    @property
    def antibiotics(self) -> tuple[str, ...]:
        """The K antibiotics, in order."""
        ...

    def initial_state(self, num_envs: int) -> Floats:
        """Return the state at the start of an episode, shape (E, ...)."""
        ...

    def level(self, state: Floats) -> Floats:
        """Return the true AMR levels in [0, 1], shape (E, K)."""
        ...

    def step(self, state: Floats, doses: Floats) -> Floats:
        """Return the state after one step under the effective doses (E, K)."""
        ...

    def delta(self, visible_level: Floats, doses: Floats) -> Floats:
        """Return the marginal effect of the last dose, seen from the visible levels, (E, K)."""
        ...


class LeakyBalloon:
    """A balloon per antibiotic: each dose adds pressure, a constant leak takes some away.

        level(p) = r + (1 - r) * tanh(p / 2f),    p' = max(0, p + dose - leak)

    (leaky balloon, arXiv 2603.11369). The state is the pressure >= 0, shape (E, K).
    """

    def __init__(
        self,
        *,
        antibiotics: Sequence[str],
        leak: Mapping[str, float],
        flatness_parameter: Mapping[str, float],
        permanent_residual_volume: Mapping[str, float],
        initial_amr_level: Mapping[str, float],
    ) -> None:
        """Check the parameters, each a mapping from antibiotic to number.

        Args:
            antibiotics: Names, in order.
            leak: Pressure lost in a step, in (0, 1).
            flatness_parameter: Pressure scale f > 0; the larger, the slower the level rises.
            permanent_residual_volume: Level r in [0, 1) below which AMR never falls.
            initial_amr_level: Level at the start of an episode, in [r, 1].

        Raises:
            InputError: A name is missing or unknown, or a value is out of its range.
        """
        self.antibiotics = names = antibiotic_names(antibiotics)
        given = {
            "leak": leak,
            "flatness_parameter": flatness_parameter,
            "permanent_residual_volume": permanent_residual_volume,
            "initial_amr_level": initial_amr_level,
        }
        for key, values in given.items():
            one_each(key, values, names)
        self.balloons: Floats = np.empty((len(names), 3))
        self.initial_levels: Floats = np.empty(len(names))
        for j, name in enumerate(names):
            of = f"of antibiotic {name}"
            self.balloons[j, layout.LEAK] = number(
                f"leak {of}", leak[name], 0, 1, open_low=True, open_high=True
            )
            self.balloons[j, layout.FLATNESS] = number(
                f"flatness_parameter {of}", flatness_parameter[name], 0, open_low=True
            )
            residual = number(
                f"permanent_residual_volume {of}",
                permanent_residual_volume[name],
                0,
                1,
                open_high=True,
            )
            self.balloons[j, layout.RESIDUAL] = residual
            self.initial_levels[j] = number(
                f"initial_amr_level {of}", initial_amr_level[name], residual, 1
            )
        self.balloons.flags.writeable = False
        self.initial_levels.flags.writeable = False

    @property
    def leak(self) -> Floats:
        """Pressure lost in a step, shape (K,)."""
        return self.balloons[:, layout.LEAK].copy()

    @property
    def flatness(self) -> Floats:
        """Pressure scale of the level, shape (K,)."""
        return self.balloons[:, layout.FLATNESS].copy()

    @property
    def residual(self) -> Floats:
        """Level below which AMR never falls, shape (K,)."""
        return self.balloons[:, layout.RESIDUAL].copy()

    def initial_state(self, num_envs: int) -> Floats:
        """Return the pressures of the initial levels, shape (E, K)."""
        return np.repeat(self.pressure(self.initial_levels[None]), num_envs, axis=0)

    def level(self, state: ArrayLike) -> Floats:
        """Return the levels in [r, 1] of pressures (..., K), same shape."""
        return self._each(balloon.balloon_levels, state)

    def pressure(self, level: ArrayLike) -> Floats:
        """Return the pressures >= 0 of levels (..., K); 0 at or below the residual."""
        return self._each(balloon.balloon_pressures, level)

    def step(self, state: ArrayLike, doses: ArrayLike) -> Floats:
        """Return the pressures after one step, p' = max(0, p + doses - leak), shape (..., K).

        Raises:
            InputError: A dose is negative.
        """
        return self._each(balloon.balloon_steps, state, self._checked(doses))

    def delta(self, visible_level: ArrayLike, doses: ArrayLike) -> Floats:
        """Return level(p + doses - leak) - level(p + doses - 1 - leak), shape (..., K).

        p is the pressure of the visible level; a level below the residual counts as p = 0.

        Raises:
            InputError: A dose is negative.
        """
        return self._each(balloon.balloon_deltas, visible_level, self._checked(doses))

    def _checked(self, doses: ArrayLike) -> Floats:
        values = np.asarray(doses, dtype=np.float64)
        if not (values >= 0.0).all():
            raise InputError(f"doses must be >= 0, got {float(values.min())!r}")
        return values

    def _each(self, law: Any, *values: ArrayLike) -> Floats:
        """Apply a compiled law to arrays (..., K)."""
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values))
        shape, k = arrays[0].shape, len(self.antibiotics)
        if not shape or shape[-1] != k:
            raise InputError(f"the last axis must have one entry per antibiotic ({k}), got {shape}")
        flat = [np.ascontiguousarray(array).reshape(-1, k) for array in arrays]
        out = np.empty_like(flat[0])
        law(*flat, self.balloons, out)
        return out.reshape(shape)
