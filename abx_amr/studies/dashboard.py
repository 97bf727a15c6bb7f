"""optuna-dashboard on a study, in whatever storage it lies."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from abx_amr import checks
from abx_amr.errors import InputError

if TYPE_CHECKING:
    from abx_amr.studies.storages import StudyStorage


class _Quiet(WSGIRequestHandler):
    """Answers without a line for each request."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def dashboard_of(
    storage: StudyStorage, name: str, *, host: str, port: int
) -> Iterator[tuple[WSGIServer, str]]:
    """Give a server of the dashboard, which answers once it is told to, and the study's address.

    Args:
        storage: Where the study lies.
        name: Its name there.
        host: The name or address that is listened on.
        port: The port; 0: any that is free.

    Raises:
        InputError: optuna-dashboard is not installed, or the port is taken.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise InputError(
            "abx-study dashboard needs optuna-dashboard, which is not installed: "
            "pip install 'abx-amr[dashboard]'; abx-report makes a page without it"
        )
    from optuna_dashboard import wsgi

    checks.whole_number("port", port, 0, 65535)
    opened = storage.open()
    try:
        server = make_server(host, port, wsgi(opened), handler_class=_Quiet)
    except OSError as error:
        raise InputError(
            f"the dashboard cannot listen on {host}:{port}: {error.strerror}; "
            "choose another port=8081, or host=localhost"
        ) from error
    with server:
        study = opened.get_study_id_from_name(name)
        yield server, f"http://{host}:{server.server_port}/dashboard/studies/{study}"
