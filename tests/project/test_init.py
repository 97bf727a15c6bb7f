"""abx-init makes a project in which every example works; --check names every fault."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from abx_amr.cli import evaluate, init, train, tune
from abx_amr.configuration.groups import conf_dir
from abx_amr.errors import InputError
from abx_amr.host.locations import find_project
from abx_amr.project.checking import check_project
from abx_amr.project.making import COPIED_GROUPS, project_files, write_files
from abx_amr.runs.folder import newest_run
from tests.cli.conftest import Call

SMALL = (
    "environment.max_time_steps=12",
    "training.n_envs=2",
    "training.num_eval_episodes=2",
    "training.total_num_training_episodes=2",
    "agent_algorithm.n_steps=16",
    "agent_algorithm.batch_size=8",
    "agent_algorithm.n_epochs=1",
    "agent_algorithm.policy_kwargs.net_arch=[4]",
    "training.seed_batched=false",
    "figures=false",
    "report=false",
)
EXAMPLES = {
    "resistance": ("amr_dynamics=fading_memory", "antibiotics=fading_two"),
    "population": ("patient_generator=seasons",),
    "reward": ("reward_calculator=cures_only",),
    "algorithm": ("agent_algorithm=fading_entropy_ppo",),
    "option": ("agent_algorithm=hrl_ppo", "option_library=own_options"),
    "inherited": ("training=long",),
    "all": ("experiment=own_clinic",),
    "all_managed": ("experiment=own_clinic_managed",),
}


@pytest.fixture
def project(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "my clinic"
    write_files(root, project_files(), overwrite=False)
    monkeypatch.chdir(root)
    yield root


def keep_only(*names: str) -> None:
    """Remove the groups of the project but these, so that a check has less to compose."""
    for folder in Path("conf").iterdir():
        if folder.is_dir() and folder.name not in names:
            shutil.rmtree(folder)


def edit(file: str, old: str, new: str) -> None:
    path = Path(file)
    text = path.read_text(encoding="utf-8")
    assert old in text, file
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_new_project_is_shown_and_says_how_to_go_on(call: Call, tmp_path: Path) -> None:
    ended = call(init.main, "clinics/first")
    assert ended.status == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0] == "clinics/first/"
    assert lines[-3:] == [
        "  cd clinics/first",
        "  abx-init --check",
        "  abx-train experiment=own_clinic",
    ]
    written = {
        p.relative_to(tmp_path / "clinics/first").as_posix()
        for p in (tmp_path / "clinics/first").rglob("*")
        if p.is_file()
    }
    assert written == set(project_files())
    assert {"README.md", ".gitignore", "abx-project.yaml", "slurm/one_job.sh"} <= written


def test_copies_are_the_packaged_files_and_settings_that_grow_are_inherited() -> None:
    files = project_files()
    for group in COPIED_GROUPS:
        for file in (conf_dir() / group).glob("*.yaml"):
            name = f"conf/{group}/{file.name}"
            if name == "conf/tuning/base.yaml":
                assert name not in files
            else:
                assert files[name] == file.read_text(encoding="utf-8")
    assert not {"conf/training/default.yaml", "conf/agent_algorithm/ppo.yaml"} & set(files)


def test_nothing_is_overwritten_unless_it_is_forced(call: Call, tmp_path: Path) -> None:
    readme, note = tmp_path / "p/README.md", tmp_path / "p/note.txt"
    readme.parent.mkdir()
    for file in (readme, note):
        file.write_text("mine\n")
    ended = call(init.main, "p")
    assert ended.status == 2
    (line,) = ended.err.splitlines()
    assert "holds README.md already and nothing was written" in line
    assert sorted(os.listdir("p")) == ["README.md", "note.txt"]
    ended = call(init.main, "p", "--force")
    assert ended.status == 0
    assert "written anew: README.md" in ended.out
    assert readme.read_text() != "mine\n"
    assert note.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--forse", "p"], "did you mean '--force'"),
        ([""], "the folder has an empty name"),
        (["--check", " "], "the folder has an empty name"),
        (["p", "q"], "one folder at a time"),
        (["--force"], "which folder? write abx-init DIR"),
        (["p", "--tuning", "t.yaml"], "--tuning: cannot read"),
        (["p", "--from-umbrella"], "--from-umbrella needs a file"),
        (["p", "--force=yes"], "--force takes no value"),
        (["--check", "--force"], "it does not go with --force"),
        (["--check"], "is in no project"),
        (["--check", "nowhere"], "there is no folder"),
        (["p", "--from-umbrella", "nowhere.yaml"], "cannot read"),
        (["file/p"], "is a file, and a folder is needed there"),
        (["taken"], "is a folder, and a file is to be written there"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    call: Call, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken/README.md").mkdir(parents=True)
    ended = call(init.main, *arguments)
    assert ended.status == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("abx-init: error: ")
    assert message in line
    assert sorted(os.listdir()) == ["file", "taken"]
    assert os.listdir("taken") == ["README.md"]


def test_a_disk_that_fills_up_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    from abx_amr.project import making

    def full(path: Path, text: str) -> None:
        if path.name.startswith(".README.md"):
            raise OSError(28, "No space left on device", str(path))
        path.write_text(text)

    monkeypatch.setattr(making, "write_text", full)
    ended = call(init.main, "p")
    assert ended.status == 2
    assert "No space left on device" in ended.err
    assert os.listdir() == []


def everything_below(root: Path) -> dict[str, str]:
    return {str(p): p.read_text() if p.is_file() else "" for p in root.rglob("*")}


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["write_text", "replace"])
def test_an_interrupted_overwriting_leaves_every_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    from abx_amr.project import making

    for name in ("a.yaml", "c.yaml"):
        (tmp_path / name).write_text("mine\n")
    (tmp_path / "a.yaml").chmod(0o755)
    before = everything_below(tmp_path)
    done: list[str] = []
    in_folder = step == "write_text"
    right = making.write_text if in_folder else os.replace

    def interrupted(first: Path, second: Path | str) -> None:
        done.append(Path(first if in_folder else second).name)
        if done[-1] == (".c.yaml.x.new" if in_folder else "c.yaml"):
            raise error
        right(first, second)  # type: ignore[arg-type]

    monkeypatch.setattr(making.secrets, "token_hex", lambda size: "x")
    monkeypatch.setattr(making if in_folder else making.os, step, interrupted)
    files = dict.fromkeys(("a.yaml", "new/b.yaml", "new/d.yaml", "c.yaml"), "theirs\n")
    expected = InputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_files(tmp_path, files, overwrite=True)
    assert done.count(".c.yaml.x.new" if in_folder else "c.yaml") == 1
    assert everything_below(tmp_path) == before
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o755


def test_a_folder_that_cannot_be_taken_away_does_not_hide_the_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from abx_amr.project import making

    def full(path: Path, text: str) -> None:
        path.with_name("somebody's").write_text("theirs")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(making, "write_text", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_files(tmp_path, {"new/a.yaml": ""}, overwrite=False)
    assert (tmp_path / "new/somebody's").read_text() == "theirs"


def test_overwriting_leaves_no_file_beside_those_it_wrote(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mine\n")
    assert write_files(tmp_path, {"a.yaml": "1", "b/c.yaml": "2"}, overwrite=True) == ["a.yaml"]
    assert everything_below(tmp_path) == {
        str(tmp_path / "a.yaml"): "1",
        str(tmp_path / "b"): "",
        str(tmp_path / "b/c.yaml"): "2",
    }


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_trained(call: Call, project: Path, example: str) -> None:
    os.chdir(project)
    ended = call(train.main, *EXAMPLES[example], *SMALL, f"run_name={example}")
    assert ended.status == 0, ended.err
    assert newest_run("results", example).read_summary()["evaluation_episodes"] == 2


def test_from_a_folder_below_a_clinic_of_own_parts_is_checked_trained_tuned_and_evaluated(
    call: Call, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "notes").mkdir()
    monkeypatch.chdir(project / "notes")
    ended = call(init.main, "--check")
    assert ended.status == 0, ended.err
    assert "all compose, import and build" in ended.out
    own = ("experiment=own_clinic", "agent_algorithm=fading_entropy_ppo", *SMALL)
    ended = call(train.main, *own, "run_name=first")
    assert ended.status == 0, ended.err
    ended = call(evaluate.main, "run=first", "against=greedy", "evaluation.episodes=2", *SMALL[-2:])
    assert ended.status == 0, ended.err
    ended = call(
        tune.main,
        "-m",
        "+tuning=ppo_default",
        *own,
        "tuning.n_trials=1",
        "tuning.n_seeds_per_trial=1",
        "tuning.truncated_episodes=1",
        "tuning.final=false",
        "~tuning.search_space.batch_size",
        "run_name=study",
    )
    assert ended.status == 0, ended.err
    ended = call(train.main, "best_params_from=study", *own)
    assert ended.status == 0, ended.err
    assert list((project / "notes").iterdir()) == []
    assert newest_run(project / "results", "study_optimized").read_summary()["tuned_values"]


def test_check_names_every_fault_with_its_file_key_and_cure(call: Call, project: Path) -> None:
    os.chdir(project)
    edit("conf/antibiotics/two.yaml", "leak: 0.2", "leak: 2.0")
    edit("conf/antibiotics/two.yaml", "flatness_parameter: 25", "flatnes_parameter: 25")
    edit("conf/patient_generator/high_risk.yaml", "constant", "constnt")
    edit("conf/patient_generator/high_risk.yaml", "prob_infected]", "prob_infectd]")
    edit("conf/experiment/own_clinic.yaml", "max_time_steps", "max_tme_steps")
    edit("conf/experiment/paper_two.yaml", "antibiotics: paper_two", "antibiotics: paper_too")
    gamma = "log_below_one: true, low: 0.99, high: 0.999}"
    edit("conf/tuning/ppo_default.yaml", gamma, "low: 0.99, high: 1.5}")
    edit("conf/tuning/ppo_default.yaml", "  gae_lambda", "  gae_lamda")
    edit("conf/training/long.yaml", "episodes: 50", "episodes: 0\nseed: 1000")
    edit("conf/option_library/own_options.yaml", "limit: 0.3", "limit: 3")
    edit("components/populations.py", "= season\n        group", "= seson\n        group")
    edit("components/algorithms.py", "def train(self):", "def train(self:")
    Path("conf/antibiotics/x.yml").write_text("a: 1\n")
    Path("conf/environment/y.yaml").write_text("a: [1\nb: 2\n")
    Path("conf/antibiotic").mkdir()
    Path("conf/antibiotic/y.yaml").write_text("a: 1\n")
    ended = call(init.main, "--check")
    assert ended.status == 2
    assert ended.out == ""
    *faults, last = ended.err.splitlines()
    expected = {
        "components/algorithms.py": ["line 18: cannot be imported: SyntaxError"],
        "conf/agent_algorithm/fading_entropy_ppo.yaml": ["agent_algorithm._target_: 'components"],
        "conf/antibiotic/y.yaml": ["did you mean 'antibiotics'?"],
        "conf/antibiotics/two.yaml": [
            "leak of antibiotic A must be a number in (0, 1), got 2.0",
            "'flatnes_parameter' does not exist; did you mean 'flatness_parameter'?",
        ],
        "conf/antibiotics/x.yml": ["rename it to x.yaml"],
        "conf/environment/y.yaml": ["line 2, column 2: no YAML"],
        "conf/experiment/own_clinic.yaml": ["did you mean 'max_time_steps'?"],
        "conf/experiment/paper_two.yaml": ["did you mean 'paper_two'?"],
        "conf/option_library/own_options.yaml": ["option 'while_sensitive': ValueError: limit"],
        "conf/patient_generator/high_risk.yaml": [
            "did you mean 'constant'?",
            "did you mean 'prob_infected'?",
        ],
        "conf/patient_generator/seasons.yaml": ["components/populations.py line 45: NameError"],
        "conf/training/long.yaml": ["num_eval_episodes must be", "seed must be 1-999"],
        "conf/tuning/ppo_default.yaml": [
            "gamma must be a number in (0, 1], got 1.5",
            "did you mean 'agent_algorithm.gae_lambda'?",
        ],
    }
    for file, message in expected.items():
        its = [line for line in faults if line.startswith(f"abx-init: error: {file}: ")]
        assert len(its) == len(message), its
        for words in message:
            assert any(words in line for line in its), (words, its)
    count = sum(map(len, expected.values()))
    assert len(faults) == count
    assert last.startswith(f"{count} faults in ")


def test_check_looks_at_a_folder_from_outside_too(
    call: Call, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_only("reward_calculator")
    edit("conf/reward_calculator/cures_only.yaml", "amr_weight: 0.2", "amr_weight: -1")
    monkeypatch.chdir(tmp_path)
    ended = call(init.main, "--check", str(project))
    assert ended.status == 2
    fault, last = ended.err.splitlines()
    assert "conf/reward_calculator/cures_only.yaml: reward_calculator: CuresOnly says" in fault
    assert re.fullmatch(rf"1 fault in \d+ files of {re.escape(str(project))}", last)


def test_a_broken_default_is_named_once_and_no_other_file_is_blamed(
    call: Call, project: Path
) -> None:
    keep_only("environment", "experiment", "reward_calculator")
    Path("conf/environment/default.yaml").write_text("max_time_steps: [1\nb: 2\n")
    edit("conf/reward_calculator/cures_only.yaml", "amr_weight: 0.2", "amr_wait: 0.2")
    Path("conf/experiment/own_clinic.yaml").unlink()
    Path("conf/experiment/own_clinic_managed.yaml").unlink()
    ended = call(init.main, "--check")
    assert ended.status == 2
    assert [line.split(": ")[2] for line in ended.err.splitlines()[:-1]] == [
        "conf/environment/default.yaml"
    ]
    Path("conf/environment/default.yaml").unlink()
    ended = call(init.main, "--check")
    assert [line.split(": ")[2] for line in ended.err.splitlines()[:-1]] == [
        "conf/reward_calculator/cures_only.yaml"
    ]
    assert "did you mean 'amr_weight'?" in ended.err


def test_check_moves_a_display_from_nothing_to_all(project: Path) -> None:
    keep_only("environment", "reward_calculator")
    found = find_project(project)
    assert found is not None
    seen: list[tuple[int, int]] = []
    result = check_project(found, on_progress=lambda done, total: seen.append((done, total)))
    assert result.faults == []
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_a_slip_in_a_class_of_one_s_own_is_one_line_with_its_place(
    call: Call, project: Path
) -> None:
    edit("components/rewards.py", "self.amr_weight *", "self.amr_wieght *")
    ended = call(train.main, *SMALL, "reward_calculator=cures_only")
    assert ended.status == 2
    (line,) = ended.err.splitlines()[-1:]
    assert line.startswith("abx-train: error: components/rewards.py line ")
    assert "'amr_wieght'" in line and "abx-init --check" in line
    assert "Traceback" not in ended.err


def test_the_command_that_trains_with_a_study_s_best_can_be_pasted_anywhere_below(
    call: Call, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project / "notes" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    small = ("tuning.n_trials=1", "tuning.n_seeds_per_trial=1", "tuning.truncated_episodes=1")
    small = (*small, "tuning.final=false")
    fixed = [f"~tuning.search_space.{key}" for key in ("n_steps", "batch_size", "n_epochs")]
    settings = [s for s in SMALL if not s.startswith("training.total")]
    ended = call(tune.main, "-m", "+tuning=ppo_default", *settings, *small, *fixed)
    assert ended.status == 0, ended.err
    (line,) = (li for li in ended.out.splitlines() if li.startswith("train with them"))
    assert "optimization_dir" not in line
