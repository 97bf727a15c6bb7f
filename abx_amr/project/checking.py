"""Whether everything in a project composes, imports and builds: every fault, not just the first.

A fault is found by building what a file describes. What is wrong is then mended in memory, and
building goes on, so that the next fault shows too.
"""

from __future__ import annotations

import importlib
import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from abx_amr.configuration.agent import build_prescriber
from abx_amr.configuration.classes import check_arguments, locate
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import Composition, compose
from abx_amr.configuration.groups import available, conf_dir
from abx_amr.configuration.training import build_training, check_training_seed
from abx_amr.configuration.values import value_at, with_values
from abx_amr.errors import InputError, nearest
from abx_amr.host.locations import Project, make_importable, place_in_project, working_in
from abx_amr.simulator.validation import validate_components

if TYPE_CHECKING:
    from abx_amr.simulator.model import ClinicModel

Plain = dict[str, Any]
Move = Callable[[int, int], None]

#: Faults of one file after which its reading ends.
MOST_FAULTS = 20
#: Groups whose members go together: one builds only beside a fitting one of the other.
_PARTNERS = {
    "antibiotics": ("amr_dynamics",),
    "amr_dynamics": ("antibiotics",),
    "option_library": ("antibiotics", "patient_generator"),
}
#: Faults that may lie in what a member is tried with.
_PARTNERS_MATTER = re.compile(r"formulary|not visible|parameter '|missing|belongs to an agent")
#: What a member of a group needs to be chosen at all.
_BESIDE = {
    "option_library": ("agent_algorithm=hrl_ppo",),
    "hrl": ("agent_algorithm=hrl_ppo",),
}
_OF_A_MANAGER = frozenset(_BESIDE)


@dataclass(frozen=True, order=True)
class Fault:
    """What is wrong in a file of the project: one line, with the key and the cure."""

    file: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message.removeprefix(self.file).lstrip(' :')}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a check has found."""

    n_files: int
    #: Those that are the packaged ones, unchanged.
    n_copies: int
    faults: Sequence[Fault]


@dataclass
class _Attempt:
    """What came of composing and building one file."""

    messages: list[str] = field(default_factory=list)
    choices: Mapping[str, str] = field(default_factory=dict)


def check_project(project: Project, *, on_progress: Move = lambda done, total: None) -> Found:
    """Return every fault of a project's configuration files and components.

    Raises:
        InputError: it has no conf/ at all.
    """
    if not project.conf.is_dir():
        raise InputError(f"{project.root} has no conf/ folder: abx-init {project.root} makes one")
    with working_in(project):
        make_importable(project)
        return _Check(project, on_progress).run()


def faults_in(project: Project, config_name: str, overrides: Sequence[str]) -> list[str]:
    """Return what is wrong with one composition in a project: a line for each fault."""
    with working_in(project):
        make_importable(project)
        return _attempt(config_name, overrides).messages


class _Check:
    def __init__(self, project: Project, on_progress: Move) -> None:
        self.project = project
        self.on_progress = on_progress
        self.faults: list[Fault] = []
        self.texts: dict[str, str] = {}
        self.experiments: dict[str, _Attempt] = {}
        #: Faults that seem to lie in another file than the one that shows them.
        self.doubtful: list[tuple[Path, str]] = []

    def run(self) -> Found:
        """Read every file, then compose and build each."""
        modules = [p for p in self._below("components") if p.suffix == ".py"]
        readable = [p for p in self._below("conf") if self._is_read(p)]
        copies = [p for p in readable if self._is_copy(p)]
        members = [m for m in map(self._member, self._to_try(readable, copies)) if m is not None]
        experiments = [name for group, name in members if group == "experiment"]
        others = [m for m in members if m[0] not in _WHOLES]
        wholes = [m for m in members if m[0] in _WHOLES]
        # Experiments are built first, since they tell with which others a member goes, and
        # reported last, since a fault is said where it lies.
        steps: list[Callable[[], None]] = [
            *(partial(self._import, module) for module in modules),
            *(partial(self._build_experiment, name) for name in experiments),
            *(partial(self._try_member, *member) for member in others),
            *(partial(self._try_whole, *member) for member in wholes),
        ]
        for done, step in enumerate(steps):
            self.on_progress(done, len(steps))
            step()
        known = {fault.message for fault in self.faults}
        for file, message in self.doubtful:
            if message not in known:
                self._say(file, message)
        self.on_progress(len(steps), len(steps))
        return Found(
            n_files=len(modules) + len(self.texts),
            n_copies=len(copies),
            faults=self._without_echoes(),
        )

    # --- reading ---------------------------------------------------------------------------------

    def _below(self, folder: str) -> list[Path]:
        top = self.project.root / folder
        return sorted(
            path
            for path in top.rglob("*")
            if path.is_file()
            and not any(p.startswith((".", "__pycache__")) for p in path.relative_to(top).parts)
        )

    def _say(self, path: Path, message: str) -> None:
        fault = Fault(path.relative_to(self.project.root).as_posix(), message)
        if fault not in self.faults:
            self.faults.append(fault)

    def _is_read(self, path: Path) -> bool:
        """Take in a file; say what is wrong with it as a file."""
        if path.suffix == ".yml":
            self._say(path, f"files are found by .yaml alone: rename it to {path.stem}.yaml")
            return False
        if path.suffix != ".yaml":
            return False
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self._say(path, f"cannot be read ({error}): it must be a text file in UTF-8")
            return False
        name = path.relative_to(self.project.root).as_posix()
        self.texts[name] = text
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            self._say(path, f"{where}no YAML: {problem}")
            return False
        if content is not None and not isinstance(content, Mapping):
            self._say(path, "must hold KEY: VALUE lines, and holds something else")
            return False
        if re.search(r"^# @package ", text, re.MULTILINE) and not text.startswith("# @package "):
            self._say(path, "the line '# @package ...' must be the first, else it is ignored")
        return True

    def _packaged(self, path: Path) -> Path:
        return conf_dir() / path.relative_to(self.project.conf)

    def _is_copy(self, path: Path) -> bool:
        there = self._packaged(path)
        return there.is_file() and there.read_bytes() == path.read_bytes()

    def _to_try(self, readable: Sequence[Path], copies: Sequence[Path]) -> list[Path]:
        """Return the files that can hold a fault.

        An unchanged copy cannot, but for an experiment or a study in which a changed file takes a
        packaged one's place.
        """
        changed = [p for p in readable if p not in copies]
        if any(self._packaged(path).is_file() for path in changed):
            changed += [p for p in copies if p.parent.name in ("experiment", "tuning")]
        return sorted(changed)

    def _member(self, path: Path) -> tuple[str, str] | None:
        """Return (group, name) of a file, ("", name) of a primary configuration."""
        *folders, file = path.relative_to(self.project.conf).parts
        group, name = "/".join(folders), file.removesuffix(".yaml")
        known = [p.name for p in conf_dir().iterdir() if p.is_dir()]
        if folders and folders[0] not in (*known, "hydra"):
            meant = nearest(folders[0], known)
            if meant is not None:
                self._say(path, f"nothing reads the group '{folders[0]}'; did you mean '{meant}'?")
            return None
        return group, name

    def _import(self, path: Path) -> None:
        parts = path.relative_to(self.project.root).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a user's module raises
            line = _line_of(error, path)
            reason = str(error).splitlines()[0] if str(error) else ""
            if isinstance(error, SyntaxError):
                reason = error.msg
            self._say(path, f"{line}cannot be imported: {type(error).__name__}: {reason}")

    # --- composing and building ------------------------------------------------------------------

    def _build_experiment(self, name: str) -> None:
        attempt = _attempt("train", [f"experiment={name}"])
        text = self._text(self.project.conf / "experiment" / f"{name}.yaml") or ""
        if re.search(r"^ *- (?:override )?/?tuning\b", text, re.MULTILINE):
            searched = _attempt("tune", [f"experiment={name}", "run_name=check"])
            attempt.messages += [m for m in searched.messages if m not in attempt.messages]
        self.experiments[name] = attempt

    def _try_member(self, group: str, name: str) -> None:
        """Say what is wrong in a member of a group wherever it is used."""
        file = self.project.conf / group / f"{name}.yaml"
        first: list[str] | None = None
        others: list[str] = []
        for attempt in self._attempts_at_member(group, name):
            if not attempt.messages:
                return
            its = [m for m in attempt.messages if self._culprit(m, attempt.choices, file) == file]
            if first is None or (first and not its):
                first, others = its, attempt.messages
            if not _PARTNERS_MATTER.search(" ".join(attempt.messages)):
                break
        for message in first or ():
            self._say(file, message)
        if not first:
            self.doubtful += [(file, message) for message in others]

    def _try_whole(self, group: str, name: str) -> None:
        """Say what is wrong in an experiment, a study or a primary configuration."""
        file = self.project.conf / group / f"{name}.yaml"
        attempts = self._attempts_at_whole(group, name)
        first = next(attempts)
        if not first.messages or any(not attempt.messages for attempt in attempts):
            return
        known = {fault.message for fault in self.faults}
        for message in first.messages:
            if message not in known:
                self._say(file, message)

    def _attempts_at_whole(self, group: str, name: str) -> Iterator[_Attempt]:
        if group == "experiment":
            yield self.experiments[name]
        elif group == "tuning":
            chosen = [f"+tuning={name}", "run_name=check"]
            yield _attempt("tune", chosen)
            # It may search what only the agent of an experiment has.
            agents = {a.choices.get("agent_algorithm"): e for e, a in self.experiments.items()}
            for experiment in agents.values():
                yield _attempt("tune", [*chosen, f"experiment={experiment}"])
        else:
            primary = name if name in ("tune", "evaluate", "plan", "study", "gather") else "train"
            yield _attempt(primary, ["run_name=check"], builds=False)

    def _attempts_at_member(self, group: str, name: str) -> Iterator[_Attempt]:
        chosen = [*_BESIDE.get(group, ()), f"{group}={name}"]
        yield _attempt("train", chosen, builds=not group.startswith(("hydra", "storage")))
        for experiment, attempt in self.experiments.items():
            if attempt.choices.get(group, attempt.choices.get(f"{group}@{group}")) == name:
                yield attempt
            elif group in _OF_A_MANAGER and not attempt.messages:
                yield _attempt("train", [*chosen, f"experiment={experiment}"])
        for partner in _PARTNERS.get(group, ()):
            for other in available(partner):
                yield _attempt("train", [*chosen, f"{partner}={other}"])

    def _culprit(self, message: str, choices: Mapping[str, str], file: Path) -> Path:
        """Return the file that a message is about: one that holds its words, `file` preferred."""
        words = _words(message)
        section = re.split(r"[.:\[ ]", message, maxsplit=1)[0]
        if message.startswith("option '"):
            section = "option_library"
        chosen = {group.partition("@")[0]: name for group, name in choices.items()}
        files = [self.project.conf / group / f"{name}.yaml" for group, name in chosen.items()]
        files = [path for path in files if self._text(path) is not None]
        if words:
            for path in (file, *sorted(files, key=lambda path: path.parent.name != section)):
                if self._holds(path, words):
                    return path
        return next((path for path in files if path.parent.name == section), file)

    def _text(self, path: Path) -> str | None:
        return self.texts.get(path.relative_to(self.project.root).as_posix())

    def _holds(self, path: Path, words: Sequence[str]) -> bool:
        text = self._text(path) or ""
        return all(word in text for word in words)

    def _without_echoes(self) -> list[Fault]:
        """Leave out a fault that several files show because one is part of the others."""
        kept: dict[str, Fault] = {}
        for fault in self.faults:
            words = _words(fault.message)
            before = kept.get(fault.message)
            if before is None or (
                self._holds(self.project.root / fault.file, words)
                and not self._holds(self.project.root / before.file, words)
            ):
                kept[fault.message] = fault
        return sorted(kept.values())


#: Files that are a whole configuration; "" is a primary one.
_WHOLES = ("experiment", "tuning", "")


def _attempt(config_name: str, overrides: Sequence[str], *, builds: bool = True) -> _Attempt:
    """Compose, and build what is cheap."""
    try:
        composition = compose(config_name, overrides)
        plain = composition.plain
    except InputError as error:
        # A file that is no YAML was named when it was read.
        return _Attempt(messages=[m for m in [str(error)] if " is no YAML: " not in m])
    attempt = _Attempt(choices=composition.choices)
    if not builds:
        attempt.messages += _faults_of_targets(plain)
        return attempt
    for part in (_build_clinic, _build_training, _build_agent):
        attempt.messages += _every_fault(plain, part)
    if config_name == "tune":
        attempt.messages += _faults_of_search(composition, attempt.messages)
    attempt.messages = list(dict.fromkeys(attempt.messages))
    return attempt


def _faults_of_targets(plain: Plain) -> list[str]:
    """Return what is wrong with classes that are not built here, such as a storage's."""
    section = plain.get("storage")
    if not isinstance(section, Mapping):
        return []

    def look(config: Plain) -> None:
        storage = config["storage"]
        made = locate(str(storage.get("_target_")), key="storage._target_")
        names = [name for name in storage if name != "_target_"]
        check_arguments(made, names, key="storage")

    return _every_fault(plain, look)


def _build_clinic(config: Plain) -> None:
    """Build the clinic; where classes of the project are in it, play its first steps."""
    validate_components(build_clinic(config))


def _build_training(config: Plain) -> None:
    settings = build_training(config)
    for seed in settings.seeds or [settings.seed]:
        check_training_seed(seed)


def _build_agent(config: Plain) -> None:
    build_prescriber(config).check_clinic(_neutral_clinic(config))


def _neutral_clinic(config: Plain) -> ClinicModel:
    """Return the clinic; the packaged one where the clinic itself has faults, said elsewhere."""
    try:
        return build_clinic(config)
    except InputError:
        return build_clinic(_default())


def _faults_of_search(composition: Composition, known: Sequence[str]) -> list[str]:
    """Return what is wrong with a study's settings and its search space."""
    from abx_amr.studies.contexts import choices_of, contexts, probe_points
    from abx_amr.studies.members import with_choices
    from abx_amr.studies.settings import StudySettings
    from abx_amr.studies.space import full_path

    plain = deepcopy(composition.plain)
    found: list[str] = []
    while True:
        try:
            settings = StudySettings.from_configuration(plain)
            break
        except InputError as error:
            found.append(str(error))
        entries = plain["tuning"].get("search_space")
        named = re.search(r"'([\w.]+)'", found[-1])
        keys = [k for k in entries or () if named and named[1] in (str(k), full_path(str(k)))]
        if len(found) == MOST_FAULTS or not keys:
            return found
        del entries[keys[0]]
    probes = [
        ({**choices, **where}, path, ends)
        for choices in choices_of(settings.space)
        for where in contexts(settings.space, within=choices)
        for path, ends in probe_points(settings.space, where=where, within=choices).items()
    ]
    for where, path, ends in probes:
        for value in ends:
            try:
                build_prescriber(with_values(*with_choices(plain, {**where, path: value})))
            except InputError as error:
                if str(error) not in known:
                    found.append(f"tuning.search_space.{path}: {error}")
                    break
    return found


# --- more than the first fault -------------------------------------------------------------------


def _every_fault(plain: Plain, build: Callable[[Plain], Any]) -> list[str]:
    """Return what building says, again and again, with what it said mended."""
    config = deepcopy(plain)
    found: list[str] = []
    while len(found) < MOST_FAULTS:
        try:
            build(config)
        except InputError as error:
            message = str(error)
        except Exception as error:  # of a user's own class
            message = f"{place_in_project(error)}{type(error).__name__}: {_first_line(error)}"
        else:
            break
        if message in found:
            break
        found.append(message)
        if not _mended(config, message):
            break
    return found


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else ""


_TOKEN = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")


def _mended(config: Plain, message: str) -> bool:
    """Change what a message complains about, so that building comes further."""
    if option := re.match(r"option '([^']+)'", message):
        for part in ("options", "for_each_antibiotic"):
            options = value_at(config, f"option_library.{part}", missing=None) or {}
            if option[1] in options:
                options[option[1]] = {"type": "block", "antibiotic": "no_treatment", "duration": 1}
                return True
        return False
    path = _path_in(config, message)
    if path is None or path.endswith("._target_"):
        return False
    parents, _, last = path.rpartition(".")
    parent = value_at(config, parents)
    meant = re.search(r"did you mean '(\w+)'", message)
    if re.search(r"\bis unknown\b|\bhas no key\b|does not exist", message):
        value = parent.pop(last)
        if meant is not None:
            parent.setdefault(meant[1], value)
        return True
    value = _fit_value(path)
    if meant is not None and isinstance(parent[last], str):
        value = meant[1]
    if value is None or value == parent[last]:
        return False
    parent[last] = value
    return True


def _path_in(config: Plain, message: str) -> str | None:
    """Return the path of the value that a message is about, None where it cannot be told."""
    tokens = _TOKEN.findall(message)
    section = tokens[0].split(".")[0] if tokens else ""
    if not isinstance(config.get(section), Mapping):
        section = ""
    quoted = re.findall(r"'(\w+)'", message)
    for token in tokens:
        for path in (token, f"{section}.{token}"):
            there = value_at(config, path, missing=_NOTHING) if path.count(".") else _NOTHING
            if isinstance(there, Mapping):
                named = next((name for name in quoted if name in there), None)
                if named is not None:
                    return f"{path}.{named}"
            elif there is not _NOTHING:
                return path
    got = re.search(r"got (.+?)(?:;|\(|$)", message)
    for path, value in _leaves(config):
        if path.split(".")[-1] in tokens and (got is None or repr(value) == got[1].strip()):
            return path
    return None


_NOTHING = object()


def _leaves(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        elif above:
            yield f"{above}{key}", value


_defaults: list[Plain] = []


def _default() -> Plain:
    """Return the packaged default configuration, whatever the project shadows."""
    if not _defaults:
        with working_in(None):
            _defaults.append(compose("train").plain)
    return _defaults[0]


def _fit_value(path: str) -> Any:
    """Return a value that is right at a path: the default's there, or under the same last name."""
    there = value_at(_default(), path, missing=_NOTHING)
    if there is not _NOTHING:
        return there
    last, section = path.split(".")[-1], path.split(".")[0]
    return next(
        (v for p, v in _leaves(_default()) if p.split(".")[-1] == last and p.startswith(section)),
        None,
    )


# --- which file it is ----------------------------------------------------------------------------


def _words(message: str) -> list[str]:
    """Return the words that a file which causes a message must hold: the last key, the value.

    >>> _words("patient_generator: prob_infected.sigma must be >= 0, got -1.0")
    ['sigma', '-1.0']
    """
    if component := re.match(r"(\S+)\.py line", message):
        return [component[1].replace(os.sep, ".")]
    tokens = _TOKEN.findall(re.sub(r"^[\w.]+: ", "", message))
    dotted = [token for token in tokens if "." in token]
    words = [(dotted or tokens)[0].split(".")[-1]] if tokens else []
    if named := re.search(r"(?:parameter|no key) '(\w+)'", message):
        words = [named[1]]
    if option := re.match(r"option '([^']+)'", message):
        words = [option[1]]
    if got := re.search(r"got '?([\w.+-]+?)'?(?:;|:|,|\(|$)", message):
        words.append(got[1])
    return words


def _line_of(error: BaseException, path: Path) -> str:
    """Return 'line N: ' for the line of a file at which an exception arose."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename) == path:
        return f"line {error.lineno}: "
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if os.path.realpath(frame.filename) == os.path.realpath(path):
            return f"line {frame.lineno}: "
    return ""
