"""A PostgreSQL server on demand for a study's database, run as an ordinary user."""

from abx_amr.host.postgres.listening import Listening
from abx_amr.host.postgres.server import Server, Status, Wish, default_folder

__all__ = ["Listening", "Server", "Status", "Wish", "default_folder"]
