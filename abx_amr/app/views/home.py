"""The first page: what runs, what came of it, what to do next."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from abx_amr.app.desk import desk_of

_LATEST = 6


def show(request: Request) -> Response:
    """Return the first page."""
    desk = desk_of(request)
    jobs = [(job, job.state()) for job in desk.jobs.all()[:50]]
    entries = desk.listing.entries()
    return desk.page(
        "home.html",
        title="Overview",
        place="home",
        running=[(job, state) for job, state in jobs if state == "runs"],
        elsewhere=[entry for entry in entries if entry.state == "runs"][:_LATEST],
        latest=entries[:_LATEST],
        count=len(entries),
    )
