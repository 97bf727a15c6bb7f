"""abx-init: make a project, check it, or make one from files of the prior tool."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from abx_amr.cli.door import enter_without_hydra
from abx_amr.errors import InputError, counted, did_you_mean
from abx_amr.host.exit_codes import USER_ERROR

HELP = """
abx-init: make a project folder, in which all commands find your configuration and your classes.

  abx-init my_project                    configuration to edit, example classes, SLURM templates
  abx-init --check                       does everything in the project compose, import and build?
  abx-init my_project --from-umbrella base_experiment.yaml --tuning ppo_tuning_default.yaml

  --check [DIR]      one line for each fault, with file, key and cure; exit status 2 if any
  --from-umbrella U  read an umbrella file of the prior tool and the files it names; what cannot be
                     carried over is listed, and kept in DIR/imported/. DIR may be a project already
  --tuning T         its tuning file; without --from-umbrella that file alone
  --force            write over files that exist (without it nothing is written if one does)

conf/ of a project goes before the packaged configuration: a file there takes the place of the
packaged one of the same group and name. Any command finds the project from a folder below it, too.
Classes in components/ are named in YAML as _target_: components.module.Class.
"""

_FLAGS = {"--check": False, "--force": False, "--from-umbrella": True, "--tuning": True}


def main(arguments: Sequence[str] | None = None) -> None:
    """Enter through the command line."""
    enter_without_hydra("abx-init", HELP, _run, arguments)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A command line that was understood."""

    folder: Path | None
    check: bool
    force: bool
    umbrella: Path | None
    tuning: Path | None


def read(arguments: Sequence[str]) -> Asked:
    """Return what the arguments ask for.

    Raises:
        InputError: an unknown flag, one without its value, or two that do not go together.
    """
    folders: list[str] = []
    flags: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.strip():
            raise InputError("the folder has an empty name: write abx-init DIR (. is this folder)")
        if not argument.startswith("-"):
            folders.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        if flag not in _FLAGS:
            hint = did_you_mean(flag, _FLAGS)
            raise InputError(f"flag '{flag}' does not exist{hint} (it takes: {', '.join(_FLAGS)})")
        if _FLAGS[flag] and not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("-") else ""
        if _FLAGS[flag] != bool(value):
            needs = "needs a file" if _FLAGS[flag] else "takes no value"
            raise InputError(f"{flag} {needs}: see abx-init --help")
        flags[flag] = value
    if len(folders) > 1:
        raise InputError(f"one folder at a time, got {' and '.join(folders)}")
    if "--check" in flags and len(flags) > 1:
        other = next(flag for flag in flags if flag != "--check")
        raise InputError(f"--check only looks: it does not go with {other}")
    if not folders and "--check" not in flags:
        raise InputError("which folder? write abx-init DIR (or abx-init --check)")
    return Asked(
        folder=_path(folders[0]) if folders else None,
        check="--check" in flags,
        force="--force" in flags,
        umbrella=_path(flags.get("--from-umbrella")),
        tuning=_path(flags.get("--tuning")),
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(os.path.abspath(Path(text).expanduser()))


def _run(given: list[str]) -> None:
    asked = read(given)
    if asked.check:
        _check(asked.folder)
    elif asked.folder is not None and (asked.umbrella or asked.tuning):
        _import(asked.folder, asked.umbrella, asked.tuning, force=asked.force)
    elif asked.folder is not None:
        _make(asked.folder, force=asked.force)


def _check(folder: Path | None) -> None:
    from abx_amr.host.locations import MARKER, find_project
    from abx_amr.host.progress import progress_bar

    if folder is not None and not folder.is_dir():
        raise InputError(f"there is no folder '{folder}'")
    project = find_project(folder)
    if project is None:
        where = folder or Path.cwd()
        raise InputError(
            f"{where} is in no project (no {MARKER} there or above): abx-init DIR makes one"
        )
    from abx_amr.project.checking import check_project

    with progress_bar("check", "files") as advance:
        found = check_project(project, on_progress=advance)
    for fault in found.faults:
        print(f"abx-init: error: {fault}", file=sys.stderr)
    count = len(found.faults)
    if count:
        print(
            f"{counted(count, 'fault')} in {counted(found.n_files, 'file')} of {project.root}",
            file=sys.stderr,
        )
        raise SystemExit(USER_ERROR)
    same = f" ({found.n_copies} are the packaged ones, unchanged)" if found.n_copies else ""
    print(
        f"{counted(found.n_files, 'file')} of {project.root}: all compose, import and build{same}"
    )


def _make(folder: Path, *, force: bool) -> None:
    from abx_amr.project.making import project_files, tree, write_files

    files = project_files()
    replaced = write_files(folder, files, overwrite=force)
    print("\n".join(tree(folder, files)))
    if replaced:
        print(f"written anew: {', '.join(replaced)}")
    _say_next(folder, "own_clinic")


def _import(folder: Path, umbrella: Path | None, tuning: Path | None, *, force: bool) -> None:
    from abx_amr.host.locations import MARKER
    from abx_amr.host.progress import progress_bar
    from abx_amr.migration.importing import import_prior, import_tuning
    from abx_amr.project.making import project_files, tree, write_files

    scaffold = {} if (folder / MARKER).is_file() else project_files()
    with progress_bar("import", "files") as advance:
        if umbrella is not None:
            imported = import_prior(umbrella, tuning, project=folder, on_progress=advance)
        else:
            assert tuning is not None
            imported = import_tuning(tuning, project=folder, on_progress=advance)
    files = {**scaffold, **imported.files}
    replaced = write_files(folder, files, overwrite=force)
    print("\n".join(tree(folder, files)))
    if replaced:
        print(f"written anew: {', '.join(replaced)}")
    for line in imported.lines:
        print(line)
    _say_next(folder, imported.experiment, tuning=imported.tuning)


def _say_next(folder: Path, experiment: str | None, *, tuning: str | None = None) -> None:
    print("next:")
    if folder != Path.cwd():
        print(f"  cd {shlex.quote(os.path.relpath(folder))}")
    print("  abx-init --check")
    chosen = "" if experiment is None else f" experiment={experiment}"
    if experiment is not None:
        print(f"  abx-train{chosen}")
    if tuning is not None:
        print(f"  abx-tune -m +tuning={tuning}{chosen}")


if __name__ == "__main__":
    main()
