"""Build who follows trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abx_amr.configuration.classes import instantiate
from abx_amr.configuration.values import section_of
from abx_amr.errors import InputError
from abx_amr.tracking.tracker import NoTracker, Tracker


def build_tracker(config: Mapping[str, Any]) -> Tracker:
    """Return the tracker of a configuration; a run of an earlier release has none.

    Raises:
        InputError: it names none, or one whose library is not installed.
    """
    if config.get("tracker") is None:
        return NoTracker()
    found = instantiate(section_of(config, "tracker"), key="tracker")
    if not isinstance(found, Tracker):
        raise InputError(
            f"tracker._target_ must name a Tracker (abx_amr/tracking/), got {type(found).__name__}"
        )
    return found
