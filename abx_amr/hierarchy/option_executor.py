"""Options at work in E environments, each environment inside an option of its own.

One engine for training (environments at different steps) and for evaluation (in lockstep), so that
an option is carried out and seen by the manager in one way only.

Shapes: E environments, N of them, P patients, K antibiotics, D observation entries, F entries of
the manager's observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.hierarchy.library import OptionLibrary
from abx_amr.hierarchy.options import Actions, Flags, Floats, Floats32, Option, Seen
from abx_amr.hierarchy.view import ManagerLayout, ManagerView, Which


class OptionExecutor:
    """Carries out options: reset -> (select -> (prescribe -> after)* )*."""

    def __init__(
        self, library: OptionLibrary, num_envs: int, *, shows_every_patient: bool = False
    ) -> None:
        """Prepare E environments; `reset` starts their episodes."""
        self.library = library
        self._decode = library.model.layout.decode
        self.layout = manager_layout(library, shows_every_patient=shows_every_patient)
        self.view = ManagerView(self.layout, num_envs)
        self.option: Which = np.full(num_envs, -1, dtype=np.int64)
        self.step: NDArray[np.int64] = np.zeros(num_envs, dtype=np.int64)
        self._durations: Floats = np.array([option.duration for option in library], dtype=float)
        # Of each team; an option that keeps something is a team of its own.
        self._memories: list[Floats] = [np.zeros((num_envs, m)) for m in library.memory_sizes]
        self._may_terminate = [
            type(o).should_terminate is not Option.should_terminate for o in library
        ]

    def reset(self, which: Which, observation: Floats32) -> None:
        """Start an episode in these environments (N,), whose observations are (N, D)."""
        self.option[which] = -1
        self.step[which] = 0
        self.view.reset(which, observation)

    def select(self, which: Which, options: Which, observation: Floats32) -> None:
        """Begin the options (N,) that the managers chose."""
        self.option[which] = options
        self.step[which] = 0
        self.view.select(which, options, observation)
        for o, members in _apart(options):
            team = self.library.team[o]
            memory = np.zeros((len(members), self._memories[team].shape[1]))
            self.library[o].reset(memory)
            self._memories[team][which[members]] = memory

    def prescribe(self, which: Which, observation: Floats32) -> Actions:
        """Return what the options prescribe for the waiting cohorts, (N, P), and take it in."""
        decoded = self._decode(observation)
        option = self.option[which]
        groups = _apart(self.library.team[option])
        actions: Actions = np.empty((len(which), self.layout.clinic.num_patients), dtype=np.int64)
        for team, members in groups:
            envs = which[members]
            memory = self._memories[team][envs]
            seen = self._seen(decoded, members, envs, memory, alone=len(groups) == 1)
            actions[members] = self.library.decide(team, option[members], seen)
            self._memories[team][envs] = memory
        self.view.treat(which, observation, actions)
        return actions

    def after(self, which: Which, observation: Floats32, truncated: Flags) -> Flags:
        """Return where the option is over after the step just made, (N,).

        The end of the episode comes first, then the option's duration, then its own wish.
        """
        self.step[which] += 1
        option = self.option[which]
        ended = truncated | (self.step[which] >= self._durations[option])
        if not ended.all() and any(self._may_terminate):
            decoded = self._decode(observation)
            for o, members in _apart(option):
                members = members[~ended[members]]
                if not self._may_terminate[o] or not len(members):
                    continue
                envs = which[members]
                kept = self._memories[self.library.team[o]]
                memory = kept[envs]
                wishes = self.library[o].should_terminate(
                    self._seen(decoded, members, envs, memory, alone=False)
                )
                kept[envs] = memory
                if wishes is not None:
                    ended[members] = wishes
        return ended

    def is_clipped(self, which: Which, truncated: Flags) -> Flags:
        """Return where the end of the episode cut the option short, (N,).

        An option without a duration lasts until the episode ends: it is not cut.
        """
        duration = self._durations[self.option[which]]
        return truncated & np.isfinite(duration) & (self.step[which] < duration)

    def observe(self, which: Which, observation: Floats32) -> Floats32:
        """Return what the managers of these environments see, (N, F)."""
        return self.view.observe(which, observation)

    def _seen(
        self, decoded: Any, members: Which, envs: Which, memory: Floats, *, alone: bool
    ) -> Seen:
        if alone:
            attributes: Mapping[str, Floats32] = decoded.attributes
            visible_amr = decoded.visible_amr
        else:
            attributes = {name: rows[members] for name, rows in decoded.attributes.items()}
            visible_amr = decoded.visible_amr[members]
        return Seen(
            attributes=attributes, visible_amr=visible_amr, step=self.step[envs], memory=memory
        )


def manager_layout(library: OptionLibrary, *, shows_every_patient: bool) -> ManagerLayout:
    """Return the layout of what the manager of this library sees."""
    return ManagerLayout(
        clinic=library.model.layout,
        options=library.names,
        shows_every_patient=shows_every_patient,
    )


def _apart(labels: Which) -> list[tuple[int, Which]]:
    """Return label -> positions that have it, by label.

    >>> [(o, m.tolist()) for o, m in _apart(np.array([3, 1, 3]))]
    [(1, [1]), (3, [0, 2])]
    """
    return [(o, np.flatnonzero(labels == o)) for o in sorted(set(labels.tolist()))]
