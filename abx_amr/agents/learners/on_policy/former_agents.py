"""Agents that release 0.1 saved as Stable-Baselines3 does, read as data and told as of today.

What Stable-Baselines3 pickled is read by `inert_pickle`; its tensors by torch as tensors alone.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from abx_amr.agents.learners.on_policy import normalising
from abx_amr.agents.learners.on_policy.inert_pickle import Placeholder, read_inert
from abx_amr.agents.learners.on_policy.packing import NotPlainError, pack
from abx_amr.agents.prescriber import Arrays, StoredAgent
from abx_amr.errors import InputError, first_line

_VEC_NORMALIZE = "abx_amr_vec_normalize.pkl"
#: Attributes that training changes, of every on-policy algorithm of Stable-Baselines3 and contrib.
_CHANGED = (
    *("num_timesteps", "_total_timesteps", "_num_timesteps_at_start", "_episode_num", "_n_updates"),
    *("_current_progress_remaining", "_last_obs", "_last_episode_starts", "_last_original_obs"),
    *("ep_info_buffer", "ep_success_buffer", "_stats_window_size"),
)
_QUEUES = ("ep_info_buffer", "ep_success_buffer")  # statistics of the library's own logs


def as_of_today(stored: StoredAgent) -> tuple[Arrays, Mapping[str, Any]]:
    """Return the arrays and the plain values of a stored agent as this release saves them.

    Raises:
        InputError: it is neither of this release nor of 0.1.
    """
    if "parameters" in stored.facts:
        return stored.state, stored.facts
    try:
        return _of_0_1(stored)
    except (
        *(KeyError, ValueError, TypeError, AttributeError, RuntimeError, EOFError),
        *(zipfile.BadZipFile, pickle.UnpicklingError, binascii.Error),
    ) as error:
        raise InputError(
            f"{stored.file} holds no agent that can be read as data: {first_line(error)}; "
            "train it again"
        ) from error


def _of_0_1(stored: StoredAgent) -> tuple[Arrays, Mapping[str, Any]]:
    state = dict(stored.state)
    with zipfile.ZipFile(stored.file) as archive:
        attributes = json.loads(archive.read("data"))
        parameters = {
            name.removesuffix(".pth"): _tensors(archive, name)
            for name in archive.namelist()
            if name.endswith(".pth") and "/" not in name and name != "pytorch_variables.pth"
        }
        variables = _tensors(archive, "pytorch_variables.pth")
        normalised = None
        if _VEC_NORMALIZE in archive.namelist():
            normalised = read_inert(archive.read(_VEC_NORMALIZE))
    facts: dict[str, Any] = {
        "observation_shape": list(_state(_value(attributes["observation_space"]))["_shape"]),
        "action_choices": _action_choices(_value(attributes["action_space"])),
        "seed": attributes["seed"],
        "parameters": pack("parameters", {**parameters, **(variables or {})}, state),
        "attributes": {},
    }
    for name in set(_CHANGED) & attributes.keys() - set(_QUEUES):
        try:
            facts["attributes"][name] = pack(f"attributes.{name}", _value(attributes[name]), state)
        except NotPlainError as error:
            raise ValueError(str(error)) from error
    if normalised is not None:
        facts["normalise"] = _normalised(_state(normalised), state)
    return state, facts


def _tensors(archive: zipfile.ZipFile, name: str) -> Any:
    content = io.BytesIO(archive.read(name))
    found = torch.load(content, map_location="cpu", weights_only=True)
    return dict(found) if isinstance(found, dict) else found


def _value(saved: Any) -> Any:
    """Return an attribute: JSON, or what was pickled for want of it."""
    if isinstance(saved, dict) and ":serialized:" in saved:
        return read_inert(base64.b64decode(saved[":serialized:"]))
    return saved


def _state(value: Any) -> dict[str, Any]:
    """Return the attributes of an object that was pickled."""
    state = value.state if isinstance(value, Placeholder) else None
    if isinstance(state, tuple):  # attributes, and those of slots
        state = state[0]
    if not isinstance(state, dict):
        raise ValueError("an object without attributes")
    return state


def _action_choices(space: Any) -> list[int]:
    attributes = _state(space)
    found = attributes["nvec"] if "nvec" in attributes else attributes["n"]
    return [int(count) for count in np.ravel(found)]


def _normalised(attributes: Mapping[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Add the statistics of a VecNormalize to the arrays; return its settings."""
    for name, attribute in normalising.RUNNING.items():
        if attribute in attributes:
            running = _state(attributes[attribute])
            for part in ("mean", "var", "count"):
                state[f"normalise.{name}.{part}"] = np.asarray(running[part], dtype=np.float64)
    return {name: attributes[name] for name in normalising.SETTINGS}
