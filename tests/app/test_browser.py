"""The application in a real browser: its whole way, a restart, two tabs, an attack."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from abx_amr.app.jobs import Jobs
from abx_amr.app.workplace import Workplace
from abx_amr.host.locations import MARKER
from tests.docs.browser import browsing, resize, serving, visit
from tests.reports.test_browser import CONTRAST, LEAST_CONTRAST, shown

SECONDS = 600.0
SLOW_RUN = "training.total_num_training_episodes=4000000"
TOO_WIDE = """
const scrolls = (e) => {
  for (; e && e !== document.body; e = e.parentElement)
    if (["auto", "scroll"].includes(getComputedStyle(e).overflowX)) return true;
  return false;
};
return [...document.querySelectorAll("main, main *")].filter((e) => e.getClientRects().length
  && e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e))
  .map((e) => e.outerHTML.slice(0, 80));
"""


class Served:
    """A project with its application, a process that may be killed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What it has printed, with the token."""
        return (self.root / ".abx" / "app" / "address").read_text(encoding="utf-8").strip()

    @property
    def base(self) -> str:
        """Where it listens."""
        return self.address.partition("/?")[0]

    @property
    def jobs(self) -> Jobs:
        """What it has started."""
        return Jobs(Workplace.at(self.root))

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "abx_amr.cli.app", str(self.root)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        until(lambda: b"Ctrl-C" in self.process.stdout.readline())  # type: ignore[union-attr]

    def kill(self) -> None:
        """End it as nothing should be ended."""
        assert self.process is not None and self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def until(true: Callable[[], object], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """An empty project with its application; what it has started ends with the test."""
    root = tmp_path / "ward"
    (root / "conf").mkdir(parents=True)
    (root / MARKER).write_text("# a project\n", encoding="utf-8")
    made = Served(root)
    made.start()
    yield made
    for job in made.jobs.all():
        job.stop(signal.SIGKILL)
    made.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """One browser for all tests."""
    with browsing() as started:
        yield started


def find(browser: webdriver.Chrome, css: str) -> list[str]:
    """Return the texts of what is shown, at one moment: pages change while they are looked at."""
    script = """return [...document.querySelectorAll(arguments[0])]
        .filter((e) => e.getClientRects().length).map((e) => e.innerText);"""
    texts: list[str] = browser.execute_script(script, css)
    return texts


def click(browser: webdriver.Chrome, css: str) -> None:
    element = browser.find_element(By.CSS_SELECTOR, css)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def write(browser: webdriver.Chrome, name: str, text: str) -> None:
    field = browser.find_element(By.NAME, name)
    browser.execute_script("arguments[0].closest('details')?.setAttribute('open', '')", field)
    field.clear()
    field.send_keys(text)


def test_pages_are_legible_everywhere_and_load_nothing_from_elsewhere(
    browser: webdriver.Chrome, served: Served
) -> None:
    browser.get(served.address)
    assert "token" not in browser.current_url
    for path in ("/", "/clinic", "/start/train", "/start/tune", "/jobs", "/results"):
        for width, scheme in ((1200, "light"), (390, "dark")):
            shown(browser, scheme=scheme)
            resize(browser, width)
            seen = visit(browser, served.base + path)
            assert not seen.errors, (path, seen.errors)
            assert all(url.startswith((served.base, "data:")) for url in seen.requests)
            assert browser.execute_script(TOO_WIDE) == [], (path, width)
            assert browser.execute_script(CONTRAST, LEAST_CONTRAST) == [], (path, scheme)
    browser.get(f"{served.base}/")
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to the content"


def test_a_page_of_another_site_starts_nothing_with_the_browser_s_cookie(
    browser: webdriver.Chrome, served: Served, tmp_path: Path
) -> None:
    browser.get(served.address)
    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / "index.html").write_text(
        f"""<form method=post action="{served.base}/start/train" target=x>
        <input name=run_name value=evil></form><iframe name=x></iframe>
        <img src="{served.base}/jobs">
        <script>document.forms[0].submit();
        const body = new URLSearchParams({{run_name: "evil"}});
        fetch("{served.base}/start/train", {{method: "POST", mode: "no-cors",
          credentials: "include", body}}).finally(() => {{document.title = "done"}});
        </script>""",
        encoding="utf-8",
    )
    with serving(evil) as address:  # the same host, another port: the cookie is sent
        browser.get(f"{address}/index.html")
        WebDriverWait(browser, SECONDS).until(lambda b: b.title == "done")
        time.sleep(0.5)
    assert served.jobs.all() == []
    browser.get(f"{served.base}/?token=wrong")
    assert "is not the one of today" in browser.find_element(By.TAG_NAME, "main").text


def test_a_run_outlives_the_application_and_two_tabs_show_the_same(
    browser: webdriver.Chrome, served: Served
) -> None:
    wait = WebDriverWait(browser, SECONDS)
    browser.get(served.address)
    browser.get(f"{served.base}/start/train?experiment=paper_single&agent_algorithm=policy_search")
    write(browser, "more", f"{SLOW_RUN}\nrun_name=long")
    wait.until(lambda b: SLOW_RUN in b.find_element(By.ID, "command").text)
    click(browser, "button.big")
    wait.until(lambda b: "/jobs/" in b.current_url)
    page, first = browser.current_url, browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get(page)
    assert find(browser, ".badge") == ["at work"]
    served.kill()
    (job,) = served.jobs.all()
    assert job.state() == "runs"
    served.start()
    assert page.startswith(served.base), "the same port and token: open pages go on"
    browser.get(f"{served.base}/")
    assert find(browser, ".badge.runs")
    browser.get(page)
    wait.until(lambda b: find(b, "#made ul a"))
    kept = "results/long_*/checkpoints/last.zip"
    until(lambda: any(served.root.glob(kept)))  # a run that is stopped earlier leaves nothing
    click(browser, "button.quiet:not(.danger)")
    wait.until(lambda b: find(b, ".badge") == ["stopped"])
    assert job.state() == "stopped"
    browser.close()
    browser.switch_to.window(first)
    wait.until(lambda b: find(b, "#state .badge") == ["stopped"])  # nobody has loaded it again
    wait.until(lambda b: find(b, "#made ul a") == ["long"])  # its parts come one after another


def test_arrow_keys_move_a_share_by_the_steps_of_its_slider(
    browser: webdriver.Chrome, served: Served
) -> None:
    browser.get(served.address)
    browser.get(f"{served.base}/clinic")
    number = browser.find_element(By.NAME, "drug.0.leak")
    before = float(str(number.get_attribute("value")))
    number.send_keys(Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_DOWN)
    assert float(str(number.get_attribute("value"))) == pytest.approx(before + 0.01)


@pytest.mark.slow
def test_from_an_empty_project_to_a_tuned_agent_and_the_page_that_proves_it(
    browser: webdriver.Chrome, served: Served, tmp_path: Path
) -> None:
    wait = WebDriverWait(browser, SECONDS)
    kept = tmp_path / "kept"
    told = {"behavior": "allow", "downloadPath": str(kept)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", told)
    resize(browser, 1200)
    browser.get(served.address)
    browser.find_element(By.PARTIAL_LINK_TEXT, "Build a clinic").click()
    for name, text in {"drug.0.name": "amoxicillin", "cross.0.1": "0.2", "steps": "100"}.items():
        write(browser, name, text)
    wait.until(lambda b: "amoxicillin" in " ".join(find(b, "#search:not(.busy)")))
    assert "beats the best rule" in find(browser, "#search .lead")[0]
    write(browser, "drug.1.leak", "1.5")
    wait.until(lambda b: find(b, "[data-error='drug.1.leak']"))
    write(browser, "drug.1.leak", "0.35")
    write(browser, "name", "my_ward")
    click(browser, "button[value=train]")
    wait.until(lambda b: "/start/train" in b.current_url)
    assert (served.root / "conf" / "experiment" / "my_ward.yaml").is_file()
    study = f"{served.base}/start/tune?experiment=my_ward&tuning=policy_search_default"
    browser.get(study)
    more = "tuning.n_trials=2\ntuning.n_seeds_per_trial=1\ntuning.truncated_episodes=1000"
    write(browser, "more", f"{more}\ntuning.final=false\nrun_name=small")
    click(browser, "button.big")
    wait.until(lambda b: find(b, "#state .badge") == ["finished"])
    assert "2 of 2 trials" in find(browser, "#trials")[0]
    browser.find_element(By.PARTIAL_LINK_TEXT, "small").click()
    browser.find_element(By.LINK_TEXT, "Train with what it found").click()
    write(browser, "more", "training.total_num_training_episodes=20000")
    click(browser, "button.big")
    wait.until(lambda b: find(b, "#state .badge") == ["finished"])
    assert "beats the best rule by" in find(browser, "#made")[0]
    click(browser, "#made a")
    wait.until(lambda b: not find(b, ".waiting"))
    click(browser, "a[download]")
    until(lambda: list(kept.glob("*.html")))
    (file,) = kept.glob("*.html")
    assert re.search(r"better than the best tuned rule|beats", file.read_text(encoding="utf-8"))
    assert len(served.jobs.all()) == 2
    assert os.listdir(served.root / "optimization")
