"""What was started here: its list, and how one command stands, live."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from abx_amr.app.desk import Desk, desk_of, form_of
from abx_amr.app.jobs import Job
from abx_amr.app.listing import kind_of
from abx_amr.app.watching import curve_of, event, share_done, study_curve, study_standing
from abx_amr.errors import InputError

_LOOK_SECONDS = 1.0
#: A look at a study's storage may take from its workers: the pause is so many times as long.
_LOOK_SHARE, _STUDY_SECONDS = 5.0, 3.0
_MOST = 100


def show_all(request: Request) -> Response:
    """Return the list of what was started here."""
    desk = desk_of(request)
    jobs = [(job, job.state()) for job in desk.jobs.all()[:_MOST]]
    return desk.page("jobs.html", title="Activity", place="jobs", jobs=jobs)


async def show(request: Request) -> Response:
    """Return the page of one command."""
    desk, job = desk_of(request), _job(request)
    parts = await _parts(desk, job, {})
    return desk.page(
        "job.html",
        title=_title(job),
        place="jobs",
        job=job,
        parts=parts,
        state=job.state(),
    )


async def events(request: Request) -> Response:
    """Return what changes on the page of a command, for as long as it runs and is looked at."""
    desk, job = desk_of(request), _job(request)
    return StreamingResponse(_stream(desk, job), media_type="text/event-stream")


def log(request: Request) -> Response:
    """Return what a command has printed."""
    return PlainTextResponse(_job(request).log())


async def stop(request: Request) -> Response:
    """Interrupt a command, as Ctrl-C does; at the second time end it."""
    job = _job(request)
    form = await form_of(request)
    job.stop(signal.SIGKILL if form.get("how") == "kill" else signal.SIGINT)
    return desk_of(request).go(f"/jobs/{job.name}")


async def again(request: Request) -> Response:
    """Start a command once more: a study goes on, a run is trained anew."""
    desk, job = desk_of(request), _job(request)
    started = await run_in_threadpool(desk.jobs.start, job.words, job.asked.get("form") or {})
    return desk.go(f"/jobs/{started.name}")


def _job(request: Request) -> Job:
    return desk_of(request).jobs.named(str(request.path_params["name"]))


async def _stream(desk: Desk, job: Job) -> AsyncIterator[str]:
    shown: dict[str, str] = {}
    memory: dict[str, Any] = {}
    while True:
        began = time.monotonic()
        try:
            state = job.state()
            parts = await _parts(desk, job, memory)
        except InputError as error:
            parts, state = {"state": str(error)}, "lost"
        for name, html in parts.items():
            if shown.get(name) != html:
                shown[name] = html
                yield event("part", {"id": name, "html": html})
        if state != "runs":
            yield event("end", {})
            return
        yield ": alive\n\n"
        await asyncio.sleep(max(_LOOK_SECONDS, time.monotonic() - began))


async def _parts(desk: Desk, job: Job, memory: dict[str, Any]) -> dict[str, str]:
    """Return the parts of a command's page that change, by their ids."""
    state = job.state()
    entries = await run_in_threadpool(desk.made_by, job)
    runs = [entry for entry in entries if entry.kind in ("run", "evaluation")]
    study = next((desk.workplace.root / e.at for e in entries if e.kind == "study"), None)
    if study is None and job.kind == "tune" and job.run_name:
        there = desk.workplace.studies / job.run_name
        study = there if kind_of(there) == "study" else None
    standing = None if study is None else await _standing(desk, study, state, memory)
    curve = study_curve(standing) if standing else curve_of(desk.workplace.root, runs)
    progress = None
    if study is None and state == "runs":
        progress = await run_in_threadpool(share_done, desk.workplace.root, runs)
    made = entries or ([] if study is None else [desk.listing.entry(study)])
    return {
        "state": desk.part("job_state.html", job=job, state=state),
        "curve": desk.part(
            "job_curve.html", curve=curve, state=state, kind=job.kind, progress=progress
        ),
        "trials": desk.part("job_trials.html", standing=standing),
        "made": desk.part("job_made.html", job=job, state=state, made=made),
        "log": desk.part("job_log.html", log=job.log()),
    }


async def _standing(
    desk: Desk, study: Path, state: str, memory: dict[str, Any]
) -> dict[str, Any] | None:
    now = time.monotonic()
    if "standing" in memory and now < memory["next"] and state == "runs":
        found: dict[str, Any] = memory["standing"]
        return found
    began = time.monotonic()
    found = await desk.reports(study_standing, study)
    took = time.monotonic() - began
    memory["standing"] = found
    memory["next"] = time.monotonic() + max(_STUDY_SECONDS, _LOOK_SHARE * took)
    return found


def _title(job: Job) -> str:
    """Return what a command is about, in few words."""
    said = dict(word.lstrip("+").partition("=")[::2] for word in job.words[1:])
    keys = ("agent_algorithm", "tuning", "run", "resume_from", "experiment")
    about = ", ".join(Path(said[key]).name for key in keys if said.get(key))
    name = job.run_name or about
    return f"{job.kind}: {name}" if name else job.kind
