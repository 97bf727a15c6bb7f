"""Where a study lives: one class a kind of storage, all with the same verbs (see StudyStorage)."""

from abx_amr.host.file_system import network_file_system
from abx_amr.studies.storages.journal import JournalStorage
from abx_amr.studies.storages.member import StorageError, StorageGoneError, StudyStorage
from abx_amr.studies.storages.postgres import PostgresStorage
from abx_amr.studies.storages.sqlite import SqliteStorage
from abx_amr.studies.storages.url import storage_at_url

__all__ = [
    "JournalStorage",
    "PostgresStorage",
    "SqliteStorage",
    "StorageError",
    "StorageGoneError",
    "StudyStorage",
    "network_file_system",
    "storage_at_url",
]
