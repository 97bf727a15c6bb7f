"""What trackers have kept, read by the tools' own means: seed's name -> what is known of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Kept:
    """What one track holds: its settings as text, its numbers by (name, transitions)."""

    settings: dict[str, str]
    values: dict[tuple[str, int], float]
    results: dict[str, float]
    tags: dict[str, str] = field(default_factory=dict)
    failed: bool = False


def of_csv(folder: Path) -> dict[str, Kept]:
    """Read tables and files of settings."""
    import pandas as pd

    found = {}
    for file in folder.rglob("about.json"):
        about = json.loads(file.read_text())
        table = pd.read_csv(file.with_name("metrics.csv"))
        found[file.parent.name] = Kept(
            settings={name: str(value) for name, value in about["settings"].items()},
            values={(row["name"], row["transitions"]): row["value"] for _, row in table.iterrows()},
            results=about.get("result", {}),
            tags={name: about[name] for name in ("study", "trial", "seed") if name in about},
            failed=about.get("status") == "failed",
        )
    return found


def of_tensorboard(folder: Path) -> dict[str, Kept]:
    """Read event files with TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    found = {}
    for place in {file.parent for file in folder.rglob("events.out.tfevents.*")}:
        events = EventAccumulator(str(place)).Reload()
        scalars = {
            (tag, event.step): event.value
            for tag in events.Tags()["scalars"]
            for event in events.Scalars(tag)
        }
        content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
        told = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
        plain = {
            name: str(getattr(value, value.WhichOneof("kind"))) for name, value in told.items()
        }
        results = {
            tag.removeprefix("result/"): value
            for (tag, _), value in scalars.items()
            if tag.startswith("result/")
        }
        found[place.name] = Kept(
            settings=plain,
            values={key: value for key, value in scalars.items() if "result/" not in key[0]},
            results=results,
            tags={name: plain[name] for name in ("study", "trial", "seed") if name in plain},
            failed=plain["status"] == "failed",
        )
    return found


def of_mlflow(uri: str) -> dict[str, Kept]:
    """Ask a server, or a database, with MLflow's own client."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = {}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            values = {
                (name, metric.step): metric.value
                for name in run.data.metrics
                for metric in client.get_metric_history(run.info.run_id, name)
            }
            found[run.info.run_name] = Kept(
                settings=dict(run.data.params),
                values={key: value for key, value in values.items() if "result/" not in key[0]},
                results={
                    name.removeprefix("result/"): value
                    for (name, _), value in values.items()
                    if name.startswith("result/")
                },
                tags={n: v for n, v in run.data.tags.items() if n in ("study", "trial", "seed")},
                failed=run.info.status == "FAILED",
            )
            assert experiment.name == run.data.tags["study"]
    return found


def of_wandb(folder: Path) -> dict[str, Kept]:
    """Read the files that `wandb sync` sends."""
    found = {}
    for file in folder.glob("wandb/offline-run-*/run-*.wandb"):
        kept, name = Kept(settings={}, values={}, results={}), ""
        for record in _ended_wandb_records(file):
            for item in record.run.config.update:
                kept.settings[item.key] = str(json.loads(item.value_json))
            if record.HasField("run"):
                name = record.run.display_name
                kept.tags = {"study": record.run.run_group, "trial": record.run.job_type}
            for item in record.summary.update:
                key = item.key or "/".join(item.nested_key)
                if key.startswith("result/"):
                    kept.results[key.removeprefix("result/")] = json.loads(item.value_json)
            if record.HasField("history"):
                row = {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
                seen = row.get("transitions")
                kept.values |= {
                    (key, seen): value
                    for key, value in row.items()
                    if not key.startswith("_") and key != "transitions"
                }
            if record.HasField("exit"):
                kept.failed = record.exit.exit_code != 0
        kept.tags["seed"] = kept.settings["seed"]
        found[name] = kept
    return found


def _ended_wandb_records(file: Path) -> list[Any]:
    """Return the records of a run that has ended, as soon as its end is written."""
    give_up = time.monotonic() + 60
    while True:
        found = _wandb_records(file.read_bytes())
        if any(record.HasField("exit") for record in found) or time.monotonic() > give_up:
            return found
        time.sleep(0.1)


def _wandb_records(content: bytes) -> list[Any]:
    """Return the records of a file: LevelDB's log format behind a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    block, at, parts, found = 32768, 7, b"", []
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        length = int.from_bytes(content[at + 4 : at + 6], "little")
        kind = content[at + 6]
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            found.append(Record.FromString(parts))
            parts = b""
    return found
