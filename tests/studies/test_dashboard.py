"""optuna-dashboard opens a study in every kind of storage."""

import importlib.util
import io
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from wsgiref.simple_server import make_server

import pytest
from optuna.artifacts import get_all_artifact_meta
from optuna.study import load_study

from abx_amr.errors import InputError
from abx_amr.host.signals import CommandInterruptError
from abx_amr.studies.dashboard import StudyFigures, dashboard_of, serve_until_interrupted
from abx_amr.studies.overview import overview_of_stored
from abx_amr.studies.preparation import prepare_study
from abx_amr.studies.settings import StudySettings
from abx_amr.studies.storages import journal, sqlite
from abx_amr.studies.storages.journal import JournalStorage
from abx_amr.studies.storages.sqlite import SqliteStorage
from abx_amr.studies.worker import run_worker
from tests.studies.conftest import parabola


@contextmanager
def answering(server, times):
    """Answer so many requests meanwhile."""

    def answer():
        for _ in range(times):
            server.handle_request()

    thread = threading.Thread(target=answer)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()


def read(address):
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read().decode()


@pytest.mark.filterwarnings("default")  # of the dashboard itself
def test_it_shows_the_trials_of_a_study_in_any_storage(stored_study):
    settings, storage = stored_study(n_trials=2)
    run_worker(settings, storage, parabola)
    with dashboard_of(storage, settings.study_name, host="127.0.0.1", port=0) as (server, place):
        base, _, study = place.partition("/dashboard/studies/")
        with answering(server, 2):
            page = read(place)
            found = json.loads(read(f"{base}/api/studies/{study}"))
    assert "<html" in page
    assert found["name"] == settings.study_name
    assert [trial["state"] for trial in found["trials"]] == ["Complete", "Complete"]


@pytest.mark.filterwarnings("default")  # of the dashboard itself
def test_the_figures_of_the_studys_folder_are_its_artifacts(stored_study):
    settings, storage = stored_study(n_trials=2)
    run_worker(settings, storage, parabola)
    folder = settings.files.figures_folder
    folder.mkdir(parents=True)
    (folder / "study_history.png").write_bytes(b"a figure")
    for _ in range(2):  # opened again, they are attached once
        with dashboard_of(
            storage, settings.study_name, host="127.0.0.1", port=0, figures=folder
        ) as (server, place):
            base, _, study = place.partition("/dashboard/studies/")
            (folder / "study_history.png").write_bytes(b"drawn again")
            with answering(server, 3):
                (shown,) = json.loads(read(f"{base}/api/studies/{study}"))["artifacts"]
                figure = read(f"{base}/artifacts/{study}/{shown['artifact_id']}")
                with pytest.raises(urllib.error.HTTPError):
                    read(f"{base}/artifacts/{study}/{'0' * 8}")
    assert (shown["filename"], shown["mimetype"]) == ("study_history.png", "image/png")
    assert figure == "drawn again"
    assert (
        overview_of_stored(storage, settings.study_name).n_finished == 2
    )  # and the study reads as before


@pytest.mark.filterwarnings("default")  # of the dashboard itself
@pytest.mark.parametrize("kind", [sqlite, journal], ids=["sqlite", "journal"])
def test_a_study_that_may_only_be_read_is_shown_with_its_figures_and_stays_as_it_is(
    configuration, kind, monkeypatch
):
    make = {sqlite: SqliteStorage, journal: JournalStorage}[kind]
    settings = StudySettings.from_configuration(configuration(n_trials=1))
    file = settings.folder / "storage"
    storage = make(path=file)
    prepare_study(settings, storage)
    run_worker(settings, storage, parabola)
    folder = settings.files.figures_folder
    folder.mkdir(parents=True)
    (folder / "study_history.png").write_bytes(b"a figure")
    before = {path: path.read_bytes() for path in settings.folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(kind, "is_writable", lambda folder: False)
    read_only = make(path=file)
    with dashboard_of(read_only, settings.study_name, host="127.0.0.1", port=0, figures=folder) as (
        server,
        place,
    ):
        base, _, number = place.partition("/dashboard/studies/")
        with answering(server, 1):
            (shown,) = json.loads(read(f"{base}/api/studies/{number}"))["artifacts"]
    assert shown["filename"] == "study_history.png"
    after = {path: path.read_bytes() for path in settings.folder.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.filterwarnings("default")
def test_a_browser_adds_nothing_to_the_figures_and_takes_none_away(stored_study, tmp_path):
    settings, storage = stored_study(n_trials=1)
    (tmp_path / "study_history.png").write_bytes(b"a figure")
    study = load_study(study_name=settings.study_name, storage=storage.open())
    store = StudyFigures(study, tmp_path)
    (shown,) = get_all_artifact_meta(study)
    with pytest.raises(PermissionError):
        store.write("1", io.BytesIO(b"mine"))
    with pytest.raises(PermissionError):
        store.remove(shown.artifact_id)
    with store.open_reader(shown.artifact_id) as file:
        assert file.read() == b"a figure"


def test_a_port_that_is_taken_is_said_with_another(study):
    settings, storage = study()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match="choose another port="):
            dashboard_of(storage, settings.study_name, host="127.0.0.1", port=port).__enter__()


@pytest.mark.parametrize("port", [-1, 65536, "x", True])
def test_a_port_that_cannot_be_is_refused(study, port):
    settings, storage = study()
    with pytest.raises(InputError, match="port must be"):
        dashboard_of(storage, settings.study_name, host="127.0.0.1", port=port).__enter__()


def test_where_it_is_not_installed_what_installs_it_is_said(study, monkeypatch):
    settings, storage = study()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'abx-amr\[dashboard\]'; abx-report makes"):
        dashboard_of(storage, settings.study_name, host="127.0.0.1", port=0).__enter__()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_midst_of_a_request_ends_it_once_the_page_is_answered(number):
    def page(environment, start_response):
        os.kill(os.getpid(), number)
        time.sleep(0.1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"whole"]

    answers = []
    with make_server("127.0.0.1", 0, page) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        reader = threading.Thread(target=lambda: answers.append(read(address)))
        reader.start()
        with pytest.raises(CommandInterruptError) as stopped:
            serve_until_interrupted(server)
        reader.join(60)
    assert answers == ["whole"]
    assert stopped.value.number == number
