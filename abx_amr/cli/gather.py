"""abx-gather: many runs in one table, compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr.cli.arguments import translate
from abx_amr.cli.door import RUN_AGAIN, enter_without_hydra
from abx_amr.cli.numbers import figure, interval
from abx_amr.cli.written_report import print_report
from abx_amr.errors import InputError, in_one_line

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.comparison.reading import LeftOut
    from abx_amr.reports.subjects import Subject

HELP = """
abx-gather: many runs in one table, with intervals for each condition and paired tests between them.

  abx-gather                                            all runs below results/
  abx-gather against=ppo                                everything compared with one condition
  abx-gather 'runs=[paper_two_*]' 'by=[agent_algorithm.gamma]' folder=gamma_table

A condition is what differs between the runs of one clinic, other than the seed; its label holds the
choices and values that tell it apart. Clinics and evaluation seeds are never mixed.
  results_dir      where runs are looked for, at any depth
  runs             names, paths or patterns instead: [paper_two_ppo_seed1,paper_single_*]
  what             runs (of abx-train: the last weights), or evaluations (of abx-evaluate), each
                   also by itself: over its episodes, against the optimum and the best rule
  by               what makes a condition: groups and paths, [experiment,agent_algorithm.gamma]
  against          a condition: all others are compared with it, not every pair
  folder, format   where the tables go (gathered, gathered_evaluations), as csv, parquet or both
  figures, report, confidence, resamples, seed (of the bootstrap)
Writes runs, conditions, pairs (and overall, for several clinics) as tables, returns.png, and
report.html, a page to send.
A run counts once, with the mean return of its final evaluation: IQM and bootstrap are over runs.
"""

_OF_EVALUATIONS = "gathered_evaluations"  # where their tables go unless told
_MOST_EVALUATIONS = 30
_MOST_PAIRS = 15
_MOST_LEFT_OUT = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Enter through the command line."""
    enter_without_hydra(
        "abx-gather", HELP, _run, arguments, is_bare_help=False, after_interrupt=RUN_AGAIN
    )


def _run(given: list[str]) -> None:
    from abx_amr.comparison.service import checked
    from abx_amr.configuration.composing import compose, places_in_project
    from abx_amr.configuration.compositions import Compositions
    from abx_amr.configuration.overrides import keys_of

    for argument in given:
        if argument.startswith("-") and not argument.startswith(("-p", "-s")):
            raise InputError(f"'{argument}' is no setting: write key=value (see --help)")
    overrides = translate(given)
    for override in overrides:
        if "=" not in override:
            raise InputError(f"'{override}' is no setting: write key=value, e.g. runs=[{override}]")
    compositions = Compositions()
    plain = compose("gather", overrides, compositions=compositions).plain
    if plain["what"] == "evaluations" and "folder" not in keys_of(overrides):
        plain["folder"] = _OF_EVALUATIONS
    overrides += places_in_project(plain, overrides, also=("folder",))
    asked = compose("gather", overrides, compositions=compositions).plain
    folder = asked["folder"] if "folder" in keys_of(overrides) else plain["folder"]
    gather(checked({**asked, "folder": folder}))


def gather(asked: Mapping[str, Any]) -> None:
    """Write the tables and the figure, and print what they say."""
    from abx_amr.comparison import service

    found = service.gather(asked)
    tables, notes = found.tables, found.notes
    files = _written(tables, asked)
    _print(tables, notes, asked)
    _print_left_out(found.left_out)
    print(found.counts())
    if not asked["report"]:
        _remove_page(asked)
    print_report(lambda: _page_of(tables, notes, asked), is_wanted=asked["report"])
    print(f"tables: {', '.join(str(file) for file in files)}")


def _remove_page(asked: Mapping[str, Any]) -> None:
    """Remove the page of tables that were here before."""
    from abx_amr.reports.subjects.subject import PAGE
    from abx_amr.reports.writing import remove_report

    remove_report(Path(str(asked["folder"])) / PAGE)


def _page_of(
    tables: Mapping[str, pd.DataFrame], notes: Sequence[str], asked: Mapping[str, Any]
) -> Subject:
    """Return what the page is about."""
    from abx_amr.reports.subjects import SetSubject

    folder = Path(str(asked["folder"]))
    return SetSubject(
        path=folder,
        name=folder.resolve().name,
        tables=tables,
        notes=notes,
        confidence=asked["confidence"],
        has_figures=asked["figures"],
    )


def _written(tables: Mapping[str, pd.DataFrame], asked: Mapping[str, Any]) -> list[Path]:
    """Write the tables and the figure; return their files.

    Raises:
        InputError: the folder cannot be made or written, or holds a file of this name already that
            abx-gather did not write.
    """
    from abx_amr.comparison import writing

    folder = Path(str(asked["folder"]))
    formats = ("csv", "parquet") if asked["format"] == "both" else (str(asked["format"]),)
    contents = writing.tables_as_files(tables, formats=formats)
    if asked["figures"]:
        contents |= writing.figure_as_file(tables["conditions"], tables["runs"])
    try:
        return writing.write(contents, folder)
    except OSError as error:
        raise InputError(f"folder={folder} cannot be written: {error.strerror}") from error


def _print(
    tables: Mapping[str, pd.DataFrame], notes: Sequence[str], asked: Mapping[str, Any]
) -> None:
    percent = f"{100 * asked['confidence']:g} % interval"
    conditions, pairs = tables["conditions"], tables.get("pairs")
    for clinic, here in conditions.groupby("clinic", sort=False):
        optimum = float(here["optimum"].iloc[0])
        known = "" if math.isnan(optimum) else f", optimum {optimum:.2f}"
        print(f"clinic {clinic}{known}")
        rows = [
            (
                "condition",
                "seeds",
                "mean",
                percent,
                "IQM",
                percent,
                "AMR",
                "prescriptions",
                "gap",
                "expected gap",
                "against the best rule",
                "runs",
            )
        ]
        rows += [
            (
                row["condition"],
                str(row["seeds"]) if row["learns"] else "rule",
                figure(row["mean"]),
                interval(row["mean_low"], row["mean_high"]),
                figure(row["iqm"]),
                interval(row["iqm_low"], row["iqm_high"]),
                figure(row["mean_amr"], 3),
                figure(row["prescriptions"], 1),
                figure(row["gap"]),
                figure(row["expected_gap"]),
                figure(row["best_rule_difference"]),
                row["run_names"],
            )
            for row in here.to_dict("records")
        ]
        _print_rows(rows)
        if asked["what"] == "evaluations":
            _print_evaluations(tables["runs"][tables["runs"]["clinic"] == clinic])
        if pairs is not None and (pairs["clinic"] == clinic).any():
            _print_pairs(pairs[pairs["clinic"] == clinic], percent)
        print()
    if "overall" in tables:
        print("over clinics, share of the range from never treating (0) to the optimum (1)")
        shares = [("condition", "clinics", "runs", "mean", percent, "IQM", percent)]
        shares += [
            (
                row["condition"],
                str(row["clinics"]),
                str(row["runs"]),
                figure(row["mean"], 3),
                interval(row["mean_low"], row["mean_high"], 3),
                figure(row["iqm"], 3),
                interval(row["iqm_low"], row["iqm_high"], 3),
            )
            for row in tables["overall"].to_dict("records")
        ]
        _print_rows(shares)
        print()
    for note in notes:
        print(f"note: {note}")


def _print_evaluations(runs: pd.DataFrame) -> None:
    """Print each evaluation by itself, as abx-evaluate does: over its episodes."""
    heading = ("evaluation", "weights", "episodes", "mean", "95 % interval", "IQM", "as optimum")
    rows = [(*heading, "gap without luck", "minus best rule", "95 % interval")]
    for row in runs.head(_MOST_EVALUATIONS).to_dict("records"):
        agrees = row["acts_as_optimum"]
        rows.append(
            (
                row["run"],
                row["weights"] if isinstance(row["weights"], str) else "-",
                str(row["episodes"]),
                figure(row["return"]),
                interval(row["return_low"], row["return_high"]),
                figure(row["return_iqm"]),
                "-" if figure(agrees) == "-" else f"{agrees:.1%}",
                figure(row["expected_gap"]),
                figure(row["best_rule_difference"]),
                interval(row["best_rule_low"], row["best_rule_high"]),
            )
        )
    rules = ", ".join(sorted(set(runs["best_rule"].dropna())))
    print(f"each evaluation over its episodes{f'; best rule: {rules}' if rules else ''}")
    _print_rows(rows)
    if len(runs) > _MOST_EVALUATIONS:
        print(f"  ... and {len(runs) - _MOST_EVALUATIONS} more evaluations in the table")


def _print_pairs(pairs: pd.DataFrame, percent: str) -> None:
    heading = ("difference of", "pairs", "mean", percent, "t test", "Wilcoxon", "P(better)")
    rows = [heading]
    for row in pairs.head(_MOST_PAIRS).to_dict("records"):
        rows.append(
            (
                f"{row['first']} - {row['second']}",
                str(row["pairs"]),
                figure(row["difference"]),
                interval(row["low"], row["high"]),
                _p_value(row["t_p_holm"]),
                _p_value(row["wilcoxon_p_holm"]),
                figure(row["probability_of_improvement"]),
            )
        )
    print("paired by training seed; p-values corrected for their number (Holm)")
    _print_rows(rows)
    if len(pairs) > _MOST_PAIRS:
        print(f"  ... and {len(pairs) - _MOST_PAIRS} more pairs in the table")


def _print_left_out(left_out: Sequence[LeftOut]) -> None:
    if left_out:
        print(f"left out: {len(left_out)}")
    for one in left_out[:_MOST_LEFT_OUT]:
        print(f"  {one.name}: {one.reason}")
    if len(left_out) > _MOST_LEFT_OUT:
        print(f"  ... and {len(left_out) - _MOST_LEFT_OUT} more")


def _print_rows(rows: Sequence[Sequence[str]]) -> None:
    rows = [[in_one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "  ".join([first, *rest]).rstrip())


def _p_value(value: float) -> str:
    return "-" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


if __name__ == "__main__":
    main()
