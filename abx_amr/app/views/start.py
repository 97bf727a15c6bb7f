"""The forms that start a command, and the command that each would start."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from abx_amr.app.desk import Desk, desk_of, form_of, plain
from abx_amr.app.forms.asking import asked, mistake
from abx_amr.app.forms.command import FIRST, blamed, words_of
from abx_amr.app.jobs import Job
from abx_amr.app.workers import SupersededError
from abx_amr.errors import InputError, first_line

#: How long a start waits for a refusal, in seconds: longer than composing takes.
WAIT_SECONDS, _LOOK_SECONDS = 15.0, 0.1
TITLES = {
    "train": "Train an agent",
    "tune": "Search hyper-parameters",
    "evaluate": "Evaluate",
    "plan": "How good is possible",
}


async def show(request: Request) -> Response:
    """Return the form of a command, filled in with what the address says."""
    command = _command(request)
    return await _page(desk_of(request), command, dict(request.query_params))


async def check(request: Request) -> Response:
    """Return the command of a form, and what composing it complains of."""
    desk, command, form = desk_of(request), _command(request), await form_of(request)
    tab = form.pop("tab", "")[:40]
    try:
        words = words_of(command, form)
        error = await desk.clinic.newest(f"start {tab}", mistake, command, words)
    except InputError as problem:
        error, words = first_line(problem), []
    except SupersededError:
        return JSONResponse({"superseded": True})
    keys = [*FIRST[command], *form]
    field = None if error is None else blamed(error, keys)
    return JSONResponse({"command": shlex.join(words), "error": error, "field": field})


async def begin(request: Request) -> Response:
    """Start the command of a form; show it, or the form with what it was refused for."""
    desk, command, form = desk_of(request), _command(request), await form_of(request)
    form.pop("tab", None)
    try:
        words = words_of(command, form)
        job = await run_in_threadpool(desk.jobs.start, words, plain(form))
    except InputError as problem:
        return await _page(desk, command, form, error=first_line(problem), status=422)
    if await _is_refused(desk, job):
        error = job.error() or "the command was refused: see its log below"
        return await _page(desk, command, form, error=error, status=422)
    return desk.go(f"/jobs/{job.name}")


async def _is_refused(desk: Desk, job: Job) -> bool:
    """Return whether a command was refused, once it has begun to work or some time has passed."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        state = job.state()
        if state != "runs":
            return state == "refused"
        if _works(job.log()):
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return False


def _works(log: str) -> bool:
    """Return whether what a command has said is said at work."""
    return any(sign in log for sign in ("training for", "study ", "trainings:", "policy  "))


async def _page(
    desk: Desk,
    command: str,
    form: Mapping[str, str],
    *,
    error: str | None = None,
    status: int = 200,
) -> Response:
    groups = ("experiment", "agent_algorithm", "tuning")
    found = await desk.clinic(asked, command, {g: form[g] for g in groups if form.get(g)})
    keys = [*FIRST[command], *found.keys, "more"]
    runs = [
        entry
        for entry in desk.listing.entries()
        if entry.kind == "run" and entry.state == "complete"
    ][:200]
    error = error or found.problem
    return desk.page(
        "start.html",
        status,
        title=TITLES[command],
        place="start",
        command=command,
        titles=TITLES,
        form=form,
        asked=found,
        runs=runs,
        error=error,
        field=None if error is None else blamed(error, keys),
        words=_line(command, form),
        others={k: v for k, v in form.items() if v and k not in keys},
    )


def _line(command: str, form: Mapping[str, str]) -> str:
    try:
        return shlex.join(words_of(command, form))
    except InputError:
        return f"abx-{command}"


def _command(request: Request) -> str:
    command = str(request.path_params["command"])
    if command not in TITLES:
        raise HTTPException(404)
    return command
