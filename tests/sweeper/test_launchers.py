"""One family of launchers: whichever runs the jobs, each costs only itself."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from abx_amr.configuration.groups import version_base
from abx_amr.errors import InputError
from abx_amr.host.exit_codes import TEMPORARY, USER_ERROR
from abx_amr.host.signals import CommandInterruptError
from hydra_plugins.abx_sweeper import launchers
from hydra_plugins.abx_sweeper._outcome import Outcome, values_of
from hydra_plugins.abx_sweeper._set import run_set
from hydra_plugins.abx_sweeper._sweep import BASIC_LAUNCHER, LauncherChoice, Overrides, Sweep
from hydra_plugins.abx_sweeper.launchers import Launcher, launcher_for

CONF = str(Path(__file__).with_name("conf"))
SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"


@dataclass(frozen=True)
class Task:
    """A job that leaves a file, unless its configuration says that it raises or is killed."""

    folder: Path

    def __call__(self, config: DictConfig) -> str:
        """Do what the configuration says."""
        fate = config.training.fate
        if fate == "waits":
            (self.folder / "waits").touch()
            time.sleep(60)
        if fate == "raises":
            raise ValueError("it raises")
        if fate == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / f"job_{HydraConfig.get().job.num}").touch()
        return str(fate)


Build = Callable[..., tuple[Launcher, list[str]]]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Return how the launcher of a command line is built, and the list of lines it reports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with initialize_config_dir(CONF, **version_base()):

        def launcher(
            *overrides: str, n_at_once: int = 2, is_inline: bool = False
        ) -> tuple[Launcher, list[str]]:
            loader = GlobalHydra.instance().config_loader()
            config = loader.load_configuration("config", list(overrides), RunMode.MULTIRUN)
            lines: list[str] = []
            sweep = Sweep(
                hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks()),
                task_function=Task(tmp_path),
                config=config,
                report=lines.append,
            )
            choice = LauncherChoice(
                composed=config, n_at_once=n_at_once, is_inline_possible=is_inline
            )
            return launcher_for(sweep, choice), lines

        yield launcher
    # joblib's processes are kept for the next use, in this test's folder, which goes.
    if (loky := sys.modules.get("joblib.externals.loky")) is not None:
        loky.get_reusable_executor().shutdown(wait=True)


def fates(*names: str) -> dict[int, list[str]]:
    """Return jobs with these fates, numbered from 3 as those of a later batch."""
    return {
        number: [f"+training.fate='{name}'", f"+training.number={number}"]
        for number, name in enumerate(names, 3)
    }


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("job_*"))


LAUNCHERS = [
    pytest.param({"is_inline": True}, (), id="inline"),
    pytest.param({}, (), id="processes"),
    pytest.param(
        {},
        ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
        id="joblib",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        {}, ("hydra/launcher=submitit_local",), id="submitit_local", marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(("keywords", "overrides"), LAUNCHERS)
def test_a_job_that_raises_costs_only_itself_and_keeps_its_number(
    tmp_path: Path, build: Build, keywords: dict[str, Any], overrides: tuple[str, ...]
) -> None:
    launcher, _ = build(*overrides, **keywords)
    launcher.check(wait=True)
    assert launcher.is_on_this_machine
    outcomes = launcher.run(fates("works", "raises", "works"))
    assert [outcome.has_failed for outcome in outcomes] == [False, True, False]
    assert left(tmp_path) == ["job_3", "job_5"]


@pytest.mark.parametrize(("keywords", "overrides"), LAUNCHERS[1:])
def test_a_job_that_is_killed_costs_only_itself(
    tmp_path: Path, build: Build, keywords: dict[str, Any], overrides: tuple[str, ...]
) -> None:
    launcher, _ = build(*overrides, **keywords)
    jobs = fates("works", "is killed", "works")

    def is_ended(job: Overrides) -> bool:
        number = next(n for n, overrides in jobs.items() if overrides == job)
        return (tmp_path / f"job_{number}").exists()

    outcomes = launcher.run(jobs, is_ended=is_ended)
    assert outcomes[1].is_lost
    assert left(tmp_path) == ["job_3", "job_5"]


@pytest.mark.parametrize(("keywords", "overrides"), [LAUNCHERS[0].values, LAUNCHERS[2].values])
def test_jobs_that_a_launcher_waits_for_cannot_be_left_alone(
    build: Build, keywords: dict[str, Any], overrides: tuple[str, ...]
) -> None:
    launcher, _ = build(*overrides, **keywords)
    with pytest.raises(InputError, match=r"tuning\.wait=false: \w+Launcher waits for its jobs"):
        launcher.check(wait=False)


def test_processes_are_told_of_an_interrupt_and_no_more_are_started(
    tmp_path: Path, build: Build
) -> None:
    launcher, lines = build(n_at_once=1)

    def interrupt() -> None:
        end = time.monotonic() + 120
        while not (tmp_path / "waits").exists() and time.monotonic() < end:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(CommandInterruptError) as error:
        launcher.run(fates("waits", "works"))
    assert error.value.number == signal.SIGTERM
    assert left(tmp_path) == []
    assert lines == ["2 processes, output in optimization/parabola/workers/*.log"]


def choice_of(target: str, *, is_inline: bool = True) -> LauncherChoice:
    hydra = {"launcher": {"_target_": target}, "sweep": {"dir": "."}}
    composed = OmegaConf.create({"hydra": hydra})
    return LauncherChoice(composed=composed, n_at_once=1, is_inline_possible=is_inline)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (choice_of(BASIC_LAUNCHER), "Inline"),
        (choice_of(BASIC_LAUNCHER, is_inline=False), "Processes"),
        (choice_of(SLURM), "SlurmArray"),
        (choice_of("some.where.RayLauncher"), "BehindHydra"),
    ],
)
def test_each_choice_on_the_command_line_means_one_launcher(
    choice: LauncherChoice, name: str
) -> None:
    fitting = [member.__name__ for member in launchers.members() if member.fits(choice)]
    assert fitting == ([name] if name != "BehindHydra" else [])
    sweep = Sweep(hydra_context=None, task_function=print, config=None, report=print)  # type: ignore[arg-type]
    assert type(launcher_for(sweep, choice)).__name__ == name


RECORDING = '''
"""Jobs that are only written down."""

from hydra_plugins.abx_sweeper._outcome import Outcome


class Recording:
    is_on_this_machine = True
    jobs = []

    def __init__(self, sweep, choice):
        self.sweep = sweep

    @classmethod
    def fits(cls, choice):
        return choice.target == "recording"

    def check(self, *, wait):
        """Accept."""

    def run(self, jobs, *, is_complete=None, is_ended=None):
        self.sweep.report(f"{len(jobs)} jobs are written down")
        self.jobs += jobs.values()
        return [Outcome() for _ in jobs]

    def submit(self, jobs):
        return []
'''


class Described:
    """The task of a set whose runs are all to be launched."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_finished = False

    def __call__(self, config: DictConfig) -> None:
        """Never run in this process."""
        raise AssertionError

    def prepare(self, jobs: Sequence[Any], compose: object) -> list[list[str]]:
        return [list(job.overrides) for job in jobs]

    def is_ended(self, overrides: Overrides) -> bool:
        return True

    def report(self, line: str) -> None:
        self.lines.append(line)

    def finish(self) -> None:
        self.is_finished = True


def run(task: Described, *arguments: str, target: str) -> None:
    context: Any = HydraContext(config_loader=None, callbacks=Callbacks())  # type: ignore[arg-type]
    config = choice_of(target).composed
    run_set(arguments, hydra_context=context, task_function=task, config=config)


def test_a_launcher_is_added_by_one_file_in_the_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "_recording.py").write_text(RECORDING)
    monkeypatch.setattr(launchers, "__path__", [*launchers.__path__, str(tmp_path)])
    task = Described()
    run(task, "a=1", "b=2,3", target="recording")
    (member,) = [m for m in launchers.members() if m.__name__ == "Recording"]
    assert member.jobs == [["a=1", "b=2"], ["a=1", "b=3"]]  # type: ignore[attr-defined]
    assert task.lines == ["2 jobs are written down"]
    assert task.is_finished


def test_a_set_whose_launcher_cannot_start_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(Described, "prepare", None)
    with pytest.raises(InputError, match="there is no sbatch on this machine"):
        run(Described(), "a=range(512)", target=SLURM)


def test_a_set_needs_a_task_that_says_what_its_runs_are() -> None:
    with pytest.raises(TypeError, match="needs a SetTask"):
        run(print, "a=1", target=BASIC_LAUNCHER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcomes", "values"),
    [
        ([Outcome(value=1), Outcome(), Outcome(error=ValueError("no"))], [1]),
        ([Outcome(is_lost=True, status=-9), Outcome(status=1)], []),
        ([], []),
    ],
)
def test_what_failed_costs_only_itself(outcomes: list[Outcome], values: list[int]) -> None:
    assert values_of(outcomes) == values


@pytest.mark.parametrize(
    ("statuses", "status"),
    [((USER_ERROR, USER_ERROR), USER_ERROR), ((0, TEMPORARY), TEMPORARY)],
)
def test_a_status_that_all_or_one_give_is_the_commands(
    statuses: tuple[int, ...], status: int
) -> None:
    with pytest.raises(SystemExit) as stop:
        values_of([Outcome(status=each) for each in statuses])
    assert stop.value.code == status


def test_an_error_that_all_share_is_shown() -> None:
    with pytest.raises(ValueError, match="no"):
        values_of([Outcome(error=ValueError("no")), Outcome(error=ValueError("nor this"))])
    with pytest.raises(RuntimeError, match="every worker failed; the first: a\nb"):
        values_of([Outcome(status=1, last_lines=("a", "b")), Outcome(status=2)])
