import json

import numpy as np

from abx_amr.tuning.seed_files import read_seed_results


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
