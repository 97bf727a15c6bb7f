"""What lies in the results is found, whoever made it, and read once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from abx_amr.app import jobs
from abx_amr.app.listing import Listing
from abx_amr.app.workplace import Workplace
from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_json
from abx_amr.host.locations import packaged
from abx_amr.runs.folder import RunFolder
from tests.app.asking import Asking, asking
from tests.comparison.written import write_run as write_compared
from tests.reports.runs import RULE, write_plan, write_run
from tests.reports.test_page import HOSTILE


def write_small(results: Path, name: str, *, seed: int = 1, complete: bool = True) -> RunFolder:
    """Write the few files by which a run is listed."""
    path = results / f"{name}_20261128_{190000 + seed}"
    path.mkdir(parents=True)
    folder = RunFolder(path)
    folder.write_config({"training": {"seed": seed}})
    choices = {"experiment": "paper_two", "agent_algorithm": "ppo"}
    started = f"2026-11-28T19:00:{seed % 60:02d}+00:00"
    command = f"abx-train run_name={name}"
    folder.write_provenance({"choices": choices, "started": started, "command": command})
    if complete:
        content = {"run_name": name, "mean_return": -50.0 - seed, "seed": seed, "best_rule": RULE}
        write_json(folder.summary_file, content)
    return folder


def test_runs_plans_and_studies_are_listed_with_what_came_of_them(project: Path) -> None:
    write_small(project / "results", "first", seed=3)
    write_small(project / "results" / "sweep", "deep", seed=4)
    write_plan(project / "results" / "plans")
    study = project / "optimization" / "small"
    (study / "trials" / "0").mkdir(parents=True)
    (study / "full_agent_env_config.yaml").write_text("a: 1\n", encoding="utf-8")
    entries = {entry.name: entry for entry in Listing(Workplace.at(project)).entries()}
    first = entries["first"]
    assert (first.kind, first.clinic, first.agent, first.seed) == ("run", "paper_two", "ppo", 3)
    assert (first.value, first.compared, first.difference) == (-53.0, "better", 24.76)
    assert entries["deep"].at == f"results/sweep/deep_20261128_{190004}"
    assert entries["small"].kind == "study" and entries["small"].progress == "1 trials"
    (plan,) = [entry for entry in entries.values() if entry.kind == "plan"]
    assert plan.value is not None or plan.progress.startswith("optimum ")


def test_a_study_is_worth_what_its_winner_earns_on_held_out_seeds(project: Path) -> None:
    study = project / "optimization" / "small"
    study.mkdir(parents=True)
    (study / "full_agent_env_config.yaml").write_text("a: 1\n", encoding="utf-8")
    summary: dict[str, Any] = {"best_value": -50.0, "status": "complete", "final": None}
    file = study / "study_summary.json"
    file.write_text(json.dumps(summary), encoding="utf-8")
    (entry,) = Listing(Workplace.at(project)).entries()
    assert (entry.value, entry.compared) == (-50.0, "")
    rule = {"mean_return": -60.0, "difference": {"mean": 2.5}, "verdict": "better"}
    summary["final"] = {"held_out": {"selected": {"mean": -57.5}, "best_rule": rule}}
    file.write_text(json.dumps(summary), encoding="utf-8")
    (entry,) = Listing(Workplace.at(project)).entries()
    assert (entry.value, entry.compared, entry.difference) == (-57.5, "better", 2.5)


def test_a_run_without_an_optimum_leads_to_the_plan_of_its_clinic(app: Asking) -> None:
    note = "not computed: it takes more than 2 s; run first: abx-plan experiment=paper_two"
    path = write_small(app.desk.workplace.results, "first").path
    content = {"run_name": "first", "mean_return": 1.0, "optimum": None, "optimum_note": note}
    write_json(path / "summary.json", content)
    page = app.get(f"/results/open?at=results/{path.name}").text
    place = page.partition("is not computed yet:")[2]
    assert "/start/plan?experiment=paper_two" in place.partition("</a>")[0]


def test_two_hundred_runs_are_read_once_and_one_again_when_it_changes(project: Path) -> None:
    for seed in range(200):
        write_small(project / "results", f"r{seed}", seed=seed)
    listing = Listing(Workplace.at(project))
    assert len(listing.entries()) == 200
    assert listing.n_read == 200
    listing.entries()
    assert listing.n_read == 200
    file = next((project / "results").iterdir()) / "summary.json"
    write_json(file, {"run_name": "x", "mean_return": 7.0})
    assert max(e.value or -1e9 for e in listing.entries()) == 7.0
    assert listing.n_read == 201


def test_a_run_that_nobody_writes_any_more_is_not_at_work(project: Path) -> None:
    folder = write_small(project / "results", "half", complete=False)
    listing = Listing(Workplace.at(project))
    assert listing.entries()[0].state == "runs"
    for path in (*folder.path.iterdir(), folder.path):
        os.utime(path, (1e9, 1e9))
    assert listing.entries()[0].state == "stopped"


def test_the_list_is_filtered_and_says_what_to_do_where_it_is_empty(app: Asking) -> None:
    assert "There is nothing yet" in app.get("/results").text
    for seed, name in enumerate(("alpha", "beta")):
        write_small(app.desk.workplace.results, name, seed=seed)
    everything, some = app.get("/results").text, app.get("/results?q=alp+ppo&kind=run").text
    assert "alpha" in everything and "beta" in everything
    assert "alpha</a>" in some and "beta</a>" not in some
    assert "Nothing fits" in app.get("/results?q=gamma").text


def test_hostile_names_are_shown_and_run_nothing(app: Asking) -> None:
    name = HOSTILE.replace("/", "").replace("\x00", "")
    write_small(app.desk.workplace.results, name)
    for path in ("/", "/results", "/results?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E"):
        page = app.get(path).text
        assert "<script>alert" not in page and "<img src=x" not in page
    entry = app.desk.listing.entries()[0]
    assert app.get(f"/results/open?at={quoted(entry.at)}").status == 200


def quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text)


@pytest.mark.parametrize(
    "name",
    [
        *("../secret", "/etc/passwd", "results/../../secret", "results/../conf", "conf", "."),
        *("", ".abx/app", "results/link", "results/nothing", "results/\0", "results/loop"),
    ],
)
def test_no_path_leads_out_of_the_results(app: Asking, name: str) -> None:
    place = app.desk.workplace
    secret = place.root.parent / "secret"
    write_small(secret, "x")
    place.results.mkdir()
    (place.results / "link").symlink_to(secret)
    (place.results / "loop").symlink_to(place.results / "loop")
    (place.own).mkdir(parents=True)
    for path in ("/results/open", "/results/page", "/compare", "/compare/page"):
        answer = app.get(f"{path}?at={quoted(name)}")
        assert answer.status == 422, path
    assert app.post("/results/resume", {"at": name}).status == 422


def test_runs_are_compared_as_one_page_and_few_are_no_comparison(app: Asking) -> None:
    folder = app.desk.workplace.results
    at = []
    for seed in (1, 2):
        written = write_compared(folder, returns=[-60.0 - seed, -61.0], seed=seed, minute=seed)
        at.append(f"at=results/{written.path.name}")
    page = app.get(f"/compare?{'&'.join(at)}")
    assert page.status == 200 and "Side by side" in page.text
    answer = app.get(f"/compare/page?{'&'.join(at)}")
    assert answer.status == 200 and "2 runs compared" in answer.text
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert "Only one was chosen" in app.get(f"/compare?{at[0]}").text
    assert app.get("/compare").status == 422


def test_a_stopped_run_goes_on_by_its_command_and_a_finished_one_does_not(
    app: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_program", lambda command: ["true"])
    half = write_small(app.desk.workplace.results, "half", complete=False)
    at = f"results/{half.path.name}"
    assert app.post("/results/resume", {"at": at}).status == 422
    (half.path / "checkpoints").mkdir()
    (half.path / "checkpoints" / "last.zip").write_bytes(b"")
    assert app.post("/results/resume", {"at": at}).status == 303
    (job,) = app.desk.jobs.all()
    assert job.command == f"abx-train resume_from={at}"
    whole = write_small(app.desk.workplace.results, "whole", seed=2)
    assert app.post("/results/resume", {"at": f"results/{whole.path.name}"}).status == 422


def test_results_on_another_disk_are_shown(project: Path) -> None:
    scratch = project.parent / "scratch"
    write_small(scratch, "far")
    (project / "results").symlink_to(scratch)
    place = Workplace.at(project)
    entry = Listing(place).entries()[0]
    assert place.inside(entry.at).is_dir()
    with pytest.raises(InputError, match="not in this project"):
        place.inside(str(scratch))


def test_a_report_is_made_on_demand_sandboxed_and_sent_with_a_plain_name(app: Asking) -> None:
    path = write_run(app.desk.workplace.results, name="first", summary={"best_rule": RULE}).path
    (path / "report.html").write_text("<script>evil()</script>", encoding="utf-8")
    at = f"results/{path.name}"
    answer = app.get(f"/results/page?at={at}")
    assert answer.status == 200 and "evil()" not in answer.text
    assert "beats" in answer.text or "better" in answer.text
    assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in answer.headers["content-security-policy"]
    kept = app.get(f"/results/page?at={at}&download=1")
    assert kept.headers["content-disposition"] == 'attachment; filename="first.html"'
    assert kept.text == answer.text


def test_a_project_s_own_places_of_results_are_followed(project: Path) -> None:
    scratch = project.parent / "scratch"
    umbrella = (packaged("conf") / "umbrella.yaml").read_text(encoding="utf-8")
    own = umbrella.replace("results_dir: results ", f"results_dir: {scratch} ")
    own = own.replace("optimization_dir: optimization ", "optimization_dir: searches ")
    (project / "conf" / "umbrella.yaml").write_text(own, encoding="utf-8")
    place = Workplace.at(project)
    assert (place.results, place.studies) == (scratch, project / "searches")
    write_small(scratch, "far")
    (entry,) = Listing(place).entries()
    assert place.inside(entry.at) == scratch / Path(entry.at).name
    assert asking(project).get(f"/results/open?at={quoted(entry.at)}").status == 200
    for wrong in ("/etc/passwd", f"{scratch}/../ward/conf", "conf"):
        with pytest.raises(InputError, match="not"):
            place.inside(wrong)
