"""What one attempt at a trial leaves to the next: seeds that have ended, seeds in training.

A trial that is tried again is a new trial with the same parameters, in a folder of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from abx_amr.host.atomic_files import jsonable
from abx_amr.studies.folder import TrialFolder
from abx_amr.studies.search_space import ParameterValue

if TYPE_CHECKING:
    from abx_amr.studies.records import TrialRecord


@dataclass(frozen=True, kw_only=True)
class Part:
    """From which episode to which seeds are to be trained.

    Attributes:
        begin: The episodes that they have behind them.
        end: Those after which they end, perhaps to go on later; None: at the end of training.
    """

    begin: int = 0
    end: int | None = None


def identity(
    fingerprint_digest: str,
    parameters: Mapping[str, ParameterValue],
    seed: int,
    *,
    episodes: int | None = None,
) -> str:
    """Return what a seed's result follows from: the study's settings, the point, the seed.

    And after how many episodes it ended, where that is before its end. Numbers of trials are given
    again after a study was deleted; what lies in their folders is only believed where this is the
    same.
    """
    follows = [fingerprint_digest, jsonable(parameters), seed]
    text = json.dumps([*follows, *([] if episodes is None else [episodes])], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def earlier_attempts(trial: TrialRecord, trials: Sequence[TrialRecord]) -> list[int]:
    """Return the numbers of the trials that this one repeats, the latest first."""
    by_number = {one.number: one for one in trials}
    found: list[int] = []
    earlier = trial.retry_of
    while earlier is not None and earlier not in found:
        found.append(earlier)
        known = by_number.get(earlier)
        earlier = known.retry_of if known is not None else None
    return found


def take_over(folder: TrialFolder, earlier: Sequence[TrialFolder]) -> None:
    """Bring what earlier attempts left into a trial's folder, the latest of each seed.

    Results are shared with the earlier folder; a seed in training moves here.
    """
    for attempt in earlier:
        for source in attempt.seeds():
            target = folder.seed(source.seed)
            if target.path.exists():
                continue
            target.path.mkdir(parents=True)
            if source.result_file.exists():
                _share(source.result_file, target.result_file)
                continue
            for file in source.path.iterdir():
                if not file.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):
                        os.replace(file, target.path / file.name)


def _share(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
