"""Tables of evaluations that are read together say what each says by itself."""

from pathlib import Path

import numpy as np
import pytest

from abx_amr.comparison import evaluations
from abx_amr.comparison.evaluations import LastEvaluation, last_evaluations
from abx_amr.runs.folder import RunFolder

HEADER = "transitions,episode,episode_return,prescriptions_A,mean_true_amr_A,note"
PLAIN = "100,0,-1.5,3,0.1,0\n100,1,-2,4,0.25,0\n200,0,-3.25,5,0.1,0\n200,1,-4.125,7,0.3,0\n"
#: What a table says, and whether it can be read with others.
TABLES = {
    "plain": (f"{HEADER}\n{PLAIN}", True),
    "in another order": (f"{HEADER}\n{PLAIN}".replace("200,0", "200,9"), False),
    "an episode twice": (f"{HEADER}\n{PLAIN}".replace("200,0", "200,1"), False),
    "with a text": (f"{HEADER}\n{PLAIN}".replace("0\n", "said\n"), False),
    "with a gap": (f"{HEADER}\n{PLAIN}".replace("0.3", ""), False),
    "with a quotation": (f"{HEADER}\n{PLAIN}".replace("0.3", '"0.3"'), False),
    "cut off": (f"{HEADER}\n{PLAIN}"[:-3], False),
    "with a short line": (f"{HEADER}\n{PLAIN}200,2\n", False),
    "with a long line": (f"{HEADER}\n{PLAIN}".replace("7,0.3", "7,0.3,8"), False),
    "with no number": (f"{HEADER}\n{PLAIN}".replace("-4.125", "4-1"), False),
    "without rows": (f"{HEADER}\n", False),
    "without returns": (f"{HEADER}\n{PLAIN}".replace("episode_return", "else"), False),
    "of other breaks": (f"{HEADER}\n{PLAIN}".replace("\n", "\r\n"), False),
    "empty": ("", False),
}


def written(folder: Path, text: str) -> RunFolder:
    folder.mkdir()
    run = RunFolder(folder)
    run.evaluations_file.write_text(text, encoding="utf-8", newline="")
    return run


@pytest.mark.parametrize("name", TABLES)
def test_only_tables_of_plain_numbers_are_read_with_others(name: str, tmp_path: Path) -> None:
    text, is_plain = TABLES[name]
    others = [written(tmp_path / str(i), TABLES["plain"][0]) for i in range(2)]
    one = written(tmp_path / "one", text)
    files = [run.evaluations_file for run in (others[0], one, others[1])]
    found = last_evaluations(files)
    assert (one.evaluations_file in found) == is_plain


def test_a_run_is_the_same_to_the_bit_with_others_and_alone(tmp_path: Path) -> None:
    draw, runs = np.random.default_rng(0), []
    for number, size in enumerate((1, 7, 9, 50, 200)):
        run = RunFolder.create(tmp_path, f"run{number}")
        for transitions in (100, 300):
            episodes = {
                "episode": np.arange(size),
                "episode_return": draw.normal(-80, 30, size),
                "prescriptions_A": draw.integers(0, 500, size),
                "mean_true_amr_A": draw.random(size),
                "final_true_amr_A": draw.random(size) * 10.0 ** -draw.integers(0, 9),
            }
            run.append_evaluation(transitions, episodes)
        runs.append(run)
    found = last_evaluations(run.evaluations_file for run in runs)
    for run in runs:
        together = found[run.evaluations_file]
        alone = LastEvaluation.in_table(run.read_evaluations())
        assert (together.transitions, len(together)) == (alone.transitions, len(alone))
        for name, values in together.columns.items():
            assert np.array_equal(values, alone.columns[name].to_numpy())
            assert float(values.mean()) == float(alone.columns[name].mean())


def test_tables_beyond_what_is_read_at_once_are_read_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluations, "_BYTES_AT_ONCE", 300)
    runs = [written(tmp_path / str(i), TABLES["plain"][0]) for i in range(5)]
    large = written(tmp_path / "large", TABLES["plain"][0])
    monkeypatch.setattr(evaluations, "_LARGEST_BYTES", 1000)
    large.evaluations_file.write_text(f"{HEADER}\n{PLAIN * 9}", encoding="utf-8")
    found = last_evaluations(run.evaluations_file for run in (*runs, large))
    assert set(found) == {run.evaluations_file for run in runs}
