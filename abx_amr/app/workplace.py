"""The project in which the application works, and which files it shows: those in it, no others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from abx_amr.errors import InputError
from abx_amr.host.locations import Project, find_project, working_in

OWN = Path(".abx") / "app"
#: Where runs and studies lie unless a project says otherwise.
RESULTS, STUDIES = "results", "optimization"


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
        results, studies = _places(Project(root))
        return cls(root=root, results=root / results, studies=root / studies)

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
        is_ours = not os.path.isabs(name) or any(path.is_relative_to(place) for place in allowed)
        if not is_ours or ".." in Path(name).parts:
            raise InputError(f"{name} is not in this project")
        if not any(real.is_relative_to(place.resolve()) for place in allowed):
            raise InputError(f"{name} is not among the results of this project")
        return path

    def name_of(self, path: Path) -> str:
        """Return how a path is named in an address: from the project's top where it lies below."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


def _places(project: Project) -> tuple[str, str]:
    """Return results_dir and optimization_dir of a project, of which a relative one is below it.

    They are composed only where the project has a primary configuration that may say them.
    """
    names = ("umbrella", "train", "tune")
    if not any((project.conf / f"{name}.yaml").is_file() for name in names):
        return RESULTS, STUDIES
    from abx_amr.configuration.composing import compose

    try:
        with working_in(project):
            config = compose("tune").plain
    except InputError:  # what is wrong is said by every form
        return RESULTS, STUDIES
    return str(config.get("results_dir") or RESULTS), str(config.get("optimization_dir") or STUDIES)
