"""A study of release 0.1 goes on in the search space that it was begun in.

Shipped spaces search the distance of a discount factor below 1 since then, on a log scale, where
0.1 searched the factor itself. A study of 0.1 is told by its folder, which has no provenance.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from abx_amr.errors import InputError
from abx_amr.host.plain_files import read_yaml
from abx_amr.studies.folder import StudyFolder
from abx_amr.studies.parameters import BELOW_ONE
from abx_amr.studies.space import ways_in

log = logging.getLogger(__name__)


def as_begun(search_space: Mapping[str, Any], folder: StudyFolder) -> Mapping[str, Any]:
    """Return the entries of a search space as the study of 0.1 in a folder was begun with them.

    Those of any other study, and of a folder without one, as they are given.
    """
    if folder.provenance_file.is_file() or not folder.tuning_file.is_file():
        return search_space
    try:
        begun = ways_in(read_yaml(folder.tuning_file, is_ours=True)["tuning"]["search_space"])
        given = ways_in(search_space)
    except (InputError, KeyError, TypeError, AttributeError):  # said where they are read
        return search_space
    former = [
        path
        for path, ways in given.items()
        if len(ways) == 1
        and ways[0].get("log_below_one") is True
        and [_range(way) for way in begun.get(path, ())] == [_range(ways[0])]
        and begun[path][0].get("log_below_one") is None
    ]
    if not former:
        return search_space
    log.info(
        "a study of release 0.1 goes on as it was begun: it searches %s, not %s",
        ", ".join(former),
        ", ".join(f"{BELOW_ONE}{path}" for path in former),
    )
    return {
        path: begun[path][0] if path in former else ways if len(ways) > 1 else ways[0]
        for path, ways in given.items()
    }


def _range(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry says beside its scale."""
    return {k: v for k, v in entry.items() if k != "log_below_one" and v not in (None, False)}
