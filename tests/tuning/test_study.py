"""A composed tuning configuration is whole, or refused in one line."""

from typing import Any

import pytest

from abx_amr.errors import InputError
from abx_amr.tuning.in_process import composed_study
from abx_amr.tuning.study import TuningStudy, settled, what_is_shared
from tests.cli.conftest import SMALL_STUDY


def composed(*overrides: str) -> dict[str, Any]:
    from abx_amr.configuration.composing import resolved

    return settled(resolved(composed_study(*SMALL_STUDY[1:], *overrides)))


@pytest.mark.parametrize("key", ["wait", "n_trials", "truncated_episodes"])
def test_a_tuning_file_without_its_base_is_told_how_to_begin(key: str) -> None:
    config = composed()
    del config["tuning"][key]
    with pytest.raises(InputError, match=rf"tuning\.{key} is missing.*'defaults: \[base\]'"):
        TuningStudy(config)


def test_workers_of_one_study_share_its_agents_and_other_settings_do_not() -> None:
    whole = what_is_shared(composed("training.torch_threads=1"))
    worker = composed("tuning.worker=3", "++tuning.local_workers=2", "training.torch_threads=1")
    assert what_is_shared(worker) == whole
    assert what_is_shared(composed("agent_algorithm.vf_coef=0.4")) != whole


def test_workers_that_share_a_machine_share_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("abx_amr.host.processors.available", lambda: 8)
    assert composed("++tuning.local_workers=4")["training"]["torch_threads"] == 2
    assert composed("training.torch_threads=3")["training"]["torch_threads"] == 3
