"""Which run a training goes on from, with what settings, and how one that was cut off goes on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.configuration.agent import learns
from abx_amr.configuration.overrides import key_of, settings_of
from abx_amr.configuration.values import Plain, value_at, with_values
from abx_amr.errors import InputError
from abx_amr.host.former_names import canonical
from abx_amr.runs.differences import differences
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.listening import NOTHING_KEPT
from abx_amr.runs.registry import interrupted_run

if TYPE_CHECKING:
    from abx_amr.runs.run import Run

#: What a resumed run may change; the rest is the run's own.
_FREE = (
    "training.additional_episodes",
    "training.total_num_training_episodes",
    "training.eval_freq_every_n_episodes",
    "training.save_freq_every_n_episodes",
    "training.num_eval_episodes",
    "training.early_stopping",
    "training.torch_threads",
    "resume_from",
    "run_name",
    "results_dir",
    "optimization_dir",
    "skip_if_exists",
    "trajectories",
    "figures",
    "tracker",
    "trust",
    "report",
    "hydra",
)
#: What a run keeps: of the present command, never of the resumed run.
_KEPT = ("trajectories", "figures", "report", "tracker")


def resumed_configuration(
    composed: Mapping[str, Any], own: Mapping[str, Any], overrides: Sequence[str]
) -> Plain:
    """Return the run's own configuration with what may change taken from the command line.

    What is kept, and whether a finished run is skipped, is the present command's alone.

    Raises:
        InputError: an override sets what cannot change.
    """
    own = {**own, **{key: composed[key] for key in _KEPT if key in composed}}
    skips = "skip_if_exists"
    changed: dict[str, Any] = {skips: composed[skips]} if skips in own else {}
    for override in overrides:
        key = key_of(override)
        if not any(key == free or key.startswith(f"{free}.") for free in _FREE):
            raise InputError(
                f"resume_from goes on with the run's own configuration: '{override}' cannot "
                "change; leave it out, or start a new run with it (what can: "
                "training.additional_episodes, the frequencies, early_stopping, run_name)"
            )
        if not key.startswith("hydra") and key != "trust":
            changed[key] = value_at(composed, key)
    return with_values(own, changed)


def shortened_update(folder: RunFolder, own: Mapping[str, Any]) -> str | None:
    """Return what to say of a finished run whose last update was shortened; None where it was not.

    A run ends at its length: where that is no multiple of n_steps, the last update learns from what
    is left, and a run that goes on from there is another than one that was longer from the start.
    """
    n_steps = own["agent_algorithm"].get("n_steps")
    if type(n_steps) is not int or own.get("hrl") is not None or not folder.has_checkpoint("last"):
        return None
    n_envs = int(own["training"]["n_envs"])
    of_an_update = max(1, n_steps // n_envs) * n_envs
    seen = folder.read_checkpoint("last").state.get("transitions")
    left = 0 if seen is None else int(seen) % of_an_update
    if not left:
        return None
    return (
        f"{folder.run_name} ended with an update of {left} transitions, not {of_an_update}: it "
        "goes on from there, not to the bit as a run that is as long from the start"
    )


def rescheduled(own: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Return what to say of schedules where a run goes on to another length, else None.

    Args:
        own: Configuration of the run that is resumed.
        config: That of the run which goes on.
    """
    length = "total_num_training_episodes"
    planned, asked = (int(one["training"][length]) for one in (own, config))
    section = own["agent_algorithm"]
    names = [
        name
        for name, value in section.items()
        if (name.startswith("final_") and value is not None)
        or (isinstance(value, Mapping) and "schedules." in str(value.get("_target_")))
    ]
    if planned == asked or not names:
        return None
    return (
        f"{', '.join(names)}: scheduled over {planned} episodes so far and over {asked} from here "
        "on, which is not to the bit as a run that is as long from the start"
    )


def first_overrides(folder: RunFolder) -> list[str]:
    """Return the overrides of the run that a resumed one goes back to: they name its clinic."""
    seen = {folder.path.resolve()}
    while origin := folder.read_provenance().get("resumed_from"):
        before = RunFolder(Path(origin))
        if before.path.resolve() in seen or not before.provenance_file.is_file():
            break
        seen.add(before.path.resolve())
        folder = before
    return list(folder.read_overrides())


def half_run(config: Mapping[str, Any]) -> RunFolder | None:
    """Return the run of this name and these settings that did not come to its end, or None."""
    half = interrupted_run(config["results_dir"], config["run_name"])
    if half is None or not learns(config):
        return None
    if differences(canonical(half.read_config()), config):
        return None
    steps = int(config["environment"]["max_time_steps"])
    planned = int(config["training"]["total_num_training_episodes"]) * steps
    return half if int(half.read_checkpoint("last").state["transitions"]) < planned else None


def how_to_go_on(runs: Sequence[Run], overrides: Sequence[str], *, is_alone: bool) -> str:
    """Return what a user does about interrupted runs.

    Args:
        runs: The runs, with the folders that were opened for them.
        overrides: What was said on the command line.
        is_alone: Whether the command has one run.
    """
    from abx_amr.runs.training import has_learned_all

    kept = [(p, f) for p in runs for f in p.opened if f.has_checkpoint("last")]
    best = [f for p in runs for f in p.opened if f.has_checkpoint("best")]
    if kept and not is_alone:
        return "the same command with skip_if_exists=true goes on"
    if kept and not has_learned_all(*kept[0]):
        folder = kept[0][1]
        command = shlex.join(["abx-train", f"resume_from={folder.path}"])
        return f"go on with: {command}{settings_of(_KEPT, overrides)}"
    if best:
        state = "all of its training" if kept else "its best agent so far, nothing to go on from,"
        command = shlex.join(["abx-evaluate", f"run={best[0].path}"])
        return f"{state} was kept, evaluate it with: {command}"
    return NOTHING_KEPT
