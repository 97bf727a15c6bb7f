"""Forms are made of the configuration, and say the command that they start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abx_amr.app.clinic.draft import Draft
from abx_amr.app.clinic.files import save
from abx_amr.app.forms.asking import asked
from abx_amr.app.forms.checking import looked_at
from abx_amr.app.forms.command import words_of
from abx_amr.app.views import start
from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_json
from tests.app.asking import Asking


def test_a_form_has_types_limits_and_comments_of_the_configuration(project: Path) -> None:
    found = asked("train", {"agent_algorithm": "policy_search", "experiment": "paper_two"})
    fields = {field.key: field for section in found.sections.values() for field in section}
    seed = fields["training.seed"]
    assert (seed.kind, seed.default, seed.low) == ("whole", "42", 0)
    assert "1-999 for training" in seed.help
    assert fields["training.total_num_training_episodes"].default == "76800"
    assert fields["agent_algorithm.population"].help == "candidates of a generation"
    assert fields["environment.num_patients_per_time_step"].default == "1"
    assert "paper_two" in [choice.name for choice in found.groups["experiment"]]


def test_a_study_s_form_has_the_entries_of_its_search_space(project: Path) -> None:
    found = asked("tune", {"tuning": "policy_search_default"})
    keys = {field.key for field in found.sections["tuning"]}
    assert {"tuning.n_trials", "tuning.search_space.population.low"} <= keys
    (sampler,) = [f for f in found.sections["tuning"] if f.key == "tuning.sampler"]
    assert "cmaes" in sampler.choices


def test_choices_that_do_not_go_together_are_a_line_in_a_form_that_is_shown(project: Path) -> None:
    found = asked("train", {"experiment": "papre_two"})
    assert found.problem is not None and "did you mean 'paper_two'" in found.problem
    assert found.sections["training"]


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ({"more": "--multirun"}, "is no setting"),
        ({"more": "-m"}, "is no setting"),
        ({"more": "hydra.run.dir=/tmp"}, "is no key"),
        ({"--config-dir": "/tmp"}, "is no key"),
        ({"hydra.run.dir": "/tmp"}, "is no key"),
        ({"run_name": "a\nb"}, "one line"),
        ({"run_name": "a\x00b"}, "control characters"),
        ({"a b": "1"}, "is no key"),
    ],
)
def test_no_flag_and_nothing_but_settings_comes_out_of_a_form(
    form: dict[str, str], line: str
) -> None:
    with pytest.raises(InputError, match=line):
        words_of("train", form)


def test_what_a_shell_would_run_is_one_word_of_the_command() -> None:
    words = words_of("train", {"run_name": "$(reboot); `id` | cat", "more": "+x='a b'"})
    assert words == ["abx-train", "run_name=$(reboot); `id` | cat", "+x='a b'"]


def test_a_mistake_is_told_while_it_is_typed_beside_its_field(app: Asking) -> None:
    form = {"experiment": "paper_two", "training.seed": "7", "run_name": "it's"}
    told = json.loads(app.post("/start/train/check", form).text)
    assert told["command"].startswith("abx-train experiment=paper_two")
    told = json.loads(app.post("/start/train/check", {"experiment": "papre_two"}).text)
    assert "did you mean" in told["mistakes"]["experiment"]


def test_sweeps_of_a_study_are_no_mistake(project: Path) -> None:
    words = ["abx-tune", "-m", "+tuning=ppo_default", "agent_algorithm.gamma=interval(0.9,0.99)"]
    form = {"agent_algorithm.gamma": "interval(0.9,0.99)"}
    assert looked_at("tune", words, form).error is None


def test_all_wrong_values_are_told_at_once_each_beside_its_field(app: Asking) -> None:
    wrong = {
        "training.seed": "x",
        "training.num_eval_episodes": "0",
        "agent_algorithm.population": "many",
        "environment.max_time_steps": "1.5",
    }
    form = {"experiment": "paper_two", "agent_algorithm": "policy_search", **wrong}
    told = json.loads(app.post("/start/train/check", form).text)
    assert set(told["mistakes"]) == set(wrong)
    page = app.post("/start/train", form)
    assert page.status == 422 and page.text.count('class="field wrong"') == len(wrong)
    assert app.desk.jobs.all() == [], "nothing was started"


def test_a_search_begins_complete_and_says_how_large_it_is(app: Asking) -> None:
    page = app.get("/start/tune?experiment=paper_two").text
    command = (
        "abx-tune -m +tuning=policy_search_default experiment=paper_two "
        "run_name=paper_two_policy_search_default"
    )
    assert command in page
    assert "50 trials x 3 seeds x 15,360 episodes = 2,304,000 episodes in 150 trainings" in page
    outside = page.partition("<details")[0]
    assert all(f'name="tuning.{key}"' in outside for key in ("n_trials", "truncated_episodes"))
    form = {"tuning": "ppo_default", "tuning.n_trials": "2", "tuning.truncated_episodes": "100"}
    told = json.loads(app.post("/start/tune/check", form).text)
    assert told["budget"].startswith("2 trials x 3 seeds x 100 episodes = 600 episodes")


def test_a_form_begins_with_the_clinic_that_was_saved_or_used_last(app: Asking) -> None:
    assert 'value="paper_two" selected' not in app.get("/start/train").text
    save(Draft(name="ours"), app.desk.workplace)
    for command in ("train", "tune", "plan"):
        assert "experiment=ours" in app.get(f"/start/{command}").text
    assert "training.num_eval_episodes=100" in app.get("/start/train").text
    assert "experiment=ours" not in app.get("/start/train?experiment=").text
    later = app.desk.jobs.folder / "29991129_100000_abcdef"
    later.mkdir(parents=True)
    words = ["abx-train", "experiment=paper_two"]
    write_json(later / "job.json", {"words": words, "started": "2999-11-29T10:00:00+00:00"})
    assert "experiment=paper_two" in app.get("/start/train").text


def test_a_command_that_is_refused_is_shown_with_its_line_and_leaves_nothing(
    app: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "WAIT_SECONDS", 120.0)
    form = {"experiment": "paper_two", "agent_algorithm": "never", "training.seed": "0"}
    answer = app.post("/start/train", form)
    assert answer.status == 422
    assert "training.seed must be 1-999" in answer.text
    assert 'value="0"' in answer.text, "what was typed stands in the form"
    assert not app.desk.workplace.results.exists()
    assert app.desk.jobs.all()[0].state() == "refused"
