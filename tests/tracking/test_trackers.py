"""Every tracker keeps what it is told, and none stops a training.

A new tracker is one line in MEMBERS.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from abx_amr.cli import train, tune
from abx_amr.configuration.composing import compose
from abx_amr.configuration.tracker import build_tracker
from abx_amr.errors import InputError
from abx_amr.runs.folder import newest_run
from abx_amr.tracking.guarded import GuardedTrack
from abx_amr.tracking.tracker import NoTracker, Status, Track, TrackedSeed, Tracker
from tests.cli.conftest import SMALL_STUDY, Call, call
from tests.tracking import reading
from tests.tracking.reading import Kept

__all__ = ["call"]

#: tracker -> what else is said, and how what it kept below a folder is read.
MEMBERS: dict[str, tuple[tuple[str, ...], Callable[[Path], dict[str, Kept]]]] = {
    "csv": (("tracker.folder={}",), reading.of_csv),
    "tensorboard": (("tracker.folder={}",), reading.of_tensorboard),
    "mlflow": (("tracker.uri=sqlite:///{}/runs.db",), lambda f: reading.of_mlflow(database(f))),
    "wandb": (("tracker.folder={}",), reading.of_wandb),
}


def database(folder: Path) -> str:
    return f"sqlite:///{folder}/runs.db"


def tracker(member: str, *more: str) -> Tracker:
    return build_tracker(compose("train", [f"tracker={member}", *more]).plain)


def seed(number: int, **more: str) -> TrackedSeed:
    return TrackedSeed(
        **{"study": "mine", "trial": "trial_3", "name": f"seed_{number}"} | more,
        seed=number,
        settings={"training.seed": number, "agent_algorithm.gamma": 0.5, "agent_algorithm.x": "y"},
    )


def told(follows: Tracker) -> None:
    """Tell a tracker of two seeds side by side, of which the second fails."""
    tracks = [follows.open(seed(number)) for number in (1, 2)]
    for transitions, value in ((10, 1.5), (20, 2.5)):
        for track in tracks:
            track.log({"train/mean_return": value, "other": -value}, transitions=transitions)
    tracks[0].end({"mean_return": 3.5}, status="finished")
    tracks[1].end({}, status="failed")


def holds_what_was_told(found: dict[str, Kept]) -> None:
    assert set(found) == {"seed_1", "seed_2"}
    for number, kept in enumerate((found["seed_1"], found["seed_2"]), start=1):
        assert kept.values == {
            ("train/mean_return", 10): 1.5,
            ("train/mean_return", 20): 2.5,
            ("other", 10): -1.5,
            ("other", 20): -2.5,
        }
        assert kept.settings["agent_algorithm.gamma"] == "0.5"
        assert kept.settings["agent_algorithm.x"] == "y"
        assert kept.tags == {"study": "mine", "trial": "trial_3", "seed": str(number)}
    assert found["seed_1"].results == {"mean_return": 3.5}
    assert [found[name].failed for name in ("seed_1", "seed_2")] == [False, True]


@pytest.mark.filterwarnings("default")  # of the tools themselves
@pytest.mark.parametrize("member", MEMBERS)
def test_it_keeps_what_it_is_told_of_each_seed(member: str, tmp_path: Path) -> None:
    said, read = MEMBERS[member]
    told(tracker(member, *(one.format(tmp_path) for one in said)))
    holds_what_was_told(read(tmp_path))


def test_every_shipped_tracker_is_tested() -> None:
    from abx_amr.configuration.groups import conf_dir

    shipped = {file.stem for file in (conf_dir() / "tracker").glob("*.yaml")}
    assert shipped == {*MEMBERS, "none"}
    assert isinstance(tracker("none"), NoTracker)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of MLflow, whose tables are made before it is asked."""
    assert reading.of_mlflow(database(tmp_path)) == {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "flask",
                "--app",
                "mlflow.server:app",
                "run",
                "--port",
                str(port),
            ],
            env={
                **os.environ,
                "_MLFLOW_SERVER_FILE_STORE": database(tmp_path),
                "_MLFLOW_SERVER_ARTIFACT_ROOT": str(tmp_path / "artifacts"),
            },
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        give_up = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (tmp_path / "server.log").read_text()
                assert time.monotonic() < give_up, (tmp_path / "server.log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_server_of_mlflow_keeps_what_it_is_told(server: str) -> None:
    told(tracker("mlflow", f"tracker.uri={server}"))
    holds_what_was_told(reading.of_mlflow(server))


# --- in trainings --------------------------------------------------------------------------------

TINY = (
    *("environment.max_time_steps=16", "training.n_envs=2", "training.num_eval_episodes=3"),
    *("agent_algorithm.n_steps=16", "agent_algorithm.batch_size=8", "figures=false"),
    *("agent_algorithm.policy_kwargs.net_arch=[4]", "training.total_num_training_episodes=8"),
    *("training.eval_freq_every_n_episodes=4", "report=false"),
)


def test_every_seed_of_a_training_is_followed_under_the_run_s_name(
    call: Call, tmp_path: Path
) -> None:
    ended = call(train.main, *TINY, "tracker=csv", "training.seeds=[1,2]", "run_name=mine")
    assert ended.status == 0, ended.err
    found = reading.of_csv(tmp_path / "tracking")
    assert set(found) == {"mine_seed1", "mine_seed2"}
    for number, kept in enumerate((found["mine_seed1"], found["mine_seed2"]), start=1):
        assert kept.tags == {"study": "mine", "seed": str(number)}
        names = {name for name, _ in kept.values}
        assert names == {"train/mean_return", "eval/mean_return", "eval/best_return"}
        assert [t for name, t in kept.values if name == "eval/mean_return"] == [64, 128]
        assert kept.results["mean_return"] == kept.values["eval/mean_return", 128]
        assert kept.settings["training.seed"] == str(number)
        assert kept.settings["agent_algorithm.n_steps"] == "16"
        assert not kept.failed


def test_every_seed_of_a_study_is_followed_under_its_trial(call: Call, tmp_path: Path) -> None:
    ended = call(tune.main, *SMALL_STUDY, "tracker=csv", "run_name=studied", "tuning.n_trials=2")
    assert ended.status == 0, ended.err
    places = sorted(
        file.parent.relative_to(tmp_path / "tracking").as_posix()
        for file in (tmp_path / "tracking").rglob("about.json")
    )
    assert places == [f"studied/trial_{t}/seed_{s}" for t in (0, 1) for s in (1000, 1001)]
    again = call(tune.main, *SMALL_STUDY, "run_name=studied", "tuning.n_trials=2")
    assert again.status == 0, "another tracker is no other study"


class Broken(Tracker):
    """Fails at its second value, after `first` of them."""

    def open(self, tracked: TrackedSeed) -> Track:
        return BrokenTrack()


class BrokenTrack(Track):
    def __init__(self) -> None:
        self.told = 0

    def log(self, values: object, *, transitions: int) -> None:
        self.told += 1
        if self.told > 1:
            raise ConnectionError("nobody\nlistens")

    def end(self, values: object, *, status: Status) -> None:
        raise AssertionError("ended after it failed")


def test_a_tracker_that_fails_changes_nothing_in_a_training(
    call: Call, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = f"tracker._target_={__name__}.Broken"
    for name, said in (("plain", ()), ("followed", (broken,))):
        ended = call(train.main, *TINY, *said, f"run_name={name}")
        assert ended.status == 0, ended.err
    tables = [
        newest_run("results", name).evaluations_file.read_bytes() for name in ("plain", "followed")
    ]
    assert tables[0] == tables[1]
    warned = [
        line for line in f"{ended.out}{ended.err}".splitlines() if "no longer tracked" in line
    ]
    assert warned == [
        "followed/followed is no longer tracked, its training goes on: ConnectionError: nobody"
    ]


@pytest.mark.filterwarnings("default")
def test_a_server_that_is_not_there_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="abx_amr"):
        track = GuardedTrack(tracker("mlflow", "tracker.uri=http://127.0.0.1:9"), seed(1))
        track.log({"x": 1.0}, transitions=1)
        track.end({}, status="finished")
    assert not track.is_followed
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("abx_amr")]
    assert len(lines) == 1
    assert "mine/trial_3/seed_1 is no longer tracked" in lines[0]
    assert "\n" not in lines[0]


def test_what_is_not_finite_is_not_told() -> None:
    heard: list[dict[str, float]] = []

    class Hears(Tracker):
        def open(self, tracked: TrackedSeed) -> Track:
            return Heard()

    class Heard(Track):
        def log(self, values: object, *, transitions: int) -> None:
            heard.append(dict(values))  # type: ignore[call-overload]

        def end(self, values: object, *, status: Status) -> None:
            heard.append(dict(values))  # type: ignore[call-overload]

    track = GuardedTrack(Hears(), seed(1))
    track.log({"a": float("nan"), "b": 1.0}, transitions=1)
    track.log({"a": float("inf")}, transitions=2)
    track.end({"c": float("nan")}, status="finished")
    track.end({"c": 2.0}, status="failed")
    assert heard == [{"b": 1.0}, {}]


@pytest.mark.parametrize(("member", "module"), [("mlflow", "mlflow"), ("wandb", "wandb")])
def test_a_library_that_is_missing_is_said_with_what_installs_it(
    member: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"needs {module}.*pip install 'abx-amr\[{member}\]'"):
        tracker(member)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["tracker=mlfow"], "did you mean 'mlflow'"),
        (["tracker=wandb", "tracker.mode=onlin"], "tracker.mode"),
        (["tracker=csv", "tracker.foldr=x"], "foldr"),
        (["tracker._target_=fractions.Fraction"], "must name a Tracker"),
    ],
)
def test_a_tracker_that_cannot_be_is_refused_in_one_line(
    overrides: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        build_tracker(compose("train", overrides).plain)
    assert "\n" not in str(refused.value)
