"""What the episodes of several agents did: who was given what, at which level, of which group.

Shapes: S agents, N episodes each, T steps, P patients, K antibiotics, L bands of the level,
G groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.patients import PatientMixture

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Ends of the bands of an antibiotic's visible AMR level, finer where good prescribers keep it.
BANDS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of patients, added to as agents play side by side.

    Attributes:
        antibiotics: Their names.
        groups: Names of the groups of patients; empty where there is one.
        treatments: How many patients got each antibiotic, and none, (S, K + 1).
        came: How many came while an antibiotic's visible level lay in a band, (S, K, L).
        given: How many of these were given it, (S, K, L).
        by_group: `treatments` of each group, (S, G, K + 1).
        final_amr: Mean true level at the end of an episode, (S, K).
        steps: What has been taken in and not been counted: group * (K + 1) + treatment of each
            patient, (S * N, P), and the visible levels, (S * N, K).
    """

    antibiotics: tuple[str, ...]
    groups: tuple[str, ...]
    treatments: Ints
    came: Ints
    given: Ints
    by_group: Ints
    final_amr: Floats
    steps: list[tuple[NDArray[np.int16], Floats]] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, model: ClinicModel, *, agents: int) -> Self:
        """Return one of a clinic in which nobody has played."""
        population = model.population
        groups = population.names if isinstance(population, PatientMixture) else ()
        count, choices = len(model.antibiotics), model.num_treatments
        return cls(
            antibiotics=tuple(model.antibiotics),
            groups=groups if len(groups) > 1 else (),
            treatments=np.zeros((agents, choices), np.int64),
            came=np.zeros((agents, count, len(BANDS) - 1), np.int64),
            given=np.zeros((agents, count, len(BANDS) - 1), np.int64),
            by_group=np.zeros((agents, len(groups) if len(groups) > 1 else 0, choices), np.int64),
            final_amr=np.zeros((agents, count)),
        )

    def agent(self, place: int) -> Self:
        """Return the counts of one agent; what is added to them is added to these."""
        own = slice(place, place + 1)
        return type(self)(
            antibiotics=self.antibiotics,
            groups=self.groups,
            treatments=self.treatments[own],
            came=self.came[own],
            given=self.given[own],
            by_group=self.by_group[own],
            final_amr=self.final_amr[own],
        )

    def add(self, clinic: Clinic, actions: Ints) -> None:
        """Take in who is about to be given what; it is counted at the end.

        Args:
            clinic: Before the step, agent s in its environments s * N to (s + 1) * N.
            actions: Per patient the index of an antibiotic, or K for none, (S * N, P).
        """
        code = actions.astype(np.int16)
        if self.groups:
            code += (self.treatments.shape[1] * clinic.cohort.group).astype(np.int16)
        self.steps.append((code, clinic.visible_amr))

    def end(self, clinic: Clinic) -> None:
        """Count what was taken in, and the levels at the end of all episodes."""
        agents, choices = self.treatments.shape
        self.final_amr[...] = clinic.true_amr.reshape(agents, -1, choices - 1).mean(axis=1)
        # (S, T * N, P) and (S, T * N, K)
        code, seen = (
            np.concatenate([values.reshape(agents, -1, values.shape[1]) for values in part], axis=1)
            for part in zip(*self.steps, strict=True)
        )
        self.steps.clear()
        band = np.searchsorted(BANDS[1:-1], seen, side="right")
        for s in range(agents):
            chosen = np.bincount(code[s].ravel(), minlength=max(1, len(self.groups)) * choices)
            by_group = chosen.reshape(-1, choices)
            self.treatments[s] += by_group.sum(axis=0)
            self.by_group[s] += by_group[: len(self.groups)]
            for k in range(choices - 1):
                given = (code[s] % choices == k).sum(axis=1)
                at = band[s, :, k]
                length = len(BANDS) - 1
                self.came[s, k] += code.shape[2] * np.bincount(at, minlength=length)
                self.given[s, k] += np.bincount(at, given, length).astype(np.int64)

    def as_record(self) -> dict[str, Any]:
        """Return the counts over all agents as a file keeps them.

        `given` and `none`: patients by what they got; `by_level`: the ends of the bands, and by
        antibiotic how many came and were given it in each; `by_group`: `given` and `none` of each.
        """
        return {
            **self._treated(self.treatments.sum(axis=0)),
            "by_level": {
                "ends": list(BANDS),
                "antibiotics": {
                    name: {
                        "patients": self.came[:, k].sum(axis=0).tolist(),
                        "given": self.given[:, k].sum(axis=0).tolist(),
                    }
                    for k, name in enumerate(self.antibiotics)
                },
            },
            "by_group": {
                name: self._treated(self.by_group[:, g].sum(axis=0))
                for g, name in enumerate(self.groups)
            },
        }

    def _treated(self, counts: Ints) -> dict[str, Any]:
        given = dict(zip(self.antibiotics, map(int, counts[:-1]), strict=True))
        return {"given": given, "none": int(counts[-1])}
