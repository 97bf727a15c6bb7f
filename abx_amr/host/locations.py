"""The project that a command is run in: a folder with a marker, found upwards as git does.

<project>/abx-project.yaml   the marker; `trusted: [module]` lists other modules of classes
<project>/conf/              its configuration files; they go before packaged ones of the same name
<project>/components/        its own classes, named `components.module.Class`
"""

from __future__ import annotations

import inspect
import os
import stat
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from abx_amr.errors import InputError

MARKER = "abx-project.yaml"
CONF = "conf"
PACKAGE = Path(__file__).resolve().parents[1]  # abx_amr/


@dataclass(frozen=True)
class Project:
    """A project by its top folder."""

    root: Path

    @property
    def conf(self) -> Path:
        """Its configuration files."""
        return self.root / CONF

    def groups(self) -> list[str]:
        """Return the configuration groups in which it has files or folders."""
        if not self.conf.is_dir():
            return []
        return sorted(
            path.name
            for path in self.conf.iterdir()
            if path.is_dir() and not path.name.startswith((".", "_"))
        )

    def trusted_modules(self) -> list[str]:
        """Return the modules beside its own whose classes a run that is read may name.

        Raises:
            InputError: the marker cannot be read, or does not list them.
        """
        from abx_amr.host.plain_files import read_yaml

        content = read_yaml(self.root / MARKER) or {}
        modules = content.get("trusted", []) if isinstance(content, dict) else None
        if not isinstance(modules, list) or not all(
            isinstance(module, str) and module.isidentifier() for module in modules
        ):
            raise InputError(
                f"{self.root / MARKER}: trusted must list modules, such as [our_rewards], "
                f"got {modules!r}"
            )
        return modules

    def file_of(self, target: str) -> Path | None:
        """Return the file of the project in which a dotted path is defined, None if in none."""
        *parents, _ = target.split(".")
        for depth in range(len(parents), 0, -1):
            stem = self.root.joinpath(*parents[:depth])
            for file in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
                if file.is_file():
                    return file
        return None


_told: list[Project | None] = []


def find_project(start: Path | str | None = None) -> Project | None:
    """Return the project that `start` (the working folder) lies in, None where there is none.

    The nearest marker counts. One in a folder in which everybody may put files (such as /tmp) does
    not: a project's classes are run.
    """
    if start is None:
        if _told:
            return _told[-1]
        try:
            start = os.getcwd()
        except FileNotFoundError:  # the working folder was removed
            return None
    folder = Path(os.path.abspath(start))
    for candidate in (folder, *folder.parents):
        if os.path.isfile(candidate / MARKER) and not is_everybodys(candidate):
            return Project(candidate)
    return None


def is_everybodys(folder: Path) -> bool:
    """Say whether everybody may put files into a folder that others cannot remove (/tmp)."""
    mode = folder.stat().st_mode
    return bool(mode & stat.S_ISVTX and mode & stat.S_IWOTH)


@contextmanager
def working_in(project: Project | None) -> Iterator[None]:
    """Take `project` for the one that is worked in, wherever the working folder lies."""
    _told.append(project)
    try:
        yield
    finally:
        _told.pop()


def place_in_project(error: BaseException) -> str:
    """Return 'file line N: ' for the line of a component at which an exception arose."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        folder = Path(frame.filename).parent
        project = None if "site-packages" in folder.parts else find_project(folder)
        if project is not None:
            return f"{os.path.relpath(frame.filename, project.root)} line {frame.lineno}: "
    return ""


def where_raised(error: BaseException) -> str:
    """Return 'file line N: ' for the deepest line of a user's own code, '' where it is ours."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_own(frame.filename):
            return f"{os.path.relpath(frame.filename)} line {frame.lineno}: "
    return ""


def where_defined(method: Callable[..., object]) -> str:
    """Return 'file line N: ' of a method of a user's own class, '' where it is ours."""
    code = getattr(inspect.unwrap(method), "__code__", None)
    if code is None or not _is_own(code.co_filename):
        return ""
    return f"{os.path.relpath(code.co_filename)} line {code.co_firstlineno}: "


def is_own_class(of: type) -> bool:
    """Return whether a class, or one that it is made from, is a user's own."""
    modules = [sys.modules.get(each.__module__) for each in of.__mro__]
    return any(_is_own(getattr(module, "__file__", None) or "") for module in modules)


def _is_own(file: str) -> bool:
    path = Path(file)
    if not path.is_absolute() or "site-packages" in path.parts:
        return False
    ours = (PACKAGE, Path(sysconfig.get_path("stdlib")))
    return not any(path.is_relative_to(folder) for folder in ours)


def from_here(path: str) -> str:
    """Return a relative path of the project as it is written from the working folder.

    In a folder below the project, `results` means the project's own.
    """
    project = find_project()
    if project is None or os.path.isabs(path):
        return path
    return os.path.relpath(project.root / path)


_importing_from: list[Path] = []


def make_own_modules_importable() -> None:
    """Let modules beside the shell, and those of the project that it is in, be imported."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    make_importable(find_project())


def make_importable(project: Project | None) -> None:
    """Let the project's own modules be imported; those of another one are forgotten."""
    root = None if project is None else project.root
    before = _importing_from[-1] if _importing_from else None
    if root == before:
        return
    if before is not None:
        if str(before) in sys.path:
            sys.path.remove(str(before))
        for name, module in list(sys.modules.items()):
            if _lies_in(before, module):
                del sys.modules[name]
    _importing_from.clear()
    if root is not None:
        _importing_from.append(root)
        if str(root) not in sys.path:
            sys.path.append(str(root))


def _lies_in(root: Path, module: object) -> bool:
    file = getattr(module, "__file__", None)
    if file is None:  # a folder of modules without an __init__.py
        file = next(iter(getattr(module, "__path__", ())), None)
    return isinstance(file, str) and Path(file).is_relative_to(root)


def packaged(name: str) -> Path:
    """Return a folder that stands at the top of the repository and in the package when installed.

    Raises:
        InputError: it is in neither place.
    """
    for candidate in (PACKAGE / name, PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise InputError(f"the folder {name}/ is missing beside {PACKAGE}: reinstall abx-amr")
