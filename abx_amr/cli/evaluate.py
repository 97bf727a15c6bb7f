"""abx-evaluate: play a trained agent or a fixed rule through paired episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abx_amr.cli.door import Command, composed, enter, task_of_command
from abx_amr.cli.numbers import figure, interval
from abx_amr.cli.written_report import print_run_report
from abx_amr.errors import counted
from abx_amr.planning.gap import gap_lines

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.runs.finished import EvaluateResult

HELP = """
abx-evaluate: play a trained agent or a fixed rule through paired episodes: the same evaluation seed
means the same patients and the same luck, whoever prescribes.

  abx-evaluate run=results/base_ppo_20261123_120000
  abx-evaluate run=base_ppo experiment=paper_degraded evaluation.episodes=500
  abx-evaluate agent_algorithm=greedy experiment=paper_two against=never
  abx-evaluate agent_algorithm=amr_threshold agent_algorithm.threshold=0.1 experiment=paper_two

  run                a run folder, or the run_name of the newest one; its own clinic unless told
  agent_algorithm    without run: a rule (never, random, always_best, greedy, myopic, amr_threshold,
                     risk_stratified, cycling), or optimal, which knows the parameters
  against            another run or rule: the paired difference of the two, with its figure;
                     a rule with parameters: 'against={rule: amr_threshold, threshold: 0.02}'
  checkpoint         best (default) or last
  evaluation.episodes, evaluation.seed, evaluation.deterministic
  experiment, antibiotics, patient_generator, environment, reward_calculator: another clinic
  trajectories=true  every step as Parquet
  card=true          card.md, the policy card: for a clinician, whom it treats with what, and what
                     comes of it per 1,000 patients
  report=false       no report.html, the page to send
Gives mean, std, IQM and a 95 % bootstrap interval, and a run folder with tables and figures.
"""


def task(config: DictConfig) -> float:
    """Evaluate as composed; return the mean episode return."""
    from abx_amr.host.progress import waiting

    with waiting("playing the episodes"):
        from abx_amr.runs.evaluate_service import evaluate

        plain, choices, overrides = composed(config)
        result = evaluate(plain, choices=choices, overrides=overrides)
    _report(result)
    if plain["card"]:
        from abx_amr.reports.card_writing import write_card

        print(f"policy card: {write_card(result.folder)}")
    print_run_report(result, plain)
    print(f"results: {result.folder}")
    return result.mean_return


def _report(result: EvaluateResult) -> None:
    low, high = result.mean_return_interval
    print(
        f"{result.run_name}: mean return {result.mean_return:.3f}, "
        f"std {figure(result.std_return, 3)}, IQM {result.iqm_return:.3f}, "
        f"95 % interval {interval(low, high, 3)} "
        f"({counted(result.n_episodes, 'episode')}, seed {result.evaluation_seed}"
        f"{_weights_of(result)})"
    )
    print("\n".join(gap_lines(result.summary)))
    if result.knows_the_parameters:
        print("this policy knows the parameters of the clinic, which no agent does")
    if result.against is not None:
        paired = result.against
        print(
            f"against {paired['name']}{_weights_played(paired)}: difference {paired['mean']:.3f}, "
            f"standard error {figure(paired['standard_error'], 3)} paired "
            f"({figure(paired['unpaired_standard_error'], 3)} unpaired)"
        )
        print(f"  {_in_words(paired['verdict'])}; {_who_sees_time(result, paired)}")


def _weights_of(result: EvaluateResult) -> str:
    """Return which weights of a trained agent were played."""
    if result.weights is None:
        return ""
    seen = result.weights["transitions"]
    after = "" if seen is None else f", after {seen} transitions"
    return f"; its {result.weights['checkpoint']} weights{after}"


def _weights_played(paired: Mapping[str, Any]) -> str:
    """Return which weights the other one played, where it is a trained agent."""
    checkpoint = paired.get("checkpoint")
    return "" if checkpoint is None else f" ({checkpoint} weights)"


def _in_words(verdict: str) -> str:
    """Return what the paired interval says."""
    if verdict == "not distinguishable":
        return "not distinguishable: the 95 % interval of the difference holds 0"
    return f"{verdict}: the 95 % interval of the difference does not hold 0"


def _who_sees_time(result: EvaluateResult, paired: Mapping[str, Any]) -> str:
    """Return which of the two knows how much of the episode is left."""
    seeing = [
        name
        for name, sees in (
            (result.run_name, paired["first_sees_time"]),
            (paired["name"], paired["sees_time"]),
        )
        if sees
    ]
    return f"who sees the time: {' and '.join(seeing) or 'neither'}"


def main() -> None:
    """Enter through the command line."""
    enter(
        Command(
            name="abx-evaluate",
            config_name="evaluate",
            help=HELP,
            task=task_of_command("abx-evaluate", task),
        )
    )


if __name__ == "__main__":
    # By its own name, so that workers elsewhere find the task.
    from abx_amr.cli.evaluate import main as enter_by_name

    enter_by_name()
