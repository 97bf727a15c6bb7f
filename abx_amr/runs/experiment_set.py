"""The runs of one command line with -m: their names, what is left to do, what came of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from abx_amr.configuration.agent import learns
from abx_amr.configuration.composing import resolved
from abx_amr.configuration.mistakes import explain
from abx_amr.configuration.overrides import key_of
from abx_amr.errors import InputError
from abx_amr.runs.differences import differences
from abx_amr.runs.folder import RunFolder, check_run_name
from abx_amr.runs.registry import completed_runs
from abx_amr.runs.run_names import SEED, SEEDS, run_name_of
from abx_amr.runs.set_failures import clear_failure, read_failure, remove_if_empty

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)

_LONGEST_NAME = 160
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


@dataclass(frozen=True, kw_only=True)
class SetOutcome:
    """What came of a set.

    Attributes:
        n_runs: How many runs it has, those that were skipped among them.
        failed: Folder of results and run name -> why it failed.
        results_dirs: Where the runs lie.
        complete: Folders of the runs that are complete, those that were skipped among them.
    """

    n_runs: int
    failed: Mapping[str, str]
    results_dirs: Sequence[str]
    complete: Sequence[Path]


class ExperimentSet:
    """The runs that a command line describes, from their names to what came of them.

    Attributes:
        members: What is to be run.
        skipped: Names of runs that are complete already.
        config: The configuration of one of them.
        played_once: Rule -> how many seeds were asked for; it is played with none.
    """

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.skipped: list[str] = []
        self.played_once: dict[str, int] = {}
        self._before: dict[str, RunFolder] = {}
        self._results_dirs: list[str] = []
        self._skipped_places: set[str] = set()
        self.config: Mapping[str, Any] = {}

    @property
    def n_runs(self) -> int:
        """How many runs the set has, those that are skipped among them."""
        return len(self.skipped) + sum(len(member.names) for member in self.members)

    def prepare(self, jobs: Sequence[Combination], compose: Compose) -> list[list[str]]:
        """Name the runs and return the overrides of those that are to be launched.

        This composes every combination, which takes minutes for hundreds: what can be refused
        without, is refused before it is called.

        Raises:
            InputError: a combination cannot be composed, a name cannot be that of a folder, or two
                runs have one name.
        """
        members = self._named(jobs, compose)
        self.config = members[0].config if members else {}
        self._results_dirs = sorted({str(m.config["results_dir"]) for m in members})
        for folder in self._results_dirs:
            self._before |= {f"{folder}/{n}": r for n, r in completed_runs(folder).items()}
        changed: dict[str, str] = {}
        for member in members:
            done = [self._before.get(_place(member, name)) for name in member.names]
            if not member.config["skip_if_exists"] or not all(done):
                self.members.append(member)
                for name in member.names:
                    clear_failure(member.config["results_dir"], name)
                continue
            self.skipped += member.names
            self._skipped_places |= {_place(member, name) for name in member.names}
            if member.config.get("best_params_from"):
                continue  # the study's values are not in what is composed here
            for run in filter(None, done):
                if different := differences(run.read_config(), member.config):
                    changed.setdefault(different, run.run_name)
        for different, name in changed.items():
            log.warning(
                "%s was run with other settings (%s) and is skipped all the same", name, different
            )
        return [list(member.overrides) for member in self.members]

    def is_ended(self, overrides: Sequence[str]) -> bool:
        """Return whether the run with these overrides has left a result or a failure."""
        (member,) = [m for m in self.members if list(m.overrides) == list(overrides)]
        folder = member.config["results_dir"]
        now = completed_runs(folder)
        return all(
            read_failure(folder, member.name) or self._is_new(member, name, now.get(name))
            for name in member.names
        )

    def outcome(self) -> SetOutcome:
        """Return what came of the set.

        Raises:
            InputError: every run was refused for the same reason; nothing is left behind.
        """
        now = {folder: completed_runs(folder) for folder in self._results_dirs}
        failed: dict[str, str] = {}
        for member in self.members:
            folder = str(member.config["results_dir"])
            reason = read_failure(folder, member.name) or "it ended without a word (killed?)"
            for name in member.names:
                if not self._is_new(member, name, now[folder].get(name)):
                    failed[_place(member, name)] = reason
        reasons = set(failed.values())
        if self.n_runs > 1 and len(failed) == self.n_runs and len(reasons) == 1:
            for member in self.members:
                clear_failure(member.config["results_dir"], member.name)
            for folder in self._results_dirs:
                remove_if_empty(folder)
            raise InputError(f"each of the {self.n_runs} runs failed: {reasons.pop()}")
        names = {_place(m, name) for m in self.members for name in m.names} | self._skipped_places
        complete = [
            run.path
            for folder, runs in now.items()
            for name, run in runs.items()
            if f"{folder}/{name}" in names - set(failed)
        ]
        return SetOutcome(
            n_runs=self.n_runs,
            failed=failed,
            results_dirs=self._results_dirs,
            complete=complete,
        )

    def _is_new(self, member: Member, name: str, run: RunFolder | None) -> bool:
        """Return whether a run of this name was completed since the set began."""
        before = self._before.get(_place(member, name))
        return run is not None and (before is None or before.path != run.path)

    def _named(self, jobs: Sequence[Combination], compose: Compose) -> list[Member]:
        members: list[Member] = []
        known: dict[tuple[str, ...], _Settings] = {}
        for job in jobs:
            rest = tuple(o for o in job.overrides if key_of(o) != SEED)
            if rest not in known:
                known[rest] = _Settings.of(job.overrides, compose)
            elif not known[rest].learns and not known[rest].has_own_name:
                agent = known[rest].choices.get("agent_algorithm", "a rule")
                self.played_once[agent] = self.played_once.get(agent, 1) + 1
                continue
            settings = known[rest]
            if settings.has_own_name:
                settings = _Settings.of(job.overrides, compose)
            members.append(_member(job, settings))
        return _with_unique_names(members)


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What a composition says that names depend on."""

    config: Mapping[str, Any]
    choices: Mapping[str, str]
    learns: bool
    has_own_name: bool  # run_name is put together from other keys

    @classmethod
    def of(cls, overrides: Sequence[str], compose: Compose) -> _Settings:
        from hydra.errors import HydraException
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

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
            trained = learns(config)
        except InputError:  # the run itself says what is wrong with its agent
            trained = True
        return cls(config=config, choices=choices, learns=trained, has_own_name=has_own_name)


def _member(job: Combination, settings: _Settings) -> Member:
    config = settings.config
    training = config.get("training") or {}
    seeds = training.get("seeds") if settings.learns else None
    overrides = [o for o in job.overrides if key_of(o) != "run_name"]
    if not settings.learns and training.get("seeds") is not None:
        overrides = [*(o for o in overrides if key_of(o) != SEEDS), f"{SEEDS}=null"]
    if settings.has_own_name:
        name = str(config["run_name"])
        overrides = list(job.overrides)
    else:
        seed = None if seeds or not settings.learns else job.swept.get(SEED, training.get("seed"))
        is_given = any(key_of(o) == "run_name" for o in job.overrides)
        name = run_name_of(job.swept, config, settings.choices, seed=seed, is_given=is_given)
        # Checked before it is quoted: such a name holds no quote and nothing that would escape it.
        overrides.append(f"run_name='{check_run_name(name)}'")
    names = [f"{name}_seed{s}" for s in seeds] if isinstance(seeds, list) else [name]
    for each in names:
        check_run_name(each)
    return Member(name=name, names=tuple(names), overrides=tuple(overrides), config=config)


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
