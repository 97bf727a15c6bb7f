"""The choices hydra/sweeper=abx and hydra/sweeper=abx_set."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore


@dataclass
class AbxSweeperConf:
    """The study is described by `tuning`; `params` is searched as sweeps of a command line are."""

    _target_: str = "hydra_plugins.abx_sweeper.sweeper.AbxSweeper"
    params: dict[str, Any] = field(default_factory=dict)


@dataclass
class SetSweeperConf:
    """The options of Hydra's basic sweeper."""

    _target_: str = "hydra_plugins.abx_sweeper.experiment_set.SetSweeper"
    max_batch_size: int | None = None
    params: dict[str, Any] = field(default_factory=dict)


for name, node in {"abx": AbxSweeperConf, "abx_set": SetSweeperConf}.items():
    ConfigStore.instance().store(
        group="hydra/sweeper", name=name, node=node, provider="abx_sweeper"
    )
