"""A clinic's first steps, made before anything is written: what a user's own class does wrong.

Shapes: E clinics, P patients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from abx_amr.errors import InputError
from abx_amr.host.locations import is_own_class, place_in_project, where_defined, where_raised
from abx_amr.rng import stream_states
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.draws import Draws
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.patients import ATTRIBUTES

_CLINICS = 2


def validate_components(model: ClinicModel) -> None:
    """Draw patients and play the first steps of a clinic, where classes of the user are in it.

    Raises:
        InputError: a class fails or returns what the clinic cannot take; with its file and line.
    """
    members = getattr(model.population, "members", ())
    parts = (model.population, *members, model.reward, model.dynamics)
    if not any(is_own_class(type(part)) for part in parts):
        return
    try:
        _draw_patients(model)
        _play(model)
    except _WrongValue:
        raise
    except Exception as error:
        place = where_raised(error)
        if place_in_project(error) or (isinstance(error, InputError) and not place):
            raise  # the command says where, and what tries every class of a project
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        raise InputError(
            f"{place}{type(error).__name__}: {reason} (in the first steps of the clinic)"
        ) from error


class _WrongValue(InputError):
    """A class returns what the clinic cannot take."""


def _draw_patients(model: ClinicModel) -> None:
    num_patients = model.num_patients_per_time_step
    states = stream_states(0, "validation", "patients", count=_CLINICS)
    drawn = model.population.sample(Draws(states), num_patients)
    place = f"patient_generator: {where_defined(type(model.population).sample)}sample"
    shape = (_CLINICS, num_patients, len(ATTRIBUTES))
    for name, expected in (("attributes", shape), ("observed", shape), ("group", shape[:2])):
        values = np.asarray(getattr(drawn, name, None))
        if values.shape != expected:
            what = "(clinics, patients)" if name == "group" else "(clinics, patients, attributes)"
            raise _WrongValue(
                f"{place} must return {name} of shape {expected} {what}, got shape {values.shape}"
            )
        _check_numbers(values, f"{place} must return {name} that are finite numbers")


def _play(model: ClinicModel) -> None:
    clinic = Clinic(model, stream_states(0, "validation", "clinic", count=_CLINICS))
    clinic.reset()
    place = f"reward_calculator: {where_defined(type(model.reward).score)}score"
    if not is_own_class(type(model.reward)) and is_own_class(type(model.dynamics)):
        place = f"amr_dynamics: {where_defined(type(model.dynamics).level)}level"
    for treatment in range(min(model.num_treatments, model.max_time_steps)):
        shape = (_CLINICS, model.num_patients_per_time_step)
        _, rewards, _ = clinic.step(np.full(shape, treatment, dtype=np.int64))
        if np.shape(rewards) != (_CLINICS,):
            raise _WrongValue(
                f"{place} must give a reward for each clinic, shape ({_CLINICS},), got shape "
                f"{np.shape(rewards)}"
            )
        _check_numbers(rewards, f"{place} must give rewards that are finite numbers")


def _check_numbers(values: Any, claim: str) -> None:
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "iufb":
        raise _WrongValue(f"{claim}, got {numbers.dtype}")
    wrong = numbers[~np.isfinite(numbers)]
    if wrong.size:
        raise _WrongValue(f"{claim}, got {wrong.flat[0]}")
