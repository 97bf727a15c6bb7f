"""What a trial's seeds are worth: each learns and is evaluated once, at its end.

A seed that is saved on the way goes on from there, and gives what it would have given, to the bit.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from abx_amr.agents.prescriber import Agent, Learner
from abx_amr.agents.read_back import effective_values
from abx_amr.agents.settings import TrainingSettings, transitions_of
from abx_amr.evaluation.collapse import kind_of_collapse
from abx_amr.evaluation.tally import Tally
from abx_amr.runs.callbacks import ReportProgress
from abx_amr.runs.loop import Callback, Trainee, learn
from abx_amr.runs.tracking import TellReturns, Tracks
from abx_amr.tuning.curves import Curve, KeepCurves
from abx_amr.tuning.saving import EndEarly, SaveSeeds, Saving

if TYPE_CHECKING:
    from abx_amr.simulator.model import ClinicModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SeedScore:
    """What one seed of a trial gives back; seeds that learned together share their seconds.

    `collapse` is the kind to which its policy has collapsed, see `evaluation.collapse`; `curve`
    what it earned while it learned, see `tuning.curves`; `final_amr` the mean level of each
    antibiotic at the end of its evaluation's episodes; `treatments` whom these gave what, see
    `evaluation.tally`.
    """

    episode_return: float
    returns: tuple[float, ...]
    effective_values: Mapping[str, Any]
    transitions: int
    seconds: float
    collapse: str | None = None
    curve: Curve = ()
    final_amr: Mapping[str, float] = field(default_factory=dict)
    treatments: Mapping[str, Any] = field(default_factory=dict)


def train_and_score(
    learner: Learner,
    model: ClinicModel,
    settings: TrainingSettings,
    *,
    seeds: Sequence[int],
    searched: Mapping[str, str],
    on_progress: Callable[[int, int], None] | None = None,
    on_return: Callable[[float], None] | None = None,
    on_score: Callable[[int, SeedScore | Exception], None] | None = None,
    saving: Saving | None = None,
    episodes: int | None = None,
    tracks: Tracks | None = None,
) -> dict[int, SeedScore | Exception]:
    """Return each seed's score, or why it has none: learn, evaluate the last weights once.

    Seeds learn together where their learner can, else one after the other.

    Args:
        learner: the algorithm.
        model: the clinic.
        settings: the training plan; each seed takes the place of its own.
        seeds: the agents' seeds.
        searched: configuration path -> where the built agent shows it (see agents/read_back.py).
        on_progress: called with (transitions seen, planned), of all seeds, after every update.
        on_return: called with the mean return of the latest episodes of all that learn, after every
            update.
        on_score: called with each seed's outcome as soon as there is one.
        saving: where seeds are saved, and go on from (default: nowhere).
        episodes: those after which training ends before what is planned, at the first update that
            reaches them; it is saved as it ends (default: what is planned).
        tracks: who follows each seed (default: nobody).
    """
    outcomes: dict[int, SeedScore | Exception] = {}
    planned = transitions_of(
        settings.total_num_training_episodes, model.max_time_steps, settings.n_envs
    )

    end = planned
    if episodes is not None:
        end = min(planned, transitions_of(episodes, model.max_time_steps, settings.n_envs))

    def take_in(seed: int, score: SeedScore | Exception) -> None:
        outcomes[seed] = score
        if on_score is not None:
            on_score(seed, score)

    begun_curves: dict[int, Curve] = {}

    def begin(seed: int) -> Agent:
        own = replace(settings, seed=seed)
        saved = None if saving is None else saving.begun(learner, model, own)
        agent, begun_curves[seed] = saved or (learner.build(model, own), ())
        return agent

    def train(agents: Mapping[int, Agent]) -> None:
        def report(seen: int) -> None:
            if on_progress is not None:
                done = len(outcomes) * end + len(agents) * min(seen, end)
                on_progress(done, len(seeds) * end)
            if on_return is not None:
                found = [agent.training_return for agent in agents.values()]
                earned = [one for one in found if one is not None and math.isfinite(one)]
                if earned:
                    on_return(math.fsum(earned) / len(earned))

        curves = KeepCurves(agents, begun_curves)
        callbacks: list[Callback] = [ReportProgress(report), curves]
        if saving is not None:
            callbacks.append(SaveSeeds(saving, curves))
        if episodes is not None:
            callbacks.append(EndEarly(end, saving, curves))
        scores = _score(
            learner,
            agents,
            model,
            settings,
            searched=searched,
            planned=planned,
            end=end,
            callbacks=callbacks,
            tracks=tracks,
        )
        for seed, score in scores.items():
            if isinstance(score, SeedScore):
                score = replace(score, curve=curves.of(seed))
            take_in(seed, score)

    try:
        begun = {seed: begin(seed) for seed in seeds}
        # Those of a pace of their own reach the count at updates that do not coincide.
        is_together = episodes is None or learner.keeps_pace
        if len(seeds) > 1 and is_together and learner.can_learn_together(begun[seeds[0]], settings):
            for seen in sorted({agent.transitions for agent in begun.values()}):
                train({s: agent for s, agent in begun.items() if agent.transitions == seen})
    except Exception:
        log.debug("seeds %s failed together, each is tried alone", seeds, exc_info=True)
    for seed in [seed for seed in seeds if seed not in outcomes]:
        try:
            train({seed: begin(seed)})
        except Exception as error:
            log.debug("seed %s failed", seed, exc_info=True)
            take_in(seed, error)
    return {seed: outcomes[seed] for seed in seeds}


def _score(
    learner: Learner,
    agents: Mapping[int, Agent],
    model: ClinicModel,
    settings: TrainingSettings,
    *,
    searched: Mapping[str, str],
    planned: int,
    end: int,
    callbacks: Sequence[Callback],
    tracks: Tracks | None = None,
) -> dict[int, SeedScore | Exception]:
    """Return what each seed's agent scores when all have learned, or why it could not go on."""
    started = time.perf_counter()
    trainees = [Trainee(agent, seed) for seed, agent in agents.items()]
    if tracks:
        callbacks = [*callbacks, TellReturns(tracks, trainees)]
    for agent in agents.values():
        agent.log_to(None)
    trainer = learner.trainer([*agents.values()], settings)
    # Those of a pace of their own may have been saved at their end, while others were not there.
    if trainees[0].agent.transitions < end:
        learn(trainer, trainees, planned=planned, callbacks=callbacks)
    learned = [agent for agent in agents.values() if trainer.failure(agent) is None]
    tally = Tally.of(model, agents=len(learned))
    returns = np.empty((0, 0))
    if learned:
        returns = trainer.returns(learned, model, settings, tally=tally)
    seconds = (time.perf_counter() - started) / len(agents)
    scores: dict[int, SeedScore | Exception] = {}
    rows = iter((row, tally.agent(place)) for place, row in enumerate(returns))
    for seed, agent in agents.items():
        failure = trainer.failure(agent)
        if failure is not None:
            scores[seed] = failure
            continue
        row, did = next(rows)
        scores[seed] = SeedScore(
            episode_return=float(row.mean()),
            returns=tuple(float(r) for r in row),
            effective_values=effective_values(agent, searched),
            transitions=agent.transitions,
            seconds=seconds,
            final_amr=dict(zip(model.antibiotics, map(float, did.final_amr[0]), strict=True)),
            treatments=did.as_record(),
            collapse=kind_of_collapse(
                did.treatments[0],
                entropy_fell_at=agent.entropy_fell_at,
                planned=end,
                explores=agent.explores,
            ),
        )
    return scores
