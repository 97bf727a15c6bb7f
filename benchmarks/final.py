"""What a study's final says of its winner, against the truth, over simulated studies.

python -m benchmarks final                       (the same command resumes)
python -m benchmarks final --table               only the table of what is there

Fixed before the runs. The real code of the final (its size, its workers' claims, the choice by mean
- lambda * std on fresh seeds, the held-out values and intervals) works on studies whose trainings
are drawn instead of run. A study: eight values in 0..1, 50 trials of 3 seeds (its final: 5 points x
10 seeds, 2 x 10 held out), half of the trials at random, half around the best observed so far. A
setting's mean return is -80 less a bowl: its optimum is anywhere (the default, all 0.5, loses 20 on
average, a random point 40), or is the default. A training adds a seed's luck, of its own for each
setting, standard deviation 8 (shipped PPO on paper_two has 4.3, on older settings 12 to 36), and
its episodes add luck that all trainings share and some of their own, standard deviations 14.4 and
2.6 an episode (`python -m benchmarks pairing`: 1.46 unpaired, 0.26 paired, of 200). The search and
the comparison play 10 episodes, the held-out seeds 100 others. `collapse`: a seed ends at -282,
never treating, with a probability between 0 and 0.4 that depends on the setting (0.1 at the
default). `tiny`: 4 trials of 2 seeds, whose final is 2 points x 3 seeds.

Bars, for each case of 100 studies, reported whether they are met or not:

1. The held-out value is in the median within one standard error of the selected setting's mean.
2. Its 95 % interval holds that mean in at least 93 of 100 studies.
3. At most 1 of 100 studies ends with a setting that is in truth worse than the default and says
   that the default is beaten.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from optuna.storages import BaseStorage, InMemoryStorage

from abx_amr.rng import stream
from abx_amr.studies.storages.member import ProcessStorage
from benchmarks.bookkeeping import settings_of

if TYPE_CHECKING:
    from abx_amr.studies.final_worker import FinalWork
    from abx_amr.studies.objective import SeedOutcome
    from abx_amr.studies.settings import StudySettings
    from abx_amr.tuning.study import TuningStudy

STUDIES = 100
RESULTS = Path("results/benchmarks/final.jsonl")
VALUES = 8
BEST, NEVER = -80.0, -282.0
BOWL = 240.0  # over all values: a random point loses a sixth of it
SEED_SD, SHARED_SD, OWN_SD = 8.0, 14.4, 2.6
SEARCHED_EPISODES, HELD_OUT_EPISODES = 10, 100
PENALTY = 0.2
COVERED, UNSAID = 0.93, 0.01

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What the studies of a row have in common.

    Attributes:
        collapses: Whether seeds may end in never treating.
        default_is_best: Whether no setting is better than the default.
        trials: Of the search.
        seeds: Of each trial.
    """

    collapses: bool
    default_is_best: bool = False
    trials: int = 50
    seeds: int = 3


CASES = {
    "normal": Case(collapses=False),
    "normal, the default is best": Case(collapses=False, default_is_best=True),
    "collapse": Case(collapses=True),
    "collapse, the default is best": Case(collapses=True, default_is_best=True),
    "normal, tiny": Case(collapses=False, trials=4, seeds=2),
    "collapse, tiny": Case(collapses=True, trials=4, seeds=2),
}


# --- the truth -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clinic:
    """A clinic in which trainings are drawn: the truth of every setting is known.

    Attributes:
        case: What its studies have in common.
        number: Names its random draws.
        optimum: The best value of each parameter, shape (VALUES,).
        weights: Of each parameter in the bowl, shape (VALUES,).
    """

    case: Case
    number: int
    optimum: Floats = field(init=False)
    weights: Floats = field(init=False)

    def __post_init__(self) -> None:
        """Draw the bowl."""
        drawn = stream(self.number, "final", "bowl")
        weights = drawn.dirichlet(np.ones(VALUES))
        optimum = drawn.uniform(size=VALUES)
        if self.case.default_is_best:
            optimum = np.full(VALUES, 0.5)
        object.__setattr__(self, "optimum", optimum)
        object.__setattr__(self, "weights", BOWL * weights)

    def whole(self, point: Floats) -> float:
        """Return the mean return of the seeds that do not collapse."""
        return BEST - float(self.weights @ (point - self.optimum) ** 2)

    def collapse(self, point: Floats) -> float:
        """Return the probability that a seed collapses: the first value squared, at most 0.4."""
        return 0.4 * float(point[0]) ** 2 if self.case.collapses else 0.0

    def mean(self, point: Floats) -> float:
        """Return the mean return of a training with this setting."""
        share = self.collapse(point)
        return (1 - share) * self.whole(point) + share * NEVER

    def seed_sd(self, point: Floats) -> float:
        """Return the standard deviation of the seeds' true returns."""
        share = self.collapse(point)
        apart = share * (1 - share) * (self.whole(point) - NEVER) ** 2
        return math.sqrt((1 - share) * SEED_SD**2 + apart)

    def objective(self, point: Floats) -> float:
        """Return mean - lambda * std, what a study maximises."""
        return self.mean(point) - PENALTY * self.seed_sd(point)

    def standard_error(self, point: Floats, *, seeds: int, episodes: int) -> float:
        """Return that of a mean over trainings that play the same episodes."""
        own = self.seed_sd(point) ** 2 / seeds + OWN_SD**2 / (seeds * episodes)
        return math.sqrt(own + SHARED_SD**2 / episodes)

    def train(self, point: Floats, seed: int, *, is_held_out: bool) -> Floats:
        """Return what a training with this setting earns in each evaluation episode, (N,)."""
        episodes = HELD_OUT_EPISODES if is_held_out else SEARCHED_EPISODES
        shared = stream(self.number, "final", "episodes", str(is_held_out))
        key = ",".join(f"{value:.17g}" for value in point)
        own = stream(self.number, "final", "training", str(seed), key)
        collapses = own.uniform() < self.collapse(point)
        true = NEVER if collapses else self.whole(point) + own.normal(0.0, SEED_SD)
        luck = shared.normal(0.0, SHARED_SD, episodes) + own.normal(0.0, OWN_SD, episodes)
        return np.asarray(true + luck, dtype=np.float64)


# --- a study -------------------------------------------------------------------------------------


class MemoryStorage(ProcessStorage):
    """A storage of this process alone."""

    label = "memory"
    can_overwrite = False

    def check(self) -> None:
        """Find nothing wrong."""

    def check_is_there(self) -> None:
        """Find it there."""

    def critical_section(self) -> AbstractContextManager[None]:
        """Hold off nobody."""
        return nullcontext()

    def _is_made(self) -> bool:
        return True

    def _connect(self) -> BaseStorage:
        return InMemoryStorage()


def simulated(case: Case, number: int, folder: Path) -> dict[str, Any]:
    """Return what a study says of its winner, and the truth."""
    from abx_amr.studies.final import default_point
    from abx_amr.studies.final_worker import run_final
    from abx_amr.studies.finishing import finish_study
    from abx_amr.studies.preparation import prepare_study
    from abx_amr.tuning.held_out import describe_final

    began = time.process_time()
    clinic, storage = Clinic(case, number), MemoryStorage()
    settings = settings_of(
        folder, n_trials=case.trials, n_seeds_per_trial=case.seeds, final=True, n_workers=1
    )
    prepare_study(settings, storage)
    found = search(clinic, settings, storage)
    study = cast("TuningStudy", SimpleNamespace(settings=settings, held_out_evaluation_seed=0))
    report = run_final(
        settings,
        storage,
        partial(run_seeds, clinic),
        lambda event: None,
        began=time.monotonic(),
        write_summary=lambda: finish_study(
            settings, storage, describe_final=partial(describe_final, study)
        ),
    )
    assert report.reason == "budget", report.message
    final = json.loads(settings.files.summary_file.read_text(encoding="utf-8"))["final"]
    default = np.array([*default_point(settings).values()])
    selected = np.array([*final["params"].values()])
    value = next(c["objective"] for c in final["candidates"] if c["point"] == final["selected"])
    held_out, seeds = final["held_out"], final["seeds"]
    return {
        "found": error(clinic, found, final["found"], seeds=case.seeds),
        "selected": error(clinic, selected, value, seeds=seeds),
        "held_out": (held_out["selected"]["mean"] - clinic.mean(selected))
        / clinic.standard_error(selected, seeds=seeds, episodes=HELD_OUT_EPISODES),
        "covered": within(clinic.mean(selected), held_out["selected"]["interval_95"]),
        "difference_covered": within(
            clinic.mean(selected) - clinic.mean(default), held_out["difference"]["interval_95"]
        ),
        "is_default": final["selected"] == "default",
        "beaten": final["default_beaten"],
        "gain": clinic.mean(selected) - clinic.mean(default),
        "gain_found": clinic.mean(found) - clinic.mean(default),
        "collapse": clinic.collapse(selected),
        "mean": clinic.mean(selected),
        "returns": held_out["selected"]["returns"],
        "seconds": time.process_time() - began,
    }


def error(clinic: Clinic, point: Floats, value: float, *, seeds: int) -> float:
    """Return a value of the objective less the truth, in standard errors."""
    unit = clinic.standard_error(point, seeds=seeds, episodes=SEARCHED_EPISODES)
    return (value - clinic.objective(point)) / unit


def within(value: float, interval: Sequence[float]) -> bool:
    """Say whether an interval holds a value; one of no width up to rounding."""
    return interval[0] - 1e-9 <= value <= interval[1] + 1e-9


def search(clinic: Clinic, settings: StudySettings, storage: MemoryStorage) -> Floats:
    """Store the trials of a search; return the point of the best, (VALUES,)."""
    from optuna.trial import TrialState, create_trial

    from abx_amr.studies.objective import SeedOutcome, score_outcomes
    from abx_amr.studies.records import Worker
    from abx_amr.studies.records.writing import begun, result

    backend = storage.open()
    study_id = backend.get_study_id_from_name(settings.study_name)
    owner = Worker.here(interval=settings.heartbeat_interval, index=0)
    drawn = stream(clinic.number, "final", "search")
    best, best_value = np.full(VALUES, 0.5), -math.inf
    for number in range(settings.n_trials):
        point = drawn.uniform(size=VALUES)
        if number >= settings.n_trials / 2:
            point = np.clip(best + drawn.normal(0.0, 0.1, VALUES), 0.0, 1.0)
        seeds = settings.seeds(number)
        played = [clinic.train(point, seed, is_held_out=False) for seed in seeds]
        outcomes = [SeedOutcome(s, float(row.mean())) for s, row in zip(seeds, played, strict=True)]
        score = score_outcomes(
            outcomes,
            penalty_weight=settings.penalty_weight,
            direction=settings.direction,
            min_successful_seeds=settings.min_successful_seeds,
        )
        trial = create_trial(
            state=TrialState.COMPLETE,
            value=score.value,
            params=dict(zip(settings.space, map(float, point), strict=True)),
            distributions=dict(settings.space),
            user_attrs={
                **begun(lineage=number, owner=owner),
                **result(outcomes, score, seconds=0.0),
            },
        )
        backend.create_new_trial(study_id, trial)
        if score.value > best_value:
            best, best_value = point, score.value
    return best


def run_seeds(clinic: Clinic, work: FinalWork) -> list[SeedOutcome]:
    """Draw what the trainings of a final give, and leave what they leave."""
    from abx_amr.studies.objective import SeedOutcome
    from abx_amr.tuning.seed_files import write_seed_result

    point = np.array([*work.parameters.values()])
    outcomes = []
    for seed in work.seeds:
        returns = clinic.train(point, seed, is_held_out=work.is_held_out)
        outcome = SeedOutcome(seed, float(returns.mean()))
        write_seed_result(work.folder, outcome=asdict(outcome), evaluation_returns=returns.tolist())
        outcomes.append(outcome)
    return outcomes


# --- the table -----------------------------------------------------------------------------------


def kept() -> dict[tuple[str, int], dict[str, Any]]:
    """Return what was measured already, by (case, number)."""
    if not RESULTS.is_file():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    return {(row["case"], row["number"]): row for row in rows}


def keep(case: str, number: int, found: Mapping[str, Any]) -> None:
    """Append a study."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"case": case, "number": number, **found}) + "\n")


def row_of(name: str, done: Sequence[Mapping[str, Any]]) -> str:
    """Return the line of a case."""

    def median(key: str, *, of_size: bool = False) -> float:
        values = np.array([one[key] for one in done])
        return float(np.median(np.abs(values) if of_size else values))

    def share(claims: Iterator[bool]) -> float:
        return sum(claims) / len(done)

    covered = share(one["covered"] for one in done)
    unsaid = share(one["gain"] < 0 and one["beaten"] is True for one in done)
    size = median("held_out", of_size=True)
    met = size <= 1 and covered >= COVERED and unsaid <= UNSAID
    gained = {key: float(np.mean([one[key] for one in done])) for key in ("gain_found", "gain")}
    worse = {key: share(one[key] < 0 for one in done) for key in ("gain_found", "gain")}
    return (
        f"| {name} | {len(done)} | {median('found'):+.2f} | {median('selected'):+.2f} | "
        f"{median('held_out'):+.2f} ({size:.2f}) | {100 * covered:.1f} | "
        f"{100 * share(one['difference_covered'] for one in done):.1f} | "
        f"{gained['gain_found']:+.1f} / {gained['gain']:+.1f} | "
        f"{100 * worse['gain_found']:.1f} / {100 * worse['gain']:.1f} | {100 * unsaid:.1f} | "
        f"{100 * share(one['beaten'] is True for one in done):.0f} / "
        f"{100 * share(one['is_default'] for one in done):.0f} | "
        f"{'met' if met else '**not met**'} |"
    )


def table() -> str:
    """Return what was measured as a table."""
    done = kept()
    lines = [
        "Reported values less the truth in standard errors, medians (of the held-out value also "
        "its size); intervals that hold the truth, in %; the true gain over the default, mean of "
        "the best of the search and of the final's choice; how many of 100 are in truth worse than "
        "the default, likewise, and how many of these the final calls better; how many of 100 "
        "beat the default by its word, and choose it.",
        "",
        "| case | studies | found | selected | held out | covered | difference covered | gain | "
        "worse | unsaid | beaten / chosen | bars |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in CASES:
        rows = [row for (case, _), row in done.items() if case == name]
        if rows:
            lines.append(row_of(name, rows))
    return "\n".join(lines)


def main(arguments: Sequence[str] = ()) -> str:
    """Simulate what is missing and return the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks final")
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--table", action="store_true", help="only the table of what is there")
    asked = parser.parse_args(list(arguments))
    measure(range(0 if asked.table else asked.studies))
    return table()


def measure(numbers: Iterable[int]) -> None:
    """Simulate the studies of these numbers that are missing."""
    done = kept()
    for number in numbers:
        for name, case in CASES.items():
            if (name, number) not in done:
                with tempfile.TemporaryDirectory(prefix="abx-final-") as folder:
                    keep(name, number, simulated(case, number, Path(folder)))
