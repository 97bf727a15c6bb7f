"""A value out of range is refused before a library of agents is loaded."""

import json
import subprocess
import sys
from pathlib import Path

COMMANDS = (
    ("evaluate", "run=nowhere", "run 'nowhere' does not exist"),  # loads no compiled clinic either
    ("train", "agent_algorithm.gamma=2", "agent_algorithm.gamma must be a number in (0, 1]"),
    ("train", "agent_algorithm.one_minus_gamma=2", "one_minus_gamma must be a number in (0, 1)"),
    ("train", "agent_algorithm.policy_kwargs.net_arch=[0]", "net_arch (and value_net_arch) must"),
    ("train", "training.seed=-1", "training.seed must be a whole number of at least 0"),
    ("train", "training.early_stopping.patience=0", "patience must be a whole number"),
    (
        "train",
        "environment.max_time_steps=0",
        "max_time_steps must be a whole number of at least 1",
    ),
    ("tune", "-m +tuning=ppo_default tuning.n_trials=0", "tuning.n_trials must be a whole number"),
    ("evaluate", "agent_algorithm=greedy evaluation.episodes=0", "evaluation.episodes must be"),
)

#: Each command in one process, so that what all of them load is loaded once.
PROGRAM = """
import json, sys
from importlib import import_module
for name, typed in json.loads(sys.argv[1]):
    sys.argv[:] = [f"abx-{name}", *typed.split()]
    try:
        import_module(f"abx_amr.cli.{name}").main()
    except SystemExit as stop:
        heavy = {"torch", "stable_baselines3", "matplotlib", "pandas"}
        if typed == "run=nowhere":
            heavy.add("numba")
        print(stop.code, *sorted(heavy & set(sys.modules)))
"""


def test_a_value_out_of_range_is_refused_without_the_libraries_of_agents(tmp_path: Path) -> None:
    typed = json.dumps([(name, words) for name, words, _ in COMMANDS])
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, typed],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    message = ended.stderr.strip().splitlines()
    for line, (name, words, expected) in zip(message, COMMANDS, strict=True):
        assert line.startswith(f"abx-{name}: error: "), words
        assert expected in line
    codes = [line for line in ended.stdout.splitlines() if not line.startswith("run_name=")]
    assert codes == ["2"] * len(COMMANDS)
    assert not list(tmp_path.iterdir())
