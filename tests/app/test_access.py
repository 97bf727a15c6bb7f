"""Nobody but who has the token asks, from the application's own pages, by a known name."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from abx_amr.app import serving
from abx_amr.app.workplace import Workplace
from abx_amr.errors import InputError
from tests.app.asking import TOKEN, Asking, asking

PAGES = ("/", "/clinic", "/start/train", "/jobs", "/results", "/results/page?at=results/x")
DOINGS = ("/start/train", "/clinic/save", "/clinic/try/rules", "/results/resume", "/jobs/x/stop")


@pytest.mark.parametrize("path", PAGES)
def test_without_the_cookie_no_page_is_shown(app: Asking, path: str) -> None:
    app.cookie = None
    answer = app.get(path)
    assert answer.status == 403
    assert "open the address that abx-app has printed" in answer.text
    app.cookie = "0" * 64
    assert app.get(path).status == 403


def test_the_printed_address_gives_a_cookie_and_leads_away_from_the_token(app: Asking) -> None:
    app.cookie = None
    answer = app.get(f"/?token={TOKEN}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie
    assert TOKEN not in cookie
    assert app.get("/?token=wrong").status == 403
    assert "set-cookie" not in app.get("/?token=wrong").headers


@pytest.mark.parametrize("path", DOINGS)
def test_a_form_of_another_site_does_nothing(app: Asking, project: Path, path: str) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999", "", "http://[bad"):
        answer = app.post(path, {"name": "x"}, origin=origin)
        assert answer.status == 403, origin
    assert app.post(path, {"name": "x"}, sec_fetch_site="cross-site").status == 403
    assert not (project / ".abx").exists()


def test_a_page_elsewhere_cannot_load_what_is_here(app: Asking) -> None:
    answer = app.get("/results", sec_fetch_site="cross-site", sec_fetch_mode="no-cors")
    assert answer.status == 403
    visit = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert app.get("/results", **visit).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8950", "127.0.0.1.evil.example", "a@127.0.0.1"]
)
def test_by_another_name_nothing_is_answered(app: Asking, host: str) -> None:
    app.host = host
    assert app.get("/").status == 403
    assert app.get(f"/?token={TOKEN}").status == 403


def test_a_tunnel_and_a_proxy_lead_here(project: Path) -> None:
    tunnel = asking(project)
    tunnel.host = "localhost:9000"
    assert tunnel.get("/").status == 200
    proxied = asking(project, base_path="/user/ada/proxy/1", hosts=frozenset({"hub.example"}))
    proxied.host = "hub.example"
    for path in ("/user/ada/proxy/1/jobs", "/jobs", "/user/ada/proxy/1"):
        answer = proxied.get(path)
        assert answer.status == 200
        assert 'href="/user/ada/proxy/1/results"' in answer.text
    assert proxied.get("/user/ada/proxy/12/jobs").status == 404
    assert proxied.post("/start/nothing", origin="https://hub.example").status == 404
    assert proxied.post("/start/nothing", origin="https://other.example").status == 403


def test_every_answer_forbids_what_is_not_the_applications_own(app: Asking) -> None:
    for path in ("/", "/assets/app.js", "/nothing"):
        policy = app.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy
        assert "frame-ancestors 'self'" in policy
    assert app.get("/").headers["cache-control"] == "no-store"


def test_the_token_is_kept_for_its_owner_alone(project: Path) -> None:
    place = Workplace.at(project)
    token = serving.kept_token(place)
    file = place.own / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.own.stat().st_mode) == 0o700
    assert serving.kept_token(place) == token
    file.chmod(0o644)
    renewed = serving.kept_token(place)
    assert renewed != token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.unlink()
    file.symlink_to(project / "elsewhere")
    (project / "elsewhere").write_text(token, encoding="ascii")
    assert serving.kept_token(place) not in (token, renewed)


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with serving.listen(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} is in use.*--port 0 takes a free one"):
            serving.listen(port)
        assert taken.getsockname()[0] == "127.0.0.1"


def test_the_port_of_last_time_is_taken_again_where_it_is_free(project: Path) -> None:
    place = Workplace.at(project)
    with serving.listen(0) as first:
        port = first.getsockname()[1]
        serving.write_private(place.own / "port", str(port))
        with serving.listen_as_before(place) as other:
            assert other.getsockname()[1] != port
    with serving.listen_as_before(place) as again:
        assert again.getsockname()[1] == port
