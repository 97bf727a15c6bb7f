"""Storages by URL, and how PostgreSQL is reached: nothing secret in sight."""

import pytest

from abx_amr.errors import InputError
from abx_amr.host.postgres.connection import PostgresConnection
from abx_amr.studies.storages import (
    JournalStorage,
    PostgresStorage,
    SqliteStorage,
    storage_at_url,
)

SECRET = "s3cr3t-m4rker"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("PG_HOST", "PG_PORT", "PG_USERNAME", "PG_PASSWORD", "DB_NAME", "ABX_STORAGE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "ada")


def test_the_environment_says_where_and_the_rest_is_default():
    there = PostgresConnection.from_environment({"PG_USERNAME": "ada"})
    assert (there.host, there.port, there.user) == ("localhost", 5432, "ada")
    assert (there.database, there.password) == ("optuna_tuning", None)
    there = PostgresConnection.from_environment(
        {"PG_HOST": "n7", "PG_PORT": "5544", "PG_USERNAME": "b", "DB_NAME": "d", "PG_PASSWORD": "p"}
    )
    assert (there.host, there.port, there.user) == ("n7", 5544, "b")
    assert (there.database, there.password) == ("d", "p")


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1", "5432.0"])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(InputError, match="must be"):
        PostgresConnection.from_environment({"PG_PORT": port, "PG_USERNAME": "ada"})


def test_a_password_is_in_no_text_of_a_connection_or_a_storage(monkeypatch):
    monkeypatch.setenv("PG_PASSWORD", SECRET)
    storage = PostgresStorage()
    there = storage.connection
    assert there.secret == {"password": SECRET}
    assert SECRET not in f"{there} {there!r} {there.url} {there.label} {storage.label} {storage!r}"


def test_a_name_with_special_characters_stands_escaped_in_the_url():
    from sqlalchemy import make_url

    there = PostgresConnection(user="a@b:c/d", database="x?y", host="h")
    parsed = make_url(there.url)
    assert (parsed.username, parsed.database, parsed.host) == ("a@b:c/d", "x?y", "h")


def test_what_the_configuration_says_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("PG_HOST", "n7")
    monkeypatch.setenv("PG_PORT", "5544")
    there = PostgresStorage(port=6000, database="d").connection
    assert (there.host, there.port, there.database, there.user) == ("n7", 6000, "d", "ada")


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("sqlite:////tmp/x/study.db", SqliteStorage),
        ("journal:////tmp/x/study.log", JournalStorage),
        ("postgresql://me@h/d", PostgresStorage),
        ("postgres://me@h/d", PostgresStorage),
        ("postgresql+psycopg2://me@h/d", PostgresStorage),
    ],
)
def test_a_url_is_dispatched_by_its_kind(url, made):
    assert isinstance(storage_at_url(url=url), made)


def test_a_bare_postgresql_url_gets_the_driver_that_is_installed():
    there = storage_at_url(url="postgresql://me@h:5544/d").connection
    assert there.url == "postgresql+psycopg2://me@h:5544/d"


def test_further_settings_of_a_url_are_kept():
    there = storage_at_url(url="postgresql://me@h/d?sslmode=require").connection
    assert there.url == "postgresql+psycopg2://me@h:5432/d?sslmode=require"


def test_the_environments_url_may_hold_a_password_and_shows_it_nowhere(monkeypatch):
    monkeypatch.setenv("ABX_STORAGE_URL", f"postgresql://me:{SECRET}@h:5544/d")
    storage = storage_at_url()
    assert storage.connection.password == SECRET
    assert SECRET not in f"{storage.connection} {storage.connection.url} {storage.label}"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (f"postgresql://me:{SECRET}@h/d", "may not hold a password"),
        (f"postgresql://me@h/d?password={SECRET}", "may not hold a password"),
        ("mysql+pymysql://me@h/d", "no storage for 'mysql'"),
        ("postgresq://me@h/d", "did you mean 'postgresql'"),
        ("postgresql+asyncpg://me@h/d", "driver 'asyncpg' cannot be used"),
        ("postgresql://me@h:port/d", "is no URL"),
        ("nonsense", "is no URL"),
        ("sqlite://", "must name a file"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_line_without_its_secrets(url, text):
    with pytest.raises(InputError, match=text) as error:
        storage_at_url(url=url)
    assert SECRET not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_broken_url_of_the_environment_is_not_repeated(monkeypatch):
    monkeypatch.setenv("ABX_STORAGE_URL", f"postgresql://me:{SECRET}@h:port/d")
    with pytest.raises(InputError, match="ABX_STORAGE_URL is no URL") as error:
        storage_at_url()
    assert SECRET not in str(error.value)
    assert error.value.__suppress_context__


def test_without_a_url_the_variable_is_named():
    with pytest.raises(InputError, match="ABX_STORAGE_URL, which is not set"):
        storage_at_url()
