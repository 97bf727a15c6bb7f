"""docs/reference/ says every configuration key, and nothing that is out of date."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from abx_amr.configuration.groups import conf_dir
from abx_amr.studies.space import flatten

ROOT = Path(__file__).parents[1]


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "reference", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_what_the_configuration_and_its_classes_say(reference: ModuleType) -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in reference.FOLDER.iterdir()}
    assert reference.pages() == written, "make reference"


@pytest.mark.parametrize("group", ["training", "environment", "agent_algorithm", "storage", "hrl"])
def test_every_key_of_every_shipped_file_stands_on_its_group_s_page(group: str) -> None:
    page = (ROOT / "docs" / "reference" / f"{group}.md").read_text(encoding="utf-8")
    for file in (conf_dir() / group).glob("*.yaml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        content.pop("defaults", None)
        content.pop("_target_", None)
        for key in flatten(content):
            section = key.rpartition(".")[0]
            assert f"`{group}.{key}`" in page or f"`{group}.{section}`" in page, (file.name, key)


def test_a_key_that_nothing_explains_is_an_error(
    reference: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in conf_dir().rglob("*.yaml"):
        copy = tmp_path / file.relative_to(conf_dir())
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    with (tmp_path / "tuning" / "base.yaml").open("a") as base:
        base.write("unexplained: 1\n")
    monkeypatch.setattr(reference, "conf_dir", lambda: tmp_path)
    with pytest.raises(reference.Missing, match=r"tuning\.unexplained"):
        reference.pages()


def test_a_comment_goes_on_below_its_line_and_types_are_words(reference: ModuleType) -> None:
    lines = ["a: 1   # first half", "       # second half", "b: 2"]
    assert reference.comment_of(lines, 0) == "first half"
    lines[1] = "         # second half"
    assert reference.comment_of(lines, 0) == "first half second half"
    assert reference.in_words(float | None) == "number or null"
    assert reference.in_words(list[int]) == "list of whole numbers"
