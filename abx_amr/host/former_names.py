"""Where modules were before release 0.2, for files that were written then and name them.

Run folders, studies, projects and saved agents name classes by their modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMER_MODULES = {
    "abx_amr.algorithms.managers": "abx_amr.agents.managers",
    "abx_amr.algorithms.rules": "abx_amr.agents.rules",
    "abx_amr.algorithms.schedules": "abx_amr.agents.schedules",
    "abx_amr.algorithms.semi_markov": "abx_amr.agents.semi_markov",
    "abx_amr.algorithms.seed_batched": "abx_amr.agents.learners.seed_batched",
    "abx_amr.algorithms": "abx_amr.agents",
}


def present_name(path: str) -> str:
    """Return the dotted path by which a class or module is found today.

    >>> present_name("abx_amr.algorithms.rules.Greedy")
    'abx_amr.agents.rules.Greedy'
    >>> present_name("components.algorithms.Mine")
    'components.algorithms.Mine'
    """
    for former, present in FORMER_MODULES.items():
        if path == former or path.startswith(f"{former}."):
            return present + path.removeprefix(former)
    return path


def first_name(path: str) -> str:
    """Return the dotted path that a class had, or would have had, in release 0.1.

    >>> first_name("abx_amr.agents.managers.ManagerPPO"), first_name("components.agents.Mine")
    ('abx_amr.algorithms.managers.ManagerPPO', 'components.agents.Mine')
    """
    for former, present in FORMER_MODULES.items():
        if path == present or path.startswith(f"{present}."):
            return former + path.removeprefix(present)
    return path


def canonical(config: Any) -> Any:
    """Return a configuration in which every class has the name of today.

    A flat one (path -> value) does as well.

    >>> canonical({"agent_algorithm": {"_target_": "abx_amr.algorithms.rules.Greedy"}})
    {'agent_algorithm': {'_target_': 'abx_amr.agents.rules.Greedy'}}
    """
    if isinstance(config, Mapping):
        return {
            key: present_name(value)
            if str(key).endswith("_target_") and isinstance(value, str)
            else canonical(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(canonical(value) for value in config)
    return config
