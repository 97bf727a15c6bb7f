"""A clinic of sliders: what is set is what is built, tried and saved."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from abx_amr.api import compose, make_model
from abx_amr.app.clinic.draft import Draft, read_draft
from abx_amr.app.clinic.files import experiment_name, files_of, save
from abx_amr.app.clinic.sliders import DRUG
from abx_amr.app.clinic.trying import built, configuration_of, try_fixed, try_rules, try_search
from abx_amr.app.views.clinic import experiment_draft
from abx_amr.app.workplace import Workplace
from abx_amr.errors import InputError
from tests.app.asking import Asking

SHORT = Draft(steps=40, patients=2)
FORM = {
    "drug.0.name": "A",
    "drug.1.name": "B",
    "drug.2.name": "C",
    "drug.2.leak": "0.15",
    "cross.0.1": "0.2",
    "steps": "40",
    "patients": "2",
    "sees_time": "1",
    "name": "ours",
    "tab": "x",
}


def test_a_form_says_what_the_clinic_has(project: Path) -> None:
    model = built(read_draft(FORM)).model
    assert model.antibiotics == ("A", "B", "C")
    assert model.dynamics.leak.tolist() == [0.2, 0.2, 0.15]
    assert model.cross_resistance == {"A": {"B": 0.2}}
    assert model.observation.include_time_remaining
    assert (model.max_time_steps, model.num_patients_per_time_step) == (40, 2)


def test_a_saved_clinic_composes_to_what_was_tried_and_is_read_back(project: Path) -> None:
    draft = replace(read_draft(FORM), delay=7, weight=0.3, high_share=0.2)
    save(draft, Workplace.at(project))
    assert make_model("experiment=ours").antibiotics == ("A", "B", "C")
    config = compose("experiment=ours")
    for section, content in draft.sections().items():
        for key, value in content.items():
            assert config[section][key] == value, (section, key)
    again = experiment_draft("ours")
    assert again.sections() == draft.sections()
    assert again.overrides == draft.overrides


@given(
    high_share=st.integers(0, 20).map(lambda n: n / 20),
    names=st.lists(
        st.sampled_from(["NO", "1e3", "on", "a b", "x/y", "A"]), min_size=1, max_size=3, unique=True
    ),
)
@settings(max_examples=25)
def test_the_files_of_a_clinic_say_what_its_sections_say(
    high_share: float, names: list[str]
) -> None:
    first = Draft()
    drugs = [replace(first.drugs[0], name=name) for name in names]
    draft = replace(first, name="ours", high_share=high_share, drugs=drugs)
    files = {path: yaml.safe_load(text) for path, text in files_of(draft).items()}
    sections = draft.sections()
    assert files["antibiotics/ours.yaml"] == sections["antibiotics"]
    assert files["patient_generator/ours.yaml"] == sections["patient_generator"]
    assert files["experiment/ours.yaml"]["environment"] == sections["environment"]


def test_a_file_of_ones_own_is_never_written_over(project: Path) -> None:
    mine = project / "conf" / "antibiotics" / "ours.yaml"
    mine.parent.mkdir()
    mine.write_text("drugs: {}\n", encoding="utf-8")
    with pytest.raises(InputError, match="was not made here: choose another name"):
        save(replace(SHORT, name="ours"), Workplace.at(project))
    assert mine.read_text(encoding="utf-8") == "drugs: {}\n"
    assert not (project / "conf" / "experiment").exists()


@pytest.mark.parametrize(
    "name", ["", "../x", "a b", "a/b", "a=b", "é", "9lives", "a.yaml", "x" * 61, "a\nb"]
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="name"):
        experiment_name(name)


def test_rules_are_valued_quickly_then_tuned_and_an_agent_is_set_against_them(
    project: Path,
) -> None:
    quick, tuned, found = try_fixed(SHORT), try_rules(SHORT), try_search(SHORT, seconds=0.2)
    assert {rule["name"] for rule in quick["rules"]} == {rule["name"] for rule in tuned["rules"]}
    values = [rule["value"] for rule in tuned["rules"]]
    assert values == sorted(values, reverse=True)
    assert found["rule"] == tuned["rules"][0]["label"]
    assert found["difference"] == pytest.approx(found["mean_return"] - found["rule_return"])
    assert found["verdict"] in ("better", "worse", "not distinguishable")
    assert 0 < sum(found["given"].values()) <= 1
    assert not list(project.rglob("*.json")), "what is tried leaves nothing in the project"


def test_an_error_is_told_beside_its_field(app: Asking) -> None:
    wrong = {
        "drug.1.leak": "1.5",
        "drug.0.flatness_parameter": "x",
        "drug.2.name": "A",
        "patients": "0",
        "delay": "0",
        "high_share": "1.5",
        "weight": "2",
    }
    for key, value in wrong.items():
        answer = app.post("/clinic/try/fixed", {**FORM, key: value})
        told = json.loads(answer.text)
        assert answer.status == 422 and "\n" not in told["error"]
        assert set(told["mistakes"]) == {key}, told
    told = json.loads(app.post("/clinic/try/fixed", {**FORM, **wrong}).text)
    assert set(told["mistakes"]) == set(wrong), "all at once"
    page = app.post("/clinic/save", {**FORM, **wrong}).text
    assert page.count('class="slider wrong"') == len(wrong) - 1
    assert 'value="0.15"' in page, "what was right stays"
    for key, text in wrong.items():
        assert re.search(f'name="{re.escape(key)}" value="{re.escape(text)}"', page), "as typed"


def test_a_clinic_is_tried_and_saved_in_the_browser_s_own_words(app: Asking, project: Path) -> None:
    tried = json.loads(app.post("/clinic/try/rules", FORM).text)
    assert "<table" in tried["html"] and tried["brief"]["rule"]
    assert "nobody is treated" in tried["html"], "each rule says what it does"
    answer = app.post("/clinic/save", {**FORM, "then": "train"})
    assert answer.status == 303
    begun = "/start/train?experiment=ours&agent_algorithm=policy_search"
    assert answer.headers["location"] == begun
    assert (project / "conf" / "experiment" / "ours.yaml").is_file()
    assert "is saved in this project" in app.get("/clinic?from=ours&saved=ours").text
    refused = app.post("/clinic/save", {**FORM, "name": "../x"})
    assert refused.status == 422 and "name must be a plain folder name" in refused.text


def test_a_drug_more_and_a_drug_less_keep_the_rest(app: Asking) -> None:
    more = app.post("/clinic", {**FORM, "add": "1"}).text
    assert 'name="drug.3.name" value="D"' in more
    less = app.post("/clinic", {**FORM, "remove": "0"}).text
    assert 'name="drug.0.name" value="B"' in less and 'name="drug.1.leak" value="0.15"' in less
    assert 'name="cross.0.1" value="0"' in less


def test_every_number_of_a_drug_has_a_slider_that_holds_its_default() -> None:
    for slider, default in DRUG.values():
        assert slider.low <= default <= slider.high


@pytest.mark.parametrize(
    "name", ["paper_two", "paper_two_cross_resistant", "paper_degraded", "base"]
)
def test_a_shipped_experiment_is_held_by_the_sliders(project: Path, name: str) -> None:
    assert (
        configuration_of(experiment_draft(name))["antibiotics"]
        == compose(f"experiment={name}").antibiotics
    )


def test_what_no_slider_sets_is_not_lost_in_silence(app: Asking, project: Path) -> None:
    folder = project / "conf" / "experiment"
    folder.mkdir()
    text = "# @package _global_\nenvironment: {temporal_windows: [10]}\n"
    (folder / "odd.yaml").write_text(text, encoding="utf-8")
    answer = app.get("/clinic?from=odd")
    assert "environment of experiment odd has values that no slider sets" in answer.text
    with pytest.raises(InputError, match="of its own: choose another name"):
        save(replace(SHORT, name="paper_two"), Workplace.at(project))
