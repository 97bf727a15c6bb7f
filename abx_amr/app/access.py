"""Who may ask: whoever holds the token, from this application's own pages, by a known name.

A page elsewhere can make a browser ask here, with its cookie. So the name that was asked for (Host)
must be a known one, which ends DNS rebinding, and what changes something must come from a page of
the application itself (Origin).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from abx_amr.app.templating import page

#: Names by which a machine calls itself: what `ssh -L` leads to.
OWN_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_READS = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'self';"
    " base-uri 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True, kw_only=True)
class Access:
    """What is asked of a request.

    Attributes:
        token: What the printed address holds.
        base_path: What stands before every path, behind a proxy; no slash at its end.
        hosts: Names beside this machine's own by which it may be called.
    """

    token: str
    base_path: str = ""
    hosts: frozenset[str] = frozenset()

    @property
    def cookie(self) -> str:
        """What a browser is given in place of the token, which it does not tell."""
        return hmac.new(self.token.encode(), b"abx-app cookie", "sha256").hexdigest()

    @property
    def cookie_name(self) -> str:
        """A name of this application alone: ports of one host share their cookies."""
        return f"abx-app-{hmac.new(self.token.encode(), b'name', 'sha256').hexdigest()[:8]}"

    def refusal(self, method: str, headers: Mapping[str, str]) -> str | None:
        """Return why a request is refused whoever sends it, None where it is not.

        >>> Access(token="t").refusal("GET", {"host": "evil.example:8000"})
        "this application is not called evil.example: abx-app --allowed-host NAME allows a proxy's"
        """
        host = _name(headers.get("host", ""))
        if host not in OWN_HOSTS | self.hosts:
            return (
                f"this application is not called {host or 'nothing'}: "
                "abx-app --allowed-host NAME allows a proxy's"
            )
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        is_visit = method in _READS and headers.get("sec-fetch-mode") == "navigate"
        if site in ("cross-site", "same-site") and not is_visit:
            return "another site has sent this: use the application's own pages"
        if method not in _READS and not self._is_own(origin, headers.get("host", "")):
            return "another site has sent this: use the application's own pages"
        return None

    def _is_own(self, origin: str | None, host: str) -> bool:
        """Return whether an Origin is that of the application; a proxy may have its own port."""
        if not origin:
            return False
        try:
            asked = urlsplit(origin)
            return asked.netloc == host or (asked.hostname or "") in self.hosts
        except ValueError:
            return False

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request has the cookie."""
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(), self.cookie.encode())

    def is_token(self, given: str) -> bool:
        """Return whether this is the token."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


class Guard:
    """Lets through what may ask, sets headers on every answer, and takes the base path away."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        """Stand before an application."""
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            path = scope["path"]
            base = self.access.base_path
            if base and (path == base or path.startswith(f"{base}/")):
                path = path[len(base) :] or "/"
            scope = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
            answer = self._refused(scope) or self.app
            await answer(scope, receive, _with_headers(send))

    def _refused(self, scope: Scope) -> Response | None:
        """Return the answer to what may not ask, and to the printed address."""
        headers, access = Headers(scope=scope), self.access
        if reason := access.refusal(scope["method"], headers):
            return _says(reason, 403, access)
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        if "token" in query:
            if not access.is_token(query["token"][-1]):
                return _says("the token in this address is not the one of today", 403, access)
            answer = RedirectResponse(f"{access.base_path}{scope['path']}", 303)
            answer.set_cookie(
                access.cookie_name,
                access.cookie,
                path=f"{access.base_path}/",
                httponly=True,
                samesite="lax",
            )
            return answer
        if scope["path"].startswith("/assets/") or access.knows(headers):
            return None
        return _says("open the address that abx-app has printed: it holds the token", 403, access)


def _says(reason: str, status: int, access: Access) -> Response:
    html = page("refused.html", base=access.base_path, title="Not for everybody", reason=reason)
    return Response(html, status, media_type="text/html")


def _name(host: str) -> str:
    """Return the name in a Host header, without its port.

    >>> _name("localhost:80"), _name("[::1]:80"), _name("a@b"), _name("Hub.Example")
    ('localhost', '::1', '', 'hub.example')
    """
    try:
        split = urlsplit(f"//{host}")
        return "" if "@" in host or split.path or split.query else split.hostname or ""
    except ValueError:
        return ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
