"""Files survive crashes and crowds."""

import json
import math
import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import (
    CompletionRegistry,
    claim_folder,
    jsonable,
    write_json,
    write_text,
)
from abx_amr.host.plain_files import read_json

COLUMNS = ("run_name", "best_value")


def in_processes(count, work):
    """Run work(i) in `count` processes at once and insist that all succeed."""
    children = []
    for index in range(count):
        child = os.fork()
        if child == 0:
            try:
                work(index)
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * count


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "result.json"
    write_json(target, {"a": 1})
    with pytest.raises(UnicodeEncodeError):
        write_text(target, "\ud800")
    assert json.loads(target.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    target = tmp_path / "grows.txt"
    write_text(target, "0" * 100_000)

    def work(index):
        for n in range(50):
            if index == 0:
                write_text(target, str(n % 10) * 100_000)
            else:
                text = target.read_text()
                assert len(text) == 100_000
                assert len(set(text)) == 1

    in_processes(3, work)


def test_numbers_without_a_value_are_null_in_json(tmp_path):
    write_json(tmp_path / "x.json", {"best": -math.inf, "nan": math.nan, "array": np.array([1, 2])})
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == {"best": None, "nan": None, "array": [1, 2]}


def test_jsonable_keeps_what_json_has_and_names_the_rest():
    value = {"a": (1, True, None), 2: Path("x"), "n": np.float64(0.5), "i": np.int64(3)}
    assert jsonable(value) == {"a": [1, True, None], "2": "x", "n": 0.5, "i": 3}


def test_a_written_file_has_ordinary_permissions(tmp_path):
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_two_runs_of_the_same_second_get_different_folders(tmp_path):
    moment = datetime(2026, 1, 2, 3, 4, 5)
    names = [claim_folder(tmp_path / "results", "run", moment=moment).name for _ in range(3)]
    assert names == ["run_20260102_030405", "run_20260102_030405_2", "run_20260102_030405_3"]


def test_a_later_folder_is_named_as_the_later_one_after_a_clock_was_set_back(tmp_path):
    ahead = claim_folder(tmp_path, "run", moment=datetime(2999, 1, 2, 3, 4, 5))
    assert claim_folder(tmp_path, "run").name == f"{ahead.name}_2"
    assert claim_folder(tmp_path, "run").name == f"{ahead.name}_3"
    assert claim_folder(tmp_path, "other_run").name < "other_run_2999"
    assert claim_folder(tmp_path, "ru").name < "ru_2999"


def test_eight_processes_claim_eight_folders_in_one_second(tmp_path):
    moment = datetime(2026, 1, 2, 3, 4, 5)
    in_processes(8, lambda index: claim_folder(tmp_path, "run", moment=moment))
    assert len(list(tmp_path.iterdir())) == 8


def test_no_row_is_lost_when_eight_processes_add_rows(tmp_path):
    path = tmp_path / "registry.csv"

    def work(index):
        registry = CompletionRegistry(path, columns=COLUMNS)
        for n in range(10):
            registry.add({"run_name": f"{index}-{n}", "best_value": n})

    in_processes(8, work)
    rows = CompletionRegistry(path, columns=COLUMNS).rows()
    assert {row["run_name"] for row in rows} == {f"{i}-{n}" for i in range(8) for n in range(10)}
    assert len(rows) == 80
    assert path.read_text().splitlines()[0] == "run_name,best_value"


def test_a_row_survives_commas_quotes_and_line_breaks_in_its_values(tmp_path):
    registry = CompletionRegistry(tmp_path / "r.csv", columns=COLUMNS)
    registry.add({"run_name": 'a,"b"\nc', "best_value": None})
    registry.add({"run_name": "d", "best_value": 0.5})
    assert [row["run_name"] for row in registry.rows()] == ['a,"b"\nc', "d"]
    assert [row["best_value"] for row in registry.rows()] == ["", "0.5"]


def test_a_row_can_replace_the_one_of_the_same_run(tmp_path):
    registry = CompletionRegistry(tmp_path / "r.csv", columns=COLUMNS)
    for value in (1, 2):
        registry.add({"run_name": "a", "best_value": value}, replacing="run_name")
    assert registry.rows() == [{"run_name": "a", "best_value": "2"}]


def test_pruning_removes_the_rows_whose_folder_is_gone(tmp_path):
    registry = CompletionRegistry(tmp_path / "r.csv", columns=COLUMNS)
    for name in ("here", "gone"):
        registry.add({"run_name": name, "best_value": 1})
    (tmp_path / "here").mkdir()
    removed = registry.prune(lambda row: (tmp_path / row["run_name"]).is_dir())
    assert [row["run_name"] for row in removed] == ["gone"]
    assert [row["run_name"] for row in registry.rows()] == ["here"]


def test_reading_a_registry_that_is_not_there_creates_nothing(tmp_path):
    registry = CompletionRegistry(tmp_path / "none" / "r.csv", columns=COLUMNS)
    assert registry.rows() == []
    assert registry.prune(lambda row: True) == []
    assert os.listdir(tmp_path) == []


def test_a_registry_with_other_columns_is_refused(tmp_path):
    (tmp_path / "r.csv").write_text("something,else\n1,2\n")
    with pytest.raises(InputError, match="has the columns"):
        CompletionRegistry(tmp_path / "r.csv", columns=COLUMNS).rows()


def test_a_row_with_a_misspelt_column_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"missing \['best_value'\], unknown \['best'\]"):
        CompletionRegistry(tmp_path / "r.csv", columns=COLUMNS).add({"run_name": "a", "best": 1})


def test_a_key_that_stands_twice_in_a_json_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "best_params.json"
    file.write_text('{"gamma": 0.95, "other": {"a": 1}, "gamma": 0.5}')
    with pytest.raises(InputError, match="the key 'gamma' stands twice"):
        read_json(file)
