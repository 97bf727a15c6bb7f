"""The configuration groups, packaged and of the project, and what can be chosen in each."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra

from abx_amr.configuration.compositions import Compositions
from abx_amr.host.locations import find_project, packaged


def conf_dir() -> Path:
    """Return the folder of the packaged configuration groups (conf/ in a checkout)."""
    return packaged("conf")


def version_base() -> dict[str, Any]:
    """Return the version_base argument: 1.3 must have it, 1.4 warns about it."""
    if tuple(int(n) for n in hydra.__version__.split(".")[:2]) >= (1, 4):
        return {}
    return {"version_base": "1.3"}


@contextlib.contextmanager
def fresh_hydra(
    compositions: Compositions | None = None, *, job_name: str = "app"
) -> Iterator[None]:
    """Give Hydra's compose its own global state, also inside a running Hydra application.

    Args:
        compositions: What is gone on from (default: everything is composed afresh).
        job_name: Hydra's name of what is run.
    """
    saved = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="hydra.*")
            with application(compositions, job_name=job_name):
                yield
    finally:
        GlobalHydra.instance().hydra = saved


@contextlib.contextmanager
def application(
    compositions: Compositions | None, *, job_name: str, config_dir: str | None = None
) -> Iterator[Hydra]:
    """Let Hydra begin with the packaged configuration groups and those of the project.

    Args:
        compositions: What is gone on from (default: everything is composed afresh).
        job_name: Hydra's name of what is run.
        config_dir: A further folder of configuration files.
    """
    with hydra.initialize_config_dir(str(conf_dir()), job_name, **version_base()):
        begun = GlobalHydra.instance().hydra
        assert begun is not None
        folders = begun.config_loader.get_search_path()
        if config_dir is not None:
            folder = f"file://{Path(config_dir).resolve()}"
            folders.prepend("command-line", folder, SearchPathQuery(provider="schema"))
        if compositions is not None:
            begun.config_loader = compositions.loader(folders)
        yield begun


def groups() -> list[str]:
    """Return the configuration groups: the packaged ones and the project's own."""
    shipped = [p.name for p in conf_dir().iterdir() if p.is_dir() and not p.name.startswith("_")]
    project = find_project()
    own = [] if project is None else project.groups()
    return [group for group in dict.fromkeys([*shipped, *own]) if group != "hydra"]


def available(group: str, overrides: Sequence[str] = ()) -> list[str]:
    """Return the choices of a configuration group; staged copies of files are left out.

    Args:
        group: The group.
        overrides: Among them the folders that are searched as well.
    """
    folders = [o for o in overrides if o.startswith("hydra.searchpath=")]
    with fresh_hydra():
        loader = GlobalHydra.instance().config_loader()
        names = sorted(loader.get_group_options(group, config_name="train", overrides=folders))
    return [name for name in names if not re.search(r"-[0-9a-f]{12}$", name)]


def chosen_groups(choices: Mapping[str, str]) -> dict[str, str]:
    """Return the choices made in our own groups, those of Hydra and empty ones left out."""
    ours = set(groups())
    return {g: str(c) for g, c in choices.items() if g in ours and str(c) != "None"}


def file_of(name: str) -> Path | None:
    """Return a primary configuration's file, the project's own first."""
    project = find_project()
    folders = [conf_dir()] if project is None else [project.conf, conf_dir()]
    return next((f for d in folders if (f := d / f"{name}.yaml").is_file()), None)
