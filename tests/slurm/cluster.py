"""A real SLURM cluster of one node on loopback, started and stopped by the tests themselves."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.services import lacking

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")
#: More than the machine has: SLURM only counts them.
CPUS = 8

CONFIGURATION = """\
ClusterName=abx
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
MpiDefault=none
KillWait=20
MinJobAge=300
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=100000 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """A running cluster; `environment` leads SLURM's commands to it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs beside its own environment."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "OMP_NUM_THREADS": "1"}

    def run(self, *command: str, check: bool = True) -> str:
        """Return what one of SLURM's commands says."""
        ended = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **self.environment},
        )
        assert not check or ended.returncode == 0, (command, ended.stderr)
        return ended.stdout.strip()

    def tasks(self, job: str) -> dict[str, str]:
        """Return task -> state of what is in the queue of a job or array, e.g. 5_1 -> RUNNING."""
        message = self.run("squeue", "--noheader", "--format=%i %T", "--array", "--job", job)
        return dict(line.split() for line in message.splitlines())

    def wait_for(self, job: str, *, seconds: float = 240) -> None:
        """Wait until nothing of a job or array is left."""
        until(lambda: not self.tasks(job), seconds=seconds, what=f"the end of {job}")

    def requeue(self, task: str) -> None:
        """Queue a running task again and let it begin soon, not after SLURM's two minutes."""
        self.run("scontrol", "requeue", task)
        self.begin_again(task)

    def begin_again(self, task: str) -> None:
        """Let a task begin soon that is on its way to be queued again.

        A node refuses a job ("Job credential revoked") that begins within the clock's second in
        which its last start was ended, so that it begins in a later one.
        """
        job = task.split("_")[0]
        until(lambda: self.tasks(job).get(task) == "PENDING", what=f"the requeue of {task}")
        self.run("scontrol", "update", f"JobId={task}", "StartTime=now+2")
        until(lambda: self.tasks(job).get(task) != "PENDING", what=f"another start of {task}")

    def exit_status(self, job: str) -> int:
        """Return with which status a job has ended, which the controller knows for a while."""
        fields = dict(
            field.split("=", 1)
            for field in self.run("scontrol", "show", "job", job).split()
            if "=" in field
        )
        return int(fields["ExitCode"].split(":")[0])


def until(is_so: Callable[[], bool], *, what: str, seconds: float = 120) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"{what} did not come within {seconds:.0f} s"
        time.sleep(0.2)


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Give a cluster of one's own, stopped at the end with all its jobs; without programs, skip."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS))
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        lacking(
            f"SLURM is not installed: no {', '.join(missing)} (apt-get install slurm-wlm munge)"
        )
    if os.geteuid() != 0:
        lacking("a SLURM node runs its jobs as root: these tests need to be root")
    folder = Path(tempfile.mkdtemp(prefix="abx-slurm-"))
    folder.chmod(0o755)  # munge refuses a socket that others cannot reach
    daemons: list[subprocess.Popen[bytes]] = []
    cluster = Cluster(folder)

    def start(*command: str) -> None:
        program = shutil.which(command[0], path=path)
        assert program is not None
        with (folder / f"{command[0]}.out").open("ab") as output:
            daemons.append(
                subprocess.Popen(
                    [program, *command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env={**os.environ, **cluster.environment},
                    start_new_session=True,
                )
            )

    try:
        _prepare(folder)
        start(
            "munged", "--foreground", "--num-threads=1", "--key-file=munge.key",
            f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
            f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
        )  # fmt: skip
        until((folder / "munge.socket").exists, what="munge", seconds=30)
        start("slurmctld", "-D", "-c")
        start("slurmd", "-D", "-N", socket.gethostname().split(".")[0])
        until(
            lambda: "idle" in cluster.run("sinfo", "--noheader", "--format=%T", check=False),
            what="the cluster's node",
            seconds=60,
        )
        yield cluster
    finally:
        if len(daemons) > 2:
            cluster.run("scancel", "--user=root", check=False)
            cluster.run("scancel", "--user=root", "--full", "--signal=KILL", check=False)
            _patient(lambda: not cluster.run("squeue", "--noheader", check=False), seconds=20)
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in reversed(daemons):
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(timeout=20)
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    values: Mapping[str, object] = {
        "host": socket.gethostname().split(".")[0],
        "folder": folder,
        "user": "root",
        "cpus": CPUS,
        "controller_port": _free_port(),
        "node_port": _free_port(),
    }
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**values), encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _patient(is_so: Callable[[], bool], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.2)
