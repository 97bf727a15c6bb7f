"""Make groups of a project out of an umbrella and a tuning file of the prior tool."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from abx_amr.errors import InputError
from abx_amr.host.locations import CONF, MARKER, Project, packaged
from abx_amr.migration.prior_agents import translate_agent
from abx_amr.migration.prior_clinic import (
    add_adverse_effects,
    translate_environment,
    translate_reward,
)
from abx_amr.migration.prior_files import (
    PRIOR_PPO,
    Part,
    alone_in_umbrella,
    read_tuning,
    read_umbrella,
    reading,
)
from abx_amr.migration.prior_patients import translate_patients
from abx_amr.migration.prior_sections import Groups, Notes, Plain
from abx_amr.migration.prior_studies import agent_of, translate_tuning
from abx_amr.migration.prior_umbrella import translate_umbrella
from abx_amr.project.making import Files, write_files

#: What a file of each group holds, for its first line.
_TITLES = {
    "antibiotics": "Formulary",
    "environment": "Clinic",
    "reward_calculator": "Reward",
    "patient_generator": "Population",
    "agent_algorithm": "Agent",
    "hrl": "How the manager sees and discounts",
    "option_library": "Option library",
    "training": "Training",
    "tuning": "Study",
}
#: A manager's own, chosen by its agent file.
_OF_THE_AGENT = ("hrl", "option_library")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import has made.

    Attributes:
        files: Path in the project -> text.
        lines: What to tell the user: all that is not as it was.
        experiment: Name of the experiment, if there is one.
        tuning: Name of the tuning file, if there was one.
    """

    files: Files
    lines: list[str]
    experiment: str | None
    tuning: str | None


def import_prior(
    umbrella_file: Path,
    tuning_file: Path | None,
    *,
    project: Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """Return our files for files of the prior tool; they compose and build.

    Args:
        umbrella_file: Names the others.
        tuning_file: A search for its agent, if there is one.
        project: Where they will lie; files of it that they are made of are noted.
        on_progress: Told how many files of how many are checked.

    Raises:
        InputError: a file is missing or none of its kind, or holds a value that no clinic or agent
            here can have.
    """
    notes = Notes()
    with reading(umbrella_file, "--from-umbrella: a setting"):
        groups = translate_umbrella(read_umbrella(umbrella_file), notes)
    name = _free_name(umbrella_file.stem)
    files = _files(name, groups, umbrella_file)
    tuning = None
    if tuning_file is not None:
        with reading(tuning_file, "--tuning: a setting"):
            content = translate_tuning(read_tuning(tuning_file), agent=_agent(groups), notes=notes)
        tuning = _free_name(tuning_file.stem)
        files[f"conf/tuning/{tuning}.yaml"] = _member("tuning", tuning, content, tuning_file, name)
    _check(files, umbrella_file, on_progress)
    _check_in_project(files, Project(project), experiment=name, tuning=tuning)
    for file in _shadowing(Project(project), groups, is_tuned=tuning is not None):
        notes.changed.append(
            f"{file.relative_to(project).as_posix()}: takes the packaged file's place in this "
            "project, and what is imported is made of it where it says nothing else"
        )
    lines = _lines(notes)
    report = f"imported/{name}.md"
    files[report] = _report(name, umbrella_file, tuning_file, notes)
    return Imported(
        files=files,
        lines=[*lines, f"this list is kept in {report}"] if lines else ["all was carried over"],
        experiment=name,
        tuning=tuning,
    )


def import_tuning(
    tuning_file: Path,
    *,
    project: Path,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Imported:
    """Return our file for one tuning file of the prior tool; its agent is told by its keys.

    Args:
        tuning_file: The file.
        project: Where it will lie.
        on_progress: Told how many files of how many are checked.

    Raises:
        InputError: it is none, or holds what no study here can have.
    """
    notes = Notes()
    with reading(tuning_file, "--tuning: a setting"):
        given = read_tuning(tuning_file)
        agent = agent_of(given)
        content = translate_tuning(given, agent=agent, notes=notes)
    content = {
        "defaults": ["base", {"override /agent_algorithm@_global_.agent_algorithm": agent}],
        **{key: value for key, value in content.items() if key != "defaults"},
    }
    notes.filled.append(f"the agent: its keys are those of {agent}, which the study chooses")
    name = _free_name(tuning_file.stem)
    report = f"imported/{name}.md"
    files = {
        f"conf/tuning/{name}.yaml": _member("tuning", name, content, tuning_file, "base"),
        report: _report(name, None, tuning_file, notes),
    }
    _check(files, tuning_file, on_progress, flag="--tuning")
    _check_in_project(files, Project(project), experiment=None, tuning=name)
    lines = [*_lines(notes), f"this list is kept in {report}"]
    return Imported(files=files, lines=lines, experiment=None, tuning=name)


@dataclass(frozen=True, kw_only=True)
class ImportedComponent:
    """What one component file has become.

    Attributes:
        members: Group -> the text of its file, each to be called `name`.
        overrides: What chooses them.
        lines: What to tell the user: all that is not as it was.
    """

    members: Mapping[str, str]
    overrides: Sequence[str]
    lines: Sequence[str]


def import_component(
    kind: str, content: Mapping[str, Any], file: Path, *, name: str
) -> ImportedComponent:
    """Return our files for one component file of the prior tool.

    Args:
        kind: environment, reward_calculator, patient_generator or agent_algorithm.
        content: What the file holds.
        file: The file, beside which others may lie that it names.
        name: How its members are called.

    Raises:
        InputError: it holds a value that no clinic or agent here can have.
    """
    notes = Notes()
    part = Part(content=content, file=file)
    members: dict[str, Plain] = {}
    more: list[str] = []
    alone = alone_in_umbrella(kind, part)
    with reading(file, f"-s {kind}-subconfig: a setting"):
        if kind == "environment":
            members["environment"], members["antibiotics"] = translate_environment(part, notes)
            add_adverse_effects(members, {}, notes)
        elif kind == "reward_calculator":
            members["reward_calculator"], effects = translate_reward(part, notes)
            more = [
                f"antibiotics.drugs.{drug}.{key}={value}"
                for drug, values in effects.items()
                for key, value in values.items()
            ]
        elif kind == "patient_generator":
            members["patient_generator"] = translate_patients(part, alone, notes)
        else:
            translate_agent(alone, members, (), notes)
    files = _files(name, Groups(members=members, values={}), file)
    return ImportedComponent(
        members={group: files[f"conf/{group}/{name}.yaml"] for group in members},
        overrides=[*(f"{g}={name}" for g in members if g not in _OF_THE_AGENT), *more],
        lines=_lines(notes),
    )


def _free_name(stem: str) -> str:
    """Return a name in Hydra's grammar that takes no packaged file's place."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", stem).strip("_") or "imported"
    taken = {file.stem for file in packaged("conf").rglob("*.yaml")}
    return f"{name}_imported" if name in taken else name


def _shadowing(project: Project, groups: Groups, *, is_tuned: bool) -> list[Path]:
    """Return files of a project that differ from packaged ones of which the imported ones are made.

    What the prior files mean is checked with the packaged ones.
    """
    conf = packaged("conf")
    used = {"umbrella.yaml", "train.yaml"}
    below = yaml.safe_load((conf / "umbrella.yaml").read_text(encoding="utf-8"))["defaults"]
    for entry in below:
        for group, name in entry.items() if isinstance(entry, dict) else ():
            if group not in groups.members and not group.startswith("override "):
                used.add(f"{group}/{name}.yaml")
    for group, content in groups.members.items():
        used |= {f"{group}/{name}.yaml" for name in content.get("defaults", ())}
    if _agent(groups).startswith("hrl_"):
        used.add("hrl/default.yaml")
        if "option_library" not in groups.members:
            used.add("option_library/heuristic.yaml")
    if is_tuned:
        used |= {"tune.yaml", "tuning/base.yaml"}
    found = [project.conf / name for name in sorted(used) if (conf / name).is_file()]
    return [
        file
        for file in found
        if file.is_file()
        and file.read_bytes() != (conf / file.relative_to(project.conf)).read_bytes()
    ]


def _agent(groups: Groups) -> str:
    section = groups.members.get("agent_algorithm")
    return PRIOR_PPO if section is None else str(section["defaults"][0])


def _files(name: str, groups: Groups, umbrella: Path) -> Files:
    files: Files = {}
    members = dict(groups.members)
    agent = members.get("agent_algorithm")
    if agent is not None and _agent(groups).startswith("hrl_"):
        library = name if "option_library" in members else "heuristic"
        chosen = [
            {"override /hrl@_global_.hrl": name},
            {"override /option_library@_global_.option_library": library},
            "_self_",
        ]
        members["agent_algorithm"] = {**agent, "defaults": [_agent(groups), *chosen]}
    for group, content in members.items():
        files[f"conf/{group}/{name}.yaml"] = _member(group, name, content, umbrella, name)
    choices = [{f"override /{g}": name} for g in members if g not in _OF_THE_AGENT]
    experiment = {**({"defaults": choices} if choices else {}), **groups.values}
    head = (
        "# @package _global_\n"
        f"# Umbrella configuration imported from {umbrella.name}; what was not carried over: "
        f"imported/{name}.md\n"
        f"#   abx-train experiment={name}\n"
    )
    files[f"conf/experiment/{name}.yaml"] = head + _yaml(experiment)
    return files


def _member(
    group: str, name: str, content: Mapping[str, Any], source: Path, experiment: str
) -> str:
    command = (
        f"abx-tune -m +tuning={name} experiment={experiment}"
        if group == "tuning"
        else f"abx-train experiment={experiment}"
    )
    head = f"# {_TITLES[group]} '{name}', imported from {source.name} of the prior tool.\n"
    return f"{head}#   {command}\n{_yaml(content)}"


def _yaml(content: Mapping[str, Any]) -> str:
    """Return a mapping as the configuration files here are written: short sections in a line."""
    lines = []
    for key, value in content.items():
        if key == "defaults":
            lines += ["defaults:\n", *(f"  - {_choice(entry)}\n" for entry in value)]
            continue
        is_flat = not isinstance(value, Mapping | list)
        lines.append(
            yaml.safe_dump(
                {key: value},
                sort_keys=False,
                default_flow_style=False if is_flat else None,
                width=110,
                allow_unicode=True,
            )
        )
    return "".join(lines)


def _choice(entry: str | Mapping[str, str]) -> str:
    return entry if isinstance(entry, str) else "".join(f"{k}: {v}" for k, v in entry.items())


def _check(
    files: Files,
    source: Path,
    on_progress: Callable[[int, int], None],
    *,
    flag: str = "--from-umbrella",
) -> None:
    from abx_amr.project.checking import check_project

    with tempfile.TemporaryDirectory(prefix="abx-import-") as folder:
        root = Path(folder)
        write_files(root, {**files, MARKER: ""}, overwrite=True)
        found = check_project(Project(root), on_progress=on_progress)
    if found.faults:
        more = len(found.faults) - 1
        also = f" (and {more} more)" if more else ""
        raise InputError(
            f"{flag}: '{source}' holds what cannot be built here, nothing was written: "
            f"{found.faults[0].message}{also}"
        )


def _check_in_project(
    files: Files, project: Project, *, experiment: str | None, tuning: str | None
) -> None:
    """Refuse files that do not compose beside those that the project has already.

    Raises:
        InputError: saying what is wrong with them there.
    """
    from abx_amr.project.checking import faults_in

    if not project.conf.is_dir():
        return
    chosen = [] if experiment is None else [f"experiment={experiment}"]
    commands = [("train", chosen)] if chosen else []
    if tuning is not None:
        commands.append(("tune", [f"+tuning={tuning}", *chosen, f"run_name={tuning}"]))
    with tempfile.TemporaryDirectory(prefix="abx-import-") as folder:
        root = Path(folder)
        for name in (CONF, "components"):
            if (project.root / name).is_dir():
                shutil.copytree(project.root / name, root / name)
        write_files(root, {**files, MARKER: ""}, overwrite=True)
        for config_name, overrides in commands:
            if faults := faults_in(Project(root), config_name, overrides):
                raise InputError(
                    f"what is imported does not compose in {project.root}, "
                    f"nothing was written: {' '.join(overrides[:2])}: {faults[0]} (files there "
                    "take the place of packaged ones: abx-init --check, or import into a new "
                    "folder)"
                )


def _lines(notes: Notes) -> list[str]:
    lines = []
    for title, items in _chapters(notes):
        lines += [f"{title}:", *(f"  {item}" for item in items)]
    return lines


def _chapters(notes: Notes) -> list[tuple[str, list[str]]]:
    chapters = (
        ("not carried over", notes.lost),
        ("filled in", notes.filled),
        ("means something else here", notes.changed),
    )
    return [(title, items) for title, items in chapters if items]


def _report(name: str, umbrella: Path | None, tuning: Path | None, notes: Notes) -> str:
    sources = " and ".join(f"`{file}`" for file in (umbrella, tuning) if file is not None)
    lines = [f"# The import of `{name}`", "", f"Made from {sources}."]
    for title, items in _chapters(notes):
        lines += ["", f"## {title[0].upper()}{title[1:]}", "", *(f"- {item}" for item in items)]
    if not _chapters(notes):
        lines += ["", "All was carried over."]
    return "\n".join(lines) + "\n"
