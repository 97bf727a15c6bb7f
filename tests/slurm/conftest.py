"""One SLURM cluster for all tests that need it."""

from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, running_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return a real cluster of one node; it is skipped, or failed, where it cannot be started."""
    with running_cluster() as started:
        yield started
