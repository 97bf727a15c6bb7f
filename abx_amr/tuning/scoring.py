"""What a trial's seeds are worth: each learns and is evaluated once, at its end.

A seed that is saved on the way goes on from there, and gives what it would have given, to the bit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from abx_amr.agents.learning import (
    AgentSpec,
    Learner,
    build_agent,
    can_learn_together,
    counts_decisions,
    learner_of,
    own_draws,
    policy_of,
    silent_logger,
    transitions_of,
)
from abx_amr.agents.read_back import effective_values
from abx_amr.agents.settings import TrainingSettings
from abx_amr.evaluation.episodes import episode_returns
from abx_amr.runs.checkpoint_file import read_checkpoint, write_checkpoint
from abx_amr.runs.checkpoints import Restored, captured, restored
from abx_amr.tuning.seed_files import seed_checkpoint_file

if TYPE_CHECKING:
    from abx_amr.simulator.clinic import ClinicModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SeedScore:
    """What one seed of a trial gives back; seeds that learned together share their seconds."""

    episode_return: float
    returns: tuple[float, ...]
    effective_values: Mapping[str, Any]
    transitions: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Where a trial's seeds are saved while they learn, and how often.

    Args:
        folder: the trial's.
        interval: seconds between two saves.
        identities: seed -> what its training follows from; another one's checkpoint is not used.
    """

    folder: Path
    interval: float
    identities: Mapping[int, str]

    def write(self, seed: int, agent: OnPolicyAlgorithm, learner: Learner) -> None:
        """Save a seed; a disk that is full costs the checkpoint alone."""
        file = seed_checkpoint_file(self.folder, seed)
        identity = np.array(self.identities[seed])
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_checkpoint(file, **captured(agent, learner, identity=identity))
        except OSError as error:
            log.warning("no checkpoint of seed %d: %s", seed, error)

    def begun(
        self, seed: int, spec: AgentSpec, model: ClinicModel, settings: TrainingSettings
    ) -> Restored | None:
        """Return the seed as it was saved, None where it was not."""
        file = seed_checkpoint_file(self.folder, seed)
        try:
            checkpoint = read_checkpoint(file)
            if str(checkpoint.state["identity"]) != self.identities[seed]:
                return None
            return restored(checkpoint, spec, model, settings)
        except FileNotFoundError:
            return None
        except Exception as error:  # of whichever library can no longer read it
            log.warning("%s cannot be used, the seed begins again: %s", file, error)
            return None


def train_and_score(
    spec: AgentSpec,
    model: ClinicModel,
    settings: TrainingSettings,
    *,
    seeds: Sequence[int],
    searched: Mapping[str, str],
    on_progress: Callable[[int, int], None] | None = None,
    on_score: Callable[[int, SeedScore | Exception], None] | None = None,
    saving: Saving | None = None,
) -> dict[int, SeedScore | Exception]:
    """Return each seed's score, or why it has none: learn, evaluate the last weights once.

    Seeds learn together where the seed-batched trainer takes the agent, else one after the other.

    Args:
        spec: the algorithm.
        model: the clinic.
        settings: the training plan; each seed takes the place of its own.
        seeds: the agents' seeds.
        searched: configuration path -> attribute of the built agent (see receipts.py).
        on_progress: called with (transitions seen, planned), of all seeds, after every update.
        on_score: called with each seed's outcome as soon as there is one.
        saving: where seeds are saved, and go on from (default: nowhere).
    """
    outcomes: dict[int, SeedScore | Exception] = {}
    total = transitions_of(settings.total_num_training_episodes, model, settings.n_envs)

    def note(seed: int, score: SeedScore | Exception) -> None:
        outcomes[seed] = score
        if on_score is not None:
            on_score(seed, score)

    def begin(seed: int) -> Restored:
        mine = replace(settings, seed=seed)
        saved = None if saving is None else saving.begun(seed, spec, model, mine)
        return saved or Restored(build_agent(spec, model, mine), None)

    def train(group: Mapping[int, Restored]) -> None:
        def move(seen: int) -> None:
            if on_progress is not None:
                on_progress(len(outcomes) * total + len(group) * seen, len(seeds) * total)

        scores = _score(
            group,
            model,
            settings,
            searched=searched,
            total=total,
            on_progress=move,
            saving=saving,
        )
        for seed, score in scores.items():
            note(seed, score)

    try:
        begun = {seed: begin(seed) for seed in seeds}
        if len(seeds) > 1 and can_learn_together(begun[seeds[0]].agent, settings):
            for seen in sorted({one.agent.num_timesteps for one in begun.values()}):
                train({s: one for s, one in begun.items() if one.agent.num_timesteps == seen})
    except Exception:
        log.debug("seeds %s failed together, each is tried alone", seeds, exc_info=True)
    for seed in [seed for seed in seeds if seed not in outcomes]:
        try:
            train({seed: begin(seed)})
        except Exception as error:
            log.debug("seed %s failed", seed, exc_info=True)
            note(seed, error)
    return {seed: outcomes[seed] for seed in seeds}


def _returns(
    learner: Learner,
    agents: Sequence[OnPolicyAlgorithm],
    model: ClinicModel,
    settings: TrainingSettings,
) -> np.ndarray:
    """Return the agents' returns (S, N) in the evaluation episodes.

    They are played side by side; only managers, who decide at different steps, play by themselves.
    """
    apart = counts_decisions(agents[0])
    groups = [[agent] for agent in agents] if apart else [list(agents)]
    with own_draws(settings.evaluation_seed):
        return np.concatenate(
            [
                episode_returns(
                    policy_of(group[0]) if apart else learner.policy(group),
                    model,
                    episodes=settings.num_eval_episodes,
                    seed=settings.evaluation_seed,
                    copies=len(group),
                )
                for group in groups
            ]
        )


def _score(
    group: Mapping[int, Restored],
    model: ClinicModel,
    settings: TrainingSettings,
    *,
    searched: Mapping[str, str],
    total: int,
    on_progress: Callable[[int], None],
    saving: Saving | None,
) -> dict[int, SeedScore | Exception]:
    """Return what each agent of a group scores, or why it could not go on."""
    started = saved_at = time.perf_counter()
    agents = [one.agent for one in group.values()]
    for agent in agents:
        agent.set_logger(silent_logger())
    learner = learner_of(agents, settings, streams=[one.streams for one in group.values()])
    # A manager that was saved may have reached its end, while others had not.
    is_left = agents[0].num_timesteps < total
    for seen in learner.rollouts(total) if is_left else ():
        on_progress(seen)
        is_due = saving is not None and time.perf_counter() - saved_at >= saving.interval
        if saving is not None and is_due and seen < total:
            learner.publish()
            for seed, one in group.items():
                if learner.failure(one.agent) is None:
                    saving.write(seed, one.agent, learner)
            saved_at = time.perf_counter()
    if is_left:
        learner.publish()
    learned = [agent for agent in agents if learner.failure(agent) is None]
    returns = _returns(learner, learned, model, settings) if learned else np.empty((0, 0))
    seconds = (time.perf_counter() - started) / len(agents)
    scores: dict[int, SeedScore | Exception] = {}
    rows = iter(returns)
    for seed, one in group.items():
        failure = learner.failure(one.agent)
        if failure is not None:
            scores[seed] = failure
            continue
        row = next(rows)
        scores[seed] = SeedScore(
            episode_return=float(row.mean()),
            returns=tuple(float(r) for r in row),
            effective_values=effective_values(one.agent, searched),
            transitions=one.agent.num_timesteps,
            seconds=seconds,
        )
    return scores
