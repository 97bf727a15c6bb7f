"""What was computed of a clinic, kept by its fingerprint: never computed twice.

<folder>/<fingerprint>.json     optimum and, by discount factor, what a perfect learner does
<folder>/values/                what its policy goes by, where patients are sampled (kept_values)
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abx_amr.errors import InputError, counted, first_line
from abx_amr.host import atomic_files
from abx_amr.host.plain_files import read_json
from abx_amr.planning import discounted
from abx_amr.planning.allocations import number_of_allocations
from abx_amr.planning.certificate import TOLERANCE, expected_seconds, first_grid
from abx_amr.planning.kept_values import KeptValues, default_folder
from abx_amr.planning.lattice import counts, highest_pressure, natural_spacing
from abx_amr.planning.optimum import Optimum, optimum
from abx_amr.planning.play import never
from abx_amr.planning.problem import NotComputable, Posed
from abx_amr.planning.programme import Programme, size_of_work
from abx_amr.planning.progress import OnProgress, counting, within
from abx_amr.planning.sampled import MOST_ANTIBIOTICS
from abx_amr.planning.stationary import Audit, Stationary, stationary
from abx_amr.planning.views import SampledView, sampled_view, values_of, view
from abx_amr.simulator.model import ClinicModel

log = logging.getLogger(__name__)

#: Raised when what is kept would come out otherwise.
VERSION = 1
QUICK_SECONDS = 2.0
QUICK_WORK = 1.5e9  # updates of the dynamic programme in two seconds, on one slow core
_QUICK_AUDIT_CELLS = 3_000


@dataclass(frozen=True)
class PlanCache:
    """The folder of kept results."""

    folder: Path

    def file(self, posed: Posed) -> Path:
        """Return where a clinic's results lie."""
        text: tuple[Any, ...] = (
            VERSION,
            posed.problem.fingerprint,
            posed.caveats,
        )
        if isinstance(posed, SampledView):
            text = (*text, posed.fingerprint)
        return self.folder / f"{hashlib.sha256(repr(text).encode()).hexdigest()[:20]}.json"

    def _read(self, posed: Posed) -> dict[str, Any]:
        file = self.file(posed)
        if not file.is_file():
            return {}
        try:
            kept = read_json(file)
            _parsed(kept)
        except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("%s is damaged (%s): it is computed again", file, first_line(error))
            return {}
        return kept

    def _add(self, posed: Posed, key: str, value: Any) -> None:
        with contextlib.suppress(OSError):  # it can be computed again
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_files.write_json(self.file(posed), {**self._read(posed), key: value})

    def known(self, posed: Posed) -> Optimum | None:
        """Return the optimum if it was computed before."""
        return _parsed(self._read(posed))

    def optimum(
        self,
        posed: Posed,
        *,
        tolerance: float = TOLERANCE,
        say: Callable[[str], None] = lambda line: None,
        on_progress: OnProgress | None = None,
        on_round: Callable[[Optimum], None] = lambda found: None,
    ) -> Optimum:
        """Return the optimum, computed where it is not kept or not as close as asked.

        Bounds are kept as soon as they are known: what an interrupted command found is not lost.

        Raises:
            NotComputable: It cannot be computed.
        """
        known = self.known(posed)
        if known is not None and _suffices(posed, known, tolerance):
            return known

        def keep(found: Optimum) -> None:
            if known is None or found.upper - found.lower < known.upper - known.lower:
                self.keep(posed, found)
            on_round(found)

        found = optimum(posed, tolerance=tolerance, say=say, on_progress=on_progress, on_round=keep)
        if known is not None and known.upper - known.lower <= found.upper - found.lower:
            return known
        self.keep(posed, found)
        if isinstance(posed, SampledView) and len(posed.problem.antibiotics) <= MOST_ANTIBIOTICS:
            KeptValues(self.folder).write(posed.fingerprint, values_of(posed))
        return found

    def keep(self, posed: Posed, found: Optimum) -> None:
        """Keep a computed optimum."""
        self._add(posed, "optimum", asdict(found))

    def audit(
        self,
        posed: Posed,
        found: Optimum,
        *,
        gammas: Sequence[float],
        gamma: float | None,
        say: Callable[[str], None] = lambda line: None,
        on_progress: OnProgress | None = None,
    ) -> Audit:
        """Return what discount factors imply, those computed that are not kept.

        Each is kept as soon as it is known: an interrupted audit goes on where it stood.

        Raises:
            NotComputable: The lattice is too large.
        """
        asked = sorted({*gammas} | ({gamma} if gamma is not None and 0 < gamma < 1 else set()))
        kept = self._stationary_kept(posed)
        missing = [one for one in asked if one not in kept]
        if missing:
            compute = _stationary_of(posed, missing, say)
            named = [
                (f"discount audit: factor {n} of {len(missing)}, gamma {one:g}", one)
                for n, one in enumerate(missing, start=1)
            ]
            for name, one in counting(on_progress, "discount audit: factor", named):
                kept[one] = asdict(compute(one, within(on_progress, name)))
                self._keep_stationary(posed, kept)
        rows = tuple(Stationary(**kept[one]) for one in asked)
        return Audit(
            rows=rows,
            never=never(posed.problem),
            optimum=found.value,
            sustained=max(row.episode_return for row in rows),
            gamma=gamma,
        )

    def is_audited(self, posed: Posed, gammas: Sequence[float]) -> bool:
        """Return whether all these discount factors are kept."""
        kept = self._stationary_kept(posed)
        return all(float(one) in kept for one in gammas)

    def stationary_returns(self, posed: Posed) -> dict[float, float]:
        """Return discount factor -> return of its best stationary policy, those that are kept."""
        return {k: float(v["episode_return"]) for k, v in self._stationary_kept(posed).items()}

    def stationary(self, posed: Posed, gamma: float) -> Stationary:
        """Return the best stationary policy of a discount factor, computed where it is not kept.

        Raises:
            NotComputable: The lattice is too large.
        """
        kept = self._stationary_kept(posed)
        if gamma not in kept:
            found = _stationary_of(posed, [gamma], lambda line: None)(gamma, None)
            kept[gamma] = asdict(found)
            self._keep_stationary(posed, kept)
        return Stationary(**kept[gamma])

    def _stationary_kept(self, posed: Posed) -> dict[float, dict[str, Any]]:
        return {float(k): v for k, v in self._read(posed).get("stationary", {}).items()}

    def _keep_stationary(self, posed: Posed, rows: Mapping[float, Mapping[str, Any]]) -> None:
        self._add(posed, "stationary", {repr(k): v for k, v in rows.items()})

    def episode_discount(self, posed: Posed, gamma: float) -> float | None:
        """Return what is kept of an agent that sees the time and discounts, see `value_at`."""
        kept = self._read(posed).get("episode_discount", {}).get(repr(float(gamma)))
        return None if kept is None else float(kept)

    def keep_episode_discount(self, posed: Posed, gamma: float, value: float) -> None:
        """Keep it."""
        kept = self._read(posed).get("episode_discount", {})
        self._add(posed, "episode_discount", {**kept, repr(float(gamma)): value})

    def tuned_rules(self, posed: Posed) -> dict[str, Any] | None:
        """Return the rules that were tuned for a clinic, None where none were."""
        kept = self._read(posed).get("tuned_rules")
        return kept if isinstance(kept, dict) else None

    def keep_tuned_rules(self, posed: Posed, rules: Mapping[str, Any]) -> None:
        """Keep them."""
        self._add(posed, "tuned_rules", dict(rules))


def _parsed(kept: Mapping[str, Any]) -> Optimum | None:
    """Return the optimum that is kept, None where none is; all else that is kept is well-formed.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it was not written here.
    """
    for gamma, row in kept.get("stationary", {}).items():
        float(gamma), float(Stationary(**row).episode_return)
    for value in kept.get("episode_discount", {}).values():
        float(value)
    for rules in kept.get("tuned_rules", {}).values():
        for rule in rules:
            str(rule["name"]), dict(rule["parameters"]), float(rule["value"])
    found = kept.get("optimum")
    if found is None:
        return None
    given = found["given"]
    optimum = Optimum(
        **{
            **found,
            "caveats": tuple(found["caveats"]),
            "given": None if given is None else np.array(given, dtype=np.int64),
        }
    )
    float(optimum.lower), float(optimum.upper)
    return optimum


def _stationary_of(
    posed: Posed, gammas: Sequence[float], say: Callable[[str], None]
) -> Callable[[float, OnProgress | None], Stationary]:
    """Return what computes a discount factor's policy; say beforehand what all of them take."""
    named = f"discount audit: {counted(len(gammas), 'discount factor')}"
    if isinstance(posed, SampledView):
        clinic = posed.clinic
        seconds = sum(discounted.expected_seconds(clinic, one) for one in gammas)
        say(f"{named}, about {seconds:.0f} s of a processor; each is kept when it is known")
        return lambda gamma, told: discounted.sampled_stationary(clinic, gamma, on_progress=told)
    programme = Programme(posed.problem)
    if programme.cells > _QUICK_AUDIT_CELLS:
        say(f"{named} on {programme.cells} cells; each is kept when it is known")
    return lambda gamma, told: stationary(programme, gamma, on_progress=told)


def _suffices(posed: Posed, known: Optimum, tolerance: float) -> bool:
    """Return whether what is kept is as close as asked, or as close as it gets."""
    if not isinstance(posed, SampledView) or known.shortfall:
        return True
    span = known.upper - never(posed.problem)
    return known.upper - known.lower <= tolerance * span * (1 + 1e-9)


def is_quick(posed: Posed) -> bool:
    """Return whether the optimum takes less than about two seconds."""
    if isinstance(posed, SampledView):
        few = len(posed.problem.antibiotics) <= MOST_ANTIBIOTICS
        return few and expected_seconds(first_grid(posed.clinic)) <= QUICK_SECONDS
    problem = posed.problem
    if len(problem.antibiotics) > 2 or number_of_allocations(problem) > 500:
        return False
    return expected_seconds_of_exact(posed) <= QUICK_SECONDS


def expected_seconds_of_exact(posed: Posed) -> float:
    """Return about how many processor seconds the exact lattice takes."""
    problem = posed.problem
    choices = len(counts(problem.num_patients, len(problem.antibiotics)))
    work = size_of_work(problem, _cells(posed), choices, number_of_allocations(problem))
    return QUICK_SECONDS * work / QUICK_WORK


def quick_view(model: ClinicModel, posed: Posed) -> Posed | None:
    """Return the clinic as it is solved in about two seconds: exactly, by sampling, or not at all.

    Args:
        model: The clinic.
        posed: As `view` returns it.
    """
    if is_quick(posed):
        return posed
    if isinstance(posed, SampledView) or len(model.antibiotics) > MOST_ANTIBIOTICS:
        return None
    sampled = sampled_view(model)
    return sampled if is_quick(sampled) else None


def audits_quickly(posed: Posed) -> bool:
    """Return whether optimum and audit take less than about two seconds."""
    if isinstance(posed, SampledView):
        return False
    small = len(posed.problem.antibiotics) == 1 and _cells(posed) <= _QUICK_AUDIT_CELLS
    return small and posed.problem.is_homogeneous and is_quick(posed)


def _cells(posed: Posed) -> int:
    """Return the cells of the exact lattice."""
    problem = posed.problem
    choices = counts(problem.num_patients, len(problem.antibiotics))
    cells = 1
    for j in range(len(problem.antibiotics)):
        highest, _ = highest_pressure(problem, choices, j)
        cells *= int(highest / float(natural_spacing(problem, choices, j))) + 2
    return cells


def solved_view(model: ClinicModel, posed: Posed, *, folder: Path) -> Posed | None:
    """Return the clinic as its values are kept or quickly computed, None where they are neither."""
    if isinstance(posed, SampledView) and KeptValues(folder).file(posed.fingerprint).is_file():
        return posed
    return quick_view(model, posed)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What returns in a clinic are measured against; or why there is nothing.

    Attributes:
        optimum: None where it is not at hand.
        never: Return of never treating.
        reason: Why there is no optimum.
    """

    optimum: Optimum | None
    never: float | None
    reason: str | None

    def gap(self, mean_return: float) -> dict[str, Any]:
        """Return how far a return is from the optimum, as run summaries and tables say it.

        >>> Reference(optimum=None, never=None, reason="unknown").gap(1.0)["optimality_gap"]
        """
        if self.optimum is None or self.never is None:
            return {
                "optimality_gap": None,
                "share_of_range": None,
                "optimum": None,
                "optimum_note": self.reason,
            }
        width = self.optimum.value - self.never
        share = None if width < 1e-9 else (mean_return - self.never) / width
        note = None if self.optimum.is_exact and not self.optimum.caveats else self.optimum.name
        return {
            "optimality_gap": self.optimum.value - mean_return,
            "share_of_range": share,
            "optimum": self.optimum.value,
            "optimum_note": note,
        }


def reference(
    model: ClinicModel,
    *,
    folder: Path | str | None = None,
    command: str = "abx-plan for this clinic",
) -> Reference:
    """Return what returns are measured against: what is kept, or what takes under two seconds.

    `folder` holds what is kept; None: that of the project, else of the working folder. `command`
    computes what is not kept.
    """
    try:
        posed = view(model)
        cache = PlanCache(default_folder() if folder is None else Path(folder))
        found = cache.known(posed)
        if found is None:
            quick = quick_view(model, posed)
            if quick is None:
                reason = f"not computed: it takes more than 2 s; run first: {command}"
                return Reference(optimum=None, never=never(posed.problem), reason=reason)
            found = cache.optimum(quick)
        return Reference(optimum=found, never=never(posed.problem), reason=None)
    except NotComputable as error:
        return Reference(optimum=None, never=None, reason=str(error))
