"""What was started here: its list, and how one command stands, live."""

from __future__ import annotations

import signal
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from abx_amr.app.desk import Desk, desk_of, form_of
from abx_amr.app.jobs import Job
from abx_amr.app.listing import kind_of
from abx_amr.app.live import Memory, standing_of, streamed
from abx_amr.app.watching import curve_of, progress_of, study_curve

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

    async def look(memory: Memory) -> tuple[dict[str, str], bool]:
        goes_on = job.state() == "runs"
        return await _parts(desk, job, memory), goes_on

    return StreamingResponse(streamed(look), media_type="text/event-stream")


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


async def _parts(desk: Desk, job: Job, memory: Memory) -> dict[str, str]:
    """Return the parts of a command's page that change, by their ids."""
    state = job.state()
    entries = await run_in_threadpool(desk.made_by, job)
    runs = [entry for entry in entries if entry.kind in ("run", "evaluation")]
    study = next((desk.workplace.root / e.at for e in entries if e.kind == "study"), None)
    if study is None and job.kind == "tune" and job.run_name:
        there = desk.workplace.studies / job.run_name
        study = there if kind_of(there) == "study" else None
    standing = None
    if study is not None:
        standing = await standing_of(desk, study, memory, is_at_work=state == "runs")
    curve = study_curve(standing) if standing else curve_of(desk.workplace.root, runs)
    progress = None
    if study is None and state == "runs":
        is_resumed = any(word.startswith("resume_from=") for word in job.words)
        began = "" if is_resumed else job.started
        progress = await run_in_threadpool(progress_of, desk.workplace.root, runs, began=began)
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


def _title(job: Job) -> str:
    """Return what a command is about, in few words."""
    said = dict(word.lstrip("+").partition("=")[::2] for word in job.words[1:])
    keys = ("agent_algorithm", "tuning", "run", "resume_from", "experiment")
    about = ", ".join(Path(said[key]).name for key in keys if said.get(key))
    name = job.run_name or about
    return f"{job.kind}: {name}" if name else job.kind
