"""abx_amr.tune: a study in this process is the study of the command."""

import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

import abx_amr
from abx_amr.cli import tune as door
from abx_amr.configuration.composing import compose
from abx_amr.errors import InputError
from abx_amr.studies.events import Event
from abx_amr.studies.preparation import Preparation
from abx_amr.studies.settings import StudySettings
from abx_amr.tuning.in_process import ShownInCell, composed_study, listener_of_this_place
from abx_amr.tuning.listening import StudyListener
from abx_amr.tuning.result import TuneResult
from tests.cli.conftest import SMALL_STUDY, Call
from tests.cli.test_tune import summary, values

STUDY = SMALL_STUDY[1:]
TWO = "tuning.n_trials=2"
HALF = "tuning.n_trials_per_worker=1"


class Told(StudyListener):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.found: list[Preparation] = []
        self.kinds: list[str] = []
        self.results: list[TuneResult] = []

    def prepared(self, settings: StudySettings, found: Preparation) -> None:
        """Remember."""
        self.found.append(found)

    def event(self, event: Event) -> None:
        """Remember."""
        self.kinds.append(event.kind)

    def finished(self, result: TuneResult) -> None:
        """Remember."""
        self.results.append(result)


def test_a_study_in_this_process_is_that_of_the_command(call: Call) -> None:
    ended = call(door.main, *SMALL_STUDY, TWO, "run_name=command")
    assert ended.status == 0, ended.err
    told = Told()
    result = abx_amr.tune(*STUDY, TWO, "run_name=here", listener=told)
    assert values("here") == values("command")
    assert (result.is_complete, result.n_finished, result.budget) == (True, 2, 2)
    assert result.folder == Path("optimization/here").absolute()
    assert result.best_value == max(value for _, value in values("here"))
    assert result.read_back == pytest.approx(result.best_params)
    assert result.trials["value"].tolist() == [value for _, value in values("here")]
    assert told.kinds.count("trial_finished") == 2
    assert told.found == [Preparation.CREATED]
    assert told.results == [result]
    assert (result.folder / "best_params.json").is_file()
    shown = result._repr_html_()
    assert f"<th>best value</th><td>{result.best_value:.2f} (trial " in shown
    assert "<th>finished</th><td>2 trials of 2</td>" in shown
    assert all(f"<td>{path}</td>" in shown for path in result.best_params or {})


def test_the_command_goes_on_with_a_study_of_this_process_and_the_other_way_round(
    call: Call,
) -> None:
    abx_amr.tune(*STUDY, TWO, "run_name=whole")
    assert not abx_amr.tune(*STUDY, TWO, HALF, "run_name=begun_here").is_complete
    assert call(door.main, *SMALL_STUDY, TWO, "run_name=begun_here").status == 0
    call(door.main, *SMALL_STUDY, TWO, HALF, "run_name=ended_here")
    assert len(values("ended_here")) == 1
    assert abx_amr.tune(*STUDY, TWO, "run_name=ended_here").is_complete
    assert values("begun_here") == values("ended_here") == values("whole")


def test_a_finished_study_comes_back_without_a_trial(call: Call) -> None:
    first = abx_amr.tune(*STUDY, "tuning.n_trials=1")
    told = Told()
    again = abx_amr.tune(*STUDY, "tuning.n_trials=1", listener=told)
    assert told.kinds == []
    assert told.found == [Preparation.FINISHED]
    assert again == first


def test_what_the_files_of_a_study_hold_goes_on_with_it(call: Call) -> None:
    begun = abx_amr.tune(*STUDY, TWO, HALF)
    config: dict[str, Any] = {}
    for name in ("full_agent_env_config.yaml", "tuning_config.yaml"):
        config |= yaml.safe_load((begun.folder / name).read_text())
    assert "code" not in config
    config["tuning"]["n_trials_per_worker"] = None
    assert abx_amr.tune(config).is_complete
    assert summary()["n_finished"] == 2


def test_sweeps_among_the_overrides_are_searched() -> None:
    config = composed_study(*STUDY, "agent_algorithm.ent_coef=0.02,0.03", "run_name=swept")
    assert config.tuning.search_space.ent_coef.choices == [0.02, 0.03]
    assert config.run_name == "swept"
    assert composed_study("+tuning=ppo_default").run_name == "ppo_default"


def test_an_interrupted_search_goes_on_with_the_same_call(call: Call) -> None:
    class Interrupts(StudyListener):
        def event(self, event: Event) -> None:
            if event.kind == "trial_started" and event.number == 1:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        abx_amr.tune(*STUDY, TWO, listener=Interrupts())
    assert len(values()) == 1
    assert signal.getsignal(signal.SIGINT) is before
    assert abx_amr.tune(*STUDY, TWO).is_complete


def test_threads_of_torch_are_given_back(call: Call) -> None:
    torch.set_num_threads(1)
    abx_amr.tune(*STUDY, "tuning.n_trials=1", "training.torch_threads=2")
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (("+tuning=ppo_defalt",), "did you mean 'ppo_default'"),
        (("experiment=paper_two",), "no tuning configuration is chosen"),
        ((*STUDY, "tuning.n_workers=2"), "tuning.n_workers=2: this process is one worker"),
        ((*STUDY, "tuning.parallel=jobs"), "tuning.parallel=jobs: this process is one worker"),
        ((*STUDY, "tuning.wait=false"), "tuning.wait=False: this process is the worker"),
        (("+tuning=ppo_default", "agent_algorithm=never"), "fixed rule"),
        ((*STUDY, {}), "or one configuration alone"),
        (({"tuning": {}},), "training must be a section"),
    ],
)
def test_what_cannot_be_searched_here_is_one_line(
    call: Call, overrides: tuple[Any, ...], text: str
) -> None:
    with pytest.raises(InputError, match=text) as refused:
        abx_amr.tune(*overrides)
    assert len(str(refused.value).splitlines()) == 1
    assert not Path("optimization").exists()


def test_a_notebook_shows_the_study_in_one_line(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    cell = SimpleNamespace(update=lambda content, raw: shown.append(content["text/plain"]))
    kernel = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel="one"),
        display=SimpleNamespace(display=lambda content, raw, display_id: cell),
    )
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    result = abx_amr.tune(*STUDY, TWO)
    assert any(line.startswith("1 of 2 trials finished, trial 0: value") for line in shown)
    assert any("of it)" in line for line in shown)
    assert shown[-1] == f"2 of 2 trials finished, best value {result.best_value:.3f}"
    assert all(len(line.splitlines()) == 1 for line in shown)


def test_a_shell_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not isinstance(listener_of_this_place(), ShownInCell)


def test_a_configuration_without_a_search_is_refused() -> None:
    with pytest.raises(InputError, match="no tuning configuration is chosen"):
        abx_amr.tune(compose("train", []).config)
