"""The audit of a study: a clean one passes, each point fails where what it looks at is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from abx_amr.cli import study as command
from abx_amr.reports.audit import POINTS
from abx_amr.reports.audit_page import AuditSubject
from abx_amr.reports.page import page_of
from abx_amr.studies.finishing import finish_study
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import JournalStorage, SqliteStorage
from abx_amr.studies.stored import read_study
from abx_amr.studies.tables import seeds_table
from abx_amr.studies.worker import run_worker
from abx_amr.tuning.seed_files import write_seed_result
from tests.reports.finals import FINAL
from tests.studies.conftest import TUNING_DEFAULTS

HOSTILE = "<script>alert(1)</script>\x1b[2J|`x`"
GAMMA, SIZE = "agent_algorithm.gamma", "agent_algorithm.size"
CONFIGURATION = {
    "agent_algorithm": {"gamma": 0.9, "size": 32},
    "training": {"seed": 42, "seeds": None, "evaluation_seed": 0, "num_eval_episodes": 2},
    "tuning": {
        **TUNING_DEFAULTS,
        "final": False,
        "n_trials": 4,
        "n_seeds_per_trial": 2,
        "sampler": "grid",
        "sampler_options": {},
        "search_space": {
            "gamma": {"type": "categorical", "choices": [0.9, 0.95]},
            "size": {"type": "categorical", "choices": [32, 64]},
        },
    },
}
GAP = {
    "optimum": 0.0,
    "gap": {
        "parts": [{"name": "discount", "value": 0.1, "why_missing": None}],
        "references": {"never": -10.0},
    },
}


def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def write_study(folder: Path, *, name: str = "exp", storage: Any = None) -> Path:
    """Run a study whose trials are computed; the default is among them."""
    configuration = {**CONFIGURATION, "run_name": name, "optimization_dir": str(folder)}
    settings = StudySettings.from_configuration(configuration)
    storage = storage or SqliteStorage(path=settings.folder / "optuna_study.db")

    def run_trial(params: Any, seeds: Any, folder: Path) -> list[SeedOutcome]:
        found = []
        for seed in seeds:
            returns = [-params[SIZE] / 32 - 10 * (0.95 - params[GAMMA]) + k for k in (-1.0, 1.0)]
            mean = sum(returns) / 2 + 0.01 * (seed % 2)
            returns = [one + 0.01 * (seed % 2) for one in returns]
            outcome = SeedOutcome(seed, mean, effective_values=dict(params), seconds=1.0)
            found.append(outcome)
            write_seed_result(
                folder,
                outcome={
                    **{"seed": seed, "episode_return": mean, "failure": None, "seconds": 1.0},
                    "effective_values": dict(params),
                },
                evaluation_returns=returns,
            )
        return found

    prepare_study(settings, storage)
    run_worker(settings, storage, run_trial)
    finish_study(settings, storage, describe_best=lambda mean: GAP)
    table = seeds_table(read_study(storage, settings.study_name))
    table.to_csv(settings.files.trials_file, index=False)
    edit(settings.files.summary_file, lambda summary: summary.update(final=FINAL))
    return settings.folder


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield write_study(tmp_path_factory.mktemp("optimization"))


@pytest.fixture
def sent(clean: Path, tmp_path: Path) -> Path:
    """The folder as it is sent: its files, and no database."""
    folder = tmp_path / "exp"
    shutil.copytree(clean, folder, ignore=shutil.ignore_patterns("optuna*"))
    return folder


def verdicts(folder: Path) -> dict[str, bool | None]:
    return {point.name: point.passed for point in AuditSubject.of(folder).points}


def test_every_point_of_a_clean_study_passes_with_its_database_and_without(
    clean: Path, sent: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole" / "exp"  # which no process has opened
    shutil.copytree(clean, whole)
    before = {file: file.read_bytes() for file in whole.rglob("*") if file.is_file()}
    for folder, source in ((whole, "optuna_study.db"), (sent, "trials.csv")):
        audited = AuditSubject.of(folder)
        assert audited.source == source
        assert [p.name for p in audited.points] == [*POINTS]
        assert {p.name: p.evidence for p in audited.points if p.passed is not True} == {}
    assert before == {file: file.read_bytes() for file in whole.rglob("*") if file.is_file()}


def of_summary(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "study_summary.json", change)


def of_result(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "trials/0/seed_1000/result.json", change)


def of_trials(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        table = pd.read_csv(folder / "trials.csv")
        change(table).to_csv(folder / "trials.csv", index=False)

    return tamper


def of_configuration(old: str, new: str) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        file = folder / "full_agent_env_config.yaml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    return tamper


def of_final(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return of_summary(lambda summary: change(summary["final"]))


def without_final(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        edit(folder / "study_summary.json", lambda s: s.update(final=None))
        change(folder)

    return tamper


def of_best(**values: Any) -> Callable[[Path], None]:
    return of_summary(lambda s: s["best_trial"].update(values))


def stray(folder: Path) -> None:
    shutil.copytree(folder / "trials/0", folder / "trials/9")


def another_seed(folder: Path) -> None:
    shutil.copytree(folder / "trials/0/seed_1000", folder / "trials/0/seed_1002")


TAMPERED = {
    "one trial more is claimed": ("budget exact", of_summary(lambda s: s.update(n_finished=5))),
    "the budget was larger": ("budget exact", of_summary(lambda s: s.update(budget=5))),
    "a trial is left out": ("budget exact", of_trials(lambda t: t[t["number"] != 3])),
    "a point counts twice": ("budget exact", of_trials(lambda t: t.assign(lineage=0))),
    "seeds of no search": ("seeds disjoint", of_trials(lambda t: t.assign(seed=t["seed"] - 1000))),
    "a seed counts twice": ("seeds disjoint", of_trials(lambda t: t.assign(seed=1000))),
    "the final took a seed of the search": (
        "seeds disjoint",
        of_final(lambda f: f["held_out"].update(seeds=[1000, 10001])),
    ),
    "held out on episodes of a search's seed": (
        "seeds disjoint",
        of_final(lambda f: f["held_out"].update(evaluation_seed=1000)),
    ),
    "trained on a final seed": ("seeds disjoint", of_configuration("seed: 42", "seed: 1001")),
    "evaluated on a training seed": (
        "evaluation unseen",
        of_configuration("evaluation_seed: 0", "evaluation_seed: 1000"),
    ),
    "an episode is left out": (
        "evaluation unseen",
        of_result(lambda r: r.update(evaluation_returns=r["evaluation_returns"][1:])),
    ),
    "a return was raised": (
        "evaluation unseen",
        of_result(lambda r: r.update(episode_return=r["episode_return"] + 1)),
    ),
    "a value was raised": (
        "values follow from seeds",
        of_trials(lambda t: t.assign(value=t["value"] + (t["number"] == 1))),
    ),
    "the best value was raised": (
        "values follow from seeds",
        of_summary(lambda s: s.update(best_value=3.0)),
    ),
    "the agent had another value": (
        "read-back equal",
        of_result(lambda r: r["effective_values"].update({GAMMA: 0.5})),
    ),
    "other parameters are handed on": (
        "read-back equal",
        lambda folder: edit(folder / "best_params.json", lambda b: b.update({GAMMA: 0.5})),
    ),
    "held out on a seed that chose": (
        "winner held out",
        of_final(lambda f: f["held_out"].update(seeds=[9001, 10001])),
    ),
    "held out on a seed of the search": (
        "winner held out",
        of_final(lambda f: f["held_out"].update(seeds=[1000, 10001])),
    ),
    "a held-out mean was raised": (
        "winner held out",
        of_final(lambda f: f["held_out"]["selected"].update(mean=-0.5)),
    ),
    "another point was the best": ("winner held out", of_final(lambda f: f.update(selected=0))),
    "the final is damaged": ("winner held out", of_summary(lambda s: s.update(final={"top": 2}))),
    "the default is as good": (
        "default beaten",
        without_final(of_configuration("gamma: 0.9\n", "gamma: 0.95\n")),
    ),
    "the default is said to be beaten": (
        "default beaten",
        of_final(lambda f: f["held_out"]["difference"].update(interval_95=[-0.1, 0.5])),
    ),
    "the default is better": (
        "default beaten",
        of_final(
            lambda f: (
                f.update(default_beaten=False),
                f["held_out"].update(difference={"mean": -0.3, "interval_95": [-0.5, -0.1]}),
            )
        ),
    ),
    "what it says is no number": (
        "default beaten",
        without_final(of_trials(lambda t: t.assign(value="much"))),
    ),
    "its best trial is a text": (
        "discount audit",
        of_summary(lambda s: s.update(best_trial="the first")),
    ),
    "no version of torch": ("versions recorded", of_summary(lambda s: s["versions"].pop("torch"))),
    "a trial of no record": ("no failed seeds hidden", stray),
    "a seed of no record": ("no failed seeds hidden", another_seed),
    "a trial between is gone": ("no failed seeds hidden", of_trials(lambda t: t[t["number"] != 1])),
    "failures are not told": (
        "no failed seeds hidden",
        of_summary(lambda s: s.update(n_trials_with_failed_seeds=2)),
    ),
    "attempts are not told": (
        "no failed seeds hidden",
        of_summary(lambda s: s["states"].update(FAIL=3)),
    ),
    "the discount costs half": (
        "discount audit",
        of_best(gap={**GAP["gap"], "parts": [{"name": "discount", "value": 5.0}]}),
    ),
}


@pytest.mark.parametrize(("point", "tamper"), TAMPERED.values(), ids=[*TAMPERED])
def test_a_point_fails_where_what_it_looks_at_is_wrong(
    sent: Path, point: str, tamper: Callable[[Path], None]
) -> None:
    tamper(sent)
    assert verdicts(sent)[point] is False


def test_the_seeds_of_a_final_are_named_where_they_are_said_to_be_disjoint(sent: Path) -> None:
    of_final(lambda final: final["held_out"].update(evaluation_seed=4711))(sent)
    (point,) = (one for one in AuditSubject.of(sent).points if one.name == "seeds disjoint")
    assert point.passed
    assert "selected on 2 seeds from 9000 to 9001" in point.evidence
    assert "held out on 2 seeds from 10000 to 10001, evaluated with seed 4711" in point.evidence


def test_every_point_can_fail() -> None:
    assert {point for point, _ in TAMPERED.values()} == {*POINTS}


def test_a_default_that_is_not_distinguishable_is_neither_pass_nor_failure(sent: Path) -> None:
    def change(final: dict[str, Any]) -> None:
        final["default_beaten"] = None
        final["held_out"]["difference"]["interval_95"] = [-0.1, 0.5]

    of_final(change)(sent)
    assert verdicts(sent)["default beaten"] is None


def test_without_a_final_the_audit_says_how_to_see_what_the_winner_is_worth(sent: Path) -> None:
    without_final(lambda folder: None)(sent)
    points = {point.name: point for point in AuditSubject.of(sent).points}
    assert points["winner held out"].passed is None
    assert points["winner held out"].evidence.endswith(": abx-study confirm exp")
    assert points["default beaten"].passed is True  # it was among the trials


def test_best_parameters_are_those_that_the_final_has_selected(sent: Path) -> None:
    chosen = {GAMMA: 0.5}
    of_final(lambda final: final.update(params=chosen))(sent)
    assert verdicts(sent)["read-back equal"] is False
    edit(sent / "best_params.json", lambda best: (best.clear(), best.update(chosen)))
    assert verdicts(sent)["read-back equal"] is True


def test_what_is_not_there_cannot_be_said_and_is_no_failure(sent: Path) -> None:
    (sent / "trials.csv").unlink()
    shutil.rmtree(sent / "trials")
    edit(sent / "study_summary.json", lambda s: (s.pop("best_trial"), s.pop("final")))
    found = verdicts(sent)
    assert False not in found.values()
    assert {name for name, passed in found.items() if passed} == {"versions recorded"}


@pytest.fixture
def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = 0
        try:
            command.main(list(arguments))
        except SystemExit as end:
            status = int(end.code or 0)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_the_command_prints_the_points_writes_a_page_and_ends_with_1_where_one_fails(
    ask: Callable[..., tuple[int, str, str]], sent: Path
) -> None:
    status, out, _ = ask("audit", str(sent))
    assert (status, out.count("pass ")) == (0, len(POINTS))
    assert "10 of 10 points pass" in (sent / "audit.html").read_text()
    TAMPERED["one trial more is claimed"][1](sent)
    status, out, _ = ask("audit", str(sent))
    assert (status, out.count("FAIL ")) == (1, 1)
    assert "exp: 1 point failed" in out


def test_a_study_is_audited_by_its_name_and_from_a_storage_alone(
    ask: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    write_study(tmp_path / "optimization")
    assert ask("audit", "exp")[0] == 0
    shared = JournalStorage(path="all.log")
    write_study(tmp_path / "elsewhere", name="far", storage=shared)
    status, out, _ = ask("audit", "far", "storage=journal", "storage.path=all.log")
    assert (status, out.splitlines()[0].split()[0]) == (0, "pass")
    assert "unknown versions recorded" in out and "FAIL" not in out


def test_without_a_name_the_audit_lists_the_studies_with_the_command_of_each(
    ask: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    assert ask("audit")[1].startswith("no study in sqlite (")
    write_study(tmp_path / "optimization")
    status, out, _ = ask("audit")
    assert (status, out.splitlines()[-1]) == (0, "audit it: abx-study audit exp")
    assert ask(*out.splitlines()[-1].split()[3:])[0] == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [("xep", "study 'xep' does not exist"), (".", "is no folder of a study")],
)
def test_what_is_no_study_is_one_line_and_status_2(
    ask: Callable[..., tuple[int, str, str]], name: str, message: str
) -> None:
    status, out, err = ask("audit", name)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert message in err


def test_names_of_strangers_are_text_in_the_audit(
    ask: Callable[..., tuple[int, str, str]], sent: Path
) -> None:
    edit(
        sent / "study_summary.json",
        lambda s: s.update(run_name=HOSTILE, versions={**s["versions"], "torch": HOSTILE}),
    )
    html = page_of(AuditSubject.of(sent)).html()
    assert "<script>alert" not in html and "&lt;script&gt;alert" in html
    assert "\x1b" not in html and "\x1b" not in ask("audit", str(sent))[1]
