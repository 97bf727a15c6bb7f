"""A final of a study that is over, as study_summary.json tells it."""

from typing import Any

FINAL: dict[str, Any] = {
    "top": 2,
    "seeds": 2,
    "candidates": [
        {"point": 2, "seeds": {"9000": -1.0, "9001": -1.2}, "objective": -1.12},
        {"point": "default", "seeds": {"9000": -1.5, "9001": -1.6}, "objective": -1.56},
    ],
    "selected": 2,
    "found": -0.99,
    "held_out": {
        "seeds": [10000, 10001],
        "selected": {"mean": -1.1, "interval_95": [-1.2, -1.0], "returns": [-1.0, -1.2]},
        "default": {"mean": -1.55, "interval_95": [-1.6, -1.5], "returns": [-1.5, -1.6]},
        "difference": {"mean": 0.45, "interval_95": [0.4, 0.5]},
        "best_rule": {
            "name": "greedy",
            "mean_return": -2.0,
            "difference": {"mean": 0.9, "interval_95": [0.5, 1.3], "episodes": 100, "seeds": 2},
            "verdict": "better",
        },
        "gap": None,
    },
    "default_beaten": True,
}
