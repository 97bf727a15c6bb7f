"""A choice between agents on the command line is a study in which each has its own space."""

import json
from functools import partial

import pytest
from hydra.core.global_hydra import GlobalHydra

from abx_amr.configuration.composing import compose
from abx_amr.configuration.groups import fresh_hydra
from abx_amr.configuration.study_overrides import study_overrides
from abx_amr.errors import InputError
from abx_amr.studies.space import parse_search_space

AGENT, GAMMA = "agent_algorithm", "agent_algorithm.gamma"


def composed(*arguments):
    """Return the tuning section of a worker, and what was said on the way."""
    said = []
    with fresh_hydra():
        loader = GlobalHydra.instance().config_loader()
        overrides = study_overrides(
            arguments, loader=loader, compose=partial(compose, "tune"), say=said.append
        )
    return compose("tune", overrides).plain, said


def test_each_agent_is_searched_as_its_own_file_says():
    plain, said = composed("+tuning=ppo_default", f"{AGENT}=choice(ppo,a2c)")
    tuning = plain["tuning"]
    space = parse_search_space(tuning["search_space"])
    for agent in ("ppo", "a2c"):
        own = parse_search_space(
            compose("tune", [f"+tuning={agent}_default"]).plain["tuning"]["search_space"]
        )
        counting = {
            name.rpartition(": ")[2]: space[name]
            for name in space
            if name != AGENT and agent in space.conditions.get(name, {AGENT: [agent]})[AGENT]
        }
        assert counting == dict(own)
    assert tuning["truncated_episodes"] == {"ppo": 300, "a2c": 50}
    assert said[0] == "a2c is searched as +tuning=a2c_default says"
    members = json.loads(tuning["members"])
    assert members[AGENT]["ppo"][AGENT] == plain[AGENT]
    assert members[AGENT]["a2c"][AGENT]["_target_"] == "stable_baselines3.A2C"
    assert members[AGENT]["a2c"]["training"]["total_num_training_episodes"] == 100


def test_the_first_choice_is_the_default_and_settings_go_for_all():
    plain, _ = composed(
        "+tuning=ppo_default",
        f"{AGENT}=choice(a2c,ppo)",
        f"{GAMMA}=tag(log_below_one,interval(0.9,0.99))",
        f"{AGENT}.ent_coef=tag('when {AGENT}=a2c',choice(0.1,0.2))",
        "agent_algorithm.vf_coef=0.7",
        "tuning.truncated_episodes=20",
        "~tuning.search_space.gae_lambda",
    )
    assert plain[AGENT]["_target_"] == "stable_baselines3.A2C"
    members = json.loads(plain["tuning"]["members"])[AGENT]
    assert [members[agent][AGENT]["vf_coef"] for agent in ("a2c", "ppo")] == [0.7, 0.7]
    assert plain["tuning"]["truncated_episodes"] == 20
    space = parse_search_space(plain["tuning"]["search_space"])
    assert not space.names_of("agent_algorithm.gae_lambda")  # of none
    assert space.names_of(GAMMA) == [f"1 - {GAMMA}"]
    assert not space.conditions.get(f"1 - {GAMMA}")
    of_ent = {
        space.conditions[name][AGENT][0]: space[name].choices
        for name in space.names_of("agent_algorithm.ent_coef")
    }
    assert of_ent == {"a2c": (0.1, 0.2), "ppo": (0.01, 0.02, 0.03, 0.05)}


def test_an_agent_without_a_tuning_file_is_searched_as_the_chosen_one_says():
    plain, said = composed("+tuning=ppo_default", f"{AGENT}=choice(ppo,ppo_tutorial)")
    assert not parse_search_space(plain["tuning"]["search_space"]).conditions
    assert "no +tuning=ppo_tutorial_default" in said[0]


def test_a_file_chooses_between_agents_and_their_libraries():
    space = {
        AGENT: {"type": "categorical", "choices": ["hrl_ppo", "ppo"]},
        "option_library": {
            "type": "categorical",
            "choices": ["default_deterministic", "heuristic"],
            "when": {AGENT: "hrl_ppo"},
        },
    }
    text = json.dumps(space).replace('"', "")
    plain, _ = composed(
        "+tuning=base", "tuning.truncated_episodes=5", f"++tuning.search_space={text}"
    )
    members = json.loads(plain["tuning"]["members"])
    assert set(members[AGENT]["hrl_ppo"]) == {AGENT, "hrl", "option_library", "training"}
    assert set(members[AGENT]["ppo"]) == {AGENT, "training"}
    libraries = members["option_library"]
    assert set(libraries["heuristic"]) == {"option_library"}
    assert libraries["heuristic"] != libraries["default_deterministic"]
    assert plain["hrl"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([f"{AGENT}=choice(ppo,a3c)"], "agent_algorithm=a3c.*did you mean 'a2c'"),
        (
            [f"{AGENT}=choice(ppo,a2c)", f"{AGENT}.target_kl=0.1"],
            r"agent_algorithm=a2c: .*target_kl does not exist.*tag\('when agent_algorithm=NAME'",
        ),
        ([f"{AGENT}=ppo,a2c"], r"write agent_algorithm=choice\(ppo,a2c\)"),
        (
            ["patient_generator=choice(default,high_risk)"],
            "would change the problem.*a study for each choice is patient_generator=default",
        ),
        (["training=choice(default)"], "of which agent_algorithm, option_library and hrl alone"),
    ],
)
def test_a_choice_that_cannot_be_searched_is_one_line(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        composed("+tuning=ppo_default", *arguments)
    assert "\n" not in str(error.value)
