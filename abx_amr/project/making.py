"""Which files a new project consists of, and writing them: all, or none."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_text
from abx_amr.host.locations import MARKER, is_everybodys, packaged

#: Groups whose packaged files describe a clinic or a study: a project has its own copies.
COPIED_GROUPS = (
    "experiment",
    "antibiotics",
    "patient_generator",
    "environment",
    "reward_calculator",
    "option_library",
    "tuning",
)
#: Inherited by the copies: a copy would lack the settings that a later version adds.
INHERITED = frozenset({"tuning/base.yaml"})
#: Names that would act upon the package itself if they were called so there.
_RENAMED = {"gitignore": ".gitignore"}
#: Files a refusal names before it only counts them.
MOST_NAMED = 8

#: Path in the project -> its text.
Files = dict[str, str]


def project_files() -> Files:
    """Return the files of a new project: copies of packaged configuration, examples, templates."""
    files: Files = {}
    conf = packaged("conf")
    for group in COPIED_GROUPS:
        for file in sorted((conf / group).glob("*.yaml")):
            if f"{group}/{file.name}" not in INHERITED:
                files[f"conf/{group}/{file.name}"] = file.read_text(encoding="utf-8")
    for script in sorted(packaged("slurm").glob("*.sh")):
        files[f"slurm/{script.name}"] = script.read_text(encoding="utf-8")
    template = Path(__file__).resolve().parent / "template"
    for file in sorted(template.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            name = file.relative_to(template).as_posix()
            files[_RENAMED.get(name, name)] = file.read_text(encoding="utf-8")
    return files


def write_files(root: Path, files: Mapping[str, str], *, overwrite: bool) -> list[str]:
    """Write `files` below `root`; return the names of those that were there before.

    Nothing is written, and nothing left behind, where one of them cannot be.

    Raises:
        InputError: a file exists and `overwrite` is false, or the place is not fit.
    """
    _check_place(root, files)
    there = [name for name in files if (root / name).exists()]
    if there and not overwrite:
        named = ", ".join(there[:MOST_NAMED])
        more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
        raise InputError(
            f"{root} holds {named}{more} already and nothing was written: "
            "choose another folder, or --force to write them anew"
        )
    mark = secrets.token_hex(4)
    moves = [_Move.of(root / name, mark) for name in files]
    new_folders: list[Path] = []
    try:
        for move, text in zip(moves, files.values(), strict=True):
            for folder in _missing_folders(move.path.parent):
                new_folders.append(folder)
                folder.mkdir(exist_ok=True)
            write_text(move.written, text)
            if move.path.exists():
                shutil.copy2(move.path, move.before)
        for move in moves:
            os.replace(move.written, move.path)
    except BaseException as error:  # Ctrl-C too
        for move in moves:
            move.take_back()
        for folder in reversed(new_folders):
            with suppress(OSError):  # somebody has put a file there, or it was never made
                folder.rmdir()
        if not isinstance(error, OSError):
            raise
        raise InputError(
            f"{root} cannot be written: {error.strerror or error} ({error.filename})"
        ) from error
    for move in moves:
        move.before.unlink(missing_ok=True)
    return there


@dataclass(frozen=True, kw_only=True)
class _Move:
    """A file on its way to its place, and the one that was there, both beside it."""

    path: Path
    written: Path
    before: Path
    was_there: bool

    @classmethod
    def of(cls, path: Path, mark: str) -> _Move:
        return cls(
            path=path,
            written=path.with_name(f".{path.name}.{mark}.new"),
            before=path.with_name(f".{path.name}.{mark}.old"),
            was_there=path.exists(),
        )

    def take_back(self) -> None:
        """Leave the place as it was; a failure here may not hide the first one."""
        with suppress(OSError):
            if self.written.exists():  # it has not come to its place
                self.written.unlink()
                self.before.unlink(missing_ok=True)
            elif self.before.exists():
                os.replace(self.before, self.path)
            elif not self.was_there:
                self.path.unlink(missing_ok=True)


def _check_place(root: Path, files: Iterable[str]) -> None:
    for path in (root / MARKER, *(root / name for name in files)):
        if path.is_dir():
            raise InputError(f"{path} is a folder, and a file is to be written there: move it away")
        blocked = next((p for p in path.parents if p.exists() and not p.is_dir()), None)
        if blocked is not None:
            raise InputError(f"{blocked} is a file, and a folder is needed there: move it away")
    if root.is_dir() and is_everybodys(root):
        raise InputError(
            f"in {root} everybody may put files: a project is not found there, name a folder below"
        )


def _missing_folders(folder: Path) -> Iterator[Path]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    return reversed(missing)


def tree(root: Path, files: Iterable[str]) -> list[str]:
    """Return a line for each folder with its files, and for each file at the top.

    >>> tree(Path("clinic"), ["README.md", "conf/hrl/a.yaml", "conf/hrl/b.yaml"])
    ['clinic/', '  conf/hrl/  a, b', '  README.md']
    """
    folders: dict[str, list[str]] = {}
    top = []
    for name in files:
        path = PurePosixPath(name)
        if len(path.parts) == 1:
            top.append(name)
        else:
            stem = path.stem if path.suffix == ".yaml" else path.name
            folders.setdefault(path.parent.as_posix(), []).append(stem)
    width = max((len(folder) for folder in folders), default=0) + 1
    lines = [f"{os.path.relpath(root) if root.is_absolute() else root}/"]
    for folder, names in sorted(folders.items()):
        shown = ", ".join(names[:4]) + (f", ... ({len(names)} files)" if len(names) > 4 else "")
        lines.append(f"  {f'{folder}/':<{width}}  {shown}")
    return [*lines, *(f"  {name}" for name in top)]
