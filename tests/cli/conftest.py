"""Commands called as their entry points call them, in this process, in an empty folder.

Their figures are blank, but in a test marked `pictures`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.pictures import leave_blank

#: A clinic and an agent small enough for a test.
SMALL = (
    "environment.max_time_steps=16",
    "training.total_num_training_episodes=25",
    "training.eval_freq_every_n_episodes=5",
    "training.save_freq_every_n_episodes=5",
    "training.n_envs=2",
    "training.num_eval_episodes=3",
    "agent_algorithm.n_steps=16",
    "agent_algorithm.batch_size=8",
    "agent_algorithm.n_epochs=1",
    "agent_algorithm.policy_kwargs.net_arch=[4]",
    "figures=false",
    "report=false",
)
#: A study over two values of that agent.
SMALL_STUDY = (
    "-m",
    "+tuning=ppo_default",
    *SMALL,
    "tuning.n_seeds_per_trial=2",
    "tuning.truncated_episodes=2",
    "tuning.final=false",
    "++tuning.search_space.gamma.log_below_one=false",  # Optuna's own parameter is gamma itself
    "~tuning.search_space.n_steps",
    "~tuning.search_space.batch_size",
    "~tuning.search_space.n_epochs",
)


@dataclass
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def call(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> Call:
    """Call a command's main with arguments; its status, output and errors come back."""
    monkeypatch.chdir(tmp_path)
    if request.node.get_closest_marker("pictures") is None:
        leave_blank(monkeypatch.setattr)
    # Hydra logs to the output of this test, which later tests do not have.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    torch.set_num_threads(1)

    def run(main: Callable[[], None], *arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["abx", *arguments])
        capfd.readouterr()
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        out, err = capfd.readouterr()
        return Ended(status, out, err)

    return run
