"""What is done between the updates of a training: evaluate, keep, save, stop early, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from abx_amr.agents.settings import EarlyStopping, TrainingSettings
from abx_amr.agents.torch_state import own_draws
from abx_amr.evaluation.episodes import Evaluation, evaluate
from abx_amr.runs.checkpoints import captured
from abx_amr.runs.evaluations import append_evaluation
from abx_amr.runs.folder import CheckpointName, RunFolder
from abx_amr.runs.loop import Callback, Moment, Trainee
from abx_amr.simulator.model import ClinicModel

Folders = Mapping[int, RunFolder]  # seed -> where its run is written


class AfterEvaluation(Protocol):
    """What follows an evaluation, for one agent."""

    def __call__(self, trainee: Trainee, evaluation: Evaluation) -> None:
        """Do it; the trainee's agent is as it was evaluated."""
        ...


class Evaluate(Callback):
    """Evaluates every so many episodes, and at the end."""

    def __init__(
        self,
        model: ClinicModel,
        settings: TrainingSettings,
        *,
        passed: int = 0,
        trajectories: bool = False,
        then: Sequence[AfterEvaluation] = (),
    ) -> None:
        """Begin after the evaluations that a resumed training has `passed`."""
        self.model = model
        self.settings = settings
        self.trajectories = trajectories
        self.then = then
        self._passed = passed

    def is_due(self, moment: Moment) -> bool:
        """Return whether a multiple of eval_freq_every_n_episodes was passed, or the end."""
        before, self._passed = (
            self._passed,
            _multiples(moment, self.model, self.settings.eval_freq_every_n_episodes),
        )
        return self._passed > before or moment.is_last

    def act(self, trainee: Trainee, moment: Moment) -> None:
        """Evaluate on the paired episodes of the evaluation seed."""
        trainee.counters.evaluations = self._passed
        began = time.perf_counter()
        with own_draws(self.settings.evaluation_seed):
            # The steps are kept: early stopping may make this evaluation the one that is drawn.
            evaluation = evaluate(
                trainee.agent.policy(),
                self.model,
                episodes=self.settings.num_eval_episodes,
                seed=self.settings.evaluation_seed,
                per_step=True,
                trajectories=self.trajectories,
            )
        trainee.evaluation_seconds += time.perf_counter() - began
        trainee.evaluation = evaluation
        for follow in self.then:
            follow(trainee, evaluation)


@dataclass(frozen=True)
class RecordEvaluation:
    """Appends an evaluation to the run's tables and logs its mean return."""

    folders: Folders

    def __call__(self, trainee: Trainee, evaluation: Evaluation) -> None:
        """Record it at the agent's present count of transitions."""
        agent = trainee.agent
        folder = self.folders[trainee.seed]
        append_evaluation(folder, evaluation, transitions=agent.transitions, seed=trainee.seed)
        agent.log("eval/mean_return", evaluation.mean_return)


@dataclass(frozen=True)
class StopEarly:
    """Counts evaluations without improvement and, where enabled, stops when patience is out."""

    settings: EarlyStopping

    def __call__(self, trainee: Trainee, evaluation: Evaluation) -> None:
        """Compare with the best so far; before `KeepBest`."""
        counters = trainee.counters
        if evaluation.mean_return > counters.best_return + self.settings.min_delta:
            counters.without_improvement = 0
        else:
            counters.without_improvement += 1
        trainee.is_stopped = (
            self.settings.enabled and counters.without_improvement >= self.settings.patience
        )


@dataclass(frozen=True)
class KeepBest:
    """Keeps the agent of the best evaluation as checkpoint `best`."""

    folders: Folders

    def __call__(self, trainee: Trainee, evaluation: Evaluation) -> None:
        """Write the checkpoint if this evaluation is better than all before."""
        if evaluation.mean_return > trainee.counters.best_return:
            trainee.counters.best_return = evaluation.mean_return
            _save(self.folders[trainee.seed], trainee, "best")


class SaveLast(Callback):
    """Saves checkpoint `last` every so many episodes, and when a training has ended."""

    def __init__(
        self, folders: Folders, model: ClinicModel, *, every: int, passed: int = 0
    ) -> None:
        """Save every so many episodes, after those saves that a resumed training has `passed`."""
        self.folders = folders
        self.model = model
        self.every = every
        self._passed = passed

    def is_due(self, moment: Moment) -> bool:
        """Return whether a multiple of save_freq_every_n_episodes was passed."""
        before, self._passed = self._passed, _multiples(moment, self.model, self.every)
        return self._passed > before

    def act(self, trainee: Trainee, moment: Moment) -> None:
        """Save the agent."""
        trainee.counters.saves = self._passed
        self.at_end(trainee)

    def at_end(self, trainee: Trainee) -> None:
        """Save the agent as its training ended."""
        _save(self.folders[trainee.seed], trainee, "last")


class ReportProgress(Callback):
    """Tells how many transitions every agent has seen."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self.report = report

    def after_update(self, moment: Moment) -> None:
        """Report the count after every update."""
        self.report(moment.transitions)


def _multiples(moment: Moment, model: ClinicModel, episodes: int) -> int:
    """Return how many multiples of so many episodes have been passed."""
    return moment.transitions // model.max_time_steps // episodes


def _save(folder: RunFolder, trainee: Trainee, name: CheckpointName) -> None:
    counters = trainee.counters.to_array()
    folder.write_checkpoint(name, **captured(trainee.agent, counters=counters))
