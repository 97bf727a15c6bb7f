"""What release 0.1 left on disk opens, goes on and gives the same bits.

data/ was made by release 0.1: half of a study in each storage, run folders with their checkpoints.
expected.json holds what 0.1 itself made of them next, and the machine that it did so on: on
another processor, or with other versions of what computes, an agent learns other bits, and only
the structure is compared.
"""

import hashlib
import json
import math
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest

from abx_amr.cli import evaluate, train, tune
from tests.cli.conftest import Call, call  # noqa: F401
from tests.services import Database

DATA = Path(__file__).parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
CLINIC = (
    "experiment=paper_two",
    "environment.max_time_steps=40",
    "training.n_envs=2",
    "training.num_eval_episodes=4",
)
STUDY = (
    "-m",
    "+tuning=ppo_tutorial",
    *CLINIC,
    "agent_algorithm.policy_kwargs.net_arch=[8]",
    "tuning.n_trials=4",
    "tuning.n_seeds_per_trial=2",
    "tuning.truncated_episodes=8",
    "~tuning.search_space.n_steps",
    "agent_algorithm.n_steps=64",
    "figures=false",
)


def this_machine() -> dict[str, str]:
    """Return what the last bits of a training depend on."""
    about = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    lines = dict(line.split(":", 1) for line in about.splitlines() if ":" in line)
    stripped = {name.strip(): value.strip() for name, value in lines.items()}
    features = " ".join(sorted(stripped.get("flags", platform.machine()).split()))
    return {
        "processor": stripped.get("model name", platform.machine()),
        "features": hashlib.sha256(features.encode()).hexdigest()[:12],
        **{name: version(name) for name in ("numpy", "torch", "numba", "stable-baselines3")},
    }


IS_SAME_MACHINE = this_machine() == EXPECTED["machine"]


def restore_database(database: Database) -> None:
    """Fill the test's empty database with the study that 0.1 left in PostgreSQL."""
    with database.cursor() as cursor:
        cursor.execute((DATA / "half_postgres.sql").read_text(encoding="utf-8"))


@pytest.fixture(params=["sqlite", "journal", "postgres"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Half a study of each storage, where a command called by `call` finds it."""
    name = request.param
    if name == "postgres":
        restore_database(request.getfixturevalue("postgres"))
    shutil.copytree(DATA / f"half_{name}", tmp_path / "optimization" / f"half_{name}")
    return name


def test_a_study_goes_on_and_ends_as_release_0_1_would_have_ended_it(
    storage: str,
    call: Call,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = tmp_path / "optimization" / f"half_{storage}"
    ended = call(tune.main, *STUDY, f"run_name=half_{storage}", f"storage={storage}")
    assert ended.status == 0, ended.err
    assert "(joined)" in ended.out
    summary = json.loads((folder / "study_summary.json").read_text(encoding="utf-8"))
    assert (summary["n_finished"], summary["budget"]) == (4, 4)
    values = {
        number: {
            seed: json.loads((file / "result.json").read_text("utf-8"))["episode_return"]
            for seed, file in ((f.name, f) for f in sorted((folder / "trials" / number).iterdir()))
        }
        for number in ("0", "1", "2", "3")
    }
    expected = EXPECTED["studies"][storage]
    assert {n: values[n] for n in ("0", "1")} == {n: expected["returns"][n] for n in ("0", "1")}
    if IS_SAME_MACHINE:
        assert values == expected["returns"]
        best = json.loads((folder / "best_params.json").read_text(encoding="utf-8"))
        assert best == expected["best_params"]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The run folders that 0.1 left, where a command called by `call` finds them."""
    return Path(shutil.copytree(DATA / "results", tmp_path / "results"))


@pytest.mark.parametrize("name", sorted(EXPECTED["resumed"]))
def test_a_run_goes_on_from_its_checkpoint_to_the_same_bits(
    name: str,
    runs: Path,
    call: Call,  # noqa: F811
) -> None:
    ended = call(
        train.main,
        f"resume_from={name}",
        "training.additional_episodes=4",
        "run_name=more",
        "figures=false",
    )
    assert ended.status == 0, ended.err
    (folder,) = runs.glob("more_*")
    table = pd.read_csv(folder / "evaluations.csv")
    expected = pd.DataFrame(EXPECTED["resumed"][name])
    assert table["transitions"].unique().tolist() == expected["transitions"].unique().tolist()
    if IS_SAME_MACHINE:
        assert table["episode_return"].tolist() == expected["episode_return"].tolist()


@pytest.mark.parametrize("name", sorted(EXPECTED["evaluated"]))
def test_a_run_is_evaluated_to_the_same_returns(
    name: str,
    runs: Path,
    call: Call,  # noqa: F811
) -> None:
    ended = call(
        evaluate.main,
        f"run={name}",
        "run_name=again",
        "evaluation.episodes=20",
        "figures=false",
    )
    assert ended.status == 0, ended.err
    (folder,) = runs.glob("again_*")
    mean = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["mean_return"]
    expected = EXPECTED["evaluated"][name]
    assert mean == expected if IS_SAME_MACHINE else math.isclose(mean, expected, abs_tol=3.0)


def test_the_best_parameters_of_a_study_train_an_agent(
    call: Call,  # noqa: F811
    tmp_path: Path,
) -> None:
    shutil.copytree(DATA / "half_sqlite", tmp_path / "optimization" / "half_sqlite")
    ended = call(
        train.main,
        "best_params_from=half_sqlite",
        *CLINIC,
        "agent_algorithm.policy_kwargs.net_arch=[8]",
        "agent_algorithm.n_steps=64",
        "training.total_num_training_episodes=2",
        "figures=false",
    )
    assert ended.status == 0, ended.err
    best = json.loads((DATA / "half_sqlite" / "best_params.json").read_text(encoding="utf-8"))
    (folder,) = (tmp_path / "results").glob("half_sqlite_optimized_*")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["tuned_values"] == best
