"""What a trial and its seeds leave in the study's folder, written and read back.

trials/<number>/parameters.json         the point, for the jobs of its seeds
trials/<number>/seed_<s>/result.json    what a seed gave
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError
from abx_amr.host import atomic_files
from abx_amr.host.plain_files import read_json
from abx_amr.studies.attempts import Part
from abx_amr.studies.folder import SeedFolder, StudyFolder, TrialFolder

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.tuning.curves import Curve

log = logging.getLogger(__name__)

_NUMBER_OR_NONE = (int, float, type(None))
#: What a whole result has, beside the identity of what it follows from.
_KINDS: Mapping[str, tuple[type, ...]] = {
    "episode_return": _NUMBER_OR_NONE,
    "failure": (str, type(None)),
    "seconds": _NUMBER_OR_NONE,
    "effective_values": (dict,),
}


def write_seed_result(
    trial_folder: Path | str,
    *,
    outcome: Mapping[str, Any],
    evaluation_returns: Sequence[float],
    identity: str | None = None,
    curve: Curve = (),
    final_amr: Mapping[str, float] | None = None,
    treatments: Mapping[str, Any] | None = None,
    episodes: int | None = None,
) -> None:
    """Write what a seed of a trial gave to `trial_folder/seed_<s>/result.json`.

    A checkpoint of the seed goes, since there is nothing to go on with, unless it may go on.

    Args:
        trial_folder: trials/<number> of the study.
        outcome: seed, episode_return, failure, effective_values, seconds, collapse.
        evaluation_returns: the return of every evaluation episode.
        identity: what the result follows from, see `studies.attempts.identity`.
        curve: what the seed earned while it learned, see `tuning.curves`.
        final_amr: antibiotic -> mean level at the end of the evaluation's episodes.
        treatments: whom the evaluation's episodes gave what, see `evaluation.tally`.
        episodes: after how many its training ended for now; None: at its end.
    """
    folder = TrialFolder(Path(trial_folder)).seed(outcome["seed"])
    folder.path.mkdir(parents=True, exist_ok=True)
    content = {**outcome, "evaluation_returns": list(evaluation_returns), "identity": identity}
    if curve:
        content["curve"] = [list(point) for point in curve]
    if final_amr:
        content["final_amr"] = dict(final_amr)
    if treatments:
        content["treatments"] = dict(treatments)
    if episodes is not None:
        content["episodes"] = episodes
    atomic_files.write_json(folder.result_file, content)
    if episodes is None:
        folder.checkpoint_file.unlink(missing_ok=True)


def remove_checkpoints(study_folder: Path | str) -> None:
    """Remove the checkpoints of seeds that nobody goes on with: the study's search is over."""
    for trial in StudyFolder(Path(study_folder)).trials():
        for seed in trial.seeds():
            seed.checkpoint_file.unlink(missing_ok=True)


def read_seed_result(
    trial_folder: Path | str, seed: int, *, identity: str
) -> dict[str, Any] | None:
    """Return what a seed gave, None where it has not ended or follows from something else.

    A damaged result is none, with a warning: the seed is trained again, to the same bits.
    """
    file = TrialFolder(Path(trial_folder)).seed(seed).result_file
    outcome = _read_whole_result(file) if file.is_file() else None
    return outcome if outcome is not None and outcome.get("identity") == identity else None


def evaluation_returns(folder: SeedFolder, *, episode_return: float) -> list[float] | None:
    """Return the return of every evaluation episode of a seed with this mean.

    None where its folder does not hold them, or those of another training.
    """
    result = _result_with(folder, episode_return)
    if result is None:
        return None
    return [float(value) for value in result.get("evaluation_returns") or ()]


def final_amr(folder: SeedFolder, *, episode_return: float) -> dict[str, float]:
    """Return antibiotic -> mean level at the end of the episodes of a seed with this mean.

    Empty where its folder does not hold them, or those of another training.
    """
    result = _result_with(folder, episode_return) or {}
    return {str(name): float(level) for name, level in (result.get("final_amr") or {}).items()}


def treatments(seeds: Iterable[tuple[SeedFolder, float]]) -> dict[str, Any] | None:
    """Return whom all seeds together gave what, as `evaluation.tally` has it of one.

    None where a seed's folder does not hold it, or that of another training, as of release 0.1.
    What a seed's lacks, as by earlier versions, is left out.

    Args:
        seeds: Folder and mean return of each.
    """
    total: Any = None
    for folder, episode_return in seeds:
        kept = (_result_with(folder, episode_return) or {}).get("treatments")
        if not isinstance(kept, dict):
            return None
        total = kept if total is None else _sum(total, kept)
    return None if total is None else dict(total)


def _sum(first: Any, second: Any) -> Any:
    """Return the sums of counts that are nested alike; the ends of bands are no counts.

    >>> _sum({"A": [1, 2], "B": 3, "ends": [0.5]}, {"A": [3, 4], "ends": [0.5]})
    {'A': [4, 6], 'ends': [0.5]}
    """
    if isinstance(first, dict):
        return {key: _sum(value, second[key]) for key, value in first.items() if key in second}
    if isinstance(first, list):
        return [_sum(*pair) for pair in zip(first, second, strict=True)]
    return first if isinstance(first, float) else int(first) + int(second)


def _result_with(folder: SeedFolder, episode_return: float) -> dict[str, Any] | None:
    try:
        result = read_json(folder.result_file)
    except InputError:
        return None
    return result if result.get("episode_return") == episode_return else None


def _read_whole_result(file: Path) -> dict[str, Any] | None:
    """Return what a seed gave, None and a warning where the file is damaged."""
    try:
        outcome = read_json(file)
    except InputError as error:
        log.warning("not used: %s", error)
        return None
    outcome.setdefault("effective_values", {})
    lacking = [
        name
        for name, kinds in _KINDS.items()
        if name not in outcome or not isinstance(outcome[name], kinds)
    ]
    if lacking:
        log.warning("not used: %s is damaged: it has no %s", file, ", ".join(lacking))
        return None
    return outcome


def write_trial_parameters(
    trial_folder: Path,
    *,
    parameters: Mapping[str, Any],
    fingerprint: str,
    part: Part | None = None,
) -> None:
    """Write the point of a trial to `trial_folder/parameters.json`, for the jobs of its seeds.

    And which part of their training is theirs, where it is not all of it.
    """
    trial_folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"parameters": dict(parameters), "fingerprint": fingerprint}
    if part is not None:
        content["part"] = asdict(part)
    atomic_files.write_json(TrialFolder(trial_folder).parameters_file, content)


def read_trial_parameters(trial_folder: Path) -> dict[str, Any]:
    """Return the point of a trial: `parameters` (path -> value) and the study's `fingerprint`.

    `part` is the Part of their training that is its seeds', None: all of it.

    Raises:
        InputError: there is none, or it is damaged.
    """
    file = TrialFolder(trial_folder).parameters_file
    content = read_json(file)
    parameters, fingerprint = content.get("parameters"), content.get("fingerprint")
    if not (isinstance(parameters, dict) and isinstance(fingerprint, str)):
        raise InputError(f"{file} is damaged: it has no parameters; run abx-tune again")
    part = content.get("part")
    return {**content, "part": None if part is None else Part(**part)}


def seed_checkpoint_file(trial_folder: Path | str, seed: int) -> Path:
    """Return where a seed in training is saved, so that it can go on elsewhere."""
    return TrialFolder(Path(trial_folder)).seed(seed).checkpoint_file


def read_seed_results(study_folder: Path | str) -> pd.DataFrame:
    """Return what the seeds of a study's trials gave, one row per trials/<n>/seed_<s>/result.json.

    Columns: trial, seed, episode_return (nan for a failed seed), failure (None for one that
    succeeded), seconds; ordered by trial and seed. A damaged result is left out, with a warning;
    that of a training of a race that has not come to its end, without one.
    """
    import pandas as pd

    rows = [
        {"trial": trial.number, "seed": seed.seed, **outcome}
        for trial in StudyFolder(Path(study_folder)).trials()
        for seed in trial.seeds()
        if seed.result_file.is_file()
        and (outcome := _read_whole_result(seed.result_file)) is not None
        and "episodes" not in outcome
    ]
    columns = ["trial", "seed", "episode_return", "failure", "seconds"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"episode_return": float, "seconds": float, "failure": object})
