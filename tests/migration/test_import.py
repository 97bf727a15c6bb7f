"""Files of the prior tool become groups that compose, train and tune; what is lost is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from abx_amr.cli import init, train, tune
from abx_amr.cli.arguments import translate
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.groups import conf_dir
from abx_amr.errors import InputError
from abx_amr.host.locations import Project, find_project, working_in
from abx_amr.migration.prior_files import kind_of, read_tuning, read_umbrella
from abx_amr.migration.prior_sections import Notes
from abx_amr.migration.prior_studies import translate_tuning
from abx_amr.migration.prior_umbrella import translate_umbrella
from abx_amr.runs.folder import run_folders
from tests.cli.conftest import Call
from tests.migration import prior

SMALL = (
    "environment.max_time_steps=8",
    "training.n_envs=2",
    "training.num_eval_episodes=2",
    "training.total_num_training_episodes=2",
    "agent_algorithm.n_steps=16",
    "agent_algorithm.n_epochs=1",
    "training.seed_batched=false",
    "figures=false",
    "report=false",
)
OF_A_MANAGER = """
hrl: {option_library: option_libraries/own.yaml, option_gamma: 0.99, magic: 3}
"""


def translated(umbrella: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any], Notes]:
    notes = Notes()
    groups = translate_umbrella(read_umbrella(umbrella), notes)
    return dict(groups.members), groups.values, notes


def test_every_row_of_the_clinic_is_carried_over(tmp_path: Path) -> None:
    members, values, notes = translated(prior.lay_out(tmp_path))
    assert members["antibiotics"] == {
        "drugs": {
            "A": {
                "leak": 0.15,
                "flatness_parameter": 30.0,
                "permanent_residual_volume": 0.02,
                "initial_amr_level": 0.1,
                "adverse_effect_penalty": -1.5,
                "adverse_effect_probability": 0.05,
            },
            "B": {
                "leak": 0.25,
                "flatness_parameter": 45.0,
                "permanent_residual_volume": 0.0,
                "initial_amr_level": 0.0,
                "adverse_effect_penalty": -2.5,
                "adverse_effect_probability": 0.2,
            },
        },
        "cross_resistance": {"A": {"B": 0.2}, "B": {"A": 0.05}},
    }
    assert members["environment"] == {
        "num_patients_per_time_step": 4,
        "max_time_steps": 60,
        "visible_amr": {"update_every_n_time_steps": 7, "noise_std": 0.1, "bias": -0.05},
        "include_steps_since_amr_update": True,
        "include_previous_action": False,
        "temporal_windows": [],
        "include_time_remaining": False,
    }
    reward = members["reward_calculator"]
    assert [reward[key] for key in sorted(reward) if key != "_target_"] == [
        *(0.9, 8.0, -6.0, 0.95),
        *(0.01, 0.3),
    ]
    infected = members["patient_generator"]["prob_infected"]
    assert infected["distribution"] == {"type": "gaussian", "mu": 0.6, "sigma": 0.1}
    assert infected["observation"] == {"bias_multiplier": 1.2, "noise_std": 0.1, "clip": [0.0, 1.0]}
    assert values == {"trajectories": False}
    assert members["training"] == {
        "defaults": ["default"],
        "total_num_training_episodes": 3,
        "save_freq_every_n_episodes": 2,
        "eval_freq_every_n_episodes": 2,
        "num_eval_episodes": 4,
        "seed": 7,
        "early_stopping": {"enabled": True, "patience": 9, "min_delta": 0.5},
    }
    assert notes.filled == []


@pytest.mark.parametrize("written", ["{pi: [32], vf: [48]}", "[{pi: [32], vf: [48]}]"])
def test_two_networks_are_imported_as_two_keys(tmp_path: Path, written: str) -> None:
    umbrella = prior.lay_out(tmp_path)
    (file,) = (f for f in tmp_path.rglob("*.yaml") if "net_arch: [32, 16]" in f.read_text())
    file.write_text(file.read_text().replace("[32, 16]", written), encoding="utf-8")
    members, _, _ = translated(umbrella)
    networks = members["agent_algorithm"]["policy_kwargs"]
    assert (networks["net_arch"], networks["value_net_arch"]) == ([32], [48])


def test_a_run_name_names_no_study_of_the_experiment_and_is_said(tmp_path: Path) -> None:
    umbrella = prior.lay_out(tmp_path)
    _, values, notes = translated(umbrella)
    assert "run_name" not in values
    (line,) = [line for line in notes.changed if "training.run_name" in line]
    assert line.endswith("write run_name=example_run on the command line")
    text = umbrella.read_text(encoding="utf-8")
    umbrella.write_text(text.replace("example_run", "my run/1"), encoding="utf-8")
    _, values, notes = translated(umbrella)
    assert "run_name" not in values
    (line,) = [line for line in notes.changed if "training.run_name" in line]
    assert line.startswith("training.run_name = my run/1: ")
    assert "no name here: " in line


def test_the_agent_s_own_section_is_read_and_numbers_are_numbers(tmp_path: Path) -> None:
    members, _, notes = translated(prior.lay_out(tmp_path))
    agent = members["agent_algorithm"]
    assert agent["defaults"] == ["ppo_tutorial"]
    assert agent["learning_rate"] == pytest.approx(1e-4)
    assert agent["n_steps"] == 512
    assert agent["policy_kwargs"] == {"net_arch": [32, 16], "activation_fn": "torch.nn.ReLU"}
    assert notes.lost == [
        "ppo.verbose = 1: ppo_tutorial has no such hyper-parameter that can be set"
    ]
    assert any(
        line.startswith("n_steps: counted the steps of one clinic") for line in notes.changed
    )


def test_a_recurrent_agent_takes_its_memory_and_leaves_another_s_section(tmp_path: Path) -> None:
    members, _, notes = translated(prior.lay_out(tmp_path, agent=prior.RECURRENT))
    assert members["agent_algorithm"] == {
        "defaults": ["recurrent_ppo"],
        "learning_rate": 2e-4,
        "n_steps": 128,
        "batch_size": 16,
        "gamma": 0.97,
        "policy_kwargs": {
            "net_arch": [16],
            "lstm_hidden_size": 24,
            "n_lstm_layers": 1,
            "enable_critic_lstm": True,
        },
    }
    assert notes.lost == ["ppo = {'learning_rate': 0.5}: RecurrentPPO does not read it"]


def test_an_algorithm_that_is_not_here_is_named_and_replaced(tmp_path: Path) -> None:
    members, _, notes = translated(prior.lay_out(tmp_path, agent="algorithm: MBPO\nmbpo: {a: 1}\n"))
    assert members["agent_algorithm"] == {"defaults": ["ppo_tutorial"]}
    assert notes.lost[0].startswith("algorithm = MBPO: there is none here")


def test_bounds_of_null_are_no_bounds_on_either_side(tmp_path: Path) -> None:
    free = prior.PATIENTS.replace("clipping_bounds: [0.0, null]", "clipping_bounds: null")
    members, _, notes = translated(prior.lay_out(tmp_path, patients=free))
    seen = members["patient_generator"]["benefit_value_multiplier"]["observation"]
    assert seen["clip"] == [None, None]
    assert not any("clip" in line for line in notes.lost)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("obs_noise_one_std_dev: 0.2", "obs_noise_one_std_dev: [1]", "obs_noise_one_std_dev"),
        ("clipping_bounds: [0.0, 1.0]", "clipping_bounds: ab", "prob_infected.clipping_bounds"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_key_and_the_file_that_holds_it(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    umbrella = prior.lay_out(tmp_path, patients=prior.PATIENTS.replace(old, new, 1))
    with pytest.raises(InputError, match="holds a value of the wrong kind") as raised:
        translated(umbrella)
    assert message in str(raised.value)
    assert str(umbrella.parents[1] / "patient_generator/default.yaml") in str(raised.value)


@pytest.mark.parametrize("search_space", ["3", "{gamma: 3}"])
def test_a_section_of_a_tuning_file_of_the_wrong_kind_is_refused_with_that_file(
    call: Call, tmp_path: Path, search_space: str
) -> None:
    umbrella = prior.lay_out(tmp_path)
    text = f"optimization: {{n_trials: 2}}\nsearch_space: {search_space}\n"
    prior.write(tmp_path, "t.yaml", text)
    ended = call(init.main, "new", "--from-umbrella", str(umbrella), "--tuning", "t.yaml")
    assert ended.status == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("abx-init: error: --tuning: search_space")
    assert line.endswith(f"must be a section with entries, got 3 (in '{tmp_path / 't.yaml'}')")
    assert not (tmp_path / "new").exists()


def test_an_older_flat_population_is_read_where_it_can_be_told(tmp_path: Path) -> None:
    members, _, notes = translated(prior.lay_out(tmp_path, patients=prior.FLAT))
    people = members["patient_generator"]
    assert people["prob_infected"] == {
        "distribution": {"type": "constant", "value": 0.7},
        "observation": {"bias_multiplier": 0.9, "noise_std": 0.05, "clip": [0.0, 1.0]},
    }
    assert people["benefit_value_multiplier"]["distribution"]["sigma"] == 0.2
    assert people["benefit_value_multiplier"]["observation"]["bias_multiplier"] == 1.0
    lost = "\n".join(notes.lost)
    assert "benefit_value_multiplier.obs_bias = 0.3: its unit cannot be told" in lost
    assert "failure_value_multiplier.prob_dist = {'type': 'lognormal'" in lost
    assert "failure_value_multiplier.obs_noise = 0.4" in lost
    assert "prob_infected.obs_noise" not in lost  # none of it, whatever its unit


def test_a_mixer_becomes_a_mixture_with_its_proportions(tmp_path: Path) -> None:
    mixed = "patient_generator: patient_generator/mixed.yaml\n"
    members, _, _ = translated(prior.lay_out(tmp_path, more=mixed))
    people = members["patient_generator"]["populations"]
    assert {name: member["proportion"] for name, member in people.items()} == {
        "default": 0.25,
        "flat": 0.75,
    }


@pytest.mark.parametrize("windows", ["", "temporal_windows: null\n", "temporal_windows: []\n"])
def test_temporal_features_without_windows_are_said_to_be_none(
    tmp_path: Path, windows: str
) -> None:
    text = prior.SINGLE.replace("temporal_windows: [5, 20]\n", windows)
    members, _, notes = translated(prior.lay_out(tmp_path, environment=text))
    assert members["environment"]["temporal_windows"] == []
    (line,) = [line for line in notes.lost if "enable_temporal_features" in line]
    assert "no temporal_windows are given" in line


def test_what_a_mixer_shows_itself_is_said_where_its_populations_show_something_else(
    tmp_path: Path,
) -> None:
    mixed = "patient_generator: patient_generator/mixed.yaml\n"
    for shown, is_said in (
        ("[prob_infected]", True),
        ("[benefit_value_multiplier, prob_infected]", False),
    ):
        umbrella = prior.lay_out(tmp_path, more=mixed)
        own = f"visible_patient_attributes: {shown}\n"
        prior.write(umbrella.parents[1], "patient_generator/mixed.yaml", prior.MIXER + own)
        _, _, notes = translated(umbrella)
        lines = [line for line in notes.lost if "visible_patient_attributes" in line]
        assert bool(lines) is is_said, lines
        if is_said:
            assert lines[0].endswith("shows: benefit_value_multiplier, prob_infected")


def test_what_agent_and_training_leave_out_is_said_to_be_filled_in(tmp_path: Path) -> None:
    agent = "algorithm: RecurrentPPO\nrecurrent_ppo: {gamma: 0.9, learning_rate: linear}\n"
    training = "training: {num_eval_episodes: 4}\n"
    members, _, notes = translated(prior.lay_out(tmp_path, agent=agent, training=training))
    assert members["agent_algorithm"] == {"defaults": ["recurrent_ppo"], "gamma": 0.9}
    filled = {line.partition(":")[0]: line for line in notes.filled}
    for key in (
        *("recurrent_ppo.n_steps", "policy_kwargs.net_arch", "lstm_kwargs.lstm_hidden_size"),
        *("training.total_num_training_episodes", "training.save_freq_every_n_episodes"),
        "training.seed",
    ):
        assert key in filled
    assert filled["policy_kwargs.net_arch"].endswith("not given, [128, 128] is used")
    assert filled["training.total_num_training_episodes"].endswith("not given, 25 is used")
    assert not {"recurrent_ppo.gamma", "recurrent_ppo.learning_rate"} & set(filled)
    assert not {"training.num_eval_episodes", "recurrent_ppo.clip_range_vf"} & set(filled)
    assert any("learning_rate = linear" in line and "0.0003 is used" in line for line in notes.lost)


def test_a_mixer_in_a_mixer_multiplies_proportions_and_one_in_itself_is_refused(
    tmp_path: Path,
) -> None:
    umbrella = prior.lay_out(tmp_path, more="patient_generator: patient_generator/outer.yaml\n")
    folder = umbrella.parents[1]
    outer = (
        "type: mixer\ngenerators:\n"
        "  - {config_file: mixed.yaml, proportion: 0.4}\n"
        "  - {config_file: default.yaml, proportion: 0.6}\n"
    )
    prior.write(folder, "patient_generator/outer.yaml", outer)
    people = translated(umbrella)[0]["patient_generator"]["populations"]
    assert {n: pytest.approx(m["proportion"]) for n, m in people.items()} == {
        "default": 0.1,
        "flat": 0.3,
        "default_2": 0.6,
    }
    prior.write(folder, "patient_generator/outer.yaml", outer.replace("mixed", "outer"))
    with pytest.raises(InputError, match="contains itself"):
        translated(umbrella)


def test_a_library_takes_overrides_over_subconfigs_and_names_what_has_no_counterpart(
    tmp_path: Path,
) -> None:
    umbrella = prior.lay_out(tmp_path, agent=prior.MANAGER, more=OF_A_MANAGER)
    members, _, notes = translated(umbrella)
    assert members["option_library"]["options"] == {
        "A_5": {"type": "block", "antibiotic": "A", "duration": 5},
        "A_long": {"type": "block", "antibiotic": "A", "duration": 12},
        "cycle": {"type": "alternation", "sequence": ["A", "B", "no_treatment"]},
        "careful": {
            "type": "heuristic",
            "duration": 6,
            "action_thresholds": {"prescribe_A": 0.3, "prescribe_B": 0.4},
            "uncertainty_threshold": 1.0,
        },
    }
    assert members["hrl"]["option_gamma"] == 0.99
    lost = "\n".join(notes.lost)
    for message in (
        "option C_5 = block: 'C' is no antibiotic",
        "option mine = custom",
        "hrl.magic",
    ):
        assert message in lost


FROM_THE_ROOT = "experiments/options/option_libraries/own.yaml"


@pytest.mark.parametrize("is_below", [True, False], ids=["above the umbrella", "working folder"])
def test_a_library_is_found_from_the_root_of_the_old_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_below: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    more = f"hrl: {{option_library: {FROM_THE_ROOT}}}\n"
    umbrella = prior.lay_out(tmp_path, agent=prior.MANAGER, more=more)
    text = umbrella.read_text(encoding="utf-8").replace("options_folder_location", "# ")
    umbrella.write_text(text, encoding="utf-8")
    if not is_below:
        (tmp_path / "elsewhere/experiments").mkdir(parents=True)
        options = tmp_path / "my_project/experiments/options"
        options.rename(tmp_path / "elsewhere/experiments/options")
        monkeypatch.chdir(tmp_path / "elsewhere")
    members, _, _ = translated(umbrella)
    assert set(members["option_library"]["options"]) == {"A_5", "A_long", "cycle", "careful"}


def test_a_library_that_is_nowhere_is_refused_with_every_place_that_was_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    more = "hrl: {option_library: libraries/x.yaml}\n"
    umbrella = prior.lay_out(tmp_path, agent=prior.MANAGER, more=more)
    with pytest.raises(InputError, match=r"hrl\.option_library") as raised:
        translated(umbrella)
    for folder in (tmp_path / "here", *umbrella.parents):
        assert f"'{folder / 'libraries/x.yaml'}'" in str(raised.value)


def test_what_describes_an_option_and_loads_it_is_not_said_to_be_lost(tmp_path: Path) -> None:
    umbrella = prior.lay_out(tmp_path, agent=prior.MANAGER, more=OF_A_MANAGER)
    options = umbrella.parents[2] / "options"
    message = "description: a block\nversion: 1.0\nloader_module: options.block\nunknown: 1\n"
    prior.write(options, "option_types/block/A.yaml", prior.BLOCK + message)
    library = prior.LIBRARY.replace(
        "    option_type: alternation\n", "    option_type: alternation\n    version: 2\n"
    )
    prior.write(options, "option_libraries/own.yaml", f"description: all\nversion: 3{library}")
    _, _, notes = translated(umbrella)
    for key in ("description", "version", "loader_module"):
        assert not any(key in line for line in notes.lost)
    assert "option A_5: unknown = 1: there is no such setting here" in notes.lost


def test_a_matrix_of_null_is_none_and_nothing_is_said(tmp_path: Path) -> None:
    members, _, notes = translated(prior.lay_out(tmp_path, environment=prior.SINGLE))
    assert members["antibiotics"]["cross_resistance"] == {}
    assert not any("crossresistance" in line for line in notes.lost)


@pytest.mark.parametrize(
    "matrix", ["[[1.0, 0.2]]", "[[1, 0.2, 0.3], [0.1, 1, 0.2]]", "[[1, 0.2], [0.1]]", "[1, 2]"]
)
def test_a_matrix_of_the_wrong_size_is_refused_and_not_cut(tmp_path: Path, matrix: str) -> None:
    head, _, _ = prior.ENVIRONMENT.partition("crossresistance_matrix")
    text = f"{head}crossresistance_matrix: {matrix}\n"
    with pytest.raises(InputError, match=r"a row of 2 numbers for each of the 2 .*\(A, B\)"):
        translated(prior.lay_out(tmp_path, environment=text))
    right = f"{head}crossresistance_matrix: [[1, 0.2], [0.1, 1]]\n"
    members, _, _ = translated(prior.lay_out(tmp_path / "right", environment=right))
    assert members["antibiotics"]["cross_resistance"] == {"A": {"B": 0.2}, "B": {"A": 0.1}}


@pytest.mark.parametrize(("name", "read_as"), [("no", "False"), ("1", "1"), ("2.5", "2.5")])
def test_an_antibiotic_whose_name_became_no_text_is_to_be_quoted(
    tmp_path: Path, name: str, read_as: str
) -> None:
    text = prior.SINGLE.replace("PEN", name)
    with pytest.raises(InputError, match=f"has the antibiotic {read_as}, .*quote it"):
        translated(prior.lay_out(tmp_path, environment=text))
    quoted = prior.SINGLE.replace("PEN", f"'{name}'")
    members, _, _ = translated(prior.lay_out(tmp_path / "quoted", environment=quoted))
    assert list(members["antibiotics"]["drugs"]) == [name]
    effects = prior.REWARD.replace("    A: {", f"    {name}: {{")
    with pytest.raises(InputError, match=r"abx_adverse_effects_info .*quote it"):
        translated(prior.lay_out(tmp_path / "effects", reward=effects))


def test_a_tuning_file_is_read_with_and_without_its_outer_key(tmp_path: Path) -> None:
    with_key = prior.write(tmp_path, "with.yaml", prior.TUNING)
    inner = yaml.safe_dump(yaml.safe_load(prior.TUNING)["tuning_config"])
    without = prior.write(tmp_path, "without.yaml", inner)
    for file in (with_key, without):
        notes = Notes()
        ours = translate_tuning(read_tuning(file), agent="ppo_tutorial", notes=notes)
        assert ours["sampler"] == "tpe"
        assert ours["sampler_options"] == {"n_startup_trials": 3, "constant_liar": True}
        assert ours["stability_penalty_weight"] == 0.4
        assert set(ours["search_space"]) == {"learning_rate", "gamma"}
        assert notes.lost[0] == "optimization.pruner = median: there is no such setting here"
        assert notes.lost[1].startswith("search_space.epsilon_greedy")


@pytest.mark.parametrize(
    ("agent", "weight"),
    [("ppo_tutorial", 0.2), ("recurrent_ppo", 0.2), ("hrl_ppo", 0.3), ("hrl_rppo", 0.3)],
)
def test_a_study_without_a_weight_of_stability_gets_that_of_its_agent_and_says_so(
    tmp_path: Path, agent: str, weight: float
) -> None:
    text = prior.TUNING.replace("    stability_penalty_weight: 0.4\n", "")
    notes = Notes()
    file = prior.write(tmp_path, "t.yaml", text)
    ours = translate_tuning(read_tuning(file), agent=agent, notes=notes)
    assert ours["stability_penalty_weight"] == weight
    message = f"optimization.stability_penalty_weight: not given, {weight} is used"
    assert notes.filled == [message]


def imported(call: Call, tmp_path: Path, umbrella: Path, *more: str) -> Project:
    ended = call(init.main, "new", "--from-umbrella", str(umbrella), *more)
    assert ended.status == 0, ended.err
    project = find_project(tmp_path / "new")
    assert project is not None
    return project


@pytest.mark.parametrize(
    ("changes", "algorithm"),
    [
        ({"environment": prior.SINGLE, "reward": "lambda_weight: 0.1\n"}, "PPO"),
        ({}, "PPO"),
        ({"more": "patient_generator: patient_generator/mixed.yaml\n"}, "PPO"),
        ({"agent": prior.RECURRENT}, "RecurrentPPO"),
        ({"agent": prior.MANAGER, "more": OF_A_MANAGER}, "ManagerPPO"),
    ],
    ids=["single", "two_cross_resistant", "mixer", "recurrent", "manager"],
)
def test_what_was_imported_is_trained(
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    algorithm: str,
) -> None:
    project = imported(call, tmp_path, prior.lay_out(tmp_path, **changes))
    monkeypatch.chdir(project.root)
    ended = call(train.main, "experiment=base_experiment", *SMALL)
    assert ended.status == 0, ended.err
    (run,) = run_folders("results")
    assert run.run_name.startswith("base_experiment_")
    config = run.read_config()
    assert config["agent_algorithm"]["_target_"].endswith(f".{algorithm}")
    assert config["training"]["seed"] == 7
    report = (project.root / "imported/base_experiment.md").read_text(encoding="utf-8")
    assert "base_experiment.yaml" in report


def test_a_tuning_file_alone_becomes_a_study_of_the_agent_that_its_keys_name(
    call: Call, tmp_path: Path
) -> None:
    file = prior.write(tmp_path, "ppo_tuning_default.yaml", prior.TUNING)
    ended = call(init.main, str(tmp_path / "clinic"), "--tuning", str(file))
    assert ended.status == 0, ended.err
    assert "  abx-tune -m +tuning=ppo_tuning_default\n" in ended.out
    written = tmp_path / "clinic/conf/tuning/ppo_tuning_default.yaml"
    content = yaml.safe_load(written.read_text(encoding="utf-8"))
    assert content["defaults"][1] == {
        "override /agent_algorithm@_global_.agent_algorithm": "ppo_tutorial"
    }
    assert set(content["search_space"]) == {"learning_rate", "gamma"}


def test_component_files_are_translated_where_they_are_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = {
        "environment": prior.ENVIRONMENT,
        "reward_calculator": prior.REWARD,
        "patient_generator": prior.PATIENTS,
    }
    flags: list[str] = []
    for kind, text in kinds.items():
        file = prior.write(tmp_path, f"{kind}.yaml", text)
        flags += ["-s", f"{kind}-subconfig={file}"]
    config = compose("train", translate(flags)).plain
    model = build_clinic(config)
    assert model.antibiotics == ("A", "B")
    assert model.num_patients_per_time_step == 4
    assert config["reward_calculator"]["lambda_weight"] == 0.3
    drugs = config["antibiotics"]["drugs"]
    assert [drugs[name]["adverse_effect_penalty"] for name in drugs] == [-1.5, -2.5]


def test_a_component_file_of_another_group_is_sent_there(tmp_path: Path) -> None:
    file = prior.write(tmp_path, "r.yaml", prior.REWARD)
    with pytest.raises(InputError, match=f"write -s reward_calculator-subconfig={file}"):
        translate(["-s", f"environment-subconfig={file}"])
    file = prior.write(tmp_path, "t.yaml", prior.TUNING)
    with pytest.raises(InputError, match=f"abx-init DIR --tuning {file}"):
        translate(["-s", f"tuning-subconfig={file}"])


def test_the_prior_tutorials_line_for_postgresql_finds_a_driver() -> None:
    from sqlalchemy import make_url

    make_url("postgresql://me@server:5432/studies").get_dialect().import_dbapi()


def test_what_was_imported_is_tuned_over_the_prior_search_space(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    umbrella = prior.lay_out(tmp_path)
    project = imported(call, tmp_path, umbrella, "--tuning", str(prior.tuning_of(umbrella)))
    monkeypatch.chdir(project.root)
    ended = call(
        tune.main,
        "-m",
        "+tuning=ppo_tuning_default",
        "experiment=base_experiment",
        "tuning.n_trials=1",
        "tuning.n_seeds_per_trial=1",
        "tuning.truncated_episodes=1",
        "tuning.final=false",
        *(setting for setting in SMALL if "total_num" not in setting),
    )
    assert ended.status == 0, ended.err
    assert "agent_algorithm.learning_rate" in ended.out
    assert (project.root / "optimization/ppo_tuning_default/best_params.json").is_file()


def test_a_second_umbrella_joins_a_project_and_no_file_is_replaced(
    call: Call, tmp_path: Path
) -> None:
    umbrella = prior.lay_out(tmp_path)
    project = imported(call, tmp_path, umbrella)
    readme = project.root / "README.md"
    readme.write_text("mine\n")
    again = call(init.main, "new", "--from-umbrella", str(umbrella))
    assert again.status == 2
    assert "base_experiment.yaml" in again.err
    other = umbrella.rename(umbrella.with_name("second.yaml"))
    imported(call, tmp_path, other)
    assert readme.read_text() == "mine\n"
    with working_in(project):
        config = compose("train", ["experiment=second"]).plain
        assert build_clinic(config).antibiotics == ("A", "B")


def test_files_of_a_project_that_the_imported_ones_are_made_of_are_said(
    call: Call, tmp_path: Path
) -> None:
    prior.write(tmp_path, "new/abx-project.yaml", "")
    packaged_agent = (conf_dir() / "agent_algorithm/ppo_tutorial.yaml").read_text(encoding="utf-8")
    changed = packaged_agent.replace("target_kl: null", "target_kl: 0.01")
    prior.write(tmp_path, "new/conf/agent_algorithm/ppo_tutorial.yaml", changed)
    prior.write(tmp_path, "new/conf/agent_algorithm/a2c.yaml", changed)
    prior.write(tmp_path, "new/conf/environment/default.yaml", "max_time_steps: 1\n")
    base = (conf_dir() / "tuning/base.yaml").read_text(encoding="utf-8")
    prior.write(tmp_path, "new/conf/tuning/base.yaml", f"{base}# ours\n")
    same = (conf_dir() / "training/default.yaml").read_text(encoding="utf-8")
    prior.write(tmp_path, "new/conf/training/default.yaml", same)
    umbrella = prior.lay_out(tmp_path)
    ended = call(init.main, "new", "--from-umbrella", str(umbrella))
    assert ended.status == 0, ended.err
    message = [line for line in ended.out.splitlines() if "takes the packaged file's place" in line]
    assert [line.split(":")[0].strip() for line in message] == [
        "conf/agent_algorithm/ppo_tutorial.yaml"
    ]
    umbrella = umbrella.rename(umbrella.with_name("second.yaml"))
    tuning = str(prior.tuning_of(umbrella))
    ended = call(init.main, "new", "--from-umbrella", str(umbrella), "--tuning", tuning)
    assert "conf/tuning/base.yaml: takes the packaged file's place" in ended.out


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("agent_algorithm/ppo_tutorial.yaml", "n_stepz: 64\n", "experiment="),
        ("tuning/base.yaml", "defaults: [not_there]\n", "+tuning="),
    ],
)
def test_an_import_that_does_not_compose_in_its_project_is_refused(
    call: Call, tmp_path: Path, file: str, text: str, says: str
) -> None:
    prior.write(tmp_path, "new/abx-project.yaml", "")
    prior.write(tmp_path, f"new/conf/{file}", text)
    umbrella = prior.lay_out(tmp_path)
    tuning = str(prior.tuning_of(umbrella))
    ended = call(init.main, "new", "--from-umbrella", str(umbrella), "--tuning", tuning)
    assert (ended.status, len(ended.err.splitlines())) == (2, 1), ended
    assert "does not compose in" in ended.err
    assert says in ended.err
    assert "abx-import-" not in ended.err  # a folder that is gone
    files = sorted(str(f.relative_to("new")) for f in Path("new").rglob("*") if f.is_file())
    assert files == ["abx-project.yaml", f"conf/{file}"]


def test_a_name_of_a_packaged_file_is_not_taken(call: Call, tmp_path: Path) -> None:
    umbrella = prior.lay_out(tmp_path)
    project = imported(call, tmp_path, umbrella.rename(umbrella.with_name("default.yaml")))
    assert (project.conf / "environment/default_imported.yaml").is_file()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("u.yaml", "a: [1\n", "u.yaml' line 2 is no YAML"),
        ("u.yaml", "a: 1\n", "no file of the prior tool that is known"),
        ("u.yaml", prior.ENVIRONMENT, "is its file for environment"),
        ("u.yaml", "environment: nowhere.yaml\n", "names 'nowhere.yaml', and there is no"),
        ("u.yaml", "environment: {antibiotics_AMR_dict: 3}\n", "must be a section with entries"),
        ("u.yaml", "training: {early_stopping: 5}\n", "training.early_stopping must be a section"),
        ("u.yaml", "training: 5\n", "training in '"),
        (
            "u.yaml",
            "patient_generator: {prob_infected: {clipping_bounds: 1}}\n",
            "patient_generator.prob_infected.clipping_bounds holds a value of the wrong kind: "
            "it must be a list, got 1 (in '",
        ),
        (
            "u.yaml",
            "patient_generator: {visible_patient_attributes: 3}\n",
            "patient_generator.visible_patient_attributes holds a value of the wrong kind",
        ),
    ],
)
def test_what_is_no_umbrella_is_refused_and_nothing_is_written(
    call: Call, tmp_path: Path, name: str, text: str, message: str
) -> None:
    prior.write(tmp_path, name, text)
    ended = call(init.main, "new", "--from-umbrella", name)
    assert ended.status == 2
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_a_value_that_no_clinic_can_have_is_refused_and_nothing_is_written(
    call: Call, tmp_path: Path
) -> None:
    umbrella = prior.lay_out(tmp_path, environment=prior.ENVIRONMENT.replace("0.15", "1.5"))
    ended = call(init.main, "new", "--from-umbrella", str(umbrella))
    assert ended.status == 2
    assert "leak of antibiotic A must be a number in (0, 1), got 1.5" in ended.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("group", "text", "command"),
    [
        ("option_library", prior.LIBRARY, "abx-init DIR --from-umbrella U.yaml"),
        ("tuning", prior.TUNING, "abx-init DIR --tuning "),
    ],
)
def test_s_with_a_file_of_several_parts_names_the_command_that_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, text: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = prior.write(tmp_path, "old.yaml", text)
    with pytest.raises(InputError, match=rf"prior tool \({group}\).*{command}"):
        translate(["-s", f"{group}-subconfig={file}"])
    assert not (tmp_path / ".abx").exists()


@pytest.mark.parametrize(
    ("group", "text"), [("patient_generator", prior.FLAT), ("agent_algorithm", prior.PPO)]
)
def test_each_kind_of_component_file_is_chosen_in_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = prior.write(tmp_path, "old.yaml", text)
    (override,) = translate(["-s", f"{group}-subconfig={file}"])
    assert override.startswith(f"{group}=old-")
    assert group in compose("train", [override]).plain


def test_no_file_of_ours_is_taken_for_one_of_the_prior_tool() -> None:
    from abx_amr.configuration.groups import conf_dir

    for file in conf_dir().rglob("*.yaml"):
        assert kind_of(yaml.safe_load(file.read_text(encoding="utf-8"))) is None, file
