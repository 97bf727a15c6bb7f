"""Environment steps per second: the simulator's own batched step, and SB3's VecEnv over it."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.envs.vec_env import ClinicVecEnv
from abx_amr.rng import stream_states
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.model import ClinicModel

ENVS, PATIENTS, RUNS, SECONDS = (1, 8, 64, 512), (1, 5, 10, 100), 5, 0.1

EXTRA = {
    "`paper_crowded`, windows [10, 50]": [
        "experiment=paper_crowded",
        "environment.temporal_windows=[10,50]",
    ],
    "`patient_generator=mixed_risk`": ["patient_generator=mixed_risk"],
}


def rate(step: Callable[[], object], n_envs: int) -> float:
    """Return the median environment steps per second of processor time, over several runs."""
    found = []
    for _ in range(20):
        step()
    for _ in range(RUNS):
        calls, began = 0, time.process_time()
        while (spent := time.process_time() - began) < SECONDS:
            for _ in range(20):
                step()
            calls += 20
        found.append(calls * n_envs / spent)
    return median(found)


def clinic_step(model: ClinicModel, n_envs: int) -> Callable[[], object]:
    """Return a function that steps the batch once, beginning anew at the time limit."""
    clinic = Clinic(model, stream_states(0, "benchmark", count=n_envs))
    clinic.reset()
    actions = _actions(model, n_envs)
    turn = iter(range(10**9))

    def step() -> None:
        if clinic.step(actions[next(turn) % len(actions)])[2]:
            clinic.reset()

    return step


def vec_env_step(model: ClinicModel, n_envs: int) -> Callable[[], object]:
    """Return a function that steps the VecEnv once."""
    env = ClinicVecEnv(model, n_envs, seed=0)
    env.reset()
    actions = _actions(model, n_envs)
    turn = iter(range(10**9))
    return lambda: env.step(actions[next(turn) % len(actions)])


def _actions(model: ClinicModel, n_envs: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (n_envs, model.num_patients_per_time_step)
    return [rng.integers(0, model.num_treatments, shape) for _ in range(16)]


def main(arguments: list[str]) -> str:
    """Return the table, in thousands of environment steps per second, random actions."""
    rows = [
        "Thousands of environment steps per second of processor time (one thread, so that other "
        "programs on the machine count less), random actions, medians of 5 runs: "
        "`Clinic.step` / `ClinicVecEnv.step`.",
        "",
        "| clinic | " + " | ".join(f"E = {e}" for e in ENVS) + " |",
        "|---|" + "---|" * len(ENVS),
    ]
    clinics = {
        f"default, P = {p}": [f"environment.num_patients_per_time_step={p}"] for p in PATIENTS
    } | EXTRA
    costs: dict[tuple[str, int], list[float]] = {}
    for name, overrides in clinics.items():
        model = build_clinic(compose("train", overrides).plain)
        cells = []
        for e in ENVS:
            rates = rate(clinic_step(model, e), e), rate(vec_env_step(model, e), e)
            costs[name, e] = [1e9 / r / model.num_patients_per_time_step for r in rates]
            cells.append(" / ".join(f"{r / 1e3:,.0f}" for r in rates))
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    return "\n".join([*rows, "", _per_patient(costs)])


def _per_patient(costs: dict[tuple[str, int], list[float]]) -> str:
    """Return what a patient costs in a large clinic and in one of ten, in nanoseconds."""
    n_envs = 8
    ten, hundred = (costs[f"default, P = {p}", n_envs] for p in (10, 100))
    shares = " / ".join(f"{h / t:.2f}" for h, t in zip(hundred, ten, strict=True))
    return (
        f"A patient's step at E = {n_envs}: {_nanoseconds(ten)} ns at P = 10, "
        f"{_nanoseconds(hundred)} ns at P = 100, {shares} times as much."
    )


def _nanoseconds(costs: list[float]) -> str:
    return " / ".join(f"{cost:.0f}" for cost in costs)
