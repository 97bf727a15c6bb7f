"""Options: rules that prescribe for all patients for several steps; the manager chooses them.

Shapes: N environments that are inside the option, P patients, K antibiotics, M memory entries.
A batch may be at different steps of the same option; prescription K is no treatment.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from abx_amr import checks
from abx_amr.errors import InputError, did_you_mean
from abx_amr.simulator.model import ClinicModel, treatment_names
from abx_amr.simulator.patients import ATTRIBUTES, PADDING

Actions = NDArray[np.int64]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Flags = NDArray[np.bool_]

NO_TREATMENT = "no_treatment"
THRESHOLD = "prescribe_"
EVERY_OTHER = f"{THRESHOLD}*"

_RECOVERY = ATTRIBUTES.index("recovery_without_treatment_prob")
_NEUTRAL = (0.0, 1.0, 1.0, 1.0, 1.0)  # of what is not known; recovery is configured


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What an option decides by: what the agent sees, and where the option stands.

    Attributes:
        attributes: Visible attribute -> observed values, (N, P); -1 where a patient's is hidden.
        visible_amr: Shape (N, K).
        step: Steps already made inside the option, shape (N,).
        memory: The option's own, shape (N, M); what is written into it is kept until the option is
            selected again.
    """

    attributes: Mapping[str, Floats32]
    visible_amr: Floats32
    step: NDArray[np.int64]
    memory: Floats


class Team(Protocol):
    """Options of one class that decide in one call, each environment inside one of them."""

    def decide(self, member: NDArray[np.int64], seen: Seen) -> Actions:
        """Return one prescription per patient, (N, P); `member` (N,) counts within the team."""
        ...


class Option(ABC):
    """A rule that prescribes until its duration is over, it terminates, or the episode ends.

    Attributes:
        name: What the option is called in its library.
        duration: Steps, at least 1; infinity: until it terminates or the episode ends.
        needs: Visible attributes that it cannot do without.
        memory_size: M, entries kept per environment while the option runs.
        may_prescribe: The antibiotics it may prescribe; no treatment is always allowed.
    """

    needs: tuple[str, ...] = ()
    memory_size: int = 0

    def __init__(
        self,
        model: ClinicModel,
        *,
        name: str,
        duration: float,
        may_prescribe: Sequence[str] | None = None,
    ) -> None:
        """Take the clinic's antibiotics and check what all options have.

        Args:
            model: The clinic; an option reads its parameters, never its state.
            name: Names the option.
            duration: Steps, at least 1; infinity: until it terminates or the episode ends.
            may_prescribe: Names of antibiotics; None: all.

        Raises:
            InputError: The duration is no number of steps, or the clinic lacks an antibiotic.
        """
        self.model = model
        self.name = name
        self.duration = _steps(duration)
        self.num_patients = model.num_patients_per_time_step
        self.no_treatment = len(model.antibiotics)
        named = model.antibiotics if may_prescribe is None else tuple(may_prescribe)
        for antibiotic in named:
            self.treatment(antibiotic)
        self.may_prescribe = named

    def treatment(self, name: str) -> int:
        """Return the index of an antibiotic, or of no treatment.

        Raises:
            InputError: The clinic does not know it.
        """
        known = treatment_names(self.model.antibiotics)
        if name not in known:
            raise InputError(
                f"antibiotic {name!r} is not in the formulary{did_you_mean(name, known)} "
                f"(available: {', '.join(known)}); option_library=heuristic fits any formulary"
            )
        return known.index(name)

    def for_all(self, treatments: NDArray[np.integer[Any]]) -> Actions:
        """Return one treatment per environment (N,) for each of its patients, (N, P)."""
        return np.repeat(treatments.astype(np.int64)[:, None], self.num_patients, axis=1)

    def reset(self, memory: Floats) -> None:  # noqa: B027
        """Prepare the memory, shape (N, M), zero before, where the option was just selected."""

    @abstractmethod
    def decide(self, seen: Seen) -> Actions:
        """Return one prescription per patient, shape (N, P)."""

    @classmethod
    def team(cls, options: Sequence[Self]) -> Team | None:
        """Return what decides for several options of exactly this class; None: each by itself.

        A class that offers it keeps no memory.
        """
        return None

    def should_terminate(self, seen: Seen) -> Flags | None:
        """Return where the option ends early, shape (N,); None: nowhere.

        Asked with the state after each step that neither ended the episode nor was the last of the
        option; `seen.step` counts that step.
        """
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, duration={self.duration})"


def _steps(duration: Any) -> float:
    """Return a duration in steps: a whole number of at least 1, or infinity."""
    if isinstance(duration, float) and duration >= 1:
        if math.isinf(duration):
            return math.inf
        if duration.is_integer():
            return int(duration)
    if type(duration) is int and 1 <= duration <= checks.LARGEST:
        return duration
    raise InputError(
        "duration must be a whole number of steps >= 1, or infinity (.inf in YAML, inf on the "
        f"command line: until the option terminates or the episode ends), got {duration!r}"
    )


class Block(Option):
    """The same prescription for everybody for `duration` steps."""

    def __init__(self, model: ClinicModel, *, name: str, antibiotic: str, duration: float) -> None:
        """Take what is prescribed, and for how long.

        Args:
            model: The clinic.
            name: Names the option.
            antibiotic: An antibiotic of the formulary, or no_treatment.
            duration: Steps, at least 1; infinity: until the episode ends.
        """
        prescribed = [] if antibiotic == NO_TREATMENT else [antibiotic]
        super().__init__(model, name=name, duration=duration, may_prescribe=prescribed)
        self.sequence = np.array([self.treatment(antibiotic)], dtype=np.int64)

    def decide(self, seen: Seen) -> Actions:
        """Return the prescription for everybody."""
        return _Courses([self]).decide(np.zeros(len(seen.step), dtype=np.int64), seen)

    @classmethod
    def team(cls, options: Sequence[Self]) -> Team:
        """Return what looks the prescriptions up."""
        return _Courses(options)


class Alternation(Option):
    """Walks a sequence of prescriptions, each for everybody, one a step, to its end."""

    def __init__(self, model: ClinicModel, *, name: str, sequence: Sequence[str]) -> None:
        """Take what is prescribed in turn.

        Args:
            model: The clinic.
            name: Names the option.
            sequence: Antibiotics and no_treatment, one a step; its length is the duration.
        """
        if isinstance(sequence, str) or not isinstance(sequence, Sequence) or not sequence:
            raise InputError(
                f"sequence must be a list of antibiotics and no_treatment, got {sequence!r}"
            )
        prescribed = [entry for entry in dict.fromkeys(sequence) if entry != NO_TREATMENT]
        super().__init__(model, name=name, duration=len(sequence), may_prescribe=prescribed)
        self.sequence = np.array([self.treatment(entry) for entry in sequence], dtype=np.int64)

    def decide(self, seen: Seen) -> Actions:
        """Return the prescription whose turn it is."""
        return _Courses([self]).decide(np.zeros(len(seen.step), dtype=np.int64), seen)

    @classmethod
    def team(cls, options: Sequence[Self]) -> Team:
        """Return what looks the prescriptions up."""
        return _Courses(options)


class _Courses:
    """Blocks or alternations: the same for everybody, by the step inside the option."""

    def __init__(self, options: Sequence[Block | Alternation]) -> None:
        self.num_patients = options[0].num_patients
        self.length = np.array([len(option.sequence) for option in options])
        self.table = np.zeros((len(options), self.length.max()), dtype=np.int64)
        for o, option in enumerate(options):
            self.table[o, : len(option.sequence)] = option.sequence

    def decide(self, member: NDArray[np.int64], seen: Seen) -> Actions:
        turn = seen.step % self.length[member]
        return np.repeat(self.table[member, turn][:, None], self.num_patients, axis=1)


class Heuristic(Option):
    """Per patient the treatment with the highest expected immediate reward, as far as is seen.

    Expected rewards are the closed form of the clinic's reward without its epsilon term, from
    OBSERVED attributes and visible AMR; what is unknown counts as neutral (multipliers 1, the
    default recovery). An antibiotic is eligible only if it has a threshold and its expected reward
    reaches it; ties go to no treatment, then to the first antibiotic. A patient whose
    prob_infected is hidden, or of whom more than `uncertainty_threshold` attributes are unknown, is
    not treated.
    """

    needs = ("prob_infected",)

    def __init__(
        self,
        model: ClinicModel,
        *,
        name: str,
        duration: float,
        action_thresholds: Mapping[str, float],
        uncertainty_threshold: float = 2.0,
        use_relative_uncertainty: bool = True,
        default_recovery_without_treatment_prob: float = 0.1,
    ) -> None:
        """Check the thresholds.

        Args:
            model: The clinic.
            name: Names the option.
            duration: Steps.
            action_thresholds: prescribe_<antibiotic> -> the lowest expected reward at which it is
                prescribed; `prescribe_*` stands for every antibiotic that is not named.
            uncertainty_threshold: Unknown attributes up to which a patient is treated, >= 0.
            use_relative_uncertainty: Whether unknown are the visible attributes that are padded;
                else those of all six that are not known.
            default_recovery_without_treatment_prob: Assumed where it is not seen, in [0, 1].
        """
        thresholds = _thresholds(action_thresholds, model)
        named = [a for a, t in zip(model.antibiotics, thresholds, strict=True) if t < math.inf]
        super().__init__(model, name=name, duration=duration, may_prescribe=named)
        self.thresholds = thresholds
        self.uncertainty_threshold = checks.number(
            "uncertainty_threshold", uncertainty_threshold, 0.0
        )
        self.use_relative_uncertainty = checks.flag(
            "use_relative_uncertainty", use_relative_uncertainty
        )
        self.default_recovery = checks.number(
            "default_recovery_without_treatment_prob",
            default_recovery_without_treatment_prob,
            0.0,
            1.0,
        )

    def decide(self, seen: Seen) -> Actions:
        """Return each patient's best eligible treatment."""
        return _Heuristics([self]).decide(np.zeros(len(seen.step), dtype=np.int64), seen)

    @classmethod
    def team(cls, options: Sequence[Self]) -> Team:
        """Return what computes the expected rewards of all environments at once."""
        return _Heuristics(options)


class _Heuristics:
    """Heuristic options of one clinic, whose expected rewards are computed together."""

    def __init__(self, options: Sequence[Heuristic]) -> None:
        first = options[0]
        self.reward = first.model.reward
        self.no_treatment = first.no_treatment
        self.thresholds = np.stack([option.thresholds for option in options])  # (O, K)
        self.recovery = np.array([option.default_recovery for option in options])
        self.most_unknown = np.array([option.uncertainty_threshold for option in options])
        self.is_relative = np.array([option.use_relative_uncertainty for option in options])

    def decide(self, member: NDArray[np.int64], seen: Seen) -> Actions:
        count, num_patients = next(iter(seen.attributes.values())).shape
        believed = np.empty((count, num_patients, len(ATTRIBUTES)))
        unknown = np.zeros((count, num_patients), dtype=np.int64)
        for a, attribute in enumerate(ATTRIBUTES):
            values = seen.attributes.get(attribute)
            neutral = self.recovery[member][:, None] if a == _RECOVERY else _NEUTRAL[a]
            if values is None:
                believed[:, :, a] = neutral
                continue
            hidden = values == PADDING
            unknown += hidden
            believed[:, :, a] = np.where(hidden, neutral, values)
        not_visible = len(ATTRIBUTES) - len(seen.attributes)
        most = self.most_unknown[member] - np.where(self.is_relative[member], 0, not_visible)
        amr = seen.visible_amr.astype(np.float64)[:, None, :]
        expected = self.reward.expected_reward(believed, amr)
        treated = expected[:, :, :-1]
        eligible = np.where(treated >= self.thresholds[member][:, None, :], treated, -math.inf)
        treats = eligible.max(axis=2) > expected[:, :, -1]
        treats &= seen.attributes["prob_infected"] != PADDING
        treats &= unknown <= most[:, None]
        return np.where(treats, eligible.argmax(axis=2), self.no_treatment)


def _thresholds(given: Any, model: ClinicModel) -> Floats:
    """Return the threshold of each antibiotic, (K,), infinite where it has none."""
    if not isinstance(given, Mapping) or not given:
        raise InputError(
            "action_thresholds must map prescribe_<antibiotic> to a number for at least one, "
            f"got {given!r}"
        )
    known = [f"{THRESHOLD}{antibiotic}" for antibiotic in model.antibiotics]
    for key in given:
        if key not in (*known, EVERY_OTHER):
            raise InputError(
                f"action_thresholds.{key} names no antibiotic of the formulary"
                f"{did_you_mean(key, known)} (it takes: {', '.join((*known, EVERY_OTHER))})"
            )
    values = [given.get(key, given.get(EVERY_OTHER)) for key in known]
    return np.array(
        [
            math.inf if value is None else checks.number(f"action_thresholds.{key}", value)
            for key, value in zip(known, values, strict=True)
        ]
    )
