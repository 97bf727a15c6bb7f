"""The compositions of one command: its files are read once, values are set in copies.

A command line is composed to be checked, to be run and for each of its jobs. What these differ by
are values at its end, which Hydra sets after everything else: they are set in a copy of what was
composed before. Anything else is composed afresh, and so is everything from Hydra 1.4 on.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra import __version__
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

IS_HYDRA_1_3 = __version__.startswith("1.3.")


@dataclass(frozen=True, kw_only=True)
class _Composed:
    """What was composed, and of what.

    Attributes:
        source: The primary configuration, the folders it was looked for in, the working folder.
        overrides: Its overrides.
        config: It, which nobody changes.
    """

    source: tuple[object, ...]
    overrides: Sequence[Override]
    config: DictConfig


@dataclass(kw_only=True)
class Compositions:
    """What one command has composed; its files are taken not to change meanwhile."""

    _composed: list[_Composed] = field(default_factory=list)

    def loader(self, search_path: ConfigSearchPath) -> ConfigLoader:
        """Return a loader for these folders that takes up what was composed before."""
        if IS_HYDRA_1_3:
            return _Loader(search_path, self)
        return ConfigLoaderImpl(config_search_path=search_path)

    def keep(self, composed: _Composed) -> None:
        """Keep a composition for those that go on from it."""
        self._composed.append(composed)

    def beginning(
        self, source: tuple[object, ...], overrides: Sequence[Override]
    ) -> _Composed | None:
        """Return the composition with most of the first of these overrides; None: there is none."""
        fitting = [
            one
            for one in self._composed
            if one.source == source and _is_beginning(one.overrides, overrides)
        ]
        return max(fitting, key=lambda one: len(one.overrides), default=None)


class _Loader(ConfigLoaderImpl):
    """Hydra's loader, which goes on from what was composed before.

    A process that gets one begins anew.
    """

    def __init__(self, config_search_path: ConfigSearchPath, compositions: Compositions) -> None:
        super().__init__(config_search_path=config_search_path)
        self._compositions = compositions

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_compositions": Compositions()}

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        parsed = OverridesParser.create().parse_overrides(overrides)
        swept = [one for one in parsed if one.is_sweep_override()]
        fixed = [one for one in parsed if not one.is_sweep_override()]
        path = tuple((one.provider, one.path) for one in self.config_search_path.get_path())
        source = (config_name, path, os.getcwd())
        begun = self._compositions.beginning(source, fixed)
        is_legal = not swept or (
            run_mode == RunMode.MULTIRUN and not any(one.is_hydra_override() for one in swept)
        )
        if begun is not None and is_legal:
            more = _without(begun.overrides, fixed)
            if not begun.config.hydra.searchpath and all(self._is_value(one) for one in more):
                return _with_values(begun, more, parsed)
        config = super()._load_configuration_impl(
            config_name, overrides, run_mode, from_shell, validate_sweep_overrides
        )
        if run_mode == RunMode.RUN:  # another one may lack what is swept over
            kept = _Composed(source=source, overrides=fixed, config=copy.deepcopy(config))
            self._compositions.keep(kept)
        return config

    def _is_value(self, override: Override) -> bool:
        """Return whether it changes neither which files are read nor what Hydra makes of them."""
        key = override.key_or_group
        if override.is_hydra_override():
            return bool(key == "hydra.mode")
        return override.package is None and not self.repository.group_exists(key)


def _with_values(
    begun: _Composed, more: Sequence[Override], overrides: Sequence[Override]
) -> DictConfig:
    """Return a copy of a composition with more values, as that of all the overrides."""
    from hydra._internal.config_loader_impl import get_overrides_dirname  # of Hydra 1.3 alone

    config = copy.deepcopy(begun.config)
    ConfigLoaderImpl._apply_overrides_to_config(list(more), config)
    of_hydra = [one.input_line for one in overrides if one.is_hydra_override()]
    of_task = [one for one in overrides if not one.is_hydra_override()]
    config.hydra.overrides.hydra = of_hydra
    config.hydra.overrides.task = [one.input_line for one in of_task]
    name = config.hydra.job.config.override_dirname
    config.hydra.job.override_dirname = get_overrides_dirname(
        overrides=of_task,
        kv_sep=name.kv_sep,
        item_sep=name.item_sep,
        exclude_keys=list(name.exclude_keys),
    )
    return config


def _is_beginning(first: Sequence[Override], overrides: Sequence[Override]) -> bool:
    """Return whether `first` begin the overrides, those of Hydra apart from the others."""
    return all(
        _lines(overrides, of_hydra=of_hydra)[: len(lines)] == lines
        for of_hydra in (True, False)
        for lines in [_lines(first, of_hydra=of_hydra)]
    )


def _lines(overrides: Sequence[Override], *, of_hydra: bool) -> list[str | None]:
    return [one.input_line for one in overrides if one.is_hydra_override() == of_hydra]


def _without(first: Sequence[Override], overrides: Sequence[Override]) -> list[Override]:
    """Return what the overrides say beyond `first`, which begin them."""
    more = []
    for of_hydra in (True, False):
        these = [one for one in overrides if one.is_hydra_override() == of_hydra]
        more += these[len(_lines(first, of_hydra=of_hydra)) :]
    return more
