"""Where a study's seeds are jobs, its final is launched until it is over or gets no further."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from abx_amr.tuning.final import launch_final
from abx_amr.tuning.study import TuningStudy


class Study:
    """A final of which each launch does some trainings."""

    settings = SimpleNamespace(n_workers=2, max_retry=1)

    def __init__(self, *done_by_launch: int, planned: int) -> None:
        self.done_by_launch, self.planned, self.done = [*done_by_launch], planned, 0
        self.launched: list[Sequence[Sequence[str]]] = []

    def overview(self) -> Any:
        return SimpleNamespace(final_done=self.done, is_complete=self.done >= self.planned)

    def launch(self, jobs: Sequence[Sequence[str]]) -> None:
        self.launched.append(jobs)
        self.done += self.done_by_launch.pop(0) if self.done_by_launch else 0


@pytest.mark.parametrize(
    ("done_by_launch", "planned", "launches"),
    [((), 0, 0), ((5,), 5, 1), ((2, 0, 3), 5, 3), ((2,), 5, 3)],
)
def test_workers_are_launched_again_while_the_final_gets_on(
    done_by_launch: tuple[int, ...], planned: int, launches: int
) -> None:
    study = Study(*done_by_launch, planned=planned)
    launch_final(cast(TuningStudy, study), study.launch)
    assert study.launched == [[["++tuning.worker=0"], ["++tuning.worker=1"]]] * launches
