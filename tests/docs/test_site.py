"""The site is built strictly: every page has its place, no link goes astray, nothing is fetched."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.warm import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a page that the navigation lacks or a wrong link or anchor would fail."""
    folder = tmp_path_factory.mktemp("site")
    ended = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return folder


def test_every_page_is_in_the_site_and_reads_nothing_from_elsewhere(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file(), page
    for built in site.rglob("*.html"):
        html = built.read_text(encoding="utf-8")
        tags = re.findall(r"<(?:script|img|iframe|source|link)\b[^>]*>", html)
        fetched = [t for t in tags if re.search(r"(src|href)=[\"']?(https?:)?//", t)]
        assert len(tags) > 3
        assert fetched == [], built


def test_the_name_of_a_file_is_the_title_of_its_block_and_no_line_of_it(site: Path) -> None:
    html = (site / "tutorials" / "06-option-libraries.html").read_text(encoding="utf-8")
    assert '<span class="filename">mine/option_library/pauses.yaml</span>' in html
    assert "# file:" not in html
