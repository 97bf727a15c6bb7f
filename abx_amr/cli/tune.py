"""abx-tune: search for hyper-parameters that learn reliably over seeds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.cli.door import Command, enter, task_of_command
from abx_amr.cli.printed_study import PrintedStudy
from abx_amr.host.exit_codes import FAILURE
from abx_amr.tuning.service import SearchStoppedError, TuneService

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.configuration.composing import Composition
    from abx_amr.tuning.contract import Launch
    from abx_amr.tuning.result import TuneResult

HELP = """
abx-tune: search with Optuna for hyper-parameters that learn reliably. Every trial trains several
seeds; its value is mean - lambda * std of their final evaluation returns.

  abx-tune -m +tuning=ppo_default run_name=first_study
  abx-tune -m +tuning=ppo_default experiment=paper_two tuning.n_trials=30 tuning.n_workers=2
  abx-tune -m +tuning=ppo_default storage=journal hydra/launcher=submitit_slurm \\
      tuning.n_workers=8 tuning.wait=false          one SLURM array; tutorial 8 says more
  abx-tune -m +tuning=ppo_default 'agent_algorithm.learning_rate=tag(log, interval(1e-5, 1e-2))'
  abx-tune -m +tuning=ppo_default,a2c_default     one study each, named by its choices; so does
                                                  experiment=paper_two,paper_single
  abx-tune -m +tuning=ppo_default 'agent_algorithm=choice(ppo,a2c)'    which agent, in one study
  abx-tune +tuning=ppo_default                    score the composed configuration once, no search
  abx-train best_params_from=first_study          then train with what was found

At its end the best points and the default train again on fresh seeds, the winner of these and the
default on held-out ones: the study's result (tuning.final=false leaves it out).

The same command again goes on with an interrupted study, or prints a finished one.

Parts, each a folder in conf/ (GROUP=NAME chooses, KEY=VALUE sets):
  +tuning            ppo_default, a2c_default, recurrent_ppo_default, hrl_ppo_default,
                     hrl_rppo_default, policy_search_default, dqn_default, qr_dqn_default: budget,
                     seeds, search space
  experiment         the umbrella: base, paper_single, paper_two, paper_two_cross_resistant, ...
  storage            sqlite (default), journal, postgres, url
  antibiotics, patient_generator, environment, reward_calculator, amr_dynamics,
  agent_algorithm, training; option_library and hrl for hrl_ppo and hrl_rppo

Often set: run_name, study_name, optimization_dir, overwrite_existing_study=true,
  skip_if_exists=true, tuning.n_trials, tuning.n_seeds_per_trial, tuning.truncated_episodes,
  tuning.n_workers, tuning.wait=false (leave them alone), tuning.parallel=jobs (one per seed),
  tuning.sampler (tpe|random|cmaes|gp|qmc|grid), tuning.stability_penalty_weight,
  report=false (no page)
The tutorial's -s GROUP-subconfig=FILE and -p KEY=VALUE work too.
  abx-tune --cfg job +tuning=ppo_default          show the composed configuration
Results: optimization/<run_name>/ (best_params.json, study_summary.json, trials, figures,
and report.html, a page to send).
"""


class TuneTask(TuneService):
    """What Hydra calls: the service, whose ends are exit statuses."""

    def __call__(self, config: DictConfig) -> float:
        """Work on the study, or score the composed configuration; return the value."""
        return float(task_of_command("abx-tune", _ending(super().__call__))(config))

    def search(self, config: DictConfig, launch: Launch) -> None:
        """Work on the study in batches of trials whose seeds are jobs that `launch` runs."""
        _ending(super().search)(config, launch)

    def finish(self, config: DictConfig) -> TuneResult:
        """Write how far the study is and show it; one of which nothing came ends in FAILURE."""
        result = super().finish(config)
        if result.is_complete and result.best_trial is None:
            print(
                f"abx-tune: error: all {result.n_finished} trials of the study failed: abx-study "
                f"trials {result.run_name} says why",
                file=sys.stderr,
            )
            raise SystemExit(FAILURE)
        return result


def _ending(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return `work` with a search that was stopped shown as one line and its exit status."""

    def ending(*arguments: Any) -> Any:
        try:
            return work(*arguments)
        except SearchStoppedError as stop:
            print(stop, file=sys.stderr)
            raise SystemExit(stop.status) from None

    return ending


def _complete(composition: Composition, overrides: Sequence[str]) -> list[str]:
    """Return the default run_name: the tuning choice."""
    from abx_amr.tuning.study import default_run_name

    named = default_run_name(composition)
    print("\n".join(named), end="\n" if named else "")
    return named


task = TuneTask(PrintedStudy())


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
            runs_each_choice=True,
        )
    )


if __name__ == "__main__":
    # By its own name, so that workers elsewhere find the task.
    from abx_amr.cli.tune import main as enter_by_name

    enter_by_name()
