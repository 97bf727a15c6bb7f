"""Files read part by part hold what they hold when each is read by itself."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from abx_amr.errors import InputError
from abx_amr.host import plain_files
from abx_amr.host.alike_yaml import AlikeYaml
from abx_amr.host.plain_files import read_yaml, write_yaml

WORDS = st.text("ab1é -:#&*!|>[]{},'\"\n", max_size=5)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=5,
)
NAMES = st.sampled_from(["training", "agent_algorithm", "run_name", "yes", "x-y"]) | WORDS
CONFIGURATIONS = st.dictionaries(NAMES, TREES, max_size=4)
TEXTS = {
    "two sections": "a: 1\nb:\n- 2\n- {c: [3]}\nd:\n  e: f\n",
    "a section twice": "a: 1\nb: 2\na: 3\n",
    "anchors": "a: &one {b: 1}\nc: *one\n",
    "merged": "a: &one {b: 1}\nc:\n  <<: *one\n",
    "a quotation over lines": 'a: "x\nb: y"\nc: 1\n',
    "brackets over lines": "a: [1,\nb: 2]\nc: 1\n",
    "brackets over indented lines": "a: [1,\n  b: 2]\nc: 1\n",
    "a text over lines": "a: x\n  y\nb: |\n  z\nc: >\n  z\n",
    "an item behind a text": "a: x\n- y\n",
    "a key of its own": "? a\n: b\n",
    "a comment": "# said\na: 1 # so\n",
    "blank lines": "a: 1\n\nb: 2\n",
    "documents": "a: 1\n---\nb: 2\n",
    "another break of lines": "a: b\u2028c: d\n",
    "carriage returns": "a: 1\r\nb: 2\r\n",
    "a list": "- a=1\n- b: 2\n  c: 3\n",
    "a list and a section": "- a\nb: 1\n",
    "nothing": "",
    "an empty line": "\n",
    "a text alone": "training\n",
    "deep": f"a: 1\nb: {'[' * 250}{']' * 250}\n",
    "no yaml": "a: 1\nb: }\n",
    "cut off": "a: 1\nb: 2",
}


def outcome(read, file: Path) -> tuple[str, str]:
    try:
        return "holds", repr(read(file, is_ours=True))
    except InputError as error:
        return "error", str(error)


@pytest.mark.parametrize("name", TEXTS)
def test_any_text_is_read_as_by_itself(name: str, tmp_path: Path) -> None:
    file, alike = tmp_path / "config.yaml", AlikeYaml()
    file.write_text(TEXTS[name], encoding="utf-8", newline="")
    for _ in ("first", "again"):
        assert outcome(alike.read_yaml, file) == outcome(read_yaml, file)


@given(configurations=st.lists(CONFIGURATIONS | st.lists(TREES, max_size=3), max_size=2))
def test_what_is_written_is_read_back(
    configurations: list[object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file, alike = tmp_path_factory.getbasetemp() / "written.yaml", AlikeYaml()
    for configuration in configurations:
        write_yaml(file, configuration)
        assert repr(alike.read_yaml(file, is_ours=True)) == repr(read_yaml(file, is_ours=True))


def test_a_section_that_was_read_before_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = AlikeYaml()
    read = [tmp_path / "first.yaml", tmp_path / "second.yaml"]
    for seed, file in enumerate(read):
        write_yaml(file, {"environment": {"steps": [1, 2]}, "seed": seed})
    first = alike.read_yaml(read[0])
    loaded: list[str] = []
    load = yaml.load
    monkeypatch.setattr(
        plain_files.yaml, "load", lambda text, Loader: (loaded.append(text), load(text, Loader))[-1]
    )
    second = alike.read_yaml(read[1])
    assert (second["seed"], loaded) == (1, ["seed: 1\n"])
    assert second["environment"] is first["environment"]


def test_parts_together_are_as_large_as_a_file_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, alike = tmp_path / "config.yaml", AlikeYaml()
    write_yaml(file, {"a": [1, 2], "b": [3, 4]})
    alike.read_yaml(file)
    for module in ("abx_amr.host.alike_yaml", "abx_amr.host.plain_files"):
        monkeypatch.setattr(f"{module}.LARGEST_COUNT", 8)
    with pytest.raises(InputError, match="more than 8 values"):
        alike.read_yaml(file)
