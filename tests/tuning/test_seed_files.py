import json

import numpy as np

from abx_amr.studies.folder import TrialFolder
from abx_amr.tuning.seed_files import final_amr, read_seed_results, treatments, write_seed_result


def test_seed_results_of_a_study_are_read_in_order_with_their_failures(tmp_path):
    outcomes = {
        (10, 1000): {"episode_return": -1.5, "failure": None, "seconds": 2.0},
        (2, 1001): {"episode_return": None, "failure": "ValueError: boom", "seconds": 0.5},
        (2, 1000): {"episode_return": -2.0, "failure": None, "seconds": 2.0},
    }
    for (trial, seed), outcome in outcomes.items():
        place = tmp_path / "trials" / str(trial) / f"seed_{seed}"
        place.mkdir(parents=True)
        (place / "result.json").write_text(json.dumps(outcome))
    (tmp_path / "trials" / "11" / "seed_1000").mkdir(parents=True)  # still running
    table = read_seed_results(tmp_path)
    assert table["trial"].tolist() == [2, 2, 10]
    assert table["seed"].tolist() == [1000, 1001, 1000]
    assert np.isnan(table["episode_return"][1]) and table["failure"][1] == "ValueError: boom"
    assert read_seed_results(tmp_path / "nothing").empty


def test_the_resistance_that_a_seed_leaves_is_kept_with_its_return(tmp_path):
    outcome = {"seed": 1000, "episode_return": -2.0, "failure": None}
    write_seed_result(
        tmp_path, outcome=outcome, evaluation_returns=[-2.0], final_amr={"A": 0.25, "B": 0.0}
    )
    folder = TrialFolder(tmp_path).seed(1000)
    assert final_amr(folder, episode_return=-2.0) == {"A": 0.25, "B": 0.0}
    assert final_amr(folder, episode_return=-3.0) == {}, "of another training"
    assert final_amr(TrialFolder(tmp_path).seed(1001), episode_return=-2.0) == {}


def test_how_many_patients_got_what_is_kept_with_a_seed_and_summed_over_seeds(tmp_path):
    folders = []
    for seed, given in ((1000, {"A": 3, "B": 0}), (1001, {"A": 1, "B": 2})):
        outcome = {"seed": seed, "episode_return": -2.0, "failure": None}
        told = {"given": given, "none": 5, "by_level": {"ends": [0.0, 1.0], "A": [seed]}}
        if seed == 1001:
            del told["by_level"]  # of a version that did not keep it
        write_seed_result(tmp_path, outcome=outcome, evaluation_returns=[-2.0], treatments=told)
        folders.append(TrialFolder(tmp_path).seed(seed))
    assert treatments((folder, -2.0) for folder in folders) == {
        "given": {"A": 4, "B": 2},
        "none": 10,
    }
    assert treatments([(folders[0], -3.0)]) is None, "of another training"
    assert treatments([]) is None
    outcome = {"seed": 1001, "episode_return": -2.0, "failure": None}
    write_seed_result(tmp_path, outcome=outcome, evaluation_returns=[-2.0])
    assert treatments((folder, -2.0) for folder in folders) is None, "one of 0.1 did not keep it"
