"""Build the storage of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from abx_amr.configuration.classes import instantiate
from abx_amr.configuration.values import section_of

if TYPE_CHECKING:
    from abx_amr.studies.storages import StudyStorage


def build_storage(config: Mapping[str, Any]) -> StudyStorage:
    """Return the study storage of a configuration."""
    return cast("StudyStorage", instantiate(section_of(config, "storage"), key="storage"))
