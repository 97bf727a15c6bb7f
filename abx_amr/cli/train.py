"""abx-train: train one agent (or play one fixed rule) in one clinic."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.cli.door import Command, composed, enter, task_of_command
from abx_amr.cli.numbers import figure, interval
from abx_amr.cli.written_report import print_run_report, print_set_report
from abx_amr.errors import counted
from abx_amr.planning.gap import gap_lines
from abx_amr.runs.listening import NOTHING_KEPT, RunListener

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.cli.experiment_set import PrintedSet
    from abx_amr.runs.finished import FinishedRun, TrainResult

HELP = """
abx-train: train an antibiotic prescriber in a simulated clinic, evaluate it, and keep everything.

  abx-train                                             the default clinic, PPO, 1,000 episodes
  abx-train experiment=paper_two agent_algorithm=recurrent_ppo training.seed=7
  abx-train best_params_from=ppo_default                with the best parameters of a study
  abx-train experiment=paper_two 'training.seeds=[1,2,3,4,5]'         several seeds at once
  abx-train resume_from=results/base_ppo_20261123_120000 training.additional_episodes=50
  abx-train -m experiment=paper_single,paper_two 'training.seed=range(1,6)'   many runs

Parts, each a folder in conf/ (GROUP=NAME chooses, KEY=VALUE sets, +KEY=VALUE adds):
  experiment         the umbrella: base, paper_single, paper_two, paper_two_cross_resistant, ...
  antibiotics        formulary: two_cross_resistant, two, single, ...
  patient_generator  population: default, high_risk, low_risk, mixed_risk, heterogeneous, ...
  environment, reward_calculator, amr_dynamics
  agent_algorithm    ppo, a2c, policy_search, recurrent_ppo, dqn, qr_dqn; rules: never, greedy, ...
                     hrl_ppo, hrl_rppo: a manager that chooses options of
  option_library     default_deterministic, heuristic; and hrl: how the manager sees and discounts
  training           seed (or seeds), episodes, evaluations, early stopping, n_envs
  tracker            none, csv, tensorboard, mlflow, wandb: where each seed is followed

Other keys: run_name, results_dir, skip_if_exists, trajectories, figures, report, best_params_from,
  resume_from
The tutorial's -s GROUP-subconfig=FILE and -p KEY=VALUE work too.
  abx-train --cfg job                                   show the composed configuration
Results: results/<run_name>_<timestamp>/ (config, checkpoints, evaluations, figures, summary,
and report.html, a page to send).
"""


def task(config: DictConfig) -> float:
    """Run one training as composed; return the final mean episode return."""
    from abx_amr.host.progress import waiting

    with ExitStack() as until_it_trains:
        until_it_trains.enter_context(waiting("building the clinic and the agent"))
        from abx_amr.runs.train_service import train

        plain, choices, overrides = composed(config)
        listener = PrintedRuns(plain, before_progress=until_it_trains.close)
        result = train(plain, choices=choices, overrides=overrides, listener=listener)
    if len(result.runs) > 1:
        from abx_amr.cli.experiment_set import gather_line

        _report_seeds(result)
        # They are called <name>_seed<seed>.
        name = result.runs[0].run_name.rpartition("_seed")[0]
        print_set_report([run.folder for run in result.runs], name=name, config=plain)
        print(gather_line([plain["results_dir"]]))
    return result.mean_return


class PrintedRuns(RunListener):
    """Prints what happens to runs, writes their pages, and shows a bar on a terminal.

    Args:
        config: The resolved configuration of the command.
        before_progress: Called before a bar is shown.
    """

    def __init__(
        self, config: Mapping[str, Any], before_progress: Callable[[], None] | None = None
    ) -> None:
        self._config = config
        self._before_progress = before_progress

    def skipped(self, run: FinishedRun) -> None:
        """Say that a run is complete already."""
        print(f"{run.run_name} is complete already, skipped: {run.folder}")

    def goes_on(self, run_name: str, source: Path) -> None:
        """Say what an interrupted run goes on from."""
        print(f"{run_name} was interrupted and goes on from {source}")

    def finished(self, run: FinishedRun) -> None:
        """Say what a run is worth, how far from the optimum, and where it lies."""
        from abx_amr.agents.read_back import shown

        low, high = run.mean_return_interval
        best = _best_weights(run)
        whose = "" if run.weights is None else ", of the last weights"
        alike = "" if run.weights is None or best else ", which are the best too"
        print(
            f"mean return {run.mean_return:.2f} (95 % interval {interval(low, high)}, "
            f"{counted(run.n_episodes, 'episode')}), IQM {run.iqm_return:.2f}, "
            f"std {figure(run.std_return)}{whose}{alike}"
        )
        if best:
            print(best)
        print("\n".join(gap_lines(run.summary)))
        if run.collapse is not None:
            print(f"COLLAPSED: {run.collapse['evidence']}; {run.collapse['advice']}")
        for path, value in run.tuned_values.items():
            print(f"  {path} = {value} (the agent: {shown(path, value, run.effective_values)})")
        print(f"results: {run.folder}")
        *commands, last = [
            f"{label + ':':<8} {shlex.join(command)}"
            for label, command in _next_commands(run).items()
        ]
        for command in commands:
            print(command)
        print_run_report(run, self._config)
        print(last)

    def progress(self, run_name: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """Return a bar of transitions."""
        from abx_amr.host.progress import progress_bar

        if self._before_progress is not None:
            self._before_progress()
        return progress_bar(run_name, "transitions")


def _best_weights(run: FinishedRun) -> str | None:
    """Return what is said of a run's best weights, None where they are the last ones."""
    if run.best_return is None or run.best_return == run.mean_return:
        return None
    after = "" if run.best_transitions is None else f" after {run.best_transitions} transitions"
    return (
        f"best weights: {run.best_return:.2f}{after}, in the episodes that chose them; "
        "abx-evaluate and abx-plan play these"
    )


def _next_commands(run: FinishedRun) -> dict[str, list[str]]:
    """Return the command that gives the same numbers again, and for an agent the fair test."""
    evaluate = ["abx-evaluate", f"run={run.folder}"]
    last = [] if run.weights is None else ["checkpoint=last"]
    seed = f"evaluation.seed={run.summary['evaluation_seed']}"
    again = {"again": [*evaluate, *last, seed, f"evaluation.episodes={run.n_episodes}"]}
    return again if run.weights is None else {**again, "test": evaluate}


def _report_seeds(result: TrainResult) -> None:
    over = result.over_seeds
    low, high = over.mean_interval
    print(
        f"over {over.n} seeds: mean {over.mean:.2f} (95 % interval {interval(low, high)}), "
        f"IQM {over.iqm:.2f}, std {figure(over.std)}"
    )


class TrainTask:
    """What Hydra calls: one run, alone or as a member of a set (-m).

    The sweeper calls `prepare` before it launches the runs of a set and `finish` after them; none
    of it composes before `prepare` is called.
    """

    __name__ = "train"

    def __init__(self) -> None:
        self._set: PrintedSet | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_set": None}  # only the command itself sees the whole set

    def __call__(self, config: DictConfig) -> float:
        """Run one training; return the final mean episode return."""
        from abx_amr.cli.experiment_set import is_member, run_member

        if is_member():
            return run_member(task, config)
        return float(task_of_command("abx-train", task)(config))

    def prepare(self, jobs: Sequence[Any], compose: Any) -> list[list[str]]:
        """Name the runs of a set; return the overrides of those to be launched."""
        from abx_amr.cli.experiment_set import PrintedSet

        self._set = PrintedSet()
        return self._set.prepare(jobs, compose)

    def is_ended(self, overrides: Sequence[str]) -> bool:
        """Return whether a run of the set has left a result or a failure."""
        assert self._set is not None
        return self._set.is_ended(overrides)

    def report(self, line: str) -> None:
        """Show a line to the user."""
        print(line, flush=True)

    def finish(self) -> None:
        """Say what came of the set."""
        assert self._set is not None
        self._set.finish()


def main() -> None:
    """Enter through the command line."""
    enter(
        Command(
            name="abx-train",
            config_name="train",
            help=HELP,
            task=TrainTask(),
            after_interrupt=NOTHING_KEPT,
        )
    )


if __name__ == "__main__":
    # By its own name, so that workers elsewhere find the task.
    from abx_amr.cli.train import main as enter_by_name

    enter_by_name()
