"""A real browser for the site: a server of a folder, and all that a visit of a page tells.

Chromium and its driver are the system's; nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests import services

WIDE, PHONE = 1280, 390
FLAGS = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
#: What a page has; at last what is wider than the window and in nothing that scrolls.
FACTS = """
const scrolls = (element) => {
  for (let e = element; e && e !== document.body; e = e.parentElement)
    if (["auto", "scroll"].includes(getComputedStyle(e).overflowX)) return true;
  return false;
};
return {
  headings: [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((h) => h.tagName),
  ids: [...document.querySelectorAll("[id]")].map((e) => e.id),
  links: [...document.querySelectorAll("a[href]")].map((a) => a.href),
  images: [...document.images].map((i) => [i.src, i.alt, i.naturalWidth]),
  too_wide: [...document.querySelectorAll("article, article *")]
    .filter((e) => e.getClientRects().length
      && e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e))
    .map((e) => e.outerHTML.slice(0, 80)),
};
"""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a browser has seen of a page."""

    url: str
    errors: list[str]
    requests: list[str]
    headings: list[str]
    ids: list[str]
    links: list[str]
    images: list[tuple[str, str, int]]
    too_wide: list[str]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, which may be kept, and tells nobody."""

    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=600")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine; its address comes back, without a slash."""
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def browsing() -> Iterator[webdriver.Chrome]:
    """Start the system's Chromium without a window, with an empty profile."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        services.lacking("chromium or chromedriver is not installed (Debian: chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(prefix="abx-browser-", ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")
        # With the path of a driver, selenium looks for none.
        browser = webdriver.Chrome(options=options, service=Service(executable_path=driver))
        try:
            browser.get("about:blank")  # instead of the start page, which loads things of its own
            yield browser
        finally:
            browser.quit()


def resize(browser: webdriver.Chrome, width: int) -> None:
    """Set the width of the window, without its frame."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )


def visit(browser: webdriver.Chrome, url: str) -> Visit:
    """Load a page, in a window as it is."""
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(url)
    facts = browser.execute_script(FACTS)
    told = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return Visit(
        url=url,
        errors=[e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"],
        requests=[
            event["params"]["request"]["url"]
            for event in told
            if event["method"] == "Network.requestWillBeSent"
        ],
        **{**facts, "images": [tuple(image) for image in facts["images"]]},
    )


def faults(visits: list[Visit], *, address: str) -> dict[str, list[str]]:
    """Return kind of fault -> each one, with its page, of a site that is visited completely."""
    found: dict[str, list[str]] = {
        kind: [] for kind in ("errors", "requests", "headings", "links", "images", "too_wide")
    }
    ids = {seen.url: set(seen.ids) for seen in visits}
    for seen in visits:
        page = seen.url.removeprefix(address)
        found["errors"] += [f"{page}: {error}" for error in seen.errors]
        found["requests"] += [
            f"{page}: {url}"
            for url in seen.requests
            if not url.startswith((f"{address}/", "data:", "blob:"))
        ]
        levels = [int(name[1]) for name in seen.headings]
        skipped = any(after > before + 1 for before, after in itertools.pairwise(levels))
        if levels.count(1) != 1 or levels[0] != 1 or skipped:
            found["headings"].append(f"{page}: {' '.join(seen.headings)}")
        found["links"] += [
            f"{page}: {link}"
            for link in seen.links
            if link.startswith(f"{address}/") and not _resolves(link, ids)
        ]
        found["images"] += [
            f"{page}: {source} {alt!r} {width}"
            for source, alt, width in seen.images
            if not alt.strip() or width == 0
        ]
        found["too_wide"] += [f"{page}: {element}" for element in seen.too_wide]
    return found


def _resolves(link: str, ids: dict[str, set[str]]) -> bool:
    split = urlsplit(link)
    page = link.partition("#")[0]
    return page in ids and (not split.fragment or unquote(split.fragment) in ids[page])
