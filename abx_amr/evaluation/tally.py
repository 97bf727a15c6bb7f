"""What the episodes of several agents did: who was given what, at which level, risk and time.

Shapes: S agents, N episodes each, T steps, P patients, K antibiotics, L bands of the level,
R bands of the risk, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.patients import PADDING, PatientMixture

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Ends of the bands of an antibiotic's visible AMR level, finer where good prescribers keep it.
BANDS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
#: Ends of the bands of a patient's observed risk of infection.
RISKS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
#: Parts of an episode, of about equal length.
PARTS = 5
_RISK = "prob_infected"


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
        by_part: `treatments` in each part of the episodes, (S, PARTS, K + 1).
        came_at_risk: How many came in each band of risk, by each antibiotic's level, and last by
            the lowest of these, (S, K + 1, R, L); all 0 where the risk is not seen.
        given_at_risk: How many of these were given it, and last any, (S, K + 1, R, L).
        final_amr: Mean true level at the end of an episode, (S, K).
        steps: What has been taken in and not been counted: (risk * G + group) * (K + 1) +
            treatment of each patient, (S * N, P), and the visible levels, (S * N, K). Band R of
            the risk is that of patients who do not show it.
    """

    antibiotics: tuple[str, ...]
    groups: tuple[str, ...]
    treatments: Ints
    came: Ints
    given: Ints
    by_group: Ints
    by_part: Ints
    came_at_risk: Ints
    given_at_risk: Ints
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
            by_part=np.zeros((agents, PARTS, choices), np.int64),
            came_at_risk=np.zeros((agents, choices, len(RISKS) - 1, len(BANDS) - 1), np.int64),
            given_at_risk=np.zeros((agents, choices, len(RISKS) - 1, len(BANDS) - 1), np.int64),
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
            by_part=self.by_part[own],
            came_at_risk=self.came_at_risk[own],
            given_at_risk=self.given_at_risk[own],
            final_amr=self.final_amr[own],
        )

    def add(self, clinic: Clinic, actions: Ints) -> None:
        """Take in who is about to be given what; it is counted at the end.

        Args:
            clinic: Before the step, agent s in its environments s * N to (s + 1) * N.
            actions: Per patient the index of an antibiotic, or K for none, (S * N, P).
        """
        choices, groups = self.treatments.shape[1], max(1, len(self.groups))
        code = actions.astype(np.int16)
        if self.groups:
            code += (choices * clinic.cohort.group).astype(np.int16)
        code += (choices * groups * _risk_bands(clinic, code.shape)).astype(np.int16)
        self.steps.append((code, clinic.visible_amr))

    def end(self, clinic: Clinic) -> None:
        """Count what was taken in, and the levels at the end of all episodes."""
        agents, choices = self.treatments.shape
        groups, length = max(1, len(self.groups)), len(BANDS) - 1
        part = np.repeat(
            np.arange(len(self.steps)) * PARTS // max(1, len(self.steps)),
            clinic.num_envs // agents,
        )
        self.final_amr[...] = clinic.true_amr.reshape(agents, -1, choices - 1).mean(axis=1)
        # (S, T * N, P) and (S, T * N, K)
        code, seen = (
            np.concatenate([values.reshape(agents, -1, values.shape[1]) for values in part], axis=1)
            for part in zip(*self.steps, strict=True)
        )
        self.steps.clear()
        band = np.searchsorted(BANDS[1:-1], seen, side="right")
        for s in range(agents):
            risk, group = np.divmod(code[s] // choices, groups)
            treatment = code[s] % choices
            by_group = _counted(group * choices + treatment, (groups, choices))
            self.treatments[s] += by_group.sum(axis=0)
            self.by_group[s] += by_group[: len(self.groups)]
            self.by_part[s] += _counted(part[:, None] * choices + treatment, (PARTS, choices))
            lowest = band[s].min(axis=1)
            for k, at in enumerate([*band[s].T, lowest]):
                is_given = treatment == k if k < choices - 1 else treatment < k
                cell = risk.astype(np.int64) * length + at[:, None]
                came, given = (
                    _counted(cells, (len(RISKS), length)) for cells in (cell, cell[is_given])
                )
                if k < choices - 1:
                    self.came[s, k] += came.sum(axis=0)
                    self.given[s, k] += given.sum(axis=0)
                self.came_at_risk[s, k] += came[:-1]
                self.given_at_risk[s, k] += given[:-1]

    def as_record(self) -> dict[str, Any]:
        """Return the counts over all agents as a file keeps them.

        `given` and `none`: patients by what they got; `by_level`: the ends of the bands, and by
        antibiotic how many came and were given it in each; `by_group`: `given` and `none` of each;
        `by_part`: the same of each part of the episodes, in their order; `by_risk`: `ends` of the
        bands of the observed risk, `levels` of those of the level, and how many came and were
        given it by risk and level, for each antibiotic, and for any by the lowest level.
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
            "by_part": [self._treated(counts) for counts in self.by_part.sum(axis=0)],
            **({"by_risk": self._by_risk()} if self.came_at_risk.any() else {}),
        }

    def _by_risk(self) -> dict[str, Any]:
        *drugs, lowest = [
            {"patients": came.tolist(), "given": given.tolist()}
            for came, given in zip(
                self.came_at_risk.sum(axis=0), self.given_at_risk.sum(axis=0), strict=True
            )
        ]
        return {
            "ends": list(RISKS),
            "levels": list(BANDS),
            "antibiotics": dict(zip(self.antibiotics, drugs, strict=True)),
            "any": lowest,
        }

    def _treated(self, counts: Ints) -> dict[str, Any]:
        given = dict(zip(self.antibiotics, map(int, counts[:-1]), strict=True))
        return {"given": given, "none": int(counts[-1])}


def _risk_bands(clinic: Clinic, shape: tuple[int, ...]) -> Ints:
    """Return the band of each waiting patient's observed risk; R where it is not shown."""
    hidden = len(RISKS) - 1
    seen = clinic.layout.decode(clinic.observation).attributes.get(_RISK)
    if seen is None:
        return np.full(shape, hidden, np.int64)
    band = np.searchsorted(RISKS[1:-1], seen, side="right")
    return np.where(np.asarray(seen) == PADDING, hidden, band).astype(np.int64)


def _counted(cells: NDArray[np.integer[Any]], shape: tuple[int, int]) -> Ints:
    """Return how often each cell of a table occurs."""
    return np.bincount(cells.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
