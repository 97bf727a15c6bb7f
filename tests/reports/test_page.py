"""A page: whole in itself, true to what it is about, safe whatever it holds."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from markupsafe import Markup

from abx_amr.reports import page as page_module
from abx_amr.reports.checkpoints import weights_in_words
from abx_amr.reports.finding import Places, find_subjects
from abx_amr.reports.gathering import gathered
from abx_amr.reports.page import page_of, sections_of
from abx_amr.reports.search import importance
from abx_amr.reports.sections import study_search, study_treating, study_verdict
from abx_amr.reports.sections.run_returns import policies_of
from abx_amr.reports.subjects import PlanSubject, RunSubject, StoredStudySubject, StudySubject
from abx_amr.reports.templating import as_json, fill
from abx_amr.reports.writing import write_report
from abx_amr.studies.records import FinalSize
from abx_amr.studies.records.finals import write_final_result, write_final_size
from abx_amr.studies.storages import SqliteStorage
from abx_amr.studies.stored import open_study
from tests.comparison.written import write_run as write_compared
from tests.reports.conftest import Written
from tests.reports.finals import FINAL
from tests.reports.runs import AGREEMENT, PROVENANCE, RULE, write_plan, write_run
from tests.reports.runs import GAP as RUN_GAP
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
    assert "+24.76 (95 % interval 22.10 to 27.40)" in text
    assert "It is 2.45 below the optimum, −51.83: it reaches 98.9 %" in text
    assert "not all parts are told apart: “discounting” would have to be computed first" in text
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
    assert f"Its settings. Trial {best['number']}: learning_rate" in text
    assert "It is 13.53 below the optimum, −51.83. It reaches 94.1 % of what can" in text
    assert "In all 12 trials that kept them, the values read back" in text
    assert f"abx-train best_params_from={study.name}" in text
    assert f"abx-study confirm {study.name}" in text  # it has no final yet
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


def test_a_study_of_which_only_the_storage_is_at_hand_has_a_page(
    study: StudySubject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = SqliteStorage(path=study.path / "optuna_study.db")
    places = Places(results_dir=Path("results"), optimization_dir=Path("none"), storage=storage)
    (found,) = find_subjects(study.name, places)
    assert write_report(found) == Path(f"{study.name}_report.html")
    text = Seen(Path(f"{study.name}_report.html").read_text()).text
    assert "The best of 12 settings of PPO that were tried earns a mean return of" in text
    assert "Of which clinic is not known here." in text
    assert "In all 12 trials that kept them, the values read back from the built" in text
    assert "the study's folder is not here: " in text
    assert "How the seeds of the trials learned was not kept" in text
    with pytest.raises(ValueError, match="run or study 'other' does not exist"):
        find_subjects("other", places)


def test_a_folder_that_holds_a_database_alone_has_a_page_in_it(
    study: StudySubject, tmp_path: Path
) -> None:
    for file in study.path.glob("optuna_study.db*"):  # who wrote it may still hold its journal
        shutil.copy(file, tmp_path)
    places = Places(results_dir=tmp_path, optimization_dir=tmp_path)
    (found,) = find_subjects(str(tmp_path), places)
    assert (found.name, found.page_file) == (study.name, tmp_path / "report.html")


COLLAPSED = {
    "collapsed_seeds": {"1001": "never_treats"},
    "value": -60.0,
    "seeds": [{"seed": s, "episode_return": r} for s, r in ((1000, -58.0), (1001, -62.0))],
}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-61.0, "within the winner's standard error over its seeds (2.00)"),
        (-70.0, "value −70.00, mean return −69.00 (standard deviation 1.00)."),
        (float("-inf"), "No trial is without a collapsed seed."),
    ],
)
def test_a_winner_with_a_collapsed_seed_is_told_with_the_best_that_has_none(
    study: StudySubject, value: float, words: str
) -> None:
    subject = StudySubject(study.path, has_figures=False)
    best = {**study.summary["best_trial"], **COLLAPSED}
    trials = pd.DataFrame(
        {"number": [0, 1], "state": "COMPLETE", "value": [-60.0, value], "collapsed": [1, 0]}
        | {"mean_reward": [-60.0, -69.0], "std_reward": 1.0}
    )
    subject.__dict__.update(summary={**study.summary, "best_trial": best}, seeds=trials)
    text = Seen(str(study_verdict.render(subject))).text
    assert "1 of the 2 training seeds of the best trial collapsed (seed 1001: never treats)" in text
    assert "its mean is one over policies that learned and policies that did not" in text
    assert words in text
    assert ("the steadier may be the better choice" in text) == (value == -61.0)


@pytest.mark.parametrize(
    ("rule", "hint"),
    [(-90.0, "another training is likely to say the same"), (-61.0, "may turn out otherwise")],
)
def test_a_mean_over_seeds_is_told_with_its_interval_over_seeds(
    study: StudySubject, rule: float, hint: str
) -> None:
    subject = StudySubject(study.path, has_figures=False)
    told = {
        "name": "greedy",
        "verdict": "better",
        "mean_return": rule,
        "difference": {"mean": 1.0, "interval_95": [0.5, 1.5], "episodes": 10},
    }
    best = {**study.summary["best_trial"], **COLLAPSED, "best_rule": told}
    subject.__dict__.update(summary={**study.summary, "best_trial": best})
    text = Seen(str(study_verdict.render(subject))).text
    assert "95 % interval over 10 evaluation episodes, not over training seeds" in text
    assert "Over its 2 training seeds the interval of that difference is" in text
    assert hint in text


def test_the_worth_of_a_winner_held_out_stands_before_what_the_search_promised(
    study: StudySubject,
) -> None:
    subject = StudySubject(study.path, has_figures=False)
    subject.__dict__.update(summary={**study.summary, "final": FINAL})
    text = Seen(html_of(subject)).text
    assert (
        "Held out, on 2 training seeds and on episodes that had chosen nothing, trial 2 earns "
        "−1.10 per episode (95 % interval −1.20 to −1.00): this is the value to quote."
    ) in text
    assert "The default is beaten: the difference is +0.45 (95 % interval 0.40 to 0.50)." in text
    assert "Its best point and the default trained again on fresh seeds (9000 to 9001)" in text
    assert "trial 2 won. It and the default then trained on seeds 10000 to 10001" in text
    assert text.index("this is the value to quote") < text.index("The search. It had found trial")
    assert "winner minus best rule +0.90" in text
    assert "It was chosen by these evaluation episodes" not in text
    held = {**FINAL["held_out"], "difference": {"mean": 0.1, "interval_95": [-0.1, 0.3]}}
    told = {**FINAL, "held_out": held, "default_beaten": None}
    subject.__dict__.update(summary={**study.summary, "final": told})
    assert (
        "The default is not beaten: the two cannot be told apart, the difference is +0.10"
        in Seen(str(study_verdict.render(subject))).text
    )


def test_a_winner_is_told_with_why_it_is_below_the_optimum_and_whom_it_treats(
    study: StudySubject,
) -> None:
    config = {**study.config, "training": {"total_num_training_episodes": 400}}
    treated = {"given": {"A": 40, "B": 12}, "none": 48}
    value = {**FINAL["held_out"]["selected"], "treatments": treated}
    held = {**FINAL["held_out"], **GAP, "gap": RUN_GAP, "selected": value}
    subject = StudySubject(study.path, has_figures=False)
    summary = {**study.summary, "final": {**FINAL, "held_out": held}}
    subject.__dict__.update(summary=summary, config=config)
    text = Seen(str(study_verdict.render(subject))).text
    gap, sources = "It is 13.53 below the optimum", "It comes from: “not told apart” 2.05"
    assert text.index(gap) < text.index(sources) < text.index("Trial 2 treats 52 % of patients")
    assert "and “what is not observed” 0.40" in text
    assert "“not told apart” holds “discounting” too (no discount)." in text
    assert "40 % get A and 12 % get B. Whom, and when it stops, is on the page of" in text
    name = study.path.name
    assert f"abx-train best_params_from={name} " in text
    assert f"then abx-report {name}_optimized_seed1" in text
    assert (
        "each for 400 episodes, while the trainings of the study and its final are 50 long" in text
    )
    best = {**study.summary["best_trial"], "gap": RUN_GAP, "treatments": treated}
    subject = StudySubject(study.path, has_figures=False)
    subject.__dict__.update(summary={**study.summary, "best_trial": best})
    searched = Seen(str(study_verdict.render(subject))).text
    assert sources in searched and "It treats 52 % of patients" in searched
    before = Seen(str(study_verdict.render(study))).text
    assert "It comes from" not in before and "treats" not in before and "are 50 long" not in before


def test_a_study_tells_whom_its_winner_treats_by_resistance_and_by_group(
    study: StudySubject,
) -> None:
    treated = {
        "given": {"A": 50, "B": 0},
        "none": 50,
        "by_level": {
            "ends": [0.0, 0.01, 0.1, 1.0],
            "antibiotics": {
                "A": {"patients": [40, 40, 20], "given": [30, 20, 0]},
                "B": {"patients": [100, 0, 0], "given": [0, 0, 0]},
            },
        },
        "by_group": {
            "<i>low</i>": {"given": {"A": 5, "B": 0}, "none": 45},
            "high": {"given": {"A": 45, "B": 0}, "none": 5},
        },
    }
    held = {**FINAL["held_out"]}
    held["selected"] = {**held["selected"], "treatments": treated}
    subject = StudySubject(study.path, has_figures=False)
    subject.__dict__.update(summary={**study.summary, "final": {**FINAL, "held_out": held}})
    verdict = Seen(str(study_verdict.render(subject))).text
    stops = (
        "It gives A to 62 % of patients while its visible AMR is below 10 %, and to 0 % above that."
    )
    assert stops in verdict and "It hardly ever gives B (0 % of patients)." in verdict
    assert "Of the patients of the group <i>low</i> 10 % are treated, of high 90 %." in verdict
    tables = Seen(str(study_treating.render(subject))).text
    assert "1 % to 10 % 50 % 40 % not met 0 %" in tables
    assert "<i>low</i> 50 10 % 0 % 90 %" in tables
    damaged = {**treated, "by_level": {**treated["by_level"], "ends": ["x"]}}
    held["selected"]["treatments"] = damaged
    assert study_treating.render(subject) is None


def test_a_default_that_wins_the_final_is_the_result_and_is_not_told_as_its_own_rival(
    study: StudySubject,
) -> None:
    rule = {
        "name": "greedy",
        "mean_return": -1.0,
        "verdict": "not distinguishable",
        "difference": {"mean": -0.55, "interval_95": [-1.2, 0.1], "episodes": 100, "seeds": 2},
        "candidate_intervals_95": {"greedy": [-1.3, -0.7]},
    }
    held = {**FINAL["held_out"], "selected": FINAL["held_out"]["default"], "best_rule": rule}
    held |= {"episodes": 100, **GAP, "optimality_gap": 0.25}
    told = {**FINAL, "selected": "default", "held_out": held, "default_beaten": False}
    subject = StudySubject(study.path, has_figures=False)
    subject.__dict__.update(summary={**study.summary, "final": told})
    text = Seen(html_of(subject)).text
    assert "on 2 training seeds and on 100 episodes that had chosen nothing, the default" in text
    assert "it won the comparison itself, and is the result" in text
    assert (
        "(−1.20 to 0.10, 95 % interval over 2 training seeds and 100 evaluation episodes)" in text
    )
    assert "It is 0.25 below the optimum" in text
    assert "the default won. It then trained on seeds 10000 to 10001" in text
    assert "the best rule, greedy −1.00 (−1.30 to −0.70)" in text
    assert "winner minus default" not in text
    assert "default settings" not in text  # nothing to compare the winner with


def test_a_mean_over_fewer_held_out_seeds_than_were_planned_says_so(study: StudySubject) -> None:
    value = {"mean": -1.0, "interval_95": None, "returns": [-1.0]}
    held = {**FINAL["held_out"], "selected": value, "best_rule": None}
    subject = StudySubject(study.path, has_figures=False)
    subject.__dict__.update(summary={**study.summary, "final": {**FINAL, "held_out": held}})
    assert "Held out, on 1 of 2 training seeds" in Seen(str(study_verdict.render(subject))).text


@pytest.mark.parametrize("counted_then", [12, 11])
def test_a_storage_alone_tells_the_final_of_all_its_finished_trials(
    study: StudySubject, tmp_path: Path, counted_then: int
) -> None:
    for file in study.path.glob("optuna_study.db*"):
        shutil.copy(file, tmp_path)
    storage = SqliteStorage(path=tmp_path / "optuna_study.db")
    backend, study_id = open_study(storage, study.name)
    write_final_size(backend, study_id, FinalSize(top=2, seeds=2))
    write_final_result(backend, study_id, {**FINAL, "n_finished": counted_then})
    subject = StoredStudySubject(tmp_path / "none", storage=storage, study_name=study.name)
    is_whole = counted_then == 12
    assert subject.summary["status"] == ("complete" if is_whole else "unfinished")
    text = Seen(html_of(subject)).text
    assert ("trial 2 earns −1.10 per episode (95 % interval −1.20" in text) == is_whole


def test_importance_is_told_of_all_points_and_of_the_good_ones_with_how_many_they_are(
    study: StudySubject,
) -> None:
    (everything,) = importance(study)
    assert everything.of == "12 trials"
    assert everything.as_record() == study.summary["importance"][0]
    text = Seen(str(study_search.render(study))).text
    assert "Over 12 points; below 30 it is noise for the most part" in text
    assert "Among the best quarter it is not told: that is fewer than 8 trials" in text


def test_a_final_that_is_damaged_is_a_note_and_the_page_stands(study: StudySubject) -> None:
    subject = StudySubject(study.path, has_figures=False)
    subject.__dict__.update(summary={**study.summary, "final": {"top": 5}})
    text = Seen(html_of(subject)).text
    assert "a section could not be written: What the winner is worth" in text
    assert "Trials and seeds" in text


def test_the_curves_of_all_seeds_are_drawn_where_they_were_kept(tmp_path: Path) -> None:
    folder = write_study(tmp_path, n_trials=2, n_seeds=2)
    assert "was not kept" in Seen(html_of(StudySubject(folder, has_figures=False))).text
    for trial in (0, 1):
        for seed in (1000, 1001):
            file = folder / f"trials/{trial}/seed_{seed}/result.json"
            content = json.loads(file.read_text())
            content["curve"] = [[500, -90.0 - trial], [1000, -80.0 + seed / 1000]]
            file.write_text(json.dumps(content))
    file.write_text(file.read_text().replace("[500, -91.0]", '[500, "much"], 3'))
    subject = StudySubject(folder)
    assert len(subject.curves) == 7
    text = html_of(subject)
    assert "<title>trial 0, seed 1000: -79.000 at last</title>" in text
    assert "the mean return of its latest training episodes" in text


def weights(**values: Any) -> str:
    config = {"training": {"evaluation_seed": 3}, **values.pop("config", {})}
    summary = {"transitions": 100, "mean_return": -5.0, "best_return": -4.0, **values}
    provenance = {"trained_with_seed": 1} if "evaluation" in config else {}
    return str(weights_in_words(config, summary, provenance, evaluations=values.get("times", 4)))


def test_parts_of_a_gap_that_are_all_computed_name_the_largest_if_luck_lets_it(
    tmp_path: Path,
) -> None:
    subject = RunSubject(write_run(tmp_path).path, has_figures=False)
    whole = {"name": "discount", "value": 0.0, "why_missing": None, "from": -51.83, "to": -51.83}
    parts = [whole if p["name"] == "discount" else p for p in RUN_GAP["parts"]]
    summary = {**subject.summary, "gap": {**RUN_GAP, "parts": parts}}
    subject.__dict__.update(summary={**summary, "mean_return_interval_95": [-54.3, -54.2]})
    assert "the largest part, 2.05, is “not learned”" in Seen(html_of(subject)).text
    subject.__dict__.update(summary={**summary, "mean_return_interval_95": [-57.3, -51.3]})
    assert (
        "which of the two is larger, the luck of these episodes hides"
        in Seen(html_of(subject)).text
    )


def test_a_policy_that_is_near_the_optimum_is_not_called_the_optimum(tmp_path: Path) -> None:
    subject = RunSubject(write_run(tmp_path).path, has_figures=False)
    near = {
        **AGREEMENT,
        "expected_gap": 6.67,
        "expected_gap_interval_95": [5.88, 7.45],
        "note": "compared with the policy of interpolated values, which is close to the optimum",
    }
    bound = "upper bound: optimum between 41.21 and 45.74"
    told = {**subject.summary, "agreement": near, "optimum_note": bound, "optimality_gap": 12.12}
    subject.__dict__.update(summary=told)
    text = Seen(html_of(subject)).text
    assert "In expectation it is 6.67 (5.88 to 7.45) below the best policy that could be" in text
    told_bound = "the upper bound of the optimum, 45.74 (it lies between 41.21 and 45.74)"
    assert "could be computed here, which is near the optimum and earns at least 41.21" in text
    assert f"is {told_bound}: the mean return of these episodes lies 12.12 below that" in text
    assert "differ by the luck" not in text
    assert "below the best policy computed, in expectation" in text
    assert "the dashed line is the optimum" not in text


def test_a_plan_goes_on_in_its_own_clinic_and_says_who_sees_the_time(tmp_path: Path) -> None:
    folder = write_plan(tmp_path)
    command = (
        "abx-plan experiment=paper_two environment.include_time_remaining=true plan.runs=[first]"
    )
    (folder / "provenance.json").write_text(json.dumps({**PROVENANCE, "command": command}))
    text = Seen(html_of(PlanSubject(folder, has_figures=False))).text
    assert "abx-train experiment=paper_two environment.include_time_remaining=true" in text
    assert "sees time" in text


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (weights(), "These are its last weights"),
        (weights(), "earned −4.00: it was chosen by these same episodes"),
        (weights(times=1), "no evaluation has chosen them."),
        (weights(best_return=-5.0), "no evaluation has chosen them, though"),
        (weights(transitions=0), "None"),
        (weights(config={"evaluation": {}}, evaluation_seed=3), "flatters it"),
        (weights(config={"evaluation": {}}, evaluation_seed=3), "evaluation.seed=4"),
        (weights(config={"evaluation": {}}, evaluation_seed=7), "chosen by other episodes"),
        (
            weights(config={"evaluation": {}, "checkpoint": "last"}, evaluation_seed=3),
            "the last weights of its training",
        ),
    ],
)
def test_a_page_says_which_weights_it_is_of_and_whether_their_value_flatters(
    said: str, words: str
) -> None:
    assert words in said


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_explains_its_words(kind: str, written: Written) -> None:
    assert "What the words of this page mean" in written(kind)


def test_a_plan_tells_the_optimum_and_what_comes_nearest(written: Written) -> None:
    text = Seen(written("plan")).text
    assert "exactly −51.83 per episode. Treating nobody earns −281.75" in text
    assert "The best rule. amr_threshold, best (0.004) earns −79.04 per episode (exact)." in text
    assert "first earns −54.28 per episode (95 % interval −56.24 to −52.32)." in text
    assert "dynamic programme over the pressure lattice" in text
    assert "The clinic: antibiotics A and B, 10 patients at each of 500 steps" in text


def test_a_plan_with_bounds_alone_calls_what_policies_lie_below_an_upper_bound(
    tmp_path: Path,
) -> None:
    folder = write_plan(tmp_path)
    content = json.loads((folder / "plan.json").read_text())
    content["optimum"] |= {"lower": -60.0, "is_exact": False}
    (folder / "plan.json").write_text(json.dumps(content))
    text = Seen(html_of(PlanSubject(folder))).text
    assert "below the upper bound of the optimum, and at least" in text
    assert "the dashed line is the upper bound of the optimum" in text
    assert "below the optimum" not in text and "line is the optimum" not in text


def test_a_plan_of_an_earlier_release_has_a_page_without_its_clinic_in_words(
    tmp_path: Path,
) -> None:
    folder = write_plan(tmp_path)
    content = json.loads((folder / "plan.json").read_text())
    del content["configuration"]
    (folder / "plan.json").write_text(json.dumps(content))
    text = Seen(html_of(PlanSubject(folder, has_figures=False))).text
    assert "exactly −51.83 per episode" in text
    assert "The clinic:" not in text


def test_a_set_names_its_best_condition_and_whether_it_may_be_chance(written: Written) -> None:
    text = Seen(written("runs")).text
    assert "The best of 2 conditions is" in text
    assert "over 3 runs" in text
    assert "+8.00" in text
    assert "fewer than 5 training seeds" in text
    assert "The folders of the runs are not here" in text
    assert re.search(r"abx-report \S*/g", text)  # a run of the better condition
    assert re.search(r"abx-evaluate run=\S*/g", text)


def test_runs_of_a_set_that_collapsed_are_named_and_marked(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        folder = write_compared(tmp_path, returns=[-60.0 - seed, -61.0], seed=seed, minute=seed)
        if seed == 2:
            collapse = {"kind": "never_treats", "evidence": "", "advice": ""}
            folder.write_summary({**folder.read_summary(), "collapse": collapse})
    text = html_of(gathered(tmp_path))
    seen = Seen(text).text
    assert re.search(r"1 of 3 runs collapsed \(\S+_seed2: never treats\): the mean of", seen)
    assert "policies that learned and policies that did not" in seen
    assert len(re.findall(r"<td[^>]*>never treats</td>", text)) == 1
    assert "run that collapsed" in seen


def test_a_condition_of_which_all_runs_use_one_antibiotic_is_said_to_be_such_and_not_constant(
    tmp_path: Path,
) -> None:
    collapse = {"kind": "constant_antibiotic", "evidence": "", "advice": ""}
    for seed in (1, 2):
        folder = write_compared(tmp_path, returns=[-60.0 - seed, -61.0], seed=seed, minute=seed)
        folder.write_summary({**folder.read_summary(), "collapse": collapse})
    subject = gathered(tmp_path, has_figures=False)
    seen = Seen(html_of(subject)).text
    assert "uses only one antibiotic): of " in seen and "all of its runs." in seen
    assert "policies that did not" not in seen


def test_rules_that_were_played_have_an_interval_over_episodes(tmp_path: Path) -> None:
    played = {"greedy": [-115.0, -104.0]}
    told = {"best_rule": {**RULE, "candidate_intervals_95": played}}
    table, is_expected = policies_of(RunSubject(write_run(tmp_path, summary=told).path))
    assert not is_expected
    table = table.set_index("name")
    assert list(table.loc["greedy", ["low", "high"]]) == played["greedy"]
    assert table.loc["never", ["low", "high"]].isna().all()


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
