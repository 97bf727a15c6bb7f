"""What Hydra sees of the sweeper of experiment sets; the work is in `_set`."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SetSweeper(Sweeper):
    """Run every combination of the swept values, as Hydra's basic sweeper does.

    It gives each run a name of its own, and a run that fails or is killed costs only itself. The
    task function is an object, see `_set.SetTask`.
    """

    def __init__(self, max_batch_size: int | None = None, params: Any = None) -> None:
        """Take the options of the basic sweeper: runs launched together, sweeps of a file."""
        self.max_batch_size = max_batch_size
        self.params = params
        self.hydra_context: HydraContext | None = None
        self.task_function: TaskFunction | None = None
        self.config: DictConfig | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra hands over."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        """Run all combinations that the command line describes."""
        from ._set import run_set
        from ._sweep import in_file

        assert self.hydra_context is not None
        assert self.task_function is not None
        assert self.config is not None
        return run_set(
            [*in_file(self.params), *arguments],
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=self.config,
            at_once=self.max_batch_size,
        )
