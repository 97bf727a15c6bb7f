"""The clinic: a model put together from its parts, and a batch of clinics in lockstep.

Shapes: E environments, P patients, K antibiotics, D observation entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abx_amr.errors import InputError
from abx_amr.simulator.components import ComponentSteps, infections
from abx_amr.simulator.description import described
from abx_amr.simulator.kernel import layout
from abx_amr.simulator.kernel.doses import first_invalid_action
from abx_amr.simulator.kernel.layout import Batch, cohort_views, new_batch, pack
from abx_amr.simulator.kernel.observation import forget_changes, see_levels
from abx_amr.simulator.kernel.step import begin_episodes, reset_clinic, step_clinic, take_step
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.tables import clinic_tables

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Streams = NDArray[np.uint64]
_INT64 = np.dtype(np.int64)  # one object: `is` is the quick comparison


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
        self.num_envs = len(rows)
        p, k = model.num_patients_per_time_step, len(model.antibiotics)
        self._action_shape = (self.num_envs, p)
        self._observation_shape = (self.num_envs, self.layout.size)
        self._k = k
        self._max_time_steps = model.max_time_steps
        self._tables, is_shipped = clinic_tables(model)
        if fused and not is_shipped:
            raise InputError("fused must not be true: a component is not one of the shipped ones")
        self._fused = is_shipped if fused is None else fused
        self._packed = pack(self._tables)
        batch = _new_batch(rows, self.num_envs, p, k, self._tables.windows)
        self._batch = batch
        self._next_batch = Batch(batch.rows, batch.state, batch.treated, batch.waiting)
        self._components = ComponentSteps(model, self.num_envs)
        self._time = -1
        self._last_step: Mapping[str, Any] | None = None
        self._observation: Floats32 = np.zeros(self._observation_shape, np.float32)

    # ------------------------------------------------------------------------------- the episode

    def reset(self, streams: Streams | None = None) -> Floats32:
        """Start an episode everywhere and return the observation, shape (E, D).

        Args:
            streams: New streams, shape (E, 4); None: the present ones go on.
        """
        rows = self._batch.rows
        if streams is not None:
            if np.shape(streams) != rows.shape:
                raise InputError(f"streams must have shape {rows.shape}, got {np.shape(streams)}")
            rows[:] = streams
        self._time = 0
        self._last_step = self._components.last_score = None
        observation = np.empty(self._observation_shape, np.float32)
        if self._fused:
            reset_clinic(*self._batch, *self._packed, observation)
        else:
            _begin_episodes(self._components, self._batch, self._tables, observation)
        self._observation = observation
        return observation

    def expose(self, doses: NDArray[np.int64]) -> Floats32:
        """Let courses of doses precede an episode that has just begun; return what is seen first.

        Antibiotic k was given once in each of the last doses[e, k] steps before it, without what
        reaches the others; an environment without a course stays at the clinic's initial levels.
        The levels are reported anew; of past prescriptions nothing is seen.

        Args:
            doses: Lengths of the courses >= 0, shape (E, K).
        """
        if self._time != 0:
            raise InputError("expose must follow reset: the episode has begun")
        state, dynamics = self._batch.state, self.model.dynamics
        held = (
            state[:, layout.PRESSURE].copy() if self._fused else self._components.resistance_state
        )
        for left in range(int(doses.max(initial=0)), 0, -1):
            given = doses >= left
            is_treated = given.any(axis=1)
            held[is_treated] = dynamics.step(held, given.astype(np.float64))[is_treated]
        if self._fused:
            state[:, layout.PRESSURE] = held
        else:
            self._components.resistance_state = held
        state[:, layout.LEVEL] = dynamics.level(held)
        see_levels(self._batch.rows, state, True, self._tables.numbers)
        forget_changes(state)
        observation = self._observation.copy()
        observation[:, self.layout.parts.visible_amr] = state[:, layout.VISIBLE]
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
        observation = np.empty(self._observation_shape, np.float32)
        reward = np.empty(self.num_envs)
        batch = self._batch
        if self._fused:
            rows, state, waiting, treated = batch
            floats, whole = self._packed
            invalid = step_clinic.now(
                rows, state, waiting, treated, floats, whole, actions, time, observation, reward
            )
        else:
            invalid = first_invalid_action(actions, self._k)
        if invalid >= 0:
            raise self._invalid_action(actions, invalid)
        if not self._fused:
            _take_step(self._components, batch, self._tables, actions, time, observation, reward)
        self._batch, self._next_batch = self._next_batch, batch
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

    # ---------------------------------------------------------------------------- what can be read

    def record(self, state: Floats, patients: Floats) -> None:
        """Write what a step left, for `description`: state (E, R, K), patients (E, P, 8 + K+4)."""
        state[:], patients[:] = self._batch.state, self._batch.treated

    @property
    def recorded_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of what `record` writes."""
        return self._batch.state.shape, self._batch.treated.shape

    @property
    def compiled_parts(self) -> tuple[Batch, Floats, NDArray[np.int64]] | None:
        """What compiled episodes advance in place, and the clinic's packed tables.

        None where a component is not one of the shipped ones: its step is not compiled.
        """
        return (self._batch, *self._packed) if self._fused else None

    def take_in(self, time: int, observation: Floats32) -> None:
        """Go on from where compiled episodes left `compiled_parts`, after so many steps in all."""
        if (time - self._time) % 2:
            self._batch, self._next_batch = self._next_batch, self._batch
        self._time = time
        self._last_step = None
        self._observation = observation

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
        return self._batch.state[:, layout.LEVEL].copy()

    @property
    def visible_amr(self) -> Floats:
        """The visible levels now, shape (E, K)."""
        return self._batch.state[:, layout.VISIBLE].copy()

    @property
    def cohort(self) -> Cohort:
        """The patients who wait for the next action."""
        if self._time < 0:
            raise InputError("cohort must be read after reset")
        patients = self._batch.waiting
        columns = cohort_views(patients)
        infected, sensitive = infections(patients, self.true_amr)
        return Cohort(
            attributes=columns.attributes.copy(),
            group=columns.group.astype(np.int64),
            infected=infected,
            sensitive=sensitive,
            uniforms=columns.uniforms.copy(),
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
            self._last_step = described(
                self.model,
                self._batch.state,
                self._batch.treated,
                score=self._components.last_score,
            )
        return self._last_step

    # ------------------------------------------------------------------------------ going on later

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything needed to go on to the bit, as arrays of its own."""
        return {
            "rows": self._batch.rows.copy(),
            "state": self._batch.state.copy(),
            "patients": self._batch.waiting.copy(),
            "treated": self._batch.treated.copy(),
            "dynamics_state": self._components.resistance_state.copy(),
            "time": np.array(self._time),
            "observation": self._observation.copy(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state()` returned, of a clinic with the same model and batch."""
        batch = self._batch
        held = state["state"]
        if np.ndim(held) == 2:
            held = layout.read_flat_state(held, batch.state.shape, len(self._tables.windows))
        for key, target, values in (
            ("rows", batch.rows, state["rows"]),
            ("state", batch.state, held),
            ("patients", batch.waiting, state["patients"]),
            ("treated", batch.treated, state["treated"]),
        ):
            if np.shape(values) != target.shape:
                raise InputError(
                    f"state must come from the same model and batch: {key} has shape"
                    f" {np.shape(values)}, expected {target.shape}"
                )
            target[:] = values
        self._components.resistance_state = np.array(state["dynamics_state"])
        self._components.last_score = None
        self._time = int(state["time"])
        self._observation = np.array(state["observation"])
        self._last_step = None


_begin_episodes = begin_episodes.py_func
_take_step = take_step.py_func
_new_batch = new_batch.py_func
