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

from abx_amr.agents.learners.on_policy.policies import policy_of
from abx_amr.agents.learners.on_policy.rollouts import silent_logger
from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.arithmetic import arithmetic_of
from abx_amr.agents.learners.seed_batched.networks import (
    Networks,
    read_adam,
    read_memory,
    read_parameters,
    why_not_covered,
    write_memory,
)
from abx_amr.agents.learners.seed_batched.seed_learner import Buffer, Rollout, SeedLearner
from abx_amr.agents.learners.seed_batched.trainer import SeedBatchedPPO, learn_epoch
from abx_amr.envs.vec_env import ClinicVecEnv
from abx_amr.evaluation.episodes import episode_returns
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
    ours = Buffer(one.n_steps, one.n_envs, theirs.observations.shape[2], networks)
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
    while learn_epoch(learner, arithmetic):
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


@settings(max_examples=25)
@given(
    hidden=st.integers(1, 17),
    width=st.integers(1, 6),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    seed=st.integers(0, 2**31),
)
def test_an_lstms_gradients_written_by_hand_are_autograds(hidden, width, lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    lstm = torch.nn.LSTM(width, hidden)
    with torch.no_grad():
        for p in lstm.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    n = sum(lengths)
    x, weight = (torch.randn(n, size, generator=generator) for size in (width, hidden))
    memory = torch.randn(n, 2 * hidden, generator=generator)
    begins = np.zeros(n, np.bool_)
    outputs, at = [], 0
    for length in lengths:
        begins[at] = True
        first = [memory[at, part][None, None] for part in (slice(hidden), slice(hidden, None))]
        outputs.append(lstm(x[at : at + length, None], tuple(first))[0][:, 0])
        at += length
    out = torch.cat(outputs)
    (out * weight).sum().backward()
    # The LSTM's parameters stand somewhere inside the vector.
    around = torch.full((3,), 7.0)
    parts = [around, *(p.detach().ravel() for p in lstm.parameters()), around]
    theta = torch.cat(parts).numpy()
    true = torch.cat([p.grad.ravel() for p in lstm.parameters()]).numpy()
    row = np.array([3, hidden, width])
    gates = np.empty((n, 4 * hidden), np.float32)
    trace = np.empty((compiled.NUM_TRACES, n, hidden), np.float32)
    ours, gradient = np.empty((hidden, n), np.float32), np.full_like(theta, 5.0)
    compiled.lstm_forward(theta, row, x.numpy(), begins, memory.numpy(), gates, trace, ours)
    np.testing.assert_allclose(ours.T, out.detach().numpy(), rtol=1e-4, atol=1e-5)
    by_outputs = np.ascontiguousarray(weight.numpy().T)
    compiled.lstm_backward(theta, row, x.numpy(), begins, gates, trace, by_outputs, gradient)
    scale = np.abs(true).max() + 1.0
    np.testing.assert_allclose(gradient[3:-3] / scale, true / scale, atol=2e-5)
    assert (gradient[:3] == 5.0).all()
    assert (gradient[-3:] == 5.0).all()


@pytest.mark.parametrize("critic", [True, False], ids=["memory", "no memory"])
@pytest.mark.parametrize("made", [agent, recall], ids=["clinic", "recall"])
def test_a_rollout_is_sb3_contribs_where_actions_are_the_same(made, critic, monkeypatch):
    """States, values, bootstrapped rewards, advantages and returns, over three rollouts."""
    kwargs = {"enable_critic_lstm": critic}
    ours, theirs = (made(kwargs=kwargs, learning_rate=0.0, gamma=0.9) for _ in range(2))
    trainer = SeedBatchedPPO([ours])
    collected = []
    collect = trainer._collect
    trainer._collect = lambda length: collected.append(collect(length)) or collected[-1]
    list(trainer.rollouts(3 * ours.n_steps * N_ENVS))
    trainer.publish()
    _, callback = theirs._setup_learn(10_000, None)
    for mine in collected:
        is_single = isinstance(theirs.action_space, gymnasium.spaces.Discrete)
        actions = iter(torch.from_numpy(mine.actions[..., 0] if is_single else mine.actions))
        chosen = theirs.policy.action_dist
        monkeypatch.setattr(chosen, "get_actions", lambda deterministic, a=actions: next(a))
        theirs.collect_rollouts(theirs.env, callback, theirs.rollout_buffer, theirs.n_steps)
        truth = theirs.rollout_buffer
        assert np.array_equal(mine.observations, truth.observations)
        assert np.array_equal(mine.starts, truth.episode_starts)
        for name in ("rewards", "values", "log_probs", "advantages", "returns"):
            told, true = getattr(mine, name), getattr(truth, name)
            np.testing.assert_allclose(told, true, rtol=1e-4, atol=1e-5, err_msg=name)
        states = [truth.hidden_states_pi, truth.cell_states_pi]
        states += [truth.hidden_states_vf, truth.cell_states_vf] * critic
        whole = np.concatenate([state[:, 0] for state in states], axis=2)
        at = mine.starts == 0.0  # what an episode begins with is not used
        np.testing.assert_allclose(mine.memory[at], whole[at], rtol=1e-4, atol=1e-5)
    assert collected[0].starts[1:].any()
    for pair, other in zip(ours._last_lstm_states, theirs._last_lstm_states, strict=True):
        for state, true in zip(pair, other, strict=True):
            np.testing.assert_allclose(state.numpy(), true.numpy(), rtol=1e-4, atol=1e-5)


def test_a_seed_learns_the_same_to_the_bit_whichever_seeds_learn_beside_it():
    def of_seed(seed, seeds, threads):
        agents = [agent(s, kwargs={"lstm_hidden_size": 32}) for s in seeds]
        trained(agents, 3 * 48, threads=threads)
        mine = agents[seeds.index(seed)]
        return np.concatenate([read_parameters(mine), read_memory(mine).ravel()])

    alone = of_seed(1, [1], 1)
    assert np.array_equal(alone, of_seed(1, [1, 2, 3], 1))
    assert np.array_equal(alone, of_seed(1, [2, 1, 3], 2))
    assert not np.array_equal(alone, of_seed(2, [1, 2, 3], 1))


def saved_and_loaded(one, env):
    saved = io.BytesIO()
    one.save(saved)
    saved.seek(0)
    loaded = RecurrentPPO.load(saved, env=env, force_reset=False)
    loaded.set_logger(silent_logger())
    return loaded


def test_training_that_is_resumed_equals_training_that_was_not():
    whole = agent()
    trained([whole], 3 * 48)
    first = agent()
    trainer = trained([first], 2 * 48)
    assert not first._last_episode_starts.any()  # in the middle of episodes, with memories
    second = saved_and_loaded(first, ClinicVecEnv(CLINIC, N_ENVS, seed=1))
    second.env.clinic.restore(first.env.clinic.state())
    assert not read_memory(second).any()
    write_memory(second, read_memory(first))
    again = SeedBatchedPPO([second], streams=[trainer.streams(first)])
    assert list(again.rollouts(3 * 48)) == [3 * 48]
    again.publish()
    assert np.array_equal(read_parameters(second), read_parameters(whole))
    assert np.array_equal(read_adam(second).square, read_adam(whole).square)
    assert np.array_equal(read_memory(second), read_memory(whole))


def test_the_last_rollout_is_shortened_and_learned_from():
    one = agent()
    trainer = SeedBatchedPPO([one])
    assert list(trainer.rollouts(48 + 15)) == [48, 63]
    trainer.publish()
    assert one.num_timesteps == 63
    assert one._n_updates == 4
    assert read_adam(one).count == 2 * 3 + 2 * 1


def test_a_seed_that_diverges_is_left_out_and_the_others_go_on_unchanged():
    calm = agent(2)
    trained([calm], 144)
    wild, beside = agent(1), agent(2)
    with torch.no_grad():
        wild.policy.lstm_critic.weight_hh_l0.fill_(np.nan)
    trainer = SeedBatchedPPO([wild, beside])
    assert list(trainer.rollouts(144)) == [48, 96, 144]
    trainer.publish()
    assert "no longer finite" in str(trainer.failure(wild))
    assert trainer.failure(beside) is None
    assert np.array_equal(read_parameters(beside), read_parameters(calm))
    assert np.array_equal(read_memory(beside), read_memory(calm))


def test_a_saved_agent_goes_on_under_sb3_contrib_itself():
    one = agent()
    trained([one], 96)
    loaded = saved_and_loaded(one, ClinicVecEnv(CLINIC, N_ENVS, seed=1))
    assert np.array_equal(read_parameters(loaded), read_parameters(one))
    assert read_adam(loaded).count == read_adam(one).count == 2 * 2 * 3
    loaded.env.clinic.restore(one.env.clinic.state())
    loaded.learn(48, reset_num_timesteps=False)
    assert loaded.num_timesteps == 144
    assert read_adam(loaded).count == 3 * 2 * 3


def test_a_seed_may_leave_early_and_the_others_go_on_unchanged():
    whole, only = agent(2), agent(1)
    trained([whole], 144)
    trained([only], 48)
    short, long = agent(1), agent(2)
    trainer = SeedBatchedPPO([short, long])
    for seen in trainer.rollouts(144):
        if seen == 48:
            trainer.leave(short)
    trainer.publish()
    assert short.num_timesteps == 48
    for one, other in ((short, only), (long, whole)):
        assert np.array_equal(read_parameters(one), read_parameters(other))
        assert np.array_equal(read_memory(one), read_memory(other))


def test_what_is_written_into_an_agents_memory_is_read_back():
    for enable, width in ((True, 24), (False, 12)):
        one = agent(kwargs={"enable_critic_lstm": enable})
        memory = np.arange(N_ENVS * width, dtype=np.float32).reshape(N_ENVS, width)
        write_memory(one, memory)
        assert np.array_equal(read_memory(one), memory)
        (hidden, _), (_, cell) = one._last_lstm_states
        assert np.array_equal(hidden[0].numpy(), memory[:, :6])
        assert np.array_equal(cell[0].numpy(), memory[:, -6:])


def test_memory_is_learned_to_be_used():
    """Without memory a cue shown once is repeated half of the time."""
    one = recall(
        n_steps=64,
        batch_size=64,
        n_epochs=10,
        learning_rate=3e-3,
        kwargs={"lstm_hidden_size": 16, "net_arch": []},
    )
    trained([one], 64 * N_ENVS * 40)
    rewards = [info["r"] for info in one.ep_info_buffer]
    assert len(rewards) == 100
    assert np.mean(rewards) > 0.95


def test_seeds_are_played_together_as_each_alone():
    agents = [agent(seed) for seed in (1, 2)]
    trainer = trained(agents, 96)
    together = episode_returns(trainer.policy(agents), CLINIC, episodes=5, seed=3, copies=2)
    for one, returns in zip(agents, together, strict=True):
        alone = episode_returns(policy_of(one), CLINIC, episodes=5, seed=3)
        np.testing.assert_array_equal(returns, alone[0])


def test_playing_keeps_each_episodes_memory_and_begins_without():
    one = agent(kwargs={"lstm_hidden_size": 9})
    trainer = trained([one], 96)
    policy, generator = trainer.policy([one]), np.random.default_rng(4)
    ours = theirs = None
    for t in range(6):
        seen = generator.normal(size=(40, *one.observation_space.shape)).astype(np.float32)
        begins = generator.random(40) < (0.3 if t else 1.0)
        given = None if ours is None else ours.copy()
        mine, after = policy.predict(seen, state=ours, episode_start=begins)
        assert ours is None or np.array_equal(ours, given)
        ours = after
        true, theirs = one.predict(seen, theirs, begins, deterministic=True)
        assert np.array_equal(mine, true)
        np.testing.assert_allclose(ours[:, :9], theirs[0][0], atol=1e-5)
        np.testing.assert_allclose(ours[:, 9:18], theirs[1][0], atol=1e-5)


def test_what_is_not_covered_is_said():
    assert why_not_covered(agent()) is None
    assert why_not_covered(agent(kwargs={"enable_critic_lstm": False})) is None
    for kwargs, reason in (
        ({"shared_lstm": True, "enable_critic_lstm": False}, "shared_lstm=true"),
        ({"n_lstm_layers": 2}, "n_lstm_layers=2 is not 1"),
        ({"lstm_kwargs": {"bias": False}}, "bias=False"),
        ({"activation_fn": torch.nn.ELU}, "ELU is neither Tanh nor ReLU"),
        ({"optimizer_class": torch.optim.RMSprop}, "RMSprop is not Adam"),
    ):
        assert reason in why_not_covered(agent(kwargs=kwargs))
    on_another_device = agent()
    on_another_device.device = torch.device("meta")
    assert "compiled code learns on the processor, not on meta" in why_not_covered(
        on_another_device
    )
