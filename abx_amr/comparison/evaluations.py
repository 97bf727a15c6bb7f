"""The last evaluation of many runs, their tables read together.

A reader of tables takes longer to be called than to read the few hundred rows of a run. Tables of
the same columns are therefore read as one. Any that is unusual in any way is left to be read alone,
which says what is wrong with it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abx_amr.errors import InputError
from abx_amr.host.plain_files import read_text

if TYPE_CHECKING:
    import pandas as pd

#: Columns that are told of a run, and what the names of such columns begin with.
_TOLD = ("transitions", "episode", "episode_return")
_TOLD_OF_EACH = ("mean_true_amr_", "final_true_amr_", "prescriptions_")
#: What plain numbers are written with.
_OF_NUMBERS = b"0123456789+-.eE"
_LARGEST_BYTES = 4 * 1024**2  #: of a table that is read with others
_BYTES_AT_ONCE = 16 * 1024**2


@dataclass(frozen=True, kw_only=True)
class LastEvaluation:
    """The last evaluation of a run.

    Attributes:
        transitions: Trained before it.
        columns: Name -> value of each episode, by episode; those that are told of a run.
    """

    transitions: int
    columns: Mapping[str, Any]

    @classmethod
    def in_table(cls, table: pd.DataFrame) -> LastEvaluation:
        """Return the last evaluation of a table of all."""
        last = table["transitions"].max()
        final = table[table["transitions"] == last].sort_values("episode")
        return cls(transitions=int(last), columns=final)

    def __len__(self) -> int:
        """Return the number of its episodes."""
        return len(self.columns["episode"])


def last_evaluations(files: Iterable[Path]) -> dict[Path, LastEvaluation]:
    """Return the last evaluation of each table of plain numbers, without those to be read alone."""
    found: dict[Path, LastEvaluation] = {}
    for header, bodies in _alike(files):
        found |= _read_together(header, bodies)
    return found


def _alike(files: Iterable[Path]) -> Iterator[tuple[str, dict[Path, str]]]:
    """Yield header and file -> rows of tables with the same columns, some at a time."""
    waiting: dict[str, dict[Path, str]] = {}
    size = 0
    for file in files:
        try:
            text = read_text(file, largest=_LARGEST_BYTES)
        except InputError:
            continue
        header, _, body = text.partition("\n")
        if _is_plain(header, body):
            waiting.setdefault(header, {})[file] = body
            size += len(text)
        if size > _BYTES_AT_ONCE:
            yield from waiting.items()
            waiting, size = {}, 0
    yield from waiting.items()


def _is_plain(header: str, body: str) -> bool:
    r"""Say whether rows hold plain numbers alone, one for each of the columns.

    >>> header = "transitions,episode,episode_return"
    >>> [_is_plain(header, body) for body in ("1,0,-2.5\n", "1,0,x\n", "1,0\n", "1,0,-2.5", "")]
    [True, False, False, False, False]
    """
    names = header.split(",")
    if (
        len({*names}) < len(names)
        or not {*_TOLD} <= {*names}
        or set(header) & {'"', "\r", "\ufeff"}
    ):
        return False
    rows = body.encode().translate(None, _OF_NUMBERS)
    return bool(rows) and rows == (b"," * (len(names) - 1) + b"\n") * body.count("\n")


def _read_together(header: str, bodies: Mapping[Path, str]) -> dict[Path, LastEvaluation]:
    """Return the last evaluation of tables with the same columns; none where one is unusual."""
    import pandas as pd

    names = [name for name in header.split(",") if name in _TOLD or name.startswith(_TOLD_OF_EACH)]
    text = "".join([header, "\n", *bodies.values()])
    table = pd.read_csv(io.BytesIO(text.encode()), usecols=names, low_memory=False)
    columns = {name: table[name].to_numpy() for name in names}
    if not all(
        values.dtype.kind in "if" and np.isfinite(values).all() for values in columns.values()
    ):
        return {}
    found: dict[Path, LastEvaluation] = {}
    begin = 0
    for file, body in bodies.items():
        end = begin + body.count("\n")
        transitions = columns["transitions"][begin:end]
        rows = begin + np.flatnonzero(transitions == transitions.max())
        if (np.diff(columns["episode"][rows]) > 0).all():
            last = {name: values[rows] for name, values in columns.items()}
            found[file] = LastEvaluation(transitions=int(transitions.max()), columns=last)
        begin = end
    return found
