"""A study's life: the plan, creating or joining it, and what is written when it ends."""

from __future__ import annotations

import logging
import math
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from abx_amr.errors import InputError, counted, did_you_mean, hint
from abx_amr.host.atomic_files import CompletionRegistry, jsonable, write_json, write_text
from abx_amr.host.folder_names import check_folder_name
from abx_amr.host.processes import live_owner
from abx_amr.studies.fingerprint import Fingerprint, fingerprint, show_difference
from abx_amr.studies.objective import Direction, default_min_successful_seeds
from abx_amr.studies.samplers import (
    SamplerChoice,
    effective_budget,
    log_what_is_drawn_at_random,
)
from abx_amr.studies.space import (
    ParameterValue,
    SearchSpace,
    check_paths,
    parse_search_space,
)
from abx_amr.studies.storages import StudyStorage

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

CONFIGURATION_FILE = "full_agent_env_config.yaml"
TUNING_FILE = "tuning_config.yaml"
OPTION_LIBRARY_FILE = "option_library.yaml"  # of a manager's study
BEST_PARAMS_FILE = "best_params.json"
SUMMARY_FILE = "study_summary.json"
TRIALS_FOLDER = "trials"
REGISTRY_FILE = ".optimization_completed.txt"
REGISTRY_COLUMNS = ("run_name", "timestamp", "best_value", "n_trials")

FINGERPRINT_ATTRIBUTE = "abx_fingerprint"
DRAWN_ATTRIBUTE = "abx_drawn_with"
FAILURES_FROM_ATTRIBUTE = "abx_failures_counted_from"
BUDGET_ATTRIBUTE = "abx_budget"
HEARTBEAT_ATTRIBUTE = "abx:heartbeat"  # of a trial
GRACE_INTERVALS = 3

FIRST_TUNING_SEED, LAST_TUNING_SEED = 1000, 9999
TUNING_KEYS = (
    *("n_trials", "n_seeds_per_trial", "truncated_episodes", "direction", "pruner", "search_space"),
    *("sampler", "sampler_options", "sampler_seed", "stability_penalty_weight"),
    *("seeds", "first_seed", "min_successful_seeds"),
    *("n_workers", "n_trials_per_worker", "timeout", "wait", "parallel"),
    *("worker", "local_workers", "job"),
    *("max_retry", "max_failures", "heartbeat_interval", "checkpoint_interval"),
)


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What is to be searched, how, and within which budget: checked, plain values."""

    run_name: str
    study_name: str
    optimization_dir: Path
    space: SearchSpace
    sampler: SamplerChoice
    fingerprint: Fingerprint
    configuration: Mapping[str, Any] = field(repr=False)
    n_trials: int
    direction: Direction
    n_seeds_per_trial: int
    per_trial_seeds: bool
    first_seed: int
    min_successful_seeds: int
    penalty_weight: float
    n_workers: int
    has_jobs: bool
    wait: bool
    n_trials_per_worker: int | None
    timeout: float | None
    max_retry: int
    max_failures: int
    heartbeat_interval: float
    checkpoint_interval: float
    worker: int | None
    local_workers: int
    job: Mapping[str, int] | None  #: number and seed, for a job that is one seed of one trial
    overwrite_existing_study: bool
    skip_if_exists: bool

    @property
    def folder(self) -> Path:
        """The study's folder: optimization/<run_name>."""
        return self.optimization_dir / self.run_name

    @property
    def budget(self) -> int:
        """How many finished trials complete the study: n_trials, for a grid at most its points."""
        return effective_budget(self.sampler, n_trials=self.n_trials, space=self.space)

    def seeds(self, lineage: int) -> list[int]:
        """Return the seeds of a point: the same for all, or fresh ones within 1000..9999."""
        if not self.per_trial_seeds:
            return [self.first_seed + i for i in range(self.n_seeds_per_trial)]
        room = LAST_TUNING_SEED - FIRST_TUNING_SEED + 1
        start = self.first_seed - FIRST_TUNING_SEED + lineage * self.n_seeds_per_trial
        return [FIRST_TUNING_SEED + (start + i) % room for i in range(self.n_seeds_per_trial)]

    @classmethod
    def from_configuration(cls, configuration: Mapping[str, Any]) -> StudyPlan:
        """Return the plan in a plain, resolved configuration; an InputError names what is wrong."""
        if not isinstance(configuration.get("tuning"), Mapping):
            raise InputError("no tuning configuration is chosen: add +tuning=ppo_default")
        tuning = {key: value for key, value in configuration["tuning"].items()}
        for key in tuning:
            if key not in TUNING_KEYS:
                raise InputError(
                    f"tuning.{key} does not exist{hint(key, TUNING_KEYS, label='known')}"
                )
        read = _Reader(tuning)
        direction = read.choice("direction", ("maximize", "minimize"), default="maximize")
        read.choice(
            "pruner", ("none",), default="none", later="this release has no pruner: leave it out"
        )
        has_jobs = read.choice("parallel", ("workers", "jobs"), default="workers") == "jobs"
        if has_jobs and not read.flag("wait", default=True):
            raise InputError(
                "tuning.wait=false needs tuning.parallel=workers: with jobs, somebody has to ask "
                "for the next trials (submit the abx-tune command itself as a job)"
            )
        n_seeds = read.whole("n_seeds_per_trial", default=3, low=1)
        first_seed = read.whole("first_seed", default=FIRST_TUNING_SEED)
        last_seed = first_seed + n_seeds - 1
        if first_seed < FIRST_TUNING_SEED or last_seed > LAST_TUNING_SEED:
            raise InputError(
                f"tuning seeds must lie within {FIRST_TUNING_SEED}..{LAST_TUNING_SEED}: "
                f"first_seed {first_seed} with {n_seeds} seeds ends at {last_seed}"
            )
        entries = tuning.get("search_space") or {}
        if not isinstance(entries, Mapping):
            raise InputError(f"tuning.search_space must be a mapping, not {entries!r}")
        space = parse_search_space(entries)
        if not space:
            raise InputError("tuning.search_space is empty: name at least one value to search")
        check_paths(space, {k: v for k, v in configuration.items() if k != "tuning"})
        n_trials = read.whole("n_trials", default=50, low=1)
        read.whole("truncated_episodes", default=50, low=1)
        options = tuning.get("sampler_options") or {}
        if not isinstance(options, Mapping):
            raise InputError(f"tuning.sampler_options must be a mapping, not {options!r}")
        sampler = SamplerChoice(
            name=tuning.get("sampler") or "tpe",
            options={key: value for key, value in options.items() if value is not None},
            seed=read.whole("sampler_seed", default=0, low=0),
        )
        effective_budget(sampler, n_trials=n_trials, space=space)
        run_name = _name(configuration, "run_name", None)
        return cls(
            run_name=run_name,
            study_name=_name(configuration, "study_name", run_name),
            optimization_dir=Path(
                str(configuration.get("optimization_dir") or "optimization")
            ).absolute(),
            space=space,
            sampler=sampler,
            fingerprint=fingerprint(configuration, space=space),
            configuration=configuration,
            n_trials=n_trials,
            direction="maximize" if direction == "maximize" else "minimize",
            n_seeds_per_trial=n_seeds,
            per_trial_seeds=read.choice("seeds", ("common", "per_trial"), default="common")
            == "per_trial",
            first_seed=first_seed,
            min_successful_seeds=read.whole(
                "min_successful_seeds",
                default=default_min_successful_seeds(n_seeds),
                low=1,
                high=n_seeds,
            ),
            penalty_weight=read.number("stability_penalty_weight", default=0.2, low=0.0),
            n_workers=read.whole("n_workers", default=1, low=1),
            has_jobs=has_jobs,
            wait=read.flag("wait", default=True),
            n_trials_per_worker=read.whole_or_none("n_trials_per_worker", low=1),
            timeout=read.number_or_none("timeout"),
            max_retry=read.whole("max_retry", default=3, low=0),
            max_failures=read.whole("max_failures", default=n_trials, low=1),
            heartbeat_interval=read.number("heartbeat_interval", default=30.0, above=0.0),
            checkpoint_interval=read.number("checkpoint_interval", default=60.0, above=0.0),
            worker=read.whole_or_none("worker", low=0),
            local_workers=read.whole("local_workers", default=1, low=1),
            job=read.job(),
            overwrite_existing_study=_flag(configuration, "overwrite_existing_study"),
            skip_if_exists=_flag(configuration, "skip_if_exists"),
        )


class Preparation(Enum):
    """What `prepare_study` found."""

    CREATED = "created"
    JOINED = "joined"
    FINISHED = "finished"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class StudySummary:
    """How far a study is; `content` is what study_summary.json holds."""

    is_complete: bool
    n_finished: int
    budget: int
    best_value: float | None
    best_params: Mapping[str, ParameterValue] | None
    content: Mapping[str, Any]
    folder: Path


def prepare_study(
    plan: StudyPlan, storage: StudyStorage, *, files: Mapping[str, str] | None = None
) -> Preparation:
    """Create the study or join the one there is; every check comes before anything is written.

    `files` maps names to texts that the folder shall hold: at least full_agent_env_config.yaml and
    tuning_config.yaml, which are dumped from the plan's configuration where they are not given. An
    InputError 'Configuration Mismatch Detected' lists the settings that differ from the study's
    own.
    """
    if plan.skip_if_exists and is_registered(plan):
        return Preparation.SKIPPED
    refuse_overwriting(plan, storage)
    storage.check()
    quiet_optuna()
    with storage.explained(), storage.critical_section():
        if plan.overwrite_existing_study and storage.exists(plan.study_name):
            _refuse_while_at_work(plan, storage)
            storage.delete(plan.study_name)
            _clear_folder(plan)
        if storage.exists(plan.study_name):
            return _join(plan, storage, files or {})
        _create(plan, storage, files or {})
        return Preparation.CREATED


def finish_study(
    plan: StudyPlan,
    storage: StudyStorage,
    *,
    describe_best: Callable[[float], Mapping[str, Any]] = lambda mean: {},
) -> StudySummary:
    """Write how far the study is and return it; safe to call again and from many processes.

    study_summary.json always; best_params.json and the registry's row only once the budget is
    reached, and best_params.json only where the best value is finite.

    Args:
        plan: The study.
        storage: Where it is.
        describe_best: What else to say of the best trial, by its mean over seeds.
    """
    quiet_optuna()
    with storage.explained(), storage.critical_section():
        backend, study_id = open_study(plan, storage)
        trials = backend.get_all_trials(study_id, deepcopy=False)
        summary = _summarise(plan, trials, backend.get_study_user_attrs(study_id))
        best = summary.content["best_trial"]
        if best is not None and best["mean_reward"] is not None:
            best.update(describe_best(best["mean_reward"]))
        plan.folder.mkdir(parents=True, exist_ok=True)
        write_json(plan.folder / SUMMARY_FILE, summary.content)
        if summary.is_complete:
            if summary.best_params is not None:
                write_json(plan.folder / BEST_PARAMS_FILE, summary.best_params)
            _register(plan, summary)
    return summary


def is_registered(plan: StudyPlan) -> bool:
    """Say whether the run is in the registry; rows whose folder is gone are pruned."""
    registry = registry_of(plan.optimization_dir)
    registry.prune(lambda row: (plan.optimization_dir / row["run_name"]).is_dir())
    return any(row["run_name"] == plan.run_name for row in registry.rows())


def is_first_to_draw(plan: StudyPlan, storage: StudyStorage) -> bool:
    """Say, to one process only, that the figures of the study as it now stands are its to draw."""
    with storage.critical_section():
        backend, study_id = open_study(plan, storage)
        trials = backend.get_all_trials(study_id, deepcopy=False)
        n_finished = sum(map(is_finished, trials))
        drawn = backend.get_study_user_attrs(study_id).get(DRAWN_ATTRIBUTE)
        backend.set_study_user_attr(study_id, DRAWN_ATTRIBUTE, n_finished)
    return drawn != n_finished


def registry_of(optimization_dir: Path) -> CompletionRegistry:
    """Return the registry of completed studies below `optimization_dir`."""
    return CompletionRegistry(optimization_dir / REGISTRY_FILE, columns=REGISTRY_COLUMNS)


def open_study(plan: StudyPlan, storage: StudyStorage) -> tuple[BaseStorage, int]:
    """Return Optuna's storage and the study's id; an InputError where the study is not there."""
    if not storage.exists(plan.study_name):
        raise InputError(
            f"study {plan.study_name!r} does not exist in {storage.label}: start it first"
        )
    backend = storage.open()
    return backend, backend.get_study_id_from_name(plan.study_name)


def quiet_optuna() -> None:
    """Keep Optuna's one line per trial out of the output: the events say it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)


def is_finished(trial: FrozenTrial) -> bool:
    """Say whether a trial counts towards the budget: complete or pruned, never failed."""
    return trial.state.name in ("COMPLETE", "PRUNED")


def _create(plan: StudyPlan, storage: StudyStorage, files: Mapping[str, str]) -> None:
    from optuna import __version__ as optuna_version
    from optuna.study import StudyDirection

    backend = storage.open()
    others = [study.study_name for study in backend.get_all_studies()]
    if others:
        log.warning(
            "study %r is new, this study has one worker; %s already holds %s: workers that share a "
            "study need the same study_name",
            plan.study_name,
            storage.label,
            ", ".join(repr(name) for name in others),
        )
    _set_aside(plan)
    _write_snapshots(plan, files)
    direction = StudyDirection[plan.direction.upper()]
    study_id = backend.create_new_study([direction], plan.study_name)
    content = {
        "digest": plan.fingerprint.digest,
        "values": plan.fingerprint.values,
        "optuna": optuna_version,
        "created": datetime.now().isoformat(timespec="seconds"),
    }
    backend.set_study_user_attr(study_id, FINGERPRINT_ATTRIBUTE, content)
    backend.set_study_user_attr(study_id, BUDGET_ATTRIBUTE, plan.budget)
    log_what_is_drawn_at_random(plan.sampler, plan.space)


def _write_snapshots(plan: StudyPlan, files: Mapping[str, str]) -> None:
    tuning = dict(plan.configuration["tuning"])
    rest = {key: value for key, value in plan.configuration.items() if key != "tuning"}
    texts = {
        CONFIGURATION_FILE: yaml.safe_dump(jsonable(rest), sort_keys=False),
        TUNING_FILE: yaml.safe_dump(jsonable({"tuning": tuning}), sort_keys=False),
        **files,
    }
    if rest.get("option_library") is not None:
        texts[OPTION_LIBRARY_FILE] = yaml.safe_dump(rest["option_library"], sort_keys=False)
    plan.folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(plan.folder / name, text)


def _join(plan: StudyPlan, storage: StudyStorage, files: Mapping[str, str]) -> Preparation:
    from optuna import __version__ as optuna_version

    backend, study_id = open_study(plan, storage)
    trials = backend.get_all_trials(study_id, deepcopy=False)
    n_finished = sum(is_finished(trial) for trial in trials)
    stored = backend.get_study_user_attrs(study_id).get(FINGERPRINT_ATTRIBUTE)
    if stored is None and trials:
        raise InputError(
            f"study {plan.study_name!r} in {storage.label} holds {counted(len(trials), 'trial')} "
            "made by something else: use another study_name"
        )
    if stored is None:  # created by hand or by a process that died right after: ours to define
        stored = {
            "values": plan.fingerprint.values,
            "digest": plan.fingerprint.digest,
            "optuna": optuna_version,
        }
        backend.set_study_user_attr(study_id, FINGERPRINT_ATTRIBUTE, stored)
    _check_settings(plan, storage, backend, study_id, stored, n_finished)
    if stored["optuna"] != optuna_version:
        log.warning(
            "study %r was created with Optuna %s, this is %s: times and samplers may differ",
            plan.study_name,
            stored["optuna"],
            optuna_version,
        )
    if not (plan.folder / CONFIGURATION_FILE).is_file():  # made on another machine, or by hand
        _write_snapshots(plan, files)
    if n_finished >= plan.budget:
        return Preparation.FINISHED
    backend.set_study_user_attr(study_id, BUDGET_ATTRIBUTE, plan.budget)
    backend.set_study_user_attr(study_id, FAILURES_FROM_ATTRIBUTE, len(trials))
    return Preparation.JOINED


def check_settings(plan: StudyPlan, storage: StudyStorage) -> None:
    """Refuse to work on a study with other settings than it was created with.

    A worker composes its configuration when it starts, perhaps hours after the study was prepared.

    Raises:
        InputError: 'Configuration Mismatch Detected', with the settings that differ.
    """
    backend, study_id = open_study(plan, storage)
    stored = backend.get_study_user_attrs(study_id).get(FINGERPRINT_ATTRIBUTE)
    if stored is not None:
        trials = backend.get_all_trials(study_id, deepcopy=False)
        _check_settings(plan, storage, backend, study_id, stored, sum(map(is_finished, trials)))


def _check_settings(
    plan: StudyPlan,
    storage: StudyStorage,
    backend: BaseStorage,
    study_id: int,
    stored: Mapping[str, Any],
    n_finished: int,
) -> None:
    directions = [d.name.lower() for d in backend.get_study_directions(study_id)]
    if directions != [plan.direction]:
        raise InputError(
            f"Configuration Mismatch Detected: study {plan.study_name!r} is to {directions[0]}, "
            f"not to {plan.direction}. {_ways_out(storage, plan)}"
        )
    difference = Fingerprint(stored["values"]).difference(plan.fingerprint)
    if difference:
        raise InputError(
            f"Configuration Mismatch Detected: study {plan.study_name!r} holds {n_finished} "
            f"finished trials with other settings: {show_difference(difference)}. "
            f"{_ways_out(storage, plan)}"
        )


def refuse_overwriting(plan: StudyPlan, storage: StudyStorage) -> None:
    """Refuse to delete a study that others may be working on; the storage need not be reachable.

    Raises:
        InputError: it is asked for in such a storage.
    """
    if plan.overwrite_existing_study and not storage.can_overwrite:
        raise InputError(
            f"overwrite_existing_study=true is refused with {storage.label}, where other workers "
            f"may be running: use `abx-study delete {plan.study_name} storage=postgres` first"
        )


def _ways_out(storage: StudyStorage, plan: StudyPlan) -> str:
    if storage.can_overwrite:
        return "Use another run_name, or overwrite_existing_study=true"
    return f"Use another run_name, or `abx-study delete {plan.study_name} storage=postgres`"


def _refuse_while_at_work(plan: StudyPlan, storage: StudyStorage) -> None:
    backend, study_id = open_study(plan, storage)
    for trial in backend.get_all_trials(study_id, deepcopy=False):
        owner = live_owner(trial.user_attrs.get("owner")) if trial.state.name == "RUNNING" else None
        if owner is not None:
            raise InputError(
                f"study {plan.study_name!r} is being worked on by process {owner['pid']} on this "
                "machine: stop it before overwrite_existing_study=true"
            )


def _clear_folder(plan: StudyPlan) -> None:
    """Remove the results of a study that is no more."""
    for name in (BEST_PARAMS_FILE, SUMMARY_FILE):
        (plan.folder / name).unlink(missing_ok=True)
    shutil.rmtree(plan.folder / TRIALS_FOLDER, ignore_errors=True)
    registry_of(plan.optimization_dir).prune(lambda row: row["run_name"] != plan.run_name)


def _set_aside(plan: StudyPlan) -> None:
    """Rename the trials of an earlier study of this run_name, so that none is taken for a new one.

    They are there when the study was deleted, or is in another storage.
    """
    trials = plan.folder / TRIALS_FOLDER
    if not trials.is_dir():
        return
    number = 1
    while (aside := plan.folder / f"{TRIALS_FOLDER}_earlier_{number}").exists():
        number += 1
    trials.rename(aside)
    log.warning("%s holds trials of an earlier study: they are now in %s", plan.folder, aside.name)
    _clear_folder(plan)


def _register(plan: StudyPlan, summary: StudySummary) -> None:
    registry = registry_of(plan.optimization_dir)
    best = "" if summary.best_value is None else repr(summary.best_value)
    known = {row["run_name"]: row for row in registry.rows()}.get(plan.run_name)
    if known is not None and (known["n_trials"], known["best_value"]) == (
        str(summary.n_finished),
        best,
    ):
        return
    registry.add(
        {
            "run_name": plan.run_name,
            "timestamp": datetime.now().isoformat(timespec="seconds"),
            "best_value": best,
            "n_trials": summary.n_finished,
        },
        replacing="run_name",
    )


def _summarise(
    plan: StudyPlan, trials: Sequence[FrozenTrial], attributes: Mapping[str, Any]
) -> StudySummary:
    finished = [trial for trial in trials if is_finished(trial)]
    scored = [t for t in finished if t.values is not None and math.isfinite(t.values[0])]
    best = None
    if scored:
        sign = -1.0 if plan.direction == "maximize" else 1.0
        best = min(scored, key=lambda t: (sign * t.values[0], t.number))
    states = {
        state: sum(trial.state.name == state for trial in trials)
        for state in ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")
    }
    begun = [t.datetime_start for t in trials if t.datetime_start is not None]
    ended = [t.datetime_complete for t in trials if t.datetime_complete is not None]
    is_complete = len(finished) >= plan.budget
    stored = attributes.get(FINGERPRINT_ATTRIBUTE, {})
    content = {
        "run_name": plan.run_name,
        "study_name": plan.study_name,
        "status": "complete" if is_complete else "unfinished",
        "direction": plan.direction,
        "sampler": plan.sampler.name,
        "stability_penalty_weight": plan.penalty_weight,
        "n_trials": plan.n_trials,
        "budget": plan.budget,
        "n_finished": len(finished),
        "n_all_seeds_failed": sum(
            t.state.name == "COMPLETE" and not math.isfinite(t.values[0])
            for t in finished
            if t.values
        ),
        "n_trials_with_failed_seeds": sum(bool(t.user_attrs.get("failed_seeds")) for t in finished),
        "states": states,
        "best_value": best.values[0] if best else None,
        "best_trial": _describe_trial(best) if best else None,
        "wall_time_seconds": (max(ended) - min(begun)).total_seconds() if begun and ended else None,
        "trial_time_seconds": math.fsum(
            t.user_attrs.get("wall_time_seconds") or 0.0 for t in finished
        ),
        "workers": workers_of(trials),
        "versions": _versions(),
        "created_with_optuna": stored.get("optuna"),
        "fingerprint": stored.get("digest"),
    }
    return StudySummary(
        is_complete=is_complete,
        n_finished=len(finished),
        budget=plan.budget,
        best_value=best.values[0] if best else None,
        best_params=dict(best.params) if best else None,
        content=jsonable(content),
        folder=plan.folder,
    )


def _describe_trial(trial: FrozenTrial) -> dict[str, Any]:
    kept = ("mean_reward", "std_reward", "stability_penalty", "seeds", "failed_seeds")
    rest = ("effective_values", "wall_time_seconds")
    return {
        "number": trial.number,
        "value": trial.values[0],
        "params": dict(trial.params),
        **{name: trial.user_attrs.get(name) for name in (*kept, *rest)},
    }


def workers_of(trials: Sequence[FrozenTrial]) -> list[dict[str, Any]]:
    """Return every worker that has had a trial: host, pid, worker, finished trials."""
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for trial in trials:
        owner = trial.user_attrs.get("owner")
        if owner is None:
            continue
        key = (owner.get("host"), owner.get("pid"), owner.get("started"))
        worker = seen.setdefault(
            key,
            {
                "host": owner.get("host"),
                "pid": owner.get("pid"),
                "worker": owner.get("worker"),
                "trials": 0,
            },
        )
        worker["trials"] += is_finished(trial)
    return list(seen.values())


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("abx-amr", "optuna", "torch", "stable-baselines3", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _name(configuration: Mapping[str, Any], key: str, default: str | None) -> str:
    name = configuration.get(key)
    if name is None:
        name = default
    if name is None or not str(name).strip():
        raise InputError(f"{key} must be given, such as {key}=first_study")
    return check_folder_name(key, str(name))


def _flag(configuration: Mapping[str, Any], key: str) -> bool:
    value = configuration.get(key)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InputError(f"{key} must be true or false, not {value!r}")
    return value


class _Reader:
    """The tuning section, read value by value with its limits."""

    def __init__(self, tuning: Mapping[str, Any]) -> None:
        self.tuning = tuning

    def choice(
        self, key: str, known: Sequence[str], *, default: str, later: str | None = None
    ) -> str:
        value = self.tuning.get(key)
        text = default if value is None else str(value).lower()
        if text not in known:
            why = f" ({later})" if later else ""
            raise InputError(
                f"tuning.{key} must be {' or '.join(known)}, not {value!r}"
                f"{did_you_mean(text, known)}{why}"
            )
        return text

    def job(self) -> dict[str, int] | None:
        value = self.tuning.get("job")
        if value is None:
            return None
        if not isinstance(value, Mapping) or set(value) != {"number", "seed"}:
            raise InputError(f"tuning.job must be {{number: ..., seed: ...}}, not {value!r}")
        return {str(key): int(number) for key, number in value.items()}

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.tuning.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise InputError(f"tuning.{key} must be true or false, not {value!r}")
        return value

    def whole(
        self, key: str, *, default: int, low: int | None = None, high: int | None = None
    ) -> int:
        value = self.tuning.get(key)
        if value is None:
            return default
        limits = f" of at least {low}" if low is not None else ""
        limits += f" and at most {high}" if high is not None else ""
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or (low is not None and value < low)
            or (high is not None and value > high)
        ):
            raise InputError(f"tuning.{key} must be a whole number{limits}, not {value!r}")
        return value

    def whole_or_none(self, key: str, *, low: int) -> int | None:
        return None if self.tuning.get(key) is None else self.whole(key, default=low, low=low)

    def number(
        self, key: str, *, default: float, low: float | None = None, above: float | None = None
    ) -> float:
        value = self.tuning.get(key)
        if value is None:
            return default
        limits = f" of at least {low:g}" if low is not None else ""
        limits += f" above {above:g}" if above is not None else ""
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or (low is not None and value < low)
            or (above is not None and value <= above)
        ):
            raise InputError(f"tuning.{key} must be a number{limits}, not {value!r}")
        return float(value)

    def number_or_none(self, key: str) -> float | None:
        return None if self.tuning.get(key) is None else self.number(key, default=0.0, above=0.0)
