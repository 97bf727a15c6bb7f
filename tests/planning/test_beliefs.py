"""What a patient is expected to gain, given what is observed: against the simulator's draws."""

import numpy as np
import pytest

from abx_amr.planning.beliefs import beliefs_of
from abx_amr.planning.problem import NotComputable, pose
from abx_amr.rng import stream, stream_states
from abx_amr.simulator.draws import Draws
from abx_amr.simulator.patients import ATTRIBUTES, PatientPopulation
from tests.clinics import (
    ATTRIBUTE_DEFAULTS,
    attribute,
    clinic_model,
    crowded_model,
    mixture,
    population,
)


def people(*, bias=1.0, clip=(0.0, 1.0), noise_std=0.0, visible=("prob_infected",), **laws):
    """Patients of whom some attributes are (mean, sigma), the risk seen with bias and clip."""
    drawn = {
        name: attribute(name, *laws.get(name, (default,))[:1], sigma=(*laws.get(name, ()), 0, 0)[1])
        for name, default in ATTRIBUTE_DEFAULTS.items()
    }
    drawn["prob_infected"]["observation"] = {
        "bias_multiplier": bias,
        "noise_std": noise_std,
        "clip": list(clip),
    }
    return PatientPopulation(visible_patient_attributes=list(visible), **drawn)


CLINICS = {
    "all vary and are noisy": crowded_model(),
    "clipped from above": clinic_model(people=people(bias=1.3, prob_infected=(0.75, 0.2))),
    "noise and a narrow clip": clinic_model(
        people=people(noise_std=0.1, clip=(0.4, 0.6), prob_infected=(0.5, 0.2))
    ),
    "noise at the edge of what can be": clinic_model(
        people=people(noise_std=0.05, prob_infected=(0.97, 0.1))
    ),
    "chances beyond 1": clinic_model(
        people=people(
            visible=("benefit_probability_multiplier",), benefit_probability_multiplier=(0.9, 0.3)
        )
    ),
    "groups that overlap": clinic_model(
        people=mixture(
            low=people(prob_infected=(0.3, 0.2), failure_value_multiplier=(1.0, 0.0)),
            high=people(prob_infected=(0.7, 0.2), failure_value_multiplier=(3.0, 0.5)),
        )
    ),
    "a group that hides its risk": clinic_model(
        people=mixture(
            shown=people(prob_infected=(0.3, 0.2)),
            hidden=people(visible=("benefit_value_multiplier",), prob_infected=(0.9, 0.0)),
        )
    ),
    "a group at the clip of another": clinic_model(
        people=mixture(
            one=people(bias=2.0, prob_infected=(0.5, 0.1)), other=people(prob_infected=(1.0, 0.0))
        )
    ),
}


@pytest.mark.parametrize("name", CLINICS)
def test_patients_gain_on_average_what_is_expected_of_those_who_look_like_them(name):
    model = CLINICS[name]
    drawn = model.population.sample(Draws(stream_states(1, "patients", count=400)), 250)
    true = drawn.attributes.reshape(-1, len(ATTRIBUTES))
    seen = drawn.observed.reshape(-1, len(ATTRIBUTES)).astype(np.float32).astype(np.float64)
    gain, slope = beliefs_of(model).worth(seen)
    susceptible, resistant = (
        model.reward.expected_reward(true, np.full(len(model.antibiotics), a)) for a in (0.0, 1.0)
    )
    harm = model.reward.harms[0].prod()
    pairs = (
        (gain[:, 0], susceptible[:, 0] - harm - susceptible[:, -1]),
        (slope[:, 0], susceptible[:, 0] - resistant[:, 0]),
    )
    for expected, truth in pairs:
        for rows in np.array_split(np.argsort(expected, kind="stable"), 8):
            error = (truth - expected)[rows]
            spread = error.std() / np.sqrt(len(rows))
            assert abs(error.mean()) <= 4.5 * spread + 2e-4, (name, error.mean(), spread)


@pytest.mark.parametrize("name", CLINICS)
def test_patients_are_drawn_as_the_simulator_draws_them(name):
    model = CLINICS[name]
    beliefs = beliefs_of(model)
    uniforms = stream(1, "draws").random((100_000, 13))
    mine = beliefs.observe(uniforms)
    drawn = model.population.sample(Draws(stream_states(2, "patients", count=400)), 250)
    theirs = drawn.observed.reshape(-1, len(ATTRIBUTES))
    for a in beliefs.shown:
        levels = np.quantile(theirs[:, a], [0.1, 0.3, 0.5, 0.7, 0.9])
        for level in levels:
            assert (mine[:, a] <= level).mean() == pytest.approx(
                (theirs[:, a] <= level).mean(), abs=0.012
            )
    gain, _ = beliefs.worth(mine)
    exact = pose(model, hide_patients=True).problem.gain[0]
    assert gain.mean() == pytest.approx(exact, abs=5 * gain.std() / np.sqrt(len(gain)) + 1e-4)


def test_nothing_seen_is_the_mean_of_all():
    model = CLINICS["groups that overlap"]
    beliefs = beliefs_of(model).hidden()
    assert beliefs.draws == ()
    gain, slope = beliefs.worth(beliefs.observe(np.full((1, 13), 0.5)))
    problem = pose(model, hide_patients=True).problem
    assert (gain[0, 0], slope[0, 0]) == pytest.approx((problem.gain[0], problem.slope[0]))


def test_patients_of_another_kind_are_refused():
    class Own(PatientPopulation):
        pass

    laws = {name: attribute(name, value) for name, value in ATTRIBUTE_DEFAULTS.items()}
    own = Own(visible_patient_attributes=["prob_infected"], **laws)
    with pytest.raises(NotComputable, match="not computed for the population Own"):
        beliefs_of(clinic_model(people=own))
    assert population().groups is not None
