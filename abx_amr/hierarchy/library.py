"""The option library: built for a clinic and checked before anything is learned.

Shapes: N environments, P patients, K antibiotics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.errors import InputError, first_line
from abx_amr.hierarchy.options import Actions, Floats, Option, Seen, Team
from abx_amr.host.locations import where_defined, where_raised
from abx_amr.rng import stream_states
from abx_amr.simulator.clinic import Clinic
from abx_amr.simulator.model import ClinicModel

#: In a template's name and parameters it stands for each antibiotic of the formulary in turn.
PLACEHOLDER = "{antibiotic}"
_TRIED = 3  # environments in which an option is tried before training


@dataclass(frozen=True, kw_only=True)
class OptionEntry:
    """An option as it is configured: its class and the arguments beside the clinic and the name."""

    name: str
    made: Callable[..., Option]
    arguments: Mapping[str, Any]

    def for_antibiotic(self, antibiotic: str) -> OptionEntry:
        """Return the entry with the placeholder replaced everywhere."""
        return OptionEntry(
            name=self.name.replace(PLACEHOLDER, antibiotic),
            made=self.made,
            arguments=_replaced(self.arguments, antibiotic),
        )

    def build(self, model: ClinicModel) -> Option:
        """Return the option for a clinic.

        Raises:
            InputError: Naming the option.
        """
        try:
            return self.made(model, name=self.name, **self.arguments)
        except (InputError, TypeError, ValueError, KeyError) as error:
            raise InputError(f"option '{self.name}': {_line_of(error)}") from error


def _replaced(value: Any, antibiotic: str) -> Any:
    if isinstance(value, str):
        return value.replace(PLACEHOLDER, antibiotic)
    if isinstance(value, Mapping):
        return {_replaced(k, antibiotic): _replaced(v, antibiotic) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(v, antibiotic) for v in value]
    return value


def _line_of(error: BaseException) -> str:
    text = first_line(error)
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


class _Alone:
    """An option that decides by itself."""

    def __init__(self, option: Option) -> None:
        self.option = option

    def decide(self, member: NDArray[np.int64], seen: Seen) -> Actions:
        return self.option.decide(seen)


def _teams(options: Sequence[Option]) -> list[tuple[Team, list[int]]]:
    """Return the teams in which the options decide, with their members' positions."""
    by_class: dict[type[Option], list[int]] = {}
    for o, option in enumerate(options):
        by_class.setdefault(type(option), []).append(o)
    found: list[tuple[Team, list[int]]] = []
    for made, members in by_class.items():
        # Inherited, it would not know what a subclass decides.
        team = made.team([options[o] for o in members]) if "team" in vars(made) else None
        if team is not None:
            found.append((team, members))
        else:
            found += [(_Alone(options[o]), [o]) for o in members]
    return found


class OptionLibrary(Sequence[Option]):
    """The options among which a manager chooses, in order; checked for their clinic.

    Attributes:
        names: Of the options, in order.
        team: The team in which each option decides, shape (O,).
        memory_sizes: M of each team.
    """

    def __init__(self, options: Sequence[Option], model: ClinicModel) -> None:
        """Check the options.

        Raises:
            InputError: None, two of the same name, one that needs what is not seen, or one whose
                prescriptions do not fit; the message names the option.
        """
        self.model = model
        self._options = tuple(options)
        if not self._options:
            raise InputError("option_library must hold at least one option, got none")
        names = [option.name for option in self._options]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"option '{name}': the name is given {names.count(name)} times")
        self.names = tuple(names)
        self._allowed = np.zeros((len(names), model.num_treatments), dtype=bool)
        self._allowed[:, -1] = True
        for o, option in enumerate(self._options):
            self._allowed[o, [option.treatment(name) for name in option.may_prescribe]] = True
        visible = model.layout.attributes
        for option in self._options:
            for attribute in option.needs:
                if attribute not in visible:
                    raise InputError(
                        f"option '{option.name}' needs {attribute}, which is not visible "
                        f"(patient_generator.visible_patient_attributes: {', '.join(visible)})"
                    )
        teams = _teams(self._options)
        self._teams = tuple(team for team, _ in teams)
        self.team = np.zeros(len(names), dtype=np.int64)
        self._member = np.zeros(len(names), dtype=np.int64)
        for index, (_, members) in enumerate(teams):
            self.team[members] = index
            self._member[members] = np.arange(len(members))
        self.memory_sizes = tuple(self._options[members[0]].memory_size for _, members in teams)
        self._try_all()

    @classmethod
    def build(
        cls,
        model: ClinicModel,
        entries: Sequence[OptionEntry],
        for_each_antibiotic: Sequence[OptionEntry] = (),
    ) -> OptionLibrary:
        """Return the library of a clinic: the entries, then the templates for each antibiotic."""
        filled = [
            template.for_antibiotic(antibiotic)
            for antibiotic in model.antibiotics
            for template in for_each_antibiotic
        ]
        return cls([entry.build(model) for entry in (*entries, *filled)], model)

    def __len__(self) -> int:
        return len(self._options)

    def __getitem__(self, index: Any) -> Any:
        return self._options[index]

    def __iter__(self) -> Iterator[Option]:
        return iter(self._options)

    def decide(self, team: int, options: NDArray[np.int64], seen: Seen) -> Actions:
        """Return the prescriptions of a team's options (N,), one an environment, (N, P), checked.

        Raises:
            InputError: Wrong shape or type, out of range, or an antibiotic it may not prescribe.
        """
        given = self._teams[team].decide(self._member[options], seen)
        shape = (len(seen.step), self.model.num_patients_per_time_step)
        if np.shape(given) != shape or np.asarray(given).dtype.kind not in "iu":
            raise InputError(
                f"option '{self.names[options[0]]}' must prescribe whole numbers of shape {shape}, "
                f"got {np.asarray(given).dtype} of shape {np.shape(given)}"
            )
        actions = np.asarray(given, dtype=np.int64)
        highest = self.model.num_treatments - 1
        if actions.min() < 0 or actions.max() > highest:
            raise InputError(
                f"option '{self.names[options[0]]}' must prescribe in 0..{highest} ({highest} = no "
                f"treatment), got {int(actions.min())}..{int(actions.max())}"
            )
        allowed = self._allowed[options[:, None], actions]
        if not allowed.all():
            option = self._options[options[np.flatnonzero(~allowed.all(axis=1))[0]]]
            raise InputError(
                f"option '{option.name}' prescribed an antibiotic beside those it may prescribe "
                f"({', '.join(option.may_prescribe) or 'none'})"
            )
        return actions

    def _try_all(self) -> None:
        """Let every option decide once and be asked to terminate, in a clinic of its own."""
        clinic = Clinic(self.model, stream_states(0, "options", "check", count=_TRIED))
        decoded = self.model.layout.decode(clinic.reset())
        for index, option in enumerate(self._options):
            memory: Floats = np.zeros((_TRIED, option.memory_size))
            steps = [np.full(_TRIED, made, dtype=np.int64) for made in (0, 1)]
            first, second = (
                Seen(
                    attributes=decoded.attributes,
                    visible_amr=decoded.visible_amr,
                    step=step,
                    memory=memory,
                )
                for step in steps
            )
            try:
                option.reset(memory)
                self.decide(int(self.team[index]), np.full(_TRIED, index), first)
                ends = option.should_terminate(second)
            except InputError as error:
                place = where_defined(type(option).decide)
                raise InputError(f"{place}{error}") from error
            except Exception as error:  # a user's own class: any error becomes one line
                raise InputError(
                    f"option '{option.name}' fails on its first step: {where_raised(error)}"
                    f"{_line_of(error)}"
                ) from error
            if ends is not None and np.shape(ends) != (_TRIED,):
                raise InputError(
                    f"option '{option.name}': should_terminate must return one truth value per "
                    f"environment, shape ({_TRIED},), got shape {np.shape(ends)}"
                )
