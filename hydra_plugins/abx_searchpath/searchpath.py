"""Find configuration files that `-s group-subconfig=FILE` staged below the working folder."""

import os

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

STAGED = os.path.join(".abx", "conf")


class StagedFilesSearchPath(SearchPathPlugin):
    """Appends `.abx/conf` of the working folder, where it exists."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder of staged files."""
        folder = os.path.join(os.getcwd(), STAGED)
        if os.path.isdir(folder):
            search_path.append(provider="abx-staged", path=f"file://{folder}")
