"""abx compile calls what is compiled, and leaves nothing but that."""

from pathlib import Path

import pytest

from abx_amr.cli import compile as command
from abx_amr.errors import InputError
from abx_amr.runs import compiling
from abx_amr.tuning import compiling as searches


def test_it_trains_an_agent_of_each_kind_where_nobody_finds_what_it_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[str] = []

    def train(config: dict[str, object], **_: object) -> None:
        assert Path.cwd() == Path(str(config["results_dir"])) != tmp_path
        Path("results").write_text("of a training", encoding="utf-8")
        trained.append(str(config["agent_algorithm"]["_target_"]))  # type: ignore[index]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compiling, "train", train)
    searched: list[tuple[str, ...]] = []
    monkeypatch.setattr(searches, "see_through", lambda *search: searched.append(search))
    assert command.main([]) == 0
    assert len(trained) == len(compiling.AGENTS)
    assert ("+tuning=ppo_default",) in searched
    assert ("+tuning=ppo_default", "experiment=paper_two") in searched
    assert ("+tuning=base",) not in searched
    assert Path.cwd() == tmp_path
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().out.splitlines()[-1] == "compiled"


def test_an_argument_is_refused_before_anything_is_compiled() -> None:
    with pytest.raises(InputError, match="takes no arguments, got 'ppo'"):
        command.main(["ppo"])
