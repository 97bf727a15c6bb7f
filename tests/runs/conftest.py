from datetime import datetime

import pytest

from abx_amr.runs.folder import RunFolder

NOON = datetime(2026, 11, 23, 12, 0, 0)
LATER = datetime(2026, 11, 23, 13, 0, 0)


@pytest.fixture
def folder(tmp_path):
    run = RunFolder.create(tmp_path / "results", "base_ppo", moment=NOON)
    run.write_config({"run_name": "base_ppo", "training": {"seed": 42, "learning_rate": 1e-5}})
    return run
