"""A trial drawn in memory is the one that Optuna would have drawn in the storage."""

import optuna
import pytest
from optuna.trial import TrialState

from abx_amr.studies.draft import draw
from abx_amr.studies.samplers import SamplerChoice, make_sampler
from abx_amr.studies.space import parse_search_space

SPACE = {
    "x": {"type": "float", "low": -1.0, "high": 1.0},
    "rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
    "n": {"type": "int", "low": 1, "high": 9, "step": 2},
}
GRID = {"x": {"type": "categorical", "choices": [0.1, 0.2, 0.3]}, "n": SPACE["n"]}


def in_the_storage(study, sampler, space):
    study.sampler = sampler
    return study.ask(fixed_distributions=space)._trial_id


def in_memory(study, sampler, space):
    backend, trials = study._storage, study.get_trials(deepcopy=False)
    drawn = draw(backend, study._study_id, trials, sampler=sampler, space=space)
    assert len(study.get_trials()) == len(trials)  # nothing is stored yet
    drawn.user_attrs["owner"] = "me"
    return backend.create_new_trial(study._study_id, template_trial=drawn)


@pytest.mark.parametrize("name", ["random", "tpe", "cmaes", "gp", "qmc", "grid"])
def test_a_draft_is_what_optuna_draws(name):
    entries = GRID if name == "grid" else SPACE
    space = parse_search_space({f"agent_algorithm.{key}": entries[key] for key in entries})
    options = {"n_startup_trials": 3} if name in ("tpe", "cmaes", "gp") else {}
    choice = SamplerChoice(name=name, options=options, seed=5)
    histories = []
    for ask in (in_the_storage, in_memory):
        study = optuna.create_study(direction="maximize")
        for index in range(8):
            sampler = make_sampler(choice, space=space, n_trials=8, index=index)
            trial_id = ask(study, sampler, space)
            trial = study._storage.get_trial(trial_id)
            assert (trial.number, trial.state) == (index, TrialState.RUNNING)
            value = -(float(trial.params["agent_algorithm.x"]) ** 2)
            if index != 4:  # one stays running, which a sampler takes into account
                study._storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [value])
        histories.append([(t.params, t.system_attrs, t.distributions) for t in study.trials])
    assert histories[0] == histories[1]
