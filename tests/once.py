"""What libraries make of equal words and files, made once in a process.

Hydra's composing is most of what a small command does, and Optuna reads the history of its tables
for each new database. Kept are, by what they are a function of: the override that a text says, the
configuration that a YAML text says, and, for folders of the same content, the files that a command
line chooses and these merged. Each caller gets a copy of its own. What fails is not kept, and all
that a command does with them it does anew.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser import overrides_parser
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from abx_amr.configuration.groups import conf_dir

SetAttribute = Callable[[object, str, object], None]


def make_once(set_attribute: SetAttribute) -> None:
    """Have Hydra and Optuna take up what is kept, by means of setattr or what takes it back."""
    from optuna.storages._rdb import storage

    history = storage._VersionManager._create_alembic_script
    read: list[Any] = []  # it knows no database

    @functools.wraps(history)
    def read_once(manager: storage._VersionManager) -> Any:
        read[:] = read or [history(manager)]
        return read[0]

    set_attribute(storage._VersionManager, "_create_alembic_script", read_once)
    set_attribute(OmegaConf, "load", staticmethod(_once(OmegaConf.load, _text)))
    _compose_once(set_attribute)


def _compose_once(set_attribute: SetAttribute) -> None:
    set_attribute(overrides_parser, "create_functions", functools.cache(create_functions))
    set_attribute(OverridesParser, "parse_rule", _once(OverridesParser.parse_rule, _rule))
    chosen = _once(config_loader_impl.create_defaults_list, _choices)

    @functools.wraps(chosen)
    def listed(repo: IConfigRepository, *, overrides_list: list[Override], **more: Any) -> Any:
        """Return the files of the choices with the values of this command line."""
        choices, values = _parted(repo, overrides_list)
        found: DefaultsList = chosen(repo, overrides_list=choices, **more)
        found.config_overrides = found.overrides.config_overrides = values
        return found

    set_attribute(config_loader_impl, "create_defaults_list", listed)
    name = "_compose_config_from_defaults_list"
    set_attribute(ConfigLoaderImpl, name, _once(getattr(ConfigLoaderImpl, name), _merged))


def _once(make: Callable[..., Any], key_of: Callable[..., Hashable]) -> Callable[..., Any]:
    """Return `make` that makes once what has the same key, and anew what has the key None."""
    kept: dict[Hashable, bytes] = {}

    @functools.wraps(make)
    def made(*arguments: Any, **keywords: Any) -> Any:
        key = key_of(*arguments, **keywords)
        if key in kept:
            return pickle.loads(kept[key])
        value = make(*arguments, **keywords)
        if key is not None:
            # Not where Hydra has loaded a plugin, whose class a value is of, twice.
            with contextlib.suppress(pickle.PicklingError):
                kept[key] = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return value

    return made


def _text(file: Any, **more: Any) -> Hashable:
    """Return what is in a file, which stays to be read; None where more is asked for."""
    if more:
        return None
    if not hasattr(file, "read"):
        return Path(file).read_text(encoding="utf-8")
    begin = file.tell()
    text: str = file.read()
    file.seek(begin)
    return text


def _rule(parser: OverridesParser, text: str, rule_name: str) -> Hashable:
    return text if rule_name == "override" else None


def _parted(
    repo: IConfigRepository, overrides: list[Override]
) -> tuple[list[Override], list[Override]]:
    """Return which overrides choose files, and which set values, as Hydra tells them apart."""
    parted: tuple[list[Override], list[Override]] = ([], [])
    for one in overrides:
        if not one.is_sweep_override():
            is_value = isinstance(one.value(), dict) or not repo.group_exists(one.key_or_group)
            parted[is_value].append(one)
    return parted


def _choices(
    repo: IConfigRepository,
    *,
    config_name: str | None,
    overrides_list: list[Override],
    prepend_hydra: bool,
    skip_missing: bool,
) -> Hashable:
    lines = tuple(one.input_line for one in overrides_list)
    return _searched(repo), config_name, lines, prepend_hydra, skip_missing


def _merged(loader: object, *, defaults: list[ResultDefault], repo: IConfigRepository) -> Hashable:
    return _searched(repo), repr(defaults)


def _searched(repo: IConfigRepository) -> Hashable:
    """Return where a configuration is looked for, and what is in the folders there."""
    return tuple(
        (one.scheme(), one.path if one.scheme() != "file" else _content(one.path))
        for one in repo.get_sources()
    )


def _content(folder: str) -> str:
    """Return what stands for the names in a folder and the text of its configurations."""
    if folder == str(conf_dir()):
        return folder  # no test changes it
    told = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        told.update(f"{path.relative_to(folder)}\0{path.is_dir()}\0".encode())
        if path.suffix in (".yaml", ".yml") and path.is_file():
            told.update(path.read_bytes() + b"\0")
    return told.hexdigest()
