"""A worker knows its SLURM job and when that ends, from SLURM's own words."""

import time

import pytest

from abx_amr.host.slurm_job import TimeLimit, slurm_job


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Return a maker of a squeue that says something and counts how often it was asked."""
    for name in ("SLURM_JOB_END_TIME", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def make(text, status=0):
        script = tmp_path / "squeue"
        script.write_text(
            f'#!/bin/sh\necho "$@" "$SLURM_TIME_FORMAT" >> {tmp_path}/asked\n'
            f"echo {text}\nexit {status}\n"
        )
        script.chmod(0o755)
        return tmp_path / "asked"

    return make


def test_the_queue_is_asked_once_for_a_while(slurm):
    asked = slurm(int(time.time()) + 100)
    limit = TimeLimit()
    assert limit.remaining_seconds() == pytest.approx(100, abs=5)
    assert limit.remaining_seconds() == pytest.approx(100, abs=5)
    assert asked.read_text().splitlines() == ["--noheader --format=%e --job 17 %s"]


def test_newer_versions_say_it_in_the_environment(slurm, monkeypatch):
    slurm("must not be asked", status=1)
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 50))
    assert TimeLimit().remaining_seconds() == pytest.approx(50, abs=5)


@pytest.mark.parametrize(("text", "status"), [("N/A", 0), ("", 0), ("down", 1)])
def test_an_unknown_limit_is_none(slurm, text, status):
    slurm(text, status)
    assert TimeLimit().remaining_seconds() is None


def test_outside_of_slurm_nothing_limits(slurm, monkeypatch):
    slurm(1)
    monkeypatch.delenv("SLURM_JOB_ID")
    assert TimeLimit().remaining_seconds() is None
    assert slurm_job() is None


def test_a_task_is_named_as_squeue_names_it(slurm, monkeypatch):
    assert slurm_job() == "17"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "16")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert slurm_job() == "16_1"
