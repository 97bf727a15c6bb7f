"""What a run is: build -> learn -> evaluate -> save; and how it goes on after an interruption."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from stable_baselines3.common.logger import configure
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from abx_amr.agents.learning import (
    AgentSpec,
    Learner,
    TrainedPolicy,
    build_agent,
    can_learn_together,
    counts_decisions,
    evaluate_agent,
    learner_of,
    own_draws,
    transitions_of,
)
from abx_amr.agents.read_back import read_back
from abx_amr.agents.settings import TrainingSettings
from abx_amr.errors import InputError, counted
from abx_amr.evaluation.episodes import Evaluation, Policy, evaluate
from abx_amr.evaluation.statistics import summarise
from abx_amr.planning.cache import reference
from abx_amr.runs.checkpoints import captured, restored
from abx_amr.runs.folder import CheckpointName, RunFolder
from abx_amr.runs.provenance import provenance
from abx_amr.runs.registry import register_completion

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.simulator.clinic import ClinicModel

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: what is trained or played, in which clinic, and where it is written.

    Args:
        run_name: names the folder.
        results_dir: where run folders stand.
        model: the clinic.
        prescriber: an algorithm to train, or a fixed rule to play.
        settings: the training plan.
        config: the resolved configuration, written as it is.
        overrides: what was said on the command line.
        trajectories: write every step of the final evaluation.
        figures: draw the figures.
        deterministic: the policy's most probable actions, not sampled ones (only what is played).
        tuned: searched path -> value that came from a study.
        origin: what provenance.json says beside the usual (resumed_from, best_params_from).
        opened: the run folders that were opened for it, filled while it runs.
    """

    run_name: str
    results_dir: str
    model: ClinicModel
    prescriber: AgentSpec | Policy
    settings: TrainingSettings
    config: Mapping[str, Any]
    overrides: Sequence[str] = ()
    trajectories: bool = False
    figures: bool = True
    deterministic: bool = True
    tuned: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)
    opened: list[RunFolder] = field(default_factory=list, compare=False)


# --- running -------------------------------------------------------------------------------------


def run(
    plan: Run,
    *,
    against: tuple[str, Policy] | None = None,
    on_progress: Progress | None = None,
) -> RunFolder:
    """Train (or, for a rule or a trained policy, only play); return the finished run folder.

    Args:
        plan: what to run.
        against: name and policy to compare with on the same episodes; only for what is played.
        on_progress: called with (transitions seen, transitions planned) after every update.

    Raises:
        InputError: the agent rejects its arguments; nothing is written then.
    """
    if isinstance(plan.prescriber, AgentSpec):
        return run_seeds([plan], on_progress=on_progress)[0]
    torch.set_num_threads(plan.settings.torch_threads)
    with _nothing_left_in_vain([plan]):
        folder = _open_folder(plan)
        started = time.perf_counter()
        final = _play(plan, plan.prescriber)
        _append(folder, final, transitions=0, seed=plan.settings.seed)
        facts: dict[str, Any] = {}
        if against is not None:
            facts["against"] = _compare(folder, final, against[0], _play(plan, against[1]))
        seconds = time.perf_counter() - started
        return _finish(plan, folder, final, evaluation_seconds=seconds, **facts)


def run_seeds(plans: Sequence[Run], *, on_progress: Progress | None = None) -> list[RunFolder]:
    """Train plans that differ in their seed alone; return the finished run folders.

    They learn together where the seed-batched trainer takes the agent, else one after the other;
    each gives what it gives alone, to the bit.

    Args:
        plans: what to train.
        on_progress: called with (transitions seen, planned), of all plans, after every update.

    Raises:
        InputError: the agent rejects its arguments and nothing is written; or a seed could not go
            on: the others are finished then.
    """
    settings = plans[0].settings
    torch.set_num_threads(settings.torch_threads)

    def member_of(plan: Run) -> _Member:
        assert isinstance(plan.prescriber, AgentSpec)
        return _Member(plan, build_agent(plan.prescriber, plan.model, plan.settings))

    if len(plans) > 1:
        members = [member_of(plan) for plan in plans]
        # Managers count primitive steps, each at its own pace: their evaluations do not coincide.
        agent = members[0].agent
        if can_learn_together(agent, settings) and not counts_decisions(agent):
            with _nothing_left_in_vain(plans):
                return _train(members, on_progress=on_progress)
    folders: list[RunFolder] = []
    for done, plan in enumerate(plans):

        def move(seen: int, total: int, done: int = done) -> None:
            if on_progress is not None:
                on_progress(done * total + seen, len(plans) * total)

        with _nothing_left_in_vain([plan]):
            folders += _train([member_of(plan)], on_progress=move)
    return folders


@contextmanager
def _nothing_left_in_vain(
    plans: Sequence[Run], useful: Sequence[CheckpointName] = ("last", "best")
) -> Iterator[None]:
    """Remove what an interrupt leaves of these runs without a useful checkpoint or a summary."""
    try:
        yield
    except KeyboardInterrupt:
        for folder in (folder for plan in plans for folder in plan.opened):
            if not (folder.is_complete or any(folder.has_checkpoint(name) for name in useful)):
                folder.remove()
        raise


def _play(plan: Run, policy: Policy) -> Evaluation:
    with own_draws(plan.settings.evaluation_seed):
        return evaluate(
            policy,
            plan.model,
            episodes=plan.settings.num_eval_episodes,
            seed=plan.settings.evaluation_seed,
            deterministic=plan.deterministic,
            per_step=True,
            trajectories=plan.trajectories,
        )


def _compare(folder: RunFolder, ours: Evaluation, name: str, theirs: Evaluation) -> dict[str, Any]:
    """Return the paired difference of two evaluations and draw it."""
    from abx_amr.runs.figures import draw_difference

    draw_difference(folder, ours.to_frame(), theirs.to_frame(), other=name)
    return {"name": name, **asdict(ours.difference_from(theirs))}


def resume(plan: Run, source: RunFolder, *, on_progress: Progress | None = None) -> RunFolder:
    """Go on from the last checkpoint of `source` in a new folder; return it when finished.

    Weights, optimiser, environment and random generators go on where they stood: an interrupted and
    resumed run equals an uninterrupted one to the bit.

    Raises:
        InputError: there is no checkpoint, or nothing is left to learn.
    """
    spec = plan.prescriber
    if not isinstance(spec, AgentSpec):
        raise InputError("resume_from: a fixed rule does not learn, there is nothing to resume")
    torch.set_num_threads(plan.settings.torch_threads)
    checkpoint = source.read_checkpoint("last")
    saved = restored(checkpoint, spec, plan.model, plan.settings)
    agent = saved.agent
    total = transitions_of(plan.settings.total_num_training_episodes, plan.model, agent.n_envs)
    if total <= agent.num_timesteps:
        episodes = agent.num_timesteps // plan.model.max_time_steps
        raise InputError(
            f"resume_from: {source.path} has learned from {counted(episodes, 'episode')} already: "
            "say how many more with training.additional_episodes=N"
        )
    with _nothing_left_in_vain([plan], useful=("last",)):  # the best is the source's
        folder = _open_folder(plan)
        table = source.read_evaluations() if source.evaluations_file.is_file() else None
        if table is not None:
            for seen in sorted(
                t for t in table["transitions"].unique() if t <= agent.num_timesteps
            ):
                rows = table[table["transitions"] == seen].drop(columns="transitions")
                folder.append_evaluation(int(seen), {str(c): rows[c].to_numpy() for c in rows})
        if source.option_usage_file.is_file():
            usage = source.read_option_usage()
            for seen in sorted(
                t for t in usage["transitions"].unique() if t <= agent.num_timesteps
            ):
                rows = usage[usage["transitions"] == seen].drop(columns=["transitions", "seed"])
                folder.append_option_usage(int(seen), plan.settings.seed, rows)
        if source.has_checkpoint("best"):
            folder.adopt_checkpoint(source, "best")
        member = _Member(
            plan, agent, folder=folder, counters=_Counters.from_array(checkpoint.state["counters"])
        )
        return _train([member], streams=[saved.streams], on_progress=on_progress)[0]


def _open_folder(plan: Run) -> RunFolder:
    folder = RunFolder.create(plan.results_dir, plan.run_name)
    plan.opened.append(folder)
    folder.write_config(plan.config)
    folder.write_overrides(plan.overrides)
    seeds = {"training": plan.settings.seed, "evaluation": plan.settings.evaluation_seed}
    folder.write_provenance({**provenance(seeds=seeds), **plan.origin})
    return folder


@dataclass
class _Counters:
    """Where a training stands beside its weights: multiples passed, best return, patience."""

    evaluations: int = 0  # multiples of eval_freq_every_n_episodes passed
    saves: int = 0  # multiples of save_freq_every_n_episodes passed
    best_return: float = -math.inf
    without_improvement: int = 0

    def to_array(self) -> np.ndarray:
        counts = [self.evaluations, self.saves, self.best_return, self.without_improvement]
        return np.array(counts, dtype=np.float64)

    @classmethod
    def from_array(cls, values: np.ndarray) -> _Counters:
        evaluations, saves, best, without = values.tolist()[:4]
        return cls(int(evaluations), int(saves), best, int(without))


@dataclass
class _Member:
    """One of the agents that learn at the same time."""

    plan: Run
    agent: OnPolicyAlgorithm
    folder: RunFolder | None = None
    counters: _Counters = field(default_factory=_Counters)
    evaluation_seconds: float = 0.0
    final: Evaluation | None = None
    stopped_early: bool = False

    @property
    def opened(self) -> RunFolder:
        """The run folder, which `_train` opens where there is none yet."""
        assert self.folder is not None
        return self.folder


def _train(
    members: Sequence[_Member],
    *,
    streams: Sequence[Mapping[str, np.ndarray] | None] | None = None,
    on_progress: Progress | None,
) -> list[RunFolder]:
    """Let all members learn, then finish each."""
    plan = members[0].plan
    total = transitions_of(
        plan.settings.total_num_training_episodes, plan.model, members[0].agent.n_envs
    )
    for member in members:
        if member.folder is None:
            member.folder = _open_folder(member.plan)
        member.agent.set_logger(configure(str(member.opened.tensorboard), ["tensorboard"]))
        log.info(
            "%s: training for %s transitions, in %s",
            member.plan.run_name,
            total - member.agent.num_timesteps,
            member.opened.path,
        )
    learner = learner_of([m.agent for m in members], plan.settings, streams=streams)
    started = time.perf_counter()
    try:
        for member in _learn(members, learner, on_progress, total):
            _save(member, learner, "last")
            member.agent.logger.close()
    except KeyboardInterrupt:
        for member in members:
            member.agent.logger.close()
            if not member.opened.has_checkpoint("last"):
                continue
            kept = int(member.opened.read_checkpoint("last").state["transitions"])
            log.warning(
                "%s: learned from %s of %s transitions as kept, in %s",
                member.plan.run_name,
                kept,
                total,
                member.opened.path,
            )
        raise
    evaluating = sum(member.evaluation_seconds for member in members)
    training = (time.perf_counter() - started - evaluating) / len(members)
    folders = [
        _finish(
            member.plan,
            member.opened,
            member.final,
            agent=member.agent,
            best_return=member.counters.best_return,
            stopped_early=member.stopped_early,
            training_seconds=training,
            evaluation_seconds=member.evaluation_seconds,
        )
        for member in members
        if member.final is not None
    ]
    failures = {m.plan.settings.seed: learner.failure(m.agent) for m in members}
    said = [f"seed {seed}: {failure}" for seed, failure in failures.items() if failure is not None]
    if said:
        raise InputError("; ".join(said))
    return folders


def _learn(
    members: Sequence[_Member], learner: Learner, on_progress: Progress | None, total: int
) -> Iterator[_Member]:
    """Learn, evaluate and save at their frequencies; yield each member when it has ended."""
    settings, model = members[0].plan.settings, members[0].plan.model
    going = list(members)
    evaluated = going[0].counters.evaluations
    saved = going[0].counters.saves
    for seen in learner.rollouts(total):
        episodes = seen // model.max_time_steps
        evaluations = episodes // settings.eval_freq_every_n_episodes
        saves = episodes // settings.save_freq_every_n_episodes
        is_evaluated, is_saved = evaluations > evaluated or seen >= total, saves > saved
        evaluated, saved = evaluations, saves
        if is_evaluated or is_saved:
            learner.publish()
        for member in list(going):
            if learner.failure(member.agent) is not None:
                member.final = None
                going.remove(member)
                continue
            if is_evaluated:
                member.counters.evaluations = evaluations
                member.final = _evaluate_and_keep(member, learner)
                early = settings.early_stopping
                member.stopped_early = (
                    early.enabled and member.counters.without_improvement >= early.patience
                )
            if is_saved:
                member.counters.saves = saves
                _save(member, learner, "last")
        if on_progress is not None:
            on_progress(seen * len(members), total * len(members))
        for member in list(going):
            if member.stopped_early or seen >= total:
                yield member
                going.remove(member)
                if member.stopped_early:
                    learner.leave(member.agent)
        if not going:
            return


def _evaluate_and_keep(member: _Member, learner: Learner) -> Evaluation:
    """Evaluate, append to the table, keep the best agent, count evaluations without improvement."""
    began = time.perf_counter()
    plan, agent, counters = member.plan, member.agent, member.counters
    # The steps are kept: early stopping may make this evaluation the one that is drawn.
    evaluation = evaluate_agent(
        agent, plan.model, plan.settings, per_step=True, trajectories=plan.trajectories
    )
    member.evaluation_seconds += time.perf_counter() - began
    _append(member.opened, evaluation, transitions=agent.num_timesteps, seed=plan.settings.seed)
    mean = evaluation.mean_return
    agent.logger.record("eval/mean_return", mean)
    agent.logger.dump(agent.num_timesteps)
    if mean > counters.best_return + plan.settings.early_stopping.min_delta:
        counters.without_improvement = 0
    else:
        counters.without_improvement += 1
    if mean > counters.best_return:
        counters.best_return = mean
        _save(member, learner, "best")
    return evaluation


def _append(folder: RunFolder, evaluation: Evaluation, *, transitions: int, seed: int) -> None:
    """Append an evaluation to the run's tables."""
    folder.append_evaluation(transitions, evaluation.episodes)
    if evaluation.decisions is not None:
        from abx_amr.hierarchy.diagnostics import option_usage

        usage = option_usage(evaluation.decisions_frame())
        folder.append_option_usage(transitions, seed, usage)


def _write_decisions(folder: RunFolder, decisions: pd.DataFrame) -> None:
    """Write a manager's decisions in the final evaluation, and what they say."""
    from abx_amr.hierarchy import diagnostics

    folder.write_decisions(
        decisions,
        {
            "option_by_amr": (diagnostics.option_by_amr(decisions), False),
            "option_transitions": (diagnostics.option_transitions(decisions), True),
            "option_trigrams": (diagnostics.option_trigrams(decisions), False),
        },
    )


def _save(member: _Member, learner: Learner, name: CheckpointName) -> None:
    counters = member.counters.to_array()
    member.opened.write_checkpoint(name, **captured(member.agent, learner, counters=counters))


def _finish(
    plan: Run,
    folder: RunFolder,
    final: Evaluation,
    *,
    agent: OnPolicyAlgorithm | None = None,
    **facts: Any,
) -> RunFolder:
    """Write tables, figures and, last, the summary."""
    steps = final.trajectories_frame()
    if plan.trajectories:
        folder.write_trajectories(steps, final.patients_frame())
    decisions = None if final.decisions is None else final.decisions_frame()
    if decisions is not None:
        _write_decisions(folder, decisions)
    if plan.figures:
        from abx_amr.runs.figures import draw_run

        draw_run(folder, steps, decisions)
    scores = summarise(final.episodes["episode_return"])
    target = plan.config.get("agent_algorithm", {}).get("_target_")
    folder.write_summary(
        {
            "run_name": plan.run_name,
            "algorithm": target,
            "seed": plan.settings.seed,
            "evaluation_seed": plan.settings.evaluation_seed,
            "evaluation_episodes": scores.n,
            "mean_return": scores.mean,
            "std_return": scores.std,
            "iqm_return": scores.iqm,
            "mean_return_interval_95": list(scores.mean_interval),
            **reference(plan.model).gap(scores.mean),
            "transitions": agent.num_timesteps if agent is not None else 0,
            "updates": agent._n_updates if agent is not None else 0,
            "tuned_values": dict(plan.tuned),
            "effective_values": read_back(agent, plan.tuned) if agent is not None else {},
            **facts,
        }
    )
    register_completion(folder, mean_return=scores.mean)
    return folder


def has_learned_all(plan: Run, folder: RunFolder) -> bool:
    """Return whether a run's last checkpoint has learned from all that was planned."""
    return learned_episodes(folder, plan.model) >= plan.settings.total_num_training_episodes


def learned_episodes(source: RunFolder, model: ClinicModel) -> int:
    """Return how many whole episodes the run's last checkpoint has learned from."""
    return int(source.read_checkpoint("last").state["transitions"]) // model.max_time_steps


# --- reading a run back --------------------------------------------------------------------------


def trained_policy(
    folder: RunFolder,
    spec: AgentSpec,
    model: ClinicModel,
    *,
    checkpoint: CheckpointName = "best",
) -> Policy:
    """Return the agent of a run's checkpoint as a policy over a clinic's observations.

    Raises:
        InputError: the folder holds no such checkpoint, or its agent does not fit the clinic.
    """
    saved = folder.read_checkpoint(checkpoint)
    agent = spec.algorithm.load(saved.agent, device="cpu")
    _check_fits(agent, spec, model, name=str(folder.path))
    return cast(Policy, spec.role.prescriber(TrainedPolicy(agent, saved.vec_normalize), model))


def _check_fits(
    agent: OnPolicyAlgorithm, spec: AgentSpec, model: ClinicModel, *, name: str
) -> None:
    """Refuse an agent whose spaces are not those of its role in the clinic, naming both sizes."""
    seen, acted = spec.role.spaces(model)
    expects, gives = agent.observation_space.shape, seen.shape
    if expects != gives:
        raise InputError(
            f"the agent of {name} expects observations of shape {expects}, this clinic gives "
            f"{gives}: patients, visible attributes, antibiotics and features must be those it was "
            "trained with"
        )
    acts, takes = _choices(agent.action_space), _choices(acted)
    if acts != takes:
        raise InputError(f"the agent of {name} acts in {acts}, this clinic takes {takes}")


def _choices(space: Any) -> tuple[int, ...]:
    """Return how many choices an action has, per patient or, for a manager, of options."""
    return tuple(int(n) for n in np.ravel(getattr(space, "nvec", getattr(space, "n", ()))))
