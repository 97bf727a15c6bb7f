"""What the site has beside the pages of docs/ as they are; mkdocs calls these functions.

- The benchmarks are pages of the site, read from benchmarks/.
- `# file: NAME` in the first line of a block becomes the title of the block: it is the name of the
  file and not part of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

BENCHMARKS = {"benchmarks.md": "README.md", "benchmarks-notes.md": "NOTES.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the benchmarks; links between them lead to the pages of the site."""
    folder = Path(config.config_file_path or "mkdocs.yml").parent / "benchmarks"
    for page, name in BENCHMARKS.items():
        text = (folder / name).read_text(encoding="utf-8")
        for other, linked in BENCHMARKS.items():
            text = text.replace(f"]({linked}", f"]({other}")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Show the name of a block's file as its title."""
    return re.sub(
        r"^( *```\w+)\n *# file: (\S+)\n", r'\1 title="\2"' + "\n", markdown, flags=re.MULTILINE
    )
