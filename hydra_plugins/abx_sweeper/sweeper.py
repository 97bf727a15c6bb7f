"""What Hydra sees of the sweeper; the work is in `_search`, imported when it is used."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class AbxSweeper(Sweeper):
    """Start the workers of one study through Hydra's launcher.

    The task function is a `abx_amr.tuning.contract.StudyService`.
    """

    def __init__(self, params: Any = None) -> None:
        """Take what a file searches: configuration path -> sweep, as Hydra's basic sweeper does."""
        self.params = params
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None
        self.config: DictConfig | None = None
        self.launcher = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra hands over; the launcher is built once the folders' names are known."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the study that the command line describes and return what its workers returned."""
        from ._search import run_study
        from ._sweep import in_file

        assert self.hydra_context is not None
        assert self.task_function is not None
        assert self.config is not None
        return run_study(
            [*in_file(self.params), *arguments],
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=self.config,
        )
