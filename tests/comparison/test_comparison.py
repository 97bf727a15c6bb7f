"""What tells runs apart, what counts, and what the comparisons say."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

import abx_amr
from abx_amr.comparison import comparing, conditions, reading
from abx_amr.comparison.pairs import pairs_table
from abx_amr.comparison.reading import GatheredRun
from abx_amr.configuration.values import CLINIC_SECTIONS
from abx_amr.errors import InputError
from abx_amr.plots import canvas
from abx_amr.plots import conditions as conditions_figure
from tests.comparison.written import write_run

TWO = ("experiment=paper_two",)
SLOWER = (*TWO, "agent_algorithm.gamma=0.9")
ONE = ("experiment=paper_single",)
LENGTH = "training.total_num_training_episodes"


def read(folder: Path) -> list[GatheredRun]:
    runs, left_out = reading.read_runs(reading.chosen_folders(folder, []))
    assert not left_out
    return runs


def labels(runs: Sequence[GatheredRun], *by: str) -> tuple[set[str], set[str], list[str]]:
    clinics, found, notes = conditions.label_runs(runs, by=by)
    return set(clinics), set(found), notes


def pairs_of(runs: Sequence[GatheredRun], against: str | None = None) -> pd.DataFrame:
    clinics, found, _ = conditions.label_runs(runs)
    return pairs_table(comparing.grouped(runs, clinics, found), against=against)


def test_clinic_sections_are_those_of_the_configuration() -> None:
    assert conditions.CLINIC_SECTIONS == CLINIC_SECTIONS


def test_a_condition_is_named_by_what_differs_and_the_clinic_by_its_experiment(
    tmp_path: Path,
) -> None:
    for seed in (1, 2):
        write_run(tmp_path, *TWO, returns=[1.0, 2.0], seed=seed)
        write_run(tmp_path, *SLOWER, returns=[3.0, 4.0], seed=seed)
        write_run(tmp_path, *TWO, "agent_algorithm=a2c", returns=[3.0, 4.0], seed=seed)
        write_run(tmp_path, *ONE, returns=[0.0, 0.0], seed=seed)
    clinics, found, notes = labels(read(tmp_path))
    assert clinics == {"paper_two", "paper_single"}
    assert found == {"ppo_gamma0.996", "ppo_gamma0.9", "a2c_gamma0.99"}
    assert notes == ["2 clinics: runs are compared within a clinic, never across clinics"]


def test_runs_that_differ_in_nothing_but_the_seed_are_one_condition(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path, *TWO, "training.torch_threads=2", returns=[1.0], seed=seed)
    write_run(tmp_path, *TWO, "figures=false", returns=[1.0], seed=4)
    assert labels(read(tmp_path)) == ({"paper_two"}, {"ppo"}, [])


def test_the_same_choice_with_another_value_in_it_is_another_clinic(tmp_path: Path) -> None:
    write_run(tmp_path, *TWO, returns=[1.0])
    write_run(tmp_path, *TWO, "environment.num_patients_per_time_step=3", returns=[1.0])
    clinics, found, _ = labels(read(tmp_path))
    assert len(clinics) == 2
    assert "paper_two_num_patients_per_time_step3" in clinics
    assert found == {"ppo"}


def test_agents_of_one_clinic_that_see_other_things_are_conditions_and_pair(tmp_path: Path) -> None:
    """The same patients and luck come to all of them."""
    timed = (*TWO, "environment.include_time_remaining=true")
    windowed = (*TWO, "environment.temporal_windows=[5,20]")
    for seed in (1, 2):
        write_run(tmp_path, *TWO, returns=[1.0, 2.0], seed=seed)
        write_run(tmp_path, *timed, returns=[3.0, 4.5], seed=seed, name=f"timed{seed}")
        write_run(tmp_path, *windowed, returns=[2.0, 3.0], seed=seed, name=f"windowed{seed}")
    rule = ("agent_algorithm=never",)
    write_run(tmp_path, *TWO, *rule, returns=[0.0, 0.0], learned=False)
    write_run(tmp_path, *timed, *rule, returns=[0.0, 0.0], learned=False, minute=1, name="again")
    runs, left_out = reading.read_runs(reading.chosen_folders(tmp_path, []))
    assert not left_out
    clinics, found, _ = labels(runs)
    assert clinics == {"paper_two"}
    assert any("include_time_remaining" in name for name in found)
    assert len(found) == 4  # the rule looks at none of it and is one condition
    pairs = pairs_of(runs)
    assert len(pairs) == 6


def test_what_is_seen_besides_changes_neither_patients_nor_luck() -> None:
    from abx_amr import make_model
    from abx_amr.agents.rules import Greedy
    from abx_amr.evaluation.episodes import evaluate

    short = ("experiment=paper_degraded", "environment.max_time_steps=60")
    seen = (
        "environment.include_time_remaining=true",
        "environment.temporal_windows=[5]",
        "environment.include_previous_action=true",
        "environment.include_steps_since_amr_update=true",
    )
    plain, showing = (make_model(*short, *more) for more in ((), seen))
    returns = [evaluate(Greedy(m), m, episodes=4, seed=3).returns for m in (plain, showing)]
    assert (returns[0] == returns[1]).all()


@pytest.mark.parametrize("key", ["environment", "agent_algorithm"])
def test_values_that_differ_in_their_sign_alone_are_told_apart(tmp_path: Path, key: str) -> None:
    for number, text in enumerate(("-0.1", "0.1", "'[-0.1]'", "'(0.1)'")):
        more = (*TWO, f"+{key}.tilt={text}")
        for seed in (1, 2):
            write_run(tmp_path, *more, returns=[1.0], seed=seed, name=f"t{number}")
    runs = read(tmp_path)
    clinics, found, _ = conditions.label_runs(runs)
    told = clinics if key == "environment" else found
    assert len(set(told)) == 4
    assert {f"tilt{v}" in "".join(told) for v in ("-0.1", "0.1")} == {True}
    assert [len(c.runs) for c in comparing.grouped(runs, clinics, found)] == [2] * 4
    assert len(labels(runs, f"{key}.tilt")[1]) == 4


@given(st.lists(st.text(alphabet="-[]()1 .", max_size=5), min_size=2, max_size=6))
def test_there_are_as_many_labels_as_values_however_alike_they_are_written(
    texts: list[str],
) -> None:
    columns = [("section.value", [*texts, *texts, None])]
    assert len(set(conditions._written(columns, set()))) == len(set(texts)) + 1
    assert len(set(conditions._written([("group", texts)], {"group"}))) == len(set(texts))


def test_runs_with_other_evaluation_episodes_stand_apart_and_it_is_said(tmp_path: Path) -> None:
    write_run(tmp_path, *TWO, returns=[1.0, 2.0])
    write_run(tmp_path, *SLOWER, "training.evaluation_seed=7", returns=[1.0, 2.0])
    runs = read(tmp_path)
    clinics, _, notes = labels(runs)
    assert len(clinics) == 2
    assert any("different episodes are not compared" in note for note in notes)
    assert pairs_of(runs).empty


def test_by_makes_the_conditions_and_says_what_it_pools(tmp_path: Path) -> None:
    write_run(tmp_path, *TWO, returns=[1.0])
    write_run(tmp_path, *SLOWER, returns=[2.0])
    runs = read(tmp_path)
    assert labels(runs, "experiment", "agent_algorithm.gamma")[1] == {
        "paper_two_gamma0.996",
        "paper_two_gamma0.9",
    }
    _, found, notes = labels(runs, "agent_algorithm")
    assert found == {"ppo"}
    assert "ppo pools 2 different settings (by=...)" in notes


def test_by_never_puts_a_rule_and_agents_into_one_condition(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path, *TWO, returns=[float(seed)], seed=seed)
        more = (*TWO, "environment.num_patients_per_time_step=1")
        write_run(tmp_path, *more, returns=[float(seed)], seed=seed, name=f"other_seed{seed}")
    write_run(tmp_path, *TWO, "agent_algorithm=greedy", returns=[1.0], learned=False)
    runs = read(tmp_path)
    clinics, found, notes = conditions.label_runs(runs, by=["experiment"])
    assert {(f, r.learned) for f, r in zip(found, runs, strict=True)} == {
        ("paper_two", True),
        ("paper_two_rules", False),
    }
    assert sum("holds rules and agents" in note for note in notes) == 1
    (row,) = pairs_table(comparing.grouped(runs, clinics, found)).to_dict("records")
    assert (row["first"], row["second"], row["pairs"]) == ("paper_two", "paper_two_rules", 3)
    assert row["difference"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("agent_algorithm.gama", "did you mean 'agent_algorithm.gamma'?"),
        ("experimnt", "did you mean 'experiment'?"),
        ("agent_algorithm.policy_kwargs", "is a section"),
    ],
)
def test_a_key_that_no_run_has_is_refused(tmp_path: Path, key: str, message: str) -> None:
    write_run(tmp_path, *TWO, returns=[1.0])
    with pytest.raises(InputError, match="by: ") as caught:
        labels(read(tmp_path), key)
    assert message in str(caught.value)


def test_incomplete_unreadable_and_repeated_runs_are_left_out_with_their_reason(
    tmp_path: Path,
) -> None:
    write_run(tmp_path, *TWO, returns=[1.0], minute=0)
    write_run(tmp_path, *TWO, returns=[2.0], minute=1)
    write_run(tmp_path, *TWO, returns=[1.0], seed=2, complete=False)
    broken = write_run(tmp_path, *TWO, returns=[1.0], seed=3)
    broken.evaluations_file.unlink()
    runs, left_out = reading.read_runs(reading.chosen_folders(tmp_path, []))
    assert {one.reason.split(",")[0].split(" holds ")[-1] for one in left_out} == {
        "not complete",
        "no evaluations.csv",
    }
    kept, repeated = reading.newest_of_each(runs, [conditions.identity(run) for run in runs])
    assert [run.value for run in kept] == [2.0]
    assert "the same settings and seed as" in repeated[0].reason


def test_the_table_of_conditions_by_hand(tmp_path: Path) -> None:
    values = [1.0, 2.0, 3.0, 10.0]
    for seed, value in enumerate(values, start=1):
        write_run(tmp_path, *TWO, returns=[value - 1.0, value + 1.0], seed=seed)
    runs = read(tmp_path)
    clinics, found, _ = conditions.label_runs(runs)
    (row,) = comparing.conditions_table(comparing.grouped(runs, clinics, found)).to_dict("records")
    assert (row["runs"], row["seeds"], row["mean"], row["iqm"]) == (4, 4, 4.0, 2.5)
    assert row["std"] == pytest.approx(np.std(values, ddof=1))
    assert row["mean_low"] < 4.0 < row["mean_high"]
    assert (row["mean_amr"], row["prescriptions"], row["gap"]) == (0.25, 3.0, 1.0)


def test_pairs_are_those_of_the_common_seeds_and_tested_as_scipy_does(tmp_path: Path) -> None:
    ours = {1: 3.0, 2: 4.5, 3: 5.0, 4: 7.0, 5: 1.0}
    theirs = {2: 1.0, 3: 4.0, 4: 4.5, 5: 2.0, 9: 0.0}
    for seed, value in ours.items():
        write_run(tmp_path, *TWO, returns=[value, value + 2.0], seed=seed)
    for seed, value in theirs.items():
        write_run(tmp_path, *SLOWER, returns=[value, value + 2.0], seed=seed)
    (row,) = pairs_of(read(tmp_path), against="ppo_gamma0.9").to_dict("records")
    one, other = (np.array([side[s] for s in (2, 3, 4, 5)]) for side in (ours, theirs))
    assert (row["pairs"], row["unpaired_first"], row["unpaired_second"]) == (4, 1, 1)
    assert row["difference"] == pytest.approx((one - other).mean())
    assert row["t_p"] == pytest.approx(stats.ttest_rel(one, other).pvalue)
    assert row["wilcoxon_p"] == pytest.approx(stats.wilcoxon(one, other).pvalue)
    u = stats.mannwhitneyu(list(ours.values()), list(theirs.values())).statistic
    assert row["probability_of_improvement"] == pytest.approx(u / 25)
    assert row["episodes"] == 2
    assert row["episodes_difference"] == pytest.approx(row["difference"])


def test_a_rule_is_the_partner_of_every_seed(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path, *TWO, returns=[float(seed)], seed=seed)
    write_run(tmp_path, *TWO, "agent_algorithm=greedy", returns=[1.0], seed=42, learned=False)
    write_run(tmp_path, *TWO, "agent_algorithm=never", returns=[0.0], seed=42, learned=False)
    table = pairs_of(read(tmp_path)).set_index(["first", "second"])
    assert table.loc[("greedy", "ppo"), "pairs"] == 3
    assert table.loc[("greedy", "ppo"), "difference"] == pytest.approx(-1.0)
    assert table.loc[("greedy", "never"), "pairs"] == 1
    assert np.isnan(table.loc[("greedy", "never"), "t_p"])
    assert table.loc[("never", "ppo"), "t_p"] == pytest.approx(
        stats.ttest_1samp([-1.0, -2.0, -3.0], 0.0).pvalue
    )


def test_many_pairs_are_corrected_by_holm(tmp_path: Path) -> None:
    for number, gamma in enumerate(("0.9", "0.95", "0.99")):
        for seed in (1, 2, 3, 4):
            noise = 0.1 * seed * (1 + number) * (-1) ** (seed + number)
            own = (*TWO, f"agent_algorithm.gamma={gamma}")
            write_run(tmp_path, *own, returns=[number + noise], seed=seed, name=f"g{gamma}")
    table = pairs_of(read(tmp_path))
    ordered = table.sort_values("t_p")
    expected = np.maximum.accumulate(ordered["t_p"].to_numpy() * [3, 2, 1]).clip(max=1.0)
    assert ordered["t_p_holm"].to_numpy() == pytest.approx(expected)


def test_seeds_that_do_not_differ_have_no_t_test_and_do_not_count_in_the_correction(
    tmp_path: Path,
) -> None:
    for seed in (1, 2, 3, 4):
        write_run(tmp_path, *TWO, returns=[2.0], seed=seed)
        write_run(tmp_path, *SLOWER, returns=[1.0], seed=seed, name=f"slow_seed{seed}")
        own = (*TWO, "agent_algorithm.gamma=0.5")
        write_run(tmp_path, *own, returns=[seed * 0.5], seed=seed, name=f"half_seed{seed}")
    runs = read(tmp_path)
    clinics, found, _ = conditions.label_runs(runs)
    grouped = comparing.grouped(runs, clinics, found)
    table = pairs_table(grouped)
    (constant,) = table[table["t_p"].isna()].to_dict("records")
    assert {constant["first"], constant["second"]} == {"ppo_gamma0.9", "ppo_gamma0.996"}
    assert np.isnan(constant["t_p_holm"])
    known = table["t_p"].dropna()
    assert table.loc[known.idxmin(), "t_p_holm"] == pytest.approx(2 * known.min())
    (note,) = [n for n in comparing.notes_on(grouped, table) if "do not differ" in n]
    assert note.startswith("1 of 3 pairs without a t test")


def test_over_clinics_the_share_of_the_range_is_resampled_within_each(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path, *TWO, returns=[1.0], seed=seed, share=0.2)
        write_run(tmp_path, *ONE, returns=[1.0], seed=seed, share=0.8)
    runs = read(tmp_path)
    clinics, found, _ = conditions.label_runs(runs)
    (row,) = comparing.overall_table(comparing.grouped(runs, clinics, found)).to_dict("records")
    # Resampled across clinics, the mean would lie between 0.2 and 0.8.
    assert (row["mean"], row["mean_low"], row["mean_high"]) == pytest.approx((0.5, 0.5, 0.5))
    assert (row["clinics"], row["runs"]) == (2, 6)


def overall_of(folder: Path) -> tuple[list[dict[str, object]], list[str]]:
    runs = read(folder)
    clinics, found, _ = conditions.label_runs(runs)
    grouped = comparing.grouped(runs, clinics, found)
    notes = comparing.notes_on(grouped, pairs_table(grouped))
    table = comparing.overall_table(grouped).to_dict("records")
    return table, [note for note in notes if "over clinics" in note]  # type: ignore[return-value]


def test_the_same_clinic_with_two_evaluation_seeds_is_one_clinic(tmp_path: Path) -> None:
    for seed in (1, 2):
        for minute, own in enumerate(([], ["training.evaluation_seed=7"])):
            share = 0.2 + 0.2 * minute + 0.1 * seed
            write_run(tmp_path, *TWO, *own, returns=[1.0], seed=seed, share=share, minute=minute)
    assert overall_of(tmp_path) == ([], [])
    for seed in (1, 2):
        for minute, own in enumerate(([], ["training.evaluation_seed=7"])):
            write_run(tmp_path, *ONE, *own, returns=[1.0], seed=seed, share=0.9, minute=minute)
    (row,), notes = overall_of(tmp_path)
    assert (row["clinics"], row["runs"]) == (2, 4)
    assert row["mean"] == pytest.approx((0.4 + 0.5 + 0.9 + 0.9) / 4)
    assert len(notes) == 1
    assert "a clinic counts once" in notes[0]


def test_a_label_holds_all_that_a_command_line_named_and_that_differs(tmp_path: Path) -> None:
    far = ("agent_algorithm.gamma=0.999", "agent_algorithm.batch_size=32")
    for own in ((), far):
        write_run(tmp_path, *ONE, *own, returns=[1.0], seed=1, share=0.2)
    found = conditions.label_runs(read(tmp_path))[1]
    assert set(found) == {"ppo_batch_size256_gamma0.996", "ppo_batch_size32_gamma0.999"}


def test_over_clinics_a_condition_that_is_another_in_each_is_told(tmp_path: Path) -> None:
    for seed in (1, 2):
        for gamma in ("0.9", "0.996"):
            own = f"agent_algorithm.gamma={gamma}"
            write_run(tmp_path, *TWO, own, returns=[1.0], seed=seed, share=0.2)
            rate = "agent_algorithm.learning_rate=0.01"
            write_run(tmp_path, *ONE, own, rate, returns=[1.0], seed=seed, share=0.3)
    table, notes = overall_of(tmp_path)
    assert [row["condition"] for row in table] == ["ppo_gamma0.9", "ppo_gamma0.996"]
    assert notes == [
        f"over clinics, {name} is not the same in each: agent_algorithm.learning_rate "
        "(0.0005, 0.01)"
        for name in ("ppo_gamma0.9", "ppo_gamma0.996")
    ]


def test_over_clinics_all_conditions_are_over_the_same_clinics(tmp_path: Path) -> None:
    third = ("experiment=paper_crowded",)
    for own, share in ((TWO, 0.2), (ONE, 0.4), (third, 0.9)):
        for seed in (1, 2):
            write_run(tmp_path, *own, returns=[1.0], seed=seed, share=share)
            if own != third:
                slow = (*own, "agent_algorithm.gamma=0.9")
                write_run(
                    tmp_path, *slow, returns=[1.0], seed=seed, share=share + 0.1, name=f"s{seed}"
                )
    table, notes = overall_of(tmp_path)
    means = {row["condition"]: (row["clinics"], row["mean"]) for row in table}
    assert means == {
        "ppo_gamma0.996": (2, pytest.approx(0.3)),
        "ppo_gamma0.9": (2, pytest.approx(0.4)),
    }
    assert len(notes) == 1
    assert notes[0].endswith("without paper_crowded")


@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(order=st.randoms(use_true_random=False))
def test_the_order_of_the_runs_changes_no_bit(
    many: list[GatheredRun], order: random.Random
) -> None:
    shuffled = list(many)
    order.shuffle(shuffled)
    for one, other in zip(tables_of(many), tables_of(shuffled), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def tables_of(runs: Sequence[GatheredRun]) -> list[pd.DataFrame]:
    clinics, found, _ = conditions.label_runs(runs)
    grouped = comparing.grouped(runs, clinics, found)
    bootstrap = comparing.Bootstrap(resamples=200)
    return [
        reading.runs_table(runs, clinics, found, [run.settings for run in runs]),
        comparing.conditions_table(grouped, bootstrap),
        pairs_table(grouped, bootstrap=bootstrap),
        comparing.overall_table(grouped, bootstrap),
    ]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[GatheredRun]:
    folder = tmp_path_factory.mktemp("many")
    draw = np.random.default_rng(3)
    for own in (TWO, SLOWER, ONE, (*ONE, "agent_algorithm=a2c")):
        for seed in (1, 2, 3, 4):
            write_run(folder, *own, returns=draw.normal(size=3).tolist(), seed=seed)
    return read(folder)


def test_the_figure_has_a_panel_for_each_clinic(many: list[GatheredRun], tmp_path: Path) -> None:
    runs, of_conditions, *_ = tables_of(many)
    figure = conditions_figure.draw(of_conditions, runs, title="returns")
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["paper_single", "paper_two"]
    assert [len(axis.get_yticks()) for axis in figure.axes] == [2, 2]
    assert canvas.save(figure, tmp_path / "returns.png").stat().st_size > 1000


def test_a_run_with_a_studys_best_values_is_called_by_the_study(tmp_path: Path) -> None:
    lines = {
        "first": ("agent_algorithm=policy_search", f"{LENGTH}=15360"),
        "second": (f"{LENGTH}=300",),
    }
    for name, told in lines.items():
        more = {"best_params_from": name, "choices": {"experiment": "paper_two"}}
        given = ("experiment=paper_two", f"best_params_from={name}", *told)
        write_run(tmp_path, *given, returns=[1.0], name=name, more=more)
    for agent in ("ppo", "policy_search"):
        given = ("experiment=paper_two", f"agent_algorithm={agent}")
        write_run(tmp_path, *given, returns=[1.0], name=agent)
    runs = read(tmp_path)
    _, found, _ = conditions.label_runs(runs)
    assert dict(zip((run.facts["run"] for run in runs), found, strict=True)) == {
        "first": "tuned-first",
        "second": "tuned-second",
        "ppo": "ppo",
        "policy_search": "policy_search",
    }


def test_lengths_that_command_lines_named_are_told_where_no_study_is(tmp_path: Path) -> None:
    for episodes in (100, 300):
        write_run(tmp_path, *TWO, f"{LENGTH}={episodes}", returns=[1.0], name=f"long_{episodes}")
    assert labels(read(tmp_path))[1] == {
        f"ppo_total_num_training_episodes{episodes}" for episodes in (100, 300)
    }


def test_gathering_in_a_notebook_gives_the_tables_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2, 3):
        write_run(tmp_path / "results", *TWO, returns=[1.0, 2.0], seed=seed)
        write_run(tmp_path / "results", *SLOWER, returns=[3.0, 4.0 + seed], seed=seed)
    found = abx_amr.gather("resamples=99")
    assert found.counts() == "6 runs, 2 conditions in 1 clinic"
    assert sorted(found.conditions["mean"]) == [1.5, 4.5]
    assert found.pairs is not None
    assert found.pairs["difference"].abs().tolist() == [3.0]
    assert found.overall is None
    shown = found._repr_html_()
    assert "<td>1.500</td>" in shown and "<td>ppo_gamma0.9</td>" in shown
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    with pytest.raises(InputError, match="confidence must"):
        abx_amr.gather("confidence=2")
    with pytest.raises(InputError, match="nowhere"):
        abx_amr.gather("results_dir=nowhere")
