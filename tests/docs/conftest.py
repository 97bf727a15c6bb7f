"""An environment in which a page is run."""

import os
import sys
from pathlib import Path

import pytest

from tests import services, warm


@pytest.fixture
def environment(programs: Path, tmp_path: Path) -> dict[str, str]:
    """Variables of a user with an empty home, who has the commands on the PATH."""
    home = tmp_path / "home"
    home.mkdir()
    clean = {k: v for k, v in os.environ.items() if k not in services.VARIABLES}
    cache = os.environ.get("XDG_CACHE_HOME", str(Path("~/.cache").expanduser()))
    return {
        **clean,
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), clean["PATH"]]),
        "HOME": str(home),
        "XDG_CACHE_HOME": cache,
        "PYTHONPATH": str(warm.ROOT),
        "OMP_NUM_THREADS": "1",
    }
