"""The forms that start a command, and the command that each would start."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import Mapping
from datetime import datetime

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from abx_amr.app.clinic.files import saved_clinics
from abx_amr.app.desk import Desk, desk_of, form_of, plain
from abx_amr.app.forms.asking import asked
from abx_amr.app.forms.checking import Looked, looked_at
from abx_amr.app.forms.command import FIRST, MORE, blamed, words_of
from abx_amr.app.jobs import Job
from abx_amr.app.workers import SupersededError
from abx_amr.errors import InputError, first_line
from abx_amr.host.locations import packaged

#: How long a start waits for a refusal, in seconds: longer than composing takes.
WAIT_SECONDS, _LOOK_SECONDS = 15.0, 0.1
TITLES = {
    "train": "Train an agent",
    "tune": "Search hyper-parameters",
    "evaluate": "Evaluate",
    "plan": "How good is possible",
}


#: Episodes of each evaluation: enough for an interval that says something.
EVALUATED = "100"
_OF_A_RUN = ("experiment", "agent_algorithm")
#: Keys that stand before the folded sections.
PROMINENT = {
    "train": ("training.total_num_training_episodes", "training.num_eval_episodes"),
    "tune": ("tuning.n_trials", "tuning.n_seeds_per_trial", "tuning.truncated_episodes"),
}
#: What is searched unless somebody chooses: it is trained in seconds.
FIRST_SEARCH = "policy_search_default"
_WHY_FIRST = (
    "What learns quickest is chosen to begin with, so that a whole search takes minutes; "
    "the others search what SB3 and the hierarchical agents offer."
)


async def show(request: Request) -> Response:
    """Return the form of a command, filled in with what the address says."""
    desk, command = desk_of(request), _command(request)
    form = dict(request.query_params)
    return await _page(desk, command, {**begun_with(desk, command, form), **form})


def begun_with(desk: Desk, command: str, form: Mapping[str, str]) -> dict[str, str]:
    """Return what a form begins with where its address does not say it."""
    goes_on = any(form.get(key) for key in ("run", "best_params_from", "resume_from"))
    begun = {}
    if not goes_on and (clinic := last_clinic(desk)):
        begun["experiment"] = clinic
    if command == "train":
        begun["training.num_eval_episodes"] = EVALUATED
    if command == "tune":
        begun["tuning"] = FIRST_SEARCH
    return begun


def last_clinic(desk: Desk) -> str | None:
    """Return the clinic that was saved or used here last, None where there is none."""
    found = [(moment, name) for name, moment in saved_clinics(desk.workplace)]
    there = {name for _, name in found}
    for job in desk.jobs.all():
        said = dict(word.partition("=")[::2] for word in job.words)
        name = said.get("experiment")
        if name in there or (name and (packaged("conf") / "experiment" / f"{name}.yaml").is_file()):
            with contextlib.suppress(ValueError):
                found.append((datetime.fromisoformat(job.started).timestamp(), name))
            break
    return max(found)[1] if found else None


async def check(request: Request) -> Response:
    """Return the command of a form, and what is wrong with it."""
    desk, command, form = desk_of(request), _command(request), await form_of(request)
    tab = form.pop("tab", "")[:40]
    try:
        words = words_of(command, form)
        found = await desk.clinic.newest(f"start {tab}", looked_at, command, words, form)
    except InputError as problem:
        words, found = [], _refused(problem, command, form)
    except SupersededError:
        return JSONResponse({"superseded": True})
    told = {"error": found.error, "mistakes": found.mistakes, "budget": found.budget}
    return JSONResponse({"command": shlex.join(words), **told})


async def begin(request: Request) -> Response:
    """Start the command of a form; show it, or the form with what it was refused for."""
    desk, command, form = desk_of(request), _command(request), await form_of(request)
    form.pop("tab", None)
    try:
        words = words_of(command, form)
        found = await desk.clinic(looked_at, command, words, form)
        if found.mistakes:
            return await _page(desk, command, form, found=found, status=422)
        job = await run_in_threadpool(desk.jobs.start, words, plain(form))
    except InputError as problem:
        found = _refused(problem, command, form)
        return await _page(desk, command, form, found=found, status=422)
    if await _is_refused(desk, job):
        error = job.error() or "the command was refused: see its log below"
        found = _refused(InputError(error), command, form)
        return await _page(desk, command, form, found=found, status=422)
    return desk.go(f"/jobs/{job.name}")


def _refused(problem: InputError, command: str, form: Mapping[str, str]) -> Looked:
    """Return an error as what a look at a form has found."""
    error = first_line(problem)
    key = blamed(error, [*FIRST[command], *form])
    return Looked(mistakes={} if key is None else {key: error}, error=error)


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
    form: dict[str, str],
    *,
    found: Looked | None = None,
    status: int = 200,
) -> Response:
    if command == "evaluate" and form.get("run"):  # which brings its own
        form = {key: value for key, value in form.items() if key not in _OF_A_RUN}
    groups = ("experiment", "agent_algorithm", "tuning")
    asks = await desk.clinic(asked, command, {g: form[g] for g in groups if form.get(g)})
    words = _words(command, form)
    if found is None:
        found = await desk.clinic(looked_at, command, words, form)
    keys = [*FIRST[command], *asks.keys, MORE]
    runs = [
        entry
        for entry in desk.listing.entries()
        if entry.kind == "run" and entry.state == "complete"
    ][:200]
    error = found.error or asks.problem
    wrong = {key: line for key, line in found.mistakes.items() if key in keys}
    if error and not wrong and (key := blamed(error, keys)) is not None:
        wrong = {key: error}
    return desk.page(
        "start.html",
        status,
        title=TITLES[command],
        place="start",
        command=command,
        titles=TITLES,
        form=form,
        asked=asks,
        prominent=PROMINENT.get(command, ()),
        why_first=_WHY_FIRST if command == "tune" else "",
        runs=runs,
        error=None if wrong else error,
        wrong=wrong,
        budget=found.budget,
        words=shlex.join(words),
        others={k: v for k, v in form.items() if v and k not in keys},
    )


def _words(command: str, form: Mapping[str, str]) -> list[str]:
    try:
        return words_of(command, form)
    except InputError:
        return [f"abx-{command}"]


def _command(request: Request) -> str:
    command = str(request.path_params["command"])
    if command not in TITLES:
        raise HTTPException(404)
    return command
