"""A study's life: creating, joining, refusing, finishing."""

import csv
import json
import logging
import os

import optuna
import pytest
import yaml

from abx_amr.errors import InputError
from abx_amr.studies import finishing
from abx_amr.studies.agreement import changed_since, check_settings
from abx_amr.studies.finishing import finish_study, is_first_to_draw
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.overview import overview_of_stored
from abx_amr.studies.preparation import Preparation, prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import JournalStorage, SqliteStorage
from abx_amr.studies.stored import read_study
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import TUNING_DEFAULTS, parabola


def storage_of(settings):
    return SqliteStorage(path=settings.folder / "optuna_study.db")


def rows_of(settings):
    path = settings.optimization_dir / ".optimization_completed.txt"
    return list(csv.DictReader(path.read_text().splitlines()))


def all_fail(params, seeds, folder):
    return [SeedOutcome(seed, None, failure="diverged") for seed in seeds]


# -- the settings ------------------------------------------------------------------------------


def test_settings_have_the_documented_defaults(configuration):
    made = configuration()
    made["tuning"] = TUNING_DEFAULTS | {"search_space": made["tuning"]["search_space"]}
    settings = StudySettings.from_configuration(made)
    assert (settings.n_trials, settings.n_seeds_per_trial, settings.direction) == (
        50,
        3,
        "maximize",
    )
    assert (settings.sampler.name, settings.penalty_weight, settings.first_seed) == (
        "tpe",
        0.2,
        1000,
    )
    assert (settings.max_retry, settings.max_failures, settings.heartbeat_interval) == (3, 50, 30.0)
    assert (settings.min_successful_seeds, settings.n_workers, settings.timeout) == (2, 1, None)
    assert settings.study_name == settings.run_name == "parabola"


@pytest.mark.parametrize("key", sorted(TUNING_DEFAULTS))
def test_a_key_that_a_tuning_file_lacks_is_one_line_with_the_cure(configuration, key):
    made = configuration()
    del made["tuning"][key]
    with pytest.raises(InputError) as error:
        StudySettings.from_configuration(made)
    assert str(error.value) == (
        f"tuning.{key} is missing: a tuning file of your own begins with 'defaults: [base]'"
    )


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"n_trails": 3}, r"tuning.n_trails does not exist; did you mean 'n_trials'"),
        ({"n_trials": 0}, r"n_trials must be a whole number of at least 1, got 0"),
        ({"n_trials": "ten"}, r"n_trials must be a whole number"),
        ({"n_trials": True}, r"n_trials must be a whole number"),
        ({"direction": "maximise"}, r"maximize or minimize, got 'maximise'; did you mean"),
        ({"pruner": "median"}, r"tuning.pruner must be none, got 'median'.*no pruner"),
        ({"parallel": "threads"}, r"tuning.parallel must be workers or jobs"),
        ({"wait": 3}, r"tuning.wait must be true or false"),
        ({"parallel": "jobs", "wait": False}, r"wait=false needs tuning.parallel=workers"),
        ({"sampler": "bayes"}, r"tuning.sampler 'bayes' does not exist"),
        ({"sampler_options": {"x": 1}}, r"sampler_options.x is not an option of the sampler"),
        ({"sampler_options": 3}, r"sampler_options must be a section"),
        ({"first_seed": 999}, r"within 1000..9999: first_seed 999"),
        ({"first_seed": 9998}, r"with 3 seeds ends at 10000"),
        ({"n_seeds_per_trial": 0}, r"n_seeds_per_trial must be a whole number of at least 1"),
        ({"min_successful_seeds": 4}, r"min_successful_seeds .* at most 3, got 4"),
        ({"seeds": "some"}, r"tuning.seeds must be common or per_trial"),
        ({"stability_penalty_weight": -0.1}, r"stability_penalty_weight must be a number of at"),
        ({"stability_penalty_weight": float("nan")}, r"stability_penalty_weight must be a number"),
        ({"heartbeat_interval": 0}, r"heartbeat_interval must be a number above 0"),
        ({"timeout": -1}, r"timeout must be a number above 0"),
        ({"max_retry": -1}, r"max_retry must be a whole number of at least 0"),
        ({"n_workers": 0}, r"n_workers must be a whole number of at least 1"),
        ({"search_space": {}}, r"search_space is empty"),
        ({"search_space": [1]}, r"search_space must be a section"),
        (
            {"search_space": {"n_stesp": {"type": "int", "low": 1, "high": 2}}},
            r"'agent_algorithm.n_stesp' does not exist; did you mean 'agent_algorithm.n_steps'",
        ),
        (
            {"search_space": {"x": {"type": "float", "low": 0, "high": 1}}, "sampler": "grid"},
            r"grid needs a finite search space",
        ),
    ],
)
def test_a_wrong_tuning_value_is_one_line_and_creates_nothing(
    configuration, tmp_path, tuning, message
):
    with pytest.raises(InputError, match=message) as error:
        StudySettings.from_configuration(configuration(**tuning))
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a/b", "..", " a", ""])
def test_a_run_name_must_be_a_folders_name(configuration, name):
    with pytest.raises(InputError, match="run_name must be"):
        StudySettings.from_configuration(configuration({"run_name": name}))


def test_without_a_tuning_choice_the_cure_is_named(configuration):
    made = configuration()
    del made["tuning"]
    with pytest.raises(InputError, match=r"\+tuning=ppo_default"):
        StudySettings.from_configuration(made)


def test_common_seeds_are_the_same_for_every_point(configuration):
    settings = StudySettings.from_configuration(configuration(first_seed=1200, n_seeds_per_trial=2))
    assert settings.seeds(0) == settings.seeds(17) == [1200, 1201]


def test_seeds_per_trial_are_fresh_and_never_leave_the_tuning_range(configuration):
    settings = StudySettings.from_configuration(
        configuration(seeds="per_trial", n_seeds_per_trial=4)
    )
    drawn = [seed for lineage in range(2250) for seed in settings.seeds(lineage)]
    assert sorted(drawn) == list(range(1000, 10000))
    assert len(set(settings.seeds(123_456))) == 4


# -- creating and joining ----------------------------------------------------------------------


def test_a_new_study_has_its_snapshots(study):
    settings, _storage = study()
    snapshot = yaml.safe_load((settings.folder / "full_agent_env_config.yaml").read_text())
    tuning = yaml.safe_load((settings.folder / "tuning_config.yaml").read_text())
    assert snapshot["reward_calculator"] == {"lambda_weight": 0.0}
    assert "tuning" not in snapshot
    assert tuning["tuning"]["n_trials"] == 6


def test_the_study_itself_keeps_its_settings_and_optunas_version(study):
    settings, storage = study()
    loaded = optuna.load_study(study_name=settings.study_name, storage=storage.open())
    kept = loaded.user_attrs["abx_fingerprint"]
    assert kept["optuna"] == optuna.__version__
    assert kept["digest"] == settings.fingerprint.digest
    assert kept["values"]["reward_calculator.lambda_weight"] == 0.0


def test_the_same_command_joins_and_a_finished_study_is_finished(study, configuration):
    settings, storage = study()
    assert prepare_study(settings, storage) is Preparation.JOINED
    run_worker(settings, storage, parabola)
    assert prepare_study(settings, storage) is Preparation.FINISHED
    larger = StudySettings.from_configuration(configuration(n_trials=8))
    assert prepare_study(larger, storage) is Preparation.JOINED
    assert run_worker(larger, storage, parabola).trials_run == 2


def test_a_budget_that_the_study_has_passed_is_refused_and_changes_nothing(study, configuration):
    settings, storage = study(n_trials=3)
    run_worker(settings, storage, parabola)
    before = overview_of_stored(storage, settings.study_name)
    smaller = StudySettings.from_configuration(configuration(n_trials=2))
    with pytest.raises(InputError, match=r"has 3 finished trials, more than tuning.n_trials=2: .*"):
        prepare_study(smaller, storage)
    assert overview_of_stored(storage, settings.study_name) == before
    assert prepare_study(settings, storage) is Preparation.FINISHED


def test_a_smaller_budget_that_is_not_passed_yet_is_taken(study, configuration):
    _, storage = study(n_trials=5)
    fewer = StudySettings.from_configuration(configuration(n_trials=2))
    assert prepare_study(fewer, storage) is Preparation.JOINED
    assert run_worker(fewer, storage, parabola).trials_run == 2
    assert prepare_study(fewer, storage) is Preparation.FINISHED


def test_other_settings_are_refused_with_the_keys_that_differ_and_two_ways_out(
    study, configuration
):
    settings, storage = study()
    run_worker(settings, storage, parabola)
    before = (settings.folder / "full_agent_env_config.yaml").read_bytes()
    changed = StudySettings.from_configuration(
        configuration({"reward_calculator.lambda_weight": 0.5, "training.seed": 9}, n_trials=9)
    )
    with pytest.raises(InputError) as error:
        prepare_study(changed, storage)
    assert str(error.value) == (
        "Configuration Mismatch Detected: study 'parabola' holds 6 finished trials with other "
        "settings: reward_calculator.lambda_weight 0.0 -> 0.5. Use another run_name, or "
        "overwrite_existing_study=true"
    )
    assert (settings.folder / "full_agent_env_config.yaml").read_bytes() == before


def test_budget_workers_and_names_of_places_may_change(study, configuration):
    _plan, storage = study()
    changed = configuration(n_trials=9, n_workers=4, heartbeat_interval=5, max_retry=1, worker=3)
    changed["results_dir"] = "elsewhere"
    changed["storage"] = {"path": "x"}
    assert prepare_study(StudySettings.from_configuration(changed), storage) is Preparation.JOINED


def test_the_other_direction_is_refused(study, configuration):
    _plan, storage = study()
    with pytest.raises(InputError, match="Configuration Mismatch Detected"):
        prepare_study(
            StudySettings.from_configuration(configuration(direction="minimize")), storage
        )


def test_a_study_of_somebody_else_is_not_joined(configuration):
    settings = StudySettings.from_configuration(configuration())
    storage = storage_of(settings)
    foreign = optuna.create_study(
        study_name="parabola", storage=storage.open(), direction="maximize"
    )
    foreign.tell(foreign.ask(), 1.0)
    with pytest.raises(InputError, match="made by something else"):
        prepare_study(settings, storage)


def test_overwriting_starts_from_nothing(study, configuration):
    settings, storage = study()
    run_worker(settings, storage, parabola)
    (settings.folder / "trials" / "0").mkdir(parents=True)
    again = StudySettings.from_configuration(
        configuration({"overwrite_existing_study": True, "reward_calculator.lambda_weight": 0.5})
    )
    assert prepare_study(again, storage) is Preparation.CREATED
    assert finish_study(again, storage).n_finished == 0
    assert not (settings.folder / "best_params.json").exists()
    assert not (settings.folder / "trials").exists()
    snapshot = yaml.safe_load((settings.folder / "full_agent_env_config.yaml").read_text())
    assert snapshot["reward_calculator"]["lambda_weight"] == 0.5
    assert rows_of(settings) == []


def test_overwriting_is_refused_while_a_worker_is_at_it(study, configuration):
    settings, storage = study()
    again = StudySettings.from_configuration(configuration({"overwrite_existing_study": True}))
    refusals = []

    def run_trial(params, seeds, folder):
        if not refusals:
            with pytest.raises(InputError, match="is being worked on by process") as error:
                prepare_study(again, storage)
            refusals.append(str(error.value))
        return parabola(params, seeds, folder)

    run_worker(settings, storage, run_trial)
    assert str(os.getpid()) in refusals[0]


def test_a_storage_that_others_may_be_using_is_not_overwritten(configuration):
    class Shared(SqliteStorage):
        can_overwrite = False

    settings = StudySettings.from_configuration(configuration({"overwrite_existing_study": True}))
    with pytest.raises(InputError, match="abx-study delete parabola"):
        prepare_study(settings, Shared(path=settings.folder / "x.db"))
    assert not settings.optimization_dir.exists()


def test_a_run_in_the_registry_is_skipped_when_asked(study, configuration):
    settings, storage = study()
    skipping = StudySettings.from_configuration(
        configuration({"skip_if_exists": True}, n_trials=99)
    )
    assert prepare_study(skipping, storage) is Preparation.JOINED
    run_worker(settings, storage, parabola)
    assert prepare_study(skipping, storage) is Preparation.SKIPPED
    for path in sorted(settings.folder.iterdir()):
        path.unlink()
    settings.folder.rmdir()
    assert prepare_study(skipping, storage_of(settings)) is Preparation.CREATED


def whole(value):
    return value, optuna.distributions.IntDistribution(1, 99, step=2)


def real(value):
    return value, optuna.distributions.FloatDistribution(-9.0, 9.0)


def add_finished(settings, storage, **values):
    """Add a finished trial as another program does, better than any of the study's own."""
    points = {path.replace("__", "."): point for path, point in values.items()}
    added = optuna.trial.create_trial(
        params={path: value for path, (value, _) in points.items()},
        distributions={path: distribution for path, (_, distribution) in points.items()},
        value=999.0,
    )
    optuna.load_study(study_name=settings.study_name, storage=storage.open()).add_trial(added)


X, N_STEPS = "agent_algorithm__x", "agent_algorithm__n_steps"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"x": whole(3)}, "with 'x', which the study does not search; write 'agent_algorithm.x'"),
        ({X: real(0.5)}, "without a value of agent_algorithm.n_steps"),
        ({X: real(7.0), N_STEPS: whole(3)}, "with agent_algorithm.x = 7.0, which is outside"),
        ({X: real(0.5), N_STEPS: whole(3), "y": real(1.0)}, "with 'y', which the study does not"),
    ],
)
def test_a_finished_trial_of_another_program_neither_counts_nor_is_best_unless_it_is_a_point(
    study, caplog, values, reason
):
    settings, storage = study()
    add_finished(settings, storage, **values)
    run_worker(settings, storage, parabola)
    with caplog.at_level(logging.WARNING):
        summary = finish_study(settings, storage)
    found = read_study(storage, settings.study_name)
    assert found.states["COMPLETE"] == settings.budget + 1
    assert found.n_finished == summary.n_finished == settings.budget
    assert found.best.number != 0
    assert dict(found.best.params) == summary.best_params
    assert f"trial 0 does not count: it was added by another program {reason}" in caplog.text
    assert reason in found.trials[0].why_not_counted


def test_a_finished_trial_of_another_program_counts_where_it_is_a_point_of_the_space(study):
    settings, storage = study()
    add_finished(settings, storage, **{X: real(0.5), N_STEPS: whole(3)})
    run_worker(settings, storage, parabola)
    found = read_study(storage, settings.study_name)
    assert found.states["COMPLETE"] == found.n_finished == settings.budget
    assert found.best.number == 0


def test_settings_that_changed_since_a_finished_study_are_told(study, configuration):
    settings, storage = study()
    run_worker(settings, storage, parabola)
    now = {"skip_if_exists": True, "reward_calculator.lambda_weight": 0.7}
    changed = StudySettings.from_configuration(configuration(now))
    assert changed_since(settings) is None
    assert "reward_calculator.lambda_weight 0.0 -> 0.7" in (changed_since(changed) or "")
    settings.files.configuration_file.write_bytes(b"\xff damaged")
    assert changed_since(changed) is None


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_folder_takes_no_second_study(study, configuration, tmp_path, elsewhere):
    settings, storage = study()
    if elsewhere:
        storage = JournalStorage(path=tmp_path / "server" / "journal.log")
        prepare_study(settings, storage)
    (settings.files.trial(0).path).mkdir(parents=True)
    other = StudySettings.from_configuration(configuration({"study_name": "other"}))
    with pytest.raises(InputError, match=r"'parabola' and none called 'other'; add study_name=par"):
        prepare_study(other, storage)
    assert storage.names() == ["parabola"]
    assert settings.files.trial(0).path.is_dir()
    storage.delete("parabola")
    assert prepare_study(other, storage) is Preparation.CREATED


def test_a_second_study_in_one_storage_is_told(study, configuration, caplog):
    _settings, storage = study()
    other = StudySettings.from_configuration(configuration({"run_name": "other"}))
    with caplog.at_level(logging.WARNING):
        prepare_study(other, storage)
    assert "workers that share a study need the same study_name" in caplog.text
    assert "'parabola'" in caplog.text


def test_another_optuna_version_is_told(study, caplog):
    settings, storage = study()
    loaded = optuna.load_study(study_name=settings.study_name, storage=storage.open())
    kept = loaded.user_attrs["abx_fingerprint"] | {"optuna": "4.9.0"}
    loaded.set_user_attr("abx_fingerprint", kept)
    prepare_study(settings, storage)
    assert "created with Optuna 4.9.0" in caplog.text


def test_eight_processes_prepare_one_study(configuration, in_processes):
    settings = StudySettings.from_configuration(configuration())
    assert in_processes(8, lambda _: prepare_study(settings, storage_of(settings))) == [0] * 8
    assert len(storage_of(settings).open().get_all_studies()) == 1


# -- finishing ---------------------------------------------------------------------------------


def test_a_finished_study_has_its_results(study):
    settings, storage = study(stability_penalty_weight=0.5)
    run_worker(settings, storage, parabola)
    summary = finish_study(settings, storage)
    best = json.loads((settings.folder / "best_params.json").read_text())
    written = json.loads((settings.folder / "study_summary.json").read_text())
    assert set(best) == {"agent_algorithm.x", "agent_algorithm.n_steps"}
    assert best == dict(summary.best_params) == written["best_trial"]["params"]
    assert written["status"] == "complete"
    assert (written["n_trials"], written["budget"], written["n_finished"]) == (6, 6, 6)
    assert [s["seed"] for s in written["best_trial"]["seeds"]] == [1000, 1001, 1002]
    assert written["best_trial"]["mean_reward"] - written["best_trial"]["stability_penalty"] == (
        pytest.approx(written["best_value"])
    )
    assert written["workers"][0]["pid"] == os.getpid()
    assert written["versions"]["optuna"] == optuna.__version__
    assert written["best_value"] == max(
        trial.value
        for trial in optuna.load_study(study_name="parabola", storage=storage.open()).trials
    )


def test_the_registry_has_one_row_however_often_a_study_is_finished(study):
    settings, storage = study()
    run_worker(settings, storage, parabola)
    path = settings.optimization_dir / ".optimization_completed.txt"
    before = path.read_text()
    finish_study(settings, storage)
    assert path.read_text() == before
    [row] = rows_of(settings)
    assert list(row) == ["run_name", "timestamp", "best_value", "n_trials"]
    assert (row["run_name"], row["n_trials"]) == ("parabola", "6")


def test_an_unfinished_study_has_a_summary_and_nothing_else(study):
    settings, storage = study(n_trials_per_worker=2)
    run_worker(settings, storage, parabola)
    written = json.loads((settings.folder / "study_summary.json").read_text())
    assert (written["status"], written["n_finished"]) == ("unfinished", 2)
    assert written["best_value"] is not None
    assert not (settings.folder / "best_params.json").exists()
    assert not (settings.optimization_dir / ".optimization_completed.txt").exists()


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_study_whose_trials_all_failed_has_no_best(study, direction):
    settings, storage = study(direction=direction)
    report = run_worker(settings, storage, all_fail)
    written = json.loads((settings.folder / "study_summary.json").read_text())
    assert report.reason == "budget"
    assert (written["best_value"], written["best_trial"]) == (None, None)
    assert written["n_all_seeds_failed"] == 6
    assert not (settings.folder / "best_params.json").exists()
    [row] = rows_of(settings)
    assert row["best_value"] == ""


def test_a_failed_trial_is_never_the_best_when_minimising(study):
    def run_trial(params, seeds, folder):
        good = [SeedOutcome(s, 5.0 + params["agent_algorithm.x"]) for s in seeds]
        return all_fail(params, seeds, folder) if folder.name == "2" else good

    settings, storage = study(direction="minimize")
    run_worker(settings, storage, run_trial)
    summary = finish_study(settings, storage)
    trials = storage.open().get_all_trials(1)
    assert trials[2].value == float("inf")
    assert summary.best_value == min(t.value for t in trials)
    assert summary.best_value > 3.9


def test_a_study_that_was_never_started_cannot_be_worked_on(configuration):
    settings = StudySettings.from_configuration(configuration())
    with pytest.raises(InputError, match="does not exist"):
        run_worker(settings, storage_of(settings), parabola)
    assert not settings.folder.exists()


def test_a_worker_with_other_settings_than_the_study_is_refused(study, configuration):
    settings, storage = study()
    check_settings(settings, storage)
    changed = configuration({"reward_calculator.lambda_weight": 0.5})
    with pytest.raises(InputError, match=r"Mismatch Detected.*lambda_weight 0\.0 -> 0\.5"):
        check_settings(StudySettings.from_configuration(changed), storage)


def test_only_one_process_is_told_to_draw_a_study_as_it_stands(study, in_processes):
    settings, storage = study(n_trials=2)
    told = in_processes(4, lambda _: os._exit(10 + is_first_to_draw(settings, storage)))
    assert sorted(told) == [10, 10, 10, 11]


def test_what_mattered_is_told_once_however_many_workers_end_a_study(
    study, configuration, monkeypatch
):
    told = []
    importance_of = finishing.importance_of
    monkeypatch.setattr(
        finishing,
        "importance_of",
        lambda points, *rest, **named: (
            told.append(len(points)),
            importance_of(points, *rest, **named),
        )[-1],
    )
    settings, storage = study(n_trials=9)
    run_worker(settings, storage, parabola)
    [first] = {len(finish_study(settings, storage).content["importance"]) for _ in range(3)}
    assert told == [9]
    assert first > 0
    longer = StudySettings.from_configuration(configuration(n_trials=12))
    prepare_study(longer, storage)
    run_worker(longer, storage, parabola)
    assert told == [9, 12]
    assert finish_study(longer, storage).content["importance"][0]["of"] == "12 trials"
