"""The application: addresses -> what answers them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from abx_amr.app.access import Access, Guard
from abx_amr.app.clinic.draft import Draft
from abx_amr.app.clinic.trying import try_fixed
from abx_amr.app.desk import Desk, desk_of
from abx_amr.app.templating import ASSETS
from abx_amr.app.views import clinic, home, jobs, results, start
from abx_amr.errors import InputError, first_line

_ASSETS = {"app.css": "text/css", "app.js": "text/javascript"}


def application(desk: Desk, access: Access) -> ASGIApp:
    """Return the application, behind its guard."""
    routes = [
        Route("/", home.show),
        Route("/assets/{name}", asset),
        Route("/clinic", clinic.show, methods=["GET", "POST"]),
        Route("/clinic/try/{part}", clinic.attempt, methods=["POST"]),
        Route("/clinic/save", clinic.keep, methods=["POST"]),
        Route("/start/{command}", start.show, methods=["GET"]),
        Route("/start/{command}", start.begin, methods=["POST"]),
        Route("/start/{command}/check", start.check, methods=["POST"]),
        Route("/jobs", jobs.show_all),
        Route("/jobs/{name}", jobs.show),
        Route("/jobs/{name}/events", jobs.events),
        Route("/jobs/{name}/log", jobs.log),
        Route("/jobs/{name}/stop", jobs.stop, methods=["POST"]),
        Route("/jobs/{name}/again", jobs.again, methods=["POST"]),
        Route("/results", results.show_all),
        Route("/results/open", results.show),
        Route("/results/events", results.events),
        Route("/results/page", results.report),
        Route("/results/resume", results.resume, methods=["POST"]),
        Route("/compare", results.compare),
        Route("/compare/page", results.compared),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm(desk))  # while its user opens the address
        yield
        warming.cancel()
        desk.clinic.close()
        desk.reports.close()

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={InputError: _mistake, HTTPException: _http, Exception: _failure},
    )
    app.router.redirect_slashes = False
    app.state.desk = desk
    return Guard(app, access)


async def _warm(desk: Desk) -> None:
    """Have the worker import and compile what the first clinic asks for."""
    with suppress(InputError):
        await desk.clinic(try_fixed, Draft())


async def asset(request: Request) -> Response:
    """Return a style sheet or a script; these may be kept, their addresses change with them."""
    name = request.path_params["name"]
    if name not in _ASSETS:
        raise HTTPException(404)
    headers = {"cache-control": "max-age=31536000, immutable"}
    return FileResponse(ASSETS / name, media_type=_ASSETS[name], headers=headers)


async def _mistake(request: Request, error: Exception) -> Response:
    return desk_of(request).page("mistake.html", 422, title="Not so", error=first_line(error))


async def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = "there is no such page" if status == 404 else first_line(error)
    return desk_of(request).page("mistake.html", status, title="Not here", error=message)


async def _failure(request: Request, error: Exception) -> Response:
    message = f"this page could not be made: {type(error).__name__}: {first_line(error)}"
    return desk_of(request).page("mistake.html", 500, title="A fault", error=message)
