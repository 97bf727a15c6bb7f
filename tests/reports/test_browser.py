"""Pages in a real browser, opened from a file: no error, no request, a phone, keys, print."""

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from abx_amr.reports.audit_page import AuditSubject
from abx_amr.reports.subjects import RunSubject, StudySubject
from abx_amr.reports.writing import write_report
from tests.docs.browser import resize, visit
from tests.reports.conftest import Written
from tests.reports.runs import RULE, write_run
from tests.reports.studies import write_study
from tests.reports.test_page import HOSTILE, KINDS

PHONE = 360
ROOM_BYTES = 1_000_000
#: WCAG AA for text.
LEAST_CONTRAST = 4.5
#: Contrast of each text with what it stands on; the ones that are too low come back.
CONTRAST = """
const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  }
  return [255, 255, 255];
};
const low = [];
const texts = "h1,h2,h3,p,li,a,dt,dd,td,th,small,figcaption,caption,button,svg text,summary";
for (const e of document.querySelectorAll(texts)) {
  if (!e.textContent.trim() || !e.getClientRects().length || e.className === "skip") continue;
  if (e.style.fill) continue;  // on a shade of its figure, chosen for that
  const style = getComputedStyle(e);
  const [a, b] = [parse(e.closest("svg") ? style.fill : style.color), ground(e)].map(light);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const name = `${e.tagName} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`;
  if (ratio < arguments[0]) low.push(name);
}
return low;
"""


def opened(browser: webdriver.Chrome, file: Path) -> Any:
    """Open a page as a file, which nothing may be loaded beside."""
    seen = visit(browser, file.as_uri())
    assert not seen.errors, seen.errors
    assert [url for url in seen.requests if not url.startswith("data:")] == [file.as_uri()]
    return seen


def shown(browser: webdriver.Chrome, *, scheme: str) -> None:
    """Have the browser prefer light or dark."""
    preference = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory, written: Written, study: StudySubject) -> Path:
    """A folder with a page of each kind, and one of hostile names."""
    folder = tmp_path_factory.mktemp("pages")
    for kind in KINDS:
        (folder / f"{kind}.html").write_text(written(kind), encoding="utf-8")
    audited = AuditSubject.of(study.path)
    write_report(audited, folder / "audit.html")
    name = HOSTILE.replace("/", "").replace("\x00", "")
    drugs = (HOSTILE.replace("\x00", ""), "B")
    rule = {**RULE, "name": HOSTILE}
    strange = write_run(folder / "s", name=name, antibiotics=drugs, summary={"best_rule": rule})
    write_report(RunSubject(strange.path), folder / "hostile.html")
    return folder


@pytest.mark.parametrize("kind", [*KINDS, "audit", "hostile"])
def test_a_page_opens_without_error_and_fits_a_phone(
    kind: str, pages: Path, browser: webdriver.Chrome
) -> None:
    for width in (1280, PHONE):
        resize(browser, width)
        seen = opened(browser, pages / f"{kind}.html")
        root = browser.execute_script("return document.documentElement.scrollWidth")
        assert root <= width, f"{root} px wide in a window of {width}"
        levels = [int(heading[1]) for heading in seen.headings]
        assert levels[0] == 1
        assert all(b <= a + 1 for a, b in itertools.pairwise(levels)), levels
    figures = browser.find_elements(By.CSS_SELECTOR, "svg.plot")
    assert all(figure.get_attribute("aria-label") for figure in figures)
    anchors = {link.rpartition("#")[2] for link in seen.links if "#" in link}
    assert anchors <= set(seen.ids)


CUT = """
return [...document.querySelectorAll("main *")]
  .filter((e) => e.getClientRects().length && (e.closest(".scroll")
    ? e.matches("th, td") && e.scrollWidth > e.clientWidth + 1
    : e.getBoundingClientRect().right > innerWidth + 1))
  .map((e) => e.outerHTML.slice(0, 80));
"""
SCROLLING = """
return [...document.querySelectorAll(".scroll")].map(
  (box) => [box.scrollWidth > box.clientWidth + 1, !box.previousElementSibling.hidden]);
"""


def told_of_scrolling(browser: webdriver.Chrome) -> list[tuple[bool, bool]]:
    """Return of each box whether it is wider than it shows and whether that is said: both or none.

    The page hears of a new width a moment after it has it.
    """
    WebDriverWait(browser, 10).until(
        lambda shown: all(wide == said for wide, said in shown.execute_script(SCROLLING))
    )
    return [(wide, said) for wide, said in browser.execute_script(SCROLLING)]


@pytest.mark.parametrize("kind", [*KINDS, "hostile"])
def test_on_a_phone_nothing_is_cut_and_what_scrolls_says_so(
    kind: str, pages: Path, browser: webdriver.Chrome
) -> None:
    resize(browser, PHONE)
    opened(browser, pages / f"{kind}.html")
    assert browser.execute_script(CUT) == []
    assert any(is_wide for is_wide, _ in told_of_scrolling(browser))
    resize(browser, 1280)
    told_of_scrolling(browser)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_dark(
    scheme: str, pages: Path, browser: webdriver.Chrome
) -> None:
    resize(browser, 1280)
    shown(browser, scheme=scheme)
    for kind in ("run", "study"):
        opened(browser, pages / f"{kind}.html")
        assert browser.execute_script(CONTRAST, LEAST_CONTRAST) == []
    shown(browser, scheme="light")


def test_a_table_is_sorted_and_filtered_by_keyboard(pages: Path, browser: webdriver.Chrome) -> None:
    resize(browser, 1280)
    opened(browser, pages / "study.html")
    table = browser.find_element(By.CSS_SELECTOR, '[data-csv="seeds"]')

    def values(place: int) -> list[float]:
        cells = table.find_elements(
            By.CSS_SELECTOR, f"tbody tr:not([hidden]) > :nth-child({place})"
        )
        return [float(str(cell.get_attribute("data-key"))) for cell in cells]

    head = table.find_element(By.CSS_SELECTOR, "thead th:nth-child(3) button")
    head.send_keys(Keys.ENTER)
    assert values(3) == sorted(values(3), reverse=True)
    head.send_keys(Keys.SPACE)
    assert values(3) == sorted(values(3))
    assert head.find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"
    table.find_element(By.CSS_SELECTOR, "input").send_keys("no such row")
    assert values(3) == []


def test_a_trial_is_lit_in_figures_and_table_by_a_key(
    pages: Path, browser: webdriver.Chrome
) -> None:
    resize(browser, 1280)
    opened(browser, pages / "study.html")
    browser.find_element(By.CSS_SELECTOR, 'tr[data-trial="3"] button').send_keys(Keys.ENTER)
    lit = browser.find_elements(By.CSS_SELECTOR, ".hot")
    assert {element.get_attribute("data-trial") for element in lit} == {"3"}
    assert {element.tag_name for element in lit} >= {"tr", "use"}
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    assert not browser.find_elements(By.CSS_SELECTOR, ".hot")


def test_nothing_that_a_name_holds_runs(pages: Path, browser: webdriver.Chrome) -> None:
    opened(browser, pages / "hostile.html")
    assert browser.execute_script("return document.querySelectorAll('script').length") == 2
    assert browser.execute_script("return document.images.length") == 0
    # What would be written into the page all the same is stopped by its policy.
    browser.get_log("browser")
    browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s);"
        "const i = new Image(); i.src = 'https://example.org/x.png'; document.body.append(i);"
    )
    assert browser.execute_script("return window.ran") is None
    refused = json.dumps(browser.get_log("browser"))
    assert refused.count("Content Security Policy") >= 2


def test_a_page_is_whole_without_javascript_and_on_paper(
    pages: Path, browser: webdriver.Chrome
) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((pages / "study.html").as_uri())
        assert browser.find_elements(By.CSS_SELECTOR, "tbody tr[data-trial]")
        assert not browser.find_elements(By.CSS_SELECTOR, ".tools")
        printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type/Page\n") >= 2


@pytest.mark.slow
def test_a_study_of_fifty_trials_fits_a_mail(tmp_path: Path) -> None:
    import time

    subject = StudySubject(write_study(tmp_path, n_trials=50, n_seeds=3))
    begun = time.process_time()
    page = write_report(subject)
    assert time.process_time() - begun < 3.0
    assert page.stat().st_size < ROOM_BYTES
