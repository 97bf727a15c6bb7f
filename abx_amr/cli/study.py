"""abx-study: look at studies, export, copy and delete them, in any storage."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abx_amr import checks
from abx_amr.cli.arguments import translate
from abx_amr.cli.door import enter_without_hydra, no_setting
from abx_amr.errors import InputError, counted, in_one_line, printable, unknown
from abx_amr.host.terminal import shown

if TYPE_CHECKING:
    from abx_amr.studies.records import StudyRecord
    from abx_amr.studies.storages import StudyStorage

#: The file of storage=journal, as conf/storage/journal.yaml names it.
JOURNAL = "optuna_journal.log"
HELP = """
abx-study: look at studies, export, copy and delete them, in any storage.

  abx-study list                                      the studies below optimization/
  abx-study list storage=postgres                     those of a server (PG_HOST, PG_PORT, ...)
  abx-study show first_study
  abx-study best first_study storage=postgres > best_params.json
  abx-study watch first_study                         while workers are at it, here or elsewhere
  abx-study dashboard first_study                     in a browser (optuna-dashboard)
  abx-study confirm first_study                       what is its winner worth?
  abx-study audit first_study                         is its result what it is said to be?
  abx-study audit                                     which studies there are to audit
  abx-study export first_study folder=tables          CSV and Parquet, a row per trial and seed
  abx-study copy first_study storage=sqlite to=postgres
  abx-study delete first_study storage=postgres

abx-study VERB NAME [KEY=VALUE ...]
  create   make the tables and an empty study; no error where it exists (direction=minimize)
  list     every study of the storage and how far it is
  show     budget, states, best value with its seeds, workers, fingerprint, last heartbeat
  best     the best parameters as JSON: configuration path -> value
  trials   one line per trial
  watch    what abx-tune shows on a terminal, of a study that runs elsewhere, until it ends or
           Ctrl-C; a line for each trial that ends where nobody looks. The study is not touched
  dashboard  optuna-dashboard on the storage, at host=localhost port=8080, until Ctrl-C; needs
           pip install 'abx-amr[dashboard]'. It shows all studies of the storage (and can delete
           them) and the figures of this one. The page to send is abx-report's
  confirm  train the best points and the default again on fresh seeds, the winner of these and the
           default on held-out ones, as abx-tune does at a study's end: for one that was finished
           without; final={top:4,seeds:10} sets its size; the same command elsewhere is another
           worker, or goes on
  audit    budget, seeds, evaluation, read-back, what is held out, versions, failures: pass or fail
           with the evidence, and audit.html in its folder; a FOLDER that was sent will do, nothing
           in it is run; status 1 where a point fails
  delete   remove the study from the storage (files in optimization/NAME stay); refused while
           workers are at it, unless force=true
  export   NAME_trials.csv and NAME_trials.parquet in folder=. (the working folder)
  copy     into the storage to=STORAGE (its own keys: to.KEY=VALUE), as to_study_name=NAME if told;
           the copy can be resumed there (force=true: although workers are at it)

Keys are those of the configuration: storage (sqlite, journal, postgres, url), storage.path, ...,
optimization_dir, run_name (default NAME).
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Enter through the command line."""
    enter_without_hydra("abx-study", HELP, _run, arguments, after_interrupt="")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A command line that was understood."""

    name: str
    config: dict[str, Any]
    storage: StudyStorage
    target: StudyStorage | None
    is_storage_given: bool
    folder: Path  #: of the study, which need not exist
    is_sent: bool = False  #: whether it was named by its folder


def create(asked: Asked) -> None:
    """Make the tables and an empty study."""
    from optuna.study import StudyDirection

    from abx_amr.studies.stored import quiet_optuna

    direction = asked.config["direction"]
    if direction not in ("maximize", "minimize"):
        raise InputError(f"direction must be maximize or minimize, not {direction!r}")
    quiet_optuna()
    asked.storage.check()
    with asked.storage.critical_section():
        is_new = not asked.storage.exists(asked.name)
        if is_new:
            backend = asked.storage.open()
            backend.create_new_study([StudyDirection[direction.upper()]], asked.name)
    message = "created in" if is_new else "exists already in"
    print(f"study {asked.name} {message} {asked.storage.label}")


def list_studies(asked: Asked) -> None:
    """Print a line per study."""
    _list(asked)


def _list(asked: Asked) -> list[str]:
    """Print a line per study; return their names."""
    from abx_amr.studies.stored import read_studies

    names: list[str] = []
    rows = [("study", "finished", "running", "failed", "best value", "last heartbeat", "storage")]
    broken: list[str] = []
    for storage in _all_storages(asked):
        try:
            studies = read_studies(storage)
        except InputError as error:
            broken.append(str(error))
            continue
        for study in studies:
            names.append(study.name)
            running, best = study.states["RUNNING"], study.best
            budget = study.attributes.budget
            total = "?" if budget is None else budget
            rows.append(
                (
                    study.name,
                    f"{study.n_finished}/{total}",
                    str(running),
                    str(study.n_failed),
                    "-" if best is None else f"{best.value:.3f}",
                    _moment(study),
                    storage.label,
                )
            )
    if len(rows) == 1 and broken:
        raise InputError(broken[0])
    if len(rows) == 1:
        print(f"no study in {asked.storage.label}")
        return names
    _print_rows(rows)
    for line in broken:
        print(f"not listed: {line}")
    return names


def list_to_audit(asked: Asked, settings: Sequence[str]) -> None:
    """Print a line per study, and the command that audits each."""
    for name in _list(asked):
        print(f"audit it: {printable(shlex.join(['abx-study', 'audit', name, *settings]))}")


def show(asked: Asked) -> None:
    """Print how far a study is, its best, and who works on it."""
    from abx_amr.studies.records import workers_of

    study = _study(asked)
    total, origin = study.attributes.budget, study.attributes.origin
    print(f"study {study.name} in {study.label}, to {study.direction}")
    budget = "unknown (abx-tune sets it)" if total is None else counted(total, _unit(study))
    states = ", ".join(f"{count} {state}" for state, count in study.states.items() if count)
    print(f"budget: {budget}; finished: {study.n_finished} ({states or 'no trial yet'})")
    _print_best(study)
    _print_final(study)
    histories = workers_of(study.trials)
    live = {worker.process for worker in study.live_workers()}
    alone = ": this study has one worker" if len(histories) == 1 else ""
    print(f"workers seen: {len(histories)}{alone}")
    for history in histories:
        process = history.worker.process
        at_work = "at work" if process in live else "gone or idle"
        print(f"  {process.host} process {process.pid}: {history.n_finished} finished, {at_work}")
    print(f"last heartbeat: {_moment(study)}")
    if origin is not None:
        print(f"fingerprint: {origin.digest}")
        when = f"created {origin.created}" if origin.created else "created at a time not recorded,"
        print(f"{when} with Optuna {origin.optuna}")


def best(asked: Asked) -> None:
    """Print the best parameters as JSON: those that its final selected, where it has one."""
    study = _study(asked)
    result = study.final.result
    if result is not None and result.get("n_finished") == study.n_finished:
        _print_params(asked, result["params"])
        return
    if study.best is None:
        raise InputError(
            f"study '{study.name}' has no best parameters: {study.n_finished} {_unit(study)}s are "
            "finished, none has a finite value"
        )
    _print_params(asked, study.best.params)


def _print_params(asked: Asked, params: Mapping[str, Any]) -> None:
    """Print parameters as JSON; say it where the folder's best_params.json holds others."""
    from abx_amr.host.plain_files import read_json
    from abx_amr.studies.best import how_they_differ
    from abx_amr.studies.folder import StudyFolder

    print(json.dumps(dict(params), indent=2))
    file = StudyFolder(asked.folder).best_params_file
    if not file.is_file():
        return
    try:
        different = how_they_differ(file, read_json(file), params)
    except InputError as error:
        different = str(error)
    if different is not None:
        print(shown(f"abx-study: warning: {different}"), file=sys.stderr)


def trials(asked: Asked) -> None:
    """Print a line per trial."""
    study = _study(asked)
    paths = list(dict.fromkeys(path for trial in study.trials for path in trial.params))
    rows = [("trial", "state", "value", "mean", "std", "seconds", *map(_last_part, paths), "note")]
    for trial in study.trials:
        numbers = (trial.value, trial.mean_reward, trial.std_reward, trial.wall_time_seconds)
        notes = [
            f"retry of {trial.retry_of}" if trial.retry_of is not None else "",
            trial.failure or "no reason is stored" if trial.state == "FAIL" else "",
            f"does not count: {reason}" if (reason := trial.why_not_counted) is not None else "",
            *(f"seed {seed} failed: {reason}" for seed, reason in trial.failed_seeds.items()),
        ]
        rows.append(
            (
                str(trial.number),
                trial.state,
                *("-" if n is None else f"{n:.3f}" for n in numbers),
                *(_short(trial.params.get(path)) for path in paths),
                "; ".join(filter(None, notes)),
            )
        )
    _print_rows(rows)


def delete(asked: Asked) -> None:
    """Remove a study and its trials from the storage; the files of its run stay."""
    study = _study(asked)
    _refuse_at_work(study, asked, "stop them first")
    with asked.storage.critical_section():
        asked.storage.delete(asked.name)
    print(
        f"study {asked.name} and its {counted(len(study.trials), 'trial')} deleted "
        f"from {study.label}"
    )


def export(asked: Asked) -> None:
    """Write a row per trial and seed as CSV and Parquet."""
    from abx_amr.studies.tables import seeds_table, write_table

    study = _study(asked)
    folder = Path(str(asked.config["folder"]))
    table = seeds_table(study)
    for file in write_table(table, folder, f"{study.name}_trials"):
        print(f"{file}: {len(table)} rows")


def copy(asked: Asked) -> None:
    """Take a study into another storage."""
    from abx_amr.studies.copying import copy_study

    if asked.target is None:
        raise InputError("copy needs to=STORAGE, for example to=postgres")
    _refuse_at_work(_study(asked), asked, "what they do from now on would be missing")
    made = copy_study(
        asked.storage, asked.target, asked.name, as_name=asked.config["to_study_name"]
    )
    print(f"study {made.name}: {counted(len(made.trials), 'trial')} copied to {made.label}")


def watch(asked: Asked) -> None:
    """Show a study while others work on it, until it ends."""
    from abx_amr.cli.watched_study import watch_study

    study = _study(asked)  # says that there is none, and which there are
    watch_study(asked.storage, asked.name, is_alone=not study.live_workers())


def dashboard(asked: Asked) -> None:
    """Serve optuna-dashboard on the study's storage until it is interrupted."""
    from abx_amr.studies.dashboard import dashboard_of, serve_until_interrupted
    from abx_amr.studies.folder import StudyFolder

    _study(asked)  # says that there is none, and which there are
    host, port = asked.config["host"], asked.config["port"]
    checks.fits("host", host, str)
    figures = StudyFolder(asked.folder).figures_folder
    with (
        asked.storage.explained(),
        dashboard_of(asked.storage, asked.name, host=host, port=port, figures=figures) as (
            server,
            place,
        ),
    ):
        print(f"{printable(asked.name)}: {place} (Ctrl-C ends it)", flush=True)
        serve_until_interrupted(server)


def audit(asked: Asked) -> None:
    """Print the audit of a study and write its page; end with status 1 where a point fails."""
    from abx_amr.reports.audit_page import AuditSubject
    from abx_amr.reports.writing import write_report

    own = getattr(asked.storage, "path", None)
    is_own = isinstance(own, Path) and own.absolute().parent == asked.folder.absolute()
    if is_own and not asked.folder.is_dir():
        _study(asked)  # says that there is none, and which there are
    storage = None if is_own or asked.is_sent else asked.storage
    subject = AuditSubject.of(asked.folder, storage=storage, name=asked.name)
    for point in subject.points:
        print(f"{point.verdict:<8}{point.name:<26}{printable(point.evidence)}")
    try:
        print(f"page: {write_report(subject)}")
    except InputError as error:
        print(f"no page: {printable(error)}", file=sys.stderr)
    failed = [point.name for point in subject.points if point.passed is False]
    if failed:
        print(f"{printable(asked.name)}: {counted(len(failed), 'point')} failed")
        raise SystemExit(1)


def confirm(asked: Asked) -> None:
    """Work on the final of a finished study and print what came of it."""
    from abx_amr.cli.printed_study import PrintedStudy
    from abx_amr.studies.folder import StudyFolder
    from abx_amr.tuning import confirming
    from abx_amr.tuning.service import SearchStoppedError

    _study(asked)  # says that there is none, and which there are
    try:
        confirming.confirm(
            StudyFolder(asked.folder),
            asked.storage,
            study_name=asked.name,
            final=asked.config["final"],
            listener=PrintedStudy(),
            trust=asked.config["trust"],
        )
    except SearchStoppedError as stop:
        print(stop, file=sys.stderr)
        raise SystemExit(stop.status) from None


VERBS: dict[str, Callable[[Asked], None]] = {
    "create": create,
    "list": list_studies,
    "show": show,
    "best": best,
    "watch": watch,
    "dashboard": dashboard,
    "confirm": confirm,
    "audit": audit,
    "trials": trials,
    "delete": delete,
    "export": export,
    "copy": copy,
}


def _run(given: list[str]) -> None:
    verb, *rest = given
    if verb not in VERBS:
        raise InputError(unknown("verb", verb, VERBS))
    if verb == "audit" and all("=" in word and not Path(word).is_dir() for word in rest):
        list_to_audit(_understood("list", rest), rest)
    else:
        VERBS[verb](_understood(verb, rest))


def _understood(verb: str, rest: list[str]) -> Asked:
    from abx_amr.configuration.composing import compose, places_in_project
    from abx_amr.configuration.compositions import Compositions
    from abx_amr.configuration.storage import build_storage
    from abx_amr.configuration.written import quoted
    from abx_amr.studies.folder import check_holds_studies

    name = "*"
    if verb == "list" and rest and Path(rest[0]).is_dir() and "=" not in rest[0]:
        word = shlex.quote(f"optimization_dir={rest[0]}")
        raise InputError(f"list shows all studies of a folder: write abx-study list {word}")
    if verb != "list":
        if not rest or "=" in rest[0] or rest[0].startswith("-"):
            raise InputError(f"write abx-study {verb} NAME [KEY=VALUE ...]")
        name = rest.pop(0)
    is_sent = verb == "audit" and Path(name).is_dir()
    folder = Path(name)
    if is_sent:
        name = folder.resolve().name
    elif os.sep in name or name in (".", ".."):
        name, rest = _named_by_its_folder(verb, name, rest)
    arguments = translate(rest)
    for position, argument in enumerate(arguments):
        if "=" not in argument and not argument.startswith("~"):
            raise InputError(no_setting(arguments, position))
    there = [a for a in arguments if a.partition("=")[0].split(".")[0] == "to"]
    here = [a for a in arguments if a not in there]
    if not any(argument.startswith("run_name=") for argument in here):
        here.append(f"run_name={quoted(name)}")
    if there and verb != "copy":
        raise InputError(f"'{there[0]}' goes with abx-study copy")
    compositions = Compositions()
    here += places_in_project(compose("study", here, compositions=compositions).config, here)
    config = compose("study", here, compositions=compositions).plain
    if not is_sent:
        check_holds_studies(str(config["optimization_dir"]))
    for key in ("force", "trust"):
        checks.flag(key, config[key])
    target = None
    if there:
        rest_of = [a for a in here if not a.startswith(("storage=", "storage."))]
        target = build_storage(
            compose("study", [*rest_of, *(f"storage{a.removeprefix('to')}" for a in there)]).plain
        )
    is_given = any(a.startswith(("storage=", "storage.")) for a in here)
    storage = build_storage(config)
    if not is_given and not is_sent and verb not in ("list", "create"):
        storage = _where_it_lies(storage, name)
    return Asked(
        name=name,
        config=config,
        storage=storage,
        target=target,
        is_storage_given=is_given,
        folder=folder if is_sent else Path(str(config["optimization_dir"])) / name,
        is_sent=is_sent,
    )


def _named_by_its_folder(verb: str, path: str, rest: list[str]) -> tuple[str, list[str]]:
    """Return the name of a study that was given as a path to its folder, and where it lies.

    Raises:
        InputError: there is no such folder, another is named beside it, or a study is to be made.
    """
    from abx_amr.configuration.written import quoted
    from abx_amr.studies.folder import written_path

    whole = Path(path).expanduser().resolve()
    parent = written_path(whole.parent)
    is_plain = re.fullmatch(r"[\w./-]+", parent) is not None
    place = f"optimization_dir={parent if is_plain else quoted(parent)}"
    command = shlex.join(["abx-study", verb, whole.name, place, *rest])
    if verb == "create":
        raise InputError(f"a study is created by its name, not a path: write {command}")
    if not whole.is_dir():
        raise InputError(
            f"{path} is no folder of a study: give the NAME of one (abx-study list shows all) or "
            "its folder"
        )
    if given := next((word for word in rest if word.startswith("optimization_dir=")), None):
        raise InputError(
            f"{path} and {given} both say where the study lies: leave {given} out, or write "
            f"{shlex.quote(whole.name)} in place of {path}"
        )
    return whole.name, [place, *rest]


def _where_it_lies(storage: StudyStorage, name: str) -> StudyStorage:
    """Return the storage, or that of another kind in the same folder where the study is there."""
    if storage.exists(name):
        return storage
    return next((other for other in _beside(storage) if other.exists(name)), storage)


def _beside(storage: StudyStorage) -> list[StudyStorage]:
    """Return the storages of other kinds whose file would lie beside this one's."""
    from abx_amr.studies.storages import JournalStorage

    path = getattr(storage, "path", None)
    return [JournalStorage(path=path.with_name(JOURNAL))] if isinstance(path, Path) else []


def _study(asked: Asked) -> StudyRecord:
    from abx_amr.studies.stored import read_study

    file = getattr(asked.storage, "path", None)
    if isinstance(file, Path) and not file.exists():
        folder = Path(str(asked.config["optimization_dir"]))
        names = [p.parent.name for p in folder.glob(f"*/{file.name}")]
        raise InputError(
            f"{unknown('study', asked.name, names)} in {folder}: abx-study list shows all, "
            "storage=postgres looks on a server"
        )
    is_in_folder = isinstance(file, Path) and file.parent.name == asked.config["run_name"]
    names = asked.storage.names() if is_in_folder else []
    if names and asked.name not in names:
        raise InputError(
            f"study '{asked.name}' does not exist in {asked.storage.label}, which holds "
            f"{', '.join(names)}: it was renamed or copied; write {names[0]} "
            f"run_name={asked.name} in place of {asked.name}"
        )
    return read_study(asked.storage, asked.name)


def _all_storages(asked: Asked) -> list[StudyStorage]:
    """Return the storage, or one for each file where its path has a * for the run's name.

    Where none is given, those of every kind that lies in a run's folder.
    """
    path = getattr(asked.storage, "path", None)
    if not isinstance(path, Path) or "*" not in str(path):
        return [asked.storage]
    patterns = [asked.storage, *([] if asked.is_storage_given else _beside(asked.storage))]
    found: list[tuple[Path, StudyStorage]] = []
    for pattern in patterns:
        made, each = type(pattern), pattern.path  # type: ignore[attr-defined]
        root = Path(each.anchor)
        found += [(p, made(path=p)) for p in root.glob(str(each.relative_to(root)))]  # type: ignore[call-arg]
    return [storage for _, storage in sorted(found, key=lambda pair: pair[0])]


def _refuse_at_work(study: StudyRecord, asked: Asked, why: str) -> None:
    live = study.live_workers()
    if live and not asked.config["force"]:
        who = ", ".join(worker.place for worker in live)
        raise InputError(f"study '{study.name}' is being worked on by {who}: {why}, or force=true")


def _print_best(study: StudyRecord) -> None:
    found = study.best
    if found is None:
        print("best: no trial has a finite value yet")
        return
    of_seeds = ", ".join(
        f"seed {seed.seed} "
        + ("failed" if seed.episode_return is None else f"{seed.episode_return:.3f}")
        for seed in found.seeds
    )
    print(f"best: {found.value:.6g} (trial {found.number}){': ' if of_seeds else ''}{of_seeds}")
    for path, value in found.params.items():
        print(f"  {path} = {value}")


def _unit(study: StudyRecord) -> str:
    """Return what a study's budget counts."""
    return study.attributes.unit


def _print_final(study: StudyRecord) -> None:
    from abx_amr.cli.printed_final import compared, named, valued

    size, result = study.final.size, study.final.result
    if result is not None and result.get("n_finished") == study.n_finished:
        held_out = result["held_out"]
        print(f"final: selected {named(result['selected'])}, on held-out seeds", end=" ")
        print(f"{valued(held_out['selected'])}; {compared(result)}")
    elif size is not None:
        budget = study.attributes.budget
        is_searched = budget is not None and study.n_finished >= budget
        cure = f" (abx-study confirm {study.name} goes on with it)" if is_searched else ""
        print(f"final: {size.top + 1} points x {size.seeds} seeds, not over yet{cure}")
    elif study.n_finished:
        print(f"final: none (abx-study confirm {study.name} trains it)")


def _moment(study: StudyRecord) -> str:
    heard = study.last_heartbeat
    return "-" if heard is None else heard.astimezone().isoformat(sep=" ", timespec="seconds")


def _print_rows(rows: Sequence[Sequence[str]]) -> None:
    rows = [[in_one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _short(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _last_part(path: str) -> str:
    return path.rsplit(".", 1)[-1]


if __name__ == "__main__":
    main()
