"""The tutorial's flags in, Hydra's grammar out."""

from pathlib import Path

import pytest

from abx_amr.cli.arguments import COUNTERPARTS, translate
from abx_amr.errors import InputError


def test_p_becomes_a_plain_override_so_that_hydra_cannot_swallow_it() -> None:
    assert translate(["-p", "reward_calculator.lambda_weight=0.5"]) == [
        "reward_calculator.lambda_weight=0.5"
    ]


def test_p_joined_to_its_value_means_the_same() -> None:
    assert translate(["-pa.b=1"]) == translate(["-p", "a.b=1"]) == ["a.b=1"]


def test_the_prior_tools_ppo_prefix_reaches_the_agent() -> None:
    assert translate(["-p", "ppo.learning_rate=1e-4"]) == ["agent_algorithm.learning_rate=1e-4"]


def test_s_with_a_name_chooses_a_group_member() -> None:
    assert translate(["-s", "patient_generator-subconfig=high_risk"]) == [
        "patient_generator=high_risk"
    ]


def test_s_with_a_file_stages_a_copy_named_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "high risk.yaml"
    file.write_text("a: 1\n")
    first = translate(["-s", f"patient_generator-subconfig={file}"])
    file.write_text("a: 2\n")
    second = translate(["-s", f"patient_generator-subconfig={file}"])
    assert first != second
    for (choice,), text in ((first, "a: 1\n"), (second, "a: 2\n")):
        name = choice.removeprefix("patient_generator=")
        assert (tmp_path / ".abx/conf/patient_generator" / f"{name}.yaml").read_text() == text


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(InputError, match=r"cannot read '/nowhere/x\.yaml': No such file"):
        translate(["-s", "environment-subconfig=/nowhere/x.yaml"])


@pytest.mark.parametrize("flag", sorted(COUNTERPARTS))
def test_every_long_flag_of_the_tutorial_is_answered_with_its_counterpart(flag: str) -> None:
    with pytest.raises(InputError) as caught:
        translate([flag, "value"])
    assert COUNTERPARTS[flag] in str(caught.value)


@pytest.mark.parametrize("arguments", [["-p"], ["-p", "novalue"], ["-s", "group"], ["-s", "=x"]])
def test_a_flag_without_its_value_is_refused(arguments: list[str]) -> None:
    with pytest.raises(InputError, match="takes"):
        translate(arguments)


def test_an_unknown_flag_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="did you mean --multirun"):
        translate(["--multirum"])


def test_hydras_own_flags_and_negative_values_pass_through() -> None:
    given = ["-m", "--cfg", "job", "-sc", "--config-dir", "x", "a=-1"]
    assert translate(given) == given


def test_flags_may_stand_anywhere_and_come_first() -> None:
    given = ["experiment=paper_two", "-m", "training.seed=1,2", "--config-dir", "mine"]
    assert translate(given) == [
        *("-m", "--config-dir", "mine"),
        *("experiment=paper_two", "training.seed=1,2"),
    ]
