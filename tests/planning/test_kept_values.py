"""Values on disk: found by the next process, never too many, never wrong."""

import os
from pathlib import Path

import numpy as np
import pytest

from abx_amr.planning import kept_values, views
from abx_amr.planning.cache import PlanCache
from abx_amr.planning.kept_values import KeptValues
from abx_amr.planning.policy import Optimal
from abx_amr.planning.sampled import Grid, solve
from abx_amr.planning.views import sampled_view, values_of, view
from abx_amr.rng import stream_states
from abx_amr.simulator.clinic import Clinic
from tests.clinics import DEFAULT_DRUGS, clinic_model, only, population

FOLDER = "plans"
PEOPLE = population(prob_infected=0.6, sigma=0.1)
MODEL = clinic_model(only("A", DEFAULT_DRUGS), people=PEOPLE, patients=2, steps=20)


@pytest.fixture(autouse=True)
def in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kept_values, "FOLDER", FOLDER)
    monkeypatch.setattr(views, "_VALUES", {})


def forbid(monkeypatch):
    def certify(clinic, **asked):
        raise AssertionError("computed again")

    monkeypatch.setattr(views, "_VALUES", {})
    monkeypatch.setattr(views, "certify", certify)


def first_actions():
    policy, clinic = Optimal(MODEL), Clinic(MODEL, stream_states(3, "episode", count=50))
    seen = MODEL.layout.decode(clinic.reset())
    return policy.prescribe(seen, None, np.ones(50, bool))[0]


def test_the_next_process_plays_what_this_one_computed(monkeypatch):
    expected = first_actions()
    forbid(monkeypatch)
    assert first_actions().tolist() == expected.tolist()


def test_what_a_plan_computed_is_what_is_played(monkeypatch):
    posed = view(MODEL)
    coarse = solve(Grid(posed.clinic, 12), cohorts=2, seed=0)
    KeptValues(Path(FOLDER)).write(posed.fingerprint, coarse)
    assert values_of(posed).grid.number == 12
    PlanCache(Path(FOLDER)).optimum(posed, tolerance=0.5)
    forbid(monkeypatch)
    assert values_of(posed).grid.number > 12


def small(steps):
    posed = sampled_view(clinic_model(only("A", DEFAULT_DRUGS), people=PEOPLE, steps=steps))
    return posed, solve(Grid(posed.clinic, 12), cohorts=2, seed=0)


def test_values_come_back_to_the_bit_and_only_to_their_clinic():
    (posed, values), (other, _) = small(5), small(6)
    kept = KeptValues(Path())
    kept.write(posed.fingerprint, values)
    found = kept.read(posed.fingerprint, posed.clinic)
    assert found.ahead.tobytes() == values.ahead.tobytes()
    assert found.start == values.start
    assert kept.read(other.fingerprint, other.clinic) is None
    assert kept.read(posed.fingerprint, other.clinic) is None


def test_what_cannot_be_read_is_as_good_as_not_there():
    posed, values = small(5)
    kept = KeptValues(Path())
    kept.write(posed.fingerprint, values)
    file = kept.file(posed.fingerprint)
    for content in (b"", b"PK nothing", file.read_bytes()[:-200]):
        file.write_bytes(content)
        assert kept.read(posed.fingerprint, posed.clinic) is None


def test_the_oldest_make_room_and_what_is_too_large_is_not_kept():
    posed, values = small(5)
    content = values.ahead.nbytes
    kept = KeptValues(Path(), limit_bytes=3 * content + 4000)
    for n in range(5):
        kept.write(f"clinic{n}", values)
        os.utime(kept.file(f"clinic{n}"), (n, n))
    left = {file.name.split(".")[0] for file in Path("values").iterdir()}
    assert "clinic4" in left
    assert "clinic0" not in left
    assert sum(file.stat().st_size for file in Path("values").iterdir()) <= kept.limit_bytes
    KeptValues(Path(), limit_bytes=content - 1).write("large", values)
    assert not kept.file("large").exists()
    assert posed.clinic is values.grid.clinic


def test_a_folder_that_cannot_be_written_keeps_nobody_from_playing(tmp_path):
    posed, values = small(5)
    (tmp_path / "file").write_text("")
    KeptValues(tmp_path / "file").write(posed.fingerprint, values)
    assert KeptValues(tmp_path / "file").read(posed.fingerprint, posed.clinic) is None
