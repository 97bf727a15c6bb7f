"""What the agent sees: settings, the meaning and bounds of every entry.

Shapes: N observations, D entries, P patients, V visible attributes, K antibiotics, W windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.checks import flag, number, whole_number
from abx_amr.errors import InputError
from abx_amr.simulator.patients import ATTRIBUTES

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class VisibleAmr:
    """How the true AMR levels are seen: clip(true + N(0, noise_std) + bias, 0, 1), now and then.

    Attributes:
        update_every_n_time_steps: Steps between two refreshes; a reset refreshes too.
        noise_std: Standard deviation of the noise of a refresh, >= 0.
        bias: Added to the true level, in [-1, 1].
    """

    update_every_n_time_steps: int
    noise_std: float
    bias: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        whole_number("visible_amr.update_every_n_time_steps", self.update_every_n_time_steps, 1)
        number("visible_amr.noise_std", self.noise_std, 0)
        number("visible_amr.bias", self.bias, -1, 1)


@dataclass(frozen=True, kw_only=True)
class ObservationSettings:
    """What is seen besides the patients and the visible AMR.

    Attributes:
        include_steps_since_amr_update: The count of steps since the last refresh.
        include_previous_action: The previous prescriptions, one-hot per patient.
        temporal_windows: Lengths in steps; per antibiotic the fraction of the last w steps with a
            prescription, and the change of its visible level; empty: none of these.
        include_time_remaining: The share of the episode that is left. Who sees it is told the end:
            it terminates, instead of being cut off.
    """

    include_steps_since_amr_update: bool
    include_previous_action: bool
    temporal_windows: tuple[int, ...]
    include_time_remaining: bool = False

    def __post_init__(self) -> None:
        """Check the windows and keep them as a tuple."""
        flag("include_steps_since_amr_update", self.include_steps_since_amr_update)
        flag("include_previous_action", self.include_previous_action)
        flag("include_time_remaining", self.include_time_remaining)
        windows = self.temporal_windows
        if isinstance(windows, str) or not isinstance(windows, Sequence):
            raise InputError(f"temporal_windows must be a list of steps, got {windows!r}")
        checked = tuple(whole_number("temporal_windows", window, 1) for window in windows)
        if len(set(checked)) != len(checked):
            raise InputError(f"temporal_windows must name each once, got {list(checked)!r}")
        object.__setattr__(self, "temporal_windows", checked)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """Observations taken apart, each part under its name; None where it is not observed.

    Attributes:
        attributes: Visible attribute -> observed values, (N, P).
        visible_amr: Shape (N, K).
        prescribed_fraction: Per window, shape (N, K, W).
        visible_amr_change: Against the previous step, shape (N, K).
        steps_since_amr_update: Shape (N,).
        previous_action: One-hot, shape (N, P, K+1).
        time_remaining: Share of the episode that is left, shape (N,).
    """

    attributes: dict[str, Floats32]
    visible_amr: Floats32
    prescribed_fraction: Floats32 | None
    visible_amr_change: Floats32 | None
    steps_since_amr_update: Floats32 | None
    previous_action: Floats32 | None
    time_remaining: Floats32 | None


class ObservationParts(NamedTuple):
    """Where each part of an observation lies among its entries, in order."""

    patients: slice
    visible_amr: slice
    prescribed_fraction: slice
    visible_amr_change: slice
    steps_since_amr_update: slice
    previous_action: slice
    time_remaining: slice


@dataclass(frozen=True, kw_only=True)
class ObservationLayout:
    """The order, names and bounds of an observation's entries.

    Patient by patient the visible attributes | visible AMR | per antibiotic and window the
    prescribed fraction, then the changes of the visible AMR | steps since the last refresh | the
    previous action | time remaining.

    Attributes:
        antibiotics: The K antibiotics.
        attributes: The V visible attributes.
        num_patients: P.
        temporal_windows: The W windows, possibly none.
        steps_since_amr_update: The highest count that can be seen, None when it is not observed.
        previous_action: Whether the previous action is observed.
        time_remaining: Whether the share of the episode that is left is observed.
        attribute_low: The lowest observed value of each visible attribute, shape (V,).
        attribute_high: The highest.
    """

    antibiotics: tuple[str, ...]
    attributes: tuple[str, ...]
    num_patients: int
    temporal_windows: tuple[int, ...]
    steps_since_amr_update: int | None
    previous_action: bool
    attribute_low: tuple[float, ...]
    attribute_high: tuple[float, ...]
    time_remaining: bool = False

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each entry means, D names."""
        patients = range(self.num_patients)
        names = [f"patient[{p}].{name}" for p in patients for name in self.attributes]
        names += [f"visible_amr[{drug}]" for drug in self.antibiotics]
        if self.temporal_windows:
            names += [
                f"prescribed_fraction_of_last_{window}_steps[{drug}]"
                for drug in self.antibiotics
                for window in self.temporal_windows
            ]
            names += [f"visible_amr_change[{drug}]" for drug in self.antibiotics]
        if self.steps_since_amr_update is not None:
            names.append("steps_since_amr_update")
        if self.previous_action:
            treatments = (*self.antibiotics, "no_treatment")
            names += [f"patient[{p}].previous_action[{t}]" for p in patients for t in treatments]
        if self.time_remaining:
            names.append("time_remaining")
        return tuple(names)

    @cached_property
    def size(self) -> int:
        """The number of entries D."""
        return len(self.names)

    @cached_property
    def low(self) -> Floats32:
        """The lowest value of each entry, shape (D,)."""
        return self._bounds()[0]

    @cached_property
    def high(self) -> Floats32:
        """The highest value of each entry, shape (D,)."""
        return self._bounds()[1]

    def _bounds(self) -> tuple[Floats32, Floats32]:
        # Rounding to float32 keeps order, so rounded bounds contain every rounded value.
        low, high = np.zeros(self.size, np.float32), np.ones(self.size, np.float32)
        parts = self.parts
        low[parts.patients] = np.tile(np.array(self.attribute_low), self.num_patients)
        high[parts.patients] = np.tile(np.array(self.attribute_high), self.num_patients)
        low[parts.visible_amr_change] = -1.0
        if self.steps_since_amr_update is not None:
            high[parts.steps_since_amr_update] = max(1, self.steps_since_amr_update)
        low.flags.writeable = high.flags.writeable = False
        return low, high

    @cached_property
    def parts(self) -> ObservationParts:
        """Where each part lies; a part that is not observed is empty."""
        p, k = self.num_patients, len(self.antibiotics)
        v, w = len(self.attributes), len(self.temporal_windows)
        lengths = [p * v, k, k * w, k if w else 0, int(self.steps_since_amr_update is not None)]
        lengths += [p * (k + 1) * self.previous_action, int(self.time_remaining)]
        ends = [0, *np.cumsum(lengths).tolist()]
        return ObservationParts(*(slice(first, end) for first, end in pairwise(ends)))

    def decode(self, observation: ArrayLike) -> Decoded:
        """Return the parts of observations (N, D) under their names, as views where possible."""
        rows = np.asarray(observation, dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self.size:
            raise InputError(f"observations must have shape (N, {self.size}), got {rows.shape}")
        n, p, k = len(rows), self.num_patients, len(self.antibiotics)
        v, w = len(self.attributes), len(self.temporal_windows)
        seen, amr, fraction, change, since, previous, time = (rows[:, part] for part in self.parts)
        by_patient = seen.reshape(n, p, v)
        return Decoded(
            attributes={name: by_patient[:, :, i] for i, name in enumerate(self.attributes)},
            visible_amr=amr,
            prescribed_fraction=fraction.reshape(n, k, w) if w else None,
            visible_amr_change=change if w else None,
            steps_since_amr_update=since[:, 0] if since.shape[1] else None,
            previous_action=previous.reshape(n, p, k + 1) if self.previous_action else None,
            time_remaining=time[:, 0] if self.time_remaining else None,
        )


def visible_columns(attributes: Sequence[str]) -> NDArray[np.int64]:
    """Return the positions of the visible attributes among ATTRIBUTES, shape (V,)."""
    return np.array([ATTRIBUTES.index(name) for name in attributes], dtype=np.int64)
