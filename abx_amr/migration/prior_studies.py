"""The prior tool's tuning files as ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from abx_amr.migration.prior_files import PRIOR_PPO
from abx_amr.migration.prior_sections import (
    Notes,
    Plain,
    default_of,
    mapping_of,
    take,
    take_section,
)

SAMPLERS = {"tpe": "tpe", "random": "random", "cmaes": "cmaes"}


def translate_tuning(given: Mapping[str, Any], *, agent: str, notes: Notes) -> Plain:
    """Return our tuning file for a prior one, for the agent that the umbrella trains."""
    rest = {k: v for k, v in given.items() if k not in ("optimization", "search_space")}
    notes.lose_rest(rest, "tuning: ")
    section = take_section(dict(given), "optimization", "tuning: ")
    ours: Plain = {"defaults": ["base"]}
    if "n_trials" in section:
        notes.changed.append(
            "n_trials: was counted for each worker, is the budget of the whole study here"
        )
    base = default_of("tuning", "base")
    for key in ("n_trials", "n_seeds_per_trial", "truncated_episodes", "direction"):
        ours[key] = take(section, key, base[key], notes, "optimization.")
    # A manager's returns vary more from seed to seed: its own studies weigh that more.
    weight = "stability_penalty_weight"
    study = agent if agent == PRIOR_PPO else f"{agent}_default"
    default = default_of("tuning", study).get(weight, base[weight])
    ours[weight] = take(section, weight, default, notes, "optimization.")
    sampler = section.pop("sampler", None)
    if sampler is not None:
        name = re.sub(r"[^a-z]", "", str(sampler).lower())
        if name not in SAMPLERS:
            known = ", ".join(SAMPLERS)
            notes.lose("optimization.sampler", sampler, f"tpe is used (known: {known}, gp, qmc)")
        ours["sampler"] = SAMPLERS.get(name, "tpe")
    _tpe(take_section(section, "tpe_config", "optimization."), ours, notes)
    notes.lose_rest(section, "optimization.")
    ours["search_space"] = _search_space(given.get("search_space") or {}, agent, notes)
    return ours


def agent_of(given: Mapping[str, Any]) -> str:
    """Return the agent whose hyper-parameters a prior tuning file searches, by their prefixes.

    >>> agent_of({"search_space": {"ppo.gamma": {}, "option_gamma": {}}})
    'hrl_ppo'
    >>> agent_of({"search_space": {"ppo.gamma": {}}})
    'ppo_tutorial'
    """
    keys = [str(key) for key in mapping_of(given.get("search_space"), "search_space")]
    prefixes = {key.partition(".")[0] for key in keys if "." in key}
    is_manager = any(key.rpartition(".")[2] == "option_gamma" for key in keys)
    if "recurrent_ppo" in prefixes:
        return "hrl_rppo" if is_manager else "recurrent_ppo"
    if "a2c" in prefixes:
        return "a2c"
    return "hrl_ppo" if is_manager else PRIOR_PPO


def _tpe(given: Plain, ours: Plain, notes: Notes) -> None:
    if given and ours.get("sampler", "tpe") != "tpe":
        notes.lose("optimization.tpe_config", given, f"the sampler is {ours['sampler']}")
        return
    options: Plain = {}
    if "n_startup_trials" in given:
        options["n_startup_trials"] = given.pop("n_startup_trials")
    liar = given.pop("constant_liar", "auto")
    # YAML reads a bare on or off as true or false.
    known = {"on": True, "true": True, "off": False, "false": False, "auto": None}
    if str(liar).lower() not in known:
        notes.lose("optimization.tpe_config.constant_liar", liar, "it must be auto, on or off")
    elif (is_on := known[str(liar).lower()]) is not None:
        options["constant_liar"] = is_on
    notes.lose_rest(given, "optimization.tpe_config.")
    if options:
        ours["sampler_options"] = options


def _search_space(given: Any, agent: str, notes: Notes) -> Plain:
    values = default_of("agent_algorithm", agent)
    found: Plain = {}
    for key, entry in mapping_of(given, "search_space").items():
        name = re.sub(r"^(ppo|a2c|recurrent_ppo|agent_algorithm)\.", "", str(key))
        where = f"search_space.{key}"
        if name in ("option_gamma", "hrl.option_gamma"):
            path = "hrl.option_gamma" if agent.startswith("hrl_") else None
        else:
            path = f"agent_algorithm.{name}" if name in values else None
        if path is None or name in ("policy", "_target_", "policy_kwargs"):
            notes.lose(where, entry, f"{agent} has no such hyper-parameter")
            continue
        fields = dict(mapping_of(entry, where))
        known = ("type", "low", "high", "step", "log", "choices")
        bare = "option_gamma" if path.startswith("hrl.") else name
        found[bare] = {k: fields.pop(k) for k in known if k in fields}
        notes.lose_rest(fields, f"{where}.")
    if found:
        notes.changed.append(
            "search_space: its names reached no agent in the prior tool; here each searched value "
            "is read back from the built agent"
        )
    return found
