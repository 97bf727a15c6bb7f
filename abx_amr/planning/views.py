"""A clinic as the planner takes it up: on the exact lattice where that holds, else by sampling."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from abx_amr.planning.certificate import certify
from abx_amr.planning.kept_values import KeptValues, default_folder
from abx_amr.planning.lattice import counts, highest_pressure
from abx_amr.planning.problem import LATE, NotComputable, Posed, pose
from abx_amr.planning.programme import fits
from abx_amr.planning.progress import OnProgress
from abx_amr.planning.sampled import (
    MOST_ANTIBIOTICS,
    SampledClinic,
    Values,
    sampled_clinic,
)
from abx_amr.simulator.model import ClinicModel

_VALUES: dict[str, Values] = {}  # the last ones: large, and often asked for twice


@dataclass(frozen=True, kw_only=True)
class SampledView(Posed):
    """A clinic that the exact lattice does not hold.

    Attributes:
        clinic: For the sampled programme; `problem` is its laws of pressure.
    """

    clinic: SampledClinic

    @property
    def is_homogeneous(self) -> bool:
        """Whether all patients look alike."""
        return self.clinic.is_homogeneous

    @property
    def fingerprint(self) -> str:
        """The name of everything the bounds depend on."""
        said = repr((self.clinic.problem.fingerprint, self.clinic.beliefs))
        return hashlib.sha256(said.encode()).hexdigest()[:20]


def view(model: ClinicModel, *, hide_patients: bool = False) -> Posed:
    """Return how the optimum of a clinic is to be computed.

    Args:
        model: The clinic.
        hide_patients: Plan as if nothing were seen of the patients.

    Raises:
        NotComputable: A part is not one of the shipped ones, or there are more antibiotics than
            both ways take.
    """
    try:
        posed = pose(model, hide_patients=hide_patients)
        if _is_exact(posed):
            return posed
    except NotComputable:
        posed = None
    return sampled_view(model, hide_patients=hide_patients)


def sampled_view(model: ClinicModel, *, hide_patients: bool = False) -> SampledView:
    """Return a clinic for the sampled programme.

    Raises:
        NotComputable: A part is not one of the shipped ones.
    """
    clinic = sampled_clinic(model, hide_patients=hide_patients)
    problem = clinic.problem
    return SampledView(
        problem=problem,
        caveats=() if problem.sees_amr else (LATE,),
        is_predictable=clinic.is_homogeneous and problem.visible_noise == 0,
        clinic=clinic,
    )


def weighed(posed: Posed, lambda_weight: float) -> Posed:
    """Return the same clinic with another weight of the community's part."""
    problem = replace(posed.problem, lambda_weight=lambda_weight)
    if isinstance(posed, SampledView):
        clinic = replace(posed.clinic, problem=problem)
        return replace(posed, problem=problem, clinic=clinic)
    return replace(posed, problem=problem)


def _is_exact(posed: Posed) -> bool:
    """Return whether the lattice holds every pressure and every patient as it is."""
    problem = posed.problem
    if len(problem.antibiotics) > MOST_ANTIBIOTICS:
        return False
    if problem.epsilon > 0 and not problem.sees_amr:
        return False
    if not fits(problem):
        return False
    if problem.is_homogeneous and problem.epsilon == 0:
        return True
    choices = counts(problem.num_patients, len(problem.antibiotics))
    return not any(
        highest_pressure(problem, choices, j)[1] for j in range(len(problem.antibiotics))
    )


def remember(posed: SampledView, values: Values) -> None:
    """Keep the values of a clinic in memory, for who plays its policy next."""
    _VALUES.clear()
    _VALUES[posed.fingerprint] = values


def values_of(
    posed: SampledView,
    on_progress: OnProgress | None = None,
    *,
    folder: Path | str | None = None,
) -> Values:
    """Return the values of a clinic, the last ones from memory, others from disk if they are there.

    Args:
        posed: The clinic.
        on_progress: Told how far they are computed.
        folder: Of kept results; None: FOLDER of the project, else of the working folder.
    """
    name = posed.fingerprint
    if name not in _VALUES:
        kept = KeptValues(default_folder() if folder is None else Path(folder))
        values = kept.read(name, posed.clinic)
        if values is None:
            values = certify(posed.clinic, on_progress=on_progress).values
            kept.write(name, values)
        remember(posed, values)
    return _VALUES[name]
