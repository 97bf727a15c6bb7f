"""The choice hydra/sweeper=abx."""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore


@dataclass
class AbxSweeperConf:
    """The sweeper takes no options of its own: the study is described by `tuning`."""

    _target_: str = "hydra_plugins.abx_sweeper.sweeper.AbxSweeper"


ConfigStore.instance().store(
    group="hydra/sweeper", name="abx", node=AbxSweeperConf, provider="abx_sweeper"
)
