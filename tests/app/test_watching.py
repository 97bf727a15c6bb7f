"""How a study and a run stand is read from their files, by whomever they are written."""

from __future__ import annotations

import contextlib
import os
import threading
from datetime import datetime
from pathlib import Path

import pytest

from abx_amr.app.curves import Line, drawn, run_curve
from abx_amr.app.listing import Entry
from abx_amr.app.templating import page
from abx_amr.app.views.results import page_html
from abx_amr.app.watching import Progress, curve_of, progress_of, study_curve, study_standing
from abx_amr.studies.objective import SeedOutcome
from tests.app.asking import Asking
from tests.reports import studies
from tests.reports.runs import RULE, write_run
from tests.reports.studies import write_study


def test_a_study_is_watched_from_its_storage(app: Asking) -> None:
    path = write_study(app.desk.workplace.studies)
    standing = study_standing(path)
    assert standing["finished"] == standing["budget"] == 12
    assert len(standing["values"]) == 12 and standing["workers"]
    assert standing["best"] == max(value for _, value in standing["values"])
    assert str(study_curve(standing)).count("<polyline") == 2
    (entry,) = app.desk.listing.entries()
    assert (entry.kind, entry.state, entry.progress) == ("study", "complete", "12 of 12 trials")
    assert "Train with what it found" in app.get(f"/results/open?at={entry.at}").text


def test_a_run_that_a_shell_has_started_is_followed_to_its_end(app: Asking) -> None:
    folder = write_run(app.desk.workplace.results)
    summary = folder.summary_file.read_bytes()
    folder.summary_file.unlink()
    at = f"results/{folder.path.name}"
    page = app.get(f"/results/open?at={at}").text
    assert "Somebody is at it" in page and "<polyline" in page and 'data-live="1"' in page
    ending = threading.Timer(1.5, folder.summary_file.write_bytes, [summary])
    ending.start()
    events = app.get(f"/results/events?at={at}").text
    ending.join()
    assert "Somebody is at it" in events and "It is finished" in events
    assert events.rstrip().endswith("event: end\ndata: {}")


def test_a_folder_without_its_storage_says_so(tmp_path: Path) -> None:
    assert "a server holds them" in study_standing(tmp_path)["problem"]


def test_a_run_s_curve_has_the_mean_of_each_evaluation(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    table = folder.read_evaluations()
    means = table.groupby("transitions")["episode_return"].mean()
    curve = run_curve(folder.path)
    assert [x for x, _ in curve] == means.index.tolist()
    assert [round(y, 6) for _, y in curve] == means.round(6).tolist()
    folder.evaluations_file.write_text(
        "transitions,episode_return\n1,x\n2\n3,4\n", encoding="utf-8"
    )
    assert run_curve(folder.path) == [(3.0, 4.0)]


def test_how_long_a_training_takes_is_told_from_how_far_it_is(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    entry = Entry(at=folder.path.name, kind="run", name="x")
    seen = os.stat(folder.evaluations_file).st_mtime
    began = datetime.fromtimestamp(seen - 100).astimezone().isoformat()
    config = folder.read_config()
    episodes = int(4 * run_curve(folder.path)[-1][0])
    config["training"] = {"total_num_training_episodes": episodes}
    folder.write_config({**config, "environment": {"max_time_steps": 1}})
    found = progress_of(tmp_path, [entry], began=began)
    assert found is not None and found.share == pytest.approx(0.25, rel=1e-3)
    assert found.left is not None and 250 < found.left <= 301
    assert progress_of(tmp_path, [entry], began="") == Progress(share=found.share, left=None)
    over = Progress(share=1.0, left=None)
    shown = page("job_curve.html", base="", progress=over, curve=None, state="runs", kind="train")
    assert "written up now" in shown


def test_a_chart_names_its_axes_and_has_the_best_rule_once_it_is_known(app: Asking) -> None:
    path = write_run(app.desk.workplace.results, summary={"best_rule": RULE}).path
    entry = app.desk.listing.entry(path)
    assert entry.rule_value == RULE["mean_return"]
    chart = str(curve_of(app.desk.workplace.root, [entry]))
    assert ">mean return</text>" in chart and ">transitions</text>" in chart
    assert 'class="level"' in chart and ">the best rule</span>" in chart


def test_a_line_of_one_point_is_none_and_hostile_names_are_escaped() -> None:
    assert drawn([Line(name="a", points=[(0.0, 1.0)])], across="x", up="y") is None
    lines = [Line(name="<b>", points=[(0.0, 1.0), (1.0, 1.0)])] * 2
    assert "<b>" not in str(drawn(lines, across="<i>", up="y")).replace("&lt;", "")


def test_an_attempt_that_was_interrupted_is_no_failure_and_not_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> list[SeedOutcome]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(studies, "searched", stopped)
        with contextlib.suppress(BaseException):
            write_study(tmp_path, n_trials=3)
    path = write_study(tmp_path, n_trials=3)
    standing = study_standing(path)
    states = {number: state for number, _, state in standing["trials"]}
    assert states.pop(0) == "interrupted" and set(states.values()) == {"finished"}
    assert (standing["finished"], standing["failed"]) == (3, 0)
    report = page_html(path)
    assert "none failed" in report and "1 attempt interrupted, which is no failure" in report
    assert "whole trial" not in report
