"""What the site has beside the pages of docs/ as they are; mkdocs calls these functions.

- The benchmarks are pages of the site, read from benchmarks/.
- `# file: NAME` in the first line of a block becomes the title of the block: it is the name of the
  file and not part of it.
- A name such as a key may be broken after a point, `=` or `/`, so that a long one neither squeezes
  the columns of a table nor is cut in the middle of a word. What is copied has nothing in it.
- The copy button of a block that shows a dialogue takes the commands, without `$` and answers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

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


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Show the name of a block's file as its title; let the search prefer the reference."""
    if page.file.src_uri.startswith("reference/"):
        page.meta.setdefault("search", {"boost": 4})
    return re.sub(
        r"^( *```\w+)\n *# file: (\S+)\n", r'\1 title="\2"' + "\n", markdown, flags=re.MULTILINE
    )


def on_page_content(html: str, **_: Any) -> str:
    """Say where a name outside of blocks may be broken, and what a dialogue's copy is."""
    html = re.sub(
        r"(?<!<span></span>)<code>([^<]*)</code>",
        lambda name: (
            f"<code>{re.sub(r'(?<=[a-zA-Z_]{3}[.=/])(?=[^ ]{5})', '<wbr>', name[1])}</code>"
        ),
        html,
    )
    return re.sub(
        r'<div class="language-console highlight">(.*?)</div>', _dialogue, html, flags=re.DOTALL
    )


def _dialogue(block: re.Match[str]) -> str:
    """Return a block of commands and what they show, with the commands alone to be copied."""
    typed = re.sub(r'<span class="g[op]">.*?</span>', "", block[1])
    lines = [line for line in re.sub(r"<[^>]*>", "", typed).splitlines() if line.strip()]
    copied = "\n".join(lines).replace('"', "&quot;")
    return f'<div class="language-console highlight" data-copy="{copied}">{block[1]}</div>'
