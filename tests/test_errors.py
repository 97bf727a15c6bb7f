"""A mistake is one line wherever it is raised, whatever stands in a user's value."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from abx_amr.errors import InputError, unknown
from abx_amr.runs.folder import RunFolder, find_run
from abx_amr.studies.space import parse_search_space
from abx_amr.studies.storages import StorageError

VALUE = "two\nlines\r\x1b[2J\x85\u2028\u2029\u202eover"
SHOWN = r"two\nlines\r\x1b[2J\x85\u2028\u2029\u202eover"


def refuse(message: str) -> Callable[[], None]:
    def raise_it() -> None:
        raise StorageError(message)

    return raise_it


@pytest.mark.parametrize(
    "raising",
    [
        lambda: RunFolder.open(Path(VALUE)),
        lambda: find_run(VALUE, results_dir="nowhere"),
        lambda: parse_search_space({"x": {"type": VALUE}}),
        refuse(unknown("storage", VALUE, ["sqlite", "journal"])),
    ],
)
def test_a_message_is_one_line_whatever_the_users_value_holds(raising: Callable[[], None]) -> None:
    with pytest.raises(InputError) as raised:
        raising()
    assert len(str(raised.value).splitlines()) == 1
    assert str(raised.value).isprintable()
    assert SHOWN in str(raised.value).replace("\\\\", "\\")


def test_a_message_from_another_process_is_the_same() -> None:
    error = InputError(f"no run {VALUE}")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
