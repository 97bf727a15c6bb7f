"""What racing over seeds finds with how many trainings, against the same number for every trial.

python -m benchmarks racing                      (the same command resumes)
python -m benchmarks racing --table              only the table of what is there
python -m benchmarks racing --correlation        how strongly training seeds correlate, see below
python -m benchmarks racing_simulated            what their values are worth, over simulated studies

Fixed before the runs. Real studies of policy_search, the cheapest learner to show it with, on
paper_two, paper_single and mixed_risk, over its shipped search space, TPE. A training is five
generations long (1,920 episodes): there its seeds differ by 2 to 100, as those of PPO do, and 0.1
to 0.2 CPU seconds are spent. Twenty studies of each arm, each with a sampler's and common seeds of
its own, searched and put through their final by the real code:

    50 x 3    no race, 150 trainings, as a default study has had so far
    25 x 3    no race, half of them
    race 75   a race of half of the trainings (first 2 seeds, reduction 3, level 0.1)
    race 50   a race of a third

What the final selects is trained on 20 seeds that nothing has seen (11000 and up) and plays the
held-out episodes: that mean is the value of a study. Bars, reported whether they are met or not:

1. The median value of `race 75` is at least that of `50 x 3` on each clinic (goal: `race 50`).
2. At most 1 of 100 studies ends with a setting whose value is below that of the default on the same
   20 seeds.

`--correlation`: 24 settings at random x 20 common seeds on each clinic; the Spearman correlation of
two settings' returns over seeds says what common seeds are worth beyond common episodes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from abx_amr.tuning.study import TuningStudy

RESULTS = Path("results/benchmarks/racing.jsonl")
STUDIES = 20
EPISODES = 1920
CLINICS = {
    "paper_two": ("experiment=paper_two",),
    "paper_single": ("experiment=paper_single",),
    "mixed_risk": ("patient_generator=mixed_risk",),
}
ARMS = {
    "race 75": ("tuning.n_trials=25", "tuning.race=true"),
    "50 x 3": ("tuning.n_trials=50", "tuning.race=false"),
    "race 50": ("tuning.n_trials=25", "tuning.race={trainings:50}"),
    "25 x 3": ("tuning.n_trials=25", "tuning.race=false"),
}
FIRST_TRUE_SEED, TRUE_SEEDS = 11_000, 20
SEEDS_BETWEEN_STUDIES = 200
SETTINGS = 24


def study_of(clinic: str, folder: Path, *overrides: str) -> TuningStudy:
    """Return a study of policy_search in a clinic."""
    from abx_amr.configuration.composing import resolved
    from abx_amr.tuning.in_process import composed_study
    from abx_amr.tuning.study import TuningStudy, settled

    config = composed_study(
        "+tuning=policy_search_default",
        *CLINICS[clinic],
        f"tuning.truncated_episodes={EPISODES}",
        f"optimization_dir={folder}",
        "run_name=racing",
        *overrides,
    )
    study = TuningStudy(settled(resolved(config)))
    study.set_threads()
    return study


def searched(arm: str, clinic: str, number: int, folder: Path) -> dict[str, Any]:
    """Search, put the best through the final, and return what came of it, with its true value."""
    from abx_amr.studies.final_worker import run_final
    from abx_amr.studies.finishing import finish_study
    from abx_amr.studies.preparation import prepare_study
    from abx_amr.studies.worker import run_worker
    from abx_amr.tuning.held_out import describe_final

    began = time.process_time()
    study = study_of(
        clinic,
        folder,
        *ARMS[arm],
        f"tuning.sampler_seed={number}",
        f"tuning.first_seed={1000 + SEEDS_BETWEEN_STUDIES * number}",
    )
    settings, storage = study.settings, study.storage
    prepare_study(settings, storage)
    finish = partial(finish_study, settings, storage, describe_final=partial(describe_final, study))
    run_worker(settings, storage, study.runner.run, write_summary=finish)
    run_final(
        settings,
        storage,
        lambda work: (study.held_out_runner if work.is_held_out else study.runner).run(
            work.parameters, work.seeds, work.folder
        ),
        lambda event: None,
        began=time.monotonic(),
        write_summary=finish,
    )
    summary = json.loads(settings.files.summary_file.read_text(encoding="utf-8"))
    final = summary["final"]
    return {
        "n_trainings": settings.trainings,
        "points": summary["states"]["COMPLETE"] + summary["states"]["PRUNED"],
        "selected": final["selected"],
        "params": final["params"],
        "held_out": final["held_out"]["selected"],
        "true": true_returns(study, final["params"]),
        "seconds": time.process_time() - began,
    }


def true_returns(study: TuningStudy, params: Mapping[str, Any]) -> list[float]:
    """Return what a setting earns with each of 20 seeds that nothing has seen."""
    seeds = [FIRST_TRUE_SEED + i for i in range(TRUE_SEEDS)]
    outcomes = study.held_out_runner.run(params, seeds, None)
    return [math.nan if o.episode_return is None else o.episode_return for o in outcomes]


def default_returns(clinic: str, folder: Path) -> dict[str, Any]:
    """Return what the shipped setting earns, likewise."""
    return {"true": true_returns(study_of(clinic, folder), {})}


def correlated(clinic: str, folder: Path) -> dict[str, Any]:
    """Return what settings drawn at random earn with common seeds, (SETTINGS, 20)."""
    from optuna.samplers import RandomSampler
    from optuna.study import create_study

    study = study_of(clinic, folder)
    drawn = create_study(sampler=RandomSampler(seed=0))
    rows = []
    for _ in range(SETTINGS):
        params = drawn.ask(dict(study.settings.space)).params
        runner = replace(study.runner, settings=study.settings)
        outcomes = runner.run(params, [1000 + i for i in range(TRUE_SEEDS)], None)
        rows.append([outcome.episode_return for outcome in outcomes])
    return {"returns": rows}


# --- what is kept --------------------------------------------------------------------------------


def kept() -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return what was measured already, by (arm, clinic, number)."""
    if not RESULTS.is_file():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    return {(row["arm"], row["clinic"], row["number"]): row for row in rows}


def wanted(numbers: Sequence[int]) -> Iterator[tuple[str, str, int]]:
    """Return what is to be measured: the arms of the bar first, number by number."""
    for clinic in CLINICS:
        yield "default", clinic, 0
    for arms in (("race 75", "50 x 3"), ("race 50", "25 x 3")):
        for number, clinic, arm in itertools.product(numbers, CLINICS, arms):
            yield arm, clinic, number


def measure(cases: Iterable[tuple[str, str, int]], *, share: int, shares: int) -> None:
    """Measure what is missing and append each result.

    Args:
        cases: (arm, clinic, number).
        share: Which part of the clinics' studies is this process's, of so many.
        shares: Processes that work beside each other on numbers of their own.
    """
    done = kept()
    for arm, clinic, number in cases:
        if (arm, clinic, number) in done or number % shares != share:
            continue
        with tempfile.TemporaryDirectory() as folder:
            if arm == "default":
                found = default_returns(clinic, Path(folder))
            elif arm == "correlation":
                found = correlated(clinic, Path(folder))
            else:
                found = searched(arm, clinic, number, Path(folder))
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        with RESULTS.open("a", encoding="utf-8") as file:
            row = {"arm": arm, "clinic": clinic, "number": number, **found}
            file.write(json.dumps(row) + "\n")


# --- the tables ----------------------------------------------------------------------------------


@cache
def _resamples(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    from abx_amr.rng import stream

    return stream(count, "racing", "median").integers(0, count, size=(4000, count))


def median_of(values: Sequence[float]) -> str:
    """Return a median and its 95 % bootstrap interval over studies."""
    array = np.array(values)
    low, high = np.quantile(np.median(array[_resamples(len(array))], axis=1), [0.025, 0.975])
    return f"{np.median(array):.1f} ({low:.1f} to {high:.1f})"


def table() -> str:
    """Return what was measured as a table."""
    done = kept()
    lines = [
        f"Studies of policy_search ({EPISODES:,} episodes a training). The value of a study is the "
        f"mean return of what its final selects, over {TRUE_SEEDS} seeds that nothing has seen; "
        "medians over studies with 95 % bootstrap intervals. Coverage: held-out intervals that "
        "hold that value.",
        "",
        "| clinic | arm | studies | trainings (search) | points | value | worse than the default | "
        "covered | bar |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for clinic in CLINICS:
        default = done.get(("default", clinic, 0))
        if default is None:
            continue
        known = float(np.mean(default["true"]))
        plain: float | None = None
        for arm in ("50 x 3", "25 x 3", "race 75", "race 50"):
            rows = [row for (a, c, _), row in done.items() if (a, c) == (arm, clinic)]
            if not rows:
                continue
            values = [float(np.mean(row["true"])) for row in rows]
            found = float(np.median(values))
            plain = found if arm == "50 x 3" else plain
            covered = sum(
                row["held_out"]["interval_95"][0] <= value <= row["held_out"]["interval_95"][1]
                for row, value in zip(rows, values, strict=True)
            )
            bar = ""
            if arm.startswith("race") and plain is not None:
                bar = "met" if found >= plain else "**not met**"
            lines.append(
                f"| {clinic} ({known:.1f}) | {arm} | {len(rows)} | {rows[0]['n_trainings']} | "
                f"{np.median([row['points'] for row in rows]):.0f} | {median_of(values)} | "
                f"{sum(value < known - 1e-9 for value in values)} | {covered} | {bar} |"
            )
    lines += ["", "In brackets after a clinic: the shipped setting on the same seeds."]
    return "\n".join([*lines, *correlation_lines(done)])


def correlation_lines(done: Mapping[tuple[str, str, int], Mapping[str, Any]]) -> list[str]:
    """Return how strongly training seeds of two settings correlate."""
    from scipy.stats import rankdata

    lines: list[str] = []
    for clinic in CLINICS:
        row = done.get(("correlation", clinic, 0))
        if row is None:
            continue
        ranks = np.array([rankdata(returns) for returns in row["returns"]])
        matrix = np.corrcoef(ranks)[np.triu_indices(len(ranks), 1)]
        low, middle, high = np.nanquantile(matrix, [0.25, 0.5, 0.75])
        lines.append(f"| {clinic} | {middle:.2f} | {low:.2f} to {high:.2f} |")
    if not lines:
        return []
    head = ["", "| clinic | Spearman correlation over seeds, median | quartiles |", "|---|---|---|"]
    return [*head, *lines]


def main(arguments: Sequence[str] = ()) -> str:
    """Run what is missing and return the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks racing")
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--share", type=int, default=0, help="the part of this process")
    parser.add_argument("--shares", type=int, default=1, help="processes that run beside")
    parser.add_argument("--correlation", action="store_true", help="also measure correlations")
    parser.add_argument("--table", action="store_true", help="only the table of what is there")
    asked = parser.parse_args(list(arguments))
    if not asked.table:
        if asked.correlation:
            cases = [("correlation", clinic, 0) for clinic in CLINICS]
            measure(cases, share=0, shares=1)
        measure(wanted(range(asked.studies)), share=asked.share, shares=asked.shares)
    return table()
