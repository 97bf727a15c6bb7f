"""The reference files' neutral configurations as our objects."""

import json
from pathlib import Path

from abx_amr.simulator import (
    ATTRIBUTES,
    ClinicalReward,
    ClinicModel,
    LeakyBalloon,
    ObservationSettings,
    PatientMixture,
    PatientPopulation,
    VisibleAmr,
)

REFERENCE = Path(__file__).parent / "reference"


def reference(name):
    return json.loads((REFERENCE / name).read_text())


def balloon(drugs):
    def column(key):
        return {drug["name"]: drug[key] for drug in drugs}

    return LeakyBalloon(
        antibiotics=[drug["name"] for drug in drugs],
        leak=column("leak"),
        flatness_parameter=column("flatness"),
        permanent_residual_volume=column("residual_level"),
        initial_amr_level=column("initial_level"),
    )


def reward(drugs, settings):
    return ClinicalReward(
        antibiotics=[drug["name"] for drug in drugs],
        adverse_effect_penalty={drug["name"]: drug["adverse_effect_penalty"] for drug in drugs},
        adverse_effect_probability={
            drug["name"]: drug["adverse_effect_probability"] for drug in drugs
        },
        lambda_weight=settings["lambda"],
        **{key: value for key, value in settings.items() if key != "lambda"},
    )


def attribute(law):
    if law["distribution"] == "constant":
        distribution = {"type": "constant", "value": law["value"]}
    else:
        distribution = {"type": "gaussian", "mu": law["mu"], "sigma": law["sigma"]}
    return {
        "distribution": distribution,
        "observation": {
            "bias_multiplier": law["obs_bias_multiplier"],
            "noise_std": law["obs_noise_std"],
            "clip": law["obs_clip"],
        },
    }


def population(entries):
    members = [
        (
            entry["proportion"],
            PatientPopulation(
                visible_patient_attributes=entry["visible_attributes"],
                **{name: attribute(entry["attributes"][name]) for name in ATTRIBUTES},
            ),
        )
        for entry in entries
    ]
    if len(members) == 1:
        return members[0][1]
    return PatientMixture(populations={f"group_{g}": member for g, member in enumerate(members)})


def clinic_model(case, *, max_time_steps=None):
    temporal, visible = case["temporal_features"], case["visible_resistance"]
    return ClinicModel(
        antibiotics=tuple(drug["name"] for drug in case["antibiotics"]),
        dynamics=balloon(case["antibiotics"]),
        cross_resistance=case["cross_resistance"],
        population=population(case["patient_populations"]),
        reward=reward(case["antibiotics"], case["reward"]),
        visible_amr=VisibleAmr(
            update_every_n_time_steps=visible["update_every_n_steps"],
            noise_std=visible["noise_std"],
            bias=visible["bias"],
        ),
        observation=ObservationSettings(
            include_steps_since_amr_update=case["include_steps_since_update_in_observation"],
            include_previous_action=False,
            temporal_windows=tuple(temporal["windows"]) if temporal["enabled"] else (),
        ),
        num_patients_per_time_step=case["patients_per_step"],
        max_time_steps=max_time_steps or case["horizon"],
    )


CASES = {case["id"]: case for case in reference("env_cases.json")}
