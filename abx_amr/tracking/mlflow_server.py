"""tracker=mlflow: a run of MLflow for each seed, in the experiment of its study."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from abx_amr.tracking.tracker import Status, Track, TrackedSeed, Tracker, require

#: A server that does not answer costs a training so many attempts of so many seconds, once.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
_MOST_PARAMETERS = 100  # in one request
_LONGEST = 500  # characters of a parameter, in any release


class MlflowTracker(Tracker):
    """Speaks to a server, or writes where MLflow itself would."""

    def __init__(self, *, uri: str | None, experiment: str | None) -> None:
        """Track at `uri` (None: as MLflow is set up) in one experiment, or in each study's own.

        Raises:
            InputError: MLflow is not installed.
        """
        require("mlflow", member="mlflow")
        self.uri = uri
        self.experiment = experiment

    def open(self, tracked: TrackedSeed) -> Track:
        """Return a new run of MLflow."""
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=self.uri)
        return _MlflowTrack(client, tracked, experiment=self.experiment or tracked.study)


class _MlflowTrack(Track):
    def __init__(self, client: Any, tracked: TrackedSeed, *, experiment: str) -> None:
        from mlflow.entities import Param

        self.client = client
        run = client.create_run(
            _experiment(client, experiment), run_name=tracked.name, tags=tracked.tags
        )
        self.run_id = run.info.run_id
        params = [Param(key, str(value)[:_LONGEST]) for key, value in tracked.settings.items()]
        for first in range(0, len(params), _MOST_PARAMETERS):
            client.log_batch(self.run_id, params=params[first : first + _MOST_PARAMETERS])
        self.transitions = 0

    def log(self, values: Mapping[str, float], *, transitions: int) -> None:
        from mlflow.entities import Metric

        self.transitions = transitions
        now = int(1000 * time.time())
        metrics = [Metric(name, value, now, transitions) for name, value in values.items()]
        self.client.log_batch(self.run_id, metrics=metrics)

    def end(self, values: Mapping[str, float], *, status: Status) -> None:
        if values:
            named = {f"result/{name}": value for name, value in values.items()}
            self.log(named, transitions=self.transitions)
        self.client.set_terminated(self.run_id, status=status.upper())


def _experiment(client: Any, name: str) -> str:
    """Return the id of an experiment, made where it is not there; workers may do so at once."""
    from mlflow.exceptions import MlflowException

    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
