"""Find a project's configuration files, and those that `-s group-subconfig=FILE` staged."""

from __future__ import annotations

import os

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from abx_amr.host.locations import find_project, from_here, packaged

STAGED = os.path.join(".abx", "conf")


class StagedFilesSearchPath(SearchPathPlugin):
    """Puts conf/ of the project before our own and `.abx/conf` after it, where they exist.

    What goes first shadows: a project's file replaces a packaged one of the same name. Programs
    with a configuration of their own are left alone.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folders."""
        project = find_project()
        ours = str(packaged("conf"))
        is_ours = any(
            element.provider == "main" and str(element.path).removeprefix("file://") == ours
            for element in search_path.get_path()
        )
        if project is not None and is_ours and project.conf.is_dir():
            search_path.prepend(
                provider="abx-project", path=f"file://{project.conf}", anchor="main"
            )
        folder = os.path.abspath(from_here(STAGED))
        if os.path.isdir(folder):
            search_path.append(provider="abx-staged", path=f"file://{folder}")
