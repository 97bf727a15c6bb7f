"""The templates in slurm/: shellchecked, and run as they are with the real abx-tune."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from abx_amr.host.postgres.account import server_account
from abx_amr.host.postgres.programs import find_programs
from tests.cli.conftest import SMALL_STUDY
from tests.services import lacking, server_folder
from tests.slurm.cluster import Cluster, until
from tests.slurm.studies import check_exact, running_in, trials_in

FOLDER = Path(__file__).parents[2] / "slurm"
TEMPLATES = sorted(FOLDER.glob("*.sh"))
STUDY = (*SMALL_STUDY[1:], "run_name=small")
#: Long enough to be found in mid-trial: some seconds.
LONG = "tuning.truncated_episodes=1000"


def environment(cluster: Cluster | None = None, **more: str) -> dict[str, str]:
    """Return an environment with our commands, the cluster and no server but one's own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG_", "PGPASS", "SLURM_"))}
    commands = Path(sys.executable).parent
    return {
        **kept,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "ABX_PAGE_WHOLE": "1",  # where the commands are those of pages: no other sizes
        **(cluster.environment if cluster else {}),
        **more,
    }


def submitted(folder: Path, cluster: Cluster, *command: str, **more: str) -> str:
    """Return what a command says that submits jobs."""
    ended = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(cluster, **more),
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def outputs(folder: Path) -> str:
    return "\n".join(file.read_text() for file in sorted(folder.glob("*.out")))


def needs_postgres() -> None:
    try:
        find_programs(None, account=server_account())
    except Exception as error:
        lacking(str(error))


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder for a database that the server's own user may reach."""
    with server_folder() as folder:
        yield str(folder / "postgres")


def servers_in(folder: str) -> list[str]:
    found = subprocess.run(["pgrep", "--full", folder], check=False, capture_output=True, text=True)
    return found.stdout.split()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_a_template_is_shellchecked_short_and_says_how_it_is_used(template: Path) -> None:
    if shutil.which("shellcheck") is None:
        lacking("shellcheck is not installed (apt-get install shellcheck)")
    ended = subprocess.run(
        ["shellcheck", str(template)], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout
    text = template.read_text()
    assert len(text.splitlines()) <= 120
    assert re.search(rf"^# +\w+ .*slurm/{template.name} \+tuning=", text, re.MULTILINE)
    assert "# Environment, with defaults:" in text
    if "#SBATCH" in text:
        for line in ("##SBATCH --account=", "##SBATCH --partition=", "# module load"):
            assert line in text


@pytest.mark.usefixtures("warm_python")
def test_an_array_on_a_journal_file_survives_a_cancelled_and_a_requeued_task(
    tmp_path: Path, cluster: Cluster
) -> None:
    job = submitted(
        tmp_path, cluster, "sbatch", "--parsable", "--array=0-2", str(FOLDER / "array_journal.sh"),
        *STUDY, LONG, "tuning.n_trials=4", "tuning.n_seeds_per_trial=1",
    )  # fmt: skip
    study = tmp_path / "optimization/small"
    until(lambda: len(running_in(study)) >= 2, what="two running trials")
    cancelled, requeued, *_ = sorted(running_in(study))
    cluster.run("scancel", cancelled)
    cluster.requeue(requeued)
    cluster.wait_for(job)
    trials = trials_in(study)
    check_exact(trials, 4)
    assert [t.user_attrs["failure"] for t in trials if t.state.name == "FAIL"]
    assert (study / "best_params.json").is_file()
    assert "small" in (tmp_path / "optimization/.optimization_completed.txt").read_text()
    assert "Traceback" not in outputs(tmp_path)


def one_job(folder: Path, cluster: Cluster, disk: str, *, n_trials: int) -> str:
    """Return what a job with two workers and a server says, which ended well."""
    job = submitted(
        folder, cluster, "sbatch", "--parsable", "--cpus-per-task=2",
        str(FOLDER / "one_job.sh"), *STUDY, f"tuning.n_trials={n_trials}", DATA_DIR=disk,
    )  # fmt: skip
    cluster.wait_for(job)
    assert cluster.exit_status(job) == 0, outputs(folder)
    assert not servers_in(disk)
    return (folder / f"abx-study_{job}.out").read_text()


@pytest.mark.slow
def test_one_job_has_its_own_server_which_ends_after_the_last_worker(
    tmp_path: Path, cluster: Cluster, disk: str
) -> None:
    needs_postgres()
    assert "4 trials finished of 4" in one_job(tmp_path, cluster, disk, n_trials=4)
    assert (tmp_path / ".abx/one_job/study.dump").stat().st_size > 0
    assert (tmp_path / "optimization/small/best_params.json").is_file()


@pytest.mark.slow
def test_one_job_goes_on_where_the_disk_of_another_node_knows_nothing(
    tmp_path: Path, cluster: Cluster, disk: str
) -> None:
    needs_postgres()
    one_job(tmp_path, cluster, disk, n_trials=2)
    shutil.rmtree(disk)
    message = one_job(tmp_path, cluster, disk, n_trials=4)
    assert "(joined)" in message
    assert "4 trials finished of 4" in message


@pytest.mark.slow
def test_a_job_that_is_cancelled_keeps_its_study_and_stops_its_server(
    tmp_path: Path, cluster: Cluster, disk: str
) -> None:
    needs_postgres()
    job = submitted(
        tmp_path, cluster, "sbatch", "--parsable", "--cpus-per-task=1",
        str(FOLDER / "one_job.sh"), *STUDY, "tuning.truncated_episodes=20000", "tuning.n_trials=4",
        DATA_DIR=disk,
    )  # fmt: skip
    until((tmp_path / "optimization/small/trials").exists, what="a trial")
    cluster.run("scancel", job)
    cluster.wait_for(job)
    assert not servers_in(disk)
    assert (tmp_path / ".abx/one_job/study.dump").stat().st_size > 0
    assert "Traceback" not in outputs(tmp_path)


@pytest.mark.slow
def test_an_array_shares_a_server_job_which_ends_after_the_last_worker(
    tmp_path: Path, cluster: Cluster, disk: str
) -> None:
    needs_postgres()
    message = submitted(
        tmp_path, cluster, "bash", str(FOLDER / "array_postgres.sh"), *STUDY, LONG,
        "tuning.n_trials=8", WORKERS="3", DATA_DIR=disk,
    )  # fmt: skip
    found = re.search(r"server (\d+), workers (\d+)", message)
    assert found is not None, message
    server, array = found.groups()
    trials = tmp_path / "optimization/small/trials"
    until(lambda: len(list(trials.glob("*"))) >= 3, what="three trials")
    cluster.run("scancel", f"{array}_1")
    cluster.requeue(f"{array}_2")
    cluster.wait_for(array)
    cluster.wait_for(server, seconds=60)
    assert cluster.exit_status(server) == 0, outputs(tmp_path)
    assert "8 trials finished of 8" in outputs(tmp_path)
    assert (tmp_path / "optimization/small/best_params.json").is_file()
    assert (tmp_path / ".abx/array_postgres/study.dump").stat().st_size > 0
    assert not servers_in(disk)
    assert "Traceback" not in outputs(tmp_path)


@pytest.mark.parametrize(
    "tsp",
    [
        pytest.param("tsp", id="task-spooler", marks=pytest.mark.slow),
        pytest.param("", id="plain processes", marks=pytest.mark.slow),
    ],
)
def test_local_workers_share_a_study_and_hand_on_their_status(tmp_path: Path, tsp: str) -> None:
    if tsp and shutil.which(tsp) is None:
        lacking("task-spooler is not installed (apt-get install task-spooler)")
    command = ["bash", str(FOLDER / "local_workers.sh"), *STUDY]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(TSP=tsp),
            timeout=200,
        )

    ended = run("tuning.n_trials=5")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    check_exact(trials_in(tmp_path / "optimization/small"), 5)
    refused = run("tuning.n_trials=6", "tuning.n_seeds_per_trial=3")
    assert refused.returncode == 2
    assert "Configuration Mismatch Detected" in refused.stdout

    process = subprocess.Popen(
        [*command, "tuning.n_trials=9", "run_name=stopped", "tuning.truncated_episodes=100000"],
        cwd=tmp_path,
        env=environment(TSP=tsp),
    )
    study = tmp_path / "optimization/stopped"
    until(lambda: sum(t.state.name == "RUNNING" for t in trials_in(study)) == 2, what="two trials")
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    states = [trial.state.name for trial in trials_in(study)]
    assert (states.count("RUNNING"), states.count("FAIL"), states.count("WAITING")) == (0, 2, 2)
