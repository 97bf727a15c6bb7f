"""An empty project, and who asks its application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from abx_amr.host.locations import MARKER
from tests.app.asking import Asking, asking


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without anything of its own, which is the working folder."""
    root = tmp_path / "ward"
    (root / "conf").mkdir(parents=True)
    (root / MARKER).write_text("# a project\n", encoding="utf-8")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def app(project: Path) -> Iterator[Asking]:
    """Who asks the application of the project, with the cookie."""
    made = asking(project)
    yield made
    made.desk.clinic.close()
    made.desk.reports.close()
