"""What of an installation and its surroundings works, may surprise, or fails: `abx doctor`."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from abx_amr.errors import InputError
from abx_amr.host import processors
from abx_amr.host.file_system import network_file_system
from abx_amr.host.versions import REPORTED, version_of

State = Literal["ok", "warn", "fail"]

LITTLE_ROOM_BYTES = 1_000_000_000
TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at; `said` and `cure` hold no secret."""

    about: str
    state: State
    message: str
    cure: str = ""


def examine() -> Iterator[Finding]:
    """Yield what is found, check by check; a check that breaks is a finding too."""
    checks: Sequence[Callable[[], Iterator[Finding]]] = (
        *(python, packages, torch_build, cores, numba_cache, folders, database, slurm),
        *(hydra_plugins, project),
    )
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # whatever breaks a check is what its user wants to know
            yield Finding(
                about=check.__name__.replace("_", " ")[:9],
                state="fail",
                message=f"the check itself failed: {type(error).__name__}: {error}",
                cure="please report it",
            )


def python() -> Iterator[Finding]:
    """Python's version against what the package asks for."""
    wanted = metadata.metadata("abx-amr")["Requires-Python"] or ""
    version = platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        yield Finding(about="python", state="ok", message=f"{version} (wanted {wanted})")
    else:
        yield Finding(
            about="python",
            state="fail",
            message=f"{version} is not {wanted}",
            cure="make an environment with such a Python and install there",
        )


def packages(requirements: Sequence[str] | None = None) -> Iterator[Finding]:
    """Every package that is required, against its range."""
    lines = metadata.requires("abx-amr") or [] if requirements is None else requirements
    wanted = [Requirement(line) for line in lines]
    wanted = [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    right = 0
    for requirement in wanted:
        found = version_of(requirement.name)
        if found is None:
            message = f"{requirement.name} is missing"
        elif not requirement.specifier.contains(found, prereleases=True):
            message = f"{requirement.name} {found} is not {requirement.specifier}"
        else:
            right += 1
            continue
        cure = f"pip install '{requirement.name}{requirement.specifier}'"
        yield Finding(about="packages", state="fail", message=message, cure=cure)
    yield Finding(
        about="packages",
        state="ok",
        message=f"{right} of {len(wanted)} required packages are in their ranges",
    )


def torch_build() -> Iterator[Finding]:
    """Whether torch can be imported, its threads, and the GPU."""
    try:
        import torch
    except Exception as error:  # a broken build raises whatever it likes
        yield Finding(
            about="torch",
            state="fail",
            message=f"cannot be imported: {(str(error).splitlines() or [''])[0]}",
            cure="pip install --force-reinstall torch",
        )
        return
    yield Finding(
        about="torch",
        state="ok",
        message=f"{torch.__version__}, {torch.get_num_threads()} threads unless told "
        "(training.torch_threads: one for abx-train, cores divided by workers for abx-tune)",
    )
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        message = f"{name}; the networks here are small: the processor is usually faster"
        yield Finding(about="gpu", state="ok", message=message)
    elif torch.version.cuda is None:
        message = "none used: this torch is built for the processor, which these networks need"
        yield Finding(about="gpu", state="ok", message=message)
    elif shutil.which("nvidia-smi"):
        yield Finding(
            about="gpu",
            state="warn",
            message=f"there is a driver, but torch (CUDA {torch.version.cuda}) finds no GPU",
            cure="nothing here needs one; ask for one (sbatch --gres=gpu:1), or update the driver",
        )
    else:
        yield Finding(about="gpu", state="ok", message="none; nothing here needs one")


def cores(
    *, environment: Mapping[str, str] | None = None, quota: float | None = None
) -> Iterator[Finding]:
    """How many processors a run will use, and whether they are this process's to use."""
    environment = os.environ if environment is None else environment
    used, machine, may = processors.available(), os.cpu_count() or 1, len(os.sched_getaffinity(0))
    quota = cgroup_quota() if quota is None else quota
    message = f"{used} used of the machine's {machine}"
    if environment.get("OMP_NUM_THREADS"):
        message += f" (OMP_NUM_THREADS={environment['OMP_NUM_THREADS']})"
    elif environment.get("SLURM_CPUS_PER_TASK") or environment.get("SLURM_CPUS_ON_NODE"):
        message += " (given by SLURM)"
    elif may < machine:
        message += " (the others are not this process's)"
    share = min(may, quota) if quota is not None else may
    if used > share:
        whole = max(1, int(share))
        yield Finding(
            about="cores",
            state="warn",
            message=f"{message}, but only {share:g} may be used at once: threads wait for each "
            "other",
            cure=f"export OMP_NUM_THREADS={whole}",
        )
    else:
        yield Finding(about="cores", state="ok", message=message)


def cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return how many processors a container may use at once, None where nothing limits it."""
    try:
        allowed, period = (root / "cpu.max").read_text().split()[:2]
        return None if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError):
        pass
    try:
        spent = int((root / "cpu/cpu.cfs_quota_us").read_text())
        return spent / int((root / "cpu/cpu.cfs_period_us").read_text()) if spent > 0 else None
    except (OSError, ValueError):
        return None


def numba_cache() -> Iterator[Finding]:
    """Whether compiled code is kept, without which every process compiles anew."""
    told = os.environ.get("NUMBA_CACHE_DIR")
    beside = Path(__file__).parent / "simulator" / "__pycache__"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"
    for place in [Path(told)] if told else [beside, home]:
        if refused(place) is None:
            kind = (
                "NUMBA_CACHE_DIR" if told else "beside the package" if place == beside else "home"
            )
            message = f"compiled code is kept ({kind}); `abx compile` or the first run compiles"
            yield Finding(about="numba", state="ok", message=message)
            return
    yield Finding(
        about="numba",
        state="warn",
        message="compiled code cannot be kept: every process compiles the clinic anew",
        cure="export NUMBA_CACHE_DIR=FOLDER, one that can be written",
    )


def folders() -> Iterator[Finding]:
    """Whether results can be written, on what kind of disk, and how much room is left."""
    here = Path.cwd()
    places = {
        "working folder": here,
        "results": here / "results",
        "optimization": here / "optimization",
        ".abx": here / ".abx",
        "TMPDIR": Path(tempfile.gettempdir()),
    }
    faults = {name: why for name, p in places.items() if (why := refused(p)) is not None}
    for name, why in faults.items():
        cure = (
            "export TMPDIR=FOLDER"
            if name == "TMPDIR"
            else "change to a folder of your own, or results_dir=FOLDER optimization_dir=FOLDER"
        )
        yield Finding(about="folders", state="fail", message=f"{name}: {why}", cure=cure)
    if not faults:
        yield Finding(about="folders", state="ok", message=f"{', '.join(places)} can be written")
    for name, place in (("working folder", here), ("TMPDIR", places["TMPDIR"])):
        if name in faults:
            continue
        free = shutil.disk_usage(existing(place)).free
        if free < LITTLE_ROOM_BYTES:
            yield Finding(
                about="disk",
                state="warn",
                message=f"{name}: {free / 1e6:.0f} MB are free",
                cure="free some space, or choose a folder on another disk",
            )
    kind = network_file_system(here)
    if kind is None:
        yield Finding(about="disk", state="ok", message="the working folder is on a local disk")
    else:
        yield Finding(
            about="disk",
            state="warn",
            message=f"the working folder is on a network disk ({kind}): storage=sqlite is refused",
            cure="storage=journal or storage=postgres, or a local optimization_dir=FOLDER",
        )


def existing(place: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    return next(p for p in (place, *place.parents) if p.exists())


def refused(place: Path) -> str | None:
    """Return why nothing can be written to a folder (or where it would be made), None if it can."""
    there = existing(place)
    if not there.is_dir():
        return f"{there.name} is a file"
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"x")
    except OSError as error:
        return error.strerror or "cannot be written"
    return None


def database() -> Iterator[Finding]:
    """Whether PG_* name a server that answers, and whether one could be started here."""
    from abx_amr.host.postgres.connection import PostgresConnection

    try:
        there = PostgresConnection.from_environment()
    except InputError as error:
        yield Finding(about="database", state="fail", message=str(error), cure="export it anew")
    else:
        if os.environ.get("PG_HOST") or os.environ.get("PG_PORT"):
            yield _reached(there)
        else:
            yield Finding(
                about="database",
                state="ok",
                message="PG_HOST is not set: sqlite and journal need no server",
            )
    from abx_amr.host.postgres.account import server_account
    from abx_amr.host.postgres.programs import find_programs

    try:
        found = find_programs(None, account=server_account())
        yield Finding(
            about="database", state="ok", message=f"PostgreSQL {found.version} can be started"
        )
    except InputError as error:
        yield Finding(
            about="database", state="ok", message=f"no server can be started here: {error}"
        )


def _reached(there: object) -> Finding:
    from typing import Any

    import psycopg2

    where: Any = there
    try:
        psycopg2.connect(
            host=where.host,
            port=where.port,
            user=where.user,
            dbname=where.database,
            connect_timeout=max(2, int(TIMEOUT_SECONDS)),
            **where.secret,
        ).close()
    except psycopg2.Error as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return Finding(
            about="database",
            state="fail",
            message=f"port {where.port} of the server in PG_HOST: {reason}",
            cure='eval "$(abx-postgres up)", or unset PG_HOST PG_PORT',
        )
    return Finding(about="database", state="ok", message=f"the server at port {where.port} answers")


def slurm() -> Iterator[Finding]:
    """Whether jobs can be submitted from here, and where they would go."""
    missing = [p for p in ("sbatch", "sinfo") if shutil.which(p) is None]
    if missing:
        yield Finding(
            about="slurm",
            state="ok",
            message=f"{' and '.join(missing)} not found: jobs are submitted on a cluster's login "
            "node",
        )
        return
    version = _answer("sbatch", "--version")
    partitions = _answer("sinfo", "--noheader", "--format=%P")
    if version is None or partitions is None:
        yield Finding(
            about="slurm",
            state="warn",
            message="sbatch and sinfo are there, but the controller does not answer",
            cure="try `sinfo`; ask the cluster's staff",
        )
        return
    names = partitions.split()
    default = next((n.rstrip("*") for n in names if n.endswith("*")), None)
    if default is None:
        yield Finding(
            about="slurm",
            state="warn",
            message=f"{version}, no default partition (there are {', '.join(names) or 'none'})",
            cure="name one: hydra.launcher.partition=NAME",
        )
    else:
        yield Finding(about="slurm", state="ok", message=f"{version}, default partition {default}")


def _answer(*command: str) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


#: Hydra's plugins: module -> what it is for, and the package that brings it.
PLUGINS = {
    "hydra_plugins.abx_sweeper": ("the search of abx-tune", "abx-amr"),
    "hydra_plugins.abx_searchpath": ("files of a project and of -s", "abx-amr"),
    "hydra_plugins.hydra_joblib_launcher": ("hydra/launcher=joblib", "hydra-joblib-launcher"),
    "hydra_plugins.hydra_submitit_launcher": (
        "hydra/launcher=submitit_slurm",
        "hydra-submitit-launcher",
    ),
}


def hydra_plugins() -> Iterator[Finding]:
    """Whether Hydra can find the plugins that the commands use."""
    missing = {m: what for m, what in PLUGINS.items() if not _can_be_found(m)}
    for module, (what, package) in missing.items():
        yield Finding(
            about="hydra",
            state="fail",
            message=f"{module} is missing ({what})",
            cure=f"pip install --force-reinstall --no-deps {package}",
        )
    if not missing:
        extra = _can_be_found("hydra_plugins.hydra_optuna_sweeper")
        message = f"{len(PLUGINS)} plugins found; hydra-optuna-sweeper (an extra) is"
        yield Finding(
            about="hydra", state="ok", message=f"{message} {'there' if extra else 'not there'}"
        )


def _can_be_found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def project() -> Iterator[Finding]:
    """Whether the working folder lies in a project of `abx-init`."""
    if importlib.util.find_spec("abx_amr.host.locations") is None:
        return
    find_project = importlib.import_module("abx_amr.host.locations").find_project
    found = find_project()
    if found is None:
        message = "none here: the packaged configuration is used (abx-init DIR makes one)"
    else:
        message = f"found, with files in {', '.join(found.groups()) or 'no group'}"
    yield Finding(about="project", state="ok", message=message)


def report(findings: Sequence[Finding]) -> str:
    """Return what belongs in a bug report: versions and what is not ok; no names of users."""
    versions = ", ".join(f"{name} {version_of(name) or 'missing'}" for name in REPORTED)
    lines = [
        f"python {platform.python_version()}, {platform.system()} {platform.release()} "
        f"{platform.machine()}, {sys.implementation.name}",
        versions,
        *(
            f"{f.state}: {f.about}: {f.message}"
            for f in findings
            if f.about in _TOLD or f.state != "ok"
        ),
    ]
    return without_names("\n".join(lines))


_TOLD = ("torch", "gpu", "cores", "slurm")


def without_names(text: str) -> str:
    """Return text with the home folder, the working folder and the user left out."""
    for path, name in ((str(Path.cwd()), "."), (str(Path.home()), "~")):
        if len(path) > 1:
            text = text.replace(path, name)
    user = os.environ.get("USER") or os.environ.get("LOGNAME") or ""
    return text.replace(f"user {user}", "user USER") if user else text
