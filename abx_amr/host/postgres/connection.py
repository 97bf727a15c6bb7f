"""How to reach PostgreSQL: host, port, user, database, and a password that nobody gets to see."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from abx_amr.errors import InputError
from abx_amr.host.secrets import is_secret_name

DEFAULT_HOST, DEFAULT_PORT, DEFAULT_DATABASE = "localhost", 5432, "optuna_tuning"
LAST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class PostgresConnection:
    """Where a PostgreSQL server listens and as whom to enter.

    Without a password libpq looks for one in the .pgpass file (PGPASSFILE, else ~/.pgpass).
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    user: str
    database: str = DEFAULT_DATABASE
    password: str | None = field(default=None, repr=False)
    driver: str = "psycopg2"
    settings: Mapping[str, str] = field(
        default_factory=dict, repr=False
    )  #: further ones of libpq: sslmode, ...

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: one of them cannot be right.
        """
        if isinstance(self.port, bool) or not isinstance(self.port, int):
            raise InputError(f"the port of PostgreSQL must be a whole number, not {self.port!r}")
        if not 1 <= self.port <= LAST_PORT:
            raise InputError(f"the port of PostgreSQL must be 1-{LAST_PORT}, not {self.port}")
        for name in ("host", "user", "database"):
            if not str(getattr(self, name)).strip():
                raise InputError(f"the {name} of PostgreSQL must be given")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> PostgresConnection:
        """Return what PG_HOST, PG_PORT, PG_USERNAME, DB_NAME and PG_PASSWORD say.

        Without them: localhost, 5432, this user, optuna_tuning, and .pgpass for the password.

        >>> PostgresConnection.from_environment({"PG_USERNAME": "ada", "PG_PORT": "5544"}).label
        'database optuna_tuning on localhost:5544 as ada'

        Raises:
            InputError: PG_PORT is no port.
        """
        port = environment.get("PG_PORT") or str(DEFAULT_PORT)
        if not (port.isascii() and port.isdecimal()):
            raise InputError(f"PG_PORT must be a whole number, not {port!r}")
        return cls(
            host=environment.get("PG_HOST") or DEFAULT_HOST,
            port=int(port),
            user=environment.get("PG_USERNAME") or environment.get("USER") or getpass.getuser(),
            database=environment.get("DB_NAME") or DEFAULT_DATABASE,
            password=environment.get("PG_PASSWORD") or None,
        )

    @property
    def url(self) -> str:
        """The SQLAlchemy URL, with its driver and without the password.

        >>> PostgresConnection(user="ada", password="secret").url
        'postgresql+psycopg2://ada@localhost:5432/optuna_tuning'
        """
        from sqlalchemy import URL

        made = URL.create(
            f"postgresql+{self.driver}",
            username=self.user,
            host=self.host,
            port=self.port,
            database=self.database,
            query={k: v for k, v in self.settings.items() if not is_secret_name(k)},
        )
        return made.render_as_string()

    @property
    def secret(self) -> dict[str, str]:
        """What the driver is given beside the URL: passwords, where there are any."""
        others = {k: v for k, v in self.settings.items() if is_secret_name(k)}
        return others if self.password is None else {**others, "password": self.password}

    @property
    def label(self) -> str:
        """What the place is called in messages.

        >>> PostgresConnection(user="ada", password="secret").label
        'database optuna_tuning on localhost:5432 as ada'
        """
        return f"database {self.database} on {self.host}:{self.port} as {self.user}"
