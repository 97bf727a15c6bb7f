"""What is said of a run that goes on."""

from __future__ import annotations

from typing import Any

import pytest

from abx_amr.runs.resuming import rescheduled

LINE = {"_target_": "abx_amr.agents.schedules.LinearSchedule", "initial": 1e-3, "final": 0.0}


def config(episodes: int, **section: Any) -> dict[str, Any]:
    """Return what is asked of a configuration."""
    return {"training": {"total_num_training_episodes": episodes}, "agent_algorithm": section}


@pytest.mark.parametrize("section", [{"final_learning_rate": 0.0}, {"learning_rate": LINE}])
def test_schedules_over_another_length_are_said_not_to_be_to_the_bit(section: Any) -> None:
    said = rescheduled(config(2, **section), config(4, **section))
    assert said is not None
    assert "scheduled over 2 episodes so far and over 4" in said
    assert next(iter(section)) in said


def test_a_run_of_its_own_length_or_without_schedules_goes_on_to_the_bit() -> None:
    assert rescheduled(config(4, final_gamma=0.99), config(4, final_gamma=0.99)) is None
    assert rescheduled(config(2, final_gamma=None), config(4, final_gamma=None)) is None
