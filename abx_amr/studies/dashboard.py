"""optuna-dashboard on a study, in whatever storage it lies, with the study's own figures."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from abx_amr import checks
from abx_amr.errors import InputError
from abx_amr.host.signals import CommandInterruptError, end_at_once, handed_on

if TYPE_CHECKING:
    from optuna.study import Study

    from abx_amr.studies.storages import StudyStorage


class _Quiet(WSGIRequestHandler):
    """Answers without a line for each request."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class StudyFigures:
    """Optuna's artifact store that gives the figures of a study's folder where they lie.

    The study in its storage has their names alone, so that figures which are drawn again are seen
    as they are. What a browser uploads or deletes is refused.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        """Attach the figures that the study does not name yet.

        Args:
            study: Read by the dashboard.
            folder: Of the PNG files; may be missing.
        """
        from optuna.artifacts import get_all_artifact_meta, upload_artifact

        self._study, self._folder = study, folder
        self._is_attaching = True
        named = {meta.filename for meta in get_all_artifact_meta(study)}
        for file in self._files():
            if file.name not in named:
                upload_artifact(study_or_trial=study, file_path=str(file), artifact_store=self)
        self._is_attaching = False

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a figure.

        Raises:
            ArtifactNotFound: it is none of this study, or not drawn (here).
        """
        from optuna.artifacts import get_all_artifact_meta
        from optuna.artifacts.exceptions import ArtifactNotFound

        names = {
            m.filename for m in get_all_artifact_meta(self._study) if m.artifact_id == artifact_id
        }
        for file in self._files():
            if file.name in names:
                return file.open("rb")
        raise ArtifactNotFound(f"{artifact_id} is no figure in {self._folder}")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Leave a figure where it is; refuse what was not drawn here."""
        if not self._is_attaching:
            raise PermissionError("only the figures of the study's folder are attached")

    def remove(self, artifact_id: str) -> None:
        """Refuse it."""
        raise PermissionError("the figures of the study's folder are not deleted here")

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.png"))


@contextmanager
def dashboard_of(
    storage: StudyStorage, name: str, *, host: str, port: int, figures: Path | None = None
) -> Iterator[tuple[WSGIServer, str]]:
    """Give a server of the dashboard, which answers once it is told to, and the study's address.

    Args:
        storage: Where the study lies.
        name: Its name there.
        host: The name or address that is listened on.
        port: The port; 0: any that is free.
        figures: The folder of the study's figures, which the dashboard shows as its artifacts.

    Raises:
        InputError: optuna-dashboard is not installed, or the port is taken.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise InputError(
            "abx-study dashboard needs optuna-dashboard, which is not installed: "
            "pip install 'abx-amr[dashboard]'; abx-report makes a page without it"
        )
    from optuna.study import load_study
    from optuna_dashboard import wsgi

    checks.whole_number("port", port, 0, 65535)
    opened = storage.open()
    study = load_study(study_name=name, storage=opened)
    store = None if figures is None else StudyFigures(study, figures)
    try:
        server = make_server(host, port, wsgi(opened, store), handler_class=_Quiet)
    except OSError as error:
        raise InputError(
            f"the dashboard cannot listen on {host}:{port}: {error.strerror}; "
            "choose another port=8081, or host=localhost"
        ) from error
    with server:
        number = opened.get_study_id_from_name(name)
        yield server, f"http://{host}:{server.server_port}/dashboard/studies/{number}"


def serve_until_interrupted(server: WSGIServer) -> NoReturn:
    """Answer until a signal ends it, between two requests; a second one ends it at once.

    Raises:
        CommandInterruptError: SIGINT or SIGTERM came.
    """

    def stop(number: int) -> None:
        # Waits for the loop, which the handler of a signal interrupts. Raised out of a request,
        # an interrupt would be answered as an error of the page.
        threading.Thread(target=server.shutdown).start()

    with handed_on(stop, later_to=end_at_once) as received:
        server.serve_forever(poll_interval=0.1)
    raise CommandInterruptError(received[0])
