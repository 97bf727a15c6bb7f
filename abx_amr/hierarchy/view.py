"""What the manager sees: only what a flat agent could have seen, summarised over the last option.

Per visible attribute mean, std, max and min over the patients treated or left during the last
option (zeros after reset) | visible AMR at that option's start, and now | the previous option
one-hot | its consecutive selections c / (c + 10) | per antibiotic the steps since its last
prescription s / (s + 10), 0 for the step just made, 1 when never | the waiting cohort: mean and std
per attribute, or every patient's attributes. Padding is left out of the statistics; an attribute
that nobody shows gives -1. The first option's start and its end are the same moment after a reset.

Shapes: E environments, N of them, P patients, V visible attributes, K antibiotics, O options,
D observation entries, F entries of the manager's observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.kernel.compiling import compiled
from abx_amr.simulator.observation import ObservationLayout
from abx_amr.simulator.patients import PADDING

Actions = NDArray[np.int64]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Which = NDArray[np.int64]
#: count, mean, squares, highest, lowest (E, V) and since (E, K) of ManagerView.
State = tuple[Floats, Floats, Floats, Floats, Floats, Floats]

_HALF_WAY = 10.0  # a count of 10 is seen as 0.5
_MOMENTS = ("count", "mean", "squares")
_STATE = (*_MOMENTS, "highest", "lowest", "amr_at_start", "since", "previous", "in_a_row")


@dataclass(frozen=True, kw_only=True)
class ManagerLayout:
    """The names and bounds of the manager's observation.

    Attributes:
        clinic: What the flat agent's observation is made of.
        options: The names of the O options.
        shows_every_patient: Whether the waiting cohort is shown patient by patient.
    """

    clinic: ObservationLayout
    options: tuple[str, ...]
    shows_every_patient: bool

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each entry means, F names."""
        clinic = self.clinic
        names = [
            f"last_option.{attribute}.{statistic}"
            for attribute in clinic.attributes
            for statistic in ("mean", "std", "max", "min")
        ]
        names += [f"visible_amr_at_start[{drug}]" for drug in clinic.antibiotics]
        names += [f"visible_amr[{drug}]" for drug in clinic.antibiotics]
        names += [f"previous_option[{option}]" for option in self.options]
        names.append("consecutive_selections")
        names += [f"steps_since_prescribed[{drug}]" for drug in clinic.antibiotics]
        if self.shows_every_patient:
            names += clinic.names[clinic.parts.patients]
        else:
            names += [
                f"cohort.{attribute}.{statistic}"
                for attribute in clinic.attributes
                for statistic in ("mean", "std")
            ]
        return tuple(names)

    @property
    def size(self) -> int:
        """The number of entries F."""
        return len(self.names)

    @cached_property
    def bounds(self) -> tuple[Floats32, Floats32]:
        """The lowest and highest value of each entry, (F,) each."""
        low, high = np.zeros(self.size, np.float32), np.ones(self.size, np.float32)
        clinic = self.clinic
        lowest = np.minimum(np.array(clinic.attribute_low, np.float32), np.float32(PADDING))
        highest = np.maximum(np.array(clinic.attribute_high, np.float32), np.float32(0.0))
        span = highest - lowest
        padded = np.full_like(span, PADDING)
        v = len(clinic.attributes)
        summary = 4 * v
        low[:summary] = np.stack([lowest, padded, lowest, lowest], axis=1).ravel()
        high[:summary] = np.stack([highest, span, highest, highest], axis=1).ravel()
        if self.shows_every_patient:
            cohort = self.size - clinic.num_patients * v
            low[cohort:] = clinic.low[clinic.parts.patients]
            high[cohort:] = clinic.high[clinic.parts.patients]
        else:
            cohort = self.size - 2 * v
            low[cohort:] = np.stack([lowest, padded], axis=1).ravel()
            high[cohort:] = np.stack([highest, span], axis=1).ravel()
        return low, high


class ManagerView:
    """Follows E environments, each at its own step, and tells what their manager sees."""

    def __init__(self, layout: ManagerLayout, num_envs: int) -> None:
        """Prepare; `reset` starts an environment's episode."""
        self.layout = layout
        v, k = len(layout.clinic.attributes), len(layout.clinic.antibiotics)
        self._v, self._p = v, layout.clinic.num_patients
        self._num_options = len(layout.options)
        self.count: Floats = np.zeros((num_envs, v))
        self.mean: Floats = np.zeros((num_envs, v))
        self.squares: Floats = np.zeros((num_envs, v))
        self.highest: Floats = np.zeros((num_envs, v))
        self.lowest: Floats = np.zeros((num_envs, v))
        self.amr_at_start: Floats32 = np.zeros((num_envs, k), np.float32)
        self.since: Floats = np.full((num_envs, k), np.inf)
        self.previous: Which = np.full(num_envs, -1, dtype=np.int64)
        self.in_a_row: Which = np.zeros(num_envs, dtype=np.int64)

    # --- what happens ----------------------------------------------------------------------------

    def reset(self, which: Which, observation: Floats32) -> None:
        """Start an episode in these environments (N,), whose observations are (N, D)."""
        for name in (*_MOMENTS, "highest", "lowest", "in_a_row"):
            getattr(self, name)[which] = 0
        self.amr_at_start[which] = self._amr(observation)
        self.since[which] = np.inf
        self.previous[which] = -1

    def select(self, which: Which, options: Which, observation: Floats32) -> None:
        """Begin options (N,) in these environments."""
        again = self.previous[which] == options
        self.in_a_row[which] = np.where(again, self.in_a_row[which] + 1, 1)
        self.previous[which] = options
        self.amr_at_start[which] = self._amr(observation)
        for name in _MOMENTS:
            getattr(self, name)[which] = 0.0
        self.highest[which] = -np.inf
        self.lowest[which] = np.inf

    def treat(self, which: Which, observation: Floats32, actions: Actions) -> None:
        """Take in a cohort (N, D) and what it was prescribed (N, P)."""
        _take_in(
            which,
            np.ascontiguousarray(self._patients(observation)),
            np.ascontiguousarray(actions),
            (self.count, self.mean, self.squares, self.highest, self.lowest, self.since),
        )

    # --- what is seen ----------------------------------------------------------------------------

    def observe(self, which: Which, observation: Floats32) -> Floats32:
        """Return what the managers of these environments see, (N, F)."""
        n = len(which)
        count = self.count[which]
        nobody = (count == 0) & (self.previous[which] >= 0)[:, None]
        last = np.stack(
            [
                self.mean[which],
                np.sqrt(self.squares[which] / np.maximum(count, 1.0)),
                self.highest[which],
                self.lowest[which],
            ],
            axis=2,
        )
        last[nobody] = PADDING
        options = self.previous[which][:, None] == np.arange(self._num_options)
        in_a_row = self.in_a_row[which][:, None].astype(np.float64)
        since = self.since[which]
        finite = np.where(np.isinf(since), 0.0, since)
        patients = self._patients(observation)
        if self.layout.shows_every_patient:
            cohort: NDArray[Any] = patients.reshape(n, -1)
        else:
            values = patients.astype(np.float64)
            shown = values != PADDING
            present = shown.sum(axis=1)
            mean, squares = _moments(values, shown, present)
            both = np.stack([mean, np.sqrt(squares / np.maximum(present, 1))], axis=2)
            both[present == 0] = PADDING
            cohort = both.reshape(n, -1)
        return np.concatenate(
            [
                last.reshape(n, -1),
                self.amr_at_start[which],
                self._amr(observation),
                options,
                in_a_row / (in_a_row + _HALF_WAY),
                np.where(np.isinf(since), 1.0, finite / (finite + _HALF_WAY)),
                cohort,
            ],
            axis=1,
            dtype=np.float32,
        )

    def _patients(self, observation: Floats32) -> Floats32:
        """Return the cohort's visible attributes, (N, P, V)."""
        seen = observation[:, self.layout.clinic.parts.patients]
        return seen.reshape(len(observation), self._p, self._v)

    def _amr(self, observation: Floats32) -> Floats32:
        return observation[:, self.layout.clinic.parts.visible_amr]

    # --- going on later --------------------------------------------------------------------------

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything needed to go on to the bit, as arrays of its own."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state()` returned."""
        for name in _STATE:
            getattr(self, name)[:] = state[name]


@compiled
def _take_in(which: Which, patients: Floats32, actions: Actions, state: State) -> None:
    """Update the statistics of the running option (E, V), and since when nobody got a drug (E, K).

    `patients` (N, P, V) are the visible attributes of the cohorts that the actions (N, P) are for.

    A value that all patients share is its own mean to the bit. Moments of the union of two samples
    by Chan et al. (1979).
    """
    count, mean, squares, highest, lowest, since = state
    num_patients, num_attributes = actions.shape[1], count.shape[1]
    for n in range(len(which)):
        e = which[n]
        for v in range(num_attributes):
            present, first, total = 0.0, 0.0, 0.0
            high, low = -np.inf, np.inf
            for p in range(num_patients):
                value = np.float64(patients[n, p, v])
                if value == PADDING:
                    continue
                if present == 0.0:
                    first = value
                present += 1.0
                total += value - first
                high, low = max(high, value), min(low, value)
            if present == 0.0:
                continue
            shift = total / present
            apart_squared = 0.0
            for p in range(num_patients):
                value = np.float64(patients[n, p, v])
                if value != PADDING:
                    apart_squared += (value - first - shift) ** 2
            before = count[e, v]
            share = present / (before + present)
            apart = first + shift - mean[e, v]
            squares[e, v] += apart_squared + apart * apart * before * share
            mean[e, v] += apart * share
            count[e, v] = before + present
            highest[e, v], lowest[e, v] = max(highest[e, v], high), min(lowest[e, v], low)
        for k in range(since.shape[1]):
            given = False
            for p in range(num_patients):
                given |= actions[n, p] == k
            since[e, k] = 0.0 if given else since[e, k] + 1.0


def _moments(
    values: Floats, shown: NDArray[np.bool_], count: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Return mean and sum of squared deviations over the patients that show a value, (N, V) each.

    A value that all share is its own mean to the bit, so that its deviations are exactly zero.
    """
    first = np.take_along_axis(values, shown.argmax(axis=1)[:, None, :], axis=1)
    apart = np.where(shown, values - first, 0.0)
    shift = apart.sum(axis=1) / np.maximum(count, 1)
    squares = np.where(shown, (apart - shift[:, None, :]) ** 2, 0.0).sum(axis=1)
    return np.where(count > 0, first[:, 0] + shift, 0.0), squares
