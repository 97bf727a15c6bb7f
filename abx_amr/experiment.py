"""What a run is: build -> learn -> evaluate -> save; and how it goes on after an interruption."""

from __future__ import annotations

import io
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from stable_baselines3.common.logger import configure
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from abx_amr import results
from abx_amr.errors import InputError
from abx_amr.evaluation import Evaluation, Policy, evaluate
from abx_amr.learning import (
    AgentSpec,
    Learner,
    TrainedPolicy,
    TrainingSettings,
    build_agent,
    build_env,
    can_learn_together,
    clinic_env,
    evaluate_agent,
    learner_of,
    own_draws,
    random_state,
    recurrent_state,
    set_random_state,
    set_recurrent_state,
    transitions_of,
)
from abx_amr.planning.cache import reference
from abx_amr.receipts import read_back
from abx_amr.results import CheckpointName, RunFolder
from abx_amr.statistics import summarise

if TYPE_CHECKING:
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
    folder = _open_folder(plan)
    started = time.perf_counter()
    final = _play(plan, plan.prescriber)
    folder.append_evaluation(0, final.episodes)
    facts: dict[str, Any] = {}
    if against is not None:
        facts["against"] = _compare(folder, final, against[0], _play(plan, against[1]))
    return _finish(plan, folder, final, evaluation_seconds=time.perf_counter() - started, **facts)


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
        if can_learn_together(members[0].agent, settings):
            return _train(members, on_progress=on_progress)
    folders: list[RunFolder] = []
    for done, plan in enumerate(plans):

        def move(seen: int, total: int, done: int = done) -> None:
            if on_progress is not None:
                on_progress(done * total + seen, len(plans) * total)

        folders += _train([member_of(plan)], on_progress=move)
    return folders


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
    from abx_amr.plots.folders import draw_difference

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
    gamma = float(spec.arguments.get("gamma", 0.99))
    env = build_env(plan.model, plan.settings, gamma=gamma)
    if isinstance(checkpoint.vec_normalize, VecNormalize):
        assert isinstance(env, VecNormalize)
        checkpoint.vec_normalize.set_venv(env.venv)
        env = checkpoint.vec_normalize
    agent = spec.algorithm.load(checkpoint.agent, env=env, device="cpu", force_reset=False)
    total = transitions_of(plan.settings.total_num_training_episodes, plan.model, agent.n_envs)
    if total <= agent.num_timesteps:
        episodes = agent.num_timesteps // plan.model.max_time_steps
        raise InputError(
            f"resume_from: {source.path} has learned from {episodes} episodes already: "
            "say how many more with training.additional_episodes=N"
        )
    folder = _open_folder(plan)
    table = source.read_evaluations() if source.evaluations_file.is_file() else None
    if table is not None:
        for seen in sorted(t for t in table["transitions"].unique() if t <= agent.num_timesteps):
            rows = table[table["transitions"] == seen].drop(columns="transitions")
            folder.append_evaluation(int(seen), {str(c): rows[c].to_numpy() for c in rows})
    if source.has_checkpoint("best"):
        folder.adopt_checkpoint(source, "best")
    clinic_env(agent).clinic.restore(_part(checkpoint.state, "clinic"))
    set_recurrent_state(agent, _part(checkpoint.state, "memory"))
    set_random_state(_part(checkpoint.state, "random"))
    member = _Member(
        plan, agent, folder=folder, counters=_Counters.from_array(checkpoint.state["counters"])
    )
    streams = _part(checkpoint.state, "stream")
    return _train([member], streams=streams or None, on_progress=on_progress)[0]


def _part(state: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}


def _open_folder(plan: Run) -> RunFolder:
    folder = RunFolder.create(plan.results_dir, plan.run_name)
    folder.write_config(plan.config)
    folder.write_overrides(plan.overrides)
    seeds = {"training": plan.settings.seed, "evaluation": plan.settings.evaluation_seed}
    folder.write_provenance({**results.provenance(seeds=seeds), **plan.origin})
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
    streams: Mapping[str, np.ndarray] | None = None,
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
        log.info("%s: %s transitions in %s", member.plan.run_name, total, member.opened.path)
    learner = learner_of([m.agent for m in members], plan.settings, streams=streams)
    started = time.perf_counter()
    try:
        for member in _learn(members, learner, on_progress, total):
            _save(member, learner, "last")
            member.agent.logger.close()
    except KeyboardInterrupt:
        for member in members:
            if member.opened.has_checkpoint("last"):
                log.warning("go on with: abx-train resume_from=%s", member.opened.path)
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
    member.opened.append_evaluation(agent.num_timesteps, evaluation.episodes)
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


def _save(member: _Member, learner: Learner, name: CheckpointName) -> None:
    agent = member.agent
    weights = io.BytesIO()
    agent.save(weights)
    state = {f"clinic.{k}": v for k, v in clinic_env(agent).clinic.state().items()}
    state.update((f"memory.{k}", v) for k, v in recurrent_state(agent).items())
    state.update((f"random.{k}", v) for k, v in random_state().items())
    state.update((f"stream.{k}", v) for k, v in learner.streams(agent).items())
    state["counters"] = member.counters.to_array()
    state["transitions"] = np.array(agent.num_timesteps)
    member.opened.write_checkpoint(
        name,
        agent=weights.getvalue(),
        state=state,
        vec_normalize=agent.get_vec_normalize_env(),
    )


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
    if plan.figures:
        from abx_amr.plots.folders import draw_run

        draw_run(folder, steps)
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
    results.register_completion(folder, mean_return=scores.mean)
    return folder


def learned_episodes(source: RunFolder, model: ClinicModel) -> int:
    """Return how many whole episodes the run's last checkpoint has learned from."""
    return int(source.read_checkpoint("last").state["transitions"]) // model.max_time_steps


# --- reading a run back --------------------------------------------------------------------------


def trained_policy(
    folder: RunFolder, algorithm: type[OnPolicyAlgorithm], *, checkpoint: CheckpointName = "best"
) -> TrainedPolicy:
    """Return the policy of a run's checkpoint.

    Raises:
        InputError: the folder holds no such checkpoint.
    """
    saved = folder.read_checkpoint(checkpoint)
    return TrainedPolicy(algorithm.load(saved.agent, device="cpu"), saved.vec_normalize)


def check_fits(policy: Policy, model: ClinicModel, *, name: str) -> None:
    """Refuse an agent whose spaces are not the clinic's.

    Raises:
        InputError: naming both sizes.
    """
    if not isinstance(policy, TrainedPolicy):
        return
    expects, gives = policy.agent.observation_space.shape, (model.layout.size,)
    if expects != gives:
        raise InputError(
            f"the agent of {name} expects observations of shape {expects}, this clinic gives "
            f"{gives}: patients, visible attributes, antibiotics and features must be those it was "
            "trained with"
        )
    acts = tuple(getattr(policy.agent.action_space, "nvec", ()))
    takes = (model.num_treatments,) * model.num_patients_per_time_step
    if acts != takes:
        raise InputError(f"the agent of {name} acts in {acts}, this clinic takes {takes}")
