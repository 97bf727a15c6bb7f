"""A seed that is killed while it learns goes on from its checkpoint as if nothing had happened."""

from pathlib import Path
from typing import Any

import pytest

from abx_amr.tuning.curves import MOST_POINTS
from abx_amr.tuning.saving import Saving
from abx_amr.tuning.scoring import SeedScore, train_and_score
from abx_amr.tuning.seed_files import seed_checkpoint_file
from tests.agents.test_learning import parts

SEEDS = [5, 7]
#: Long and fast enough that another draw or update shows in the evaluation.
TRAINING = (
    "training.total_num_training_episodes=24",
    "training.num_eval_episodes=8",
    "agent_algorithm.learning_rate=0.01",
)


class KilledError(BaseException):
    """What no code catches, like a kill."""


def saving(folder: Path, identity: str = "this study") -> Saving:
    return Saving(folder=folder, interval=1e-9, identities=dict.fromkeys(SEEDS, identity))


def scored(folder: Path | None, *overrides: str, until: int | None = None) -> tuple[Any, list[int]]:
    """Return the scores and the transitions seen after each update; killed at `until`."""
    spec, model, settings = parts(*TRAINING, *overrides)
    seen: list[int] = []

    def move(done: int, planned: int) -> None:
        seen.append(done)
        if until is not None and done >= until:
            raise KilledError

    keep = None if folder is None else saving(folder)
    scores = train_and_score(
        spec, model, settings, seeds=SEEDS, searched={}, on_progress=move, saving=keep
    )
    return scores, seen


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("training.vec_normalize.enabled=true",),
        ("training.seed_batched=false",),
        ("agent_algorithm=a2c", "agent_algorithm.n_steps=40"),
        ("agent_algorithm=recurrent_ppo", "agent_algorithm.n_steps=40"),
    ],
)
def test_a_seed_goes_on_from_its_checkpoint_to_the_bit(
    tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    whole, all_seen = scored(None, *overrides)
    with pytest.raises(KilledError):
        scored(tmp_path, *overrides, until=all_seen[-4])
    assert seed_checkpoint_file(tmp_path, 5).is_file()
    resumed, seen = scored(tmp_path, *overrides)
    assert len(seen) < len(all_seen) / 2
    for seed in SEEDS:
        assert isinstance(whole[seed], SeedScore), whole[seed]
        assert resumed[seed].returns == whole[seed].returns
        # A checkpoint does not hold a library's latest episodes: a point or two may be missing.
        assert resumed[seed].curve[:3] == whole[seed].curve[:3]
        for score in (whole[seed], resumed[seed]):
            counts = [transitions for transitions, _ in score.curve]
            assert 3 < len(counts) <= MOST_POINTS
            assert counts == sorted(set(counts))
            assert counts[-1] == score.transitions


def test_a_checkpoint_of_other_settings_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        scored(tmp_path, until=240)
    spec, model, settings = parts(*TRAINING)
    seen: list[int] = []
    train_and_score(
        spec, model, settings, seeds=SEEDS, searched={},
        on_progress=lambda done, planned: seen.append(done),
        saving=saving(tmp_path, "another study"),
    )  # fmt: skip
    assert seen[0] == 80


def test_a_checkpoint_that_cannot_be_read_costs_only_the_time_it_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, _ = scored(None)
    file = seed_checkpoint_file(tmp_path, 5)
    file.parent.mkdir()
    file.write_bytes(b"torn")
    again, _ = scored(tmp_path)
    assert again[5].returns == whole[5].returns
    assert "begins again" in caplog.text


def test_a_full_disk_costs_the_checkpoint_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*arguments: Any, **keywords: Any) -> None:
        raise OSError(28, "No space left on device")

    whole, _ = scored(None)
    monkeypatch.setattr("abx_amr.tuning.saving.write_checkpoint", full)
    again, _ = scored(tmp_path)
    assert again[7].returns == whole[7].returns
    assert "No space left on device" in caplog.text
