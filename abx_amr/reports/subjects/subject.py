"""What every subject of a page has, and files that are read as far as they can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from abx_amr.errors import InputError, first_line
from abx_amr.host.plain_files import read_json, read_yaml

if TYPE_CHECKING:
    import pandas as pd

PAGE = "report.html"


class Subject(Protocol):
    """What a page is about."""

    @property
    def kind(self) -> str:
        """Which page it gets: run, study, set or plan."""
        ...

    @property
    def name(self) -> str:
        """What the page is headed with."""
        ...

    @property
    def page_file(self) -> Path:
        """Where its page lies."""
        ...

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Name -> table that the page holds as data."""
        ...

    @property
    def problems(self) -> list[str]:
        """What could not be read, a line each."""
        ...


class Reading:
    """Reads files of a folder; what is missing or damaged is noted, and empty."""

    def __init__(self, folder: Path) -> None:
        """Name the folder."""
        self.folder = folder
        self.problems: list[str] = []

    def json(self, file: Path) -> dict[str, Any]:
        """Return the object in a JSON file."""
        return self._read(file, read_json)

    def yaml(self, file: Path) -> dict[str, Any]:
        """Return the mapping in a YAML file."""
        return self._read(file, read_yaml)

    def table(self, file: Path) -> pd.DataFrame | None:
        """Return a table of CSV or Parquet, None where there is none."""
        import pandas as pd

        if not file.is_file():
            return None
        try:
            return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
        except (OSError, ValueError, ImportError) as error:
            self._note(file, error)
            return None

    def _read(self, file: Path, read: Any) -> dict[str, Any]:
        if not file.is_file():
            self.problems.append(f"{file.name} is missing")
            return {}
        try:
            found = read(file)
        except (OSError, ValueError, InputError) as error:
            self._note(file, error)
            return {}
        if isinstance(found, dict):
            return {str(key): value for key, value in found.items()}
        self._note(file, ValueError("it holds something else than is written there"))
        return {}

    def _note(self, file: Path, error: Exception) -> None:
        self.problems.append(f"{file.name} cannot be read: {first_line(error)}")


@dataclass(frozen=True)
class FolderSubject:
    """What a folder holds.

    Args:
        path: The folder.
        has_figures: Whether figures are drawn.
    """

    KIND: ClassVar[str]  #: which page it gets

    path: Path
    has_figures: bool = field(default=True, kw_only=True)
    reading: Reading = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reading", Reading(self.path))

    @property
    def kind(self) -> str:
        """Which page it gets."""
        return self.KIND

    @property
    def page_file(self) -> Path:
        """In its own folder."""
        return self.path / PAGE

    @property
    def problems(self) -> list[str]:
        """What could not be read."""
        return self.reading.problems

    def provenance_in(self, file: Path) -> dict[str, Any]:
        """Return versions, command, host and commit; empty where an earlier release wrote none."""
        return self.reading.json(file) if file.is_file() else {}
