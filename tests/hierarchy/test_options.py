"""Options prescribe what they say; what is wrong with a library is said before training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.composing import compose
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import evaluate
from abx_amr.hierarchy.library import OptionEntry, OptionLibrary
from abx_amr.hierarchy.options import Block, Option, Seen
from abx_amr.hierarchy.policy import HierarchicalPolicy
from abx_amr.simulator.model import ClinicModel
from tests.clinics import attribute, clinic_model, mixture, paper_model, population
from tests.hierarchy.conftest import alternation, block, heuristic, library, parts


def seen(model: ClinicModel, *, step: int = 0, amr: Any = (0.0, 0.0), **attributes: Any) -> Seen:
    """Return what one environment shows; attributes are lists, one value per patient."""
    return Seen(
        attributes={k: np.array([v], dtype=np.float32) for k, v in attributes.items()},
        visible_amr=np.array([amr], dtype=np.float32),
        step=np.array([step]),
        memory=np.zeros((1, 0)),
    )


class Always:
    """A manager that chooses the same option in every decision."""

    def __init__(self, option: int) -> None:
        self.option = option

    def predict(self, observation: Any, state: Any = None, **_: Any) -> Any:
        return np.full(len(observation), self.option), None


def played(chosen: OptionLibrary, option: int, episodes: int = 2) -> Any:
    policy = HierarchicalPolicy(manager=Always(option), library=chosen)
    return evaluate(policy, chosen.model, episodes=episodes, seed=0, trajectories=True)


# --- every option of both libraries ---------------------------------------------------------------

SHIPPED = [
    (name, option, antibiotics)
    for name, antibiotics in (
        ("default_deterministic", "two"),
        ("heuristic", "two"),
        ("heuristic", "single"),
    )
    for option in range({"default_deterministic": 12, "heuristic": 12}[name])
    if antibiotics == "two" or option < 8
]


@pytest.mark.parametrize(("name", "option", "antibiotics"), SHIPPED)
def test_every_option_of_both_libraries_prescribes_what_it_may(
    name: str, option: int, antibiotics: str
) -> None:
    spec, model, _ = parts(f"option_library={name}", f"antibiotics={antibiotics}")
    shipped: OptionLibrary = spec.role.library(model)  # type: ignore[attr-defined]
    assert len(shipped) == (12 if antibiotics == "two" else 8)
    found = played(shipped, option)
    chosen = shipped[option]
    used = {drug for drug in model.antibiotics if found.episodes[f"prescriptions_{drug}"].sum() > 0}
    assert used <= set(chosen.may_prescribe)
    if isinstance(chosen, Block):
        assert used == set(chosen.may_prescribe)
    durations = found.decisions["duration"]
    assert set(durations[~found.decisions["option_clipped"]].tolist()) <= {chosen.duration}
    assert durations.sum() == 2 * model.max_time_steps


def test_the_shipped_default_library_is_the_one_of_the_specification() -> None:
    spec, model, _ = parts()
    names = spec.role.library(model).names  # type: ignore[attr-defined]
    blocks = [f"{drug}_{k}" for drug in ("no_treatment", "A", "B") for k in (5, 10, 15)]
    assert names == (*blocks, "ALT_AABBA", "ALT_BBAAB", "ALT_A_NO_RX_B_A_NO_RX")


# --- what they do --------------------------------------------------------------------------------


def test_an_alternation_walks_its_sequence_and_starts_again_when_selected_again() -> None:
    model = clinic_model(steps=8)
    found = played(library(model, alternation("x", "A", "no_treatment", "B")), 0, episodes=1)
    assert found.per_patient["actions"][:, 0, 0].tolist() == [0, 2, 1, 0, 2, 1, 0, 2]
    assert found.decisions["duration"].tolist() == [3, 3, 2]
    assert found.decisions["option_clipped"].tolist() == [False, False, True]


def test_an_option_without_end_lasts_the_episode_and_is_not_cut() -> None:
    model = clinic_model(steps=8)
    found = played(library(model, block("A_always", "A", math.inf)), 0, episodes=1)
    assert found.decisions["duration"].tolist() == [8]
    assert not found.decisions["option_clipped"].any()


class UntilResistant(Option):
    """A until its visible level has risen for the third time; remembers the highest level seen."""

    memory_size = 2

    def __init__(self, model: ClinicModel, *, name: str, rises: int = 3) -> None:
        super().__init__(model, name=name, duration=math.inf, may_prescribe=["A"])
        self.rises = rises

    def reset(self, memory: Any) -> None:
        memory[:, 0] = -1.0

    def decide(self, seen: Seen) -> Any:
        return self.for_all(np.zeros(len(seen.step), dtype=np.int64))

    def should_terminate(self, seen: Seen) -> Any:
        higher = seen.visible_amr[:, 0] > seen.memory[:, 0]
        seen.memory[:, 1] += higher
        seen.memory[:, 0] = np.maximum(seen.memory[:, 0], seen.visible_amr[:, 0])
        return seen.memory[:, 1] >= self.rises


def test_a_users_own_option_remembers_and_ends_itself_in_each_environment_by_itself() -> None:
    model = clinic_model(steps=10)
    own = library(model, OptionEntry(name="own", made=UntilResistant, arguments={}))
    found = played(own, 0)
    assert found.decisions["duration"].tolist() == [3, 3, 3, 1] * 2
    # asked only once truncation has been looked at: the last one did not end itself
    assert not found.decisions["option_clipped"].any()


def test_a_users_own_option_is_named_in_the_configuration_by_its_class() -> None:
    own = "{_target_: tests.hierarchy.test_options.UntilResistant, rises: 2}"
    spec, model, _ = parts(f"+option_library.options.own={own}")
    chosen = spec.role.library(model)[12]  # type: ignore[attr-defined]
    assert (type(chosen).__name__, chosen.rises, chosen.name) == ("UntilResistant", 2, "own")


# --- the heuristic -------------------------------------------------------------------------------


def the(model: ClinicModel, **arguments: Any) -> Option:
    return library(model, heuristic("h", **arguments))[0]  # type: ignore[no-any-return]


def test_the_heuristic_gives_each_patient_the_best_expected_reward_by_hand() -> None:
    # normalised rewards: benefit 1, failure -1, A -0.2 with 0.1, B -0.3 with 0.15
    model = clinic_model(patients=3)
    option = the(model, action_thresholds={"prescribe_*": 0.0})
    shown = seen(model, amr=(0.5, 0.2), prob_infected=[0.9, 0.05, 0.0])
    # patient 0: A 0.9*0 - 0.02 = -0.02, B 0.9*(0.8-0.2) - 0.045 = 0.495; none 0.9*(0.1-0.9) < 0
    # patient 1: B 0.05*0.6 - 0.045 < 0 is below its threshold; patient 2: nothing to gain
    assert option.decide(shown).tolist() == [[1, 2, 2]]


def test_an_antibiotic_without_a_threshold_is_never_prescribed_and_one_below_it_neither() -> None:
    model = clinic_model(patients=1)
    shown = seen(model, amr=(0.1, 0.0), prob_infected=[0.9])
    assert the(model, action_thresholds={"prescribe_A": 0.0}).decide(shown).tolist() == [[0]]
    worth = 0.9 * (0.9 - 0.1) - 0.02
    for threshold, expected in ((worth - 1e-6, 0), (worth + 1e-6, 2)):
        option = the(model, action_thresholds={"prescribe_A": threshold})
        assert option.decide(shown).tolist() == [[expected]]
    both = the(model, action_thresholds={"prescribe_B": 0.9, "prescribe_*": -1.0})
    assert both.decide(shown).tolist() == [[0]]


def test_equal_rewards_go_to_no_treatment() -> None:
    model = clinic_model(
        {"A": (0.2, 50.0, -10.0, 0.5)}, patients=1,
        people=population(visible=("prob_infected", "recovery_without_treatment_prob")),
    )  # fmt: skip
    option = the(model, action_thresholds={"prescribe_A": -1.0}, uncertainty_threshold=6.0)
    for infected, expected in ((0.5, 1), (0.5001, 0)):
        # treat: p - 0.5, none: p (r - (1 - r)) with r = 0.5 = 0
        shown = seen(
            model, amr=(0.0,), prob_infected=[infected], recovery_without_treatment_prob=[0.5]
        )
        assert option.decide(shown).tolist() == [[expected]]


def test_padding_is_never_used_as_a_number() -> None:
    visible = ("prob_infected", "benefit_value_multiplier", "failure_value_multiplier")
    model = clinic_model(patients=2, people=population(visible=visible))
    option = the(model, action_thresholds={"prescribe_*": 0.0})
    hidden = seen(
        model,
        prob_infected=[0.9, -1.0],
        benefit_value_multiplier=[-1.0, 5.0],
        failure_value_multiplier=[1.0, 5.0],
    )
    # patient 0 as with the neutral multiplier 1; patient 1's risk is hidden: not treated
    assert option.decide(hidden).tolist() == [[0, 2]]


@pytest.mark.parametrize(
    ("relative", "threshold", "expected"),
    [(True, 2.0, 0), (True, 1.0, 2), (False, 4.0, 2), (False, 5.0, 0)],
)
def test_a_patient_of_whom_too_much_is_unknown_is_not_treated(
    relative: bool, threshold: float, expected: int
) -> None:
    visible = ("prob_infected", "benefit_value_multiplier", "failure_value_multiplier")
    model = clinic_model(patients=1, people=population(visible=visible))
    option = the(
        model,
        action_thresholds={"prescribe_A": 0.0},
        use_relative_uncertainty=relative,
        uncertainty_threshold=threshold,
    )
    # visible and padded: 2; of all six not known: 5
    shown = seen(
        model,
        prob_infected=[0.9],
        benefit_value_multiplier=[-1.0],
        failure_value_multiplier=[-1.0],
    )
    assert option.decide(shown).tolist() == [[expected]]


def test_the_default_recovery_is_what_not_treating_is_expected_to_bring() -> None:
    model = paper_model(patients=1)
    shown = seen(model, amr=(0.45, 1.0), prob_infected=[0.7])
    for recovery, expected in ((0.1, 0), (0.9, 2)):
        option = the(
            model,
            action_thresholds={"prescribe_A": -1.0},
            default_recovery_without_treatment_prob=recovery,
        )
        assert option.decide(shown).tolist() == [[expected]]


def test_a_mixture_that_hides_risk_leaves_that_group_untreated() -> None:
    shown = population(prob_infected=0.9)
    hidden = population(prob_infected=0.9, visible=("benefit_value_multiplier",))
    model = clinic_model(patients=20, steps=5, people=mixture(shown=shown, hidden=hidden))
    chosen = library(model, heuristic("h", action_thresholds={"prescribe_*": -1.0}))
    found = played(chosen, 0)
    treated = found.per_patient["actions"] < 2
    group = found.per_patient["group"]
    assert treated[group == 0].all()
    assert not treated[group == 1].any()


# --- what is wrong is said before training, by the option's name ---------------------------------


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "at least one option"),
        ([block("x", "A", 5), block("x", "B", 5)], "option 'x'.*2 times"),
        ([block("x", "C", 5)], "option 'x'.*'C' is not in the formulary"),
        ([block("x", "A", 0)], "option 'x'.*duration must be.*got 0"),
        ([block("x", "A", 2.5)], "option 'x'.*duration"),
        ([block("x", "A", True)], "option 'x'.*duration"),
        ([block("x", "A", math.nan)], "option 'x'.*duration"),
        ([block("x", "A", -math.inf)], "option 'x'.*duration"),
        ([block("x", "A", "long")], "option 'x'.*duration"),
        ([alternation("x")], "option 'x'.*sequence"),
        ([alternation("x", "A", "none")], "option 'x'.*'none' is not in the formulary"),
        ([heuristic("x", action_thresholds={})], "option 'x'.*action_thresholds"),
        (
            [heuristic("x", action_thresholds={"prescribe_C": 0.0})],
            "option 'x'.*prescribe_C names no antibiotic",
        ),
        (
            [heuristic("x", action_thresholds={"prescribe_A": "low"})],
            "option 'x'.*action_thresholds.prescribe_A",
        ),
    ],
)
def test_a_faulty_library_is_refused_by_the_options_name(entries: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        library(clinic_model(), *entries)


def test_an_option_that_needs_what_is_hidden_is_refused() -> None:
    model = clinic_model(people=population(visible=("benefit_value_multiplier",)))
    with pytest.raises(InputError, match=r"option 'h' needs prob_infected.*not visible"):
        library(model, heuristic("h", action_thresholds={"prescribe_A": 0.0}))


class Faulty(Option):
    """Wrong in the way it is told to be."""

    def __init__(self, model: ClinicModel, *, name: str, fault: str) -> None:
        super().__init__(model, name=name, duration=2, may_prescribe=["A"])
        self.fault = fault

    def decide(self, seen: Seen) -> Any:
        count = len(seen.step)
        if self.fault == "raises":
            raise RuntimeError("no idea")
        if self.fault == "undeclared need":
            return seen.attributes["failure_value_multiplier"]
        return {
            "shape": np.zeros(count, dtype=np.int64),
            "type": np.zeros((count, self.num_patients)),
            "range": np.full((count, self.num_patients), 7),
            "forbidden": np.ones((count, self.num_patients), dtype=np.int64),
            "ends": self.for_all(np.zeros(count, dtype=np.int64)),
        }[self.fault]

    def should_terminate(self, seen: Seen) -> Any:
        return True if self.fault == "ends" else None


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("shape", r"must prescribe whole numbers of shape \(3, 1\)"),
        ("type", "must prescribe whole numbers"),
        ("range", r"must prescribe in 0\.\.2"),
        ("forbidden", "beside those it may prescribe"),
        ("raises", r"fails on its first step: \S+test_options.py line \d+: RuntimeError: no idea"),
        ("undeclared need", r"fails on its first step: \S+test_options.py line \d+: KeyError"),
        ("ends", "should_terminate must return one truth value per environment"),
    ],
)
def test_an_option_whose_prescription_does_not_fit_is_refused(fault: str, message: str) -> None:
    entry = OptionEntry(name="bad", made=Faulty, arguments={"fault": fault})
    with pytest.raises(InputError, match=f"option 'bad'.*{message}"):
        library(clinic_model(), entry)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["option_library=heurstic"], "did you mean 'heuristic'.*default_deterministic"),
        (["hrl.option_library=heuristic"], "option_library=NAME.*default_deterministic"),
        (["+hrl.option_library=heuristic"], "option_library=NAME.*default_deterministic"),
        (["hrl.option_gamma=1.5"], r"hrl.option_gamma must be a number in \(0, 1\]"),
        (["hrl.front_edge_use_full_vector=maybe"], "hrl.front_edge_use_full_vector"),
        (["+option_library.option={}"], "option_library key 'option'"),
        (
            ["+option_library.options.x={type: blok, antibiotic: A, duration: 1}"],
            "option 'x': type 'blok' does not exist; did you mean 'block'",
        ),
        (["+option_library.options.x={antibiotic: A}"], "option 'x' needs a type"),
        (
            ["+option_library.options.x={type: block, antibiotic: A, durations: 1}"],
            "option 'x'.*durations is unknown.*did you mean 'duration'",
        ),
        (
            ["+option_library.options.x={type: custom, _target_: no.such.Class}"],
            "option_library.options.x.*cannot be imported",
        ),
        (
            ["+option_library.options.x={type: custom, _target_: builtins.dict}"],
            "option 'x'.*must be an Option",
        ),
    ],
)
def test_a_faulty_configuration_is_refused_with_the_nearest_name(
    overrides: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        spec, model, _ = parts(*overrides)
        spec.role.library(model)  # type: ignore[attr-defined]


@pytest.mark.parametrize("override", ["option_library=heuristic", "hrl.option_gamma=0.9"])
def test_a_flat_agent_refuses_what_only_managers_read(override: str) -> None:
    with pytest.raises(InputError, match="agent_algorithm=hrl_ppo or hrl_rppo"):
        compose("train", [override])
    with pytest.raises(InputError, match="PPO would not read it"):
        config = compose("train", [f"+{override}"]).plain
        build_learner(config)


def test_hidden_attributes_are_no_part_of_what_an_option_is_shown() -> None:
    hidden = attribute("benefit_value_multiplier", 1.0)
    assert hidden["distribution"]["value"] == 1.0
    model = clinic_model(steps=3)

    class Curious(Option):
        looked: list[set[str]] = []  # noqa: RUF012

        def __init__(self, model: ClinicModel, *, name: str) -> None:
            super().__init__(model, name=name, duration=1)

        def decide(self, seen: Seen) -> Any:
            self.looked.append(set(seen.attributes))
            return self.for_all(np.full(len(seen.step), 2))

    played(library(model, OptionEntry(name="c", made=Curious, arguments={})), 0)
    assert all(names == {"prob_infected"} for names in Curious.looked)
