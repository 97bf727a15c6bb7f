"""What a resumed run takes from the present command, and what is its own."""

from abx_amr.runs.resuming import resumed_configuration

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
