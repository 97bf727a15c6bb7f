"""Requests to the application without a server or a socket: what is sent, what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.types import ASGIApp

from abx_amr.app.access import Access
from abx_amr.app.application import application
from abx_amr.app.desk import Desk
from abx_amr.app.workers import Worker
from abx_amr.app.workplace import Workplace

TOKEN = "t" * 43
HOST = "127.0.0.1:8950"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Asking:
    """A browser of a kind: it has the cookie, and sends what a form sends.

    Attributes:
        app: The application.
        access: Its access.
        desk: Its things.
    """

    app: ASGIApp
    access: Access
    desk: Desk
    cookie: str | None = None
    host: str = HOST
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a page."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> Answer:
        """Send a form from a page of the application."""
        own = {
            "origin": f"http://{self.host}",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        return self.ask("POST", path, headers=own, body=urlencode(form or {}).encode())

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Send one request, header by header; one that is "" is left out."""
        sent = {"host": self.host, **self.headers, **headers}
        if self.cookie:
            sent.setdefault("cookie", f"{self.access.cookie_name}={self.cookie}")
        split = urlsplit(path)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": split.path,
            "raw_path": split.path.encode(),
            "query_string": split.query.encode(),
            "root_path": "",
            "headers": [
                (k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in sent.items() if v
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8950),
        }
        return asyncio.run(self._asked(scope, body))

    async def _asked(self, scope: dict[str, Any], body: bytes) -> Answer:
        messages: list[dict[str, Any]] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]
        over = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            messages.append(message)

        try:
            await self.app(scope, receive, send)
        finally:
            over.set()
        start = messages[0]
        headers = {k.decode().lower(): v.decode("latin-1") for k, v in start["headers"]}
        text = b"".join(m.get("body", b"") for m in messages[1:]).decode("utf-8", "replace")
        return Answer(start["status"], headers, text)


def asking(root: Path, **access: Any) -> Asking:
    """Return who asks an application of a project, with its cookie."""

    def thread() -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1)

    given = Access(token=TOKEN, **access)
    desk = Desk(
        workplace=Workplace.at(root),
        base_path=given.base_path,
        clinic=Worker(thread),
        reports=Worker(thread),
    )
    made = Asking(app=application(desk, given), access=given, desk=desk)
    made.cookie = given.cookie
    return made
