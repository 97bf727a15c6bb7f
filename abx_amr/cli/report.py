"""abx-report: one page to send: of a study, a run, a set of runs or a plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from abx_amr.cli.arguments import translate
from abx_amr.cli.door import RUN_AGAIN, enter_without_hydra
from abx_amr.errors import InputError, unknown

if TYPE_CHECKING:
    from abx_amr.reports.finding import Places
    from abx_amr.studies.storages import StudyStorage

_OF_THE_CONFIGURATION = ("results_dir", "optimization_dir", "storage")

HELP = """
abx-report: one page to send: of a study, a run, a set of runs or a plan. One HTML file that needs
no network and no installation: the verdict first, figures, tables, and how to repeat it.

  abx-report first_study                              a study by its name
  abx-report first results/paper_two_plan_20261123_120000     a run and a plan
  abx-report gathered                                 the tables of abx-gather
  abx-report results                                  all runs below a folder, compared
  abx-report first_study storage=postgres             a study on a server
  abx-report sent_by_a_colleague/first_study output=first_study.html

NAME or FOLDER, several at once. A name is looked up in optimization_dir and results_dir; of runs
the newest complete one counts. A study's folder that was sent without its database has a page too.
  output           where the page is written (of one): report.html in the folder that it is about
  results_dir, optimization_dir, storage (sqlite, journal, postgres, url), storage.path, ...
  figures=false    tables and sentences alone, in a tenth of the time
The other commands write the page at their end; report=false leaves it out.
Nothing in a folder is executed: a page can be made of what a stranger has sent.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Enter through the command line."""
    enter_without_hydra("abx-report", HELP, _run, arguments, after_interrupt=RUN_AGAIN)


def _run(given: list[str]) -> None:
    from abx_amr.reports.finding import find_subjects

    names = [word for word in given if "=" not in word or Path(word).is_dir()]
    settings = translate([word for word in given if word not in names])
    for name in names:
        if name.startswith("-"):
            raise InputError(f"'{name}' is no setting: write key=value (see --help)")
    output, has_figures, rest = _own_settings(settings)
    if not names:
        raise InputError("say what the page is of: abx-report NAME (of a run or a study) or FOLDER")
    subjects = [
        subject
        for name in names
        for subject in find_subjects(name, _places(rest, name=name, has_figures=has_figures))
    ]
    if output is not None and len(subjects) > 1:
        raise InputError(f"output is for one page, these are {len(subjects)}: leave it out")
    from abx_amr.reports.writing import write_report  # not for what is refused

    for subject in subjects:
        print(f"report: {write_report(subject, output)}", flush=True)


def _own_settings(settings: Sequence[str]) -> tuple[Path | None, bool, list[str]]:
    """Return output, figures and the other settings, which belong to the configuration."""
    output, has_figures, rest = None, True, []
    for word in settings:
        key, _, value = word.partition("=")
        if key == "output":
            if not value or not Path(value).absolute().parent.is_dir() or Path(value).is_dir():
                raise InputError(
                    f"output={value} must be a file in a folder that exists: output=page.html"
                )
            output = Path(value)
        elif key == "figures":
            if value not in ("true", "false"):
                raise InputError(f"figures must be true or false, not '{value}'")
            has_figures = value == "true"
        else:
            rest.append(word)
    return output, has_figures, rest


def _places(settings: list[str], *, name: str, has_figures: bool) -> Places:
    """Return where a name is looked up; a folder needs no configuration."""
    from abx_amr.reports.finding import Places

    for word in settings:
        key = word.partition("=")[0].lstrip("+").split(".")[0]
        if key not in _OF_THE_CONFIGURATION:
            raise InputError(unknown("setting", key, [*_OF_THE_CONFIGURATION, "output", "figures"]))
    if Path(name).is_dir() and not settings:
        return Places(
            results_dir=Path("results"), optimization_dir=Path("optimization"), figures=has_figures
        )
    from abx_amr.configuration.composing import compose, places_in_project

    composition = compose("study", settings)
    if added := places_in_project(composition.config, settings):
        settings = [*settings, *added]
        composition = compose("study", settings)
    config = composition.config
    return Places(
        results_dir=Path(str(config.results_dir)),
        optimization_dir=Path(str(config.optimization_dir)),
        figures=has_figures,
        storage=_storage(settings, name)
        if any(s.startswith("storage") for s in settings)
        else None,
    )


def _storage(settings: list[str], name: str) -> StudyStorage:
    """Return the storage that the command line names, of the study of this name."""
    from abx_amr.configuration.composing import compose
    from abx_amr.configuration.storage import build_storage

    text = Path(name).name.replace("\\", "\\\\").replace("'", "\\'")
    return build_storage(compose("study", [*settings, f"run_name='{text}'"]).plain)


if __name__ == "__main__":
    main()
