"""What abx-tune says of a study while it is searched, and of what came of it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.cli.door import repeated
from abx_amr.cli.printed_final import default_overrides, final_lines
from abx_amr.cli.written_report import print_report
from abx_amr.errors import counted
from abx_amr.host.progress import is_on_a_terminal
from abx_amr.planning.gap import gap_lines
from abx_amr.studies.members import SEARCHED_GROUPS, members_in
from abx_amr.studies.preparation import Preparation
from abx_amr.studies.race_lengths import in_a_line
from abx_amr.studies.records import DEFAULT
from abx_amr.tuning.display import DisplayedStudy

if TYPE_CHECKING:
    from abx_amr.reports.subjects import Subject
    from abx_amr.studies.events import Event, WorkerReport
    from abx_amr.studies.objective import SeedOutcome, TrialScore
    from abx_amr.studies.records import FinalSize, RaceRules
    from abx_amr.studies.settings import StudySettings
    from abx_amr.tuning.result import TuneResult

#: Seconds between two lines on what a trial has earned so far.
EARNED_SECONDS = 60.0
_GO_ON = "unfinished: run the same command again to go on"


class PrintedStudy(DisplayedStudy):
    """Prints what happens in a study, and shows it on a terminal."""

    _said_at = 0.0  # when it was said last what a trial has earned

    def prepared(self, settings: StudySettings, found: Preparation) -> None:
        """Say what is begun or gone on with, or that it is skipped; a finished study says more."""
        if found is Preparation.SKIPPED:
            print(f"{settings.run_name} is complete already, skipped: {_shown(settings.folder)}")
        if found in (Preparation.SKIPPED, Preparation.FINISHED):
            return
        print(
            f"study {settings.study_name} ({found.value}): {_size(settings)}, "
            f"{settings.sampler.name}, in {_shown(settings.folder)}"
        )
        if settings.final is not None:
            print(_announced(settings, settings.final))
        for group, members in members_in(settings.configuration["tuning"]).items():
            first = next(iter(members))
            print(f"{group}: one of {', '.join(members)}; the default is that of {first}")

    def launched(self, line: str) -> None:
        """Say what was started, and where its output goes."""
        print(line, flush=True)

    def event(self, event: Event) -> None:
        """Say what a trial is worth, or why it is worth nothing."""
        if event.kind in ("final_trained", "final_failed"):
            print(f"[final {event.finished}/{event.budget}] {event.message}", flush=True)
            return
        where = f"[{event.finished}/{event.budget}]"
        if event.kind == "trial_started":
            self._said_at = time.monotonic()
        if event.kind == "trial_finished":
            value = "failed on all seeds" if event.value is None else f"{event.value:.3f}"
            seeds = "" if event.n_seeds is None else f" ({_trained(event.n_seeds, event.episodes)})"
            print(
                f"{where} trial {event.number}: {value}{seeds}  {_short(event.params)}", flush=True
            )
        elif event.kind in ("trial_failed", "trial_reaped"):
            print(f"{where} trial {event.number}: {event.message}", flush=True)

    def earned(self, trial: str, mean_return: float) -> None:
        """Say it in a log file from time to time; a terminal shows it in its bar."""
        super().earned(trial, mean_return)
        now = time.monotonic()
        if is_on_a_terminal() or now - self._said_at < EARNED_SECONDS:
            return
        self._said_at = now
        print(f"{trial}: return so far {mean_return:.1f}", flush=True)

    def stopped(self, report: WorkerReport) -> None:
        """Say why a worker ends before the study does."""
        print(report.message)

    def submitted(self, lines: Sequence[str], prediction: str) -> None:
        """Say how to watch and stop workers that are left alone, and how long they may take."""
        print("\n".join([*lines, prediction]))
        print("the same command shows the result, or joins as another worker: tuning.wait=true")

    def seed_ended(self, number: int, outcome: SeedOutcome) -> None:
        """Say what a job's seed has returned."""
        print(f"trial {number}, seed {outcome.seed}: {_return_of(outcome)}")

    def scored(self, outcomes: Sequence[SeedOutcome], score: TrialScore) -> None:
        """Say what each seed has returned, and the value they make."""
        for outcome in outcomes:
            print(f"seed {outcome.seed}: {_return_of(outcome)}")
        mean, std = (
            "none" if number is None else f"{number:.3f}"
            for number in (score.mean_reward, score.std_reward)
        )
        print(f"value {score.value:.3f} (mean {mean}, std over seeds {std})")

    def finished(self, result: TuneResult) -> None:
        """Say how far the study is, its best and what to do with it."""
        _report(result)


def _size(settings: StudySettings) -> str:
    """Return how large the search is."""
    if settings.race is not None:
        short = None if settings.race.episodes is None else settings.race.short
        return (
            f"a race of {_budget(settings.race)}, each point begins with "
            f"{_trained(settings.race.first_seeds, short)} ({settings.first_seed}..; "
            "training.seed is not used)"
        )
    seeds = settings.seeds(0)
    return (
        f"{counted(settings.budget, 'trial')} x {counted(settings.n_seeds_per_trial, 'seed')} "
        f"({seeds[0]}..{seeds[-1]}; training.seed is not used)"
    )


def _budget(race: RaceRules) -> str:
    of_episodes = "" if race.episodes is None else f" ({race.budget} episodes)"
    return f"{counted(race.trainings, 'training')}{of_episodes}"


def _trained(n_seeds: int, episodes: int | None) -> str:
    """Return how many seeds a point has, and how long they are where that is not to their end."""
    of_each = "" if episodes is None else f" x {counted(episodes, 'episode')}"
    return f"{counted(n_seeds, 'seed')}{of_each}"


def _announced(settings: StudySettings, final: FinalSize) -> str:
    """Return how many trainings the final adds to the search, and of what."""
    searched = settings.trainings
    points = min(final.top, settings.n_points) + 1
    return (
        f"trainings: {searched} of the search, then a final (tuning.final) of {points} "
        f"points x {final.seeds} seeds and 2 x {final.seeds} held out: at most "
        f"{searched + points * final.seeds + final.held_out}"
    )


def _print_page(result: TuneResult) -> None:
    def subject() -> Subject:
        from abx_amr.configuration.storage import build_storage
        from abx_amr.reports.subjects import StudySubject

        config = result.configuration
        return StudySubject(
            result.folder, storage=build_storage(config), has_figures=bool(config["figures"])
        )

    print_report(subject, is_wanted=bool(result.configuration.get("report", True)))


def _return_of(outcome: SeedOutcome) -> str:
    if outcome.failure_reason is not None:
        return outcome.failure_reason
    collapse = "" if outcome.collapse is None else f" (collapsed: {outcome.collapse})"
    return f"{outcome.episode_return:.3f}{collapse}"


def _collapse_lines(result: TuneResult, best: Mapping[str, Any]) -> list[str]:
    """Return what is to be said of trials whose agents have collapsed."""
    lines = []
    trials = 0 if "collapsed" not in result.trials else int((result.trials["collapsed"] > 0).sum())
    if trials:
        lines.append(
            f"{counted(trials, 'trial')} of {len(result.trials)} with seeds whose policy collapsed "
            "(column collapsed of the trials' table)"
        )
    seeds: Mapping[str, str] = best.get("collapsed_seeds") or {}
    if seeds:
        kinds = ", ".join(f"seed {seed} {kind}" for seed, kind in seeds.items())
        lines.append(f"COLLAPSED in the best trial: {kinds}; {result.collapse_advice}")
    return lines


def _shown(path: Path) -> str:
    """Return a path as the user would write it: relative where it lies below the working folder."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _short(parameters: Mapping[str, Any]) -> str:
    return " ".join(
        f"{path.rsplit('.', 1)[-1]}={f'{value:.4g}' if isinstance(value, float) else value}"
        for path, value in parameters.items()
    )


def _report(result: TuneResult) -> None:
    from abx_amr.agents.read_back import shown

    print(
        f"{counted(result.n_finished, result.unit)} finished of {result.budget}, "
        f"in {_shown(result.folder)}"
    )
    if (line := in_a_line(result.race or {})) is not None:
        print(line)
    if result.final is None and result.final_trainings is not None:
        done, planned = (result.final_trainings[name] for name in ("done", "planned"))
        print(f"its final: {done} of {planned} trainings done")
    best = result.best_trial
    if best is None:
        print("no trial has a finite value yet")
        _print_page(result)
        if not result.is_complete:
            print(_GO_ON)
        return
    print(
        f"best value {best['value']:.3f} (trial {best['number']}): mean {best['mean_reward']:.3f}, "
        f"std over seeds {best['std_reward']:.3f}, lambda {result.penalty_weight}"
    )
    if result.n_best > 1:
        print(
            f"{result.n_best} trials share this value: their agents act alike, and the study "
            "cannot tell them apart (more tuning.truncated_episodes or evaluation episodes would)"
        )
    if "optimum" in best:
        print("\n".join(gap_lines(best)))
    for line in _collapse_lines(result, best):
        print(line)
    if result.final is not None:
        print("\n".join(final_lines(result.final)))
    print(f"  {'parameter':<36} {'value':<24} read back from the agent")
    for path, value in (result.best_params or {}).items():
        found = "" if path in SEARCHED_GROUPS else shown(path, value, result.read_back)
        print(f"  {path:<36} {value!s:<24} {found}".rstrip())
    *commands, last = _next_lines(result)
    for line in commands:
        print(line)
    _print_page(result)
    print(last)


def _next_lines(result: TuneResult) -> list[str]:
    """Return how to go on with a study that has a best trial; at last a command."""
    from abx_amr.configuration.values import CLINIC_SECTIONS
    from abx_amr.reports.repeating import NOT_OF_A_STUDY

    if not result.is_complete:
        return [_GO_ON]
    # A manager's library and settings are the study's own: abx-train takes them from there.
    sections = (
        *("experiment", *CLINIC_SECTIONS),
        *("agent_algorithm", "training", "optimization_dir"),
    )
    length = "training.total_num_training_episodes"
    leaving_out = {*(result.best_params or {}), *NOT_OF_A_STUDY, length}
    told = result.overrides
    same = repeated(*sections, leaving_out=leaving_out, overrides=told)
    source = shlex.quote(f"best_params_from={result.run_name}")
    long = f"{length}={result.training_episodes}"
    lines = []
    if result.trial_episodes != result.training_episodes:
        lines.append(
            f"its trials trained for {result.trial_episodes} episodes each, the line below trains "
            f"for {result.training_episodes}"
        )
    lines.append(f"train with them:  abx-train {source}{same} {long}")
    final = result.final
    if final and final["selected"] != DEFAULT and not final["default_beaten"]:
        own = shlex.join(default_overrides(final))
        # A default of another agent takes nothing from the study, not even the length.
        chosen = [group for group in SEARCHED_GROUPS if group in (result.best_params or {})]
        line = f"{own}{same}" if chosen else f"{source}{same} {own} {long}"
        lines.append(f"or the default:   abx-train {line}")
    return lines
