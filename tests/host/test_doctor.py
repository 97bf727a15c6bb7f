"""What `abx doctor` finds: here, and in surroundings where something is wrong."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from abx_amr.cli import abx
from abx_amr.host import doctor
from abx_amr.host.doctor import Finding
from tests.cli.conftest import call  # noqa: F401  (a fixture)
from tests.services import Database


def only(findings: Iterator[Finding], state: str) -> list[Finding]:
    return [f for f in findings if f.state == state]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a program of this name and script first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, script: str) -> None:
        file = folder / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return make


def test_this_installation_has_nothing_that_fails(
    call,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PG_HOST", "PG_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PG_PASSWORD", "secret-word")
    ended = call(abx.main, "doctor")
    assert ended.status == 0, ended.out
    assert "\nfail" not in ended.out
    pasted = ended.out.partition("--- paste from here")[2]
    assert "abx-amr" in pasted
    assert f"torch {version('torch')}" in pasted
    assert "secret-word" not in ended.out
    assert str(Path.home()) not in pasted or str(Path.home()) == "/"


def test_doctor_ends_with_status_1_where_something_fails(
    call,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PG_PORT", "many")
    ended = call(abx.main, "doctor")
    assert ended.status == 1
    assert "fail  database  PG_PORT must be a whole number, not 'many'" in ended.out


def test_a_missing_and_an_old_package_are_named_with_the_command_that_mends_them() -> None:
    found = list(doctor.packages(["no-such-package>=2", "numpy>=1000", "pyyaml>=6"]))
    assert [(f.state, f.message.split(" is ")[0]) for f in found[:2]] == [
        ("fail", "no-such-package"),
        ("fail", f"numpy {doctor.version_of('numpy')}"),
    ]
    assert found[0].cure == "pip install 'no-such-package>=2'"
    assert "1 of 3" in found[2].message


def test_packages_of_an_extra_are_not_required() -> None:
    assert only(doctor.packages(["no-such-package; extra == 'dev'"]), "fail") == []


def test_an_old_python_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.9.1")
    (finding,) = doctor.python()
    assert (finding.state, "3.9.1" in finding.message) == ("fail", True)


def test_a_torch_that_cannot_be_imported_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (finding,) = doctor.torch_build()
    assert (finding.state, finding.cure) == ("fail", "pip install --force-reinstall torch")


def test_a_driver_without_a_gpu_is_told(
    monkeypatch: pytest.MonkeyPatch, program: Callable[[str, str], None]
) -> None:
    program("nvidia-smi", "exit 0")
    monkeypatch.setattr(torch.version, "cuda", "12.4")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [f.about for f in only(doctor.torch_build(), "warn")] == ["gpu"]


def test_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
    assert any("Some GPU" in f.message for f in doctor.torch_build())


def test_more_threads_than_a_container_may_use_are_told() -> None:
    (finding,) = doctor.cores(environment={}, quota=0.5)
    assert (finding.state, finding.cure) == ("warn", "export OMP_NUM_THREADS=1")
    (finding,) = doctor.cores(environment={}, quota=10_000)
    assert finding.state == "ok"


def test_slurms_share_of_the_cores_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    (finding,) = doctor.cores()
    assert "1 used" in finding.message
    assert "given by SLURM" in finding.message


def test_the_quota_of_a_container_is_read_in_both_versions_of_cgroups(tmp_path: Path) -> None:
    assert doctor.cgroup_quota(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("150000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert doctor.cgroup_quota(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("400000 100000\n")
    assert doctor.cgroup_quota(tmp_path) == 4.0
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert doctor.cgroup_quota(tmp_path) is None


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file/below"))
    (finding,) = doctor.numba_cache()
    assert (finding.state, "NUMBA_CACHE_DIR" in finding.cure) == ("warn", True)


def test_a_file_in_the_place_of_results_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").write_text("")
    assert [f.message for f in only(doctor.folders(), "fail")] == ["results: results is a file"]


def test_a_read_only_folder_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def no(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", no)
    text = [f.message for f in only(doctor.folders(), "fail")]
    assert "working folder: Read-only file system" in text


def test_little_room_and_a_network_disk_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "LITTLE_ROOM_BYTES", 10**18)
    monkeypatch.setattr(doctor, "network_file_system", lambda _: "nfs4")
    warnings = only(doctor.folders(), "warn")
    assert any("MB are free" in f.message for f in warnings)
    assert any("nfs4" in f.message and "storage=journal" in f.cure for f in warnings)


def test_a_server_that_does_not_answer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_HOST", "127.0.0.1")
    monkeypatch.setenv("PG_PORT", "1")
    (finding,) = only(doctor.database(), "fail")
    assert "abx-postgres up" in finding.cure


def test_a_server_that_answers_is_well(postgres: Database) -> None:
    assert only(doctor.database(), "fail") == []
    assert any("answers" in f.message for f in doctor.database())


def test_a_controller_that_is_silent_is_told(program: Callable[[str, str], None]) -> None:
    program("sbatch", "echo slurm 23.11")
    program("sinfo", "exit 1")
    (finding,) = doctor.slurm()
    assert finding.state == "warn"


def test_the_default_partition_is_named(program: Callable[[str, str], None]) -> None:
    program("sbatch", "echo slurm 23.11")
    program("sinfo", "echo long; echo 'short*'")
    (finding,) = doctor.slurm()
    assert (finding.state, finding.message) == ("ok", "slurm 23.11, default partition short")
    program("sinfo", "echo long")
    (finding,) = doctor.slurm()
    assert (finding.state, "partition=NAME" in finding.cure) == ("warn", True)


def test_no_slurm_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (finding,) = doctor.slurm()
    assert finding.state == "ok"


def test_a_missing_plugin_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PLUGINS", {"hydra_plugins.none": ("nothing", "no-package")})
    (finding,) = doctor.hydra_plugins()
    assert (finding.state, finding.cure.split()[-1]) == ("fail", "no-package")


def test_a_project_is_found_from_a_folder_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (none,) = doctor.project()
    assert "abx-init DIR" in none.message
    (tmp_path / "abx-project.yaml").write_text("")
    (tmp_path / "conf/experiment").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "conf")
    (found,) = doctor.project()
    assert found.message == "found, with files in experiment"


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: 1 / 0)
    assert next(doctor.examine()).state == "fail"


def test_a_report_names_no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("USER", "someone")
    finding = Finding(about="x", state="fail", message="/home/someone/a refused (user someone)")
    assert "someone" not in doctor.report([finding])
