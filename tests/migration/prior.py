"""Files of the prior tool, as its users have them."""

from pathlib import Path
from textwrap import dedent

ENVIRONMENT = """
num_patients_per_time_step: 4
max_time_steps: 60
include_steps_since_amr_update_in_obs: true
enable_temporal_features: false
temporal_windows: [5, 20]
update_visible_AMR_levels_every_n_timesteps: 7
add_noise_to_visible_AMR_levels: 0.1
add_bias_to_visible_AMR_levels: -0.05
antibiotics_AMR_dict:
  A: {leak: 0.15, flatness_parameter: 30.0, permanent_residual_volume: 0.02, initial_amr_level: 0.1}
  B: {leak: 0.25, flatness_parameter: 45.0, permanent_residual_volume: 0.0, initial_amr_level: 0.0}
crossresistance_matrix:
  A: {A: 1.0, B: 0.2}
  B: {A: 0.05, B: 1.0}
"""
SINGLE = """
num_patients_per_time_step: 1
max_time_steps: 50
enable_temporal_features: true
temporal_windows: [5, 20]
antibiotics_AMR_dict:
  PEN: {leak: 0.1, flatness_parameter: 20, permanent_residual_volume: 0.0, initial_amr_level: 0.0}
crossresistance_matrix: null
render_mode: human
"""
REWARD = """
abx_clinical_reward_penalties_info_dict:
  clinical_benefit_reward: 8.0
  clinical_benefit_probability: 0.9
  clinical_failure_penalty: -6.0
  clinical_failure_probability: 0.95
  abx_adverse_effects_info:
    A: {adverse_effect_penalty: -1.5, adverse_effect_probability: 0.05}
    B: {adverse_effect_penalty: -2.5, adverse_effect_probability: 0.2}
lambda_weight: 0.3
epsilon: 0.01
"""
PATIENTS = """
visible_patient_attributes: [prob_infected, benefit_value_multiplier]
prob_infected:
  prob_dist: {type: gaussian, mu: 0.6, sigma: 0.1}
  obs_bias_multiplier: 1.2
  obs_noise_one_std_dev: 0.2
  obs_noise_std_dev_fraction: 0.5
  clipping_bounds: [0.0, 1.0]
benefit_value_multiplier:
  prob_dist: {type: constant, value: 1.1}
  obs_bias_multiplier: 1.0
  obs_noise_one_std_dev: 0.2
  obs_noise_std_dev_fraction: 0.0
  clipping_bounds: [0.0, null]
failure_value_multiplier: {prob_dist: {type: constant, value: 1.0}}
benefit_probability_multiplier: {prob_dist: {type: constant, value: 1.0}}
failure_probability_multiplier: {prob_dist: {type: constant, value: 1.0}}
recovery_without_treatment_prob: {prob_dist: {type: constant, value: 0.02}}
"""
#: An older flat file: some of it can be told, some cannot.
FLAT = """
prob_infected_dist: {type: constant, value: 0.7}
prob_infected_obs_noise_std: 0.05
prob_infected_obs_bias_multiplier: 0.9
benefit_value_multiplier_dist: {type: gaussian, mu: 1.0, sigma: 0.2}
benefit_value_multiplier_obs_bias: 0.3
failure_value_multiplier_dist: {type: lognormal, mu: 0.0, sigma: 0.2}
recovery_without_treatment_prob_dist: {type: constant, value: 0.1}
obs_noise: {prob_infected: 0.0, failure_value_multiplier: 0.4}
"""
MIXER = """
type: mixer
patient_generator_config_folder_location: ../patient_generator
generators:
  - {config_file: default.yaml, proportion: 0.25}
  - {config_file: older/flat.yaml, proportion: 0.75}
"""
PPO = """
algorithm: PPO
policy_kwargs: {net_arch: [32, 16], activation_fn: relu}
ppo:
  learning_rate: 1e-4
  n_steps: 512
  batch_size: 32
  n_epochs: 4
  gamma: 0.98
  gae_lambda: 0.9
  clip_range: 0.15
  ent_coef: 0.02
  vf_coef: 0.4
  max_grad_norm: 0.7
  verbose: 1
"""
RECURRENT = """
algorithm: RecurrentPPO
policy_kwargs: {net_arch: [16]}
lstm_kwargs: {lstm_hidden_size: 24, n_lstm_layers: 1, enable_critic_lstm: true}
recurrent_ppo: {learning_rate: 2.0e-4, n_steps: 128, batch_size: 16, gamma: 0.97}
ppo: {learning_rate: 0.5}
"""
MANAGER = """
algorithm: HRL_PPO
policy_kwargs: {net_arch: [16, 16]}
ppo: {learning_rate: 3.0e-4, n_steps: 64, batch_size: 16, gamma: 0.995}
"""
LIBRARY = """
library_name: deterministic
options:
  - option_name: A_5
    option_type: block
    option_subconfig_file: ../option_types/block/A.yaml
    plugin: {loader_module: options.block, loader_function: load_block_option}
  - option_name: A_long
    option_type: block
    option_subconfig_file: ../option_types/block/A.yaml
    config_params_override: {duration: 12}
  - option_name: cycle
    option_type: alternation
    config_params_override: {sequence: [A, B, NO_TREATMENT]}
  - option_name: careful
    option_type: heuristic
    option_subconfig_file: ../option_types/heuristic/careful.yaml
  - option_name: C_5
    option_type: block
    config_params_override: {antibiotic: C, duration: 5}
  - option_name: mine
    option_type: custom
    plugin: {loader_module: my_options, loader_function: load}
"""
BLOCK = "option_name: block\nantibiotic: A\nduration: 5\n"
HEURISTIC = """
duration: 6
action_thresholds: {prescribe_A: 0.3, prescribe_B: 0.4, no_treatment: 0.0}
uncertainty_threshold: 1.0
"""
TRAINING = """
training:
  run_name: example_run
  total_num_training_episodes: 3
  save_freq_every_n_episodes: 2
  eval_freq_every_n_episodes: 2
  num_eval_episodes: 4
  seed: 7
  log_patient_trajectories: false
  early_stopping: {enabled: true, patience: 9, min_delta: 0.5, metric_name: eval/mean_reward}
"""
TUNING = """
tuning_config:
  optimization:
    n_trials: 2
    n_seeds_per_trial: 2
    truncated_episodes: 2
    direction: maximize
    sampler: TPE
    stability_penalty_weight: 0.4
    tpe_config: {n_startup_trials: 3, constant_liar: on}
    pruner: median
  search_space:
    learning_rate: {type: float, low: 1.0e-5, high: 1e-3, log: true}
    gamma: {type: float, low: 0.95, high: 0.999}
    epsilon_greedy: {type: float, low: 0.0, high: 1.0}
"""


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file below `folder` and return it."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return file


def lay_out(
    folder: Path,
    *,
    environment: str = ENVIRONMENT,
    reward: str = REWARD,
    patients: str = PATIENTS,
    agent: str = PPO,
    training: str = TRAINING,
    more: str = "",
) -> Path:
    """Write a project of the prior tool and return its umbrella file."""
    experiments = folder / "my_project" / "experiments"
    for name, text in (
        ("configs/environment/default.yaml", environment),
        ("configs/reward_calculator/default.yaml", reward),
        ("configs/patient_generator/default.yaml", patients),
        ("configs/patient_generator/older/flat.yaml", FLAT),
        ("configs/patient_generator/mixed.yaml", MIXER),
        ("configs/agent_algorithm/agent.yaml", agent),
        ("options/option_libraries/own.yaml", LIBRARY),
        ("options/option_types/block/A.yaml", BLOCK),
        ("options/option_types/heuristic/careful.yaml", HEURISTIC),
        ("tuning_configs/ppo_tuning_default.yaml", TUNING),
    ):
        write(experiments, name, text)
    umbrella = (
        "config_folder_location: ../\n"
        "options_folder_location: ../../options\n"
        "environment: environment/default.yaml\n"
        "reward_calculator: reward_calculator/default.yaml\n"
        "agent_algorithm: agent_algorithm/agent.yaml\n"
    )
    if "patient_generator:" not in more:
        umbrella += "patient_generator: patient_generator/default.yaml\n"
    umbrella_file = "configs/umbrella_configs/base_experiment.yaml"
    return write(experiments, umbrella_file, f"{umbrella}{more}{training}")


def tuning_of(umbrella: Path) -> Path:
    """Return the tuning file beside an umbrella."""
    return umbrella.parents[2] / "tuning_configs" / "ppo_tuning_default.yaml"
