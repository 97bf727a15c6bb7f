"""The project in which the application works, and which files it shows: those in it, no others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from abx_amr.errors import InputError
from abx_amr.host.locations import find_project

OWN = Path(".abx") / "app"


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """A project and where its runs and studies lie.

    Attributes:
        root: The project's top folder.
        results: Of runs and plans; a link to another disk is followed.
        studies: Of studies, likewise.
    """

    root: Path
    results: Path
    studies: Path

    @classmethod
    def at(cls, folder: Path) -> Workplace:
        """Return the project that a folder lies in.

        Raises:
            InputError: there is none.
        """
        if not folder.is_dir():
            raise InputError(f"{folder} does not exist: make a project with abx-init {folder}")
        project = find_project(folder)
        if project is None:
            raise InputError(
                f"{folder.resolve()} is no project: make one with abx-init my_project, "
                "then abx-app my_project"
            )
        root = project.root.resolve()
        return cls(root=root, results=root / "results", studies=root / "optimization")

    @property
    def own(self) -> Path:
        """The application's own files."""
        return self.root / OWN

    @property
    def conf(self) -> Path:
        """The project's configuration files."""
        return self.root / "conf"

    def inside(self, name: str) -> Path:
        """Return the path of a name below the project's top, which is there.

        Raises:
            InputError: it leads out of the project, results and studies, or to nothing.
        """
        path = self.root / name
        try:
            real = path.resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            raise InputError(f"{name} is not there (any more)") from None
        allowed = (self.results, self.studies)
        if os.path.isabs(name) or ".." in Path(name).parts:
            raise InputError(f"{name} is not in this project")
        if not any(real.is_relative_to(place.resolve()) for place in allowed):
            raise InputError(f"{name} is not among the results of this project")
        return path

    def name_of(self, path: Path) -> str:
        """Return how a path is named in an address: from the project's top."""
        return str(path.relative_to(self.root))
