"""Files of plain data, YAML and JSON; one that cannot be read is an error of one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from abx_amr.errors import InputError
from abx_amr.host import atomic_files

# The safe loader in C, where there is one: a table of many runs reads as many files.
_YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def write_yaml(file: Path, value: Any) -> None:
    """Write plain data as YAML in its own order, atomically."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    atomic_files.write_text(file, str(text))


def read_yaml(file: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=_YAML_LOADER)
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist") from error
    except yaml.YAMLError as error:
        first_line = str(error).splitlines()[0]
        raise InputError(
            f"{file} is damaged: it cannot be read as YAML ({first_line}); "
            "put it back, or run again"
        ) from error


def read_json(file: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        InputError: there is no such file, it is damaged, or it holds something else.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{file} is damaged: it cannot be read as JSON ({error}); put it back, or run again"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"{file} must hold a JSON object, got {type(value).__name__}")
    return value
