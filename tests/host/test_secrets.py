"""A password is refused where it would be public, and hidden where it is written all the same."""

from pathlib import Path

import pytest

from abx_amr.configuration.composing import compose
from abx_amr.errors import InputError
from abx_amr.host.postgres.connection import PostgresConnection
from abx_amr.host.secrets import redacted, refuse_secret_values, refuse_secrets
from abx_amr.runs.folder import RunFolder
from abx_amr.runs.provenance import provenance

SECRET = "swordfish"
URL = f"postgresql://ada:{SECRET}@host:5432/db"


@pytest.mark.parametrize(
    "override",
    [
        f"storage.url={URL}",
        f"storage.url=postgresql://ada:{SECRET}/with:odd?signs@host/db",
        f"storage.url=postgresql://host/db?sslpassword={SECRET}",
        f"storage.url=postgresql://host/db?sslmode=require&password={SECRET}",
        f"++storage.password={SECRET}",
        f"hydra.job.env_set.PGPASSWORD={SECRET}",
        f"to.url={URL}",
        f"run_name=mine,{URL}",
    ],
)
def test_an_override_that_holds_a_password_is_refused_without_showing_it(override: str) -> None:
    with pytest.raises(InputError, match="may not hold a password") as refused:
        refuse_secrets(["training.seed=1", override])
    assert SECRET not in str(refused.value)
    assert SECRET not in str(redacted([override]))


@pytest.mark.parametrize(
    "override",
    [
        "storage.url=postgresql://ada@host:5432/db?passfile=/home/ada/.pgpass",
        "storage.url=sqlite:///some:where@home.db",
        "run_name=secret_garden",
        "results_dir=user@host:runs",
    ],
)
def test_what_holds_none_is_left_alone(override: str) -> None:
    refuse_secrets([override])
    assert redacted(override) == override


def test_a_password_from_the_environment_is_refused_where_it_is_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_URL", URL)
    composition = compose("train", ["storage=url", "storage.url=${oc.env:SOME_URL}"])
    with pytest.raises(InputError, match=r"^storage\.url may not hold a password") as refused:
        _ = composition.plain
    assert SECRET not in str(refused.value)


def test_a_setting_by_its_name_is_refused() -> None:
    with pytest.raises(InputError, match=r"^storage\.sslpassword"):
        refuse_secret_values({"storage": {"sslpassword": SECRET}})


def test_what_a_run_keeps_has_no_password(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "mine")
    folder.write_config({"storage": {"url": URL}})
    folder.write_overrides([f"storage.url={URL}"])
    command = ["abx-train", f"storage.url={URL}", "--password=" + SECRET]
    folder.write_provenance(provenance(seeds={}, command=command))
    for file in folder.path.iterdir():
        assert SECRET not in file.read_text(encoding="utf-8")


def test_a_further_password_of_a_connection_is_in_neither_its_address_nor_its_name() -> None:
    connection = PostgresConnection(
        user="ada", settings={"sslpassword": SECRET, "sslmode": "require"}
    )
    assert "sslmode=require" in connection.url
    assert SECRET not in f"{connection.url} {connection.label} {connection!r}"
    assert connection.secret == {"sslpassword": SECRET}
