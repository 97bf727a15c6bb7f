"""Forms are made of the configuration, and say the command that they start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abx_amr.app.forms.asking import asked, mistake
from abx_amr.app.forms.command import words_of
from abx_amr.app.views import start
from abx_amr.errors import InputError
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
    assert told["field"] == "experiment" and "did you mean" in told["error"]


def test_sweeps_of_a_study_are_no_mistake(project: Path) -> None:
    words = ["abx-tune", "-m", "+tuning=ppo_default", "agent_algorithm.gamma=interval(0.9,0.99)"]
    assert mistake("tune", words) is None


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
