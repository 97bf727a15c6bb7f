"""What computations tell of how far they are."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from abx_amr.planning.cache import PlanCache
from abx_amr.planning.front import front, information, optimal_episode
from abx_amr.planning.optimum import optimum
from abx_amr.planning.problem import pose
from abx_amr.planning.rule_values import THRESHOLDS, rule_values, tuned_values
from tests.clinics import clinic_model, mixture, population

ONE_DRUG = {"A": (0.3, 5.0, -2.0, 0.1)}
ALIKE = clinic_model(ONE_DRUG, steps=40)
GROUPS = mixture(low=population(prob_infected=0.3), high=population(prob_infected=0.9))
DIFFERENT = clinic_model(ONE_DRUG, people=GROUPS, patients=2, steps=40)


class Told(list):
    """The events; by phase."""

    def __call__(self, phase, done, total):
        self.append((phase, done, total))

    @property
    def phases(self):
        found = defaultdict(list)
        for phase, done, total in self:
            found[phase].append((done, total))
        return found

    def assert_in_order(self):
        assert self
        for phase, counts in self.phases.items():
            totals = {total for _, total in counts}
            assert len(totals) == 1, phase
            (total,) = totals
            done = [n for n, _ in counts]
            assert done[0] in (0, 1), phase
            assert done == list(range(done[0], done[0] + len(done))), phase
            assert total in (0, done[-1]), phase


def numbers(found):
    """Return an optimum without how long it took."""
    given = None if found.given is None else found.given.tolist()
    return replace(found, seconds=0.0, given=None), given


@pytest.mark.parametrize(
    ("model", "phases"),
    [
        (ALIKE, {"exact optimum: step": 40, "optimal episode: step": 40}),
        (DIFFERENT, {"exact optimum: step": 40}),
    ],
)
def test_the_optimum_is_told_step_by_step_and_is_the_same_untold(model, phases):
    told = Told()
    found = optimum(pose(model), on_progress=told)
    told.assert_in_order()
    assert {phase: counts[-1][1] for phase, counts in told.phases.items()} == phases
    assert numbers(optimum(pose(model))) == numbers(found)


@pytest.mark.parametrize(("model", "follows"), [(ALIKE, False), (DIFFERENT, True)])
def test_the_audit_tells_factors_and_rounds_and_is_the_same_untold(model, follows, tmp_path):
    posed, told = pose(model), Told()
    found = optimum(posed)
    asked = {"gammas": (0.9, 0.99), "gamma": None}
    audited = PlanCache(tmp_path / "told").audit(posed, found, **asked, on_progress=told)
    told.assert_in_order()
    phases = told.phases
    assert phases["discount audit: factor"] == [(0, 2), (1, 2), (2, 2)]
    for n, gamma in ((1, "0.9"), (2, "0.99")):
        name = f"discount audit: factor {n} of 2, gamma {gamma}"
        assert len(phases[f"{name}: round"]) > 1
        assert (f"{name}: step" in phases) == follows
    assert PlanCache(tmp_path / "untold").audit(posed, found, **asked) == audited
    told.clear()
    PlanCache(tmp_path / "told").audit(posed, found, **asked, on_progress=told)
    assert told == []  # all were kept


def test_rules_tell_how_many_are_valued_and_are_the_same_untold():
    posed, told = pose(DIFFERENT), Told()
    asked = {"episodes": 2, "seed": 0}
    fixed = rule_values(DIFFERENT, posed, **asked, on_progress=told)
    tuned = tuned_values(DIFFERENT, posed, **asked, on_progress=told)
    told.assert_in_order()
    totals = {phase: counts[-1][0] for phase, counts in told.phases.items()}
    assert totals == {
        "rules": len(fixed),
        "thresholds": len(THRESHOLDS),
        "cycling periods": 7,
        "thresholds and risks": 40,
        "rule search: round": 12,
    }
    assert rule_values(DIFFERENT, posed, **asked) == fixed
    assert tuned_values(DIFFERENT, posed, **asked) == tuned


def test_front_and_information_tell_their_parts_and_are_the_same_untold(tmp_path):
    posed, told = pose(DIFFERENT), Told()
    asked = {"episodes": 2, "seed": 0}

    def both(name, on_progress):
        cache = PlanCache(tmp_path / name)
        return (
            front(
                DIFFERENT, posed, weights=(0.2, 0.8), cache=cache, **asked, on_progress=on_progress
            ),
            information(DIFFERENT, posed, cache=cache, **asked, on_progress=on_progress),
        )

    found = both("told", told)
    told.assert_in_order()
    phases = told.phases
    assert phases["stewardship front: weight"] == [(0, 2), (1, 2), (2, 2)]
    part = "stewardship front: lambda_weight 0.8"
    assert phases[f"{part}: exact optimum: step"][-1] == (40, 40)
    assert phases[f"{part}: optimal policy played: step"][-1] == (40, 40)
    assert phases["nothing seen of patients: exact optimum: step"][-1] == (40, 40)
    assert phases["AMR reported every 90 steps: thresholds"][-1] == (51, 51)
    assert both("untold", None) == found


def test_playing_the_optimal_policy_tells_its_steps_and_is_the_same_untold():
    told = Told()
    asked = {"episodes": 3, "seed": 0}
    given = optimal_episode(DIFFERENT, pose(DIFFERENT), None, **asked, on_progress=told)
    told.assert_in_order()
    assert told[-1] == ("optimal policy played: step", 40, 40)
    untold = optimal_episode(DIFFERENT, pose(DIFFERENT), None, **asked)
    for one, other in zip(given, untold, strict=True):
        assert np.array_equal(one, other)
