"""What a form of a command asks: its choices and the fields of its sections, from one composition.

Composing takes a moment and is not for two at once: this runs in a worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abx_amr.app.forms.fields import Field, comments_in, field_of, fields_of, headline
from abx_amr.errors import InputError, first_line

#: command -> its sections, in the order of the form.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "train": ("training", "agent_algorithm", "environment", "reward_calculator"),
    "tune": ("tuning", "agent_algorithm", "training"),
    "evaluate": ("evaluation", "agent_algorithm"),
    "plan": ("plan",),
}
#: command -> keys at the top that the form has, behind its sections.
_TOP: Mapping[str, tuple[str, ...]] = {
    "train": ("skip_if_exists", "trajectories", "figures"),
    "tune": ("overwrite_existing_study",),
    "evaluate": ("checkpoint", "card", "trajectories"),
    "plan": (),
}
#: Sections that stand in the primary configuration, not in a group.
_OF_COMMANDS = ("evaluation", "plan")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A file that can be chosen, and what it says of itself."""

    name: str
    about: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a form asks.

    Attributes:
        groups: Group -> what can be chosen there.
        chosen: Group -> what is chosen unless said otherwise.
        sections: Section -> its fields.
        problem: Why the choices do not go together; None: they do.
    """

    groups: Mapping[str, Sequence[Choice]]
    chosen: Mapping[str, str]
    sections: Mapping[str, Sequence[Field]]
    problem: str | None = None

    @property
    def keys(self) -> list[str]:
        """The names of all fields."""
        return [field.key for fields in self.sections.values() for field in fields]


def asked(command: str, choices: Mapping[str, str]) -> Asked:
    """Return what the form of a command asks once these choices are made.

    Args:
        command: train, tune, evaluate, plan.
        choices: Group -> what is chosen.
    """
    from abx_amr.configuration.composing import compose
    from abx_amr.configuration.groups import available, conf_dir, file_of, groups

    own = _own_conf()
    wanted = _groups_of(command)
    listed: dict[str, list[Choice]] = {
        group: [
            Choice(name=name, about=_about(own, conf_dir(), group, name))
            for name in available(group)
            if not (group == "tuning" and name == "base")
        ]
        for group in wanted
    }
    said = {group: name for group, name in choices.items() if name and group in groups()}
    overrides = [
        f"{'+' if group == 'tuning' else ''}{group}={name}" for group, name in said.items()
    ]
    problem = None
    try:
        composition = compose(command, overrides)
        plain = composition.plain
    except InputError as error:
        problem = first_line(error)
        composition = compose(command)
        plain = composition.plain
    sections: dict[str, list[Field]] = {}
    for section in SECTIONS[command]:
        content = plain.get(section)
        if not isinstance(content, dict):
            continue
        if section in _OF_COMMANDS:
            file = file_of(command)
            files, at_top = [] if file is None else [file], True
        else:
            member = str(composition.choices.get(section, "default"))
            names = dict.fromkeys((member, "default", "base", "ppo"))
            files = [_file(own, conf_dir(), section, name) for name in names]
            at_top = False
        sections[section] = fields_of(section, content, files, at_top=at_top)
    top = _top_fields(command, plain)
    if top:
        sections["this command"] = top
    return Asked(
        groups=listed,
        chosen={group: str(composition.choices.get(group, "")) for group in wanted},
        sections=sections,
        problem=problem,
    )


def _groups_of(command: str) -> tuple[str, ...]:
    if command == "plan":
        return ("experiment",)
    if command == "tune":
        return ("tuning", "experiment")
    return ("experiment", "agent_algorithm")


def _top_fields(command: str, plain: Mapping[str, Any]) -> list[Field]:
    from abx_amr.configuration.groups import file_of

    comments: dict[str, str] = {}
    for name in (command, "umbrella"):
        if (file := file_of(name)) is not None:
            comments = {**comments_in(file), **comments}
    return [
        field_of(key, plain[key], comments.get(key, "")) for key in _TOP[command] if key in plain
    ]


def _own_conf() -> Path | None:
    from abx_amr.host.locations import find_project

    project = find_project()
    return None if project is None else project.conf


def _about(own: Path | None, packaged: Path, group: str, name: str) -> str:
    """Return what a choice says of itself; a study says which agent it searches."""
    if group == "tuning":
        agent = _file(own, packaged, "agent_algorithm", name.removesuffix("_default"))
        if said := headline(agent):
            return said
    return headline(_file(own, packaged, group, name)).removeprefix("Made in abx-app: ")


def _file(own: Path | None, packaged: Path, group: str, name: str) -> Path:
    """Return the file of a choice, the project's own first; it need not be there."""
    if own is not None and (file := own / group / f"{name}.yaml").is_file():
        return file
    return packaged / group / f"{name}.yaml"
