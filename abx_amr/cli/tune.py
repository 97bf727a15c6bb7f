"""abx-tune: search for hyper-parameters that learn reliably over seeds."""

from __future__ import annotations

import logging
import math
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.cli.door import Command, enter, guarded, repeated
from abx_amr.cli.optimality import gap_line
from abx_amr.errors import InputError, counted
from abx_amr.host.processors import threads_for

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.agents.learning import AgentSpec
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.configuration.composing import Composition
    from abx_amr.simulator.clinic import ClinicModel
    from abx_amr.studies.objective import SeedOutcome
    from abx_amr.studies.storages import StudyStorage
    from abx_amr.studies.study import StudyPlan, StudySummary
    from abx_amr.studies.worker import ClaimedTrial, Event, WorkerReport
    from abx_amr.tuning.scoring import SeedScore

log = logging.getLogger(__name__)

#: Exit status of a worker that leaves trials to do because its time limit is near (EX_TEMPFAIL).
TEMPORARY = 75

HELP = """
abx-tune: search with Optuna for hyper-parameters that learn reliably. Every trial trains several
seeds; its value is mean - lambda * std of their final evaluation returns.

  abx-tune -m +tuning=ppo_default run_name=first_study
  abx-tune -m +tuning=ppo_default experiment=paper_two tuning.n_trials=30 tuning.n_workers=2
  abx-tune -m +tuning=ppo_default storage=journal hydra/launcher=submitit_slurm \\
      tuning.n_workers=8 tuning.wait=false          one SLURM array; tutorial 8 says more
  abx-tune -m +tuning=ppo_default 'agent_algorithm.learning_rate=tag(log, interval(1e-5, 1e-2))'
  abx-tune +tuning=ppo_default                    score the composed configuration once, no search
  abx-train best_params_from=first_study          then train with what was found

The same command again goes on with an interrupted study, or prints a finished one.

Parts, each a folder in conf/ (GROUP=NAME chooses, KEY=VALUE sets):
  +tuning            ppo_default, a2c_default, recurrent_ppo_default, hrl_ppo_default,
                     hrl_rppo_default: budget, seeds, search space
  experiment         the umbrella: base, paper_single, paper_two, paper_two_cross_resistant, ...
  storage            sqlite (default), journal, postgres, url
  antibiotics, patient_generator, environment, reward_calculator, amr_dynamics,
  agent_algorithm, training; option_library and hrl for hrl_ppo and hrl_rppo

Often set: run_name, study_name, optimization_dir, overwrite_existing_study=true,
  skip_if_exists=true, tuning.n_trials, tuning.n_seeds_per_trial, tuning.truncated_episodes,
  tuning.n_workers, tuning.wait=false (leave them alone), tuning.parallel=jobs (one per seed),
  tuning.sampler (tpe|random|cmaes|gp|qmc|grid), tuning.stability_penalty_weight
The tutorial's -s GROUP-subconfig=FILE and -p KEY=VALUE work too.
  abx-tune --cfg job +tuning=ppo_default          show the composed configuration
Results: optimization/<run_name>/ (best_params.json, study_summary.json, trials, figures).
"""


class _Study:
    """A composed tuning configuration as objects, built once."""

    def __init__(self, config: dict[str, Any]) -> None:
        from abx_amr.configuration.agent import is_rule
        from abx_amr.configuration.classes import own_code
        from abx_amr.studies.study import StudyPlan

        if is_rule(config):
            raise InputError(
                "agent_algorithm is a fixed rule: there is nothing to tune; choose an agent that "
                "learns, such as agent_algorithm=ppo, or evaluate the rule with abx-evaluate"
            )
        if "truncated_episodes" not in config["tuning"]:
            raise InputError(
                "tuning.truncated_episodes is missing: a tuning file of your own begins with "
                "'defaults: [base]'"
            )
        # A project's own classes count as its values do: trials of changed code are others.
        code = own_code(config)
        self.config = {**config, "code": code} if code else config
        self.plan: StudyPlan = StudyPlan.from_configuration(self.config)

    @cached_property
    def storage(self) -> StudyStorage:
        from abx_amr.configuration.storage import build_storage

        return build_storage(self.config)

    @cached_property
    def model(self) -> ClinicModel:
        from abx_amr.configuration.clinic import build_clinic

        return build_clinic(self.config)

    def agent(self, parameters: Mapping[str, Any], seed: int) -> tuple[AgentSpec, TrainingSettings]:
        """Return the algorithm and training plan of a trial's seed."""
        from abx_amr.configuration.agent import build_agent_spec
        from abx_amr.configuration.training import build_training
        from abx_amr.configuration.values import with_values

        config = with_values(self.config, parameters)
        settings = replace(
            build_training(config),
            seed=seed,
            total_num_training_episodes=self.config["tuning"]["truncated_episodes"],
        )
        return build_agent_spec(config), settings

    @cached_property
    def receipts(self) -> dict[str, str]:
        """Searched path -> where it is read back in the built agent (InputError: nowhere)."""
        from abx_amr.agents.learning import build_agent
        from abx_amr.agents.read_back import find_receipts
        from abx_amr.studies.space import probe_points

        def build(values: Mapping[str, Any]) -> Any:
            spec, settings = self.agent(values, self.plan.first_seed)
            return build_agent(spec, self.model, settings)

        quiet = logging.getLogger("abx_amr.agents.learning")
        level = quiet.level
        quiet.setLevel(logging.ERROR)
        try:
            return find_receipts(build, probe_points(self.plan.space))
        finally:
            quiet.setLevel(level)

    def run_trial(
        self,
        parameters: Mapping[str, Any],
        seeds: Sequence[int],
        folder: Path | None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> list[SeedOutcome]:
        """Train and score every seed; a seed's own error becomes its outcome.

        Each outcome is written to `folder/seed_<s>/result.json`, unless `folder` is None. Seeds
        that have succeeded there are not trained again, seeds that were saved there go on.
        """
        from abx_amr.runs.folder import write_seed_result
        from abx_amr.studies.objective import SeedOutcome
        from abx_amr.tuning.scoring import Saving, train_and_score

        identities = self.identities(parameters, seeds)
        outcomes: dict[int, SeedOutcome] = {}
        if folder is not None:
            found = {seed: self.outcome(folder, seed, identities[seed]) for seed in seeds}
            outcomes = {s: o for s, o in found.items() if o is not None and o.failure is None}
        missing = [seed for seed in seeds if seed not in outcomes]

        def note(seed: int, score: SeedScore | Exception) -> None:
            returns: tuple[float, ...] = ()
            if isinstance(score, Exception):
                reason = f"{type(score).__name__}: {score}"
                outcome = SeedOutcome(seed=seed, episode_return=None, failure=reason)
            else:
                outcome = SeedOutcome(
                    seed=seed,
                    episode_return=score.episode_return,
                    effective_values=score.effective_values,
                    seconds=score.seconds,
                )
                returns = score.returns
            outcomes[seed] = outcome
            if folder is not None:
                write_seed_result(
                    folder,
                    outcome=asdict(outcome),
                    evaluation_returns=list(returns),
                    identity=identities[seed],
                )

        try:
            spec, settings = self.agent(parameters, seeds[0])
        except InputError as error:
            for seed in missing:
                note(seed, error)
        else:
            saving = None
            if folder is not None:
                saving = Saving(
                    folder=folder, interval=self.plan.checkpoint_interval, identities=identities
                )
            train_and_score(
                spec,
                self.model,
                settings,
                seeds=missing,
                searched=self.receipts,
                on_progress=on_progress,
                on_score=note,
                saving=saving,
            )
        return [outcomes[seed] for seed in seeds]

    def display(self) -> AbstractContextManager[Callable[[int, int], None]]:
        """Return what shows the study, read through a connection of its own."""
        from abx_amr.cli.progress import study_display
        from abx_amr.configuration.storage import build_storage
        from abx_amr.studies.overview import StudyOverview, overview_of

        storage: list[StudyStorage] = []

        def look() -> StudyOverview:
            if not storage:
                storage.append(build_storage(self.config))
            return overview_of(self.plan, storage[0])

        return study_display(look, "transitions")

    def identities(self, parameters: Mapping[str, Any], seeds: Sequence[int]) -> dict[int, str]:
        """Return seed -> what its result follows from."""
        from abx_amr.studies.attempts import identity

        digest = self.plan.fingerprint.digest
        return {seed: identity(digest, parameters, seed) for seed in seeds}

    def outcome(self, folder: Path, seed: int, identity: str) -> SeedOutcome | None:
        """Return what a seed has left in a trial's folder, None where it has not ended."""
        from abx_amr.runs.folder import read_seed_result
        from abx_amr.studies.objective import SeedOutcome

        found = read_seed_result(folder, seed, identity=identity)
        if found is None:
            return None
        return SeedOutcome(
            seed=seed,
            episode_return=found["episode_return"],
            failure=found["failure"],
            effective_values=found["effective_values"],
            seconds=found["seconds"],
        )

    def run_batch(
        self, batch: Sequence[ClaimedTrial], launch: Callable[[Sequence[Sequence[str]]], object]
    ) -> list[list[SeedOutcome]]:
        """Return the outcomes of trials whose seeds are jobs of their own.

        A job is told its trial and seed and finds the point in the trial's folder. One that leaves
        no result (killed, out of memory) is launched again, `tuning.max_retry` times.
        """
        from abx_amr.runs.folder import write_trial_parameters
        from abx_amr.studies.objective import SeedOutcome

        known: dict[tuple[int, int], SeedOutcome] = {}

        def look(*, is_first: bool = False) -> list[tuple[ClaimedTrial, int]]:
            """Take in what has ended; return what has not."""
            for trial in batch:
                for seed, its in self.identities(trial.parameters, trial.seeds).items():
                    found = self.outcome(trial.folder, seed, its)
                    if found is not None and not (is_first and found.failure is not None):
                        known[trial.number, seed] = found
            return [(t, s) for t in batch for s in t.seeds if (t.number, s) not in known]

        for trial in batch:
            write_trial_parameters(
                trial.folder,
                parameters=trial.parameters,
                fingerprint=self.plan.fingerprint.digest,
            )
        missing = look(is_first=True)
        for _ in range(1 + self.plan.max_retry):
            if not missing:
                break
            launch([[f"++tuning.job={{number:{t.number},seed:{s}}}"] for t, s in missing])
            missing = look()
        for trial, seed in missing:
            reason = f"its job left no result, {1 + self.plan.max_retry} times (killed?)"
            known[trial.number, seed] = SeedOutcome(seed=seed, episode_return=None, failure=reason)
        return [[known[trial.number, seed] for seed in trial.seeds] for trial in batch]


class TuneTask:
    """What Hydra calls: a worker of a study, or one configuration scored.

    The sweeper calls `prepare` before it launches workers and `finish` after them.
    """

    __name__ = "tune"

    def __init__(self) -> None:
        self._last: tuple[dict[str, Any], _Study] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_last": None}  # workers elsewhere compose their own

    def _study(self, config: DictConfig) -> _Study:
        """Return the configuration as objects; a worker in the sweeper's process reuses its own."""
        from abx_amr.configuration.composing import resolved

        plain = resolved(config)
        if not isinstance(plain.get("tuning"), Mapping):
            raise InputError(_no_tuning())
        training = plain["training"]
        if training.get("torch_threads") is None:
            training["torch_threads"] = threads_for(plain["tuning"].get("local_workers") or 1)
        worker = plain["tuning"].get("worker")
        # Relative paths belong to the folder they were read in.
        of_a_worker = dict.fromkeys(("worker", "local_workers"))
        key = {**plain, "tuning": {**plain["tuning"], **of_a_worker}, "folder": os.getcwd()}
        if self._last is None or self._last[0] != key or worker is not None:
            study = _Study(plain)
            if self._last is not None and self._last[0] == key:
                study.__dict__["receipts"] = self._last[1].receipts
                study.__dict__["model"] = self._last[1].model
            self._last = (key, study)
        return self._last[1]

    def _ready(self, config: DictConfig) -> _Study:
        """Return the configuration as objects whose agents may learn: torch has its threads."""
        study = self._study(config)
        import torch

        threads = study.config["training"]["torch_threads"]
        if type(threads) is int and threads > 0:  # anything else is refused where it is read
            torch.set_num_threads(threads)
        return study

    def prepare(self, config: DictConfig) -> bool:
        """Check everything, then create or join the study; return whether work is left.

        Raises:
            SystemExit: status 2 with one line for a user's mistake; nothing was created then.
        """
        return bool(guarded("abx-tune", self._prepare)(config))

    def _prepare(self, config: DictConfig) -> bool:
        from abx_amr.configuration.agent import check_quickly
        from abx_amr.simulator.validation import validate_components
        from abx_amr.studies.study import (
            Preparation,
            is_registered,
            prepare_study,
            refuse_overwriting,
        )

        study = self._study(config)
        check_quickly(study.config)
        self._ready(config)
        plan = study.plan
        if plan.skip_if_exists and is_registered(plan):
            print(f"{plan.run_name} is complete already, skipped: {_shown(plan.folder)}")
            return False
        validate_components(study.model)
        _check_device_here(study)
        refuse_overwriting(plan, study.storage)
        study.storage.check()  # a server that is not there is said before agents are built
        _ = study.receipts
        found = prepare_study(plan, study.storage)
        if found is Preparation.SKIPPED:
            print(f"{plan.run_name} is complete already, skipped: {_shown(plan.folder)}")
            return False
        if found is Preparation.FINISHED:
            _report(_finished(study), plan)
            return False
        seeds = plan.seeds(0)
        print(
            f"study {plan.study_name} ({found.value}): {counted(plan.budget, 'trial')} x "
            f"{counted(plan.n_seeds_per_trial, 'seed')} ({seeds[0]}..{seeds[-1]}; "
            f"training.seed is not used), {plan.sampler.name}, in {_shown(plan.folder)}"
        )
        return True

    @contextmanager
    def watching(self, config: DictConfig) -> Iterator[Callable[[], bool]]:
        """Show the study while the block runs; give a function that says whether it is complete."""
        from abx_amr.studies.overview import overview_of

        study = self._study(config)

        def is_complete() -> bool:
            return overview_of(study.plan, study.storage).is_complete

        # A worker in this process shows the study itself, beside its own trial.
        is_elsewhere = study.plan.n_workers > 1 or study.plan.has_jobs
        with study.display() if is_elsewhere else nullcontext():
            yield is_complete

    def submitted(self, config: DictConfig, lines: Sequence[str]) -> None:
        """Say of workers that are left alone how to watch them and how long they may take."""
        from abx_amr.studies.overview import overview_of

        study = self._study(config)
        for line in lines:
            print(line)
        print(overview_of(study.plan, study.storage).prediction(study.plan.n_workers))
        print("the same command shows the result, or joins as another worker: tuning.wait=true")

    def search(
        self, config: DictConfig, launch: Callable[[Sequence[Sequence[str]]], object]
    ) -> None:
        """Work on the study in batches of trials whose seeds are jobs that `launch` runs.

        `launch(overrides of each job)` comes back when the jobs have ended.

        Raises:
            SystemExit: the search was stopped.
        """
        guarded("abx-tune", self._search)(config, launch)

    def _search(
        self, config: DictConfig, launch: Callable[[Sequence[Sequence[str]]], object]
    ) -> None:
        from abx_amr.studies.worker import run_batches

        study = self._ready(config)
        plan = study.plan
        report = run_batches(
            plan,
            study.storage,
            lambda batch: study.run_batch(batch, launch),
            _show,
            size=math.ceil(plan.n_workers / plan.n_seeds_per_trial),
        )
        _end(report)

    def finish(self, config: DictConfig) -> float | None:
        """Write the results and the figures, show the best; return the best value."""
        return guarded("abx-tune", self._finish)(config)  # type: ignore[no-any-return]

    def _finish(self, config: DictConfig) -> float | None:
        from abx_amr.runs.figures import draw_study
        from abx_amr.studies.tables import trials_table

        study = self._study(config)
        summary = _finished(study)
        n_best = 1
        if summary.n_finished:
            table = trials_table(study.plan, study.storage)
            n_best = int((table["value"] == summary.best_value).sum())
            if study.config["figures"]:
                draw_study(study.plan.folder, table, direction=study.plan.direction)
        _report(summary, study.plan, n_best=n_best)
        return summary.best_value

    def __call__(self, config: DictConfig) -> float:
        """Work on the study, or score the composed configuration; return the (best) value."""
        return float(guarded("abx-tune", self._call)(config))

    def _call(self, config: DictConfig) -> float:
        study = self._ready(config)
        if study.plan.job is not None:
            return _run_job(study, **study.plan.job)
        if study.plan.worker is None:
            return _score_once(study)
        return _work(study)


def _check_device_here(study: _Study) -> None:
    """Refuse a GPU that this machine lacks, unless the workers run on others."""
    from abx_amr.agents.learning import check_device
    from abx_amr.configuration.agent import build_agent_spec

    if not any(argument.startswith("hydra/launcher=") for argument in sys.argv):
        check_device(build_agent_spec(study.config))


def _finished(study: _Study) -> StudySummary:
    """Write and return how far the study is, with the best trial's gap to the optimum."""
    from abx_amr.planning.cache import reference
    from abx_amr.studies.study import finish_study

    known = reference(study.model)
    return finish_study(study.plan, study.storage, describe_best=known.gap)


def _work(study: _Study) -> float:
    from abx_amr.studies.study import check_settings
    from abx_amr.studies.worker import run_worker

    plan = study.plan
    check_settings(plan, study.storage)
    with study.display() as move:

        def run_trial(
            parameters: Mapping[str, Any], seeds: Sequence[int], folder: Path
        ) -> list[SeedOutcome]:
            return study.run_trial(parameters, seeds, folder, on_progress=move)

        report = run_worker(plan, study.storage, run_trial, _show)
    _end(report)
    if report.reason == "budget" and not plan.wait:
        _finish_for_nobody(study)
    return 0.0


def _show(event: Event) -> None:
    where = f"[{event.finished}/{event.budget}]"
    if event.kind == "trial_finished":
        value = "failed on all seeds" if event.value is None else f"{event.value:.3f}"
        print(f"{where} trial {event.number}: {value}  {_short(event.params)}", flush=True)
    elif event.kind in ("trial_failed", "trial_reaped"):
        print(f"{where} trial {event.number}: {event.message}", flush=True)


def _end(report: WorkerReport) -> None:
    """Say why a worker stopped, where the study does not say it; leave if it was told to."""
    if report.was_interrupted:
        print(report.message, file=sys.stderr)
        raise SystemExit(128 + (report.signal_number or signal.SIGINT))
    if report.reason == "failures":
        raise InputError(report.message)
    if report.reason == "time limit":
        print(f"{report.message}: run the same command again to go on", file=sys.stderr)
        raise SystemExit(TEMPORARY)
    if report.reason != "budget":
        print(report.message)


def _run_job(study: _Study, *, number: int, seed: int) -> float:
    """Train one seed of one trial and leave its result in the trial's folder."""
    from abx_amr.runs.folder import read_trial_parameters
    from abx_amr.studies.study import TRIALS_FOLDER

    folder = study.plan.folder / TRIALS_FOLDER / str(number)
    point = read_trial_parameters(folder)
    if point["fingerprint"] != study.plan.fingerprint.digest:
        raise InputError(
            f"Configuration Mismatch Detected: trial {number} was begun with other settings than "
            "this job has composed; run the same command again to go on with the study's own"
        )
    (outcome,) = study.run_trial(point["parameters"], [seed], folder)
    said = outcome.failure_reason or f"{outcome.episode_return:.3f}"
    print(f"trial {number}, seed {seed}: {said}")
    return 0.0


def _finish_for_nobody(study: _Study) -> None:
    """Write a complete study's results and figures where nobody waits to do so."""
    from abx_amr.runs.figures import draw_study
    from abx_amr.studies.study import is_first_to_draw
    from abx_amr.studies.tables import trials_table

    plan = study.plan
    summary = _finished(study)
    if study.config["figures"] and is_first_to_draw(plan, study.storage):
        draw_study(plan.folder, trials_table(plan, study.storage), direction=plan.direction)
    _report(summary, plan)


def _score_once(study: _Study) -> float:
    """Score the composed configuration the way a trial is scored; write nothing."""
    from abx_amr.cli.progress import progress_bar
    from abx_amr.studies.objective import score_outcomes

    plan = study.plan
    with progress_bar(plan.run_name, "transitions") as move:
        outcomes = study.run_trial({}, plan.seeds(0), None, on_progress=move)
    score = score_outcomes(
        outcomes,
        penalty_weight=plan.penalty_weight,
        direction=plan.direction,
        min_successful_seeds=plan.min_successful_seeds,
    )
    for outcome in outcomes:
        said = outcome.failure_reason or f"{outcome.episode_return:.3f}"
        print(f"seed {outcome.seed}: {said}")
    print(f"value {score.value:.3f} (mean {score.mean_reward}, std {score.std_reward})")
    return score.value


def _shown(path: Path) -> str:
    """Return a path as the user would write it: relative where it lies below the working folder."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _short(parameters: Mapping[str, Any]) -> str:
    return " ".join(
        f"{path.rsplit('.', 1)[-1]}={f'{value:.4g}' if isinstance(value, float) else value}"
        for path, value in parameters.items()
    )


def _report(summary: StudySummary, plan: StudyPlan, *, n_best: int = 1) -> None:
    from abx_amr.configuration.values import CLINIC_SECTIONS

    content = summary.content
    best = content["best_trial"]
    print(
        f"{counted(summary.n_finished, 'trial')} finished of {summary.budget}, "
        f"in {_shown(plan.folder)}"
    )
    if best is None:
        print("no trial has a finite value yet")
        return
    print(
        f"best value {best['value']:.3f} (trial {best['number']}): mean {best['mean_reward']:.3f}, "
        f"std over seeds {best['std_reward']:.3f}, lambda {plan.penalty_weight}"
    )
    if n_best > 1:
        print(
            f"{n_best} trials share this value: their agents act alike, and the study cannot tell "
            "them apart (more tuning.truncated_episodes or evaluation episodes would)"
        )
    if "optimum" in best:
        print(gap_line(best))
    effective = best.get("effective_values") or {}
    print(f"  {'parameter':<36} {'value':<24} read back from the agent")
    for path, value in best["params"].items():
        print(f"  {path:<36} {value!s:<24} {effective.get(path)}")
    if summary.is_complete:
        # A manager's library and settings are the study's own: abx-train takes them from there.
        sections = ("experiment", *CLINIC_SECTIONS, "agent_algorithm", "optimization_dir")
        same = repeated(*sections, leaving_out=best["params"])
        source = shlex.quote(f"best_params_from={plan.run_name}")
        print(f"train with them:  abx-train {source}{same}")
    else:
        print("unfinished: run the same command again to go on")


def _no_tuning() -> str:
    from abx_amr.configuration.groups import available

    choices = [c for c in available("tuning") if c != "base"]
    return f"no tuning configuration is chosen: add +tuning=NAME (available: {', '.join(choices)})"


def _complete(composition: Composition, overrides: Sequence[str]) -> list[str]:
    """Return the default run_name: the tuning choice."""
    choice = composition.choices.get("tuning")
    if choice is None:
        raise InputError(_no_tuning())
    if composition.config.run_name is not None:
        return []
    print(f"run_name={choice}")
    return [f"run_name={choice}"]


task = TuneTask()


def main() -> None:
    """Enter through the command line."""
    enter(
        Command(
            name="abx-tune",
            config_name="tune",
            help=HELP,
            task=task,
            complete=_complete,
            after_interrupt=None,
        )
    )


if __name__ == "__main__":
    # By its own name, so that workers elsewhere find the task.
    from abx_amr.cli.tune import main as enter_by_name

    enter_by_name()
