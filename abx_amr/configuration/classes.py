"""The classes that `_target_` names: found, given their arguments, made into objects."""

from __future__ import annotations

import hashlib
import inspect
import logging
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
import yaml

from abx_amr.checks import check_declared
from abx_amr.configuration.groups import conf_dir
from abx_amr.configuration.values import Plain, value_at
from abx_amr.errors import InputError, did_you_mean, first_line, hint
from abx_amr.host.former_names import present_name
from abx_amr.host.locations import find_project, make_own_modules_importable


def locate(path: str, *, key: str) -> Any:
    """Return the class or function that a dotted path names; user modules beside the shell count.

    A name of a former release is understood.

    Raises:
        InputError: it cannot be imported.
    """
    path = present_name(path)
    make_own_modules_importable()
    complaints = logging.getLogger("hydra.utils")  # three lines, before it raises
    was_disabled, complaints.disabled = complaints.disabled, True
    try:
        found = hydra.utils.get_object(path)
    except (ValueError, ImportError, AttributeError, SyntaxError) as error:
        raise InputError(
            f"{key}: '{path}' cannot be imported: {_no_import(path, error)}"
        ) from error
    finally:
        complaints.disabled = was_disabled
    _check_whose(path, key=key)
    return found


def _check_whose(path: str, *, key: str) -> None:
    """Refuse a module that goes before the project's own of the same name."""
    project = find_project()
    own = None if project is None else project.file_of(path)
    module = sys.modules.get(path.rpartition(".")[0])
    file = getattr(module, "__file__", None)
    if own is not None and isinstance(file, str) and not os.path.samefile(own, file):
        raise InputError(
            f"{key}: '{path}' is found in {file}, which goes before {own}: rename the project's own"
        )


def _no_import(path: str, error: BaseException) -> str:
    """Return why a dotted path could not be imported, and the cure."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, SyntaxError) and cause.filename:
        return f"{_shown(cause.filename)} line {cause.lineno}: {cause.msg}"
    missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
    if missing is not None and f"{path}.".startswith(f"{missing}."):
        return _lacks(path, missing)
    raised_in = [
        frame
        for frame in traceback.extract_tb(cause.__traceback__)
        if _is_users(Path(frame.filename))
    ]
    if raised_in:
        where = f"{_shown(raised_in[-1].filename)} line {raised_in[-1].lineno}"
        what = first_line(cause)
        return f"{where}: {what if missing else f'{type(cause).__name__}: {what}'}"
    return f"{first_line(cause)}; give the dotted path of a class in an installed or local module"


def _lacks(path: str, missing: str) -> str:
    """Return the line about the first part of a dotted path that does not exist."""
    parent, _, name = missing.rpartition(".")
    module = sys.modules.get(parent)
    if module is not None and not hasattr(module, "__path__"):
        made = [n for n, v in vars(module).items() if n[0] != "_" and inspect.isclass(v)]
        own = [n for n in made if vars(module)[n].__module__ == parent]
        file = getattr(module, "__file__", None)
        where = _shown(file) if file and _is_users(Path(file)) else f"module {parent}"
        return f"{where} has no class '{name}'{hint(name, own or made, label='it has')}"
    folders = [*getattr(module, "__path__", [])] if parent else _users_folders()
    found = {m.name for m in pkgutil.iter_modules([str(folder) for folder in folders])}
    classes = [n for n, v in vars(module).items() if inspect.isclass(v)] if module else []
    if not parent:
        found |= {"abx_amr", "stable_baselines3", "sb3_contrib"}
        found |= {p.name for d in folders for p in Path(d).iterdir() if p.is_dir()}
    guess = did_you_mean(name, sorted({*found, *classes}))
    if missing == path and parent:
        return f"{parent} has no '{name}'{guess}"
    project = find_project()
    if guess:
        cure = guess
    elif project is None:
        cure = "; a class of a project is found inside the project: change to its folder"
    else:
        stem = path.rpartition(".")[0].replace(".", "/")
        cure = f"; its file would be {project.root / stem}.py"
    return f"there is no module '{missing}'{cure}"


def _users_folders() -> list[Path]:
    """Return the folders in which a user's own modules are looked for."""
    project = find_project()
    return [Path.cwd()] if project is None else [Path.cwd(), project.root]


def _is_users(file: Path) -> bool:
    """Say whether a file lies in the project or the working folder, and is nobody's package."""
    return "site-packages" not in file.parts and any(
        file.is_relative_to(folder) and file.is_file() for folder in _users_folders()
    )


def _shown(file: str) -> str:
    return os.path.relpath(file)


def targets(config: Any) -> Iterator[str]:
    """Yield the dotted path of every class that a configuration names.

    >>> sorted(targets({"a": {"_target_": "m.A", "b": [{"_target_": "m.B"}]}}))
    ['m.A', 'm.B']
    """
    if isinstance(config, Mapping):
        if isinstance(target := config.get("_target_"), str):
            yield target
        for value in config.values():
            yield from targets(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from targets(value)


def own_code(config: Mapping[str, Any]) -> dict[str, str]:
    """Return module -> digest of its file for the project's own classes that are configured."""
    project = find_project()
    if project is None:
        return {}
    files = {t.rpartition(".")[0]: project.file_of(t) for t in targets(config)}
    return {
        module: hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        for module, file in sorted(files.items())
        if file is not None
    }


def instantiate(section: Mapping[str, Any], *, key: str, **more: Any) -> Any:
    """Return the object that a section's `_target_` and parameters describe.

    The one place where configuration becomes an object. Nested `_target_` sections come first.

    Args:
        section: parameters with `_target_`.
        key: where the section stands, for messages.
        more: further constructor arguments.

    Raises:
        InputError: no such class, an unknown parameter, or a value it rejects.
    """
    arguments = {
        name: instantiate_nested(value, key=f"{key}.{name}")
        for name, value in section.items()
        if name != "_target_"
    }
    target = section.get("_target_")
    if not isinstance(target, str):
        raise InputError(f"{key}._target_ must name a class, got {target!r}")
    made = locate(target, key=f"{key}._target_")
    arguments.update(more)
    check_arguments(made, arguments, key=key)
    check_declared(made, arguments, key=key)
    try:
        return made(**arguments)
    except InputError as error:
        line = str(error)
        raise InputError(line if line.startswith(key) else f"{key}: {line}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{key}: {made.__name__} says: {first_line(error)}") from error


def instantiate_nested(value: Any, *, key: str) -> Any:
    """Return the value with an object for each `_target_` section in it."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            return instantiate(value, key=key)
        return {k: instantiate_nested(v, key=f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [instantiate_nested(v, key=f"{key}[{i}]") for i, v in enumerate(value)]
    return value


def parameters_of(made: Callable[..., Any]) -> tuple[set[str], bool]:
    """Return the parameter names of a class or function, and whether it takes any name."""
    signature = inspect.signature(made)
    kinds = {p.kind for p in signature.parameters.values()}
    names = {
        n
        for n, p in signature.parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    return names, inspect.Parameter.VAR_KEYWORD in kinds


def check_arguments(made: Callable[..., Any], given: Iterable[str], *, key: str) -> None:
    """Refuse an argument that `made` does not take.

    Raises:
        InputError: naming the nearest parameter.
    """
    names, takes_any = parameters_of(made)
    if takes_any:
        return
    for name in given:
        if name not in names:
            raise InputError(
                f"{key}.{name} is unknown to {getattr(made, '__name__', made)}"
                f"{hint(name, sorted(names), label='it takes')}"
            )


def dataclass_arguments(made: type, section: Any, *, key: str) -> Plain:
    """Return a section as the arguments of a dataclass, each of them known, none missing.

    Raises:
        InputError: naming the key, and what to do about it.
    """
    if not isinstance(section, Mapping):
        raise InputError(f"{key} must be a section, got {section!r}")
    check_arguments(made, section, key=key)
    missing = {f.name for f in fields(made)} - set(section)
    required = {n for n, p in inspect.signature(made).parameters.items() if p.default is p.empty}
    if absent := sorted(missing & required):
        path = f"{key}.{absent[0]}"
        raise InputError(f"{path} is missing: {_cure_of_missing(path)}")
    return dict(section)


def _cure_of_missing(path: str) -> str:
    """Return what to do about a key that no file gives: perhaps a project's file hides it."""
    group, _, inside = path.partition(".")
    project = find_project()
    inherit = "begin with 'defaults: [default]'"
    for file in () if project is None else sorted((project.conf / group).glob("*.yaml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        content = content if isinstance(content, dict) else {}
        is_whole = "defaults" in content or value_at(content, inside, missing=None) is not None
        if (conf_dir() / group / file.name).is_file() and not is_whole:
            return (
                f"{_shown(str(file))} takes the place of the packaged file of this name and must "
                f"hold every key (give it another name, and it can {inherit})"
            )
    return f"add it to the file that is chosen in conf/{group}, which can also {inherit}"
