"""What there is: the list, report pages, one beside the other, to look at and to send."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from abx_amr.app.desk import Desk, desk_of, form_of
from abx_amr.app.listing import Entry
from abx_amr.app.live import Memory, standing_of, streamed
from abx_amr.app.watching import curve_of, progress_of, study_curve
from abx_amr.app.workplace import RESULTS, STUDIES
from abx_amr.errors import InputError, counted

KINDS = ("run", "evaluation", "study", "plan", "set")
_SHOWN = 200
_MOST_COMPARED = 60
#: A report is made from files that anybody may have written: it runs apart from the application.
_SANDBOX = "sandbox allow-scripts allow-downloads allow-popups; frame-ancestors 'self'"


def show_all(request: Request) -> Response:
    """Return the list, with what a filter leaves of it."""
    desk, asked = desk_of(request), request.query_params
    words, kind = asked.get("q", ""), asked.get("kind", "")
    entries = desk.listing.entries()
    found = [e for e in entries if e.fits(words) and (not kind or e.kind == kind)]
    return desk.page(
        "results.html",
        title="Results",
        place="results",
        entries=found[:_SHOWN],
        found=len(found),
        count=len(entries),
        words=words,
        kind=kind,
        kinds=[k for k in KINDS if any(e.kind == k for e in entries)],
    )


async def show(request: Request) -> Response:
    """Return the page about one folder: its report in a frame, and what to do with it."""
    desk = desk_of(request)
    path, entry = _asked(request)
    parts = {} if entry.state == "complete" else await _parts(desk, path, entry, {})
    job = await run_in_threadpool(desk.job_of, entry)
    return desk.page(
        "result.html",
        title=entry.name,
        place="results",
        entry=entry,
        job=job,
        parts=parts,
        can_resume=_can_resume(entry, path),
    )


async def events(request: Request) -> Response:
    """Return what changes of a folder that somebody writes, whoever that is."""
    desk = desk_of(request)
    path, _ = _asked(request)

    async def look(memory: Memory) -> tuple[dict[str, str], bool]:
        entry = await run_in_threadpool(desk.listing.entry, path)
        return await _parts(desk, path, entry, memory), entry.state == "runs"

    return StreamingResponse(streamed(look), media_type="text/event-stream")


async def _parts(desk: Desk, path: Path, entry: Entry, memory: Memory) -> dict[str, str]:
    """Return the parts of an unfinished folder's page that change, by their ids."""
    is_at_work = entry.state == "runs"
    standing = progress = None
    if entry.kind == "study":
        standing = await standing_of(desk, path, memory, is_at_work=is_at_work)
        curve = study_curve(standing)
    else:
        curve = await run_in_threadpool(curve_of, desk.workplace.root, [entry])
        began = "" if "resume_from=" in entry.command else entry.moment
        progress = await run_in_threadpool(progress_of, desk.workplace.root, [entry], began=began)
    kind = "tune" if entry.kind == "study" else "train"
    state = entry.state
    return {
        "state": desk.part("result_state.html", entry=entry),
        "curve": desk.part(
            "job_curve.html", curve=curve, state=state, kind=kind, progress=progress
        ),
        "trials": desk.part("job_trials.html", standing=standing),
    }


async def report(request: Request) -> Response:
    """Return the report page of a folder, made from its files; ?download=1 to keep it."""
    desk = desk_of(request)
    path, entry = _asked(request)
    place = desk.workplace
    key = f"{entry.at} {_stamp(path)}"
    html = await _page(desk, key, page_html, path, place.results, place.studies)
    return _sandboxed(html, request, entry.name)


async def resume(request: Request) -> Response:
    """Go on with a run that was stopped."""
    desk = desk_of(request)
    form = await form_of(request)
    path = desk.workplace.inside(form.get("at", ""))
    entry = desk.listing.entry(path)
    if not _can_resume(entry, path):
        raise InputError(f"{entry.name} has nothing to go on from")
    words = ["abx-train", f"resume_from={entry.at}"]
    job = await run_in_threadpool(desk.jobs.start, words)
    return desk.go(f"/jobs/{job.name}")


async def compare(request: Request) -> Response:
    """Return what was chosen: runs as one comparison, or each in a frame beside the other."""
    desk = desk_of(request)
    entries = _chosen(request)
    kind = entries[0].kind if entries[0].kind in ("run", "evaluation") else None
    runs = [e for e in entries if e.kind == kind and e.state == "complete"]
    return desk.page(
        "compare.html",
        title="Compare",
        place="results",
        entries=entries,
        runs=runs if len(runs) == len(entries) > 1 else [],
        beside=request.query_params.get("beside") == "1" or len(runs) < len(entries),
    )


async def compared(request: Request) -> Response:
    """Return the comparison of runs as one report page."""
    desk = desk_of(request)
    entries = _chosen(request)
    if len(entries) < 2:
        raise InputError("choose at least two runs to compare")
    paths = [desk.workplace.root / entry.at for entry in entries]
    key = " ".join(f"{path} {_stamp(path)}" for path in sorted(paths))
    html = await _page(desk, key, set_html, desk.workplace.results, paths)
    return _sandboxed(html, request, "compared")


def page_html(path: Path, results: Path = Path(RESULTS), studies: Path = Path(STUDIES)) -> str:
    """Return the report page of a folder; runs in a worker."""
    from abx_amr.reports.finding import Places, in_folder
    from abx_amr.reports.page import page_of

    places = Places(results_dir=results, optimization_dir=studies)
    return page_of(in_folder(path, places)).html()


def set_html(folder: Path, paths: Sequence[Path]) -> str:
    """Return the report page of several runs; runs in a worker."""
    from abx_amr.reports.gathering import gathered
    from abx_amr.reports.page import page_of

    name = counted(len(paths), "run")
    return page_of(gathered(folder, paths, name=f"{name} compared")).html()


_MOST_KEPT = 12


async def _page(desk: Desk, key: str, make: Any, *arguments: Any) -> str:
    """Return a page, made once for each state of its files."""
    if key not in desk.pages:
        html = str(await asyncio.shield(desk.reports(make, *arguments)))
        while len(desk.pages) >= _MOST_KEPT:
            desk.pages.pop(next(iter(desk.pages)))
        desk.pages[key] = html
    return desk.pages[key]


def _sandboxed(html: str, request: Request, name: str) -> Response:
    headers = {"content-security-policy": _SANDBOX}
    if request.query_params.get("download"):
        file = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._") or "report"
        headers["content-disposition"] = f'attachment; filename="{file}.html"'
    return HTMLResponse(html, headers=headers)


def _asked(request: Request) -> tuple[Path, Entry]:
    desk = desk_of(request)
    path = desk.workplace.inside(request.query_params.get("at", ""))
    return path, desk.listing.entry(path)


def _chosen(request: Request) -> list[Entry]:
    desk = desk_of(request)
    names = list(dict.fromkeys(request.query_params.getlist("at")))
    if not names:
        raise InputError("nothing was chosen: tick what is to be compared in the list of results")
    if len(names) > _MOST_COMPARED:
        raise InputError(f"{len(names)} are too many to compare here: abx-gather takes them all")
    return [desk.listing.entry(desk.workplace.inside(name)) for name in names]


def _can_resume(entry: Entry, path: Path) -> bool:
    return (
        entry.kind == "run"
        and entry.state != "complete"
        and (path / "checkpoints" / "last.zip").is_file()
    )


def _stamp(path: Path) -> str:
    names = ("summary.json", "evaluations.csv", "study_summary.json", "plan.json", "conditions.csv")
    stamps = []
    for name in (*names, "optuna_study.db", "optuna_journal.log"):
        try:
            stamps.append(str((path / name).stat().st_mtime_ns))
        except OSError:
            stamps.append("0")
    return ".".join(stamps)
