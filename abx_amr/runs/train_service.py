"""Train as composed: new runs, one for each seed, resumed ones, ones with a study's best values."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from abx_amr.configuration.agent import build_learner, build_rule, check_quickly, learns
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.groups import chosen_groups
from abx_amr.configuration.overrides import keys_of
from abx_amr.configuration.tracker import build_tracker
from abx_amr.configuration.training import build_training, check_training_seed
from abx_amr.configuration.values import AGENT_SECTIONS, Plain
from abx_amr.errors import InputError
from abx_amr.host.signals import CommandInterruptError
from abx_amr.runs.best_parameters import with_best_parameters
from abx_amr.runs.differences import differences
from abx_amr.runs.discount_audit import audit_discount_factor
from abx_amr.runs.finished import FinishedRun, TrainResult
from abx_amr.runs.folder import RunFolder, check_run_name, find_run
from abx_amr.runs.listening import RunListener
from abx_amr.runs.loading import config_of_run
from abx_amr.runs.registry import completed_run
from abx_amr.runs.resuming import (
    first_overrides,
    half_run,
    how_to_go_on,
    rescheduled,
    resumed_configuration,
    shortened_update,
)
from abx_amr.runs.trust import without_trust
from abx_amr.runs.writers import check_nobody_writes
from abx_amr.tracking.tracker import NoTracker

if TYPE_CHECKING:
    from abx_amr.agents.settings import TrainingSettings
    from abx_amr.runs.run import Run
    from abx_amr.runs.tracking import Tracking
    from abx_amr.simulator.model import ClinicModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What is to be trained.

    Args:
        config: The configuration of the run, or of one run for each of its training.seeds.
        source: The run that it goes on from, or None.
        tuned: Searched path -> value that came from a study.
        origin: What provenance.json says beside the usual.
        overrides: What was said on the command line.
        trust: Whether what a run or a study names is run, whoever wrote it.
    """

    config: Plain
    source: RunFolder | None
    tuned: Mapping[str, Any]
    origin: Mapping[str, Any]
    overrides: Sequence[str]
    trust: bool


def train(
    config: Plain,
    *,
    choices: Mapping[str, str],
    overrides: Sequence[str],
    listener: RunListener | None = None,
) -> TrainResult:
    """Train with a resolved configuration; return the finished runs, in the order of their seeds.

    Args:
        config: The configuration.
        choices: Group -> what was chosen in it; names the run where run_name does not.
        overrides: What was said on the command line.
        listener: Is told what happens meanwhile.

    Raises:
        InputError: the user's mistake, before anything is written.
    """
    listening = listener or RunListener()
    request = _requested(config, choices=choices, overrides=overrides)
    check_quickly(request.config)
    runs = _one_for_each_seed(request.config)
    is_alone = len(runs) == 1
    if not is_alone and request.source is not None:
        raise InputError("resume_from goes on with one run: training.seeds cannot be given with it")
    done: dict[str, FinishedRun] = {}
    todo: list[Plain] = []
    for run in runs:
        if run["study_name"] is None:
            run["study_name"] = run["run_name"]
        complete = None
        if run["skip_if_exists"]:
            complete = completed_run(run["results_dir"], run["run_name"])
        if complete is not None:
            done[run["run_name"]] = FinishedRun.of(complete, is_skipped=True)
            listening.skipped(done[run["run_name"]])
            if different := differences(complete.read_config(), run):
                log.warning("it was run with other settings: %s", different)
        elif request.source is None and run["skip_if_exists"] and (half := half_run(run)):
            check_nobody_writes(half)
            listening.goes_on(run["run_name"], half.path)
            origin = {**request.origin, "resumed_from": str(half.path)}
            resumed = replace(request, source=half, origin=origin)
            done |= _carry_out([run], resumed, listening, is_alone=is_alone)
        else:
            todo.append(run)
    if todo:
        done |= _carry_out(todo, request, listening, is_alone=is_alone)
    return TrainResult(runs=tuple(done[run["run_name"]] for run in runs))


def _requested(config: Plain, *, choices: Mapping[str, str], overrides: Sequence[str]) -> _Request:
    """Return what is to be trained, by its name and the configuration that it ends up with."""
    if config["resume_from"] and config["best_params_from"]:
        raise InputError("resume_from and best_params_from exclude each other: give one")
    origin: dict[str, Any] = {"choices": chosen_groups(choices)}
    config, trust = without_trust(config)
    run_name = config.get("run_name")
    source: RunFolder | None = None
    tuned: Mapping[str, Any] = {}
    if config.get("resume_from"):
        source = find_run(str(config["resume_from"]), results_dir=config["results_dir"])
        check_nobody_writes(source)
        own = config_of_run(source, trust=trust)
        config = resumed_configuration(config, own, overrides)
        if line := shortened_update(source, own):
            log.warning("%s", line)
        run_name = run_name or source.run_name
        origin["resumed_from"] = str(source.path)
        origin["choices"] = source.read_provenance().get("choices") or {}
    elif config.get("best_params_from"):
        asked = config
        config, tuned = with_best_parameters(config, overrides, trust=trust)
        for section in AGENT_SECTIONS:  # chosen by the study, not here
            if asked.get(section, {}).get("_target_") != config.get(section, {}).get("_target_"):
                origin["choices"].pop(section, None)
        if "run_name" not in keys_of(overrides):  # an experiment's own names its plain runs
            run_name = f"{config['best_params_from']}_optimized"
        origin["best_params_from"] = str(config["best_params_from"])
    else:
        run_name = run_name or default_run_name(choices)
    named = {**config, "run_name": check_run_name(run_name)}
    return _Request(
        config=named, source=source, tuned=tuned, origin=origin, overrides=overrides, trust=trust
    )


def default_run_name(choices: Mapping[str, str]) -> str:
    """Return the name of a run that was given none.

    >>> default_run_name({"experiment": "base", "agent_algorithm": "ppo"})
    'base_ppo'

    Raises:
        InputError: it is not known what was chosen.
    """
    if not {"experiment", "agent_algorithm"} <= set(choices):
        raise InputError("run_name must be given with a configuration that is composed already")
    return f"{choices['experiment']}_{choices['agent_algorithm']}"


def _one_for_each_seed(config: Plain) -> list[Plain]:
    """Return a configuration for each of training.seeds, each that of a run of its own."""
    settings = build_training(config)
    if settings.seeds is None:
        return [config]
    if not learns(config):
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
    configs: Sequence[Plain], request: _Request, listener: RunListener, *, is_alone: bool
) -> dict[str, FinishedRun]:
    """Train configurations that differ in seed and name alone; return run name -> run.

    Args:
        configs: The configurations.
        request: What they come from.
        listener: Is told what happens meanwhile.
        is_alone: Whether the command has no other run.
    """
    runs = _runs(configs, request)
    config, model = configs[0], runs[0].model
    from abx_amr.runs import training

    source = request.source
    audit_discount_factor(config, model, _clinic_overrides(request))
    try:
        with listener.progress(config["run_name"]) as advance:
            if source is not None:
                folders = [
                    training.resume(runs[0], source, trust=request.trust, on_progress=advance)
                ]
            elif learns(config):
                folders = training.run_seeds(runs, on_progress=advance)
            else:
                folders = [training.execute(runs[0], on_progress=advance)]
    except KeyboardInterrupt as interrupt:
        advice = how_to_go_on(runs, request.overrides, is_alone=is_alone)
        raise CommandInterruptError.of(interrupt, advice) from interrupt
    finished = [FinishedRun.of(folder) for folder in folders]
    for run in finished:
        listener.finished(run)
    return {config["run_name"]: run for config, run in zip(configs, finished, strict=True)}


def _clinic_overrides(request: _Request) -> Sequence[str]:
    """Return what the clinic was composed with: a resumed run's own command said it."""
    return request.overrides if request.source is None else first_overrides(request.source)


def _runs(configs: Sequence[Plain], request: _Request) -> list[Run]:
    """Return configurations as objects, checked and tried out."""
    from abx_amr.agents.prescriber import Learner
    from abx_amr.runs.run import Run
    from abx_amr.simulator.validation import validate_components

    config = configs[0]
    for each in configs:
        check_training_seed(each["training"]["seed"])
    settings = build_training(config)
    model = build_clinic(config)
    check_memory(model, settings)
    validate_components(model)
    prescriber = build_learner(config) if learns(config) else build_rule(config, model)
    settings = _with_additional_episodes(settings, config, request.source, model)
    if request.source is not None and (line := rescheduled(request.source.read_config(), config)):
        log.warning("%s", line)
    tracking = _tracking_of(config, name=request.config["run_name"])
    runs = [
        Run(
            run_name=each["run_name"],
            results_dir=each["results_dir"],
            model=model,
            prescriber=prescriber,
            settings=replace(settings, seed=each["training"]["seed"]),
            config=each,
            overrides=request.overrides,
            trajectories=bool(each["trajectories"]),
            figures=bool(each["figures"]),
            report=bool(each.get("report", True)),
            tuned=request.tuned,
            origin=request.origin,
            clinic_overrides=_clinic_overrides(request),
            tracking=tracking,
        )
        for each in configs
    ]
    if isinstance(prescriber, Learner):
        prescriber.check_device()
        if request.source is None:
            prescriber.build(model, runs[0].settings)  # says what does not fit together
    return runs


def _tracking_of(config: Plain, *, name: str) -> Tracking | None:
    """Return who follows the runs that are called so, None where nobody does.

    Raises:
        InputError: the library of the tracker is not installed.
    """
    tracker = build_tracker(config)
    if isinstance(tracker, NoTracker):
        return None
    from abx_amr.runs.tracking import Tracking

    return Tracking(tracker=tracker, study=name, config=config)


def check_memory(model: ClinicModel, settings: TrainingSettings) -> None:
    """Refuse clinics side by side, in training and in evaluation, beyond the machine's memory.

    Raises:
        InputError: with the estimate.
    """
    model.check_memory(clinics=settings.n_envs, what=f"training.n_envs={settings.n_envs} clinics")
    episodes = settings.num_eval_episodes
    model.check_memory(
        clinics=episodes, steps=model.max_time_steps, what=f"{episodes} episodes of evaluation"
    )


def _with_additional_episodes(
    settings: TrainingSettings, config: Plain, source: RunFolder | None, model: ClinicModel
) -> TrainingSettings:
    """Return the settings with additional episodes in the total, which `config` then says too."""
    if settings.additional_episodes is None:
        return settings
    if source is None:
        raise InputError(
            "training.additional_episodes goes with resume_from=<run folder>; "
            "a new run takes training.total_num_training_episodes"
        )
    from abx_amr.runs.checkpoints import learned_episodes

    total = learned_episodes(source, model) + settings.additional_episodes
    config["training"] |= {"total_num_training_episodes": total, "additional_episodes": None}
    return replace(settings, total_num_training_episodes=total, additional_episodes=None)
