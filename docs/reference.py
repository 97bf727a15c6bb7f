"""Write docs/reference/: every configuration key, from conf/ and from the classes behind it.

python docs/reference.py            writes the pages
python docs/reference.py --check    ends with status 1 and names the pages that are out of date

A key's meaning is the comment beside it in YAML, or else what its class says in its docstring;
its type is that of the class's signature. A key without a meaning is an error.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docstring_parser
import yaml

from abx_amr.agents.settings import EarlyStopping, TrainingSettings, VecNormalizeSettings
from abx_amr.configuration.classes import locate
from abx_amr.configuration.groups import conf_dir
from abx_amr.hierarchy import options
from abx_amr.hierarchy.manager import ManagerSettings
from abx_amr.simulator.dynamics import LeakyBalloon
from abx_amr.simulator.model import ClinicModel
from abx_amr.simulator.observation import ObservationSettings, VisibleAmr
from abx_amr.simulator.rewards import ClinicalReward

FOLDER = Path(__file__).parent / "reference"
ROOT = Path(__file__).parents[1]

#: group -> what it decides; the order of the pages.
GROUPS = {
    "experiment": "The umbrella: a named choice of parts and values.",
    "antibiotics": "The formulary: which antibiotics there are and how resistance answers to each.",
    "amr_dynamics": "The model of resistance.",
    "environment": "The clinic's size, its horizon, and what an agent is shown.",
    "patient_generator": "Who comes: the population.",
    "reward_calculator": "What an outcome is worth.",
    "agent_algorithm": "Who prescribes: a learning algorithm or a fixed rule.",
    "option_library": "What a hierarchical agent's manager chooses among.",
    "hrl": "How a manager sees and discounts.",
    "training": "How an agent is trained and evaluated.",
    "tuning": "How a study searches.",
    "storage": "Where a study is kept.",
    "tracker": "Where trainings are followed beside their own folders.",
}
#: group -> the classes that take its keys, where YAML names none.
BEHIND = {
    "environment": (ClinicModel, ObservationSettings),
    "hrl": (ManagerSettings,),
    "training": (TrainingSettings,),
}
#: section of a group -> its class.
INNER = {
    "environment.visible_amr": VisibleAmr,
    "training.early_stopping": EarlyStopping,
    "training.vec_normalize": VecNormalizeSettings,
}
#: Arguments that a run hands over itself.
HANDED_OVER = {
    "antibiotics",
    "model",
    "name",
    "env",
    "policy",
    "_init_setup_model",
    "verbose",
    "seed",
}
COMMANDS = ("umbrella", "train", "tune", "evaluate", "plan", "study", "gather")
#: Keys that are `null`, have no class that says their type, and are not numbers.
NULL_KINDS = {"storage.url": "text", "agent_algorithm.policy_kwargs.value_net_arch": "list"}
#: What a configured `null` stands for is said beside it; this is how a value is printed.
#: A value that another section may bring, with the one that holds otherwise.
SELECTED = re.compile(r"\$\{oc\.select:[^,]+,(.*)\}")
LONGEST = 60


@dataclass(frozen=True)
class Key:
    """A key of a file: its path, its value as written, the comment beside it."""

    path: str
    value: Any
    comment: str


@dataclass
class Member:
    """A file of a group: its header (what it is, notes, commands) and its keys."""

    name: str
    what: str
    notes: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    code: str = ""
    keys: list[Key] = field(default_factory=list)
    content: dict[str, Any] = field(default_factory=dict)


def read(file: Path) -> Member:
    """Return what a YAML file says, with its comments."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    head = []
    for line in lines:
        if line.startswith("# @"):
            continue
        if not line.startswith("#"):
            break
        head.append(line[1:].removeprefix(" "))
    member = Member(name=file.stem, what="")
    prose = []
    for line in head:
        if line.startswith("  "):
            member.commands.append(line.strip())
        else:
            prose.append(line)
    message = " ".join(prose)
    if found := re.search(r"Code: ([^\s;.]+(?:\.py|[\w.]+)?)", message):
        member.code = found[1].rstrip(".,;")
    message = re.sub(r"Code: [^;]*?(?:$|(?<=[\w/])\. (?=[A-Z])|; )", "", message).strip(" ;")
    member.what, _, rest = message.partition(". ")
    member.notes = [rest] if rest else []
    member.content = yaml.safe_load(text) or {}
    node = yaml.compose(text)
    if node is not None:
        member.keys = [
            key
            for key in keys_of(node, (), lines, file.parent.name)
            if key.path.split(".")[0] not in ("defaults", "hydra", "_target_")
        ]
    return member


def keys_of(node: yaml.Node, above: tuple[str, ...], lines: list[str], group: str) -> Iterator[Key]:
    """Yield the leaves of a YAML mapping; one on a line is a leaf unless a class takes its keys."""
    assert isinstance(node, yaml.MappingNode)
    for name, value in node.value:
        path = (*above, name.value)
        comment = comment_of(lines, name.start_mark.line)
        if (
            isinstance(value, yaml.MappingNode)
            and value.value
            and (not value.flow_style or ".".join((group, *path)) in INNER)
        ):
            yield from keys_of(value, path, lines, group)
        else:
            yield Key(".".join(path), yaml.safe_load(yaml.serialize(value)), comment)


def comment_of(lines: list[str], number: int) -> str:
    """Return the comment at the end of a line, with the comment lines that go on below it."""
    found = re.search(r"\s#\s?(.*)$", lines[number])
    if not found:
        return ""
    message = [found[1].strip()]
    for line in lines[number + 1 :]:
        more = re.match(r"\s{8,}#\s?(.*)$", line)
        if not more:
            break
        message.append(more[1].strip())
    return " ".join(message)


@dataclass(frozen=True)
class Argument:
    """An argument of a class: its type in words, and what its docstring says."""

    kind: str
    meaning: str


@functools.cache
def arguments(made: Callable[..., Any]) -> dict[str, Argument]:
    """Return name -> argument of a class or function, from its signature and docstrings."""
    meanings: dict[str, str] = {}
    documented = [made.__init__, made] if isinstance(made, type) else [made]
    parents = [p for p in getattr(made, "__mro__", ())[1:] if p is not object]
    for source in (*documented, *(part for p in parents for part in (p.__init__, p))):
        for parameter in docstring_parser.parse(inspect.getdoc(source) or "").params:
            message = re.sub(r"\s*See :ref:`\w+`", "", parameter.description or "")
            meanings.setdefault(parameter.arg_name, " ".join(message.split()))
    try:
        hints = typing.get_type_hints(made.__init__ if isinstance(made, type) else made)
    except (NameError, TypeError):
        hints = {}
    return {
        name: Argument(in_words(hints.get(name, parameter.annotation)), meanings.get(name, ""))
        for name, parameter in inspect.signature(made).parameters.items()
        if name not in HANDED_OVER
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }


WORDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    types.NoneType: "null",
}


def in_words(annotation: Any) -> str:
    """Return a type as a reader of YAML would call it.

    >>> in_words(int | None)
    'whole number or null'
    """
    if annotation in WORDS:
        return WORDS[annotation]
    if isinstance(annotation, str):
        return WORDS.get({"int": int, "float": float, "bool": bool, "str": str}.get(annotation), "")
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = list(dict.fromkeys(w for a in typing.get_args(annotation) if (w := in_words(a))))
        return " or ".join(parts)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "section"
    if (
        origin is not None
        and origin is not type
        and origin.__name__ in ("Sequence", "list", "tuple")
    ):
        inner = in_words(typing.get_args(annotation)[0])
        return {"whole number": "list of whole numbers", "number": "list of numbers"}.get(
            inner, "list"
        )
    if annotation is inspect.Parameter.empty or annotation is Any or callable(origin):
        return ""
    return "section" if hasattr(annotation, "__dataclass_fields__") else ""


def kind_of(value: Any) -> str:
    """Return a value's type in words, for keys that no class annotates."""
    if isinstance(value, Mapping):
        return "section"
    if isinstance(value, list):
        return "list"
    return WORDS.get(type(value), "") if value is not None else ""


def shown(value: Any) -> str:
    """Return a value as YAML on one line, cut where it is long; of a choice the usual one."""
    if isinstance(value, str) and (choice := SELECTED.fullmatch(value)):
        return f"`{choice[1]}`"
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False).strip()
    text = text.removesuffix("...").strip()
    return f"`{text}`" if len(text) <= LONGEST else f"`{text[: LONGEST - 2]}` ..."


def in_cell(text: str) -> str:
    """Return a text for a cell of a Markdown table."""
    text = text.replace("|", "&#124;")
    return text if text.startswith("`") else text.replace("<", "&lt;").replace("*", "\\*")


def table(rows: list[tuple[str, ...]], *head: str) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(in_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


class Missing(Exception):
    """Keys without a meaning."""


@dataclass
class Writer:
    """The pages as they come about, and the keys for which nothing says what they mean."""

    pages: dict[str, str] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)

    def row(self, prefix: str, key: Key, taken: Mapping[str, Argument]) -> tuple[str, ...]:
        """Return a key's row."""
        first, _, rest = key.path.partition(".")
        argument = taken.get(first)
        inner = INNER.get(f"{prefix}.{first}")
        if rest and inner is not None:
            argument = arguments(inner)[rest]
        kind = argument.kind if argument and not (rest and inner is None) else ""
        message = argument.meaning if argument and not (rest and inner is None) else ""
        meaning = message if rest and inner is not None else key.comment or message
        if not meaning:
            self.silent.append(f"{prefix}.{key.path}")
        path = f"{prefix}.{key.path}"
        kind = kind or kind_of(key.value) or NULL_KINDS.get(path, "number")
        return (f"`{path}`", kind, shown(key.value), meaning.removesuffix("."))

    def keys(self, group: str, member: Member, *classes: Callable[..., Any]) -> str:
        """Return the table of a member's keys; the classes say more about them."""
        taken: dict[str, Argument] = {}
        for made in classes:
            taken |= arguments(made)
        rows = [self.row(group, key, taken) for key in member.keys if not in_mixture(key)]
        written = {key.path.split(".")[0] for key in member.keys}
        if any(in_mixture(key) for key in member.keys):
            rows += MIXTURE
        for name, argument in taken.items():
            if name not in written and classes and name not in SET_BY_RUN:
                if not argument.meaning:
                    self.silent.append(f"{group}.{name}")
                message = argument.meaning.removesuffix(".")
                rows.append((f"`{group}.{name}`", argument.kind, "(not written)", message))
        return table(rows, "key", "type", f"in `{member.name}`", "meaning")


#: The keys of a mixture, whose sub-populations have the keys of a population.
MIXTURE = [
    (
        "`patient_generator.populations.NAME.proportion`",
        "number",
        "`0.5`",
        "share of the patients who come from this sub-population, >= 0; the shares sum to 1",
    ),
    (
        "`patient_generator.populations.NAME.KEY`",
        "",
        "",
        "every key of PatientPopulation; or the `_target_` of a population of your own",
    ),
]


def in_mixture(key: Key) -> bool:
    """Say whether a key belongs to one of a mixture's sub-populations."""
    return key.path.startswith("populations.")


#: Arguments of SB3 and of the simulator that the run or other groups set.
SET_BY_RUN = {
    *("dynamics", "cross_resistance", "population", "reward", "visible_amr", "observation"),
    *("leak", "flatness_parameter", "permanent_residual_volume", "initial_amr_level"),
    *("adverse_effect_penalty", "adverse_effect_probability", "populations"),
    *("rollout_buffer_class", "rollout_buffer_kwargs", "tensorboard_log", "use_rms_prop"),
    *("learns_clipped", "option_gamma", "stats_window_size", "monitor_wrapper"),
}


def members(group: str) -> list[Member]:
    """Return the files of a group, the default first."""
    files = sorted((conf_dir() / group).glob("*.yaml"))
    first = defaults_of("umbrella") | {"tuning": "base", "option_library": "default_deterministic"}
    chosen = first.get(group, "default")
    return [read(file) for file in sorted(files, key=lambda f: (f.stem != chosen, f.stem))]


def defaults_of(name: str) -> dict[str, str]:
    """Return group -> member of a primary configuration's defaults list."""
    listed = yaml.safe_load((conf_dir() / f"{name}.yaml").read_text(encoding="utf-8"))["defaults"]
    return {k: v for entry in listed if isinstance(entry, dict) for k, v in entry.items()}


def choices(group: str, found: list[Member]) -> str:
    """Return the list of a group's members."""
    rows = [(f"`{group}={m.name}`", m.what.rstrip(".")) for m in found if m.name != "base"]
    if group == "tuning":
        rows = [(f"`+{choice[1:]}", what) for choice, what in rows]
    return table(rows, "choice", "what it is")


def heading(group: str, *more: str) -> list[str]:
    """Return the first lines of a group's page."""
    return [
        f"# {group}",
        "",
        GROUPS[group] + " " + f"Files: `conf/{group}/`.",
        "",
        *more,
    ]


def first_paragraph(made: Callable[..., Any]) -> str:
    """Return what a class says of itself, laws as code blocks."""
    text = inspect.getdoc(made) or ""
    text = re.split(r"\n(?:Args|Attributes|Raises|Returns):\n|\n:param", text)[0].strip()
    return re.sub(r"(?m)^( {4}.*)$", r"\1", text)


def plain_page(writer: Writer, group: str) -> str:
    """Return the page of a group whose files name no class, or one class for all."""
    found = members(group)
    default = found[0]
    classes: tuple[Callable[..., Any], ...] = BEHIND.get(group, ())
    parts = heading(group, choices(group, found), "")
    for made in classes:
        parts += [f"Code: `{made.__module__}.{made.__qualname__}`", ""]
    parts += ["## Keys", "", *default.notes, "", writer.keys(group, default, *classes), ""]
    return "\n".join(parts)


def targets_page(writer: Writer, group: str) -> str:
    """Return the page of a group whose files name classes: a section per class."""
    found = members(group)
    parts = heading(group, choices(group, found), "")
    seen: dict[str, Member] = {}
    for member in found:
        target = member.content.get("_target_")
        if target is not None:
            seen.setdefault(target, member)
    learners_first = sorted(seen.items(), key=lambda item: ".rules." in item[0])
    for target, member in learners_first:
        made = locate(target, key=group)
        parts += [f"## {target.rpartition('.')[2]}", "", f"`_target_: {target}`", ""]
        if made.__module__.startswith("abx_amr"):
            parts += [first_paragraph(made), ""]
        parts += [*member.notes, ""] if member.notes else []
        if member.keys or set(arguments(made)) - SET_BY_RUN:
            parts += [writer.keys(group, member, made), ""]
        else:
            parts += ["It has no keys of its own.", ""]
    return "\n".join(parts)


def antibiotics_page(writer: Writer) -> str:
    """Return the page of the formulary, whose parameters two classes take."""
    found = members("antibiotics")
    drug = found[0].content["drugs"]["A"]
    taken = arguments(LeakyBalloon) | arguments(ClinicalReward)
    rows = []
    for name, value in drug.items():
        if not taken[name].meaning:
            writer.silent.append(f"antibiotics.drugs.X.{name}")
        rows.append((f"`antibiotics.drugs.X.{name}`", "number", shown(value), taken[name].meaning))
    cross = next(key for key in found[0].keys if key.path == "cross_resistance")
    rows.append(("`antibiotics.cross_resistance`", "section", shown(cross.value), cross.comment))
    own = (
        "`X` is the name of an antibiotic; every antibiotic of the formulary has every parameter. "
        "`adverse_effect_*` go to the rewards, the others to the model of resistance: a model of "
        "your own takes its own parameters here."
    )
    parts = heading("antibiotics", choices("antibiotics", found), "", "## Keys", "", own, "")
    return "\n".join([*parts, table(rows, "key", "type", f"in `{found[0].name}`", "meaning"), ""])


def experiment_page() -> str:
    """Return the page of the experiments: what each of them sets."""
    found = members("experiment")
    parts = heading("experiment", choices("experiment", found), "")
    parts += [
        "An experiment sets whatever it names and leaves the rest as it is. A file begins with "
        "`# @package _global_`.",
        "",
    ]
    for member in found:
        file = conf_dir() / "experiment" / f"{member.name}.yaml"
        parts += [f"## {member.name}", "", "```yaml", file.read_text().rstrip(), "```", ""]
    return "\n".join(parts)


def options_page(writer: Writer) -> str:
    """Return the page of option libraries: the types of options and their keys."""
    found = members("option_library")
    parts = heading("option_library", choices("option_library", found), "")
    parts += [
        "`options` maps names to options; `for_each_antibiotic` maps name templates with `{name}` "
        "to options that are made once for each antibiotic of the formulary. An option has a "
        "`type`, or `type: custom` and the `_target_` of a class that inherits from "
        "`abx_amr.hierarchy.options.Option`.",
        "",
    ]
    for kind, made in (
        ("block", options.Block),
        ("alternation", options.Alternation),
        ("heuristic", options.Heuristic),
    ):
        rows = []
        for name, argument in arguments(made).items():
            if not argument.meaning:
                writer.silent.append(f"option {kind}.{name}")
            default = inspect.signature(made).parameters[name].default
            value = "(must be given)" if default is inspect.Parameter.empty else shown(default)
            rows.append((f"`{name}`", argument.kind, value, argument.meaning))
        parts += [f"## type: {kind}", "", first_paragraph(made), ""]
        parts += [table(rows, "key", "type", "default", "meaning"), ""]
    return "\n".join(parts)


def tuning_page(writer: Writer) -> str:
    """Return the page of studies."""
    found = members("tuning")
    parts = heading("tuning", choices("tuning", found), "")
    parts += ["Chosen with `abx-tune -m +tuning=NAME`; what is searched stands below.", ""]
    base = found[0]
    parts += ["## Keys", "", writer.keys("tuning", base), ""]
    for member in found[1:]:
        space = member.content["search_space"]
        rows = [(f"`{key}`", shown(entry)) for key, entry in space.items()]
        parts += [f"## Search space of {member.name}", "", table(rows, "key", "entry"), ""]
        others = [k for k in member.keys if not k.path.startswith("search_space")]
        if others:
            parts += [table([(f"`tuning.{k.path}`", shown(k.value)) for k in others], "sets", "to")]
            parts += [""]
    return "\n".join(parts)


def commands_page(writer: Writer) -> str:
    """Return the page of the keys that stand outside all groups."""
    parts = ["# Keys of the commands", "", "Keys that belong to no group, by command.", ""]
    for name in COMMANDS:
        member = read(conf_dir() / f"{name}.yaml")
        title = "All commands" if name == "umbrella" else f"abx-{name}"
        rows = []
        for key in member.keys:
            if not key.comment:
                writer.silent.append(key.path)
            rows.append(
                (f"`{key.path}`", kind_of(key.value) or "text", shown(key.value), key.comment)
            )
        parts += [f"## {title}", ""]
        parts += [table(rows, "key", "type", "default", "meaning") if rows else "None.", ""]
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """Return file name -> page.

    Raises:
        Missing: nothing says what a key means.
    """
    writer = Writer()
    made = {"commands.md": commands_page(writer)}
    special: dict[str, Callable[[Writer], str]] = {
        "antibiotics": antibiotics_page,
        "experiment": lambda _: experiment_page(),
        "option_library": options_page,
        "tuning": tuning_page,
    }
    for group in GROUPS:
        if group in special:
            made[f"{group}.md"] = special[group](writer)
        elif any("_target_" in member.content for member in members(group)):
            made[f"{group}.md"] = targets_page(writer, group)
        else:
            made[f"{group}.md"] = plain_page(writer, group)
    lines = [
        "# Every configuration key",
        "",
        "Made by `make reference` from `conf/` and from the classes that take the keys. "
        "`KEY=VALUE` sets a key, `GROUP=NAME` chooses a file of a group.",
        "",
        *(f"- [{group}]({group}.md): {what}" for group, what in GROUPS.items()),
        "- [keys of the commands](commands.md): run names, folders, what one command alone reads.",
        "",
    ]
    made["index.md"] = "\n".join(lines)
    if writer.silent:
        raise Missing(", ".join(sorted(set(writer.silent))))
    return {name: re.sub(r"\n{3,}", "\n\n", text).strip() + "\n" for name, text in made.items()}


def main() -> int:
    """Write the pages, or say which are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    try:
        made = pages()
    except Missing as error:
        print(f"no comment in YAML and no docstring says what these mean: {error}", file=sys.stderr)
        return 1
    stale = [
        name
        for name, text in made.items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]
    if asked.check:
        print("\n".join(f"out of date: docs/reference/{name} (make reference)" for name in stale))
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        (FOLDER / name).write_text(made[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
