import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.utils import FloatSchedule

from abx_amr.agents.schedules import ExponentialSchedule, LinearSchedule
from abx_amr.errors import InputError

SCHEDULES = (LinearSchedule, ExponentialSchedule)
positive = st.floats(1e-6, 1e3)
progress = st.floats(0.0, 1.0)


@pytest.mark.parametrize("family", SCHEDULES)
@given(initial=positive, final=positive)
def test_a_schedule_begins_at_initial_and_ends_at_final(family, initial, final):
    schedule = family(initial=initial, final=final)
    assert schedule(1.0) == pytest.approx(initial)
    assert schedule(0.0) == pytest.approx(final)
    assert schedule(-0.01) == schedule(0.0) and schedule(1.01) == schedule(1.0)


@pytest.mark.parametrize("family", SCHEDULES)
@given(initial=positive, final=positive, some=progress, more=progress)
def test_a_falling_schedule_never_rises(family, initial, final, some, more):
    schedule = family(initial=max(initial, final), final=min(initial, final))
    later, earlier = min(some, more), max(some, more)
    assert schedule(later) <= schedule(earlier) * (1 + 1e-9)


def test_half_way_a_line_is_at_the_mean_and_an_exponential_at_the_geometric_mean():
    assert LinearSchedule(initial=1.0, final=0.0)(0.25) == 0.25
    assert ExponentialSchedule(initial=4.0, final=1.0)(0.5) == pytest.approx(2.0)


@pytest.mark.parametrize("family", SCHEDULES)
def test_a_schedule_survives_a_checkpoint_and_says_what_it_is(family):
    schedule = family(initial=3e-4, final=1e-5)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert repr(schedule) == f"{family.__name__}(initial=0.0003, final=1e-05)"
    assert FloatSchedule(schedule)(1.0) == pytest.approx(3e-4)


@pytest.mark.parametrize(
    ("family", "initial", "message"),
    [
        (LinearSchedule, -1.0, "initial must be a number of at least 0, got -1.0"),
        (LinearSchedule, float("nan"), "initial must be a number of at least 0"),
        (LinearSchedule, "3e-4", "initial must be a number of at least 0, got '3e-4'"),
        (ExponentialSchedule, 0.0, "initial must be a number above 0"),
    ],
)
def test_a_value_that_is_no_rate_is_refused(family, initial, message):
    with pytest.raises(InputError, match=message):
        family(initial=initial, final=0.1)
