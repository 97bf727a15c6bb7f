"""Read a run folder for its policy card, and write the card beside the evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from abx_amr.errors import InputError
from abx_amr.host.atomic_files import write_text
from abx_amr.reports.card import Played, PolicyCard, card_of
from abx_amr.reports.card_markdown import as_markdown
from abx_amr.runs.folder import RunFolder

CARD = "card.md"


def write_card(folder: Path) -> Path:
    """Write the policy card of an evaluation into its folder; return its file.

    Raises:
        InputError: the folder lacks what a card is made of.
    """
    file = folder / CARD
    write_text(file, as_markdown(read_card(RunFolder.open(folder))))
    return file


def read_card(folder: RunFolder) -> PolicyCard:
    """Return the policy card of a complete run of abx-train or abx-evaluate.

    Raises:
        InputError: the folder lacks what a card is made of.
    """
    if not folder.is_complete:
        raise InputError(f"{folder.path} is not complete: it has no policy card yet")
    config, summary, provenance = (
        folder.read_config(),
        folder.read_summary(),
        folder.read_provenance(),
    )
    table = folder.read_evaluations()
    last = table[table["transitions"] == table["transitions"].max()]
    has_steps = folder.trajectories_file.is_file()
    has_patients = folder.patients_file.is_file()
    return card_of(
        Played(
            name=folder.run_name,
            folder=str(folder.path),
            config=config,
            summary=summary,
            provenance=provenance,
            episodes=last.sort_values("episode").reset_index(drop=True),
            steps=folder.read_trajectories() if has_steps else None,
            patients=folder.read_patients() if has_patients else None,
            rule=_rule(folder, summary, last),
            trained=_trained(config, summary, provenance),
        )
    )


def _rule(
    folder: RunFolder, summary: Mapping[str, Any], episodes: pd.DataFrame
) -> tuple[str, pd.DataFrame] | None:
    """Return the best rule, or whom it was played against, on the same episodes."""
    if not folder.compared_file.is_file():
        return None
    table = folder.read_compared()
    for key in ("best_rule", "against"):
        name = (summary.get(key) or {}).get("name")
        rows = table[table["policy"] == str(name)].sort_values("episode")
        if sorted(rows["episode"]) == sorted(episodes["episode"]):
            return str(name), rows.reset_index(drop=True)
    return None


def _trained(
    config: Mapping[str, Any], summary: Mapping[str, Any], provenance: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the configuration of the training; None for a rule or where it is not at hand."""
    if summary.get("transitions"):
        return config
    source = provenance.get("evaluated_run")
    if source is None or "trained_with_seed" not in provenance:
        return None
    try:
        return RunFolder.open(str(source)).read_config()
    except InputError:
        return None
