"""What Hydra, YAML and OmegaConf complain about, said to a user in one line with the cure."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from abx_amr.configuration.groups import available, fresh_hydra, groups
from abx_amr.errors import SYNONYMS, did_you_mean, first_line, hint, listed, nearest, unknown

_PRIMARY = ("train", "tune", "evaluate", "plan", "study", "umbrella")
_EXTRAS = {("hydra/sweeper", "optuna"): "optuna-sweeper"}
_OF_MANAGERS = ("hrl", "option_library")
_ONLY_MANAGERS = (
    "belongs to an agent that chooses options: choose agent_algorithm=hrl_ppo or hrl_rppo"
)


def explain(error: Exception, config_name: str, overrides: Sequence[str]) -> str:
    """Return Hydra's complaint as one line with the nearest valid name."""
    text = str(error)
    cause = str(error.__cause__ or "")
    if found := re.search(r"Environment variable '([^']+)' not found", text):
        return explain_value(error)
    if found := re.search(
        r"In '([\w./-]+)': .*"
        r"Cannot merge (?:DictConfig with ListConfig|incompatible container types)",
        text,
        re.S,
    ):
        where = ""
        if found.group(1).startswith("tuning/"):
            where = ", such as search_space: {gamma: {type: float, low: 0.9, high: 0.99}}"
        return f"{found.group(1)}.yaml: a list stands where a section is needed{where}"
    if found := re.search(r"Key '(\w+)' not in '(?:Abx|Set)SweeperConf'", f"{text} {cause}"):
        return _not_of_the_sweeper(found.group(1))
    if found := re.search(r"Could not (?:find|load) '([^']+)/([^'/]+)'", text):
        return _no_choice(found.group(1), found.group(2), text, overrides)
    if found := re.search(r"In '([\w./-]+)': Could not override '([^'@]+)@([\w.]*)", text) or (
        re.search(
            r"In '([\w./-]+)': Invalid Defaults List override '/?[^']+'\.\s+"
            r"No earlier Group Default for '([^'@]+)@([\w.]*)'",
            text,
        )
    ):
        file, group, package = found.groups()
        if file.startswith("tuning/") and group in groups():
            return (
                f"{file}.yaml: what a tuning file chooses stands outside of tuning: write "
                f"'- override /{group}@_global_.{group}: NAME'"
            )
        return (
            f"{file}.yaml: the first line of the file must be '# @package _global_', so "
            f"that what it chooses is not put into '{package.rpartition('.')[0]}'"
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
            stem = Path(option).stem if option.endswith((".yaml", ".yml")) else option
            return f"{group} is not chosen yet: write +{group}={stem}"
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


#: Options of other sweepers -> what says the same here.
_OF_SWEEPERS = {
    "n_trials": "tuning.n_trials",
    "n_jobs": "tuning.n_workers",
    "max_batch_size": "tuning.n_workers",
    "direction": "tuning.direction",
    "sampler": "tuning.sampler",
    "search_space": "tuning.search_space",
    "study_name": "study_name",
    "storage": "storage=url with storage.url",
}


def _not_of_the_sweeper(option: str) -> str:
    """Return the line about an option that another sweeper of Hydra has."""
    cure = _OF_SWEEPERS.get(option)
    instead = f"write {cure}" if cure else "leave it out (hydra.sweeper.params is read)"
    return f"hydra.sweeper.{option} is not read here: {instead}"


def explain_no_name(overrides: Iterable[str]) -> str:
    """Return what is wrong with a group for which null or a number is given, in one line."""
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key in groups() and value.strip().lower() == "null":
            return f"'{override}': {key} takes a name ({listed(available(key))})"
    return "a group takes a name: write GROUP=NAME"


def explain_value(error: Exception) -> str:
    """Return what is wrong with a value that cannot be resolved, in one line with the cure."""
    text = str(error)
    key = getattr(error, "full_key", None)
    where = f"{key}: " if key else ""
    if found := re.search(r"Environment variable '([^']+)' not found", text):
        name = found.group(1)
        return (
            f"{where}the environment variable {name} is not set: export {name}=VALUE, or give a "
            f"default: ${{oc.env:{name},VALUE}}"
        )
    if found := re.search(r"Interpolation key '([^']+)' not found", text):
        name = found.group(1)
        return (
            f"{where}${{{name}}} names no key of the configuration (an environment variable is "
            f"written ${{oc.env:{name}}})"
        )
    return f"{where}{first_line(error)}"


def _no_choice(group: str, name: str, complaint: str, overrides: Sequence[str]) -> str:
    """Return the line about a choice that a group does not have."""
    top = group.split("/")[0]
    if top == "storage" and "://" in (url := f"{group}/{name}".removeprefix("storage/")):
        return f"storage takes a name: write storage=url storage.url={url}"
    if top != "hydra" and top in groups() and (group != top or name.endswith((".yaml", ".yml"))):
        file = f"{group}/{name}".removeprefix(f"{top}/")
        stem = Path(name).stem
        has_it = stem in available(top)
        return f"{top} takes a name, not a file: " + (
            f"write {'+' * (top == 'tuning')}{top}={stem}"
            if has_it
            else f"-s {top}-subconfig={file} takes a file"
        )
    options = [o for o in available(group, overrides) if (group, o) != ("tuning", "base")]
    if not options:
        return f"there is no group '{group}'{did_you_mean(group, groups())}"
    if (group, name) in _EXTRAS:
        return (
            f"{group}={name} is not installed: pip install 'abx-amr[{_EXTRAS[group, name]}]' "
            f"({listed(options)})"
        )
    where = re.search(r"In '([^']+)'", complaint)
    inside = f"{where.group(1)}.yaml: " if where and where.group(1) not in _PRIMARY else ""
    return inside + unknown(group, name, options)


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
    if (plain := _in_plain_digits(value)) is not None:
        return f"'{override}' is not in plain digits: write {key}={plain}"
    if odd := re.search(r"[^\w./:\-+*$%@ ,?|]", value, re.ASCII):
        return (
            f"'{override}' cannot be read because of the '{odd.group()}': "
            f"quote the value twice, '{key}=\"{value}\"'"
        )
    return f"'{override}' cannot be read as key=value: {first_line(complaint)}"


def _in_plain_digits(value: str) -> str | None:
    """Return a number that was pasted in other digits or with a typographic minus, else None.

    >>> _in_plain_digits("3e\u22124"), _in_plain_digits("\uff11e-3"), _in_plain_digits("caf\u00e9")
    ('3e-4', '1e-3', None)
    """
    text = re.sub("[\u2010-\u2015\u2212\ufe63\uff0d]", "-", unicodedata.normalize("NFKC", value))
    return text if re.fullmatch(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?", text) else None


def _unknown_path(
    path: str, config_name: str, overrides: Sequence[str], *, detail: str = ""
) -> str:
    """Return the line about a key that does not exist, with its nearest sibling."""
    if path == "hrl.option_library":
        return no_library_key()
    # Choices alone: with other settings that do not fit the same complaint would come again.
    others = [o for o in overrides if "." not in o.partition("=")[0] and not o.startswith("~")]
    others = [o for o in others if o.lstrip("+").partition("=")[0] != path]
    if path.split(".")[0] in _OF_MANAGERS and not _has(path.split(".")[0], config_name, others):
        return f"{path.split('.')[0]} {_ONLY_MANAGERS}"
    node: Any = _composed_quietly(config_name, others, with_hydra=path.startswith("hydra."))
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
                return f"{part} is not chosen yet: add +{part}=NAME ({listed(options)})"
            if depth == 0:
                return misplaced(part, node, {*names, *groups()})
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
        if parts[0] == "against":
            example = f"'against={{rule: amr_threshold, {new.group(1)}: VALUE}}'"
            return f"a rule's parameters stand beside its name: {example}"
        if parts[:2] == ["tuning", "final"]:
            return "the size of a final is written whole: 'tuning.final={top: 4, seeds: 10}'"
        return f"{path} has no key '{new.group(1)}'"
    return f"{path}: {reason}"


def no_library_key() -> str:
    """Return the line about hrl.option_library, which looks like a setting and is none."""
    names = listed(available("option_library"))
    return (
        f"hrl.option_library is no setting: a library is chosen with option_library=NAME ({names})"
    )


def _has(section: str, config_name: str, overrides: Sequence[str]) -> bool:
    config = _composed_quietly(config_name, overrides)
    return config is None or section in config


def _composed_quietly(
    config_name: str, overrides: Sequence[str], *, with_hydra: bool = False
) -> DictConfig | None:
    """Return a composition that serves to explain another; None where it cannot be made."""
    with fresh_hydra():
        try:
            return hydra.compose(config_name, list(overrides), return_hydra_config=with_hydra)
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError):
            return None


def misplaced(name: str, config: DictConfig, known: Iterable[str]) -> str:
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


def explain_yaml(error: yaml.YAMLError, *, file: Path | str | None = None) -> str:
    """Return what is wrong with a YAML file, in one line: where, what, and the cure."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"{file or 'a configuration file'} is no YAML: {first_line(error)}"
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
