"""The checkpoint file: an algorithm's own zip with all that belongs to it, so that parts match."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.errors import InputError
from abx_amr.host import atomic_files

_STATE = "abx_amr_state.npz"
_VEC_NORMALIZE = "abx_amr_vec_normalize.pkl"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A saved agent and what belongs to it.

    `agent` is a file for the `load` of the algorithm's class. `state` holds the arrays that were
    saved with it, `vec_normalize` the VecNormalize of its environment (without the environment).
    """

    agent: Path
    state: Mapping[str, NDArray[Any]]
    vec_normalize: Any | None


def write_checkpoint(
    file: Path,
    *,
    agent: bytes,
    state: Mapping[str, NDArray[Any]],
    vec_normalize: Any | None = None,
) -> None:
    """Write an agent and all that belongs to it as ONE file, so that the parts always match.

    The file is the algorithm's own zip with two more members, which its `load` passes over.

    Args:
        file: the file, in a folder that exists.
        agent: what the algorithm's `save` wrote (into a BytesIO).
        state: arrays to save with it: random generators, clinic, counters.
        vec_normalize: the environment's VecNormalize, if it has one.
    """
    arrays = io.BytesIO()
    np.savez(arrays, **dict(state))  # type: ignore[arg-type]
    whole = io.BytesIO(agent)
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(_STATE, arrays.getvalue())
        if vec_normalize is not None:
            archive.writestr(_VEC_NORMALIZE, pickle.dumps(vec_normalize))
    atomic_files.write_bytes(file, whole.getvalue())


def read_checkpoint(file: Path) -> Checkpoint:
    """Return what `write_checkpoint` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no checkpoint.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.namelist()
            if "data" not in members:  # what is cut off may still end like an archive
                raise zipfile.BadZipFile("it was cut off")
            state: dict[str, NDArray[Any]] = {}
            if _STATE in members:
                with np.load(io.BytesIO(archive.read(_STATE)), allow_pickle=False) as arrays:
                    state = {key: arrays[key] for key in arrays.files}
            normalize = (
                pickle.loads(archive.read(_VEC_NORMALIZE)) if _VEC_NORMALIZE in members else None
            )
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        other = "best" if file.stem == "last" else "last"
        beside = file.with_name(f"{other}.zip").is_file()
        cure = f"the checkpoint '{other}' beside it may be whole" if beside else "train it again"
        raise InputError(f"{file} is damaged or no checkpoint ({error}): {cure}") from error
    return Checkpoint(agent=file, state=state, vec_normalize=normalize)
