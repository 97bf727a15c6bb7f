"""Jobs in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hydra.core.plugins import Plugins

from .._outcome import Outcome
from .._sweep import LauncherChoice, Overrides, Sweep, always, never


class Inline:
    """This process itself, through Hydra's basic launcher."""

    is_on_this_machine = True

    def __init__(self, sweep: Sweep, choice: LauncherChoice) -> None:
        self.sweep = sweep
        self.choice = choice

    @classmethod
    def fits(cls, choice: LauncherChoice) -> bool:
        """Return whether no launcher is chosen and none is needed."""
        return choice.is_basic and choice.is_inline_possible

    def check(self, *, wait: bool) -> None:
        """Refuse to leave jobs alone that run in this process.

        Raises:
            InputError: the jobs are to be left alone.
        """
        if not wait:
            self.choice.refuse_leaving()

    def run(
        self,
        jobs: Mapping[int, Overrides],
        *,
        is_complete: Callable[[], bool] = never,
        is_ended: Callable[[Overrides], bool] = always,
    ) -> list[Outcome]:
        """Run the jobs; what one raises is its outcome, an interrupt or an exit ends them all."""
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.sweep.hydra_context,
            task_function=self.sweep.task_function,
            config=self.sweep.config,
        )
        returned = launcher.launch([list(job) for job in jobs.values()], initial_job_idx=min(jobs))
        return [Outcome.of(one) for one in returned]

    def submit(self, jobs: Mapping[int, Overrides]) -> list[str]:
        """Never come here: `check` has refused."""
        raise NotImplementedError
