"""What every page needs: the project, its jobs, its listing, and the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from abx_amr.app.jobs import Job, Jobs
from abx_amr.app.listing import Entry, Listing
from abx_amr.app.templating import page
from abx_amr.app.workers import Worker
from abx_amr.app.workplace import Workplace


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The application's own things.

    Attributes:
        workplace: The project.
        base_path: What stands before every path.
        clinic: Computes clinics and composes configurations.
        reports: Makes report pages.
        pages: Report pages that were made, by what they were made of.
    """

    workplace: Workplace
    base_path: str = ""
    clinic: Worker = field(default_factory=Worker)
    reports: Worker = field(default_factory=Worker)
    jobs: Jobs = field(init=False)
    listing: Listing = field(init=False)
    pages: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "jobs", Jobs(self.workplace))
        object.__setattr__(self, "listing", Listing(self.workplace))

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page of the application."""
        html = page(template, base=self.base_path, project=self.workplace.root.name, **values)
        return HTMLResponse(html, status)

    def part(self, template: str, **values: Any) -> str:
        """Return a part of a page."""
        return page(template, base=self.base_path, **values)

    def go(self, path: str) -> RedirectResponse:
        """Return the answer that leads to another page."""
        return RedirectResponse(f"{self.base_path}{path}", 303)

    def made_by(self, job: Job) -> list[Entry]:
        """Return what a command has made so far, the newest first."""
        words = set(job.words)
        return [
            entry
            for entry in self.listing.entries()
            if words
            and (entry.moment >= job.started or entry.kind == "study")
            and words <= set(_split(entry.command))
        ]

    def job_of(self, entry: Entry) -> Job | None:
        """Return the command, started here, that has made an entry."""
        words = set(_split(entry.command))
        for job in self.jobs.all():
            if job.words and set(job.words) <= words and job.started <= entry.moment:
                return job
        return None


def desk_of(request: Request) -> Desk:
    """Return the desk of a request's application."""
    return cast(Desk, request.app.state.desk)


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form that was sent, of each name the last."""
    from urllib.parse import parse_qsl

    body = await _limited(request)
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(pairs)


_LARGEST_FORM = 256 * 1024


async def _limited(request: Request) -> bytes:
    from abx_amr.errors import InputError

    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            raise InputError("this form is larger than any of this application")
    return body


def _split(command: str) -> list[str]:
    import shlex

    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def plain(form: Mapping[str, str], *leave_out: str) -> dict[str, str]:
    """Return the fields that say something."""
    return {key: value for key, value in form.items() if value.strip() and key not in leave_out}
