"""What a user wrote, kept to the letter where Hydra's grammar or YAML would read something else.

A name that looks like a number stays a name, `~` is the home folder in every path, a number from an
environment variable is a number.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from abx_amr.configuration.groups import groups
from abx_amr.errors import InputError
from abx_amr.host.folder_names import NAMES, check_is_text

#: Keys whose value is a folder.
FOLDERS = ("results_dir", "optimization_dir", "plan_cache", "folder")
#: Keys whose value is a name or a path, or a list of them.
_RUNS = ("run", "against", "resume_from", "runs", "plan.runs")
_IN_STORAGE = ("storage.path", "storage.url", "storage.host", "storage.user", "storage.database")
_TEXTS = frozenset((*NAMES, *FOLDERS, *_RUNS, *_IN_STORAGE, "by", "tuning.sampler"))
_NOT_NUMBERS = frozenset((*_TEXTS, "agent_algorithm.policy", "agent_algorithm.device"))
_PATHS = (*FOLDERS, *_RUNS, "storage.path")

# --- the command line -----------------------------------------------------------------------------


def to_the_letter(overrides: Iterable[str]) -> list[str]:
    """Return overrides in which names and paths are read as they are written.

    >>> to_the_letter(["run_name=1.10", "study_name=1e3,b", "runs=[7,a_*]", "training.seed=7"])
    ["run_name='1.10'", "study_name='1e3',b", "runs=['7',a_*]", 'training.seed=7']
    >>> to_the_letter(["run_name=null", "run_name='1.10'", "run_name=${oc.env:NAME}"])
    ['run_name=null', "run_name='1.10'", 'run_name=${oc.env:NAME}']
    """
    return [_letter(override) for override in overrides]


def _letter(override: str) -> str:
    written, equals, value = override.partition("=")
    key = written.lstrip("+~")
    bare = re.fullmatch(r"choice\(([^()]*)\)", value.strip())
    if bare and "null" in [text.strip().lower() for text in bare[1].split(",")]:
        value = bare[1]  # Hydra reads null,0.01 but not choice(null,0.01)
        override = f"{written}={value}"
    if re.search(r"\d{1000,}", value):
        raise InputError(f"{key}: a number of so many digits is none here, got {value}")
    if not equals or any(sign in value for sign in "'\"${}"):
        return override
    inside = re.fullmatch(r"(\[|choice\(|)(.*?)(\]|\)|)", value.strip(), re.DOTALL)
    assert inside is not None  # every part may be empty
    start, texts, end = inside.groups()
    if "(" in texts or "[" in texts:
        return override
    elements = [text.strip() for text in texts.split(",")]
    kept = [_quoted(key, text) for text in elements]
    if kept == elements or not (key in _TEXTS or key in groups()):
        return override
    return f"{written}={start}{','.join(kept)}{end}"


def _quoted(key: str, text: str) -> str:
    """Return an element in quotes where it would be read as something else than a text."""
    if text.startswith("~"):
        return quoted(with_home(text)) if key in _PATHS else text
    try:
        value = OverridesParser.create().parse_override(f"key={text}").value()
    except HydraException:  # said where the command line is read; of a name, where it is checked
        return quoted(text) if text and key in _TEXTS else text
    return quoted(text) if isinstance(value, bool | int | float) else text


def quoted(text: str) -> str:
    """Return a value that Hydra's grammar reads as this very text.

    >>> quoted("1.10")
    "'1.10'"
    """
    return QuotedString(text=text, quote=Quote.single).with_quotes()


# --- a composition --------------------------------------------------------------------------------


def with_home(value: Any) -> Any:
    """Return a path, or a list of them, with ~ replaced by the home folder.

    Raises:
        InputError: there is no such user.
    """
    if isinstance(value, list):
        return [with_home(each) for each in value]
    if not isinstance(value, str) or not value.startswith("~"):
        return value
    there = os.path.expanduser(value)
    if there.startswith("~"):
        raise InputError(f"'{value}': there is no home folder of such a user")
    return there


def set_home_folders(config: DictConfig) -> list[str]:
    """Replace ~ in the folders of a composition; return the overrides that say the same."""
    overrides = []
    for key in _PATHS:
        value = OmegaConf.select(config, key, default=None, throw_on_resolution_failure=False)
        plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if (there := with_home(plain)) == plain:
            continue
        OmegaConf.update(config, key, there)
        shown = f"[{','.join(map(quoted, there))}]" if isinstance(there, list) else quoted(there)
        overrides.append(f"{key}={shown}")
    return overrides


def settle_texts(plain: dict[str, Any], config: DictConfig) -> dict[str, Any]:
    """Return a resolved configuration with its names checked and its numbers as numbers.

    A text that an interpolation has brought (`${oc.env:SEED}`) and that is a number is that number,
    but where a text belongs.

    Raises:
        InputError: a name or a folder is no text.
    """
    for key in (*NAMES, *FOLDERS, "run", "against", "resume_from"):
        if key == "against" and isinstance(plain.get(key), Mapping):
            continue  # a rule with its parameters
        if plain.get(key) is not None:
            plain[key] = with_home(check_is_text(key, plain[key]))
            if not plain[key].strip():
                raise InputError(
                    f"{key} is empty (a variable of the shell that is not set?): "
                    f"write {key}=null or leave it out"
                )
    settled = {key: _settled(value, config, (str(key),)) for key, value in plain.items()}
    return settled


def _settled(value: Any, node: Any, path: tuple[str, ...]) -> Any:
    name = path[-1]
    if not OmegaConf.is_config(node):
        return value
    key: Any = int(name) if OmegaConf.is_list(node) else name
    if isinstance(value, str):
        is_brought = key in node and OmegaConf.is_interpolation(node, key)
        return _as_number(value) if is_brought and ".".join(path) not in _NOT_NUMBERS else value
    if not isinstance(value, dict | list) or OmegaConf.is_interpolation(node, key):
        return value
    below = node._get_node(key)
    if isinstance(value, dict):
        return {k: _settled(v, below, (*path, str(k))) for k, v in value.items()}
    return [_settled(v, below, (*path, str(i))) for i, v in enumerate(value)]


def _as_number(written: str) -> Any:
    """Return the number, or the truth, that a text is; the text itself where it is none.

    >>> [_as_number(text) for text in (" 7", "1e-4", "true", "0100", "cpu", "nan")]
    [7, 0.0001, True, '0100', 'cpu', 'nan']
    """
    text = written.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if re.fullmatch(r"[-+]?(0|[1-9]\d{0,300})", text):
        return int(text)
    if re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?", text):
        return float(text)
    return written
