"""A configured clinic planned: its optimum, and how far rules and trained agents are from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.checks import flag
from abx_amr.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from abx_amr.planning.progress import OnProgress
    from abx_amr.planning.service import Plan, PlannedAgent
    from abx_amr.simulator.model import ClinicModel


def planned(
    config: Mapping[str, Any],
    *,
    name: str,
    say: Callable[[str], None] = lambda line: None,
    on_part: Callable[[Plan, str], None] = lambda plan, part: None,
    on_progress: OnProgress | None = None,
) -> Plan:
    """Return what is known of the clinic of a resolved configuration.

    An interrupt while it is planned comes back as a plan that says so, with what was found.

    Args:
        config: With the section plan.
        name: Of the clinic.
        say: Told what each part will take.
        on_part: Told which part is there, see `plan_clinic`.
        on_progress: Told how far each part is.

    Raises:
        InputError: A setting is wrong or a run does not exist.
    """
    from abx_amr.configuration.classes import check_arguments
    from abx_amr.configuration.clinic import build_clinic
    from abx_amr.planning.cache import PlanCache
    from abx_amr.planning.service import Plan, plan_clinic
    from abx_amr.planning.settings import PlanSettings
    from abx_amr.runs.discount_audit import gamma_of

    if not isinstance(config.get("plan"), Mapping):
        raise InputError(f"plan must be a section of the configuration, got {config.get('plan')!r}")
    check_arguments(PlanSettings, config["plan"], key="plan")
    settings = PlanSettings(**config["plan"])
    if not isinstance(config["plan_cache"], str) or not config["plan_cache"]:
        raise InputError(f"plan_cache must be a folder, got {config['plan_cache']!r}")
    model = build_clinic(config)
    found = Plan(name=name, model=model)
    agents = _agents(config, settings.runs, model)
    try:
        plan_clinic(
            found,
            settings,
            cache=PlanCache(Path(config["plan_cache"])),
            gamma=gamma_of(config.get("agent_algorithm")),
            agents=agents,
            say=say,
            on_part=on_part,
            on_progress=on_progress,
        )
    except KeyboardInterrupt as interrupt:
        found.interrupt = interrupt
    return found


def _agents(
    config: Mapping[str, Any], runs: list[str], model: ClinicModel
) -> dict[str, PlannedAgent]:
    """Return the trained agents of run folders by their run names, each with its own view."""
    if not runs:
        return {}
    import torch

    from abx_amr.configuration.clinic import build_clinic
    from abx_amr.planning.service import PlannedAgent
    from abx_amr.runs.folder import find_run
    from abx_amr.runs.loading import config_of_run, load_policy

    torch.set_num_threads(config["training"]["torch_threads"] or 1)
    trust = flag("trust", config.get("trust", False))
    found = {}
    for run in runs:
        source = find_run(str(run), results_dir=config["results_dir"])
        own = config_of_run(source, trust=trust)
        sees = replace(model, observation=build_clinic(own).observation)
        policy = load_policy(source.path, model=sees, trust=trust)
        found[source.run_name] = PlannedAgent(policy=policy, model=sees)
    return found
