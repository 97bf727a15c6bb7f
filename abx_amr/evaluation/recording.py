"""What is recorded of episodes while they are played, and the tables that are made of it.

A policy that plays many steps at once fills the same recording as one that is asked at each.

Shapes: E environments, T steps, P patients, K antibiotics, R rows of a state, D observation
entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.components import infections
from abx_amr.simulator.description import ANSWERS, COUNTS, EFFECTS, SCORES, effects, outcomes
from abx_amr.simulator.kernel import layout
from abx_amr.simulator.kernel.layout import cohort_views
from abx_amr.simulator.model import ClinicModel

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Recording:
    """T steps of E environments.

    Attributes:
        observations: What was seen before each step, (T, E, D).
        state: The state after it, (T, E, R, K).
        patients: Whom it treated, (T, E, P, 8 + K+4).
    """

    observations: NDArray[np.float32]
    state: Floats
    patients: Floats

    @classmethod
    def of(cls, clinic: Clinic, steps: int) -> Recording:
        """Return room for so many steps of a clinic."""
        state, patients = clinic.recorded_shapes
        return cls(
            observations=np.empty((steps, *clinic.observation.shape), np.float32),
            state=np.empty((steps, *state)),
            patients=np.empty((steps, *patients)),
        )


class Player(Protocol):
    """A policy at work in one batch of episodes, many steps at a time."""

    def play(self, clinic: Clinic, recording: Recording) -> None:
        """Make the next T steps in the clinic and record them."""
        ...


@runtime_checkable
class PlaysAlone(Protocol):
    """A policy that can play the likeliest actions of whole episodes without being asked."""

    def player(self, clinic: Clinic) -> Player | None:
        """Return the policy at the start of episodes; None where it must be asked in this clinic.

        It does what `predict` does with deterministic=True, to the bit.
        """
        ...


class Steps(Mapping[str, NDArray[Any]]):
    """What steps were, name -> (T, N) or (T, N, K); the effects of doses are computed when read."""

    def __init__(self, model: ClinicModel, known: Mapping[str, NDArray[Any]]) -> None:
        self._model = model
        self._known = dict(known)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return the values of one name."""
        if name not in self._known and name in EFFECTS:
            given, seen = self._known["prescriptions"], self._known["visible_amr"]
            self._known.update(effects(self._model, given, seen))
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter((*SCORES, *COUNTS, *ANSWERS, *EFFECTS))

    def __len__(self) -> int:
        """Return how many names there are."""
        return len(SCORES) + len(COUNTS) + len(ANSWERS) + len(EFFECTS)


def described(model: ClinicModel, recording: Recording) -> Columns:
    """Return `simulator.description.outcomes` of recorded steps, name -> (T, E) or (T, E, K)."""
    steps, num_envs = recording.state.shape[:2]
    found = outcomes(
        model,
        recording.state.reshape(steps * num_envs, *recording.state.shape[2:]),
        recording.patients.reshape(steps * num_envs, *recording.patients.shape[2:]),
    )
    return {name: v.reshape(steps, num_envs, *v.shape[1:]) for name, v in found.items()}


def cohorts(model: ClinicModel, recording: Recording) -> Columns:
    """Return the patients of recorded steps, name -> (T, E, P, ...): who came and what they got."""
    columns = cohort_views(recording.patients)
    infected, sensitive = (
        np.stack(values)
        for values in zip(
            *(
                infections(patients, state[:, layout.BEFORE])
                for patients, state in zip(recording.patients, recording.state, strict=True)
            ),
            strict=True,
        )
    )
    steps, num_envs = recording.observations.shape[:2]
    seen = model.layout.decode(recording.observations.reshape(steps * num_envs, -1)).attributes
    return {
        "actions": columns.action.astype(np.int64),
        "attributes": columns.attributes.copy(),
        "group": columns.group.astype(np.int64),
        "infected": infected,
        "sensitive": sensitive,
        "uniforms": columns.uniforms.copy(),
        **{f"observed_{name}": v.reshape(steps, num_envs, -1).copy() for name, v in seen.items()},
    }


def totals(numbers: Sequence[int], steps: Columns, antibiotics: Sequence[str]) -> Columns:
    """Return the table of whole episodes, column -> (E,), from `described` of all their steps."""
    of_episodes = {
        name: np.ascontiguousarray(np.swapaxes(steps[name], 0, 1)) for name in (*SCORES, *COUNTS)
    }
    columns: Columns = {
        "episode": np.array(numbers, dtype=np.int64),
        "episode_return": of_episodes["reward"].sum(axis=1),
        "individual_return": of_episodes["individual"].sum(axis=1),
        "community_return": of_episodes["community"].sum(axis=1),
    }
    for name in COUNTS:
        columns[name] = of_episodes[name].sum(axis=1)
    for k, antibiotic in enumerate(antibiotics):
        true_amr, visible_amr = (
            np.ascontiguousarray(steps[name][:, :, k].T) for name in ("true_amr", "visible_amr")
        )
        columns[f"prescriptions_{antibiotic}"] = steps["prescriptions"][:, :, k].sum(axis=0)
        columns[f"mean_true_amr_{antibiotic}"] = true_amr.mean(axis=1)
        columns[f"mean_visible_amr_{antibiotic}"] = visible_amr.mean(axis=1)
        columns[f"final_true_amr_{antibiotic}"] = true_amr[:, -1].copy()
    return columns


def joined(parts: Sequence[Columns], *, axis: int) -> Columns:
    """Return columns laid one after the other."""
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts], axis=axis) for name in parts[0]}
