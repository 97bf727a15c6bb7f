"""What is made once for all tests is what is made anew, and nobody's change reaches another."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser import overrides_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from abx_amr.configuration.composing import compose
from abx_amr.errors import InputError

KEPT = (
    (OmegaConf, "load"),
    (overrides_parser, "create_functions"),
    (OverridesParser, "parse_rule"),
    (config_loader_impl, "create_defaults_list"),
    (ConfigLoaderImpl, "_compose_config_from_defaults_list"),
)
LINES = (
    ("train",),
    ("train", "experiment=paper_two", "agent_algorithm=hrl_ppo", "training.seed=3"),
    ("train", "agent_algorithm=a2c", "+agent_algorithm.policy_kwargs={net_arch: [4]}"),
    ("tune", "+tuning=ppo_default", "~tuning.search_space.gamma"),
    ("evaluate", "antibiotics=two", "run_name='a b'"),
)


@pytest.fixture
def anew() -> Iterator[pytest.MonkeyPatch]:
    """Libraries as they are."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in KEPT:
            itself = inspect.unwrap(getattr(owner, name))
            patch.setattr(owner, name, staticmethod(itself) if owner is OmegaConf else itself)
        yield patch


def told(line: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    composed = compose(line[0], line[1:])
    return OmegaConf.to_yaml(composed.config), dict(composed.choices)


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_what_is_kept_composes_as_hydra_itself(
    line: tuple[str, ...], anew: pytest.MonkeyPatch
) -> None:
    itself = told(line)
    anew.undo()
    assert told(line) == told(line) == itself


def test_a_change_of_what_was_composed_reaches_no_other() -> None:
    changed = compose("train").config
    changed.environment.max_time_steps = 7
    changed.antibiotics.drugs.clear()
    again = compose("train").config
    assert again.environment.max_time_steps != 7
    assert again.antibiotics.drugs


def test_a_file_of_ones_own_is_read_as_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    for seed in (3, 4):
        (tmp_path / "training" / "mine.yaml").write_text(f"defaults: [default]\nseed: {seed}\n")
        composed = compose("train", ["training=mine"], search_path=[str(tmp_path)])
        assert composed.plain["training"]["seed"] == seed


def test_what_is_refused_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(InputError, match="paper_two"):
            compose("train", ["experiment=paper_tow"])
