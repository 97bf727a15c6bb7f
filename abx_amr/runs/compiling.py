"""Compile what is compiled, so that nobody waits for it: a short training of each kind of agent."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from abx_amr.configuration.composing import compose
from abx_amr.runs.train_service import train

#: Between them they call what is compiled of clinics, trainers, managers, evaluations and optima.
AGENTS = ("ppo", "recurrent_ppo", "policy_search", "hrl_ppo")
_SHORT = (
    "environment.max_time_steps=20",
    "training.total_num_training_episodes=16",
    "training.num_eval_episodes=2",
    "figures=false",
    "report=false",
)


def compile_for(agent: str, folder: Path) -> None:
    """Compile what an agent, its evaluation and its optimum need.

    Args:
        agent: Of AGENTS.
        folder: Takes the runs, which are worth nothing.
    """
    overrides = [f"agent_algorithm={agent}", *_SHORT, f"results_dir='{folder}'"]
    composition = compose("train", overrides)
    with _silent(), chdir(folder):  # where nothing that it writes is found by anybody
        train(composition.plain, choices=composition.choices, overrides=overrides)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep back what is logged of agents that nobody will use."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
