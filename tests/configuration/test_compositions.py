"""What a command composes after something else is what it would compose alone."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from abx_amr.configuration import compositions as module
from abx_amr.configuration.compositions import Compositions
from abx_amr.configuration.groups import fresh_hydra

BEGINNING = ("+tuning=ppo_default", "training.seed=7")
SEARCHED = "agent_algorithm.learning_rate=interval(0.1,0.2)"
only_1_3 = pytest.mark.skipif(not module.IS_HYDRA_1_3, reason="composes afresh from 1.4 on")


def loader(compositions: Compositions | None = None) -> ConfigLoader:
    """Return the loader of an application, or Hydra's own."""
    with fresh_hydra(compositions, job_name="tune"):
        return GlobalHydra.instance().config_loader()


def load(loader: ConfigLoader, overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> DictConfig:
    return loader.load_configuration("tune", list(overrides), mode)


def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by one for each composition that reads files."""
    read: list[str] = []
    whole = ConfigLoaderImpl._compose_config_from_defaults_list

    def counted(self: ConfigLoaderImpl, **arguments: object) -> DictConfig:
        read.append("once")
        return whole(self, **arguments)

    monkeypatch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", counted)
    return read


@only_1_3
@pytest.mark.parametrize(
    "more",
    [
        (),
        ("hydra.mode=RUN", "run_name='1.10'"),
        ("training.seed=8", "++tuning.worker=3", "~tuning.search_space"),
        ("+tuning.extra={a: 1, b: [2, x]}", "optimization_dir=${results_dir}"),
    ],
)
def test_values_are_set_without_reading_files_again(
    more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = loader(Compositions())
    load(own, BEGINNING)
    alone = load(loader(), [*BEGINNING, *more])
    read = files_read(monkeypatch)
    assert load(own, [*BEGINNING, *more]) == alone
    assert not read


@pytest.mark.parametrize(
    "overrides",
    [
        (*BEGINNING, "experiment=paper_two"),
        ("experiment=paper_two", *BEGINNING),
        (*BEGINNING, "hydra.job.config.override_dirname.exclude_keys=[training.seed]"),
        (*BEGINNING, "hydra/launcher=joblib"),
        ("training.seed=8", *BEGINNING),
        BEGINNING[:1],
        (BEGINNING[0], "training.seed=8"),
    ],
)
def test_anything_but_further_values_is_composed_afresh(
    overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = loader(Compositions())
    load(own, BEGINNING)
    alone = load(loader(), overrides)
    read = files_read(monkeypatch)
    assert load(own, overrides) == alone
    assert read


@only_1_3
def test_a_sweep_and_its_jobs_go_on_from_what_was_composed_without_the_swept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, other = loader(Compositions()), loader()
    load(own, BEGINNING)
    asked = [BEGINNING[0], SEARCHED, BEGINNING[1], "run_name=first", "hydra.mode=MULTIRUN"]
    job = [*BEGINNING, "run_name=first", "++tuning.worker=1"]
    master = load(other, asked, RunMode.MULTIRUN)
    alone = other.load_sweep_config(master, job)
    read = files_read(monkeypatch)
    mine = load(own, asked, RunMode.MULTIRUN)
    assert mine == master
    assert list(mine.hydra.overrides.task) == asked[:-1]
    assert own.load_sweep_config(mine, job) == alone
    assert not read


def test_what_is_changed_in_a_composition_is_in_no_later_one() -> None:
    own = loader(Compositions())
    first = load(own, BEGINNING)
    OmegaConf.update(first, "training.seed", 99)
    second = load(own, BEGINNING)
    OmegaConf.update(second, "training.seed", 98)
    assert load(own, BEGINNING).training.seed == 7


def test_a_swept_value_without_m_is_refused_after_a_composition_too() -> None:
    own = loader(Compositions())
    load(own, BEGINNING)
    with pytest.raises(ConfigCompositionException, match="requires --multirun"):
        load(own, [*BEGINNING, SEARCHED])


@only_1_3
def test_a_process_that_gets_a_loader_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    own = loader(Compositions())
    load(own, BEGINNING)
    elsewhere = pickle.loads(pickle.dumps(own))
    read = files_read(monkeypatch)
    assert load(elsewhere, BEGINNING) == load(own, BEGINNING)
    assert len(read) == 1
