"""abx-report: names and folders, one line for a mistake; and the page at the end of commands."""

import shutil
from pathlib import Path

import pytest

from abx_amr.cli import gather, report, train
from abx_amr.cli.written_report import print_report
from abx_amr.errors import InputError
from abx_amr.reports.finding import Places, find_subjects
from abx_amr.reports.subjects import PlanSubject, RunSubject, SetSubject, StudySubject
from tests.cli.conftest import SMALL, Call, call
from tests.comparison.written import write_run as write_compared
from tests.reports.runs import write_plan, write_run

__all__ = ["call"]


@pytest.fixture
def places(tmp_path: Path, study: StudySubject) -> Places:
    """A project with two runs of one name, a study and a plan."""
    write_run(tmp_path / "results")
    newer = write_run(tmp_path / "results" / "moved").path
    newer.rename(tmp_path / "results" / "first_20261128_200000")
    write_run(tmp_path / "results", name="second")
    write_plan(tmp_path / "results")
    shutil.copytree(study.path, tmp_path / "optimization" / study.name)
    return Places(results_dir=tmp_path / "results", optimization_dir=tmp_path / "optimization")


def test_a_name_is_the_newest_complete_run_or_a_study(places: Places) -> None:
    (run,) = find_subjects("first", places)
    assert isinstance(run, RunSubject)
    assert run.path.name == "first_20261128_200000"
    run.folder.summary_file.unlink()
    (run,) = find_subjects("first", places)
    assert run.page_file.parent.name == "first_20261128_190000"
    (study,) = find_subjects("first_study", places)
    assert isinstance(study, StudySubject)


def test_a_run_and_a_study_of_one_name_are_both_meant(places: Places) -> None:
    write_run(places.results_dir, name="first_study")
    found = find_subjects("first_study", places)
    assert {subject.kind for subject in found} == {"study", "run"}


def test_a_folder_is_what_it_holds(places: Places) -> None:
    kinds = {
        places.results_dir / "second_20261128_190000": RunSubject,
        places.results_dir / "paper_two_plan_20261128_190100": PlanSubject,
        places.optimization_dir / "first_study": StudySubject,
    }
    for folder, kind in kinds.items():
        (found,) = find_subjects(str(folder), places)
        assert isinstance(found, kind)


def test_what_has_no_page_is_said_with_what_there_is(places: Places, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean 'first'.*first, first_study, second"):
        find_subjects("frist", places)
    with pytest.raises(InputError, match="nowhere/at/all does not exist"):
        find_subjects("nowhere/at/all", places)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no run, study, plan or tables"):
        find_subjects(str(tmp_path / "empty"), places)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "run or study 'nothing' does not exist"),
        (["output=x.html"], "say what the page is of"),
        (["first", "figures=no"], "figures must be true or false, not 'no'"),
        (["first", "outputs=x"], "setting 'outputs' does not exist; did you mean 'output'?"),
        (["first", "output=no/where/x.html"], "output=no/where/x.html must be a file in a folder"),
        (["first", "second", "output=x.html"], "output is for one page, these are 2"),
        (["first", "--wide"], "'--wide' is no setting"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], message: str, call: Call, places: Places
) -> None:
    ended = call(report.main, *arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert ended.err.startswith("abx-report: error: ")
    assert ended.err.count("\n") == 1
    assert message in ended.err


def test_pages_are_written_beside_what_they_are_about(call: Call, places: Places) -> None:
    ended = call(report.main, "first", "first_study", "figures=false")
    assert ended.status == 0, ended.err
    files = [Path(line.removeprefix("report: ")) for line in ended.out.splitlines()]
    assert [file.parent.name for file in files] == ["first_20261128_200000", "first_study"]
    assert all(file.is_file() for file in files)
    ended = call(report.main, "second", "output=mine.html", "figures=false")
    assert ended.status == 0, ended.err
    assert "<h1>second</h1>" in Path("mine.html").read_text()


def test_the_tables_of_abx_gather_and_a_folder_of_runs_are_a_set(call: Call) -> None:
    for seed in (1, 2):
        write_compared(Path("results"), returns=[-1.0, -2.0], seed=seed, minute=seed)
    ended = call(gather.main, "figures=false")
    assert ended.status == 0, ended.err
    *_, page, tables = ended.out.splitlines()
    assert page == "report:  gathered/report.html"
    assert tables.startswith("tables: ")
    again = call(report.main, "gathered", "figures=false")
    assert again.status == 0, again.err
    assert "<h1>gathered</h1>" in Path("gathered/report.html").read_text()
    places = Places(results_dir=Path("results"), optimization_dir=Path("optimization"))
    (found,) = find_subjects("results", places)
    assert isinstance(found, SetSubject)
    assert len(found.tables["runs"]) == 2
    left = call(gather.main, "figures=false", "report=false", "folder=other")
    assert left.status == 0, left.err
    assert not Path("other/report.html").exists()


def test_a_run_prints_its_page_before_its_last_line(call: Call) -> None:
    clinic = (*SMALL[:3], "patient_generator=mixed_risk")
    ended = call(train.main, *clinic, "agent_algorithm=greedy", "run_name=mine")
    assert ended.status == 0, ended.err
    *_, page, last = ended.out.splitlines()
    assert last.startswith("again:   abx-evaluate")
    file = Path(page.removeprefix("report:  "))
    assert file.name == "report.html"
    text = file.read_text()
    assert "The rule greedy earned a mean return of" in text
    assert "Resistance over time" in text
    assert "Whom it treats" in text  # although no trajectories were asked for
    assert call(report.main, str(file.parent)).status == 0
    assert file.read_text().count("<svg") == text.count("<svg")


def test_a_page_that_fails_is_a_warning_and_the_command_goes_on(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> RunSubject:
        raise OSError("no\nspace")

    print_report(broken, is_wanted=True)
    print_report(broken, is_wanted=False)
    assert [record.message for record in caplog.records] == ["no report: OSError: no"]
    assert capsys.readouterr().out == ""
