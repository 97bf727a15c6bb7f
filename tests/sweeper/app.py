"""A command like abx-tune with a parabola for trials; its faults come by environment."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import hydra
import yaml
from omegaconf import DictConfig, OmegaConf

from abx_amr.errors import InputError
from abx_amr.host.locations import packaged
from abx_amr.studies.finishing import finish_study
from abx_amr.studies.objective import SeedOutcome
from abx_amr.studies.preparation import Preparation, prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import SqliteStorage
from abx_amr.studies.worker import run_worker

TUNING_DEFAULTS = yaml.safe_load((packaged("conf") / "tuning/base.yaml").read_text())


def settings_of(config: DictConfig) -> tuple[StudySettings, SqliteStorage]:
    plain = OmegaConf.to_container(config, resolve=True)
    plain["tuning"] = TUNING_DEFAULTS | {"final": False} | plain["tuning"]
    settings = StudySettings.from_configuration(plain)
    return settings, SqliteStorage(path=settings.folder / "optuna_study.db")


def say(*words):
    sys.stdout.write(" ".join(str(word) for word in words) + "\n")
    sys.stdout.flush()


def run_trial(params, seeds, folder):
    number = int(folder.name)
    time.sleep(float(os.environ.get("TRIAL_SECONDS", "0")))
    while os.path.exists(os.environ.get("HELD_WHILE_THERE_IS", "")):
        time.sleep(0.1)
    victim = os.environ.get("KILL_AT_TRIAL")
    if victim is not None and number == int(victim):
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("CRASH"):
        raise OSError("the disk is full")
    x = params["agent_algorithm.x"]
    return [SeedOutcome(seed, -((x - 0.3) ** 2) + 0.001 * (seed % 7)) for seed in seeds]


class Tune:
    __name__ = "tune"

    def __call__(self, config: DictConfig) -> float:
        settings, storage = settings_of(config)
        report = run_worker(settings, storage, run_trial)
        say("report:", report.reason, report.trials_run, report.message)
        if report.was_interrupted:
            sys.exit(128 + report.signal_number)
        return 0.0

    def prepare(self, config: DictConfig, *, is_here: bool) -> Preparation:
        found = prepare_study(*settings_of(config))
        say("prepared:", found.value)
        return found

    def report(self, line: str) -> None:
        say(line)

    @contextlib.contextmanager
    def watching(self, config: DictConfig):
        yield lambda: False

    def search(self, config: DictConfig, launch) -> None:
        raise NotImplementedError("a parabola has no jobs")

    def submitted(self, config: DictConfig, lines: list[str]) -> None:
        say("\n".join(lines))

    def finish(self, config: DictConfig) -> None:
        summary = finish_study(*settings_of(config))
        say("finished:", summary.n_finished, "of", summary.budget)


if __name__ == "__main__":
    is_1_3 = hydra.__version__.startswith("1.3")
    version = {"version_base": "1.3"} if is_1_3 else {}
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    try:
        hydra.main(config_path="conf", config_name="config", **version)(Tune())()
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
