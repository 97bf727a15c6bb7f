"""Compose a configuration and turn it into plain objects; configuration stops here.

With api.py and cli/ the only place that sees Hydra. Everything raised for a user's mistake is an
InputError of one line.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import logging
import math
import os
import pkgutil
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from abx_amr.errors import InputError, cure
from abx_amr.naming import SYNONYMS, did_you_mean, hint, nearest, unknown
from abx_amr.project import find_project, from_here, make_importable, packaged

if TYPE_CHECKING:
    from abx_amr.algorithms.rules import Rule
    from abx_amr.hierarchy.library import OptionEntry
    from abx_amr.hierarchy.manager import ManagerRole
    from abx_amr.learning import AgentSpec, TrainingSettings
    from abx_amr.results import RunFolder
    from abx_amr.simulator.clinic import ClinicModel
    from abx_amr.studies.storages import StudyStorage

Plain = dict[str, Any]

#: Sections that describe the clinic: what is learned from, not what learns.
CLINIC_SECTIONS = (
    "antibiotics",
    "amr_dynamics",
    "environment",
    "patient_generator",
    "reward_calculator",
)
#: Sections that describe what learns.
AGENT_SECTIONS = ("agent_algorithm", "hrl", "option_library")
_TUNING_SEEDS = range(1000, 10_000)


def conf_dir() -> Path:
    """Return the folder of the packaged configuration groups (conf/ in a checkout)."""
    return packaged("conf")


def version_base() -> dict[str, Any]:
    """Return the version_base argument: 1.3 must have it, 1.4 warns about it."""
    if tuple(int(n) for n in hydra.__version__.split(".")[:2]) >= (1, 4):
        return {}
    return {"version_base": "1.3"}


# --- composing -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Composition:
    """A composed configuration with the choices made in each group."""

    config: DictConfig
    choices: Mapping[str, str]

    @property
    def plain(self) -> Plain:
        """The resolved configuration as plain data."""
        return resolved(self.config)


def resolved(config: DictConfig) -> Plain:
    """Return `config` resolved, as plain data.

    Raises:
        InputError: an interpolation or a mandatory value is missing.
    """
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        where = f"{key}: " if key else ""
        raise InputError(f"{where}{_first_line(error)}") from error
    return cast(Plain, plain)


def is_search_override(override: str) -> bool:
    """Return whether the override sweeps over several values (Hydra's grammar)."""
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return bool(parsed.is_sweep_override())


def compose(
    config_name: str, overrides: Sequence[str] = (), *, search_path: Sequence[str] = ()
) -> Composition:
    """Return the composition of `config_name` (train, tune, evaluate) with command-line overrides.

    Args:
        config_name: a primary configuration in conf/.
        overrides: command-line overrides, in Hydra's grammar, without sweeps.
        search_path: further configuration folders.

    Raises:
        InputError: an override names what does not exist, or cannot be parsed.
    """
    arguments = list(overrides)
    if search_path:
        folders = ",".join(f"file://{Path(p).resolve()}" for p in search_path)
        arguments.append(f"hydra.searchpath=[{folders}]")
    with fresh_hydra():
        try:
            config = hydra.compose(config_name, arguments, return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise InputError(explain(error, config_name, arguments)) from error
        except yaml.YAMLError as error:
            raise InputError(explain_yaml(error)) from error
        except UnicodeDecodeError as error:
            raise InputError(
                f"a configuration file is no UTF-8 text ({error.reason}): save it as UTF-8"
            ) from error
        choices = {k: str(v) for k, v in config.hydra.runtime.choices.items()}
        composed = _without_hydra(config)
    try:
        _check_top_level(composed, config_name)
    except OmegaConfBaseException as error:
        raise InputError(_first_line(error)) from error
    return Composition(config=composed, choices=choices)


def explain_yaml(error: yaml.YAMLError, *, file: Path | str | None = None) -> str:
    """Return what is wrong with a YAML file, in one line: where, what, and the cure."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"{file or 'a configuration file'} is no YAML: {_first_line(error)}"
    mark = error.problem_mark or error.context_mark
    where = str(file or (mark.name if mark else "a configuration file"))
    where = os.path.relpath(where) if os.path.isabs(where) else where
    if mark is not None:
        where += f" line {mark.line + 1}, column {mark.column + 1}"
    problem = error.problem or error.context or "it cannot be read"
    if "'\\t'" in problem:
        return f"{where}: YAML is indented with spaces, not with tabs"
    if "duplicate key" in problem:
        return f"{where}: {problem}: remove one of the two"
    return f"{where} is no YAML: {problem} (look at this line and the one above it)"


def _check_top_level(config: DictConfig, config_name: str) -> None:
    """Refuse a key at the top that nothing reads."""
    known = set(groups())
    for name in ("umbrella", config_name):
        file = _file_of(name)
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
            raise InputError(f"key {_misplaced(str(key), config, known)}")
    if "tuning" in config and config_name in _LEARN_NOTHING_FROM_TUNING:
        raise InputError(
            f"tuning belongs to abx-tune: abx-{config_name} does not search "
            f"(abx-train best_params_from=RUN_NAME trains with what a study found)"
        )
    for key in _FLAGS:
        if key in config and not isinstance(config[key], bool):
            raise InputError(f"{key} must be true or false, got {config[key]!r}")
    for key in ("results_dir", "optimization_dir"):
        if key in config and not (isinstance(config[key], str) and config[key].strip()):
            raise InputError(
                f"{key} must be a folder, such as {key}={key[:-4]}, got {config[key]!r}"
            )
        if key in config and Path(config[key]).is_file():
            raise InputError(f"{key} must be a folder, but '{config[key]}' is a file: name another")


_FLAGS = ("figures", "trajectories", "skip_if_exists", "overwrite_existing_study")
_LEARN_NOTHING_FROM_TUNING = ("train", "evaluate", "plan")


def _misplaced(name: str, config: DictConfig, known: Iterable[str]) -> str:
    """Return what to say of a top-level name that does not exist: perhaps a section holds it."""
    leaves = [p for p in _value_paths(config) if "." in p]
    sections = sorted(known)
    if nearest(name, sections) is None or any(p.rsplit(".", 1)[-1] == name for p in leaves):
        wanted = SYNONYMS.get(name, name)
        inside = [p for p in leaves if p.rsplit(".", 1)[-1] == wanted]
        if inside:
            best = min(inside, key=lambda p: (p.count("."), sections.index(p.split(".")[0])))
            return f"'{name}' does not exist at the top; did you mean '{best}'?"
        close = nearest(name, [p.rsplit(".", 1)[-1] for p in leaves if p.count(".") == 1])
        if close and nearest(name, sections) is None:
            best = next(p for p in leaves if p.count(".") == 1 and p.endswith(f".{close}"))
            return f"'{name}' does not exist; did you mean '{best}'?"
    return f"'{name}' does not exist{hint(name, sections)}"


def _value_paths(config: DictConfig, above: str = "") -> list[str]:
    found: list[str] = []
    for key, value in config.items_ex(resolve=False):
        path = f"{above}{key!s}"
        found.append(path)
        if isinstance(value, DictConfig) and not value._is_none() and not value._is_interpolation():
            found += _value_paths(value, f"{path}.")
    return found


def _file_of(name: str) -> Path | None:
    """Return a primary configuration's file, the project's own first."""
    project = find_project()
    folders = [conf_dir()] if project is None else [project.conf, conf_dir()]
    return next((f for d in folders if (f := d / f"{name}.yaml").is_file()), None)


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(k) for k in config if k != "hydra"])


@contextlib.contextmanager
def fresh_hydra() -> Iterator[None]:
    """Give Hydra's compose its own global state, also inside a running Hydra application."""
    saved = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="hydra.*")
            with hydra.initialize_config_dir(str(conf_dir()), **version_base()):
                yield
    finally:
        GlobalHydra.instance().hydra = saved


def available(group: str, overrides: Sequence[str] = ()) -> list[str]:
    """Return the choices of a configuration group; staged copies of files are left out.

    Args:
        group: The group.
        overrides: Among them the folders that are searched as well.
    """
    folders = [o for o in overrides if o.startswith("hydra.searchpath=")]
    with fresh_hydra():
        loader = GlobalHydra.instance().config_loader()
        names = sorted(loader.get_group_options(group, config_name="train", overrides=folders))
    return [name for name in names if not re.search(r"-[0-9a-f]{12}$", name)]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def explain(error: Exception, config_name: str, overrides: Sequence[str]) -> str:
    """Return Hydra's complaint as one line with the nearest valid name."""
    text = str(error)
    cause = str(error.__cause__ or "")
    if found := re.search(r"Could not (?:find|load) '([^']+)/([^'/]+)'", text):
        return _no_choice(found.group(1), found.group(2), text, overrides)
    if found := re.search(r"In '([\w./-]+)': Could not override '[^'@]+@([\w.]+)", text):
        return (
            f"{found.group(1)}.yaml: the first line of the file must be '# @package _global_', so "
            f"that what it chooses is not put into '{found.group(2).rpartition('.')[0]}'"
        )
    if found := re.search(
        r"In '([\w./-]+)': Could not override '([^']+)'\.\s*No match in the defaults list", text
    ):
        file, group = found.group(1), found.group(2).partition("@")[0].lstrip("/")
        if group not in groups():
            return f"{file}.yaml: there is no group '{group}'{hint(group, groups())}"
        return (
            f"{file}.yaml: {group} is not chosen yet, so that it cannot be overridden: write "
            f"'- /{group}: NAME' without override"
        )
    if found := re.search(r"Could not override '([^']+)'\.\s*No match in the defaults list", text):
        group = found.group(1)
        option = next((o.partition("=")[2] for o in overrides if o.startswith(f"{group}=")), "")
        if group in _OF_MANAGERS:
            return f"{group} {_ONLY_MANAGERS}"
        if available(group):
            return f"{group} is not chosen yet: write +{group}={option}"
        return _unknown_path(group, config_name, overrides)
    if found := re.search(r"Could not append to config\. An item is already at '([^']+)'", text):
        key = found.group(1)
        return f"{key} exists already: write {key}=... without the +"
    if found := re.search(r"Multiple values for ([\w/@.]+)\. To override", text):
        group = found.group(1)
        if any(o.startswith(f"+{group}=") for o in overrides):
            return f"{group} is chosen already: write {group}=NAME without the +"
        return (
            f"{group} is chosen twice: in the defaults list of the file, write "
            f"'- override /{group}: NAME'"
        )
    if found := re.search(r"Error merging override ([\w./@-]+)=", text):
        key = found.group(1)
        own = (
            ": the value network's own layers are value_net_arch=[...]" if "net_arch" in key else ""
        )
        return f"{key}: a section cannot take the place of a list or a value{own}"
    if found := re.search(r"Cannot find primary config '([^']+)'", text):
        return (
            f"--config-name: there is no configuration '{found.group(1)}': leave the flag out, and "
            "choose an experiment instead (experiment=NAME)"
        )
    if found := re.search(r"([\w/]+) appears more than once in the final defaults list", text):
        return f"{found.group(1)} is chosen already: write {found.group(1)}=NAME without the +"
    if found := re.search(r"Could not delete from config\. '?([\w./@-]+?)'? does not exist", text):
        return _unknown_path(found.group(1), config_name, overrides)
    if found := re.search(r"Could not (?:override|append to config) '([\w./@-]+)'", text):
        return _unknown_path(found.group(1), config_name, overrides, detail=cause)
    for override in overrides:
        try:
            OverridesParser.create().parse_override(override)
        except HydraException as complaint:
            return _unreadable(override, complaint)
    return f"{config_name}: {' '.join(text.split())}"


def _no_choice(group: str, name: str, complaint: str, overrides: Sequence[str]) -> str:
    """Return the line about a choice that a group does not have."""
    top = group.split("/")[0]
    if top != "hydra" and top in groups() and (group != top or name.endswith((".yaml", ".yml"))):
        file = f"{group}/{name}".removeprefix(f"{top}/")
        stem = Path(name).stem
        has_it = stem in available(top)
        return f"{top} takes a name, not a file: " + (
            f"write {top}={stem}" if has_it else f"-s {top}-subconfig={file} takes a file"
        )
    options = [o for o in available(group, overrides) if (group, o) != ("tuning", "base")]
    if not options:
        return f"there is no group '{group}'{did_you_mean(group, groups())}"
    if (group, name) in _EXTRAS:
        return (
            f"{group}={name} is not installed: pip install 'abx-amr[{_EXTRAS[group, name]}]' "
            f"({_listed(options)})"
        )
    where = re.search(r"In '([^']+)'", complaint)
    inside = f"{where.group(1)}.yaml: " if where and where.group(1) not in _PRIMARY else ""
    return inside + unknown(group, name, options)


_EXTRAS = {("hydra/sweeper", "optuna"): "optuna-sweeper"}
_PRIMARY = ("train", "tune", "evaluate", "plan", "study", "umbrella")
_SWEEPS = {
    "interval": "interval(LOW,HIGH)",
    "range": "range(FROM,BELOW)",
    "choice": "choice(A,B)",
    "tag": "tag(log,interval(LOW,HIGH))",
    "glob": "glob(*)",
    "int": "int(...)",
    "float": "float(...)",
    "str": "str(...)",
    "shuffle": "shuffle(A,B)",
    "sort": "sort(A,B)",
}


def _unreadable(override: str, complaint: Exception) -> str:
    """Return the line about an override that Hydra's grammar does not take."""
    key, equals, value = override.partition("=")
    if override != override.strip() or key != key.strip():
        return f"'{override}' holds a space: write {key.strip()}={value.strip()}"
    if not equals:
        return f"'{override}' cannot be read: write key=value"
    if not key.lstrip("+~") or ".." in key:
        return f"'{override}' has no usable key: write key=value, such as training.seed=3"
    if value.startswith("="):
        return f"'{override}' has one = too many: write {key}={value.lstrip('=')}"
    if called := re.match(r"([A-Za-z_]\w*)\(", value):
        name = called.group(1)
        if name not in _SWEEPS:
            return (
                f"'{override}': there is no function '{name}'"
                f"{hint(name, [n for n in ('interval', 'range', 'choice', 'tag', 'glob')])}"
            )
        if value.count("(") != value.count(")"):
            return f"'{override}': a bracket is not closed: write '{key}={_SWEEPS[name]}'"
        return f"'{override}' cannot be read: write '{key}={_SWEEPS[name]}'"
    if value.count("[") != value.count("]") or value.count("{") != value.count("}"):
        return f"'{override}' cannot be read: a bracket is not closed"
    if value.count("'") % 2 or value.count('"') % 2:
        return f"'{override}' cannot be read: a quotation mark is not closed"
    if value.startswith("~"):
        return f"'{override}': ~ is not the home folder here: write {key}=$HOME{value[1:]}"
    if odd := re.search(r"[^\w./:\-+*$%@ ,?|]", value, re.ASCII):
        return (
            f"'{override}' cannot be read because of the '{odd.group()}': "
            f"quote the value twice, '{key}=\"{value}\"'"
        )
    return f"'{override}' cannot be read as key=value: {_first_line(complaint)}"


def _unknown_path(
    path: str, config_name: str, overrides: Sequence[str], *, detail: str = ""
) -> str:
    """Return the line about a key that does not exist, with its nearest sibling."""
    if path == "hrl.option_library":
        return f"{_NO_LIBRARY_KEY} ({_listed(available('option_library'))})"
    # Choices alone: with other settings that do not fit the same complaint would come again.
    others = [o for o in overrides if "." not in o.partition("=")[0] and not o.startswith("~")]
    others = [o for o in others if o.lstrip("+").partition("=")[0] != path]
    if path.split(".")[0] in _OF_MANAGERS and not _has(path.split(".")[0], config_name, others):
        return f"{path.split('.')[0]} {_ONLY_MANAGERS}"
    node: Any = None if path.startswith("hydra.") else _composed_quietly(config_name, others)
    parts = path.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(node, DictConfig):
            break
        if part not in node:
            where = ".".join([*parts[:depth], part])
            names = sorted(str(k) for k in node if k != "_target_")
            if depth == 0 and part == "tuning" and config_name != "tune":
                return f"tuning belongs to abx-tune: abx-{config_name} does not search"
            if depth == 0 and part in groups():
                options = [o for o in available(part) if (part, o) != ("tuning", "base")]
                return f"{part} is not chosen yet: add +{part}=NAME ({_listed(options)})"
            if depth == 0:
                return _misplaced(part, node, {*names, *groups()})
            if not names:
                taken = "takes no settings" if "_target_" in node else "is empty"
                return f"{where} does not exist: {'.'.join(parts[:depth])} {taken}"
            return f"{where} does not exist{hint(part, names)}"
        try:
            node = node[part]
        except OmegaConfBaseException:
            break
    reason = detail.splitlines()[0] if detail else "it does not exist or takes no such value"
    if new := re.match(r"Key '([^']+)' is not in struct", reason):
        if isinstance(node, DictConfig):
            return (
                f"{path} has no key '{new.group(1)}' yet: add it with +{path}.{new.group(1)}=VALUE"
            )
        return f"{path} has no key '{new.group(1)}'"
    return f"{path}: {reason}"


def _has(section: str, config_name: str, overrides: Sequence[str]) -> bool:
    config = _composed_quietly(config_name, overrides)
    return config is None or section in config


def _composed_quietly(config_name: str, overrides: Sequence[str]) -> DictConfig | None:
    """Return a composition that serves to explain another; None where it cannot be made."""
    with fresh_hydra():
        try:
            return hydra.compose(config_name, list(overrides))
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError):
            return None


_OF_MANAGERS = ("hrl", "option_library")
_ONLY_MANAGERS = (
    "belongs to an agent that chooses options: choose agent_algorithm=hrl_ppo or hrl_rppo"
)


def _listed(names: Sequence[str]) -> str:
    return f"available: {', '.join(names)}"


def groups() -> list[str]:
    """Return the configuration groups: the packaged ones and the project's own."""
    shipped = [p.name for p in conf_dir().iterdir() if p.is_dir() and not p.name.startswith("_")]
    project = find_project()
    own = [] if project is None else [g for g in project.groups() if g != "hydra"]
    return [*shipped, *(group for group in own if group not in shipped)]


#: Keys that name a folder; a relative one is the project's, from wherever below it.
_PLACES = ("results_dir", "optimization_dir", "plan_cache")


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


def chosen_groups(choices: Mapping[str, str]) -> dict[str, str]:
    """Return the choices made in our own groups, those of Hydra and empty ones left out."""
    ours = set(groups())
    return {g: str(c) for g, c in choices.items() if g in ours and str(c) != "None"}


# --- from plain data to objects ------------------------------------------------------------------


def locate(path: str, *, key: str) -> Any:
    """Return the class or function that a dotted path names; user modules beside the shell count.

    Raises:
        InputError: it cannot be imported.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    make_importable(find_project())
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


def config_of_run(folder: RunFolder) -> Plain:
    """Return the configuration of a run.

    Raises:
        InputError: it names classes of a project that is not the one worked in.
    """
    config = folder.read_config()
    home, here = find_project(folder.path), find_project()
    if home is None or (here is not None and home.root.resolve() == here.root.resolve()):
        return config
    own = next((t for t in targets(config) if home.file_of(t) is not None), None)
    if own is not None:
        raise InputError(
            f"the run {folder.path.name} uses {own} of the project {home.root}: "
            f"run the command inside it (cd {home.root})"
        )
    return config


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
        what = _first_line(cause)
        return f"{where}: {what if missing else f'{type(cause).__name__}: {what}'}"
    return f"{_first_line(cause)}; give the dotted path of a class in an installed or local module"


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
        name: _instantiate_nested(value, key=f"{key}.{name}")
        for name, value in section.items()
        if name != "_target_"
    }
    target = section.get("_target_")
    if not isinstance(target, str):
        raise InputError(f"{key}._target_ must name a class, got {target!r}")
    made = locate(target, key=f"{key}._target_")
    arguments.update(more)
    check_arguments(made, arguments, key=key)
    try:
        return made(**arguments)
    except InputError as error:
        line = str(error)
        raise InputError(line if line.startswith(key) else f"{key}: {line}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{key}: {made.__name__} says: {_first_line(error)}") from error


def _instantiate_nested(value: Any, *, key: str) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return instantiate(value, key=key)
        return {k: _instantiate_nested(v, key=f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list):
        return [_instantiate_nested(v, key=f"{key}[{i}]") for i, v in enumerate(value)]
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


def _section(config: Mapping[str, Any], name: str) -> Plain:
    section = config.get(name)
    if not isinstance(section, Mapping):
        raise InputError(
            f"{name} must be a section of the configuration (name: value), got {section!r}"
        )
    return dict(section)


def build_clinic(config: Mapping[str, Any]) -> ClinicModel:
    """Return the clinic of a resolved configuration.

    Per antibiotic, `adverse_effect_*` belong to the rewards and everything else to the resistance
    model, which is handed each parameter as a mapping antibiotic -> value.

    Raises:
        InputError: a parameter is missing, unknown or out of range.
    """
    from abx_amr.simulator.clinic import ClinicModel
    from abx_amr.simulator.observation import ObservationSettings, VisibleAmr

    formulary = _section(config, "antibiotics")
    drugs = formulary.pop("drugs", None)
    cross_resistance = formulary.pop("cross_resistance", None) or {}
    if formulary:
        raise InputError(
            unknown("antibiotics key", next(iter(formulary)), ["drugs", "cross_resistance"])
        )
    if not isinstance(drugs, Mapping) or not drugs:
        raise InputError(f"antibiotics.drugs must name at least one antibiotic, got {drugs!r}")
    names = tuple(str(n) for n in drugs)
    dynamics_parameters: dict[str, dict[str, Any]] = {}
    adverse: dict[str, dict[str, Any]] = {
        "adverse_effect_penalty": {},
        "adverse_effect_probability": {},
    }
    for drug, parameters in drugs.items():
        if not isinstance(parameters, Mapping):
            raise InputError(f"antibiotics.drugs.{drug} must be a section, got {parameters!r}")
        for name, value in parameters.items():
            group = adverse if name in adverse else dynamics_parameters
            group.setdefault(str(name), {})[str(drug)] = value
    _check_drug_parameters(config, dynamics_parameters, names)

    dynamics = instantiate(
        _section(config, "amr_dynamics"),
        key="amr_dynamics",
        antibiotics=names,
        **dynamics_parameters,
    )
    reward = instantiate(
        _section(config, "reward_calculator"), key="reward_calculator", antibiotics=names, **adverse
    )
    environment = _section(config, "environment")
    try:
        visible = VisibleAmr(**_only(environment, "visible_amr", VisibleAmr, key="environment"))
        observation = ObservationSettings(
            **{
                f: environment.pop(f)
                for f in (
                    "include_steps_since_amr_update",
                    "include_previous_action",
                    "temporal_windows",
                )
                if f in environment
            }
        )
        check_arguments(ClinicModel, environment, key="environment")
        return ClinicModel(
            antibiotics=names,
            dynamics=dynamics,
            cross_resistance=cross_resistance,
            population=build_population(_section(config, "patient_generator")),
            reward=reward,
            visible_amr=visible,
            observation=observation,
            **environment,
        )
    except InputError:
        raise
    except TypeError as error:
        raise InputError(f"environment: {_first_line(error)}") from error


def _check_drug_parameters(
    config: Mapping[str, Any], parameters: Mapping[str, Any], names: Sequence[str]
) -> None:
    target = _section(config, "amr_dynamics").get("_target_")
    if not isinstance(target, str):
        return
    taken, takes_any = parameters_of(locate(target, key="amr_dynamics._target_"))
    taken |= {"adverse_effect_penalty", "adverse_effect_probability"}
    taken.discard("antibiotics")
    for parameter, values in parameters.items():
        if not takes_any and parameter not in taken:
            drug = next(iter(values))
            raise InputError(unknown(f"antibiotics.drugs.{drug} parameter", parameter, taken))


def _only(parent: Plain, name: str, made: Callable[..., Any], *, key: str) -> Plain:
    section = parent.pop(name, None)
    if not isinstance(section, Mapping):
        raise InputError(
            f"{key}.{name} must be a section, got {section!r} (a file of your own begins with "
            "'defaults: [default]' to keep the other values)"
        )
    check_arguments(made, section, key=f"{key}.{name}")
    return dict(section)


def build_population(section: Plain) -> Any:
    """Return a population, or a mixture with each member built from its own section."""
    members = section.get("populations")
    if members is None:
        return instantiate(section, key="patient_generator")
    if not isinstance(members, Mapping) or not members:
        raise InputError("patient_generator.populations must name at least one population")
    built = {}
    for name, member in members.items():
        key = f"patient_generator.populations.{name}"
        if not isinstance(member, Mapping) or "proportion" not in member:
            raise InputError(f"{key} must be a section with its proportion")
        parameters = dict(member)
        proportion = parameters.pop("proportion")
        parameters.setdefault("_target_", "abx_amr.simulator.patients.PatientPopulation")
        built[str(name)] = (proportion, instantiate(parameters, key=key))
    rest = {k: v for k, v in section.items() if k != "populations"}
    return instantiate(rest, key="patient_generator", populations=built)


# --- the agent -----------------------------------------------------------------------------------

_SET_BY_US = ("env", "seed", "verbose", "tensorboard_log", "_init_setup_model")

# What SB3 itself accepts in silence: name -> (claim, test).
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "gamma": ("in (0, 1]", lambda v: 0 < v <= 1),
    "gae_lambda": ("in [0, 1]", lambda v: 0 <= v <= 1),
    "learning_rate": ("above 0", lambda v: v > 0),
    "clip_range": ("above 0", lambda v: v > 0),
    "n_steps": ("a whole number above 0", lambda v: isinstance(v, int) and v > 0),
    "batch_size": ("a whole number above 1", lambda v: isinstance(v, int) and v > 1),
    "n_epochs": ("a whole number above 0", lambda v: isinstance(v, int) and v > 0),
    "ent_coef": ("at least 0", lambda v: v >= 0),
    "vf_coef": ("at least 0", lambda v: v >= 0),
    "max_grad_norm": ("above 0", lambda v: v > 0),
    "target_kl": ("above 0 or null", lambda v: v > 0),
}


def is_rule(config: Mapping[str, Any]) -> bool:
    """Return whether agent_algorithm is a fixed rule, which does not learn."""
    from abx_amr.algorithms.rules import Rule

    target = _section(config, "agent_algorithm").get("_target_")
    if not isinstance(target, str):
        raise InputError(f"agent_algorithm._target_ must name a class, got {target!r}")
    if target.startswith(("stable_baselines3.", "sb3_contrib.")):
        return False
    made = locate(target, key="agent_algorithm._target_")
    return isinstance(made, type) and issubclass(made, Rule)


def build_rule(config: Mapping[str, Any], model: ClinicModel) -> Rule:
    """Return the fixed rule of a configuration, for a clinic."""
    section = _section(config, "agent_algorithm")
    return cast("Rule", instantiate(section, key="agent_algorithm", model=model))


def check_ranges(arguments: Mapping[str, Any]) -> None:
    """Refuse hyper-parameters out of range; imports no library of agents, so that it takes no time.

    Raises:
        InputError: naming the value, and the range.
    """
    for name, value in arguments.items():
        claim, holds = _RANGES.get(name, ("", lambda v: True))
        if callable(value) or isinstance(value, Mapping):
            continue
        if value is None and (not claim or claim.endswith("null")):
            continue
        if claim and (isinstance(value, bool | str) or not _holds(holds, value)):
            claim = claim if claim.startswith("a ") else f"a number {claim}"
            raise InputError(
                f"agent_algorithm.{name} must be {claim}, got {value!r}"
                f"{cure(value, *_shares(name))}"
            )


def check_quickly(config: Mapping[str, Any]) -> None:
    """Refuse a clinic or a hyper-parameter out of range before the libraries of agents are loaded.

    Raises:
        InputError: naming the value, and what would be right.
    """
    build_clinic(config)
    section = _section(config, "agent_algorithm")
    if section.get("one_minus_gamma") is not None:
        section.pop("gamma", None)
    if not is_rule(config):
        check_ranges(section)


def build_agent_spec(config: Mapping[str, Any]) -> AgentSpec:
    """Return the learning algorithm of a configuration with its checked arguments.

    Raises:
        InputError: not an on-policy algorithm, an unknown hyper-parameter, a value out of range.
    """
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    from abx_amr.learning import AgentSpec

    section = _section(config, "agent_algorithm")
    target = section.pop("_target_", None)
    if not isinstance(target, str):
        raise InputError(f"agent_algorithm._target_ must name a class, got {target!r}")
    algorithm = locate(target, key="agent_algorithm._target_")
    if not (isinstance(algorithm, type) and issubclass(algorithm, OnPolicyAlgorithm)):
        raise InputError(
            f"agent_algorithm._target_ must be an on-policy algorithm of stable-baselines3 or "
            f"sb3-contrib (prescriptions are MultiDiscrete), got {target}"
        )
    arguments = {
        name: _instantiate_nested(value, key=f"agent_algorithm.{name}")
        for name, value in section.items()
    }
    complement = arguments.pop("one_minus_gamma", None)
    if complement is not None:
        arguments["gamma"] = 1.0 - _share(complement, key="agent_algorithm.one_minus_gamma")
    for name in _SET_BY_US:
        if name in arguments:
            raise InputError(
                f"agent_algorithm.{name} is set by the run itself: remove it (see training.*)"
            )
    check_arguments(algorithm, arguments, key="agent_algorithm")
    check_ranges(arguments)
    policy_arguments = dict(arguments.get("policy_kwargs") or {})
    value_layers = policy_arguments.pop("value_net_arch", None)
    if value_layers is not None:  # a list cannot be overridden by a mapping, so it has its own key
        both = {"pi": policy_arguments.get("net_arch"), "vf": value_layers}
        policy_arguments["net_arch"] = both
    for name, value in policy_arguments.items():
        if isinstance(value, str) and name.endswith(("_fn", "_class")):
            policy_arguments[name] = locate(value, key=f"agent_algorithm.policy_kwargs.{name}")
    if policy_arguments or "policy_kwargs" in arguments:
        arguments["policy_kwargs"] = policy_arguments
    _check_policy(algorithm, arguments.get("policy"), policy_arguments)
    if getattr(algorithm, "chooses_options", False):
        role = build_manager_role(config)
        return AgentSpec(algorithm=algorithm, arguments=arguments, role=role)
    for section_name in ("hrl", "option_library"):
        if config.get(section_name) is not None:
            raise InputError(
                f"{section_name} belongs to an agent that chooses options "
                f"(agent_algorithm=hrl_ppo or hrl_rppo): {algorithm.__name__} would not read it"
            )
    return AgentSpec(algorithm=algorithm, arguments=arguments)


def _shares(name: str) -> tuple[float, float]:
    """Return the bounds that tell a percentage from a share."""
    return (0.0, 1.0) if name in ("gamma", "gae_lambda", "clip_range") else (0.0, math.inf)


def _check_policy(algorithm: Any, policy: Any, arguments: Mapping[str, Any]) -> None:
    """Refuse a policy that the algorithm does not have, and what the policy does not take.

    Raises:
        InputError: naming those there are.
    """
    known = getattr(algorithm, "policy_aliases", {})
    made = policy
    if isinstance(policy, str) and known:
        if policy not in known:
            lstm = "; for an LSTM choose agent_algorithm=recurrent_ppo" if "Lstm" in policy else ""
            raise InputError(
                f"agent_algorithm.policy: {algorithm.__name__} has no '{policy}'{lstm} "
                f"({_listed(sorted(known))})"
            )
        made = known[policy]
    if not isinstance(made, type):
        return
    names, takes_any = parameters_of(made)
    for name in arguments:
        if name not in names and not takes_any:
            if "lstm" in name:
                raise InputError(
                    f"agent_algorithm.policy_kwargs.{name} belongs to a recurrent agent: choose "
                    "agent_algorithm=recurrent_ppo (or hrl_rppo), or leave it out"
                )
            known_names = sorted(names - {"self", "observation_space", "action_space"})
            raise InputError(
                f"agent_algorithm.policy_kwargs.{name} is unknown to {made.__name__}"
                f"{hint(name, known_names, label='it takes')}"
            )
    layers = arguments.get("net_arch")
    for part in layers.values() if isinstance(layers, Mapping) else [layers]:
        if part is not None and not (
            isinstance(part, list) and all(type(size) is int and size > 0 for size in part)
        ):
            raise InputError(
                "agent_algorithm.policy_kwargs.net_arch (and value_net_arch) must list the sizes "
                f"of the layers, such as [64,64], got {part!r}"
            )


_OPTION_TYPES = {
    "block": "abx_amr.hierarchy.options.Block",
    "alternation": "abx_amr.hierarchy.options.Alternation",
    "heuristic": "abx_amr.hierarchy.options.Heuristic",
}
_NO_LIBRARY_KEY = "hrl.option_library is no setting: a library is chosen with option_library=NAME"


def build_manager_role(config: Mapping[str, Any]) -> ManagerRole:
    """Return the manager's role: its options as they are configured, and its settings.

    Raises:
        InputError: an unknown key, option type or parameter; the message names the option.
    """
    from abx_amr.hierarchy.manager import ManagerRole, ManagerSettings

    hrl = _section(config, "hrl")
    if "option_library" in hrl:
        raise InputError(f"{_NO_LIBRARY_KEY} ({_listed(available('option_library'))})")
    settings = ManagerSettings(**_dataclass_arguments(ManagerSettings, hrl, key="hrl"))
    library = _section(config, "option_library")
    parts = ("options", "for_each_antibiotic")
    for key in library:
        if key not in parts:
            raise InputError(unknown("option_library key", str(key), parts))
    entries, templates = (_option_entries(library.get(part) or {}, part) for part in parts)
    return ManagerRole(entries=entries, for_each_antibiotic=templates, settings=settings)


def _option_entries(section: Any, part: str) -> tuple[OptionEntry, ...]:
    """Return the options under `option_library.<part>`, each with its class."""
    from abx_amr.hierarchy.library import OptionEntry
    from abx_amr.hierarchy.options import Option

    if not isinstance(section, Mapping):
        raise InputError(f"option_library.{part} must map names to options, got {section!r}")
    found = []
    for name, entry in section.items():
        key = f"option_library.{part}.{name}"
        if not isinstance(entry, Mapping):
            raise InputError(f"{key} must be a section with its type, got {entry!r}")
        parameters = dict(entry)
        kind = parameters.pop("type", "custom")
        target = parameters.pop("_target_", None)
        if kind != "custom":
            if kind not in _OPTION_TYPES:
                known = (*_OPTION_TYPES, "custom")
                raise InputError(f"option '{name}': {unknown('type', str(kind), known)}")
            if target is not None:
                raise InputError(f"option '{name}': _target_ goes with type: custom, not {kind}")
            target = _OPTION_TYPES[kind]
        elif not isinstance(target, str):
            raise InputError(
                f"option '{name}' needs a type ({', '.join(_OPTION_TYPES)}), or the _target_ of a "
                "class of its own"
            )
        made = locate(target, key=f"{key}._target_")
        if not (isinstance(made, type) and issubclass(made, Option)):
            raise InputError(
                f"option '{name}': {target} must be an Option: a class that inherits from "
                "abx_amr.hierarchy.options.Option"
            )
        check_arguments(made, (*parameters, "name"), key=f"option '{name}': {key}")
        arguments = {k: _instantiate_nested(v, key=f"{key}.{k}") for k, v in parameters.items()}
        found.append(OptionEntry(name=str(name), made=made, arguments=arguments))
    return tuple(found)


def _share(value: Any, *, key: str) -> float:
    if isinstance(value, bool | str) or not 0 < value < 1:
        raise InputError(f"{key} must be in (0, 1), got {value!r}")
    return float(value)


def _holds(test: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(test(value))
    except TypeError:
        return False


def _dataclass_arguments(made: type, section: Any, *, key: str) -> Plain:
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


def build_training(config: Mapping[str, Any]) -> TrainingSettings:
    """Return the training plan of a configuration."""
    from abx_amr.learning import EarlyStopping, TrainingSettings, VecNormalizeSettings

    arguments = _dataclass_arguments(TrainingSettings, config.get("training"), key="training")
    if arguments.get("torch_threads", 0) is None:
        arguments["torch_threads"] = 1
    for name, made in (("early_stopping", EarlyStopping), ("vec_normalize", VecNormalizeSettings)):
        if name in arguments:
            key = f"training.{name}"
            try:
                arguments[name] = made(**_dataclass_arguments(made, arguments[name], key=key))
            except TypeError as error:
                raise InputError(f"{key}: {_first_line(error)}") from error
    return TrainingSettings(**arguments)


def check_training_seed(seed: int) -> None:
    """Refuse a training seed that belongs to tuning.

    Raises:
        InputError: the seed is 0 or in 1000-9999.
    """
    if seed < 1 or seed in _TUNING_SEEDS:
        raise InputError(
            f"training.seed must be 1-999 (training) or 10000 and up (final tests), got {seed}: "
            "1000-9999 belong to tuning"
        )


def build_storage(config: Mapping[str, Any]) -> StudyStorage:
    """Return the study storage of a configuration."""
    return cast("StudyStorage", instantiate(_section(config, "storage"), key="storage"))


def with_values(config: Mapping[str, Any], values: Mapping[str, Any]) -> Plain:
    """Return a copy of a plain configuration with values set at dotted paths.

    >>> with_values({"a": {"b": 1}}, {"a.b": 2})
    {'a': {'b': 2}}
    """
    copy: Plain = {k: _copy(v) for k, v in config.items()}
    for path, value in values.items():
        *parents, leaf = path.split(".")
        node = copy
        for part in parents:
            child = node.get(part)
            if not isinstance(child, dict):
                raise InputError(f"{path} does not exist in the configuration")
            node = child
        if leaf not in node:
            raise InputError(
                unknown(f"key in {'.'.join(parents) or 'the configuration'}", leaf, node)
            )
        node[leaf] = value
    return copy


_REQUIRED: Any = object()


def value_at(config: Mapping[str, Any], path: str, *, missing: Any = _REQUIRED) -> Any:
    """Return the value at a dotted path, or `missing`.

    >>> value_at({"a": {"b": 1}}, "a.b"), value_at({}, "a.b", missing=None)
    (1, None)
    """
    node: Any = config
    for part in path.split("."):
        if not isinstance(node, Mapping) or part not in node:
            if missing is _REQUIRED:
                raise InputError(f"{path} does not exist in the configuration")
            return missing
        node = node[part]
    return node


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(v) for v in value]
    return value
