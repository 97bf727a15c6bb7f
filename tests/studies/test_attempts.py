"""What one attempt at a trial leaves, the next one finds."""

import os
import signal

from abx_amr.studies.attempts import identity, take_over
from abx_amr.studies.folder import TrialFolder
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.worker import run_batches, run_worker
from tests.studies.conftest import parabola


def leave(folder, seed, name, text):
    file = folder / f"seed_{seed}" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_results_are_shared_and_a_seed_in_training_moves(tmp_path):
    first, second, third = (tmp_path / str(number) for number in (3, 5, 8))
    leave(first, 1000, "result.json", "old")
    leave(first, 1001, "checkpoint.zip", "halfway")
    leave(second, 1000, "result.json", "new")
    take_over(TrialFolder(third), [TrialFolder(second), TrialFolder(first)])
    assert (third / "seed_1000/result.json").read_text() == "new"
    assert (third / "seed_1001/checkpoint.zip").read_text() == "halfway"
    assert (second / "seed_1000/result.json").read_text() == "new"
    assert not (first / "seed_1001/checkpoint.zip").exists()


def test_what_the_attempt_has_already_is_left_alone(tmp_path):
    leave(tmp_path / "0", 1000, "result.json", "old")
    leave(tmp_path / "1", 1000, "checkpoint.zip", "its own")
    take_over(TrialFolder(tmp_path / "1"), [TrialFolder(tmp_path / "0")])
    assert sorted(p.name for p in (tmp_path / "1/seed_1000").iterdir()) == ["checkpoint.zip"]


def test_a_result_belongs_to_its_settings_point_and_seed():
    point = {"x": 0.1, "mode": "flat"}
    known = identity("digest", point, 1000)
    assert identity("digest", dict(reversed(point.items())), 1000) == known
    others = [
        identity("other", point, 1000),
        identity("digest", {**point, "x": 0.10000000000000002}, 1000),
        identity("digest", point, 1001),
    ]
    assert known not in others
    assert len(set(others)) == 3


def test_the_worker_that_takes_over_finds_what_the_killed_ones_left(study, in_processes):
    """Killed twice, at the second and the third seed: each seed is trained once."""
    trained = []

    def run_trial(params, seeds, folder):
        for index, seed in enumerate(seeds):
            file = folder / f"seed_{seed}" / "result.json"
            if file.exists():
                continue
            if index == int(folder.name) + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            leave(folder, seed, "result.json", f"trial {folder.name}")
            trained.append(seed)
        return [SeedOutcome(seed, 1.0) for seed in seeds]

    settings, storage = study(n_trials=1, max_failures=9)
    killed = [
        in_processes(1, lambda _: run_worker(settings, storage, run_trial))[0] for _ in range(2)
    ]
    assert killed == [-signal.SIGKILL] * 2
    run_worker(settings, storage, run_trial)
    message = [
        (settings.folder / f"trials/2/seed_{seed}/result.json").read_text()
        for seed in (1000, 1001, 1002)
    ]
    assert message == ["trial 0", "trial 1", "trial 2"]
    assert trained == [1002]


def test_batches_end_with_exactly_the_budget(study, trials_of):
    sizes = []

    def run_batch(batch):
        sizes.append(len(batch))
        return [parabola(one.parameters, one.seeds, one.folder) for one in batch]

    settings, storage = study(n_trials=7)
    report = run_batches(settings, storage, run_batch, size=3)
    assert (report.reason, sizes) == ("budget", [3, 3, 1])
    assert len(trials_of(settings, storage)) == 7


def test_a_batch_that_is_stopped_gives_all_its_trials_back(study, trials_of):
    def run_batch(batch):
        raise SystemExit(128 + signal.SIGTERM)

    settings, storage = study(n_trials=7)
    report = run_batches(settings, storage, run_batch, size=3)
    assert (report.reason, report.signal_number) == ("interrupted", signal.SIGTERM)
    states = [trial.state.name for trial in trials_of(settings, storage)]
    assert (states.count("FAIL"), states.count("WAITING")) == (3, 3)
