import json
import subprocess

from abx_amr.host.versions import DECIDE_RESULTS
from abx_amr.runs.provenance import provenance
from tests.runs.conftest import NOON


def test_provenance_says_versions_seeds_command_and_commit(tmp_path, folder):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    commit = ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", "m"]
    subprocess.run(["git", "-C", tmp_path, *commit], check=True)
    facts = provenance(
        seeds={"training": 42}, command=["abx-train", "a b"], started=NOON, folder=tmp_path
    )
    folder.write_provenance(facts)
    read = folder.read_provenance()
    assert read == json.loads(json.dumps(facts))
    assert read["command"] == "abx-train 'a b'"
    assert read["seeds"] == {"training": 42}
    assert read["started"].startswith("2026-11-23T12:00:00")
    assert set(read["versions"]) == {"python", *DECIDE_RESULTS}
    assert all(read["versions"][name] for name in ("python", "numpy", "torch", "optuna"))
    assert len(read["git"]["commit"]) == 40 and read["git"]["has_local_changes"] is False


def test_a_folder_without_git_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance(seeds={}, folder=tmp_path)["git"] is None
