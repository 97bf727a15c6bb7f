"""Options of direct policy search against the shipped setting, at equal environment steps.

python -m benchmarks.policy_search_options [ARM ...]      (the same command resumes)

Fixed before the runs. Every arm plays the 200 generations x 48 candidates x 8 episodes of the
shipped setting, or as many steps divided otherwise; its policy is scored on 200 episodes of a seed
that no other benchmark uses.

1. Screening: training seeds 11000 to 11004 on paper_two without and with time and on
   paper_two_cross_resistant with time; networks of 64 units and PPO from the found policy on one
   of these clinics.
2. Of the arms whose difference to the shipped setting, paired by training seed, has a 95 % Student
   t interval above 0 on at least one clinic and below 0 on none, the one of the greatest sum of
   differences is run with fresh seeds 11010 to 11014 on the same clinics and, as the shipped
   setting is, with 11000 to 11004 on paper_crowded (time seen, half the generations).
3. It is kept if it is better again by more than the interval there, and worse by it nowhere.

All together 25 minutes of a processor at most: what is not begun by then is not begun.

CatCMA, CMAwM and their like are left out: they add whole and categorical variables to full CMA, and
weights are neither.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cmaes import CMA
from numpy.typing import NDArray

from abx_amr.agents.learners.policy_search.policy import SearchedPolicy
from abx_amr.agents.learners.policy_search.search import PolicySearchAgent
from abx_amr.configuration.agent import build_learner
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.configuration.training import build_training
from abx_amr.evaluation.episodes import Policy, evaluate
from abx_amr.evaluation.statistics import t_interval
from abx_amr.rng import stream, stream_states

Floats = NDArray[np.float64]
SCREENED, CONFIRMED = tuple(range(11_000, 11_005)), tuple(range(11_010, 11_015))
EVALUATED, EVALUATION_SEED = 200, 21_000
GENERATIONS, POPULATION, EPISODES = 200, 48, 8
LONGEST = 25 * 60.0  # CPU seconds of all that is kept
RESULTS = Path("results/benchmarks/policy_search_options.jsonl")
TIME = "environment.include_time_remaining=true"
TASKS: dict[str, tuple[str, ...]] = {
    "paper_two": ("experiment=paper_two",),
    "paper_two, time": ("experiment=paper_two", TIME),
    "cross, time": ("experiment=paper_two_cross_resistant", TIME),
    "paper_crowded, time": ("experiment=paper_crowded", TIME),
}
SMALL = ("paper_two", "paper_two, time", "cross, time")
HALF = ("paper_crowded, time",)


def built(task: str, seed: int, *overrides: str) -> tuple[PolicySearchAgent, int]:
    """Return an agent that has not begun, and the generations it may play."""
    told = ["agent_algorithm=policy_search", *TASKS[task], f"training.seed={seed}", *overrides]
    config = compose("train", told).plain
    agent = build_learner(config).build(build_clinic(config), build_training(config))
    assert isinstance(agent, PolicySearchAgent)
    return agent, GENERATIONS // 2 if task in HALF else GENERATIONS


def bred(agent: PolicySearchAgent, generations: int) -> PolicySearchAgent:
    """Return the agent after so many generations of its own."""
    steps = agent.population * agent.episodes * agent.rollouts.model.max_time_steps
    for _ in agent.learn(agent.transitions + generations * steps):
        pass
    return agent


def policy_of(agent: PolicySearchAgent, weights: Floats) -> SearchedPolicy:
    """Return weights as a policy of the agent's network."""
    return SearchedPolicy(agent.rollouts.network, weights)


def episodes_of(agent: PolicySearchAgent, generation: int, count: int) -> NDArray[np.uint64]:
    """Return the common episodes of a generation."""
    return stream_states(agent.seed, "options", "clinic", generation, count=count)


# --- arms ----------------------------------------------------------------------------------------


def configured(*overrides: str) -> Callable[[str, int], Policy]:
    """Return the arm of a configuration."""

    def train(task: str, seed: int) -> Policy:
        return bred(*built(task, seed, *overrides)).policy()

    return train


def full_cma(*overrides: str, **options: Any) -> Callable[[str, int], Policy]:
    """Return the arm of CMA-ES with a whole covariance matrix."""

    def train(task: str, seed: int) -> Policy:
        agent, generations = built(task, seed, *overrides)
        mean = agent.evolution.mean
        step = agent.initial_step_size
        search = CMA(mean=mean, sigma=step, population_size=POPULATION, seed=seed, **options)
        for generation in range(generations):
            candidates = np.stack([search.ask() for _ in range(POPULATION)])
            played = agent.rollouts.returns(candidates, episodes_of(agent, generation, EPISODES))
            scores = -played.mean(axis=1)
            search.tell([(x, float(y)) for x, y in zip(candidates, scores, strict=True)])
        return policy_of(agent, search.mean)

    return train


def restarted(task: str, seed: int) -> Policy:
    """Return the better of two searches of half the length, on 100 episodes of their own."""
    found = []
    for part in (0, 1):
        agent, generations = built(task, 1_000_000 + 2 * seed + part)
        found.append((bred(agent, generations // 2), agent.evolution.mean))
    agent = found[0][0]
    check = episodes_of(agent, -1 % 2**16, 100)
    scores = agent.rollouts.returns(np.stack([mean for _, mean in found]), check).mean(axis=1)
    return policy_of(agent, found[int(scores.argmax())][1])


def pooled(task: str, seed: int) -> Policy:
    """Return a search whose last quarter of steps ranks over 32 episodes instead of 8."""
    agent, generations = built(task, seed)
    bred(agent, generations * 3 // 4)
    agent.episodes = 4 * EPISODES
    return bred(agent, generations // 16).policy()


def averaged(task: str, seed: int) -> Policy:
    """Return the mean of the means of the last 40 generations."""
    agent, generations = built(task, seed)
    bred(agent, generations - 40)
    return policy_of(agent, np.mean([bred(agent, 1).evolution.mean for _ in range(40)], axis=0))


def openai_es(*overrides: str) -> Callable[[str, int], Policy]:
    """Return the arm of OpenAI-ES (Salimans et al. 2017): mirrored draws, centred ranks, Adam."""
    spread, rate, decay = 0.1, 0.05, 0.001

    def train(task: str, seed: int) -> Policy:
        agent, generations = built(task, seed, *overrides)
        mean = stream(seed, "options", "begin").normal(scale=0.1, size=agent.evolution.mean.size)
        first, second = np.zeros_like(mean), np.zeros_like(mean)
        for generation in range(generations):
            draws = stream(seed, "options", "candidates", generation)
            half = draws.normal(size=(POPULATION // 2, mean.size))
            noise = np.concatenate([half, -half])
            played = agent.rollouts.returns(
                mean + spread * noise, episodes_of(agent, generation, EPISODES)
            )
            ranks = played.mean(axis=1).argsort().argsort() / (POPULATION - 1) - 0.5
            slope = ranks @ noise / (POPULATION * spread) - decay * mean
            first += 0.1 * (slope - first)
            second += 0.001 * (slope**2 - second)
            t = generation + 1
            step = rate * (1.0 - t / generations) + 1e-3
            mean = mean + step * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        return policy_of(agent, mean)

    return train


def ppo_from_found(task: str, seed: int) -> Policy:
    """Return PPO of 300 episodes at gamma 0.999 whose networks first imitate the found policy."""
    agent, generations = built(task, seed)
    policy = bred(agent, generations).policy()
    told = [*TASKS[task], f"training.seed={seed}", "agent_algorithm.gamma=0.999"]
    config = compose("train", [*told, "training.total_num_training_episodes=300"]).plain
    model, settings, learner = build_clinic(config), build_training(config), build_learner(config)
    pupil = learner.build(model, settings)
    imitate(pupil.algorithm, policy, model, gamma=0.999, seed=seed)
    trainer = learner.trainer([pupil], settings)
    for _ in trainer.rollouts(settings.total_num_training_episodes * model.max_time_steps):
        pass
    trainer.publish()
    return pupil.policy()


def imitate(algorithm: Any, policy: SearchedPolicy, model: Any, *, gamma: float, seed: int) -> None:
    """Fit actor and critic to the actions and discounted returns of a policy in 40 episodes."""
    from abx_amr.simulator.clinic import Clinic

    clinic = Clinic(model, stream_states(seed, "options", "imitation", count=40))
    seen, done, rewards = [clinic.reset()], [], []
    for _ in range(model.max_time_steps):
        done.append(policy.predict(seen[-1])[0])
        observation, reward, _ = clinic.step(done[-1])
        seen.append(observation.copy())
        rewards.append(reward.copy())
    returns = np.zeros((len(rewards), 40))
    running = np.zeros(40)
    for t in reversed(range(len(rewards))):
        running = rewards[t] + gamma * running
        returns[t] = running
    observations = torch.as_tensor(np.concatenate(seen[:-1]), dtype=torch.float32)
    actions = torch.as_tensor(np.concatenate(done))
    goals = torch.as_tensor(returns.reshape(-1), dtype=torch.float32)
    optimizer = torch.optim.Adam(algorithm.policy.parameters(), lr=1e-3)
    draws = stream(seed, "options", "minibatches")
    for _ in range(2000):
        rows = torch.as_tensor(draws.integers(len(goals), size=256))
        values, likely, _ = algorithm.policy.evaluate_actions(observations[rows], actions[rows])
        loss = -likely.mean() + 0.01 * ((values[:, 0] - goals[rows]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


WIDE = "agent_algorithm.hidden_units=64"
LINEAR = "agent_algorithm.hidden_units=0"
ARMS: dict[str, tuple[Callable[[str, int], Policy], tuple[str, ...]]] = {
    "shipped": (configured(), SMALL),
    "linear": (configured(LINEAR), SMALL),
    "16 units": (configured("agent_algorithm.hidden_units=16"), SMALL),
    "no logarithms": (configured("agent_algorithm.sees_log_levels=false"), SMALL),
    "full CMA": (full_cma(), SMALL),
    "full CMA, learning rates adapted": (full_cma(lr_adapt=True), SMALL),
    "linear, full CMA": (full_cma(LINEAR), SMALL),
    "two searches of half the length": (restarted, SMALL),
    "32 episodes at the end": (pooled, SMALL),
    "mean of the last 40 means": (averaged, SMALL[1:2]),
    "64 units": (configured(WIDE), ("paper_two, time",)),
    "64 units, OpenAI-ES": (openai_es(WIDE), ("paper_two, time",)),
    "PPO from the found policy": (ppo_from_found, ("paper_two",)),
}


# --- measuring -----------------------------------------------------------------------------------


def kept() -> dict[tuple[str, str, int], dict[str, Any]]:
    """Return what was measured already, by (arm, task, seed)."""
    if not RESULTS.is_file():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    return {(row["arm"], row["task"], row["seed"]): row for row in rows}


def measure(arm: str, task: str, seed: int) -> None:
    """Train, score and keep one policy, while there is time."""
    if sum(row["seconds"] for row in kept().values()) > LONGEST:
        return
    began = time.process_time()
    policy = ARMS[arm][0](task, seed)
    seconds = time.process_time() - began
    model = build_clinic(compose("train", list(TASKS[task])).plain)
    mean = evaluate(
        policy, model, episodes=EVALUATED, seed=EVALUATION_SEED, max_batch=EVALUATED
    ).mean_return
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    row = {"arm": arm, "task": task, "seed": seed, "seconds": seconds, "mean": mean}
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(f"{arm:34} {task:20} {seed} {mean:8.2f} {seconds:6.1f} s", flush=True)


def differences(
    arm: str, seeds: Sequence[int], done: Mapping[tuple[str, str, int], dict[str, Any]]
) -> dict[str, tuple[float, float, float]]:
    """Return task -> mean difference to the shipped setting and its interval."""
    found = {}
    for task in TASKS:
        pairs = [
            done[arm, task, seed]["mean"] - done["shipped", task, seed]["mean"]
            for seed in seeds
            if (arm, task, seed) in done and ("shipped", task, seed) in done
        ]
        if len(pairs) > 1:
            found[task] = (float(np.mean(pairs)), *t_interval(pairs))
    return found


def passes(found: Mapping[str, tuple[float, float, float]]) -> bool:
    """Return whether an arm is better somewhere and worse nowhere, by more than its interval."""
    return any(low > 0 for _, low, _ in found.values()) and all(
        high >= 0 for _, _, high in found.values()
    )


def main() -> None:
    """Screen, confirm, print the table."""
    torch.set_num_threads(1)
    asked = sys.argv[1:] or list(ARMS)
    plan = [(a, t, s) for s in SCREENED for a in asked for t in ARMS[a][1]]
    for one in plan:
        if one not in kept():
            measure(*one)
    found = {a: differences(a, SCREENED, kept()) for a in asked if a != "shipped"}
    passed = [a for a, each in found.items() if passes(each)]
    passed.sort(key=lambda a: -sum(mean for mean, _, _ in found[a].values()))
    for arm in ["shipped", *passed[:1]] if passed else []:
        again = [(arm, t, s) for s in CONFIRMED for t in ARMS[arm][1]]
        again += [(arm, HALF[0], s) for s in SCREENED]
        for one in again:
            if one not in kept():
                measure(*one)
    done = kept()
    for title, seeds in (("screening", SCREENED), ("confirmation", CONFIRMED)):
        print(f"\n{title}")
        for arm in ARMS:
            for task, (mean, low, high) in differences(arm, seeds, done).items():
                rows = [done[arm, task, s] for s in seeds if (arm, task, s) in done]
                level = np.mean([row["mean"] for row in rows])
                spent = np.mean([row["seconds"] for row in rows])
                print(
                    f"| {arm} | {task} | {level:.1f} | {mean:+.1f} ({low:.1f} to {high:.1f}) | "
                    f"{spent:.0f} |"
                )


if __name__ == "__main__":
    main()
