"""What a trial may draw for values of the configuration, and when each of them counts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from abx_amr.errors import InputError
from abx_amr.studies.parameters import drawn_of, path_of, value_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

#: A value of the configuration, as JSON has it.
ParameterValue = None | bool | int | float | str | list[Any] | dict[str, Any]
#: Configuration path -> value.
Point = Mapping[str, Any]
#: Configuration path -> the values of which it must have one.
Condition = Mapping[str, Sequence[Any]]


class SearchSpace(Mapping[str, "BaseDistribution"]):
    """Parameter -> what may be drawn for it; what others hang on comes before them.

    Args:
        distributions: By the names of the parameters, see `parameters`.
        conditions: Parameter -> when it counts; those without one always do.

    Raises:
        InputError: values hang on each other.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution] | None = None,
        conditions: Mapping[str, Condition] | None = None,
    ) -> None:
        self.conditions = dict(conditions or {})
        self._distributions = {
            name: (distributions or {})[name] for name in self._in_order(distributions or {})
        }

    def __getitem__(self, name: str) -> BaseDistribution:
        return self._distributions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._distributions)

    def __len__(self) -> int:
        return len(self._distributions)

    def __repr__(self) -> str:
        return f"SearchSpace({self._distributions}, {self.conditions})"

    @property
    def paths(self) -> list[str]:
        """The configuration paths that are searched, each once."""
        return list(dict.fromkeys(map(path_of, self)))

    def names_of(self, path: str) -> list[str]:
        """Return the parameters that are drawn for a configuration path."""
        return [name for name in self if path_of(name) == path]

    def counts(self, name: str, point: Point) -> bool:
        """Say whether a parameter counts where other values are as in `point`."""
        return all(
            path in point and any(is_same(point[path], value) for value in values)
            for path, values in self.conditions.get(name, {}).items()
        )

    def point(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return configuration path -> value for parameters that were drawn, in order."""
        return {path_of(n): value_of(n, params[n]) for n in self if n in params}

    def missing(self, params: Mapping[str, Any]) -> list[str]:
        """Return the parameters that count and were not drawn."""
        point = self.point(params)
        return [name for name in self if name not in params and self.counts(name, point)]

    def is_point(self, params: Mapping[str, Any]) -> bool:
        """Say whether what counts was drawn, and nothing else."""
        if not self.conditions:
            return params.keys() == self._distributions.keys()
        point = self.point(params)
        return set(params) == {name for name in self if self.counts(name, point)}

    def condition_in_words(self, name: str) -> str:
        """Return when a parameter counts, such as 'agent_algorithm.use_sde is true'."""
        return " and ".join(
            f"{path} is {' or '.join(json.dumps(value) for value in values)}"
            for path, values in self.conditions.get(name, {}).items()
        )

    def _in_order(self, names: Mapping[str, Any]) -> list[str]:
        """Return the names as they are written, but for those that hang on a later one."""
        left, ordered = list(names), list[str]()
        while left:
            open_paths = {path_of(name) for name in left}
            ready = [n for n in left if not open_paths & set(self.conditions.get(n, {}))]
            if not ready:
                circle = self._circle(left)
                hang = (
                    "hangs on itself by its" if len(circle) == 1 else "hang on each other by their"
                )
                raise InputError(f"search_space: {', '.join(circle)} {hang} 'when': drop one")
            if len(ready) < len(left):  # the first alone, to keep the order that is written
                ready = ready[:1]
            ordered += ready
            left = [name for name in left if name not in ready]
        return ordered

    def _circle(self, names: Sequence[str]) -> list[str]:
        """Return paths that hang on each other, among names of which each hangs on another."""
        hang = {
            path_of(name): on
            for name in names
            for on in self.conditions[name]
            if on in map(path_of, names)
        }
        path, seen = path_of(names[0]), list[str]()
        while path not in seen:
            seen.append(path)
            path = hang[path]
        return seen[seen.index(path) :]


def is_same(first: Any, second: Any) -> bool:
    """Say whether two values mean the same setting: true is no 1, 1 and 1.0 are one.

    >>> is_same(1, 1.0), is_same(True, 1), is_same([64], [64])
    (True, False, True)
    """
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    return bool(drawn_of("", first) == drawn_of("", second))


def lies_in(distribution: BaseDistribution, drawn: Any) -> bool:
    """Say whether a parameter may be drawn with this value."""
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return any(is_same(drawn, choice) for choice in choices)
    if isinstance(drawn, bool) or not isinstance(drawn, int | float):
        return False
    try:
        return bool(distribution._contains(distribution.to_internal_repr(drawn)))
    except (TypeError, ValueError):
        return False
