"""Settings that make trials comparable, and settings that may change."""

import pytest

from abx_amr.studies.fingerprint import Fingerprint, fingerprint, is_free, show_difference
from abx_amr.studies.space import parse_search_space


def taken(configuration):
    space = parse_search_space(configuration["tuning"]["search_space"])
    return fingerprint(configuration, space=space)


@pytest.mark.parametrize(
    "path",
    [
        "run_name",
        "study_name",
        "results_dir",
        "optimization_dir",
        "storage.path",
        "overwrite_existing_study",
        "skip_if_exists",
        "best_params_from",
        "trajectories",
        "hydra.sweep.dir",
        "training.seed",
        "training.save_freq_every_n_episodes",
        "training.eval_freq_every_n_episodes",
        "training.total_num_training_episodes",
        "training.early_stopping.patience",
        "tuning.n_trials",
        "tuning.n_workers",
        "tuning.n_trials_per_worker",
        "tuning.timeout",
        "tuning.wait",
        "tuning.parallel",
        "tuning.max_retry",
        "tuning.max_failures",
        "tuning.heartbeat_interval",
        "tuning.worker",
    ],
)
def test_places_budgets_and_workers_may_change(path):
    assert is_free(path)


@pytest.mark.parametrize(
    "path",
    [
        "reward_calculator.lambda_weight",
        "training.n_envs",
        "training.num_eval_episodes",
        "tuning.truncated_episodes",
        "tuning.sampler",
        "tuning.first_seed",
        "tuning.n_seeds_per_trial",
        "tuning.stability_penalty_weight",
        "agent_algorithm.learning_rate",
        "storage_of_drugs",
    ],
)
def test_what_a_trial_is_made_of_must_not_change(path):
    assert not is_free(path)


def test_only_the_settings_that_differ_are_listed_with_both_values(configuration):
    old = taken(configuration({"reward_calculator.lambda_weight": 0.0}))
    new = taken(configuration({"reward_calculator.lambda_weight": 0.5, "training.seed": 7}))
    assert old.difference(new) == [("reward_calculator.lambda_weight", 0.0, 0.5)]
    assert show_difference(old.difference(new)) == "reward_calculator.lambda_weight 0.0 -> 0.5"


def test_a_setting_that_came_or_went_is_a_difference(configuration):
    old, new = configuration(), configuration()
    new["agent_algorithm"]["extra"] = None
    assert taken(old).difference(taken(new)) == [("agent_algorithm.extra", "(absent)", None)]


def test_true_is_not_one(configuration):
    old = taken(configuration({"agent_algorithm.mode": True}))
    new = taken(configuration({"agent_algorithm.mode": 1}))
    assert old.difference(new)


def test_the_order_and_the_spelling_of_the_space_do_not_count(configuration):
    one = configuration(search_space={"x": {"type": "float", "low": -1.0, "high": 1.0}})
    other = configuration(
        search_space={
            "agent_algorithm": {
                "x": {"high": 1.0, "low": -1, "type": "float", "log": False, "step": None}
            }
        }
    )
    assert taken(one).difference(taken(other)) == []
    assert taken(one).digest == taken(other).digest


def test_a_changed_range_is_a_difference_of_that_key(configuration):
    old = taken(configuration())
    new = configuration()
    new["tuning"]["search_space"]["x"]["high"] = 2.0
    [(path, before, after)] = old.difference(taken(new))
    assert path == "tuning.search_space.agent_algorithm.x"
    assert (before["high"], after["high"]) == (1.0, 2.0)


def test_what_counted_once_and_no_longer_does_is_no_difference() -> None:
    now = Fingerprint({"environment.max_time_steps": 500})
    then = Fingerprint({"environment.max_time_steps": 500, "training.torch_threads": 1})
    assert now.difference(then) == []
