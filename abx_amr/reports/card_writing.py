"""A run folder's policy card: read as data, written as Markdown beside the evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_text
from abx_amr.reports.card import Played, PolicyCard, card_of
from abx_amr.reports.card_markdown import as_markdown
from abx_amr.reports.subjects import RunSubject

CARD = "card.md"


def write_card(folder: Path) -> Path:
    """Write the policy card of an evaluation into its folder; return its file.

    Raises:
        InputError: the folder lacks what a card is made of.
    """
    file = folder / CARD
    write_text(file, as_markdown(read_card(RunSubject(folder))))
    return file


def read_card(run: RunSubject) -> PolicyCard:
    """Return the policy card of a run of abx-train or abx-evaluate.

    Raises:
        InputError: the folder lacks what a card is made of.
    """
    if run.final is None or not run.summary:
        raise InputError(f"{run.path} is not complete: it has no policy card")
    return card_of(
        Played(
            name=run.name,
            folder=str(run.provenance.get("evaluated_run") or run.path),
            config=run.config,
            summary=run.summary,
            provenance=run.provenance,
            episodes=run.final.sort_values("episode").reset_index(drop=True),
            steps=run.drawn.get("steps"),
            patients=run.drawn.get("patients"),
            rule=rule_of(run),
            trained=_trained(run),
        )
    )


def rule_of(run: RunSubject) -> tuple[str, pd.DataFrame] | None:
    """Return the best rule, or whom a run was played against, on the same episodes."""
    table = run.reading.table(run.folder.compared_file)
    if run.final is None or table is None or not {"policy", "episode"} <= {*table.columns}:
        return None
    for key in ("best_rule", "against"):
        name = (run.summary.get(key) or {}).get("name")
        rows = table[table["policy"].astype(str) == str(name)].sort_values("episode")
        if sorted(rows["episode"]) == sorted(run.final["episode"]):
            return str(name), rows.reset_index(drop=True)
    return None


def _trained(run: RunSubject) -> Mapping[str, Any] | None:
    """Return the configuration of the training; None for a rule or where it is not at hand."""
    if run.summary.get("transitions"):
        return run.config
    source = run.evaluated
    if source is None or "trained_with_seed" not in run.provenance:
        return None
    try:
        return source.read_config()
    except InputError:
        return None
