"""abx-train: train one agent (or play one fixed rule) in one clinic."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.cli.door import Command, composed, enter, guarded, repeated
from abx_amr.cli.experiment_set import gather_line
from abx_amr.cli.numbers import figure, interval
from abx_amr.cli.optimality import audit_before_training, gap_line
from abx_amr.errors import InputError, counted
from abx_amr.host.signals import CommandInterruptError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.cli.experiment_set import ExperimentSet
    from abx_amr.runs.training import Run

log = logging.getLogger(__name__)

HELP = """
abx-train: train an antibiotic prescriber in a simulated clinic, evaluate it, and keep everything.

  abx-train                                             the default clinic, PPO, 25 episodes
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
  agent_algorithm    ppo, a2c, recurrent_ppo, ppo_linear; rules: never, greedy, amr_threshold, ...
                     hrl_ppo, hrl_rppo: a manager that chooses options of
  option_library     default_deterministic, heuristic; and hrl: how the manager sees and discounts
  training           seed (or seeds), episodes, evaluations, early stopping, n_envs

Other keys: run_name, results_dir, skip_if_exists, trajectories, figures, best_params_from,
  resume_from
The tutorial's -s GROUP-subconfig=FILE and -p KEY=VALUE work too.
  abx-train --cfg job                                   show the composed configuration
Results: results/<run_name>_<timestamp>/ (config, checkpoints, evaluations, figures, summary).
"""

#: What a resumed run may change; the rest is the run's own.
_FREE_ON_RESUME = (
    "training.additional_episodes",
    "training.total_num_training_episodes",
    "training.eval_freq_every_n_episodes",
    "training.save_freq_every_n_episodes",
    "training.num_eval_episodes",
    "training.early_stopping",
    "training.torch_threads",
    "resume_from",
    "run_name",
    "results_dir",
    "optimization_dir",
    "skip_if_exists",
    "trajectories",
    "figures",
    "hydra",
)

#: What a run keeps and whether it is skipped: of the present command, never of the resumed run.
_NEVER_INHERITED = ("skip_if_exists", "trajectories", "figures")

NOTHING_KEPT = "nothing was kept, run the same command again"


def task(config: DictConfig) -> float:
    """Run one training as composed; return the final mean episode return."""
    plain, choices, overrides = composed(config)
    return train(plain, choices=choices, overrides=overrides)


def train(config: dict[str, Any], *, choices: Mapping[str, str], overrides: Sequence[str]) -> float:
    """Train with a resolved configuration; return the final mean episode return.

    Raises:
        InputError: the user's mistake, before anything is written.
    """
    from abx_amr.configuration.agent import check_quickly
    from abx_amr.configuration.groups import chosen_groups
    from abx_amr.configuration.values import AGENT_SECTIONS
    from abx_amr.runs.folder import check_run_name, completed_run, find_run
    from abx_amr.runs.loading import config_of_run

    if config["resume_from"] and config["best_params_from"]:
        raise InputError("resume_from and best_params_from exclude each other: give one")
    source = None
    tuned: Mapping[str, Any] = {}
    origin: dict[str, Any] = {"choices": chosen_groups(choices)}
    run_name = config.get("run_name")
    if config.get("resume_from"):
        source = find_run(str(config["resume_from"]), results_dir=config["results_dir"])
        config = _resumed(config, config_of_run(source), overrides)
        run_name = run_name or source.run_name
        origin["resumed_from"] = str(source.path)
        origin["choices"] = source.read_provenance().get("choices") or {}
    elif config.get("best_params_from"):
        asked = config
        config, tuned = _with_best(config, overrides)
        for section in AGENT_SECTIONS:  # chosen by the study, not here
            if asked.get(section, {}).get("_target_") != config.get(section, {}).get("_target_"):
                origin["choices"].pop(section, None)
        if "run_name" not in _keys(overrides):  # one that an experiment gives names its plain runs
            run_name = f"{config['best_params_from']}_optimized"
        origin["best_params_from"] = str(config["best_params_from"])
    else:
        run_name = run_name or f"{choices['experiment']}_{choices['agent_algorithm']}"
    config["run_name"] = check_run_name(str(run_name))
    check_quickly(config)
    runs = _one_for_each_seed(config)
    if len(runs) > 1 and source is not None:
        raise InputError("resume_from goes on with one run: training.seeds cannot be given with it")
    means: list[float] = []
    todo: list[dict[str, Any]] = []
    for run in runs:
        if run["study_name"] is None:
            run["study_name"] = run["run_name"]
        done = completed_run(run["results_dir"], run["run_name"]) if run["skip_if_exists"] else None
        if done is not None:
            print(f"{run['run_name']} is complete already, skipped: {done.path}")
            if said := differences(done.read_config(), run):
                log.warning("it was run with other settings: %s", said)
            means.append(float(done.read_summary()["mean_return"]))
        elif source is None and run["skip_if_exists"] and (half := _interrupted(run)) is not None:
            print(f"{run['run_name']} was interrupted and goes on from {half.path}")
            means += _carry_out(
                [run],
                source=half,
                tuned=tuned,
                origin={**origin, "resumed_from": str(half.path)},
                overrides=overrides,
                is_alone=len(runs) == 1,
            )
        else:
            todo.append(run)
    if todo:
        means += _carry_out(
            todo,
            source=source,
            tuned=tuned,
            origin=origin,
            overrides=overrides,
            is_alone=len(runs) == 1,
        )
    if len(means) > 1:
        _report_seeds(means)
        print(gather_line([config["results_dir"]]))
    return sum(means) / len(means)


def _interrupted(config: Mapping[str, Any]) -> Any:
    """Return the run of this name and these settings that did not come to its end, or None."""
    from abx_amr.configuration.agent import is_rule
    from abx_amr.runs.folder import interrupted_run

    half = interrupted_run(config["results_dir"], config["run_name"])
    if half is None or is_rule(config):
        return None
    own = half.read_config()
    if differences(own, config):
        return None
    steps = int(config["environment"]["max_time_steps"])
    planned = int(config["training"]["total_num_training_episodes"]) * steps
    return half if int(half.read_checkpoint("last").state["transitions"]) < planned else None


def differences(own: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Return how a run's settings differ from those asked for, '' where they do not.

    >>> differences({"training": {"n_envs": 4, "seed": 1}}, {"training": {"n_envs": 8, "seed": 2}})
    'training.n_envs 4 -> 8'
    """
    from abx_amr.configuration.values import value_at
    from abx_amr.studies.fingerprint import LATER_DEFAULTS

    paths = dict.fromkeys([*_leaves(own), *_leaves(asked)])
    pairs = {
        path: tuple(value_at(c, path, missing=LATER_DEFAULTS.get(path)) for c in (own, asked))
        for path in paths
        if path.split(".")[0] in _COMPARED and not path.startswith(_SAME_RUN_ALL_THE_SAME)
    }
    return ", ".join(f"{p} {one} -> {two}" for p, (one, two) in pairs.items() if one != two)


def _one_for_each_seed(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a configuration for each of training.seeds, each that of a run of its own."""
    from abx_amr.configuration.agent import is_rule
    from abx_amr.configuration.training import build_training

    settings = build_training(config)
    if settings.seeds is None:
        return [config]
    if is_rule(config):
        raise InputError("training.seeds: a fixed rule does not learn, it has no training seeds")
    return [
        {
            **config,
            "run_name": f"{config['run_name']}_seed{seed}",
            "training": {**config["training"], "seed": seed, "seeds": None},
        }
        for seed in settings.seeds
    ]


def _carry_out(
    configs: Sequence[dict[str, Any]],
    *,
    source: Any,
    tuned: Mapping[str, Any],
    origin: Mapping[str, Any],
    overrides: Sequence[str],
    is_alone: bool,
) -> list[float]:
    """Train configurations that differ in seed and name alone; return their mean returns.

    Args:
        configs: the configurations.
        source: the run that the only one goes on from, or None.
        tuned: searched path -> value that came from a study.
        origin: what provenance.json says beside the usual.
        overrides: what was said on the command line.
        is_alone: whether the command has no other run.
    """
    from dataclasses import replace

    from abx_amr.agents.learning import AgentSpec, build_agent, check_device
    from abx_amr.cli.progress import progress_bar
    from abx_amr.configuration.agent import build_agent_spec, build_rule, is_rule
    from abx_amr.configuration.clinic import build_clinic
    from abx_amr.configuration.training import build_training, check_training_seed
    from abx_amr.runs import training as experiment
    from abx_amr.simulator.validation import validate_components

    config = configs[0]
    for each in configs:
        check_training_seed(each["training"]["seed"])
    settings = build_training(config)
    model = build_clinic(config)
    validate_components(model)
    prescriber = build_rule(config, model) if is_rule(config) else build_agent_spec(config)
    if source is not None and settings.additional_episodes is not None:
        total = experiment.learned_episodes(source, model) + settings.additional_episodes
        settings = replace(settings, total_num_training_episodes=total, additional_episodes=None)
        config["training"] |= {"total_num_training_episodes": total, "additional_episodes": None}
    elif source is None and settings.additional_episodes is not None:
        raise InputError(
            "training.additional_episodes goes with resume_from=<run folder>; "
            "a new run takes training.total_num_training_episodes"
        )
    plans = [
        experiment.Run(
            run_name=each["run_name"],
            results_dir=each["results_dir"],
            model=model,
            prescriber=prescriber,
            settings=replace(settings, seed=each["training"]["seed"]),
            config=each,
            overrides=overrides,
            trajectories=bool(each["trajectories"]),
            figures=bool(each["figures"]),
            tuned=tuned,
            origin=origin,
        )
        for each in configs
    ]
    if isinstance(prescriber, AgentSpec):
        check_device(prescriber)
        if source is None:
            build_agent(prescriber, model, plans[0].settings)  # says what does not fit together
    audit_before_training(config, model, overrides if source is None else _first_said(source))
    try:
        with progress_bar(config["run_name"], "transitions") as move:
            if source is not None:
                folders = [experiment.resume(plans[0], source, on_progress=move)]
            elif is_rule(config):
                folders = [experiment.run(plans[0], on_progress=move)]
            else:
                folders = experiment.run_seeds(plans, on_progress=move)
    except KeyboardInterrupt as interrupt:
        raise CommandInterruptError.of(
            interrupt, _how_to_go_on(plans, is_alone=is_alone)
        ) from interrupt
    for folder in folders:
        _report(folder)
    return [float(folder.read_summary()["mean_return"]) for folder in folders]


def _how_to_go_on(plans: Sequence[Run], *, is_alone: bool) -> str:
    """Return what a user does about interrupted runs; `is_alone`: the command has one run."""
    from abx_amr.runs.training import has_learned_all

    kept = [(p, f) for p in plans for f in p.opened if f.has_checkpoint("last")]
    best = [f for p in plans for f in p.opened if f.has_checkpoint("best")]
    if kept and not is_alone:
        return "the same command with skip_if_exists=true goes on"
    if kept and not has_learned_all(*kept[0]):
        folder = kept[0][1]
        command = shlex.join(["abx-train", f"resume_from={folder.path}"])
        return f"go on with: {command}{repeated(*_NEVER_INHERITED[1:])}"
    if best:
        state = "all of its training" if kept else "its best agent so far, nothing to go on from,"
        command = shlex.join(["abx-evaluate", f"run={best[0].path}"])
        return f"{state} was kept, evaluate it with: {command}"
    return NOTHING_KEPT


def _first_said(folder: Any) -> list[str]:
    """Return the overrides of the run that a resumed one goes back to: they name its clinic."""
    from abx_amr.runs.folder import RunFolder

    seen = {folder.path.resolve()}
    while origin := folder.read_provenance().get("resumed_from"):
        before = RunFolder(Path(origin))
        if before.path.resolve() in seen or not before.provenance_file.is_file():
            break
        seen.add(before.path.resolve())
        folder = before
    return list(folder.read_overrides())


def _resumed(
    composed: Mapping[str, Any], own: Mapping[str, Any], overrides: Sequence[str]
) -> dict[str, Any]:
    """Return the run's own configuration with what may change taken from the command line.

    What is kept, and whether a finished run is skipped, is the present command's alone.
    """
    from abx_amr.configuration.values import value_at, with_values

    changed: dict[str, Any] = {key: composed[key] for key in _NEVER_INHERITED if key in own}
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if not any(key == free or key.startswith(f"{free}.") for free in _FREE_ON_RESUME):
            raise InputError(
                f"resume_from goes on with the run's own configuration: '{override}' cannot "
                "change; leave it out, or start a new run with it (what can: "
                "training.additional_episodes, the frequencies, early_stopping, run_name)"
            )
        if not key.startswith("hydra"):
            changed[key] = value_at(composed, key)
    return with_values(own, changed)


def _with_best(
    config: dict[str, Any], overrides: Sequence[str]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return the composition with a study's best values, explicit command-line values kept."""
    from abx_amr.configuration.groups import groups
    from abx_amr.configuration.values import value_at, with_values
    from abx_amr.studies.best import read_best

    best = read_best(config["optimization_dir"], str(config["best_params_from"]))
    studied = best.configuration
    config = _with_the_studys_agent(config, studied, overrides)
    ours = config["agent_algorithm"].get("_target_")
    theirs = studied["agent_algorithm"].get("_target_")
    if ours != theirs:
        raise InputError(
            f"best_params_from: the study tuned {theirs}, this run trains {ours}: "
            "choose the same agent_algorithm, or leave it out"
        )
    explicit = _keys(overrides) - set(groups())  # a choice in a group is no value of its own
    kept = [p for p in best.values if any(p == e or p.startswith(f"{e}.") for e in explicit)]
    tuned = {p: v for p, v in best.values.items() if p not in kept}
    if kept:
        log.warning("given on the command line, not taken from the study: %s", ", ".join(kept))
    different = [
        path
        for path in _leaves(studied)
        if path not in best.values
        and path.split(".")[0] in _COMPARED
        and not path.startswith(_NOT_COMPARED)
        and value_at(config, path, missing=None) != value_at(studied, path)
    ]
    if different:
        log.warning(
            "the configuration differs from the one that was tuned in: %s",
            ", ".join(
                f"{p} {value_at(studied, p)} -> {value_at(config, p, missing=None)}"
                for p in different
            ),
        )
    return with_values(config, tuned), tuned


def _keys(overrides: Sequence[str]) -> set[str]:
    return {o.lstrip("+~").partition("=")[0] for o in overrides}


def _with_the_studys_agent(
    config: dict[str, Any], studied: Mapping[str, Any], overrides: Sequence[str]
) -> dict[str, Any]:
    """Return the composition with the agent that was tuned, where none is chosen here.

    A manager's library and settings are the study's too, section by section, where none is chosen.
    Single values that the command line gives are kept.
    """
    from abx_amr.configuration.values import AGENT_SECTIONS, value_at, with_values

    keys = _keys(overrides)
    sections = [name for name in AGENT_SECTIONS if name not in keys]
    same = config["agent_algorithm"].get("_target_") == studied["agent_algorithm"].get("_target_")
    if same:
        sections = [name for name in sections if name != "agent_algorithm"]
    elif "agent_algorithm" in keys:
        return config  # another one is chosen
    else:
        log.info("trains the agent that was tuned: %s", studied["agent_algorithm"]["_target_"])
    rest = {name: value for name, value in config.items() if name not in sections}
    adopted = {**rest, **{name: studied[name] for name in sections if name in studied}}
    given = [k for k in keys if k.split(".")[0] in sections and "." in k]
    return with_values(adopted, {k: value_at(config, k) for k in given})


_COMPARED = (
    "antibiotics",
    "amr_dynamics",
    "environment",
    "patient_generator",
    "reward_calculator",
    "agent_algorithm",
    "hrl",
    "option_library",
    "training",
)
_NOT_COMPARED = (
    "training.seed",
    "training.total_num_training_episodes",
    "training.additional_episodes",
    "training.eval_freq",
    "training.save_freq",
    "training.early_stopping",
    "training.torch_threads",
)
_SAME_RUN_ALL_THE_SAME = ("training.seed", "training.save_freq", "training.torch_threads")


def _leaves(config: Mapping[str, Any], above: str = "") -> list[str]:
    found: list[str] = []
    for key, value in config.items():
        path = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            found += _leaves(value, f"{path}.")
        else:
            found.append(path)
    return found


def _report(folder: Any) -> None:
    summary = folder.read_summary()
    low, high = summary["mean_return_interval_95"]
    print(
        f"mean return {summary['mean_return']:.2f} (95 % interval {interval(low, high)}, "
        f"{counted(summary['evaluation_episodes'], 'episode')}), IQM {summary['iqm_return']:.2f}, "
        f"std {figure(summary['std_return'])}"
    )
    print(gap_line(summary))
    for path, value in summary["tuned_values"].items():
        print(f"  {path} = {value} (the agent has {summary['effective_values'].get(path)})")
    print(f"results: {Path(folder.path)}")
    print(f"again:   abx-evaluate {shlex.quote(f'run={Path(folder.path)}')}")


def _report_seeds(means: Sequence[float]) -> None:
    from abx_amr.evaluation.statistics import summarise

    over = summarise(means)
    low, high = over.mean_interval
    print(
        f"over {over.n} seeds: mean {over.mean:.2f} (95 % interval {interval(low, high)}), "
        f"IQM {over.iqm:.2f}, std {figure(over.std)}"
    )


class TrainTask:
    """What Hydra calls: one run, alone or as a member of a set (-m).

    The sweeper calls `prepare` before it launches the runs of a set and `finish` after them.
    """

    __name__ = "train"

    def __init__(self) -> None:
        self._set: ExperimentSet | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_set": None}  # only the command itself sees the whole set

    def __call__(self, config: DictConfig) -> float:
        """Run one training; return the final mean episode return."""
        from abx_amr.cli.experiment_set import is_member, run_member

        if is_member():
            return run_member(task, config)
        return float(guarded("abx-train", task)(config))

    def prepare(self, jobs: Sequence[Any], compose: Any) -> list[list[str]]:
        """Name the runs of a set; return the overrides of those to be launched."""
        from abx_amr.cli.experiment_set import ExperimentSet

        self._set = ExperimentSet(differences=differences)
        return self._set.prepare(jobs, compose)

    def is_ended(self, overrides: Sequence[str]) -> bool:
        """Return whether a run of the set has left a result or a failure."""
        assert self._set is not None
        return self._set.is_ended(overrides)

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
