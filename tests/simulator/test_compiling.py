"""Compiled code is kept on disk, and no older than any file that went into it."""

import subprocess
import sys
from pathlib import Path

import pytest

LAWS = {
    "laws.py": "from abx_amr.simulator.kernel.compiling import compiled\n\nFACTOR = 2\n\n\n"
    "@compiled\ndef doubled(x: int) -> int:\n    return FACTOR * x\n",
    "use.py": "from abx_amr.simulator.kernel.compiling import compiled\nfrom compiled.laws import "
    "doubled\n\n\n@compiled\ndef more(x: int) -> int:\n    return doubled(x) + 1\n\n\n"
    "print(more(3), sum(more.now.stats.cache_hits.values()))\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a package of compiled code, one file of which calls into another."""
    folder = tmp_path / "compiled"
    folder.mkdir()
    for name, text in LAWS.items():
        (folder / name).write_text(text)
    return folder


def printed(package: Path) -> str:
    command = [sys.executable, "-c", "import compiled.use"]
    done = subprocess.run(
        command, cwd=package.parent, check=True, capture_output=True, text=True, timeout=300
    )
    return done.stdout.strip()


def test_a_change_in_a_file_that_is_called_into_renews_what_was_kept(package):
    assert printed(package) == "7 0"
    assert printed(package) == "7 1"
    laws = package / "laws.py"
    laws.write_text(laws.read_text().replace("FACTOR = 2", "FACTOR = 5"))
    assert printed(package) == "16 0"


def test_what_was_compiled_with_the_installation_is_read_by_accounts_that_keep_their_own(
    package, tmp_path, monkeypatch
):
    assert printed(package) == "7 0"
    own = tmp_path / "own"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(own))
    assert printed(package) == "7 1"
    assert not list(own.rglob("*.nbc"))
    laws = package / "laws.py"
    laws.write_text(laws.read_text().replace("FACTOR = 2", "FACTOR = 5"))
    assert printed(package) == "16 0"
    assert printed(package) == "16 1"
    assert list(own.rglob("*.nbc"))
