"""A run folder that somebody sent is data: what it names or pickles is not run."""

import base64
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from abx_amr.agents.learners.on_policy.inert_pickle import Placeholder, read_inert
from abx_amr.cli import evaluate, gather, plan, train
from abx_amr.configuration.values import CLINIC_SECTIONS
from abx_amr.errors import InputError
from abx_amr.runs.checkpoint_file import read_checkpoint, write_checkpoint
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.loading import config_of_run
from abx_amr.runs.resuming import resumed_configuration
from abx_amr.runs.trust import check_named_classes, signed
from tests.cli.conftest import Call, call  # noqa: F401

RELEASE_0_1 = Path(__file__).parents[1] / "release_0_1" / "data"
OF_0_1 = RELEASE_0_1 / "results" / "normalised_20261128_192407"


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a payload makes when it is run."""
    return tmp_path / "was_run"


@pytest.fixture
def sent(tmp_path: Path, mark: Path) -> Path:
    """A run of release 0.1 with a payload in each place that its readers once ran."""
    folder = Path(shutil.copytree(OF_0_1, tmp_path / "results" / "sent_20261128_192407"))
    for file in (folder / "checkpoints").glob("*.zip"):
        rewrite(file, attributes=("policy_class", "lr_schedule"), payload=Payload(mark))
    return folder


def rewrite(file: Path, *, attributes: tuple[str, ...], payload: object) -> None:
    """Put a payload into attributes of a saved agent, and in the place of its normalisation."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    saved = json.loads(members["data"])
    pickled = pickle.dumps(payload)
    for name in attributes:
        saved[name] = {":type:": "x", ":serialized:": base64.b64encode(pickled).decode()}
    members["data"] = json.dumps(saved).encode()
    members["abx_amr_vec_normalize.pkl"] = pickled
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def name_class(folder: Path, mark: Path) -> None:
    """Let a run's configuration name a function that makes a folder."""
    file = folder / "config.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    config["reward_calculator"] = {"_target_": "os.mkdir", "path": str(mark)}
    file.write_text(yaml.safe_dump(config), encoding="utf-8")


def read(call: Call, folder: Path) -> dict[str, Any]:  # noqa: F811
    """Return how each command that reads run folders ended with one."""
    clinic = (
        "experiment=paper_two",
        "environment.max_time_steps=40",
        "figures=false",
        "report=false",
    )
    more = (
        "resume_from=" + str(folder),
        "training.additional_episodes=1",
        "figures=false",
        "report=false",
    )
    return {
        "evaluated": call(evaluate.main, f"run={folder}", "evaluation.episodes=2", clinic[2]),
        "compared": call(evaluate.main, "agent_algorithm=never", f"against={folder}", *clinic),
        "planned": call(plan.main, f"plan.runs=[{folder}]", "plan.rules=false", *clinic),
        "resumed": call(train.main, *more),
        "gathered": call(gather.main, f"runs=[{folder}]"),
    }


def test_pickled_payloads_are_passed_over_or_refused_and_never_run(
    call: Call,  # noqa: F811
    sent: Path,
    mark: Path,
) -> None:
    ended = read(call, sent)
    assert not mark.exists()
    assert ended.pop("gathered").status == 0
    for name, one in ended.items():
        assert one.status == 2, (name, one.err)
        assert "no agent that can be read as data" in one.err


def test_a_class_of_unknown_origin_is_refused_in_one_line_with_the_cure(
    call: Call,  # noqa: F811
    sent: Path,
    mark: Path,
) -> None:
    name_class(sent, mark)
    ended = read(call, sent)
    assert not mark.exists()
    assert ended.pop("gathered").status == 0
    for name, one in ended.items():
        assert one.status == 2, name
        (line,) = one.err.strip().splitlines()
        assert "names os.mkdir (reward_calculator._target_)" in line
        assert "trust=true" in line


def test_a_study_that_somebody_sent_runs_nothing_where_its_best_values_are_taken(
    call: Call,  # noqa: F811
    tmp_path: Path,
    mark: Path,
) -> None:
    folder = tmp_path / "optimization" / "half_sqlite"
    shutil.copytree(RELEASE_0_1 / "half_sqlite", folder)
    best = json.loads((folder / "best_params.json").read_text(encoding="utf-8"))
    best["agent_algorithm.learning_rate"] = {"_target_": "os.mkdir", "path": str(mark)}
    (folder / "best_params.json").write_text(json.dumps(best), encoding="utf-8")
    ended = call(train.main, "best_params_from=half_sqlite")
    assert ended.status == 2
    assert "names os.mkdir (agent_algorithm.learning_rate._target_)" in ended.err
    assert not mark.exists()


@pytest.mark.parametrize(
    "config",
    [
        {"reward_calculator": {"_target_": "abx_amr.host.atomic_files.os.mkdir"}},
        {"reward_calculator": {"_target_": "abx_amr.host.atomic_files.claim_folder"}},
        {"reward_calculator": {"_target_": "abx_amr.agents.managers.ManagerPPO"}},
        {"reward_calculator": {"_target_": "stable_baselines3.PPO"}},
        {"reward_calculator": {"_target_": "abx_amr.simulator.rewards.np.fromfile"}},
        {"agent_algorithm": {"_target_": "abx_amr.agents.prescriber.Path"}},
        {"agent_algorithm": {"policy_kwargs": {"activation_fn": "torch.nn.modules.module.torch"}}},
        {"agent_algorithm": {"policy_kwargs": {"activation_fn": "torch.load"}}},
        {"option_library": {"options": {"x": {"_target_": "subprocess.Popen"}}}},
        {"agent_algorithm.learning_rate": {"_target_": "antigravity.X"}},
    ],
)
def test_what_is_reached_through_an_allowed_name_is_refused_too(config: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="trust=true"):
        check_named_classes(config, where="sent")


@pytest.mark.parametrize("group", ["agent_algorithm", "reward_calculator", "patient_generator"])
def test_every_shipped_class_may_be_named(group: str) -> None:
    from abx_amr.configuration.composing import compose
    from abx_amr.configuration.groups import available

    for choice in available(group):
        check_named_classes(compose("train", [f"{group}={choice}"]).plain, where="own")


def test_the_tracker_of_a_run_that_was_sent_is_never_built() -> None:
    elsewhere = {"_target_": "their_lab.Sender", "uri": "http://example.org"}
    check_named_classes({"tracker": elsewhere}, where="sent")
    own = {"tracker": elsewhere, "training": {"seed": 1}}
    composed = {"tracker": {"_target_": "abx_amr.tracking.tracker.NoTracker"}}
    assert resumed_configuration(composed, own, [])["tracker"] == composed["tracker"]


def test_a_run_that_this_account_wrote_may_name_any_class_until_it_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = RunFolder.create(tmp_path, "mine")
    rest: dict[str, Any] = {name: {} for name in (*CLINIC_SECTIONS, "agent_algorithm", "training")}
    folder.write_config({**rest, "reward_calculator": {"_target_": "beside_the_shell.Mine"}})
    folder.write_provenance(signed(folder))
    assert config_of_run(folder)["reward_calculator"]["_target_"] == "beside_the_shell.Mine"
    folder.write_config({**rest, "reward_calculator": {"_target_": "os.mkdir"}})
    with pytest.raises(InputError, match=r"names os\.mkdir"):
        config_of_run(folder)
    assert config_of_run(folder, trust=True)
    key = tmp_path / "state" / "abx-amr" / "key"
    assert key.stat().st_mode & 0o077 == 0


def test_a_configuration_without_its_sections_is_damaged(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "mine")
    folder.write_config({"training": {}})
    with pytest.raises(InputError, match="no section antibiotics"):
        config_of_run(folder)


def test_classes_of_the_project_and_of_listed_modules_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("components/rewards.py", "elsewhere/our_rewards.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("import os\n\nclass Mine: ...\n", encoding="utf-8")
    marker = tmp_path / "abx-project.yaml"
    marker.write_text("trusted: [our_rewards]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")

    def check(target: str) -> None:
        check_named_classes({"reward_calculator": {"_target_": target}}, where="sent")

    check("components.rewards.Mine")
    check("our_rewards.Mine")
    for target in ("components.rewards.os.mkdir", "our_rewards.os.mkdir"):
        with pytest.raises(InputError, match="trust=true"):
            check(target)
    marker.write_text("trusted: our_rewards\n", encoding="utf-8")
    with pytest.raises(InputError, match="trusted must list modules"):
        check("our_rewards.Mine")


def test_a_library_of_the_learners_own_reads_only_what_this_account_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "last.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("weights.bin", b"mine")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_checkpoint(file, state={}, agent=file.read_bytes())
    assert read_checkpoint(file).agent == file
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of_another"))
    sent = read_checkpoint(file)
    with pytest.raises(InputError, match="trust=true"):
        _ = sent.agent
    assert read_checkpoint(file, trust=True).agent == file


def test_a_pickle_is_read_without_a_class_being_found(mark: Path) -> None:
    found = read_inert(pickle.dumps({"a": [1.5, None], "b": Payload(mark)}))
    assert found["a"] == [1.5, None]
    assert isinstance(found["b"], Placeholder)
    assert not mark.exists()


@pytest.mark.parametrize("protocol", range(3, 6))
def test_arrays_are_read_from_a_pickle_of_any_protocol(protocol: int) -> None:
    for value in (
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array([True, False]),
        np.float64(0.1),
        np.arange(3, dtype=">i4"),
    ):
        found = read_inert(pickle.dumps(value, protocol=protocol))
        assert found.dtype == value.dtype
        np.testing.assert_array_equal(found, value)
    generator = pickle.dumps(np.random.default_rng(3), protocol=protocol)
    assert isinstance(read_inert(generator), Placeholder)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80", np.random.default_rng(0).bytes(64), pickle.dumps([1] * 99)[:-9]],
    ids=["empty", "its first byte", "random bytes", "cut off"],
)
def test_a_damaged_pickle_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="read as data"):
        read_inert(content)
