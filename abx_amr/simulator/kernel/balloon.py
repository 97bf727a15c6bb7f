"""The leaky balloon (arXiv 2603.11369): its level, its pressure, its step.

Shapes: N any batch, E environments, K antibiotics; `balloons` (K, >= 3) are the first columns of a
clinic's drugs.
"""

import math

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled
from abx_amr.simulator.kernel.layout import (
    BEFORE,
    FLATNESS,
    LEAK,
    LEVEL,
    PRESSURE,
    RESIDUAL,
    VISIBLE,
)

Floats = NDArray[np.float64]


@compiled
def balloon_level(pressure: float, flatness: float, residual: float) -> float:
    """Return the AMR level in [residual, 1] of a balloon under `pressure` >= 0."""
    return residual + (1.0 - residual) * math.tanh(pressure / (2.0 * flatness))


@compiled
def balloon_pressure(level: float, flatness: float, residual: float) -> float:
    """Return the pressure >= 0 that gives `level`; 0 for a level at or below the residual."""
    share = (level - residual) / (1.0 - residual) / 2.0 + 0.5
    share = min(max(share, 1e-10), 1.0 - 1e-10)
    return max(0.0, -flatness * math.log((1.0 - share) / share))


@compiled
def balloon_step(pressure: float, dose: float, leak: float) -> float:
    """Return the pressure after one step: the leak is subtracted, once."""
    return max(0.0, pressure + dose - leak)


@compiled
def balloon_delta(
    visible_level: float,
    dose: float,
    leak: float,
    flatness: float,
    residual: float,
) -> float:
    """Return the marginal effect of the last dose on a balloon set to the visible level."""
    pressure = balloon_pressure(visible_level, flatness, residual)
    after = balloon_level(balloon_step(pressure, dose, leak), flatness, residual)
    without = balloon_level(balloon_step(pressure, dose - 1.0, leak), flatness, residual)
    return after - without


@compiled
def balloon_levels(pressure: Floats, balloons: Floats, out: Floats) -> None:
    """Write the levels of pressures (N, K) to `out`; balloons (K, 3) leak, flatness, residual."""
    for n in range(pressure.shape[0]):
        for j in range(pressure.shape[1]):
            out[n, j] = balloon_level(pressure[n, j], balloons[j, FLATNESS], balloons[j, RESIDUAL])


@compiled
def balloon_pressures(level: Floats, balloons: Floats, out: Floats) -> None:
    """Write the pressures of levels (N, K) to `out`; balloons (K, 3)."""
    for n in range(level.shape[0]):
        for j in range(level.shape[1]):
            out[n, j] = balloon_pressure(level[n, j], balloons[j, FLATNESS], balloons[j, RESIDUAL])


@compiled
def balloon_steps(pressure: Floats, doses: Floats, balloons: Floats, out: Floats) -> None:
    """Write the pressures (N, K) after one step under doses (N, K) to `out`; balloons (K, 3)."""
    for n in range(pressure.shape[0]):
        for j in range(pressure.shape[1]):
            out[n, j] = balloon_step(pressure[n, j], doses[n, j], balloons[j, LEAK])


@compiled
def balloon_deltas(visible: Floats, doses: Floats, balloons: Floats, out: Floats) -> None:
    """Write the marginal effects of the last dose (N, K) to `out`; balloons (K, 3)."""
    for n in range(visible.shape[0]):
        for j in range(visible.shape[1]):
            out[n, j] = balloon_delta(
                visible[n, j],
                doses[n, j],
                balloons[j, LEAK],
                balloons[j, FLATNESS],
                balloons[j, RESIDUAL],
            )


@compiled
def start_balloons(state: Floats, initial: Floats) -> None:
    """Write pressures and levels `initial` (2, K) to every environment's state."""
    for e in range(state.shape[0]):
        for j in range(initial.shape[1]):
            state[e, PRESSURE, j] = initial[0, j]
            state[e, LEVEL, j] = initial[1, j]


@compiled
def step_balloons(state: Floats, drugs: Floats, doses: Floats) -> None:
    """Step the balloons of every environment under doses (E, K)."""
    for e in range(state.shape[0]):
        for j in range(drugs.shape[0]):
            state[e, BEFORE, j] = state[e, LEVEL, j]
            pressure = balloon_step(state[e, PRESSURE, j], doses[e, j], drugs[j, LEAK])
            state[e, PRESSURE, j] = pressure
            state[e, LEVEL, j] = balloon_level(pressure, drugs[j, FLATNESS], drugs[j, RESIDUAL])


@compiled
def visible_deltas(state: Floats, drugs: Floats, doses: Floats, delta: Floats) -> None:
    """Write the marginal effects of the last dose to delta (E, K), from the visible levels."""
    for e in range(state.shape[0]):
        for j in range(drugs.shape[0]):
            delta[e, j] = balloon_delta(
                state[e, VISIBLE, j],
                doses[e, j],
                drugs[j, LEAK],
                drugs[j, FLATNESS],
                drugs[j, RESIDUAL],
            )
