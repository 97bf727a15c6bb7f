"""What no machine has memory for is refused before it is asked for."""

import pytest

from abx_amr.errors import InputError
from abx_amr.simulator import memory
from tests.clinics import DEFAULT_DRUGS, clinic_model, only


def test_patients_beyond_the_memory_are_refused_with_the_estimate() -> None:
    with pytest.raises(InputError, match=r"num_patients_per_time_step=1000000000000 would take"):
        clinic_model(only("A", DEFAULT_DRUGS), patients=10**12)


def test_clinics_side_by_side_count(monkeypatch: pytest.MonkeyPatch) -> None:
    model = clinic_model(only("A", DEFAULT_DRUGS), patients=4)
    monkeypatch.setattr(memory, "total_bytes", lambda: 10**6)
    model.check_memory(clinics=8, steps=100, what="training")
    with pytest.raises(InputError, match=r"10000 episodes .* over 100 steps .* gives 0\.0 GiB"):
        model.check_memory(clinics=10_000, steps=100, what="10000 episodes")
