"""Agents are built once to see where values arrive; who only launches workers loads no torch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from abx_amr.configuration.composing import resolved
from abx_amr.tuning import kept_proofs
from abx_amr.tuning.compiling import see_through
from abx_amr.tuning.in_process import composed_study
from abx_amr.tuning.points import Points
from abx_amr.tuning.study import TuningStudy, settled
from tests.cli.conftest import SMALL_STUDY

#: Prepares a study as abx-tune does before it launches workers, and says what it has loaded.
PROGRAM = """
import json, sys
from abx_amr.tuning.in_process import composed_study
from abx_amr.tuning.listening import StudyListener
from abx_amr.tuning.service import TuneService
found = TuneService(StudyListener()).prepare(composed_study(*json.loads(sys.argv[1])), is_here=True)
heavy = {"torch", "stable_baselines3", "matplotlib", "pandas"} & set(sys.modules)
print(found.name, *sorted(heavy))
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep proofs in a folder of the test's own; the installation has none."""
    monkeypatch.setattr(kept_proofs, "INSTALLED", tmp_path / "none installed")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "abx-amr" / "read_back"


def points(*overrides: str) -> Points:
    config = settled(resolved(composed_study(*SMALL_STUDY[1:], *overrides)))
    return TuningStudy(config).points


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was looked for in built agents, one entry a search; no agent is built."""
    asked: list[str] = []

    def find(build: Callable[..., Any], probes: dict[str, Any]) -> dict[str, str]:
        asked.append(" ".join(probes))
        return {path: path.rpartition(".")[2] for path in probes}

    monkeypatch.setattr("abx_amr.agents.read_back.find_read_back", find)
    return asked


def test_agents_are_built_once_for_the_same_study(searches: list[str], state: Path) -> None:
    first = points()
    assert first.needs_agents
    names = first.read_back_names
    assert names
    assert len(searches) == 1
    again = points("run_name=another", "tuning.n_trials=7", "tuning.n_workers=2")
    assert not again.needs_agents
    assert again.read_back_names == names
    assert len(searches) == 1
    assert len(list(state.iterdir())) == 1


@pytest.mark.parametrize(
    "changed",
    ["agent_algorithm.vf_coef=0.4", "environment.num_patients_per_time_step=3", "code", "version"],
)
def test_a_changed_agent_clinic_or_installation_is_looked_into_anew(
    changed: str, searches: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = points().read_back_names
    if changed == "code":
        monkeypatch.setattr(kept_proofs, "_code", lambda: [("changed.py", 1, 2)])
    elif changed == "version":
        monkeypatch.setattr(kept_proofs, "versions", lambda: {"torch": "9.9"})
    _ = points(*([changed] if "=" in changed else [])).read_back_names
    assert len(searches) == 2


def test_what_the_installation_keeps_is_read_by_accounts_that_have_seen_nothing(
    searches: list[str], state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_proofs, "INSTALLED", tmp_path / "installed")
    see_through(*SMALL_STUDY[1:])
    assert len(searches) == 1
    shutil.rmtree(state)
    new = points("training.torch_threads=3")  # of another machine
    assert not new.needs_agents
    assert new.read_back_names
    assert len(searches) == 1
    assert points("agent_algorithm.vf_coef=0.4").needs_agents


def test_without_a_home_the_installation_s_is_read(
    searches: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_proofs, "INSTALLED", tmp_path / "installed")

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(kept_proofs, "key_file", nowhere)
    assert points().read_back_names
    assert points().needs_agents
    see_through(*SMALL_STUDY[1:])
    assert not points().needs_agents


def test_nothing_is_kept_of_an_agent_whose_code_lies_elsewhere(state: Path) -> None:
    names = [({}, {"agent_algorithm.gamma": "gamma"})]
    own = {"agent_algorithm": {"_target_": "my_lab.agents.Own"}, "tuning": {}}
    kept_proofs.keep(own, 1000, names)
    assert not state.exists()
    kept_proofs.keep({"agent_algorithm": {"_target_": "sb3_contrib.QRDQN"}, "tuning": {}}, 1, names)
    assert len(list(state.iterdir())) == 1


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"names": [[{}, {"a": 1}]]}', '{"names": null}']
)
def test_what_is_damaged_is_found_again(damage: str, searches: list[str], state: Path) -> None:
    names = points().read_back_names
    (file,) = state.iterdir()
    file.write_text(damage)
    assert points().read_back_names == names
    assert len(searches) == 2
    assert json.loads(file.read_text()) == {"names": [list(each) for each in names]}


def test_where_nothing_can_be_kept_it_is_found_each_time(
    tmp_path: Path, searches: list[str]
) -> None:
    (tmp_path / "state").write_text("a file, where a folder would be made")
    assert points().read_back_names == points().read_back_names
    assert len(searches) == 2


def test_a_process_that_only_launches_workers_loads_no_library_of_agents(
    tmp_path: Path, searches: list[str]
) -> None:
    more = ["tuning.n_workers=2", f"optimization_dir={tmp_path}/studies"]
    _ = points(*more).read_back_names
    overrides = [*SMALL_STUDY[1:], *more]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(overrides)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split() == ["CREATED"]
