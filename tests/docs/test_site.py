"""The site is built strictly and read in a real browser: what a reader meets on every page."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.docs import browser as chromium
from tests.warm import ROOT

SECONDS = 10


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    with chromium.serving(site) as served:
        yield served


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    with chromium.browsing() as started:
        yield started


@pytest.fixture(scope="session")
def faults(
    browser: webdriver.Chrome, site: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What is wrong with the pages of the navigation on a phone, by kind.

    The search has nothing to index here: it would do so anew on every page. A test of its own
    searches.
    """
    copy = tmp_path_factory.mktemp("pages") / "site"
    shutil.copytree(site, copy)
    index = copy / "search" / "search_index.json"
    content = json.loads(index.read_text(encoding="utf-8"))
    index.write_text(json.dumps({**content, "docs": []}), encoding="utf-8")
    chromium.resize(browser, chromium.PHONE)
    with chromium.serving(copy) as address:
        visits = [chromium.visit(browser, f"{address}/{page}") for page in pages_of(navigation())]
    assert len(visits) > 40
    assert sum(len(seen.images) for seen in visits) > 10
    assert all(seen.requests and len(seen.links) > 10 for seen in visits)
    return chromium.faults(visits, address=address)


def navigation() -> list[Any]:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]


def pages_of(entry: Any) -> list[str]:
    """Return the pages of a part of the navigation, as they are named in the site.

    >>> pages_of(["index.md", {"How-to": [{"Resume": "how-to/resume.md"}]}])
    ['index.html', 'how-to/resume.html']
    """
    if isinstance(entry, str):
        return [entry.removesuffix(".md") + ".html"]
    inside = entry.values() if isinstance(entry, dict) else entry
    return [page for part in inside for page in pages_of(part)]


def test_every_page_is_in_the_site_and_reads_nothing_from_elsewhere(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file(), page
    for built in site.rglob("*.html"):
        html = built.read_text(encoding="utf-8")
        tags = re.findall(r"<(?:script|img|iframe|source|link)\b[^>]*>", html)
        fetched = [t for t in tags if re.search(r"(src|href)=[\"']?(https?:)?//", t)]
        assert len(tags) > 3
        assert fetched == [], built


def test_the_navigation_leads_to_every_page(site: Path) -> None:
    built = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert set(pages_of(navigation())) == built - {"404.html"}


def test_the_name_of_a_file_is_the_title_of_its_block_and_no_line_of_it(site: Path) -> None:
    html = (site / "tutorials" / "06-option-libraries.html").read_text(encoding="utf-8")
    assert '<span class="filename">mine/option_library/pauses.yaml</span>' in html
    assert "# file:" not in html


def test_a_key_may_be_broken_after_a_point_and_a_block_is_left_as_it_is(site: Path) -> None:
    html = (site / "reference" / "patient_generator.html").read_text(encoding="utf-8")
    assert "<code>patient_generator.<wbr>visible_patient_attributes</code>" in html
    for built in site.rglob("*.html"):
        blocks = re.findall(r"<pre>.*?</pre>", built.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not any("<wbr>" in block for block in blocks), built


# --- in a browser --------------------------------------------------------------------------------


def test_every_page_loads_without_an_error(faults: dict[str, list[str]]) -> None:
    assert faults["errors"] == []


def test_no_page_asks_another_server_for_anything(faults: dict[str, list[str]]) -> None:
    assert faults["requests"] == []


def test_every_page_has_one_title_and_skips_no_level_below_it(
    faults: dict[str, list[str]],
) -> None:
    assert faults["headings"] == []


def test_every_link_within_the_site_leads_to_a_page_and_a_place(
    faults: dict[str, list[str]],
) -> None:
    assert faults["links"] == []


def test_every_image_is_shown_and_described(faults: dict[str, list[str]]) -> None:
    assert faults["images"] == []


def test_on_a_phone_nothing_is_wider_than_the_screen_unless_it_scrolls(
    faults: dict[str, list[str]],
) -> None:
    assert faults["too_wide"] == []


FAULTY = {
    "errors": "<h1>A</h1><script>nonsense()</script>",
    "requests": "<h1>A</h1><script src='http://127.0.0.1:9/a.js'></script>",
    "headings": "<h1>A</h1><h3>B</h3>",
    "links": "<h1 id='a'>A</h1><a href='#a'>right</a><a href='#b'>wrong</a>",
    "images": "<h1>A</h1><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
    "too_wide": "<h1>A</h1><article><p style='width: 500px'>wide</p></article>",
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_page_with_a_fault_is_found_out(
    kind: str, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    start = "<!doctype html><link rel=icon href='data:,'>"
    (tmp_path / "good.html").write_text(
        f"{start}<h1 id='a'>A</h1><h2>B</h2><h2>C</h2><a href='#a'>there</a><article>"
        "<div style='overflow-x: auto'><p style='width: 500px'>wide</p></div></article>"
    )
    (tmp_path / "bad.html").write_text(start + FAULTY[kind])
    chromium.resize(browser, chromium.PHONE)
    with chromium.serving(tmp_path) as served:
        for page, expected in (("good", set()), ("bad", {kind})):
            seen = chromium.visit(browser, f"{served}/{page}.html")
            found = chromium.faults([seen], address=served)
            also = {"errors"} if kind == "requests" else set()  # since nobody answers
            assert {k for k, listed in found.items() if listed} - also == expected


def test_the_search_finds_a_key_and_leads_to_its_line(
    browser: webdriver.Chrome, address: str
) -> None:
    chromium.resize(browser, chromium.WIDE)
    browser.get(f"{address}/index.html")
    browser.find_element(By.CSS_SELECTOR, "input[name=query]").send_keys("stability_penalty_weight")
    wait = WebDriverWait(browser, SECONDS)
    found = wait.until(
        lambda b: b.find_elements(By.CSS_SELECTOR, ".md-search-result a[href$='#keys']")
    )
    found[0].click()
    wait.until(lambda b: "/reference/tuning.html" in b.current_url)
    marked = wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "td mark"))
    assert {"stability", "penalty", "weight"} <= {word.text for word in marked}


def test_the_copy_button_takes_a_block_and_of_a_dialogue_the_commands_alone(
    browser: webdriver.Chrome, address: str
) -> None:
    chromium.resize(browser, chromium.WIDE)
    allowed = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", allowed)
    browser.get(f"{address}/tutorials/01-basic-training.html")

    def copied(language: str, number: int) -> str:
        button = f".language-{language} .md-code__button"
        WebDriverWait(browser, SECONDS).until(lambda b: b.find_elements(By.CSS_SELECTOR, button))[
            number
        ].click()
        return browser.execute_async_script(
            "const done = arguments[0]; navigator.clipboard.readText().then(done, done);"
        )

    assert copied("sh", 0) == "make install\nsource .venv/bin/activate"
    assert copied("console", 1) == "ls results\nls results/first_*"


@pytest.mark.parametrize(("system", "is_dark"), [("light", False), ("dark", True)])
def test_the_site_is_as_light_or_dark_as_the_system(
    browser: webdriver.Chrome, address: str, system: str, is_dark: bool
) -> None:
    wished = [{"name": "prefers-color-scheme", "value": system}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wished})
    browser.get(f"{address}/index.html")
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", colour)[:3])) < 3 * 128) == is_dark
