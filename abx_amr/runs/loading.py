"""A finished run read back: its configuration, its policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from abx_amr.configuration.agent import build_learner, build_rule, learns
from abx_amr.configuration.classes import targets
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.values import CLINIC_SECTIONS, Plain
from abx_amr.errors import InputError
from abx_amr.host.former_names import canonical
from abx_amr.host.locations import find_project
from abx_amr.runs.folder import RunFolder, find_run
from abx_amr.runs.trust import check_named_classes, is_own

if TYPE_CHECKING:
    from abx_amr.evaluation.episodes import Policy
    from abx_amr.simulator.model import ClinicModel


#: What every run's configuration has.
_SECTIONS = (*CLINIC_SECTIONS, "agent_algorithm", "training")


def config_of_run(folder: RunFolder, *, trust: bool = False) -> Plain:
    """Return the configuration of a run, its classes by the names of today.

    `trust` lets it name classes of any origin.

    Raises:
        InputError: it lacks a section, or names classes of a project that is not the one worked in,
            or of nobody known.
    """
    config: Plain = canonical(folder.read_config())
    lacking = [name for name in _SECTIONS if not isinstance(config.get(name), dict)]
    if lacking:
        raise InputError(
            f"{folder.config_file} is damaged: it has no section {lacking[0]}; train this run again"
        )
    home, here = find_project(folder.path), find_project()
    if home is None or (here is not None and home.root.resolve() == here.root.resolve()):
        check_named_classes(config, where=folder.path, trust=trust or is_own(folder))
        return config
    own = next((t for t in targets(config) if home.file_of(t) is not None), None)
    if own is not None:
        raise InputError(
            f"the run {folder.path.name} uses {own} of the project {home.root}: "
            f"run the command inside it (cd {home.root})"
        )
    check_named_classes(config, where=folder.path, trust=trust or is_own(folder))
    return config


def load_policy(
    run_folder: str | Path,
    *,
    checkpoint: str = "best",
    results_dir: str | Path = "results",
    model: ClinicModel | None = None,
    trust: bool = False,
) -> Policy:
    """Return the policy of a run: the agent's checkpoint, or the rule that was played.

    It has `predict(observation, state, episode_start, deterministic)` over raw observations.

    Args:
        run_folder: a run folder, or the run_name of the newest one.
        checkpoint: best or last.
        results_dir: where a run_name is looked up.
        model: the clinic it is to prescribe in; None: the run's own.
        trust: run what the folder names, although another account wrote it.

    Raises:
        InputError: no such run, it holds no such checkpoint, its agent does not fit the clinic, or
            it names classes of unknown origin.
    """
    from abx_amr.runs.checkpoints import trained_policy

    folder = find_run(run_folder, results_dir=results_dir)
    config = config_of_run(folder, trust=trust)
    clinic = build_clinic(config) if model is None else model
    if not learns(config):
        return build_rule(config, clinic)
    spec = build_learner(config)
    return trained_policy(folder, spec, clinic, checkpoint=cast(Any, checkpoint), trust=trust)
