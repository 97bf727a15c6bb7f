"""The runs of one command line with -m: their names, what is left to do, what came of them."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from abx_amr.errors import InputError, counted

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from abx_amr.runs.folder import RunFolder

log = logging.getLogger(__name__)

SEED, SEEDS = "training.seed", "training.seeds"
#: Swept keys that say nothing about what a run is.
_NOT_IN_NAMES = (SEED, SEEDS, "run_name", "results_dir", "optimization_dir", "skip_if_exists")
_LONGEST_NAME = 160
_LONGEST_VALUE = 40
FAILED = 1

Compose = Callable[[Sequence[str]], "DictConfig"]


class Combination(Protocol):
    """One combination of swept values: all its overrides, and key -> value of those that sweep."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """All overrides."""

    @property
    def swept(self) -> dict[str, str]:
        """Key -> value of those that sweep."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A run of the set (or the runs of its training.seeds): names, overrides, settings."""

    name: str
    names: tuple[str, ...]
    overrides: tuple[str, ...]
    config: Mapping[str, Any] = field(repr=False)


class ExperimentSet:
    """The runs that a command line describes, from their names to the report.

    Args:
        differences: Says how the settings of a finished run differ from those asked for.
    """

    def __init__(self, *, differences: Callable[[Mapping[str, Any], Mapping[str, Any]], str]):
        self.differences = differences
        self.members: list[Member] = []
        self.skipped: list[str] = []
        self.before: dict[str, RunFolder] = {}
        self.results_dirs: list[str] = []

    def prepare(self, jobs: Sequence[Combination], compose: Compose) -> list[list[str]]:
        """Name the runs and return the overrides of those that are to be launched.

        Raises:
            InputError: a combination cannot be composed, a name cannot be that of a folder, or two
                runs have one name.
        """
        from abx_amr.runs.registry import completed_runs
        from abx_amr.runs.set_failures import clear_failure

        members = self._named(jobs, compose)
        self.results_dirs = sorted({str(m.config["results_dir"]) for m in members})
        for folder in self.results_dirs:
            self.before |= {f"{folder}/{n}": r for n, r in completed_runs(folder).items()}
        changed: dict[str, str] = {}
        for member in members:
            done = [self.before.get(_place(member, name)) for name in member.names]
            if not member.config["skip_if_exists"] or not all(done):
                self.members.append(member)
                for name in member.names:
                    clear_failure(member.config["results_dir"], name)
                continue
            self.skipped += member.names
            if member.config.get("best_params_from"):
                continue  # the study's values are not in what is composed here
            for run in filter(None, done):
                if said := self.differences(run.read_config(), member.config):
                    changed.setdefault(said, run.run_name)
        for said, name in changed.items():
            log.warning(
                "%s was run with other settings (%s) and is skipped all the same", name, said
            )
        n_runs = sum(len(member.names) for member in self.members)
        known = f", {len(self.skipped)} are complete already and skipped" if self.skipped else ""
        print(f"{counted(n_runs + len(self.skipped), 'run')}{known}", flush=True)
        return [list(member.overrides) for member in self.members]

    def is_ended(self, overrides: Sequence[str]) -> bool:
        """Return whether the run with these overrides has left a result or a failure."""
        from abx_amr.runs.registry import completed_runs
        from abx_amr.runs.set_failures import read_failure

        (member,) = [m for m in self.members if list(m.overrides) == list(overrides)]
        folder = member.config["results_dir"]
        now = completed_runs(folder)
        return all(
            read_failure(folder, member.name) or self._is_new(member, name, now.get(name))
            for name in member.names
        )

    def finish(self) -> None:
        """Say what came of the set.

        Raises:
            InputError: every run was refused for the same reason; nothing is left behind.
            SystemExit: with status 1, where a run failed.
        """
        from abx_amr.runs.registry import completed_runs
        from abx_amr.runs.set_failures import clear_failure, read_failure, remove_if_empty

        now = {folder: completed_runs(folder) for folder in self.results_dirs}
        failed: list[tuple[Member, str, str]] = []
        for member in self.members:
            folder = member.config["results_dir"]
            noted = read_failure(folder, member.name)
            for name in member.names:
                if not self._is_new(member, name, now[str(folder)].get(name)):
                    failed.append((member, name, noted or "it ended without a word (killed?)"))
        n_runs = len(self.skipped) + sum(len(member.names) for member in self.members)
        reasons = {reason for _, _, reason in failed}
        if n_runs > 1 and len(failed) == n_runs and len(reasons) == 1:
            for member in self.members:
                clear_failure(member.config["results_dir"], member.name)
            for folder in self.results_dirs:
                remove_if_empty(folder)
            raise InputError(f"each of the {n_runs} runs failed: {reasons.pop()}")
        where = ", ".join(self.results_dirs)
        print(f"{n_runs - len(failed)} of {n_runs} runs are complete, in {where}")
        for _, name, reason in failed:
            print(f"failed: {name}: {reason}")
        if failed:
            print("skip_if_exists=true with the same command runs only what is missing")
        print(gather_line(self.results_dirs))
        if failed:
            raise SystemExit(FAILED)

    def _is_new(self, member: Member, name: str, run: RunFolder | None) -> bool:
        """Return whether a run of this name was completed since the set began."""
        before = self.before.get(_place(member, name))
        return run is not None and (before is None or before.path != run.path)

    def _named(self, jobs: Sequence[Combination], compose: Compose) -> list[Member]:
        members: list[Member] = []
        known: dict[tuple[str, ...], _Settings] = {}
        played: dict[str, int] = {}
        for job in jobs:
            rest = tuple(o for o in job.overrides if _key(o) != SEED)
            if rest not in known:
                known[rest] = _Settings.of(job.overrides, compose)
            elif known[rest].is_rule and not known[rest].has_own_name:
                agent = known[rest].choices.get("agent_algorithm", "a rule")
                played[agent] = played.get(agent, 1) + 1
                continue
            settings = known[rest]
            if settings.has_own_name:
                settings = _Settings.of(job.overrides, compose)
            members.append(_member(job, settings))
        for agent, times in played.items():
            print(f"{agent} does not learn: it is played once, not {times} times with other seeds")
        return _with_unique_names(members)


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What a composition says that names depend on."""

    config: Mapping[str, Any]
    choices: Mapping[str, str]
    is_rule: bool
    has_own_name: bool  # run_name is put together from other keys

    @classmethod
    def of(cls, overrides: Sequence[str], compose: Compose) -> _Settings:
        from hydra.errors import HydraException
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        from abx_amr.configuration.agent import is_rule
        from abx_amr.configuration.composing import resolved
        from abx_amr.configuration.mistakes import explain

        try:
            composed = compose(overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain(error, "train", overrides)) from error
        choices = {k: str(v) for k, v in composed.hydra.runtime.choices.items()}
        has_own_name = OmegaConf.is_interpolation(composed, "run_name")
        config = resolved(
            OmegaConf.masked_copy(composed, [str(k) for k in composed if k != "hydra"])
        )
        try:
            rule = is_rule(config)
        except InputError:  # the run itself says what is wrong with its agent
            rule = False
        return cls(config=config, choices=choices, is_rule=rule, has_own_name=has_own_name)


def _member(job: Combination, settings: _Settings) -> Member:
    from abx_amr.runs.folder import check_run_name

    config = settings.config
    training = config.get("training") or {}
    seeds = None if settings.is_rule else training.get("seeds")
    overrides = [o for o in job.overrides if _key(o) != "run_name"]
    if settings.is_rule and training.get("seeds") is not None:
        overrides = [*(o for o in overrides if _key(o) != SEEDS), f"{SEEDS}=null"]
    if settings.has_own_name:
        name = str(config["run_name"])
        overrides = list(job.overrides)
    else:
        seed = None if settings.is_rule or seeds else job.swept.get(SEED, training.get("seed"))
        is_given = any(_key(o) == "run_name" for o in job.overrides)
        name = run_name_of(job.swept, config, settings.choices, seed=seed, is_given=is_given)
        # Checked before it is quoted: such a name holds no quote and nothing that would escape it.
        overrides.append(f"run_name='{check_run_name(name)}'")
    names = [f"{name}_seed{s}" for s in seeds] if isinstance(seeds, list) else [name]
    for each in names:
        check_run_name(each)
    return Member(name=name, names=tuple(names), overrides=tuple(overrides), config=config)


def run_name_of(
    swept: Mapping[str, str],
    config: Mapping[str, Any],
    choices: Mapping[str, str],
    *,
    seed: object | None,
    is_given: bool = False,
) -> str:
    """Return the name of a run of a set: what it is, the swept values, the seed.

    A run_name that the command line gives (`is_given`) comes first also where a study's best
    parameters are trained with; one that an experiment gives names its plain runs.

    >>> run_name_of(
    ...     {"experiment": "paper_two", "agent_algorithm.gamma": "0.9", "training.seed": "3"},
    ...     {"run_name": None, "best_params_from": None},
    ...     {"experiment": "paper_two", "agent_algorithm": "ppo"},
    ...     seed=3,
    ... )
    'paper_two_ppo_gamma0.9_seed3'
    """
    from abx_amr.configuration.groups import groups

    shown = [key for key in swept if key not in _NOT_IN_NAMES and not key.startswith("hydra")]
    if config.get("best_params_from") is not None and not is_given:
        parts = [f"{config['best_params_from']}_optimized"]
        shown = [key for key in shown if key != "best_params_from"]
    elif config["run_name"] is not None:
        parts = [str(config["run_name"])]
    else:
        parts = [choices["experiment"], choices["agent_algorithm"]]
        shown = [key for key in shown if key not in ("experiment", "agent_algorithm")]
    is_group = {key: key.partition("@")[0] in groups() for key in shown}
    last = [key.rsplit(".", 1)[-1] for key in shown]
    for key, short in zip(shown, last, strict=True):
        word = "" if is_group[key] else short if last.count(short) == 1 else key
        parts.append(_plain(word + swept[key].strip("'\"")))
    if seed is not None:
        parts.append(f"seed{seed}")
    return "_".join(parts)


def _plain(text: str) -> str:
    """Return text that can stand in a folder's name and on a command line."""
    plain = re.sub(r"[^\w.+-]+", "-", text).strip("-")
    if len(plain) <= _LONGEST_VALUE:
        return plain
    return f"{plain[: _LONGEST_VALUE - 7]}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _with_unique_names(members: list[Member]) -> list[Member]:
    """Return the members, refusing two runs of one name.

    Raises:
        InputError: run_name gives two runs the same name, or a name is too long for a folder.
    """
    seen: set[str] = set()
    for member in members:
        for name in member.names:
            place = _place(member, name)
            if place in seen:
                raise InputError(
                    f"two runs of this set would both be called '{name}': give each swept value "
                    "once, and leave run_name out or let it hold what differs"
                )
            if len(name) > _LONGEST_NAME:
                raise InputError(
                    f"the run name '{name[:60]}...' has {len(name)} characters, at most "
                    f"{_LONGEST_NAME} fit: give a shorter run_name or sweep over fewer keys"
                )
            seen.add(place)
    return members


def _place(member: Member, name: str) -> str:
    return f"{member.config['results_dir']}/{name}"


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def is_member() -> bool:
    """Return whether the running job belongs to a set."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    config = HydraConfig.get()
    target = str(config.sweeper.get("_target_", ""))
    return config.mode == RunMode.MULTIRUN and target.endswith(".SetSweeper")


def run_member(task: Callable[[DictConfig], float], config: DictConfig) -> float:
    """Run one job of a set; why it fails is noted where the waiting command looks for it."""
    from abx_amr.cli.door import explain_os
    from abx_amr.runs.set_failures import write_failure

    try:
        return task(config)
    except Exception as error:
        known = str(error) if isinstance(error, InputError) else None
        if isinstance(error, OSError):
            known = explain_os(error)
        line = known or f"{type(error).__name__}: {error}"
        reason = (line.strip().splitlines() or [""])[0]
        with contextlib.suppress(OSError):  # a full disk takes no note either
            write_failure(config.results_dir, config.run_name, reason)
        log.error(
            "%s failed: %s",
            config.run_name,
            reason,
            exc_info=None if known else error,
        )
        raise


def gather_line(results_dirs: Sequence[str | Path]) -> str:
    """Return the line that names abx-gather.

    >>> gather_line(["elsewhere"])
    'one table of all runs:  abx-gather results_dir=elsewhere'
    """
    import shlex

    lines = [
        "abx-gather" if str(f) == "results" else shlex.join(["abx-gather", f"results_dir={f}"])
        for f in results_dirs
    ]
    return "one table of all runs:  " + "; ".join(lines)
