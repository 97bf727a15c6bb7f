"""A field for each key of a composed section: its type and limits, and its comment as help."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import yaml

from abx_amr.checks import Count, Index, NotNegative, Positive, Range, declared_types
from abx_amr.errors import InputError

#: A comment that begins with what may stand there: "best | last".
_CHOICES = re.compile(r"^(?:[\w-]+(?: \| ))+[\w-]+")
_COMMENT = re.compile(r"\s#\s?(.*)$")
_CLASSES = {"training": "abx_amr.agents.settings.TrainingSettings"}
#: Of sections that no class takes: key -> its type.
_PLAIN: Mapping[str, Mapping[str, Any]] = {
    "tuning": {
        **dict.fromkeys(("n_trials", "n_seeds_per_trial", "n_workers"), Count),
        **dict.fromkeys(
            ("min_successful_seeds", "n_trials_per_worker", "max_failures"), Count | None
        ),
        **dict.fromkeys(("sampler_seed", "max_retry"), Index),
        **dict.fromkeys(("heartbeat_interval", "checkpoint_interval"), Positive),
        **dict.fromkeys(("enqueue_default", "wait"), bool),
        "stability_penalty_weight": NotNegative,
        "timeout": Positive | None,
    },
    "environment": {
        **dict.fromkeys(("num_patients_per_time_step", "max_time_steps"), Count),
        **dict.fromkeys(
            ("include_time_remaining", "include_previous_action", "include_steps_since_amr_update"),
            bool,
        ),
        "visible_amr.update_every_n_time_steps": Count,
        "visible_amr.noise_std": NotNegative,
    },
}
#: Keys that no form sets.
_LEFT_OUT = ("_target_", "defaults", "hydra", "worker")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """A key that a form sets.

    Attributes:
        key: Its path in the configuration: its name in the form.
        kind: whole, number, flag or text.
        default: What it is unless given, as it is written.
        help: Its comment.
        low: Its least value; None: no limit is known.
        high: Its greatest value.
        choices: What may stand there, as far as that is listed.
    """

    key: str
    kind: str
    default: str
    help: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name without the section."""
        return self.key.partition(".")[2] or self.key

    @property
    def limits(self) -> str:
        """Return its limits in words.

        >>> Field(key="a.b", kind="whole", default="1", low=1.0).limits
        'a whole number, at least 1'
        """
        words = {"whole": "a whole number", "number": "a number", "flag": "true or false"}
        said = [words.get(self.kind, "")]
        if self.low is not None:
            said.append(f"at least {self.low:g}")
        if self.high is not None:
            said.append(f"at most {self.high:g}")
        return ", ".join(word for word in said if word)


def fields_of(
    section: str, content: Mapping[str, Any], files: Sequence[Path], *, at_top: bool = False
) -> list[Field]:
    """Return a field for each value of a section that is no list or mapping of its own kind.

    Args:
        section: Its name.
        content: Its values, as composed.
        files: Where comments are looked for, the nearest first.
        at_top: Whether the files hold the section's keys among others, under its name.
    """
    comments: dict[str, str] = {}
    for file in files:
        for key, comment in comments_in(file).items():
            comments.setdefault(key.removeprefix(f"{section}.") if at_top else key, comment)
    declared = declared_in(section, content)
    found = []
    for path, value in _leaves(content):
        help_text = comments.get(path, "")
        found.append(_field(f"{section}.{path}", value, help_text, declared.get(path)))
    return found


def field_of(key: str, value: Any, help_text: str = "") -> Field:
    """Return the field of one key."""
    return _field(key, value, help_text, None)


def _field(key: str, value: Any, help_text: str, declared: Any) -> Field:
    kind, low, high = _told(declared)
    if kind is None:
        kind = "text"
        if isinstance(value, bool):
            kind = "flag"
        elif isinstance(value, int):
            kind = "whole"
        elif isinstance(value, float):
            kind = "number"
    listed = _CHOICES.match(help_text)
    choices = tuple(listed[0].split(" | ")) if listed and kind == "text" else ()
    return Field(
        key=key,
        kind=kind,
        default=written(value),
        help=help_text,
        low=low,
        high=high,
        choices=choices,
    )


def written(value: Any) -> str:
    """Return a value as it is written on a command line.

    >>> written(None), written(True), written([64, 64]), written(0.0005), written("ppo")
    ('null', 'true', '[64, 64]', '0.0005', 'ppo')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | dict):
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
        return str(text).strip()
    return str(value)


def _leaves(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        path = f"{above}{key}"
        if key in _LEFT_OUT:
            continue
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def declared_in(section: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return key -> declared type, as far as a class of ours takes the section."""
    if section in _PLAIN:
        return dict(_PLAIN[section])
    target = _CLASSES.get(section) or content.get("_target_")
    if not isinstance(target, str) or not target.startswith("abx_amr."):
        return {}
    from abx_amr.configuration.classes import locate

    try:
        return declared_types(locate(target, key=section))
    except InputError:
        return {}


def _told(declared: Any) -> tuple[str | None, float | None, float | None]:
    """Return kind, low and high that a declared type tells of, None each where it does not."""
    if get_origin(declared) in (Union, types.UnionType):
        inner = [each for each in get_args(declared) if each is not type(None)]
        kind, low, high = _told(inner[0]) if len(inner) == 1 else (None, None, None)
        return ("text" if kind else None), low, high  # null may be written too
    limits = Range()
    if get_origin(declared) is Annotated:
        declared, *metadata = get_args(declared)
        limits = next((each for each in metadata if isinstance(each, Range)), limits)
    kind = {bool: "flag", int: "whole", float: "number", str: "text"}.get(declared)
    low = limits.low if math.isfinite(limits.low) else None
    high = limits.high if math.isfinite(limits.high) and limits.high < 2**31 else None
    return kind, low, high


@functools.lru_cache(maxsize=256)
def _comments(file: Path, modified: int) -> Mapping[str, str]:
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return dict(_comments_of(node, "", lines)) if isinstance(node, yaml.MappingNode) else {}


def comments_in(file: Path) -> Mapping[str, str]:
    """Return key path -> the comment on its line in a YAML file; none where it is unreadable."""
    try:
        return _comments(file, file.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}


def _comments_of(
    node: yaml.MappingNode, above: str, lines: Sequence[str]
) -> Iterator[tuple[str, str]]:
    for name, value in node.value:
        path = f"{above}{name.value}"
        found = _COMMENT.search(lines[name.start_mark.line])
        if found:
            yield path, found[1].strip()
        if isinstance(value, yaml.MappingNode):
            yield from _comments_of(value, f"{path}.", lines)


def headline(file: Path) -> str:
    """Return the first sentence of a configuration file's header: what it is."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    for line in lines[:4]:
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:].partition(". ")[0].strip().rstrip(".")
    return ""
