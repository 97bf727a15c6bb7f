"""Agents that SB3 saved before release 0.2: their zips name classes by former modules."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

from abx_amr.host.former_names import FORMER_MODULES, present_name


class _Unpickler(pickle.Unpickler):
    """Finds classes where they are today."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the class; the module may be a former one."""
        return super().find_class(present_name(module), name)


def objects_of_former_names(file: Path) -> dict[str, Any]:
    """Return the saved attributes that name a former module, for `custom_objects` of SB3's load.

    Attribute -> the object that was pickled; empty for an agent that was saved since.
    """
    with zipfile.ZipFile(file) as archive:
        attributes = json.loads(archive.read("data"))
    found = {}
    for name, saved in attributes.items():
        if not (isinstance(saved, dict) and ":serialized:" in saved):
            continue
        pickled = base64.b64decode(saved[":serialized:"])
        if any(former.encode() in pickled for former in FORMER_MODULES):
            found[name] = _Unpickler(io.BytesIO(pickled)).load()
    return found
