"""The optimum of every shipped clinic and of ten random ones: bounds, width, seconds, memory.

python -m benchmarks optimum [--kept FILE] [--episodes 64]

Each clinic in a process of its own, so that seconds and memory are its own. What is done is kept in
FILE and not done again, so that an interrupted run goes on. The policy is then played in the
simulator itself: its mean return must lie between the bounds, but for its luck.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

EXPERIMENTS = (
    *("paper_single", "paper_two", "paper_two_cross_resistant", "paper_degraded"),
    *("paper_risk_accurate", "paper_risk_compressed", "paper_risk_exaggerated", "paper_crowded"),
    "base",
)
OTHERS = (
    *(f"patient_generator={name}" for name in ("high_risk", "low_risk", "mixed_risk")),
    *("patient_generator=heterogeneous", "antibiotics=single", "antibiotics=two"),
)
RANDOM = 10


def names() -> list[str]:
    """Return the clinics: overrides, or random:N."""
    shipped = [f"experiment={name}" for name in EXPERIMENTS]
    return [*shipped, *OTHERS, *(f"random:{n}" for n in range(RANDOM))]


def random_clinic(number: int) -> Any:
    """Return a clinic that nothing was tuned on, and what it is like."""
    from abx_amr.rng import stream
    from abx_amr.simulator.dynamics import LeakyBalloon
    from abx_amr.simulator.model import ClinicModel
    from abx_amr.simulator.observation import ObservationSettings, VisibleAmr
    from abx_amr.simulator.patients import ATTRIBUTES, PatientMixture, PatientPopulation
    from abx_amr.simulator.rewards import ClinicalReward

    rng = stream(number, "benchmark", "random clinic")

    def between(low: float, high: float, digits: int = 2) -> float:
        return round(float(rng.uniform(low, high)), digits)

    k = (1, 2, 3, 2, 3, 2, 1, 3, 2, 2)[number]
    drugs = tuple("ABC"[:k])
    patients = int(rng.integers(1, 5 if k == 3 else 11))
    groups = int(rng.integers(1, 4))

    def group(mean: float) -> PatientPopulation:
        laws: dict[str, Any] = {}
        shown = [name for name in ATTRIBUTES if name == "prob_infected" or rng.random() < 0.3]
        for name in ATTRIBUTES:
            is_chance = name.startswith(("prob", "recovery"))
            mu = mean if name == "prob_infected" else 0.1 if is_chance else between(0.7, 1.4)
            sigma = between(0.05, 0.25) if rng.random() < 0.5 else 0.0
            noise = between(0.02, 0.2) if rng.random() < 0.4 else 0.0
            law: dict[str, Any] = {"type": "constant", "value": mu}
            if sigma:
                law = {"type": "gaussian", "mu": mu, "sigma": sigma}
            seen = {"bias_multiplier": between(0.8, 1.2), "noise_std": noise}
            seen["clip"] = [0.0, 1.0 if is_chance else None]
            laws[name] = {"distribution": law, "observation": seen}
        return PatientPopulation(visible_patient_attributes=shown, **laws)

    members = {f"group {g}": (1 / groups, group(between(0.2, 0.9))) for g in range(groups)}
    is_late = rng.random() < 0.5
    model = ClinicModel(
        antibiotics=drugs,
        dynamics=LeakyBalloon(
            antibiotics=drugs,
            leak={d: between(0.1, 0.5) for d in drugs},
            flatness_parameter={d: between(10, 60, 0) for d in drugs},
            permanent_residual_volume={d: between(0, 0.1) for d in drugs},
            initial_amr_level={d: between(0.1, 0.2) for d in drugs},
        ),
        cross_resistance={drugs[0]: {drugs[1]: between(0.05, 0.4)}} if k > 1 else {},
        population=PatientMixture(populations=members),
        reward=ClinicalReward(
            antibiotics=drugs,
            clinical_benefit_reward=10.0,
            clinical_benefit_probability=between(0.6, 1.0),
            clinical_failure_penalty=-between(5, 15),
            clinical_failure_probability=between(0.6, 1.0),
            adverse_effect_penalty={d: -between(0.5, 4) for d in drugs},
            adverse_effect_probability={d: between(0.05, 0.3) for d in drugs},
            lambda_weight=between(0.1, 0.6) if rng.random() < 0.4 else 0.0,
            epsilon=0.05 if rng.random() < 0.3 else 0.0,
        ),
        visible_amr=VisibleAmr(
            update_every_n_time_steps=int(rng.integers(2, 60)) if is_late else 1,
            noise_std=between(0.02, 0.2) if is_late else 0.0,
            bias=0.0,
        ),
        observation=ObservationSettings(
            include_steps_since_amr_update=False,
            include_previous_action=False,
            temporal_windows=(),
        ),
        num_patients_per_time_step=patients,
        max_time_steps=300,
    )
    likeness = f"{k} antibiotics, {patients} patients, {groups} groups"
    likeness += ", late noisy reports" if is_late else ""
    likeness += f", lambda {model.reward.lambda_weight:g}, epsilon {model.reward.epsilon:g}"
    return model, likeness


def measured(name: str, episodes: int) -> dict[str, Any]:
    """Return the row of one clinic; run in a process of its own."""
    import abx_amr
    from abx_amr.evaluation.episodes import evaluate
    from abx_amr.planning.optimum import optimum
    from abx_amr.planning.play import never
    from abx_amr.planning.policy import Optimal
    from abx_amr.planning.views import view

    if name.startswith("random:"):
        model, likeness = random_clinic(int(name.removeprefix("random:")))
    else:
        model, likeness = abx_amr.make_model(name), ""
    posed = view(model)
    began, spent = time.perf_counter(), time.process_time()
    found = optimum(posed)
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    floor = never(posed.problem)
    played, error = found.lower, 0.0  # an exact optimum's episode has been replayed
    if not found.is_exact:
        returns = evaluate(
            Optimal(model), model, episodes=episodes, seed=3, max_batch=episodes
        ).returns
        played, error = float(returns.mean()), float(returns.std(ddof=1) / np.sqrt(episodes))
    return {
        "name": name,
        "likeness": likeness,
        "lower": found.lower,
        "upper": found.upper,
        "is_exact": found.is_exact,
        "never": floor,
        "width": (found.upper - found.lower) / max(1e-9, found.upper - floor),
        "wall_seconds": seconds,
        "cpu_seconds": spent,
        "memory_mib": memory,
        "played": played,
        "played_error": error,
        "shortfall": found.shortfall,
    }


def main(arguments: list[str]) -> str:
    """Return the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks optimum")
    default = Path(tempfile.gettempdir()) / "abx_amr_optimum_benchmark.json"
    parser.add_argument("--kept", type=Path, default=default)
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--one", default="")
    asked = parser.parse_args(arguments)
    rows = json.loads(asked.kept.read_text()) if asked.kept.exists() else {}
    for name in names():
        if name in rows:
            continue
        command = [sys.executable, "-m", "benchmarks.optimum", "--one", name]
        command += ["--episodes", str(asked.episodes)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            rows[name] = {"name": name, "error": done.stderr.strip().splitlines()[-1]}
        else:
            rows[name] = json.loads(done.stdout.strip().splitlines()[-1])
        asked.kept.write_text(json.dumps(rows, indent=1))
        print(rows[name], flush=True)
    return table([rows[name] for name in names()])


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as Markdown."""
    lines = [
        "Seconds are of a processor (both cores together) and do not include imports; memory is the"
        " peak of the process. Bounds hold together with 95 %; `played` is the policy in the"
        " simulator itself, with its standard error. Width: of the range from never treating.",
        "",
        "| clinic | never | optimum | width | played | s | MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['name']} | {row['error']} |")
            continue
        bounds = f"{row['lower']:.2f} to {row['upper']:.2f}"
        if row["is_exact"]:
            bounds = f"{row['upper']:.3f} exact"
        said = f"`{row['name']}`" + (f": {row['likeness']}" if row["likeness"] else "")
        lines.append(
            f"| {said} | {row['never']:.1f} | {bounds} | {row['width']:.2%} |"
            f" {row['played']:.2f} +- {row['played_error']:.2f} | {row['cpu_seconds']:.1f} |"
            f" {row['memory_mib']:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    only = sys.argv[sys.argv.index("--one") + 1]
    shown = int(sys.argv[sys.argv.index("--episodes") + 1])
    print(json.dumps(measured(only, shown)))
