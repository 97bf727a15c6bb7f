"""What is installed finds conf/ and its plugins from any folder; what is imported is declared."""

import ast
import importlib
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("abx_amr", "hydra_plugins")
SITE_PACKAGES = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


# --- what is installed ---------------------------------------------------------------------------


def run(*command: str | Path, folder: Path, timeout: float = 120) -> str:
    """Return the output of a command that succeeds; nothing on its path points to this tree."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def build(tree: Path, folder: Path, *kinds: str) -> Path:
    """Return `folder` with the wheel or sdist of a source tree in it, or both."""
    targets = [part for kind in kinds for part in ("-t", kind)]
    run(sys.executable, "-m", "hatchling", "build", *targets, "-d", folder, folder=tree)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("built"), "wheel", "sdist")


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Installed:
    """An environment with abx-amr in it, and where its configuration files should lie."""

    venv: Path
    conf: Path

    def run(self, command: str, *arguments: str, folder: Path, timeout: float = 120) -> str:
        return run(self.venv / "bin" / command, *arguments, folder=folder, timeout=timeout)


def environment_beside_this_one(folder: Path) -> Path:
    """Return a new environment that sees this one's packages, but not its editable installs.

    A line of a .pth file puts a folder on the path without reading that folder's own .pth files.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder.parent)
    line = sysconfig.get_path("purelib") + "\n"
    (folder / SITE_PACKAGES / "packages_of_this_environment.pth").write_text(line)
    return folder


@pytest.fixture(scope="module", params=["wheel", pytest.param("editable", marks=pytest.mark.slow)])
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    venv = environment_beside_this_one(tmp_path_factory.mktemp(request.param) / "venv")
    if request.param == "wheel":
        what = [str(request.getfixturevalue("wheel"))]
        conf = venv / SITE_PACKAGES / "abx_amr" / "conf"
    else:
        what = ["--no-build-isolation", "-e", str(ROOT)]
        conf = ROOT / "conf"
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", venv / "bin" / "python"]
    run(*pip, "install", "--no-deps", "--no-index", "--ignore-installed", *what, folder=venv)
    return Installed(venv, conf)


PARTS = """
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from abx_amr.configuration.groups import conf_dir
found = Plugins.instance().discover(Sweeper) + Plugins.instance().discover(SearchPathPlugin)
print(*sorted(plugin.__name__ for plugin in found))
print(ConfigStore.instance().load("hydra/sweeper/abx.yaml").node._target_)
print(conf_dir())
"""


def test_conf_and_both_plugins_are_found_from_another_folder(
    installed: Installed, tmp_path: Path
) -> None:
    plugins, sweeper, conf = installed.run("python", "-c", PARTS, folder=tmp_path).splitlines()
    assert {"AbxSweeper", "StagedFilesSearchPath"} <= set(plugins.split())
    assert sweeper == "hydra_plugins.abx_sweeper.sweeper.AbxSweeper"
    assert Path(conf).resolve() == installed.conf.resolve()


def test_every_command_is_there_and_the_configuration_is_shown_from_another_folder(
    installed: Installed, tmp_path: Path
) -> None:
    for command in PROJECT["scripts"]:
        assert installed.run(command, "--help", folder=tmp_path).startswith(f"{command}: ")
    shown = installed.run("abx-train", "--cfg", "job", folder=tmp_path)
    assert "_target_: stable_baselines3.PPO" in shown
    assert list(tmp_path.iterdir()) == []


def test_a_study_of_one_trial_runs_from_another_folder(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # a new place would be compiled anew
    run_a_study(installed, tmp_path)


def run_a_study(installed: Installed, folder: Path) -> None:
    out = installed.run(
        "abx-tune",
        "-m",
        "+tuning=ppo_default",
        "tuning.n_trials=1",
        "tuning.n_seeds_per_trial=1",
        "tuning.truncated_episodes=1",
        "tuning.final=false",
        "experiment=paper_single",
        "environment.max_time_steps=8",
        "figures=false",
        folder=folder,
    )
    assert "train with them:  abx-train best_params_from=ppo_default" in out
    assert (folder / "optimization" / "ppo_default" / "best_params.json").is_file()


def test_the_entry_points_name_plugin_classes_and_functions() -> None:
    plugins = PROJECT["entry-points"]["hydra.plugins"].values()
    for reference in [*PROJECT["scripts"].values(), *plugins]:
        module, _, name = reference.partition(":")
        assert callable(getattr(importlib.import_module(module), name)), reference


def test_a_source_archive_holds_the_project_and_gives_the_same_wheel(
    built: Path, wheel: Path, tmp_path: Path
) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(tmp_path / "tree", filter="data")
    (tree,) = (tmp_path / "tree").iterdir()
    for path in (
        "conf/umbrella.yaml",
        "slurm/array_journal.sh",
        "tests/test_packaging.py",
        "benchmarks/__main__.py",
        "Makefile",
        "constraints.txt",
    ):
        assert (tree / path).is_file(), path
    (again,) = build(tree, tmp_path / "again", "wheel").iterdir()
    assert contents(again) == contents(wheel)


def contents(wheel: Path) -> dict[str, int]:
    """Return file name -> checksum, without the list of the wheel's own files."""
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: info.CRC for info in archive.infolist()}
    return {name: crc for name, crc in files.items() if not name.endswith("/RECORD")}


def test_a_wheel_holds_both_packages_conf_and_templates_and_no_tests(wheel: Path) -> None:
    names = contents(wheel)
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    shipped = {name for name in names if name.startswith("abx_amr/conf/")}
    assert shipped == {
        f"abx_amr/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "conf").rglob("*.yaml")
    }
    templates = {name for name in names if name.startswith("abx_amr/slurm/")}
    assert templates == {f"abx_amr/slurm/{path.name}" for path in (ROOT / "slurm").iterdir()}
    template = {name for name in names if name.startswith("abx_amr/project/template/")}
    there = (ROOT / "abx_amr/project/template").rglob("*")
    assert template == {
        path.relative_to(ROOT).as_posix()
        for path in there
        if path.is_file() and path.suffix != ".pyc"
    }
    rest = {name for name in set(names) - template if ".dist-info/" not in name}
    pages = {".html", ".css", ".js"}  # of abx_amr/reports/ and abx_amr/app/
    assert {Path(name).suffix for name in rest} == {".py", ".yaml", ".sh", *pages}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whl", "tar.gz"])
def test_an_empty_environment_gets_the_pinned_versions_and_runs_a_study(
    built: Path, tmp_path: Path, kind: str
) -> None:
    (archive,) = built.glob(f"*.{kind}")
    venv, folder = tmp_path / "venv", tmp_path / "elsewhere"
    folder.mkdir()
    run(sys.executable, "-m", "venv", venv, folder=tmp_path)
    pip = [venv / "bin" / "python", "-m", "pip"]
    pinned = ["-c", ROOT / "constraints.txt"]
    run(*pip, "install", "--quiet", *pinned, archive, folder=tmp_path, timeout=1200)
    run(*pip, "check", folder=tmp_path)
    there = Installed(venv, venv / SITE_PACKAGES / "abx_amr" / "conf")
    frozen = there.run("python", "-m", "pip", "freeze", "--all", folder=tmp_path).splitlines()
    versions = dict(line.partition("+")[0].split("==") for line in frozen if "==" in line)
    pinned_versions = pins()
    assert {n for n, v in versions.items() if pinned_versions.get(canonicalize_name(n)) != v} <= {
        "pip",
        "setuptools",
    }
    test_conf_and_both_plugins_are_found_from_another_folder(there, folder)
    test_every_command_is_there_and_the_configuration_is_shown_from_another_folder(there, folder)
    message = there.run("abx-tune", *THE_STUDY, folder=folder, timeout=600)
    assert "train with them:  abx-train best_params_from=ppo_default" in message
    assert (folder / "optimization" / "ppo_default" / "best_params.json").is_file()
    few = (
        *("environment.max_time_steps=32", "training.total_num_training_episodes=25"),
        *("figures=false", "training.seed=1,2"),
    )
    message = there.run(
        "abx-train", "-m", "agent_algorithm=ppo,never", *few, folder=folder, timeout=600
    )
    assert "3 of 3 runs are complete" in message
    message = there.run("abx-gather", folder=folder)
    assert "3 runs, 2 conditions in 1 clinic" in message


#: As the README has it, with no size of a test.
THE_STUDY = (
    "-m",
    "+tuning=ppo_default",
    "tuning.n_trials=1",
    "tuning.n_seeds_per_trial=1",
    "tuning.truncated_episodes=1",
    "tuning.final=false",
)
#: What abx-train --help loads, and the one dependency that is offered as source only.
FEW = ("filelock", "antlr4-python3-runtime")


@pytest.mark.slow
def test_the_wheelhouse_of_the_page_installs_without_an_index(built: Path, tmp_path: Path) -> None:
    """The page's own lines, with two dependencies instead of all."""
    page = (ROOT / "docs/how-to/compute-nodes-without-network.md").read_text(encoding="utf-8")
    collecting, installing = re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL)
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(tmp_path / "login", filter="data")
    (source,) = (tmp_path / "login").iterdir()
    few = tmp_path / "few.txt"
    few.write_text("".join(f"{name}=={pins()[name]}\n" for name in FEW))

    def reduced(lines: str, verb: str) -> str:
        assert lines.count(f"-m pip {verb} ") == 1
        return lines.replace(f"pip {verb} ", f"pip {verb} --no-deps --requirement {few} ")

    bash(reduced(collecting, "wheel"), folder=source)
    wheels = sorted(path.name.partition("-")[0] for path in (source / "wheelhouse").iterdir())
    assert wheels == ["abx_amr", "antlr4_python3_runtime", "filelock"]
    node = tmp_path / "node"
    node.mkdir()
    (source / "wheelhouse.tar").rename(node / "wheelhouse.tar")
    # Whatever pip would ask on a network fails at once.
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"}
    installing = reduced(installing, "install")
    message = bash(installing, folder=node, **nowhere)
    assert "abx-train: train an antibiotic prescriber" in message
    without = node / "without"
    without.mkdir()
    with pytest.raises(AssertionError, match="No matching distribution"):
        bash(installing.partition("\n")[2], folder=without, **nowhere)


def bash(lines: str, *, folder: Path, **environment: str) -> str:
    variables = [f"{name}={value}" for name, value in environment.items()]
    return run("env", *variables, "bash", "-euc", lines, folder=folder, timeout=600)


# --- what is declared ----------------------------------------------------------------------------


def requirements(*extras: str) -> dict[str, Requirement]:
    """Return normalised name -> requirement of pyproject.toml."""
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def pins() -> dict[str, str]:
    """Return normalised name -> version of constraints.txt."""
    found: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups()
        assert canonicalize_name(name) not in found, line
        found[canonicalize_name(name)] = version
    return found


def imported(tree: Path) -> Iterator[tuple[str, Path]]:
    """Yield (top-level module, file) for every import below a folder."""
    for file in tree.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((alias.name.partition(".")[0], file) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                yield str(node.module).partition(".")[0], file


#: Extras whose libraries are imported only where a user asks for them.
ASKED_FOR = ("app", "mlflow", "wandb", "dashboard")


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("abx_amr", ASKED_FOR),
        ("hydra_plugins", ()),
        ("tests", ("dev",)),
        ("benchmarks", ("dev",)),
    ],
)
def test_everything_imported_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    declared = set(requirements(*extras))
    own = {*PACKAGES, "tests", "benchmarks", *sys.stdlib_module_names}
    provided_by = packages_distributions()
    undeclared = {
        f"{module} ({file.relative_to(ROOT)})"
        for module, file in imported(ROOT / folder)
        if module not in own
        and declared.isdisjoint(canonicalize_name(d) for d in provided_by.get(module, ()))
    }
    assert not undeclared


def test_only_the_application_needs_what_its_extra_brings() -> None:
    extra = {"starlette", "uvicorn"}
    users = {
        file.relative_to(ROOT).parts[1]
        for module, file in imported(ROOT / "abx_amr")
        if module in extra and file != ROOT / "abx_amr" / "cli" / "app.py"
    }
    assert users == {"app"}


def test_every_target_of_the_shipped_configuration_is_declared() -> None:
    provided_by = packages_distributions()
    for file in (ROOT / "conf").rglob("*.yaml"):
        for module in re.findall(r"_target_:\s*(\w+)", file.read_text(encoding="utf-8")):
            names = {canonicalize_name(d) for d in provided_by.get(module, ())}
            assert module in PACKAGES or names & set(requirements()), f"{module} ({file.name})"


def test_the_constraints_pin_every_dependency_within_its_range() -> None:
    pinned = pins()
    for name, requirement in requirements("dev").items():
        assert name in pinned, name
        assert requirement.specifier.contains(pinned[name]), requirement


def test_the_constraints_pin_what_the_dependencies_need_and_nothing_else() -> None:
    # What torch's builds for a GPU bring along differs from build to build.
    needed = {n for n in everything_needed() if not n.startswith(("nvidia-", "cuda-", "triton"))}
    assert set(pins()) == needed


def everything_needed() -> set[str]:
    """Return the names of all that `pip install .[dev]` brings, by what is installed here."""
    found: set[tuple[str, str]] = set()
    open_requirements = list(requirements("dev").values())
    while open_requirements:
        requirement = open_requirements.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in found:
                continue
            found.add((name, extra))
            try:
                lines = distribution(name).requires or []
            except PackageNotFoundError:
                continue
            needs = map(Requirement, lines)
            open_requirements += [
                r for r in needs if r.marker is None or r.marker.evaluate({"extra": extra})
            ]
    return {name for name, _ in found}


def test_the_second_environment_installs_what_the_sweeper_extra_asks_for() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(r"^HYDRA14 := (.+)$", makefile, flags=re.MULTILINE)
    versions = dict(pin.split("==") for pin in line.split())
    needed = requirements("optuna-sweeper")
    assert set(versions) == {"hydra-core", "omegaconf", "hydra-optuna-sweeper"}
    for name, version in versions.items():
        assert needed[name].specifier.contains(version, prereleases=True), name
    assert requirements()["hydra-core"].specifier.contains(versions["hydra-core"], prereleases=True)
