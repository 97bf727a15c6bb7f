"""A manager and its options as one prescriber, to be evaluated like any other.

Shapes: E environments, P patients, D observation entries, F entries of the manager's observation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from abx_amr.hierarchy.library import OptionLibrary
from abx_amr.hierarchy.option_executor import OptionExecutor

Flags = NDArray[np.bool_]


class ChoosesOptions(Protocol):
    """What chooses: an agent of Stable-Baselines3, or anything with its `predict`."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        """Return options (E,) and the memory, from what the managers see, (E, F)."""
        ...


@dataclass
class Shift:
    """The memory of a hierarchical prescriber between two steps of E environments.

    Attributes:
        executor: The options at work.
        managers: The manager's own memory (an LSTM's), of all environments.
        time: Steps made in each episode, (E,).
        decisions: Of every decision environment, start, option and visible AMR, as arrays.
    """

    executor: OptionExecutor
    managers: Any
    time: NDArray[np.int64]
    decisions: list[dict[str, NDArray[Any]]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class HierarchicalPolicy:
    """Prescribes as the manager's options do; the manager decides where an option is over.

    Attributes:
        manager: What chooses.
        library: The options, with their clinic.
        shows_every_patient: Whether the manager sees every waiting patient.
    """

    manager: ChoosesOptions
    library: OptionLibrary
    shows_every_patient: bool = False

    def predict(
        self,
        observation: Any,
        state: Shift | None = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[np.int64], Shift]:
        """Return prescriptions (E, P) and the memory for the next call; (D,) in gives (P,) out.

        Args:
            observation: As the clinic gives it, shape (E, D) or (D,).
            state: What the previous call returned; None at first.
            episode_start: Whether an episode begins here, (E,); None: only without a state.
            deterministic: Whether the manager takes its likeliest option.
        """
        rows = np.asarray(observation, dtype=np.float32)
        single = rows.ndim == 1
        rows = rows[None] if single else rows
        count = len(rows)
        begins = np.zeros(count, dtype=bool)
        if episode_start is not None:
            begins[:] = episode_start
        if state is None:
            executor = OptionExecutor(
                self.library, count, shows_every_patient=self.shows_every_patient
            )
            state = Shift(executor=executor, managers=None, time=np.zeros(count, dtype=np.int64))
            begins[:] = True
        decides = begins.copy()
        going_on = np.flatnonzero(~begins)
        if len(going_on):
            state.time[going_on] += 1
            running = np.zeros(len(going_on), dtype=bool)
            decides[going_on] = state.executor.after(going_on, rows[going_on], running)
        if begins.any():
            started = np.flatnonzero(begins)
            state.time[started] = 0
            state.executor.reset(started, rows[started])
        if decides.any():
            self._decide(np.flatnonzero(decides), rows, begins, state, deterministic)
        actions = state.executor.prescribe(np.arange(count), rows)
        return (actions[0] if single else actions), state

    def _decide(
        self,
        which: NDArray[np.int64],
        rows: NDArray[np.float32],
        begins: Flags,
        state: Shift,
        deterministic: bool,
    ) -> None:
        """Let the managers of these environments choose."""
        count, chosen_rows = len(rows), rows[which]
        shown = state.executor.observe(which, chosen_rows)
        memory = _part_of_memory(state.managers, which)
        options, memory = self.manager.predict(
            shown, state=memory, episode_start=begins[which], deterministic=deterministic
        )
        state.managers = _with_part(state.managers, memory, which, count)
        options = np.asarray(options, dtype=np.int64).reshape(len(which))
        state.executor.select(which, options, chosen_rows)
        state.decisions.append(
            {
                "environment": which,
                "start": state.time[which],
                "option": options,
                "visible_amr": self.library.model.layout.decode(chosen_rows).visible_amr,
            }
        )

    @property
    def decision_names(self) -> tuple[str, ...]:
        """The names of the options, by index."""
        return self.library.names

    def decisions(self, state: Shift) -> dict[str, NDArray[Any]]:
        """Return the decisions of one whole episode per environment, column -> (M,).

        Columns: environment; decision, counted from 0; start, the steps made before it; duration,
        in steps, after cutting; option_clipped; option, its index; visible_amr, (M, K), at its
        start. Ordered by environment and start.
        """
        parts = state.decisions
        table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = np.lexsort((table["start"], table["environment"]))
        table = {name: values[order] for name, values in table.items()}
        environment, start = table["environment"], table["start"]
        is_last = np.append(environment[1:] != environment[:-1], True)
        is_first = np.insert(is_last[:-1], 0, True)
        horizon = self.library.model.max_time_steps
        end = np.where(is_last, horizon, np.append(start[1:], horizon))
        planned = np.array([option.duration for option in self.library])[table["option"]]
        first = np.maximum.accumulate(np.where(is_first, np.arange(len(start)), 0))
        return {
            "environment": environment,
            "decision": np.arange(len(start)) - first,
            "start": start,
            "duration": end - start,
            "option_clipped": is_last & np.isfinite(planned) & (end - start < planned),
            "option": table["option"],
            "visible_amr": table["visible_amr"],
        }


def _part_of_memory(memory: Any, which: NDArray[np.int64]) -> Any:
    """Return the memory of some environments: of arrays (layers, E, H) their part."""
    if memory is None:
        return None
    return tuple(layer[:, which] for layer in memory)


def _with_part(memory: Any, part: Any, which: NDArray[np.int64], count: int) -> Any:
    """Return the memory of all E environments with a part renewed."""
    if part is None:
        return None
    if memory is None:
        memory = tuple(np.zeros((p.shape[0], count, p.shape[2]), dtype=p.dtype) for p in part)
    for layer, renewed in zip(memory, part, strict=True):
        layer[:, which] = renewed
    return memory
