"""Compose a configuration from its groups and the overrides of a command line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import hydra
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from abx_amr.configuration.compositions import Compositions
from abx_amr.configuration.groups import file_of, fresh_hydra, groups
from abx_amr.configuration.mistakes import (
    explain,
    explain_no_name,
    explain_value,
    explain_yaml,
    misplaced,
)
from abx_amr.configuration.own_files import (
    check_keys_of_chosen,
    check_own_files,
    explain_no_text,
)
from abx_amr.configuration.values import Plain
from abx_amr.configuration.written import (
    FOLDERS,
    set_home_folders,
    settle_texts,
    to_the_letter,
)
from abx_amr.errors import InputError
from abx_amr.host.locations import find_project, from_here
from abx_amr.host.secrets import refuse_secret_values, refuse_secrets

_FLAGS = (
    *("figures", "report", "trajectories", "skip_if_exists", "overwrite_existing_study"),
    *("trust", "force"),
)
_LEARN_NOTHING_FROM_TUNING = ("train", "evaluate", "plan")
#: Folders of which a relative one is the project's, from wherever below it.
_PLACES = ("results_dir", "optimization_dir", "plan_cache")


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A composed configuration with the choices made in each group."""

    config: DictConfig
    choices: Mapping[str, str]
    #: Overrides that say what files mean by ~, which Hydra alone leaves as it is.
    home_folders: Sequence[str] = ()
    #: Whether Hydra is told to run it as many jobs (hydra.mode).
    is_multirun: bool = False

    @property
    def plain(self) -> Plain:
        """The resolved configuration as plain data."""
        return resolved(self.config)


def resolved(config: DictConfig) -> Plain:
    """Return `config` resolved, as plain data.

    Raises:
        InputError: an interpolation or a mandatory value is missing, or it holds a password.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise InputError(explain_value(error)) from error
    refuse_secret_values(plain)
    return settle_texts(cast(Plain, plain), config)


def is_search_override(override: str) -> bool:
    """Return whether the override sweeps over several values (Hydra's grammar)."""
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return bool(parsed.is_sweep_override())


def compose(
    config_name: str,
    overrides: Sequence[str] = (),
    *,
    search_path: Sequence[str] = (),
    compositions: Compositions | None = None,
    job_name: str = "app",
) -> Composition:
    """Return the composition of `config_name` (train, tune, evaluate) with command-line overrides.

    Args:
        config_name: a primary configuration in conf/.
        overrides: command-line overrides, in Hydra's grammar, without sweeps.
        search_path: further configuration folders.
        compositions: what a command has composed already, this one after it.
        job_name: Hydra's name of what is run.

    Raises:
        InputError: an override names what does not exist, or cannot be parsed.
    """
    refuse_secrets(overrides)
    arguments = to_the_letter(overrides)
    if search_path:
        folders = ",".join(f"file://{Path(p).resolve()}" for p in search_path)
        arguments.append(f"hydra.searchpath=[{folders}]")
    with fresh_hydra(compositions, job_name=job_name):
        try:
            config = hydra.compose(config_name, arguments, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            check_keys_of_chosen(overrides, search_path)
            raise InputError(explain(error, config_name, arguments)) from error
        except yaml.YAMLError as error:
            raise InputError(explain_yaml(error)) from error
        except UnicodeDecodeError as error:  # a ValueError too
            raise InputError(explain_no_text(error, search_path)) from error
        except ValueError as error:
            if not str(error).startswith("Config group override must be"):
                raise
            raise InputError(explain_no_name(arguments)) from error
        choices = {k: str(v) for k, v in config.hydra.runtime.choices.items()}
        _check_hydra(config)
        is_multirun = config.hydra.mode == RunMode.MULTIRUN
        composed = _without_hydra(config)
    if config_name in _LEARN_NOTHING_FROM_TUNING:
        _leave_tuning(composed, choices, overrides, config_name)
    _check_choices(choices)
    check_own_files(choices, config_name, search_path)
    try:
        homes = set_home_folders(composed)
        _check_top_level(composed, config_name)
    except OmegaConfBaseException as error:
        raise InputError(explain_value(error)) from error
    return Composition(
        config=composed, choices=choices, home_folders=homes, is_multirun=is_multirun
    )


def _check_choices(choices: Mapping[str, str]) -> None:
    """Refuse a file's name as a choice, after which a study or a run would be called.

    Raises:
        InputError: naming the choice.
    """
    for group, choice in choices.items():
        if choice.endswith((".yaml", ".yml")):
            name = group.partition("@")[0]
            plus = "+" * (name == "tuning")
            stem = choice.rpartition(".")[0]
            raise InputError(f"{name} takes a name, not a file: write {plus}{name}={stem}")


def _leave_tuning(
    config: DictConfig, choices: dict[str, str], overrides: Sequence[str], config_name: str
) -> None:
    """Leave out the search that an experiment carries for abx-tune.

    Raises:
        InputError: the command line asks for it.
    """
    if any(o.lstrip("+~").startswith(("tuning=", "tuning.", "tuning@")) for o in overrides):
        raise InputError(
            f"tuning belongs to abx-tune: abx-{config_name} does not search "
            "(abx-train best_params_from=RUN_NAME trains with what a study found)"
        )
    choices.pop("tuning", None)
    config.pop("tuning", None)


def _check_hydra(config: DictConfig) -> None:
    """Refuse settings of Hydra under which a command would not do what it says.

    Raises:
        InputError: the working folder would be another one.
    """
    if config.hydra.job.get("chdir"):
        raise InputError(
            "hydra.job.chdir=true would change the working folder, from which every path is read: "
            "leave it out (results_dir=FOLDER and optimization_dir=FOLDER say where files go)"
        )


def _check_top_level(config: DictConfig, config_name: str) -> None:
    """Refuse a key at the top that nothing reads."""
    known = set(groups())
    for name in ("umbrella", config_name):
        file = file_of(name)
        if file is None:
            return  # a primary configuration of the user's own
        known |= set(yaml.safe_load(file.read_text(encoding="utf-8")))
    known -= {"defaults", "hydra"}
    for key in config:
        if key == "experiment":
            raise InputError(
                "the chosen experiment would change nothing: the first line of its file must be "
                "'# @package _global_'"
            )
        if key not in known:
            raise InputError(f"key {misplaced(str(key), config, known)}")
    for key in _FLAGS:
        if key in config and not isinstance(config[key], bool):
            raise InputError(f"{key} must be true or false, got {config[key]!r}")
    for key in FOLDERS:
        if key in config and not (isinstance(config[key], str) and config[key].strip()):
            raise InputError(
                f"{key} must be a folder, such as {key}={key.removesuffix('_dir')}, "
                f"got {config[key]!r}"
            )
        if key in config and (variable := re.search(r"\$(\w+)", config[key])):
            written = config[key].replace(variable[0], f"${{oc.env:{variable[1]}}}", 1)
            raise InputError(
                f"{key}: {variable[0]} is not replaced in '{config[key]}': let the shell do it "
                f"(without quotes), or write {key}={written}"
            )
        if key in config:
            _check_can_be_folder(key, Path(config[key]))


def _check_can_be_folder(key: str, folder: Path) -> None:
    """Refuse a place of which the part that is there is no folder: a file, or a link to nothing."""
    there = next((part for part in (folder, *folder.parents) if os.path.lexists(part)), None)
    if there is None or there.is_dir():
        return
    kind = "is a file" if there.exists() else "is a link that leads nowhere"
    raise InputError(f"{key} must be a folder, but '{there}' {kind}: name another")


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"])


def places_in_project(
    config: Mapping[str, Any], overrides: Sequence[str], *, also: Sequence[str] = ()
) -> list[str]:
    """Return overrides that let results lie in the project, where it is not the working folder.

    What the command line gives is taken as it is: relative to the working folder. `also` are keys
    of one command alone that name a folder for results.
    """
    project = find_project()
    if project is None or project.root == Path.cwd():
        return []
    given = {override.lstrip("+~").partition("=")[0] for override in overrides}
    return [
        f"{key}='{from_here(value)}'"
        for key in (*_PLACES, *also)
        if key in config
        and key not in given
        and isinstance(value := config[key], str)
        and not os.path.isabs(value)
    ]
