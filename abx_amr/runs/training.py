"""Training and playing: build -> learn -> evaluate -> save; going on after an interruption."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from abx_amr.agents.prescriber import Agent, Learner
from abx_amr.agents.read_back import read_back
from abx_amr.agents.torch_state import own_draws, set_threads
from abx_amr.errors import InputError, counted
from abx_amr.evaluation.collapse import collapse_of
from abx_amr.evaluation.episodes import Evaluation, Policy, evaluate
from abx_amr.planning.reachable import Prescribing
from abx_amr.runs.callbacks import (
    AfterEvaluation,
    Evaluate,
    KeepBest,
    RecordEvaluation,
    ReportProgress,
    SaveLast,
    StopEarly,
)
from abx_amr.runs.checkpoints import learned_episodes
from abx_amr.runs.evaluations import (
    append_evaluation,
    best_transitions,
    carry_over_evaluations,
)
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.loop import Counters, Trainee, learn
from abx_amr.runs.optimality import prescribing_of, records_patients
from abx_amr.runs.results import write_difference
from abx_amr.runs.run import Run, finish, open_folder, removed_where_in_vain
from abx_amr.runs.tracking import TellEvaluation, TellReturns, Tracks, followed, result_told
from abx_amr.runs.writers import written_here
from abx_amr.simulator.model import ClinicModel

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Opponent:
    """Whom a prescriber is compared with on the same episodes.

    Attributes:
        name: What it is called.
        policy: What prescribes.
        model: The clinic, with what this one sees of it.
        prescribing: What decides what it could reach.
        checkpoint: Which weights it plays, None for a rule.
    """

    name: str
    policy: Policy
    model: ClinicModel
    prescribing: Prescribing
    checkpoint: str | None = None


# --- playing -------------------------------------------------------------------------------------


def execute(
    run: Run,
    *,
    against: Opponent | None = None,
    on_progress: Progress | None = None,
) -> RunFolder:
    """Train (or, for a rule or a trained policy, only play); return the finished run folder.

    Args:
        run: what to run.
        against: whom to compare with on the same episodes; only for what is played.
        on_progress: called with (transitions seen, transitions planned) after every update.

    Raises:
        InputError: the agent rejects its arguments; nothing is written then.
    """
    if isinstance(run.prescriber, Learner):
        return run_seeds([run], on_progress=on_progress)[0]
    set_threads(run.settings.threads)
    with removed_where_in_vain([run]):
        folder = open_folder(run)
        started = time.perf_counter()
        final = play(run, run.prescriber)
        append_evaluation(folder, final, transitions=0, seed=run.settings.seed)
        facts: dict[str, Any] = {"transitions": 0, "updates": 0}
        facts |= {"tuned_values": dict(run.tuned), "effective_values": {}}
        if run.weights is not None:
            facts["weights"] = dict(run.weights)
        if against is not None:
            other = play(replace(run, model=against.model), against.policy)
            own = prescribing_of(run.config, run.model, run.prescriber)
            facts["against"] = {
                **write_difference(folder, final, other, name=against.name),
                "checkpoint": against.checkpoint,
                "sees_time": against.prescribing.sees_time,
                "first_sees_time": own.sees_time,
            }
        facts["evaluation_seconds"] = time.perf_counter() - started
        return finish(run, folder, final, facts)


def play(run: Run, policy: Policy) -> Evaluation:
    """Return what a policy does in the evaluation's episodes of a run."""
    with own_draws(run.settings.evaluation_seed):
        return evaluate(
            policy,
            run.model,
            episodes=run.settings.num_eval_episodes,
            seed=run.settings.evaluation_seed,
            deterministic=run.deterministic,
            per_step=True,
            trajectories=_records_patients(run),
        )


def _records_patients(run: Run) -> bool:
    episodes = run.settings.num_eval_episodes
    return run.records_patients or records_patients(run.model, episodes)


# --- training ------------------------------------------------------------------------------------


def run_seeds(runs: Sequence[Run], *, on_progress: Progress | None = None) -> list[RunFolder]:
    """Train runs that differ in their seed alone; return the finished run folders.

    They learn together where their learner can, else one after the other; each gives what it gives
    alone, to the bit.

    Args:
        runs: what to train.
        on_progress: called with (transitions seen, planned), of all runs, after every update.

    Raises:
        InputError: the agent rejects its arguments and nothing is written; or a seed could not go
            on: the others are finished then.
    """
    settings = runs[0].settings
    learner = _learner_of(runs[0])
    set_threads(settings.threads)

    def built(run: Run) -> Trainee:
        agent = _learner_of(run).build(run.model, run.settings)
        return Trainee(agent, run.settings.seed)

    if len(runs) > 1:
        trainees = [built(run) for run in runs]
        # Those that do not keep pace are evaluated at counts that do not coincide.
        if learner.keeps_pace and learner.can_learn_together(trainees[0].agent, settings):
            with removed_where_in_vain(runs):
                return _train(runs, trainees, on_progress=on_progress)
    folders: list[RunFolder] = []
    for done, run in enumerate(runs):

        def report(seen: int, planned: int, done: int = done) -> None:
            if on_progress is not None:
                on_progress(done * planned + seen, len(runs) * planned)

        with removed_where_in_vain([run]):
            folders += _train([run], [built(run)], on_progress=report)
    return folders


def resume(
    run: Run,
    source: RunFolder,
    *,
    trust: bool = False,
    on_progress: Progress | None = None,
) -> RunFolder:
    """Go on from the last checkpoint of `source` in a new folder; return it when finished.

    Weights, optimiser, environment and random generators go on where they stood: an interrupted and
    resumed run equals an uninterrupted one to the bit. `trust` lets the learner's own library run
    what the checkpoint brings.

    Raises:
        InputError: there is no checkpoint, or nothing is left to learn.
    """
    if not isinstance(run.prescriber, Learner):
        raise InputError("resume_from: a fixed rule does not learn, there is nothing to resume")
    set_threads(run.settings.threads)
    checkpoint = source.read_checkpoint("last", trust=trust)
    agent = run.prescriber.restore(checkpoint, run.model, run.settings)
    if run.planned_transitions <= agent.transitions:
        episodes = agent.transitions // run.model.max_time_steps
        raise InputError(
            f"resume_from: {source.path} has learned from {counted(episodes, 'episode')} already: "
            "say how many more with training.additional_episodes=N"
        )
    with removed_where_in_vain([run], useful=("last",)):  # the best is the source's
        folder = open_folder(run)
        carry_over_evaluations(
            source, folder, transitions=agent.transitions, seed=run.settings.seed
        )
        if source.has_checkpoint("best"):
            folder.adopt_checkpoint(source, "best")
        counters = Counters.from_array(checkpoint.state["counters"])
        trainee = Trainee(agent, run.settings.seed, counters=counters)
        return _train([run], [trainee], on_progress=on_progress)[0]


def has_learned_all(run: Run, folder: RunFolder) -> bool:
    """Return whether a run's last checkpoint has learned from all that was planned."""
    return learned_episodes(folder, run.model) >= run.settings.total_num_training_episodes


def _learner_of(run: Run) -> Learner:
    assert isinstance(run.prescriber, Learner)
    return run.prescriber


def _train(
    runs: Sequence[Run], trainees: Sequence[Trainee], *, on_progress: Progress | None
) -> list[RunFolder]:
    """Let the trainees of the runs learn together, then finish each that could."""
    folders = [one.opened[-1] if one.opened else open_folder(one) for one in runs]
    names = {one.settings.seed: one.run_name for one in runs}
    with written_here(folders), followed(runs[0].tracking, names) as tracks:
        return _train_in(folders, runs, trainees, tracks, on_progress=on_progress)


def _train_in(
    folders: Sequence[RunFolder],
    runs: Sequence[Run],
    trainees: Sequence[Trainee],
    tracks: Tracks,
    *,
    on_progress: Progress | None,
) -> list[RunFolder]:
    """Do that in the folders of the runs."""
    run, planned = runs[0], runs[0].planned_transitions
    for one, trainee, folder in zip(runs, trainees, folders, strict=True):
        trainee.agent.log_to(folder.tensorboard)
        left = planned - trainee.agent.transitions
        log.info("%s: training for %s transitions, in %s", one.run_name, left, folder.path)
    trainer = _learner_of(run).trainer([trainee.agent for trainee in trainees], run.settings)
    started = time.perf_counter()

    def report(seen: int) -> None:
        if on_progress is not None:
            on_progress(seen * len(trainees), planned * len(trainees))

    by_seed = {one.seed: folder for one, folder in zip(trainees, folders, strict=True)}
    settings, passed = run.settings, trainees[0].counters
    then: list[AfterEvaluation] = [RecordEvaluation(by_seed)]
    if tracks:
        then.append(TellEvaluation(tracks))
    then += [StopEarly(settings.early_stopping), KeepBest(by_seed)]
    callbacks = (
        Evaluate(
            run.model,
            settings,
            passed=passed.evaluations,
            trajectories=_records_patients(run),
            then=then,
        ),
        SaveLast(
            by_seed, run.model, every=settings.save_freq_every_n_episodes, passed=passed.saves
        ),
        *([TellReturns(tracks, trainees)] if tracks else []),
        ReportProgress(report),
    )
    try:
        with _removal_said(folders):
            learn(trainer, trainees, planned=planned, callbacks=callbacks)
    except KeyboardInterrupt:
        for one, folder in zip(runs, folders, strict=True):
            _log_what_is_kept(one, folder)
        raise
    finally:
        with _writers_of_logs_quiet():
            for trainee in trainees:
                with suppress(OSError):  # of a folder that is gone, or a disk that is full
                    trainee.agent.close_log()
    evaluating = sum(trainee.evaluation_seconds for trainee in trainees)
    training_seconds = (time.perf_counter() - started - evaluating) / len(trainees)
    with _removal_said(folders):
        finished = [
            finish(one, folder, trainee.evaluation, _facts(one, trainee, folder, training_seconds))
            for one, trainee, folder in zip(runs, trainees, folders, strict=True)
            if trainee.evaluation is not None
        ]
    for folder in finished if tracks else []:
        summary = folder.read_summary()
        tracks[summary["seed"]].end(result_told(summary), status="finished")
    failures = {trainee.seed: trainer.failure(trainee.agent) for trainee in trainees}
    reasons = [f"seed {seed}: {reason}" for seed, reason in failures.items() if reason is not None]
    if reasons:
        raise InputError("; ".join(reasons))
    return finished


@contextmanager
def _removal_said(folders: Sequence[RunFolder]) -> Iterator[None]:
    """Raise an InputError where a run's folder is removed meanwhile, and nothing beside it."""
    try:
        with _writers_of_logs_quiet():
            yield
    except OSError as error:
        for folder in folders:
            if not folder.path.is_dir():
                raise InputError(
                    f"{folder.path} was removed while it was trained: run the same command again"
                ) from error
        raise


@contextmanager
def _writers_of_logs_quiet() -> Iterator[None]:
    """Leave out the traceback of a thread that cannot write its log: its owner is told of it."""
    before = threading.excepthook

    def hook(failure: threading.ExceptHookArgs, /) -> None:
        if not issubclass(failure.exc_type, OSError):
            before(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def _log_what_is_kept(run: Run, folder: RunFolder) -> None:
    """Log how far an interrupted run got, as its last checkpoint has it."""
    if folder.has_checkpoint("last"):
        log.warning(
            "%s: learned from %s of %s transitions as kept, in %s",
            run.run_name,
            int(folder.read_checkpoint("last").state["transitions"]),
            run.planned_transitions,
            folder.path,
        )


def _facts(
    run: Run, trainee: Trainee, folder: RunFolder, training_seconds: float
) -> dict[str, Any]:
    """Return what the summary says of a trained agent beside its scores."""
    agent: Agent = trainee.agent
    assert trainee.evaluation is not None
    collapse = collapse_of(
        trainee.evaluation,
        entropy_fell_at=agent.entropy_fell_at,
        planned=run.planned_transitions,
        explores=agent.explores,
        configured=run.config,
    )
    return {
        "transitions": agent.transitions,
        "updates": agent.updates,
        "tuned_values": dict(run.tuned),
        "effective_values": read_back(agent, run.tuned),
        "weights": {"checkpoint": "last", "transitions": agent.transitions},
        "best_return": trainee.counters.best_return,
        "best_transitions": best_transitions(folder, trainee.counters.best_return),
        "stopped_early": trainee.is_stopped,
        "collapse": None if collapse is None else collapse.as_record(),
        "training_seconds": training_seconds,
        "evaluation_seconds": trainee.evaluation_seconds,
    }
