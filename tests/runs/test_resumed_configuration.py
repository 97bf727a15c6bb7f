"""What a resumed run takes from the present command, and what is its own."""

import numpy as np
import pytest

from abx_amr.runs.folder import RunFolder
from abx_amr.runs.resuming import resumed_configuration, shortened_update

OWN = {"run_name": "old", "skip_if_exists": False, "trajectories": False, "figures": True}


def test_a_run_of_an_earlier_release_is_resumed_with_a_key_that_came_later() -> None:
    composed = {**OWN, "run_name": None, "report": False}
    resumed = resumed_configuration(composed, OWN, ["report=false"])
    assert resumed == {**OWN, "report": False}


def test_what_is_kept_is_said_by_the_present_command() -> None:
    composed = {**OWN, "report": True}
    resumed = resumed_configuration(composed, {**OWN, "report": False, "figures": False}, [])
    assert resumed["report"] is True
    assert resumed["figures"] is True


@pytest.mark.parametrize(
    ("transitions", "n_steps", "n_envs", "left"),
    [(4000, 2000, 8, 0), (500, 200, 8, 100), (40, 4000, 8, 40), (96, 50, 8, 0), (100, 50, 8, 4)],
)
def test_a_run_whose_length_does_not_hold_whole_updates_says_that_it_goes_on_not_to_the_bit(
    folder: RunFolder, transitions: int, n_steps: int, n_envs: int, left: int
) -> None:
    folder.write_checkpoint("last", state={"transitions": np.array(transitions)})
    own = {"agent_algorithm": {"n_steps": n_steps}, "training": {"n_envs": n_envs}}
    said = shortened_update(folder, own)
    if left:
        assert said is not None
        assert f"ended with an update of {left} transitions" in said
        assert "not to the bit" in said
    else:
        assert said is None
