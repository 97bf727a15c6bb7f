"""A page: whole in itself, true to what it is about, safe whatever it holds."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markupsafe import Markup

from abx_amr.reports import page as page_module
from abx_amr.reports.page import page_of, sections_of
from abx_amr.reports.subjects import RunSubject, StudySubject
from abx_amr.reports.templating import as_json, fill
from abx_amr.reports.writing import write_report
from tests.reports.conftest import Written
from tests.reports.runs import PROVENANCE, write_run
from tests.reports.studies import GAP, write_study

KINDS = ("run", "study", "plan", "runs")
HOSTILE = (
    "<script>alert(1)</script>\"'&</style></title><img src=x onerror=alert(2)>$x$\x00\x1b\u202e"
)


class Seen(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._inside):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def html_of(subject: Any) -> str:
    return page_of(subject).html()


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_complete_in_itself(kind: str, written: Written) -> None:
    text = written(kind)
    seen = Seen(text)
    for name, value in seen.attributes:
        if name in ("src", "href"):
            assert value is not None
            assert value.startswith(("#", "data:")), f"{name}={value}"
        assert not name.startswith("on"), name
    assert "What this page lacks" not in seen.text
    assert len(text) < 1_000_000
    ids = [value for name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert "default-src 'none'" in text
    assert seen.tags.count("h1") == 1
    for element in re.findall(r"url\(#([^)]+)\)", text):
        assert element in ids


def test_a_run_is_told_with_its_number_its_interval_and_what_it_is_compared_with(
    written: Written,
) -> None:
    text = Seen(written("run")).text
    assert "a mean return of −54.28 per episode (95 % interval −56.20 to −52.39" in text
    assert "It is better than the best tuned rule, amr_threshold, best (0.004)" in text
    assert "+24.76 (22.10 to 27.40)" in text
    assert "It is 2.45 below the optimum, −51.83: it reaches 98.9 %" in text
    assert "the largest part is “not learned” with 2.05" in text
    assert "no discount" in text
    assert "abx-train experiment=paper_two run_name=first" in text
    assert "It was made with local changes that no commit holds." in text


def test_a_run_of_the_first_release_has_a_page_too(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    (folder.path / "figures" / "data" / "steps.parquet").unlink()
    text = Seen(html_of(RunSubject(folder.path))).text
    assert "a mean return of −54.28" in text
    assert "What this page lacks" not in text


def test_a_run_that_is_not_complete_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    folder.summary_file.unlink()
    text = Seen(html_of(RunSubject(folder.path, has_figures=False))).text
    assert "This run is not complete: it has no result yet." in text
    assert "summary.json is missing" in text


def test_a_study_is_told_with_what_was_found_and_what_it_is_worth(
    study: StudySubject, written: Written
) -> None:
    text = Seen(written("study")).text
    best = study.summary["best_trial"]
    assert "The best of 12 settings of PPO that were tried earns a mean return of" in text
    assert f"It is trial {best['number']}: learning_rate" in text
    assert "That is 13.53 below the optimum, −51.83: it reaches 94.1 % of what can" in text
    assert "In all 12 trials that kept them, the values read back" in text
    assert f"abx-train best_params_from={study.name}" in text
    assert "Importance of each setting by PED-ANOVA" in text


def test_every_seed_of_every_trial_is_a_named_mark(written: Written) -> None:
    text = written("study")
    for trial, seed in ((0, 1000), (11, 1002)):
        assert re.search(rf"<title>trial {trial}, seed {seed}: -?\d", text)
    assert text.count(", seed 10") >= 12 * 3 - 12
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert len(data["seeds"]["rows"]) == 12 * 3
    assert "episode_return" in data["seeds"]["columns"]


def test_a_study_s_folder_without_its_database_gives_the_same_page(
    study: StudySubject, tmp_path: Path, written: Written
) -> None:
    import shutil

    sent = tmp_path / study.path.name
    shutil.copytree(study.path, sent, ignore=shutil.ignore_patterns("optuna_study.db*"))
    assert Seen(html_of(StudySubject(sent))).text == Seen(written("study")).text
    (sent / "trials.csv").unlink()
    text = Seen(html_of(StudySubject(sent, has_figures=False))).text
    assert "The best of 12 settings" in text
    assert "no trials: neither a database nor trials.csv is here" in text


def test_an_unfinished_study_is_read_from_its_database(tmp_path: Path) -> None:
    folder = write_study(tmp_path, n_trials=3)
    (folder / "trials.csv").unlink()
    subject = StudySubject(folder)
    assert list(subject.trials["number"]) == [0, 1, 2]
    assert len(subject.seeds) == 9


def test_a_plan_tells_the_optimum_and_what_comes_nearest(written: Written) -> None:
    text = Seen(written("plan")).text
    assert "exactly −51.83 per episode; never treating earns −281.75" in text
    assert "The best rule is amr_threshold, best (0.004) with −79.04 (exactly)" in text
    assert "The best agent is first with −54.28 (standard error 1.00)" in text
    assert "dynamic programme over the pressure lattice" in text


def test_a_set_names_its_best_condition_and_whether_it_may_be_chance(written: Written) -> None:
    text = Seen(written("runs")).text
    assert "The best of 2 conditions is" in text
    assert "over 3 runs" in text
    assert "+8.00" in text
    assert "fewer than 5 training seeds" in text


def test_names_and_notes_of_strangers_stay_text(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "").replace("\x00", "")
    folder = write_run(
        tmp_path,
        name=name,
        antibiotics=(HOSTILE.replace("\x00", ""), "B"),
        provenance={**PROVENANCE, "command": HOSTILE, "choices": {HOSTILE: HOSTILE}},
        config={"agent_algorithm": {"_target_": HOSTILE, HOSTILE: HOSTILE}, "note": HOSTILE},
        summary={
            "optimum_note": HOSTILE,
            "algorithm": HOSTILE,
            "collapse": {"kind": HOSTILE, "evidence": HOSTILE, "advice": HOSTILE},
            "against": {"name": HOSTILE, "mean": 1.0, "interval": [0.5, 1.5]},
        },
    )
    text = html_of(RunSubject(folder.path))
    seen = Seen(text)
    assert seen.tags.count("script") == 2  # the data and the page's own
    assert not any(name.startswith("on") for name, _ in seen.attributes)
    assert "x" not in [value for name, value in seen.attributes if name == "src"]
    assert not set(text) & set("\x00\x1b\u202e")
    assert "What this page lacks" not in seen.text
    assert "alert(1)" in seen.text


def test_a_hostile_study_stays_text(tmp_path: Path) -> None:
    gap = {**GAP, "optimum_note": HOSTILE, "best_rule": {"name": HOSTILE, "verdict": HOSTILE}}
    folder = write_study(tmp_path, n_trials=2, n_seeds=1, gap=gap, note=HOSTILE)
    text = html_of(StudySubject(folder))
    assert Seen(text).tags.count("script") == 2
    assert "What this page lacks" not in Seen(text).text


def test_data_in_a_page_ends_no_script() -> None:
    text = as_json({HOSTILE: [HOSTILE, float("inf")]})
    assert "<" not in text
    assert json.loads(text) == {HOSTILE: [HOSTILE, None]}


def test_a_template_escapes_what_it_is_given() -> None:
    text = fill("verdict.html", sentences=[HOSTILE, Markup("<b>")], warning=None, keys=[])
    assert "<script" not in text
    assert "<b>" in text


def test_a_section_that_fails_is_a_note_and_the_page_stands(
    run: RunSubject, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    verdict = sections_of("run")[0]

    def broken(subject: Any) -> None:
        raise ZeroDivisionError("<b>by zero")

    class Broken:
        NAME, PAGES, render = "Broken", ("run",), staticmethod(broken)

    monkeypatch.setattr(page_module, "sections_of", lambda kind: (verdict, Broken))
    text = html_of(run)
    assert "Broken: ZeroDivisionError: &lt;b&gt;by zero" in text
    assert "mean return of −54.28" in text
    assert [r.message for r in caplog.records] == [
        "the report lacks a section: Broken: ZeroDivisionError: <b>by zero"
    ]


def test_damaged_files_are_said_in_the_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    folder.provenance_file.write_text("{")
    folder.drawn_file("steps").write_bytes(b"no parquet")
    text = Seen(html_of(RunSubject(folder.path))).text
    assert "provenance.json cannot be read" in text
    assert "steps.parquet cannot be read" in text
    assert "a mean return of −54.28" in text


def test_nothing_of_a_folder_is_executed(tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    import zipfile

    folder = write_run(tmp_path, config={"agent_algorithm": {"_target_": "os.system"}})
    checkpoints = folder.path / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "best.zip").write_bytes(pickle.dumps(Bomb()))
    with zipfile.ZipFile(checkpoints / "last.zip", "w") as archive:
        archive.writestr("data", pickle.dumps(Bomb()))
        archive.writestr("abx_amr_vec_normalize.pkl", pickle.dumps(Bomb()))
    html_of(RunSubject(folder.path, has_figures=False))
    assert not (tmp_path / "exploded").exists()


def test_a_page_replaces_an_earlier_one_but_no_file_of_others(run: RunSubject) -> None:
    run = RunSubject(run.path, has_figures=False)
    first = write_report(run)
    assert write_report(run) == first
    first.write_text("mine")
    with pytest.raises(ValueError, match="was not written by abx-report"):
        write_report(run)
    assert first.read_text() == "mine"
    first.unlink()


def test_a_page_that_cannot_be_written_is_one_line(run: RunSubject, tmp_path: Path) -> None:
    run = RunSubject(run.path, has_figures=False)
    with pytest.raises(ValueError, match=r"page\.html cannot be written") as refused:
        write_report(run, tmp_path / "missing" / "page.html")
    assert "\n" not in str(refused.value)


def test_tables_are_given_as_data_without_what_json_does_not_know() -> None:
    table = pd.DataFrame({"a": [1.0, float("nan")], "b": ["x", None]})
    content = page_module._columns(table)
    assert content == {"columns": ["a", "b"], "rows": [[1.0, "x"], [None, None]]}
