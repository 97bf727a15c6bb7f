"""The seed-batched trainer computes what sb3-contrib's RecurrentPPO computes, seed by seed."""

import io

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.env_util import make_vec_env

from abx_amr.algorithms.seed_batched import compiled
from abx_amr.algorithms.seed_batched.arithmetic import arithmetic_of
from abx_amr.algorithms.seed_batched.networks import (
    Networks,
    read_adam,
    read_memory,
    read_parameters,
    why_not_covered,
    write_memory,
)
from abx_amr.algorithms.seed_batched.trainer import Rollout, SeedBatchedPPO, SeedLearner, _Buffer
from abx_amr.envs.vec_env import ClinicVecEnv
from abx_amr.evaluation import episode_returns
from abx_amr.learning import policy_of, silent_logger
from tests.clinics import clinic_model

CLINIC = clinic_model(steps=11, patients=2)
N_ENVS = 3

# Minibatches that do not divide the rollout are what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")


class Recall(gymnasium.Env):
    """Shows a cue at first alone; the action of the last step earns 1 where it repeats the cue.

    Episodes end truly, or are cut after 5 steps, at random.
    """

    observation_space = gymnasium.spaces.Box(-1.0, 9.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cue, self.at = int(self.np_random.integers(2)), 0
        self.length = int(self.np_random.integers(2, 7))
        return np.array([2.0 * self.cue - 1.0, 0.0], np.float32), {}

    def step(self, action):
        self.at += 1
        terminated, truncated = self.at >= self.length, self.at >= 5
        reward = float(action == self.cue) if terminated or truncated else 0.0
        return np.array([0.0, self.at], np.float32), reward, terminated, truncated, {}


def agent(seed=1, *, model=CLINIC, env=None, n_envs=N_ENVS, kwargs=None, **arguments):
    torch.set_num_threads(1)
    given = {"n_steps": 16, "batch_size": 20, "n_epochs": 2} | arguments
    kwargs = {"net_arch": [10], "lstm_hidden_size": 6} | (kwargs or {})
    env = env or ClinicVecEnv(model, n_envs, seed=seed)
    made = RecurrentPPO("MlpLstmPolicy", env, seed=seed, policy_kwargs=kwargs, **given)
    made.set_logger(silent_logger())
    return made


def recall(**arguments):
    return agent(env=make_vec_env(Recall, n_envs=N_ENVS, seed=1), **arguments)


def trained(agents, transitions, **options):
    trainer = SeedBatchedPPO(agents, **options)
    assert list(trainer.rollouts(transitions))[-1] == transitions
    trainer.publish()
    return trainer


def play_into_buffer(one):
    """Let sb3-contrib fill its rollout buffer."""
    _, callback = one._setup_learn(10_000, None)
    one.collect_rollouts(one.env, callback, one.rollout_buffer, one.n_steps)


def played(one):
    """Return what sb3-contrib's buffer holds as the trainer's rollout."""
    theirs, networks = one.rollout_buffer, Networks.of(one)
    ours = _Buffer(one.n_steps, one.n_envs, theirs.observations.shape[2], networks)
    for name in ("observations", "log_probs", "values", "advantages", "returns"):
        getattr(ours, name)[:] = getattr(theirs, name)
    ours.actions[:] = theirs.actions
    ours.starts[:] = theirs.episode_starts
    states = [theirs.hidden_states_pi, theirs.cell_states_pi]
    if len(networks.lstms) > 1:
        states += [theirs.hidden_states_vf, theirs.cell_states_vf]
    ours.memory[:] = np.concatenate([state[:, 0] for state in states], axis=2)
    return Rollout(ours, 0, one.n_envs)


def both_learn(one, monkeypatch):
    """Let sb3-contrib and the compiled update learn from the same rollout in the same order.

    Returns the parameters before, by sb3-contrib and by the compiled update, (Q,) each, and Adam's
    steps by either.
    """
    play_into_buffer(one)
    play_into_buffer(one)  # the second rollout begins with memories
    learner, arithmetic = SeedLearner(one, None), arithmetic_of(Networks.of(one))
    before = learner.theta.copy()
    learner.begin_update(played(one))
    splits = []
    next_uniform = compiled.next_uniform

    def noted(stream):
        drawn = next_uniform(stream)
        splits.append(int(drawn * one.n_steps * one.n_envs))
        return drawn

    monkeypatch.setattr(compiled, "next_uniform", noted)
    while learner.learn_epoch(arithmetic):
        pass
    given_splits = iter(splits)
    monkeypatch.setattr(np.random, "randint", lambda n: next(given_splits))
    one.train()
    theirs = read_parameters(one)
    assert not np.array_equal(before, theirs)
    assert one._n_updates == 2 * len(splits)
    return before, theirs, learner.theta, read_adam(one).count, int(learner.count[0])


SETTINGS = {
    "defaults": {},
    "value clipping and entropy": {"clip_range_vf": 0.05, "ent_coef": 0.1, "vf_coef": 0.9},
    "no hidden layer": {"kwargs": {"net_arch": []}},
    "relu, networks of different depth, an odd memory": {
        "kwargs": {
            "net_arch": {"pi": [12], "vf": [8, 9, 8]},
            "activation_fn": torch.nn.ReLU,
            "lstm_hidden_size": 7,
        }
    },
    "raw advantages, gradients cut": {"normalize_advantage": False, "max_grad_norm": 0.01},
    "a wide clip and a high rate": {"clip_range": 0.01, "learning_rate": 3e-3},
    "a value function without memory": {"kwargs": {"enable_critic_lstm": False}},
    "no memory and no hidden layer for the value function": {
        "kwargs": {"enable_critic_lstm": False, "net_arch": []}
    },
}


@pytest.mark.parametrize("arguments", SETTINGS.values(), ids=SETTINGS.keys())
def test_one_gradient_step_is_sb3_contribs(arguments, monkeypatch):
    one = agent(**{"n_epochs": 1, "batch_size": 48, **arguments})
    before, theirs, ours, their_count, our_count = both_learn(one, monkeypatch)
    assert our_count == their_count == 1
    assert np.abs(theirs - before).max() > 1e-4
    assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize("arguments", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("made", [agent, recall], ids=["clinic", "recall"])
def test_a_whole_update_is_sb3_contribs(made, arguments, monkeypatch):
    one = made(n_epochs=4, **arguments)
    _, theirs, ours, their_count, our_count = both_learn(one, monkeypatch)
    assert our_count == their_count == 12
    assert np.abs(ours - theirs).max() < 1e-3


def test_an_update_that_diverges_stops_at_sb3_contribs_minibatch(monkeypatch):
    one = agent(target_kl=1e-4, learning_rate=3e-3, n_epochs=6, batch_size=16)
    _, theirs, ours, their_count, our_count = both_learn(one, monkeypatch)
    assert 0 < our_count == their_count < 18
    assert np.abs(ours - theirs).max() < 1e-3
