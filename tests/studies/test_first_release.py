"""A study of release 0.1 goes on with this one, and believes the seeds that it has finished."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from abx_amr.configuration.composing import compose
from abx_amr.errors import InputError
from abx_amr.studies import fingerprint as fingerprints
from abx_amr.studies.fingerprint import Fingerprint
from abx_amr.studies.first_release import as_begun
from abx_amr.studies.folder import StudyFolder
from abx_amr.studies.preparation import Preparation, prepare_study
from abx_amr.studies.settings import StudySettings

#: As release 0.1 stored it for the command of `composed_today`.
STORED = json.loads((Path(__file__).parent / "data/fingerprint_of_release_0_1.json").read_text())
FORMER, PRESENT = "abx_amr.algorithms.managers.ManagerPPO", "abx_amr.agents.managers.ManagerPPO"


def composed_today(folder, *overrides):
    """Return today's settings, with what 0.1 had left in the study's folder."""
    command = (
        *("+tuning=hrl_ppo_default", "run_name=s", "environment.max_time_steps=60"),
        *("tuning.n_seeds_per_trial=2", "tuning.truncated_episodes=150"),
        *("training.num_eval_episodes=5", "+tuning.sampler_options.n_startup_trials=2"),
    )
    plain = compose("tune", [*command, *overrides]).plain
    plain["tuning"]["search_space"] = as_begun(plain["tuning"]["search_space"], folder)
    return StudySettings.from_configuration(plain)


@pytest.fixture
def folder(tmp_path):
    """Return the folder of a study of 0.1, as far as it says what was searched."""
    start = "tuning.search_space."
    space = {p.removeprefix(start): v for p, v in STORED["values"].items() if p.startswith(start)}
    study = StudyFolder(tmp_path)
    study.tuning_file.write_text(yaml.safe_dump({"tuning": {"search_space": space}}))
    return study


def digest_of_release_0_1(values):
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_same_command_has_the_same_settings_and_the_same_digest(folder):
    today = composed_today(folder).fingerprint
    assert STORED["values"]["agent_algorithm._target_"] == FORMER
    assert Fingerprint(STORED["values"]).difference(today) == []
    assert today.digest == STORED["digest"] == digest_of_release_0_1(STORED["values"])


def test_a_study_of_today_searches_the_distance_of_discount_factors_below_one(folder):
    folder.provenance_file.write_text("{}")  # 0.1 wrote none
    differing = Fingerprint(STORED["values"]).difference(composed_today(folder).fingerprint)
    assert [path for path, _, _ in differing] == [
        "tuning.search_space.agent_algorithm.gamma",
        "tuning.search_space.hrl.option_gamma",
    ]
    assert all(new["log_below_one"] for _, _, new in differing)


def test_another_range_is_another_search_in_a_study_of_release_0_1_too(folder):
    narrower = "tuning.search_space.gamma.low=0.96"
    [(path, _, new)] = Fingerprint(STORED["values"]).difference(
        composed_today(folder, narrower).fingerprint
    )
    assert (path, new["low"]) == ("tuning.search_space.agent_algorithm.gamma", 0.96)


def test_other_settings_are_still_others(folder):
    today = composed_today(folder, "agent_algorithm.gamma=0.5").fingerprint
    [(path, _, new)] = Fingerprint(STORED["values"]).difference(today)
    assert (path, new) == ("agent_algorithm.gamma", 0.5)
    assert today.digest != STORED["digest"]


def test_a_class_that_has_moved_is_joined_and_another_class_is_refused(study, configuration):
    settings, storage = study({"agent_algorithm.mode": PRESENT})
    former = {**settings.fingerprint.values, "agent_algorithm.mode": FORMER}
    assert settings.fingerprint.digest == digest_of_release_0_1(former)
    backend = storage.open()
    study_id = backend.get_study_id_from_name(settings.study_name)
    backend.set_study_user_attr(
        study_id,
        "abx_fingerprint",
        {"values": former, "digest": digest_of_release_0_1(former), "optuna": "5.0.0"},
    )
    assert prepare_study(settings, storage) is Preparation.JOINED
    other = configuration({"agent_algorithm.mode": "abx_amr.agents.managers.ManagerRecurrentPPO"})
    with pytest.raises(InputError, match=r"Mismatch Detected.*ManagerPPO.*ManagerRecurrentPPO"):
        prepare_study(StudySettings.from_configuration(other), storage)


def test_a_setting_that_came_later_counts_only_where_it_changes_something(
    configuration, monkeypatch
):
    before = StudySettings.from_configuration(configuration()).fingerprint
    made = configuration()
    made["training"]["new"] = None
    assert before.difference(StudySettings.from_configuration(made).fingerprint)
    known = fingerprints.LATER_DEFAULTS
    monkeypatch.setattr(fingerprints, "LATER_DEFAULTS", {**known, "training.new": None})
    after = StudySettings.from_configuration(made).fingerprint
    assert before.difference(after) == []
    assert after.digest == before.digest
    made["training"]["new"] = 3
    changed = StudySettings.from_configuration(made).fingerprint
    assert before.difference(changed) == [("training.new", "(absent)", 3)]
