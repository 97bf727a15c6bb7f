"""The seed-batched trainer computes what SB3's PPO computes, seed by seed, to the bit apart."""

import io
from itertools import pairwise

import gymnasium
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env

from abx_amr.agents.learners.on_policy.rollouts import silent_logger
from abx_amr.agents.learners.seed_batched import compiled
from abx_amr.agents.learners.seed_batched.networks import (
    Networks,
    read_adam,
    read_parameters,
    why_not_covered,
    write_parameters,
)
from abx_amr.agents.learners.seed_batched.trainer import SeedBatchedPPO
from abx_amr.envs.vec_env import ClinicVecEnv
from tests.agents.stacked import StackedUpdate
from tests.clinics import clinic_model, mixture, population

CLINIC = clinic_model(steps=40, patients=3)
N_ENVS = 4

# Minibatches that do not divide the rollout are what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")


class SquareCorridor(gymnasium.Env):
    """Discrete actions, real terminations: forward (1) or back (0) on a line of random length."""

    observation_space = gymnasium.spaces.Box(-1.0, 9.0, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.length = 0, int(self.np_random.integers(3, 9))
        return self._seen(), {}

    def step(self, action):
        self.place = max(0, self.place + int(action) - 1)
        return self._seen(), float(action) - 1.5, self.place >= self.length, False, {}

    def _seen(self):
        return np.array([self.place, self.length], np.float32)


def agent(seed=1, *, model=CLINIC, env=None, n_envs=N_ENVS, **arguments):
    torch.set_num_threads(1)
    given = {
        "n_steps": 16,
        "batch_size": 24,
        "n_epochs": 2,
        "policy_kwargs": {"net_arch": [16, 16]},
    } | arguments
    made = PPO("MlpPolicy", env or ClinicVecEnv(model, n_envs, seed=seed), seed=seed, **given)
    made.set_logger(silent_logger())
    return made


def trained(agents, transitions, **options):
    trainer = SeedBatchedPPO(agents, **options)
    assert list(trainer.rollouts(transitions))[-1] == transitions
    trainer.publish()
    return trainer


def play_into_buffer(one):
    """Let SB3 fill its rollout buffer."""
    one._setup_learn(10_000, None)
    _, callback = one._setup_learn(10_000, None)
    one.collect_rollouts(one.env, callback, one.rollout_buffer, one.n_steps)


def both_learn(one, monkeypatch):
    """Let SB3 and the compiled update learn from the same rollout in the same order.

    Returns the parameters before, by SB3 and by the compiled update, (Q,) each.
    """
    play_into_buffer(one)
    buffer, networks = one.rollout_buffer, Networks.of(one)
    before, adam = read_parameters(one), read_adam(one)
    flat = {
        name: buffer.swap_and_flatten(getattr(buffer, name)).astype(np.float32)
        for name in ("observations", "log_probs", "values", "advantages", "returns")
    }
    actions = buffer.swap_and_flatten(buffer.actions).astype(np.int64)
    total = len(actions)
    generator = np.random.default_rng(5)
    orders = [generator.permutation(total) for _ in range(one.n_epochs)]
    settings_ = np.array(
        [
            one.lr_schedule(1.0),
            one.clip_range(1.0),
            -1.0 if one.clip_range_vf is None else one.clip_range_vf(1.0),
            one.ent_coef,
            one.vf_coef,
            one.max_grad_norm,
            np.inf if one.target_kl is None else one.target_kl,
            float(one.normalize_advantage),
            *one.policy.optimizer.param_groups[0]["betas"],
            one.policy.optimizer.param_groups[0]["eps"],
            0.0,
        ]
    )
    theta, mean, square = before.copy(), adam.mean.copy(), adam.square.copy()
    count, statistics = np.array([adam.count]), np.zeros(compiled.NUM_STATISTICS)
    for order in orders:
        outcome = compiled.learn_epoch(
            theta,
            mean,
            square,
            count,
            networks.layers,
            networks.num_policy_layers,
            networks.relu,
            networks.choices,
            flat["observations"],
            actions,
            flat["log_probs"].ravel(),
            flat["values"].ravel(),
            flat["advantages"].ravel(),
            flat["returns"].ravel(),
            order.astype(np.int32),
            one.batch_size,
            settings_,
            statistics,
        )
        if outcome != compiled.GOES_ON:
            break
    given_orders = iter(orders)
    monkeypatch.setattr(np.random, "permutation", lambda n: next(given_orders))
    one.train()
    theirs = read_parameters(one)
    assert not np.array_equal(before, theirs)
    return before, theirs, theta, read_adam(one), count[0]


SETTINGS = {
    "defaults": {},
    "value clipping and entropy": {"clip_range_vf": 0.05, "ent_coef": 0.1, "vf_coef": 0.9},
    "no hidden layer": {"policy_kwargs": {"net_arch": []}},
    "relu, networks of different depth": {
        "policy_kwargs": {
            "net_arch": {"pi": [24], "vf": [8, 16, 8]},
            "activation_fn": torch.nn.ReLU,
        }
    },
    "raw advantages, gradients cut": {"normalize_advantage": False, "max_grad_norm": 0.01},
    "a wide clip and a high rate": {"clip_range": 0.01, "learning_rate": 3e-3},
}


@pytest.mark.parametrize("arguments", SETTINGS.values(), ids=SETTINGS.keys())
def test_one_gradient_step_is_sb3s(arguments, monkeypatch):
    one = agent(n_epochs=1, **{"batch_size": 64, **arguments})
    before, theirs, ours, adam, count = both_learn(one, monkeypatch)
    assert count == adam.count == 1
    assert np.abs(theirs - before).max() > 1e-4
    assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize("arguments", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_whole_update_is_sb3s(arguments, monkeypatch):
    one = agent(n_epochs=4, **arguments)
    _, theirs, ours, adam, count = both_learn(one, monkeypatch)
    assert count == adam.count == 12
    assert np.abs(ours - theirs).max() < 1e-3


def test_a_single_choice_is_learned_as_sb3_learns_it(monkeypatch):
    env = make_vec_env(SquareCorridor, n_envs=3, seed=1)
    one = agent(env=env, n_epochs=3, batch_size=16)
    _, theirs, ours, _, _ = both_learn(one, monkeypatch)
    assert np.abs(ours - theirs).max() < 1e-3


def test_an_update_that_diverges_stops_at_sb3s_minibatch(monkeypatch):
    one = agent(target_kl=1e-4, learning_rate=3e-3, n_epochs=6, batch_size=16)
    _, theirs, ours, adam, count = both_learn(one, monkeypatch)
    assert 0 < adam.count == count < 24
    assert np.abs(ours - theirs).max() < 1e-3


@settings(max_examples=25)
@given(
    depth=st.integers(0, 3),
    width=st.integers(1, 20),
    rows=st.integers(1, 40),
    relu=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_gradients_written_by_hand_are_autograds(depth, width, rows, relu, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [5, *[width] * depth, 4]
    modules: list[torch.nn.Module] = []
    for at, (inputs, outputs) in enumerate(pairwise(sizes)):
        modules.append(torch.nn.Linear(inputs, outputs))
        if at < depth:
            modules.append(torch.nn.ReLU() if relu else torch.nn.Tanh())
    net = torch.nn.Sequential(*modules)
    linears = [m for m in modules if isinstance(m, torch.nn.Linear)]
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    x, weight = torch.randn(rows, 5, generator=generator), torch.randn(rows, 4, generator=generator)
    out = net(x)
    (out * weight).sum().backward()
    theta = torch.cat([p.detach().ravel() for m in linears for p in (m.weight, m.bias)]).numpy()
    true = torch.cat([p.grad.ravel() for m in linears for p in (m.weight, m.bias)]).numpy()
    table, at, place = [], 0, 0
    for linear in linears:
        table.append((at, linear.out_features, linear.in_features, place))
        at += linear.weight.numel() + linear.out_features
        place += linear.out_features
    layers = np.array(table)
    outputs, gradient = np.empty(rows * place, np.float32), np.empty_like(theta)
    spare = np.empty(2 * rows * max(20, width), np.float32)
    columns, by_output = (np.ascontiguousarray(values.numpy().T) for values in (x, weight))
    ours = compiled.forward(theta, layers, 0, len(layers), relu, columns, outputs)
    np.testing.assert_allclose(ours.T, out.detach().numpy(), rtol=1e-4, atol=1e-4)
    compiled.backward(
        theta, layers, 0, len(layers), relu, columns, outputs, by_output, gradient, spare
    )
    scale = np.abs(true).max() + 1.0
    np.testing.assert_allclose(gradient / scale, true / scale, atol=2e-5)


def test_tanh_is_tanh_to_3e_7_and_keeps_what_is_not_a_number():
    x = np.linspace(-12, 12, 4001, dtype=np.float32)[None]
    ours = x.copy()
    compiled.add_bias_tanh(ours, np.zeros(1, np.float32))
    assert np.abs(ours - np.tanh(x.astype(np.float64))).max() < 3e-7
    odd = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    compiled.add_bias_tanh(odd, np.zeros(1, np.float32))
    assert np.isnan(odd[0, 0])
    np.testing.assert_allclose(odd[0, 1:], [1.0, -1.0], atol=3e-7)


def test_advantages_and_returns_are_those_of_sb3s_buffer():
    one = agent(gamma=0.97, gae_lambda=0.9)
    play_into_buffer(one)
    buffer = one.rollout_buffer
    last = torch.linspace(-1, 1, N_ENVS)
    dones = np.array([1, 0, 0, 1], np.float32)
    buffer.compute_returns_and_advantage(last, dones)
    advantages, returns = np.empty_like(buffer.rewards), np.empty_like(buffer.rewards)
    compiled.advantages_and_returns(
        buffer.rewards,
        buffer.values,
        buffer.episode_starts,
        last.numpy(),
        dones,
        np.full_like(buffer.rewards, 0.97),
        0.9,
        advantages,
        returns,
    )
    np.testing.assert_allclose(advantages, buffer.advantages, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(returns, buffer.returns, rtol=1e-5, atol=1e-5)


def test_actions_are_drawn_with_the_policys_probabilities():
    one = agent()
    networks = Networks.of(one)
    theta = read_parameters(one)[None] * 3.0
    write_parameters(one, theta[0])
    seen = np.repeat(one.env.reset()[:1], 20_000, axis=0)
    actions = np.empty((len(seen), 3), np.int64)
    log_probs, values = np.empty(len(seen), np.float32), np.empty(len(seen), np.float32)
    compiled.act(
        theta,
        networks.layers,
        networks.num_policy_layers,
        networks.relu,
        networks.choices,
        seen,
        np.array([[1, 2, 3, 4]], np.uint64),
        False,
        actions,
        log_probs,
        values,
    )
    with torch.no_grad():
        row = torch.as_tensor(seen[:1])
        truth = one.policy.get_distribution(row).distribution
        expected_values = one.policy.predict_values(row)
        told = one.policy.get_distribution(torch.as_tensor(seen)).log_prob(torch.as_tensor(actions))
    for choice, category in enumerate(truth):
        counts = np.bincount(actions[:, choice], minlength=3) / len(seen)
        np.testing.assert_allclose(counts, category.probs[0].numpy(), atol=0.015)
    np.testing.assert_allclose(log_probs, told.numpy(), atol=1e-5)
    np.testing.assert_allclose(values, expected_values.item(), atol=1e-5)


def test_a_seed_learns_the_same_to_the_bit_whichever_seeds_learn_beside_it():
    def of_seed_1(seeds, threads):
        agents = [agent(seed, policy_kwargs={"net_arch": [128, 128]}) for seed in seeds]
        trained(agents, 3 * 64, threads=threads)
        return read_parameters(agents[seeds.index(1)])

    alone = of_seed_1([1], 1)
    assert np.array_equal(alone, of_seed_1([1, 2, 3], 1))
    assert np.array_equal(alone, of_seed_1([2, 1, 3], 2))
    assert np.array_equal(alone, of_seed_1([*range(1, 11)], 2))
    assert not np.array_equal(alone, of_seed_1([2, 1], 1)[::-1])


def test_training_begins_with_sb3s_initial_weights():
    one = agent()
    trainer = SeedBatchedPPO([one])
    assert np.array_equal(trainer.learners[0].theta, read_parameters(agent()))


def test_the_last_rollout_is_shortened_and_learned_from():
    one = agent()
    trainer = SeedBatchedPPO([one])
    assert list(trainer.rollouts(64 + 8)) == [64, 72]
    trainer.publish()
    assert one.num_timesteps == 72
    assert one._n_updates == 4
    assert read_adam(one).count == 2 * 3 + 2 * 1


def test_training_that_is_resumed_equals_training_that_was_not():
    whole = agent()
    trained([whole], 192)
    first = agent()
    trainer = trained([first], 128)
    saved = io.BytesIO()
    first.save(saved)
    saved.seek(0)
    second = PPO.load(saved, env=ClinicVecEnv(CLINIC, N_ENVS, seed=1), force_reset=False)
    second.set_logger(silent_logger())
    second.env.clinic.restore(first.env.clinic.state())
    again = SeedBatchedPPO([second], streams=[trainer.streams(first)])
    assert list(again.rollouts(192)) == [192]
    again.publish()
    assert np.array_equal(read_parameters(second), read_parameters(whole))
    assert np.array_equal(read_adam(second).square, read_adam(whole).square)


def test_a_saved_agent_goes_on_under_sb3_itself():
    one = agent()
    trained([one], 128)
    saved = io.BytesIO()
    one.save(saved)
    saved.seek(0)
    loaded = PPO.load(saved, env=ClinicVecEnv(CLINIC, N_ENVS, seed=1))
    assert np.array_equal(read_parameters(loaded), read_parameters(one))
    assert read_adam(loaded).count == read_adam(one).count
    loaded.learn(64, reset_num_timesteps=False)
    assert loaded.num_timesteps == 192


def test_one_clinic_for_all_seeds_is_the_seeds_own_clinics():
    crowded = clinic_model(
        steps=30,
        patients=4,
        people=mixture(low=population(prob_infected=0.2), high=population(noise_std=0.1)),
    )
    plain, wrapped = (
        [agent(seed, model=crowded, n_envs=2, n_steps=40) for seed in (1, 2)] for _ in range(2)
    )
    for one in wrapped:
        one.env = _Wrapped(one.env)
    trained(plain, 160)
    trained(wrapped, 160)
    for one, other in zip(plain, wrapped, strict=True):
        assert np.array_equal(read_parameters(one), read_parameters(other))
        assert one.ep_info_buffer[-1]["r"] == pytest.approx(other.ep_info_buffer[-1]["r"])


class _Wrapped:
    """Anything that is not the clinic itself, so that environments are stepped one by one."""

    def __init__(self, env):
        self._env = env

    def __getattr__(self, name):
        return getattr(self._env, name)


def test_a_seed_that_diverges_is_left_out_and_the_others_go_on_unchanged():
    calm = agent(2)
    trained([calm], 192)
    wild, beside = agent(1), agent(2)
    with torch.no_grad():
        wild.policy.value_net.weight.fill_(np.nan)
    trainer = SeedBatchedPPO([wild, beside])
    assert list(trainer.rollouts(192)) == [64, 128, 192]
    trainer.publish()
    assert "no longer finite" in str(trainer.failure(wild))
    assert trainer.failure(beside) is None
    assert np.array_equal(read_parameters(beside), read_parameters(calm))


def test_a_seed_may_leave_early_and_the_others_go_on_unchanged():
    whole = agent(2)
    trained([whole], 192)
    short, long = agent(1), agent(2)
    trainer = SeedBatchedPPO([short, long])
    for seen in trainer.rollouts(192):
        if seen == 64:
            trainer.leave(short)
    trainer.publish()
    assert short.num_timesteps == 64
    only = agent(1)
    trained([only], 64)
    assert np.array_equal(read_parameters(short), read_parameters(only))
    assert np.array_equal(read_parameters(long), read_parameters(whole))


def test_what_is_not_covered_is_said():
    assert why_not_covered(agent()) is None
    env = ClinicVecEnv(CLINIC, N_ENVS, seed=1)
    assert "A2C is not" in why_not_covered(A2C("MlpPolicy", env))
    odd = {"net_arch": [8], "activation_fn": torch.nn.ELU}
    assert "ELU is neither Tanh nor ReLU" in why_not_covered(agent(policy_kwargs=odd))
    rms = {"net_arch": [8], "optimizer_class": torch.optim.RMSprop}
    assert "RMSprop is not Adam" in why_not_covered(agent(policy_kwargs=rms))
    decay = {"net_arch": [8], "optimizer_kwargs": {"weight_decay": 0.1}}
    assert "weight_decay" in why_not_covered(agent(policy_kwargs=decay))


def test_schedules_fall_over_the_whole_training():
    seen = []

    def rate(remaining):
        seen.append(remaining)
        return 1e-3 * remaining

    one = agent(learning_rate=rate)
    seen.clear()
    trained([one], 192)
    assert seen[0] == pytest.approx(1 - 64 / 192)
    assert one.policy.optimizer.param_groups[0]["lr"] == 0.0


def test_seeds_are_played_together_as_each_alone():
    agents = [agent(seed, policy_kwargs={"net_arch": [32]}) for seed in (1, 2)]
    trainer = trained(agents, 128)
    seen = np.concatenate([a.env.reset() for a in agents])
    together, _ = trainer.policy(agents).predict(seen)
    for one, block, mine in zip(agents, np.split(seen, 2), np.split(together, 2), strict=True):
        assert np.array_equal(one.predict(block, deterministic=True)[0], mine)


@pytest.mark.parametrize("arguments", SETTINGS.values(), ids=SETTINGS.keys())
def test_batched_torch_operations_learn_what_the_compiled_update_learns(arguments):
    def weights(update):
        agents = [agent(seed, **arguments) for seed in (1, 2)]
        trainer = SeedBatchedPPO(agents)
        if update is not None:
            trainer._update = update(trainer.networks)
        list(trainer.rollouts(64))
        trainer.publish()
        assert agents[1]._n_updates == 2
        return [np.concatenate([read_parameters(a), read_adam(a).mean]) for a in agents]

    for ours, theirs in zip(weights(None), weights(StackedUpdate), strict=True):
        assert np.abs(ours - theirs).max() < 1e-3


def test_batched_torch_operations_stop_a_seed_that_diverges():
    def counts(update):
        agents = [agent(seed, target_kl=1e-4, learning_rate=3e-3, n_epochs=6) for seed in (1, 2)]
        trainer = SeedBatchedPPO(agents)
        if update is not None:
            trainer._update = update(trainer.networks)
        list(trainer.rollouts(64))
        trainer.publish()
        return [(read_adam(a).count, a._n_updates) for a in agents]

    assert counts(StackedUpdate) == counts(None)
    assert counts(None)[0][0] < 18


def test_an_agent_on_a_gpu_is_left_to_the_library():
    one = agent(1)
    assert why_not_covered(one) is None
    one.device = torch.device("cuda")
    assert why_not_covered(one) == "compiled code learns on the processor, not on cuda"
