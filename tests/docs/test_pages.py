"""Every page of docs/ runs from top to bottom, and shows what it says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from abx_amr.errors import InputError
from abx_amr.host.postgres.account import server_account
from abx_amr.host.postgres.programs import find_programs
from abx_amr.runs.folder import newest_run
from tests import services
from tests.docs.page import needs_of, run_page, steps_of
from tests.warm import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
SECONDS = 600


def parallel_tuning(folder: Path, text: str) -> None:
    assert len(steps_of(text)) > 20
    assert list((folder / "results").glob("ppo_parallel_tune_optimized_*"))


def option_libraries(folder: Path, text: str) -> None:
    results = folder / "results"
    library = newest_run(results, "one_file").read_config()["option_library"]
    assert list(library["options"]) == ["rest_short", "rest_long", "cycle", "careful"]
    run = newest_run(results, "pauses_read")
    assert list(run.read_option_usage()["option"])[-2:] == ["course_A", "course_B"]
    own = newest_run(results, "sensitive").read_option_usage()
    assert own["option"].unique().tolist() == ["while_sensitive", "rest"]
    tables = set(re.findall(r"`(\w+\.csv)`", text))
    assert tables >= {"decisions.csv", "option_usage.csv", "option_trigrams.csv"}
    assert all((run.path / table).is_file() for table in tables)
    sentence = re.search(r"with the figures (.*)\.", text)
    assert sentence is not None
    figures = re.findall(r"`(\w+)`", sentence[1])
    assert len(figures) == 4
    assert all((run.path / "figures" / f"{figure}.png").is_file() for figure in figures)


#: What must be there after a page has run, beside what it shows.
AFTER: dict[str, Callable[[Path, str], None]] = {
    "how-to/parallel-tuning.md": parallel_tuning,
    "tutorials/06-option-libraries.md": option_libraries,
}


def case_of(name: str) -> object:
    """Return a page as a test, with the marks that its needs ask for."""
    needs = needs_of((DOCS / name).read_text(encoding="utf-8"))
    return pytest.param(name, marks=[pytest.mark.slow] if "slow" in needs else [])


@pytest.fixture
def served(
    request: pytest.FixtureRequest, environment: dict[str, str], name: str
) -> Iterator[dict[str, str]]:
    """The environment of a page, with the services that it needs."""
    needs = needs_of((DOCS / name).read_text(encoding="utf-8"))
    if "slurm" in needs:
        environment |= request.getfixturevalue("cluster").environment
    if "postgres" not in needs:
        yield environment
        return
    try:
        find_programs(account=server_account())
    except InputError as error:
        services.lacking(str(error))
    with services.server_folder() as made:
        environment |= {"ABX_POSTGRES_DIR": str(made / "pg"), "TMPDIR": str(made)}
        try:
            yield environment
        finally:
            subprocess.run(["abx-postgres", "down"], env=environment, check=True)


@pytest.mark.parametrize("name", [case_of(name) for name in PAGES])
def test_a_page_runs_from_top_to_bottom_and_shows_what_it_says(
    name: str, served: dict[str, str], tmp_path: Path
) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    folder, notes = tmp_path / "page", tmp_path / "notes"
    folder.mkdir()
    notes.mkdir()
    run_page(steps_of(text), folder=folder, notes=notes, environment=served, timeout=SECONDS)
    AFTER.get(name, lambda folder, text: None)(folder, text)


def test_what_is_checked_after_a_page_belongs_to_a_page() -> None:
    assert set(AFTER) <= set(PAGES)


@pytest.mark.slow
def test_the_agent_that_is_said_to_beat_the_rules_does(
    environment: dict[str, str], tmp_path: Path
) -> None:
    text = (DOCS / "how-to/an-agent-that-beats-the-rules.md").read_text(encoding="utf-8")
    folder, notes = tmp_path / "page", tmp_path / "notes"
    folder.mkdir()
    notes.mkdir()
    whole = environment | {"ABX_PAGE_WHOLE": "1"}
    run_page(steps_of(text), folder=folder, notes=notes, environment=whole, timeout=SECONDS)
    results = folder / "our_hospital" / "results"
    for name, at_least in (("searched", 4.0), ("informed", 8.0)):
        against = newest_run(results, f"{name}_evaluated").read_summary()["against"]
        assert against["mean"] > at_least
        assert against["interval"][0] > 0


def test_the_python_of_the_readme_runs(environment: dict[str, str], tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n.*?```\n", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert blocks
    folder, notes = tmp_path / "page", tmp_path / "notes"
    folder.mkdir()
    notes.mkdir()
    steps = steps_of("".join(blocks))
    run_page(steps, folder=folder, notes=notes, environment=environment, timeout=SECONDS)
    assert newest_run(folder / "results", "first").is_complete
