"""What abx-tune says of a study's final: found, selected, held out, default, best rule, gap."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from abx_amr.planning.gap import gap_lines
from abx_amr.studies.members import SEARCHED_GROUPS
from abx_amr.studies.records import DEFAULT


def final_lines(final: Mapping[str, Any]) -> list[str]:
    """Return the lines about a final that is over, from a study's summary."""
    held_out, candidates = final["held_out"], final["candidates"]
    seeds = [int(seed) for seed in candidates[0]["seeds"]]
    value = next(c["objective"] for c in candidates if c["point"] == final["selected"])
    lines = [
        f"final: {len(candidates)} points x {len(seeds)} seeds ({seeds[0]}..{seeds[-1]}), then "
        f"seeds {held_out['seeds'][0]}..{held_out['seeds'][-1]} on "
        f"{held_out['episodes']} episodes that nothing has seen",
        f"  found     {_number(final['found'])}, the best value of the search: too good, since it "
        "is the best of many",
        f"  selected  {named(final['selected'])}, {_number(value)} by mean - lambda * std on fresh "
        "seeds",
        f"  held out  {valued(held_out['selected'])}",
        f"  default   {valued(held_out['default'])}{_which_default(final)}",
        f"  {compared(final)}",
    ]
    if "optimum" in held_out:
        said = {**held_out, "mean_return": held_out["selected"]["mean"]}
        lines += [f"  {line}" for line in gap_lines(said)]
    return lines


def _which_default(final: Mapping[str, Any]) -> str:
    """Return which configuration's default it is, where the study chose between several."""
    params = next(c.get("params") or {} for c in final["candidates"] if c["point"] == DEFAULT)
    chosen = [f"{group}={params[group]}" for group in SEARCHED_GROUPS if group in params]
    return f", that of {' '.join(chosen)}" if chosen else ""


def named(point: int | str) -> str:
    """Return a point for people."""
    return "the default" if point == DEFAULT else f"trial {point}"


def valued(value: Mapping[str, Any]) -> str:
    """Return a mean with its interval.

    >>> valued({"mean": -1.0, "interval_95": [-2.0, 0.0]})
    '-1.000 (95 % interval -2.000 to 0.000)'
    """
    if value["mean"] is None:
        return "none: all seeds failed"
    return f"{value['mean']:.3f}{_within(value['interval_95'])}"


def compared(final: Mapping[str, Any]) -> str:
    """Return in one line whether the default is beaten."""
    difference = final["held_out"]["difference"]
    if final["selected"] == DEFAULT:
        return "the default is NOT beaten: it wins the comparison itself, and is the result"
    if difference["mean"] is None:
        return "the default cannot be compared: no seed succeeded in both"
    by = f"difference {difference['mean']:.3f}{_within(difference['interval_95'])}"
    if final["default_beaten"]:
        return f"the default is beaten: {by}"
    if final["default_beaten"] is False:
        return f"the default is NOT beaten, it is better: {by}"
    return f"the default is NOT beaten, not distinguishably: {by}"


def default_overrides(final: Mapping[str, Any]) -> list[str]:
    """Return what chooses the default at every searched path, for a command line."""
    params = next(c["params"] for c in final["candidates"] if c["point"] == DEFAULT)
    return [f"{path}={_written(value)}" for path, value in params.items()]


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _within(interval: Sequence[float] | None) -> str:
    if interval is None or interval[0] is None:
        return ""
    return f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})"


def _number(value: float | None) -> str:
    return "none (all seeds failed)" if value is None else f"{value:.3f}"
