"""The clinic: a model put together from its parts, and a batch of clinics in lockstep.

Shapes: E environments, P patients, K antibiotics, D observation entries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.checks import antibiotic_names, number, whole_number
from abx_amr.errors import InputError, did_you_mean
from abx_amr.simulator import kernel
from abx_amr.simulator.draws import Draws
from abx_amr.simulator.dynamics import LeakyBalloon, ResistanceModel
from abx_amr.simulator.observation import (
    ObservationLayout,
    ObservationSettings,
    VisibleAmr,
    visible_columns,
)
from abx_amr.simulator.patients import (
    ATTRIBUTES,
    PatientMixture,
    PatientPopulation,
    Population,
)
from abx_amr.simulator.rewards import ClinicalReward, RewardModel, Score, TreatedCohort

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Streams = NDArray[np.uint64]
_INT64 = np.dtype(np.int64)  # one object: `is` is the quick comparison


@dataclass(frozen=True, kw_only=True)
class ClinicModel:
    """Everything that defines a clinic; checked when made.

    Attributes:
        antibiotics: The K antibiotics, in the order of the actions.
        dynamics: How AMR answers to doses.
        cross_resistance: antibiotic -> other antibiotic -> share of a dose in [0, 1] that also
            reaches the other; what is not named is 0.
        population: Who comes.
        reward: What a treated cohort is worth.
        visible_amr: How AMR is seen.
        observation: What is seen besides.
        num_patients_per_time_step: P.
        max_time_steps: Length of an episode.
    """

    antibiotics: tuple[str, ...]
    dynamics: ResistanceModel
    cross_resistance: Mapping[str, Mapping[str, float]]
    population: Population
    reward: RewardModel
    visible_amr: VisibleAmr
    observation: ObservationSettings
    num_patients_per_time_step: int
    max_time_steps: int

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            InputError: They do not.
        """
        object.__setattr__(self, "antibiotics", antibiotic_names(list(self.antibiotics)))
        whole_number("num_patients_per_time_step", self.num_patients_per_time_step, 1)
        whole_number("max_time_steps", self.max_time_steps, 1)
        for part in ("dynamics", "reward"):
            named = tuple(getattr(self, part).antibiotics)
            if named != self.antibiotics:
                raise InputError(
                    f"antibiotics of {part} must be {list(self.antibiotics)}, got {list(named)}"
                )
        self.cross_resistance_matrix.flags.writeable = False

    @property
    def num_treatments(self) -> int:
        """The number of actions per patient, K+1; the last is no treatment."""
        return len(self.antibiotics) + 1

    @cached_property
    def cross_resistance_matrix(self) -> Floats:
        """Share of a dose of antibiotic i that reaches antibiotic j, shape (K, K), diagonal 1."""
        matrix = np.eye(len(self.antibiotics))
        if not isinstance(self.cross_resistance, Mapping):
            raise InputError(
                f"cross_resistance must map antibiotics to shares, got {self.cross_resistance!r}"
            )
        for source, shares in self.cross_resistance.items():
            i = self._index("cross_resistance", source)
            if not isinstance(shares, Mapping):
                raise InputError(
                    f"cross_resistance.{source} must map antibiotics to shares, got {shares!r}"
                )
            for target, share in shares.items():
                j = self._index(f"cross_resistance.{source}", target)
                if i == j:
                    raise InputError(
                        f"cross_resistance.{source}.{target} must not be given:"
                        " an antibiotic's own dose counts in full"
                    )
                matrix[i, j] = number(f"cross_resistance.{source}.{target}", share, 0, 1)
        return matrix

    def _index(self, key: str, name: str) -> int:
        if name not in self.antibiotics:
            hint = did_you_mean(name, self.antibiotics)
            raise InputError(
                f"{key} must name antibiotics of {list(self.antibiotics)}, got {name!r}{hint}"
            )
        return self.antibiotics.index(name)

    @cached_property
    def layout(self) -> ObservationLayout:
        """The meaning and bounds of every observation entry."""
        visible = tuple(self.population.visible_patient_attributes)
        low, high = self.population.observed_bounds
        columns = visible_columns(visible)
        counter = min(self.visible_amr.update_every_n_time_steps - 1, self.max_time_steps)
        settings = self.observation
        return ObservationLayout(
            antibiotics=self.antibiotics,
            attributes=visible,
            num_patients=self.num_patients_per_time_step,
            temporal_windows=settings.temporal_windows,
            steps_since_amr_update=counter if settings.include_steps_since_amr_update else None,
            previous_action=settings.include_previous_action,
            attribute_low=tuple(float(low[a]) for a in columns),
            attribute_high=tuple(float(high[a]) for a in columns),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cohort:
    """The patients who wait for the next action.

    Attributes:
        attributes: True values, shape (E, P, 6).
        group: Sub-population of each patient, shape (E, P).
        infected: Shape (E, P).
        sensitive: Whether the infection answers to each antibiotic, shape (E, P, K).
        uniforms: Shape (E, P, K+4): infection, K sensitivities, outcome, adverse event, recovery.
    """

    attributes: Floats
    group: NDArray[np.int64]
    infected: NDArray[np.bool_]
    sensitive: NDArray[np.bool_]
    uniforms: Floats


class Clinic:
    """A batch of clinics in lockstep: every environment is at the same step of its episode.

    When all components are the shipped ones a step is one compiled call; any other component is
    called through its batched methods. Both give the same bits.
    """

    def __init__(self, model: ClinicModel, streams: Streams, *, fused: bool | None = None) -> None:
        """Prepare the batch; `reset` starts it.

        Args:
            model: The clinic.
            streams: SFC64 states, one row per environment, shape (E, 4).
            fused: Whether a step is one compiled call; None: when the components allow it.
        """
        self.model = model
        self.layout = model.layout
        rows = np.array(streams, dtype=np.uint64, order="C")
        if rows.ndim != 2 or rows.shape[1] != 4 or not len(rows):
            raise InputError(f"streams must have shape (E, 4), E >= 1, got {rows.shape}")
        self._rows: Streams = rows
        self._draws = Draws(rows)
        self.num_envs = len(rows)
        p, k = model.num_patients_per_time_step, len(model.antibiotics)
        self._action_shape = (self.num_envs, p)
        self._observation_shape = (self.num_envs, self.layout.size)
        self._k = k
        self._cross = model.cross_resistance_matrix
        self._shown = visible_columns(self.layout.attributes)
        self._windows = np.array(self.layout.temporal_windows, dtype=np.int64)
        self._update_every = model.visible_amr.update_every_n_time_steps
        self._max_time_steps = model.max_time_steps
        self._since_seen = model.observation.include_steps_since_amr_update
        self._previous_seen = model.observation.include_previous_action
        longest = max(self.layout.temporal_windows, default=0)
        width = k * (5 + len(self._windows) + longest)
        self._state: Floats = np.zeros((self.num_envs, width))
        self._patients: Floats = np.zeros((self.num_envs, p, kernel.UNIFORMS + k + 4))
        self._treated: Floats = np.zeros_like(self._patients)
        self._dynamics_state: Floats = np.zeros((self.num_envs, 0))
        self._time = -1
        self._last_step: Mapping[str, Any] | None = None
        self._last_score: Score | None = None
        self._observation: Floats32 = np.zeros(self._observation_shape, np.float32)
        allowed = self._tabulate()
        if fused and not allowed:
            raise InputError("fused must not be true: a component is not one of the shipped ones")
        self._fused = allowed if fused is None else fused

    def _tabulate(self) -> bool:
        """Fill the compiled step's tables; return whether every component has one."""
        model, k = self.model, self._k
        self._drugs: Floats = np.zeros((k, kernel.CROSS + k))
        self._drugs[:, kernel.CROSS :] = self._cross
        self._numbers: Floats = np.zeros(8)
        self._initial: Floats = np.zeros((2, k))
        self._groups: Floats = np.zeros((0, *kernel.GROUP_SHAPE))
        allowed = True
        if type(model.dynamics) is LeakyBalloon:
            self._drugs[:, :3] = model.dynamics.balloons
            self._initial[0] = model.dynamics.initial_state(1)[0]
            self._initial[1] = model.dynamics.level(self._initial[0])
        else:
            allowed = False
        population = model.population
        if isinstance(population, PatientPopulation | PatientMixture) and type(population) in (
            PatientPopulation,
            PatientMixture,
        ):
            groups = population.groups
            if groups is None:
                allowed = False
            else:
                self._groups = groups
        else:
            allowed = False
        if type(model.reward) is ClinicalReward:
            self._numbers[:] = model.reward.numbers
            self._drugs[:, 3:5] = model.reward.harms
        else:
            allowed = False
        self._numbers[kernel.VISIBLE_NOISE] = model.visible_amr.noise_std
        self._numbers[kernel.VISIBLE_BIAS] = model.visible_amr.bias
        return allowed

    # ------------------------------------------------------------------------------- the episode

    def reset(self, streams: Streams | None = None) -> Floats32:
        """Start an episode everywhere and return the observation, shape (E, D).

        Args:
            streams: New streams, shape (E, 4); None: the present ones go on.
        """
        if streams is not None:
            if np.shape(streams) != self._rows.shape:
                raise InputError(
                    f"streams must have shape {self._rows.shape}, got {np.shape(streams)}"
                )
            self._rows[:] = streams
        self._time = 0
        self._last_step = self._last_score = None
        observation = np.empty(self._observation_shape, np.float32)
        if self._fused:
            kernel.reset_clinic(
                self._rows,
                self._state,
                self._patients,
                self._initial,
                self._groups,
                self._numbers,
                self._shown,
                self._windows,
                0 if self._since_seen else -1,
                self._previous_seen,
                observation,
            )
        else:
            self._reset_by_parts(observation)
        self._observation = observation
        return observation

    def step(self, actions: NDArray[np.int64]) -> tuple[Floats32, Floats, bool]:
        """Treat the waiting cohort; return the observation (E, D), reward (E,) and truncated.

        Args:
            actions: Per patient the index of an antibiotic, or K for no treatment, shape (E, P).

        Raises:
            InputError: An action is out of range, or the episode is over.
        """
        if (
            type(actions) is not np.ndarray
            or actions.dtype is not _INT64
            or actions.shape != self._action_shape
            or not actions.flags.c_contiguous
        ):
            actions = self._checked_actions(actions)
        time = self._time + 1
        if time == 0:
            raise InputError("step must come after reset: the clinic has not been reset yet")
        if time > self._max_time_steps:
            raise InputError(
                f"step must not pass the time limit: the episode ended after"
                f" {self._max_time_steps} steps; call reset"
            )
        since = time % self._update_every
        observation = np.empty(self._observation_shape, np.float32)
        if self._fused:
            reward = np.empty(self.num_envs)
            invalid = kernel.step_clinic(
                self._rows,
                self._state,
                self._patients,
                self._treated,
                actions,
                self._drugs,
                self._groups,
                self._numbers,
                self._shown,
                self._windows,
                time,
                since == 0,
                since if self._since_seen else -1,
                self._previous_seen,
                observation,
                reward,
            )
            if invalid >= 0:
                raise self._invalid_action(actions, invalid)
            self._last_score = None
        else:
            invalid = kernel.first_invalid_action(actions, self._k)
            if invalid >= 0:
                raise self._invalid_action(actions, invalid)
            reward = self._step_by_parts(actions, time, since, observation)
        self._patients, self._treated = self._treated, self._patients
        self._time = time
        self._last_step = None
        self._observation = observation
        return observation, reward, time == self._max_time_steps

    def _checked_actions(self, actions: ArrayLike) -> NDArray[np.int64]:
        given = np.asarray(actions)
        if given.shape != self._action_shape:
            raise InputError(f"actions must have shape {self._action_shape}, got {given.shape}")
        if given.dtype.kind not in "iu":
            raise InputError(f"actions must be integers in 0..{self._k}, got dtype {given.dtype}")
        return np.ascontiguousarray(given, dtype=np.int64)

    def _invalid_action(self, actions: NDArray[np.int64], position: int) -> InputError:
        e, p = divmod(position, actions.shape[1])
        return InputError(
            f"actions must be in 0..{self._k} ({self._k} = no treatment),"
            f" got {int(actions[e, p])} for patient {p} of environment {e}"
        )

    # --------------------------------------------------------------------- any component: by parts

    def _reset_by_parts(self, observation: Floats32) -> None:
        k = self._k
        self._state[:] = 0.0
        self._dynamics_state = self.model.dynamics.initial_state(self.num_envs)
        self._state[:, k : 2 * k] = self.model.dynamics.level(self._dynamics_state)
        kernel.see_level_rows(self._rows, self._state, k, True, self._numbers)
        self._state[:, 4 * k : 5 * k] = 0.0
        nothing = np.empty((self.num_envs, 0), dtype=np.int64)
        self._welcome(self._patients, nothing, 0, 0, observation)

    def _step_by_parts(
        self, actions: NDArray[np.int64], time: int, since: int, observation: Floats32
    ) -> Floats:
        k, dynamics = self._k, self.model.dynamics
        doses = self._doses(actions)
        self._dynamics_state = dynamics.step(self._dynamics_state, doses)
        self._state[:, 2 * k : 3 * k] = self._state[:, k : 2 * k]
        self._state[:, k : 2 * k] = dynamics.level(self._dynamics_state)
        kernel.see_level_rows(self._rows, self._state, k, since == 0, self._numbers)
        self._patients[:, :, kernel.ACTION] = actions
        self._last_score = self._score(self._patients)
        if len(self._windows):
            kernel.remember_prescription_rows(self._state, actions, k, self._windows, time)
        self._welcome(self._treated, actions, time, since, observation)
        return self._last_score.reward

    def _welcome(
        self,
        patients: Floats,
        actions: NDArray[np.int64],
        time: int,
        since: int,
        observation: Floats32,
    ) -> None:
        """Draw the next cohort into `patients` and write the observation."""
        drawn = self.model.population.sample(self._draws, self._action_shape[1])
        patients[:, :, : len(ATTRIBUTES)] = drawn.attributes
        patients[:, :, kernel.GROUP] = drawn.group
        kernel.draw_luck_rows(self._rows, patients)
        kernel.write_observation_rows(
            self._state,
            np.ascontiguousarray(drawn.observed, dtype=np.float64),
            actions,
            self._k,
            self._shown,
            self._windows,
            since if self._since_seen else -1,
            self._previous_seen,
            time,
            observation,
        )

    def _doses(self, actions: NDArray[np.int64]) -> Floats:
        doses = np.empty((self.num_envs, self._k))
        kernel.effective_dose_rows(actions, self._cross, doses)
        return doses

    def _score(self, patients: Floats) -> Score:
        """Return the score of the cohort that was just treated."""
        k = self._k
        actions = patients[:, :, kernel.ACTION].astype(np.int64)
        visible = self._state[:, 3 * k : 4 * k].copy()
        delta = np.zeros_like(visible)
        if self.model.reward.needs_delta:
            delta = self.model.dynamics.delta(visible, self._doses(actions))
        infected, sensitive = self._infections(patients, self._state[:, 2 * k : 3 * k])
        return self.model.reward.score(
            TreatedCohort(
                actions=actions,
                attributes=patients[:, :, : len(ATTRIBUTES)].copy(),
                infected=infected,
                sensitive=sensitive,
                luck=patients[:, :, kernel.UNIFORMS + 1 + k :].copy(),
                visible_amr=visible,
                delta=delta,
            )
        )

    def _infections(
        self, patients: Floats, level: Floats
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return who is infected (E, P) and by what each could be cured (E, P, K).

        `level` is the true level (E, K) at which the cohort was drawn.
        """
        uniforms = patients[:, :, kernel.UNIFORMS :]
        infected = uniforms[:, :, 0] < patients[:, :, 0]
        sensitive = uniforms[:, :, 1 : 1 + self._k] < 1.0 - level[:, None, :]
        return infected, sensitive

    # ---------------------------------------------------------------------------- what can be read

    @property
    def time(self) -> int:
        """Steps made in the present episode; -1 before the first reset."""
        return self._time

    @property
    def observation(self) -> Floats32:
        """The latest observation, shape (E, D)."""
        return self._observation

    @property
    def true_amr(self) -> Floats:
        """The true levels now, shape (E, K)."""
        return self._state[:, self._k : 2 * self._k].copy()

    @property
    def visible_amr(self) -> Floats:
        """The visible levels now, shape (E, K)."""
        return self._state[:, 3 * self._k : 4 * self._k].copy()

    @property
    def cohort(self) -> Cohort:
        """The patients who wait for the next action."""
        if self._time < 0:
            raise InputError("cohort must be read after reset")
        infected, sensitive = self._infections(self._patients, self.true_amr)
        return Cohort(
            attributes=self._patients[:, :, : len(ATTRIBUTES)].copy(),
            group=self._patients[:, :, kernel.GROUP].astype(np.int64),
            infected=infected,
            sensitive=sensitive,
            uniforms=self._patients[:, :, kernel.UNIFORMS :].copy(),
        )

    @property
    def last_step(self) -> Mapping[str, Any]:
        """What happened in the step just made: arrays by name, built when first read.

        Per antibiotic, (E, K): true_amr, visible_amr, prescriptions, effective_doses,
        delta_visible_amr. Per environment, (E,): reward, individual, community, the counts
        benefits (recoveries included), failures, adverse_events, recoveries,
        treated_infected_sensitive, treated_infected_resistant, treated_not_infected,
        untreated_infected, untreated_not_infected.
        """
        if self._last_step is None:
            if self._time < 1:
                raise InputError("last_step must be read after a step")
            self._last_step = self._describe_last_step()
        return self._last_step

    def _describe_last_step(self) -> dict[str, Any]:
        k, patients = self._k, self._treated
        score = self._last_score or self._score(patients)
        actions = patients[:, :, kernel.ACTION].astype(np.int64)
        infected, sensitive = self._infections(patients, self._state[:, 2 * k : 3 * k])
        given = actions[:, :, None] == np.arange(k)
        treated = actions < k
        works = (given & sensitive).any(axis=2)
        doses, visible = self._doses(actions), self.visible_amr
        return {
            "true_amr": self.true_amr,
            "visible_amr": visible,
            "prescriptions": given.sum(axis=1),
            "effective_doses": doses,
            "delta_visible_amr": self.model.dynamics.delta(visible, doses),
            "benefits": score.benefits.sum(axis=1),
            "failures": score.failures.sum(axis=1),
            "adverse_events": score.adverse_events.sum(axis=1),
            "individual": score.individual,
            "community": score.community,
            "reward": score.reward.copy(),
            "treated_infected_sensitive": (infected & works).sum(axis=1),
            "treated_infected_resistant": (infected & treated & ~works).sum(axis=1),
            "treated_not_infected": (~infected & treated).sum(axis=1),
            "untreated_infected": (infected & ~treated).sum(axis=1),
            "untreated_not_infected": (~infected & ~treated).sum(axis=1),
            "recoveries": (score.benefits & ~treated).sum(axis=1),
        }

    # ------------------------------------------------------------------------------ going on later

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything needed to go on to the bit, as arrays of its own."""
        return {
            "rows": self._rows.copy(),
            "state": self._state.copy(),
            "patients": self._patients.copy(),
            "treated": self._treated.copy(),
            "dynamics_state": self._dynamics_state.copy(),
            "time": np.array(self._time),
            "observation": self._observation.copy(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state()` returned, of a clinic with the same model and batch."""
        for key, target in (
            ("rows", self._rows),
            ("state", self._state),
            ("patients", self._patients),
            ("treated", self._treated),
        ):
            if np.shape(state[key]) != target.shape:
                raise InputError(
                    f"state must come from the same model and batch: {key} has shape"
                    f" {np.shape(state[key])}, expected {target.shape}"
                )
            target[:] = state[key]
        self._dynamics_state = np.array(state["dynamics_state"])
        self._time = int(state["time"])
        self._observation = np.array(state["observation"])
        self._last_step = self._last_score = None


def treatment_names(antibiotics: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the K+1 actions, in order.

    >>> treatment_names(["A", "B"])
    ('A', 'B', 'no_treatment')
    """
    return (*antibiotics, "no_treatment")
