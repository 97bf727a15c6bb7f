"""Folders that pages are made of, one of each kind, and a browser that opens pages."""

from collections.abc import Callable, Iterator

import pytest
from selenium import webdriver

from abx_amr.reports.gathering import gathered
from abx_amr.reports.page import page_of
from abx_amr.reports.subjects import PlanSubject, RunSubject, SetSubject, StudySubject
from tests.comparison.written import write_run as write_compared
from tests.docs.browser import browsing
from tests.reports.runs import AGREEMENT, GAP, RULE, write_plan, write_run
from tests.reports.studies import write_study


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunSubject:
    """A trained run with all that a summary may tell."""
    told = {"best_rule": RULE, "gap": GAP, "agreement": AGREEMENT, "collapse": None}
    return RunSubject(write_run(tmp_path_factory.mktemp("run"), summary=told).path)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudySubject:
    """A finished study of twelve trials, two of them with a failed seed."""
    return StudySubject(write_study(tmp_path_factory.mktemp("optimization")))


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> PlanSubject:
    """A plan with all its parts."""
    return PlanSubject(write_plan(tmp_path_factory.mktemp("plan")))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> SetSubject:
    """Two conditions with three seeds each."""
    folder = tmp_path_factory.mktemp("set")
    for seed in (1, 2, 3):
        returns = [-60.0 - seed, -61.0]
        write_compared(folder, returns=returns, seed=seed, minute=seed)
        better = [r + 8 for r in returns]
        gamma = "agent_algorithm.gamma=0.9"
        write_compared(folder, gamma, returns=better, seed=seed, minute=10 + seed, name=f"g{seed}")
    return gathered(folder)


Written = Callable[[str], str]


@pytest.fixture(scope="session")
def written(request: pytest.FixtureRequest) -> Written:
    """The page of a fixture by its name, written once."""
    pages: dict[str, str] = {}

    def page(kind: str) -> str:
        if kind not in pages:
            pages[kind] = page_of(request.getfixturevalue(kind)).html()
        return pages[kind]

    return page


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """One browser for all pages."""
    with browsing() as started:
        yield started
