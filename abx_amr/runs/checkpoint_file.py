"""The checkpoint file: an agent as arrays and plain values in one zip, read as data alone.

    abx_amr/facts.json          plain values: counters, shapes, settings of a normalisation
    abx_amr/arrays/<name>.npy   arrays of numbers: weights, optimiser, random streams, environment
    abx_amr/signature           of the account that wrote it, where there is more than that

A learner that saves by a library of its own has that library's members beside these. Nothing here
opens them: whoever asks for them must trust them, see `Checkpoint.agent`. Release 0.1 kept its
arrays as `abx_amr_state.npz` beside Stable-Baselines3's own members.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abx_amr.errors import InputError
from abx_amr.host import atomic_files
from abx_amr.host.signing import is_signed, signature

_FACTS = "abx_amr/facts.json"
_ARRAYS = "abx_amr/arrays/"
_SIGNATURE = "abx_amr/signature"
_STATE_OF_0_1 = "abx_amr_state.npz"
#: Larger plain values than this are no counters and shapes.
_LARGEST_FACTS = 64 * 1024**2


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A saved agent as data.

    Attributes:
        file: The checkpoint's file, to be read as data.
        state: The arrays that were saved.
        facts: The plain values that were saved; empty in a checkpoint of release 0.1.
        is_trusted: Whether the user said so (trust=true).
    """

    file: Path
    state: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]
    is_trusted: bool = False

    @property
    def agent(self) -> Path:
        """The file, for the `load` of a learner's own library, which may run what is in it.

        Raises:
            InputError: neither did this account write it nor did the user say to trust it.
        """
        if not self.is_trusted and not _is_own(self.file):
            raise InputError(
                f"{self.file} is read by the learner's own library, which may run code that the "
                "file brings, and this account did not write it: if you know where it comes from, "
                "add trust=true"
            )
        return self.file


def write_checkpoint(
    file: Path,
    *,
    state: Mapping[str, NDArray[Any]],
    facts: Mapping[str, Any] | None = None,
    agent: bytes | None = None,
) -> None:
    """Write an agent and all that belongs to it as ONE file, so that the parts always match.

    Args:
        file: the file, in a folder that exists.
        state: arrays: weights, optimiser, random generators, clinic, counters.
        facts: plain values of JSON's own types.
        agent: a zip of the learner's own library, if it writes one.

    Raises:
        ValueError: an array is of objects.
    """
    whole = io.BytesIO(agent or b"")
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(_FACTS, json.dumps(facts or {}))
        for name, array in state.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(f"{_ARRAYS}{name}.npy", content.getvalue())
        if agent is not None and (signed := signature(_digest(archive))) is not None:
            archive.writestr(_SIGNATURE, signed)
    atomic_files.write_bytes(file, whole.getvalue())


def read_checkpoint(file: Path, *, trust: bool = False) -> Checkpoint:
    """Return what `write_checkpoint` wrote, of this release or of 0.1; nothing in it is run.

    Args:
        file: the file.
        trust: whether the user trusts what a library of the learner's own would run.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it is no checkpoint.
    """
    if file.exists() and not file.is_file():  # a pipe never ends, nor does a device
        raise InputError(f"{file} is no file: put the checkpoint back, or train it again")
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.namelist()
            if _FACTS in members:
                facts, state = _read_facts(archive), dict(_read_arrays(archive))
            elif "data" in members and _STATE_OF_0_1 in members:
                facts, state = {}, _read_state_of_0_1(archive)
            else:
                raise zipfile.BadZipFile("it was cut off, or is another library's")
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, SyntaxError),
        *(NotImplementedError, RuntimeError, MemoryError, OverflowError, RecursionError),
    ) as error:
        other = "best" if file.stem == "last" else "last"
        beside = file.with_name(f"{other}.zip").is_file()
        cure = f"the checkpoint '{other}' beside it may be whole" if beside else "train it again"
        raise InputError(f"{file} is damaged or no checkpoint ({error}): {cure}") from error
    return Checkpoint(file=file, state=state, facts=facts, is_trusted=trust)


def _read_facts(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(_FACTS).file_size > _LARGEST_FACTS:
        raise ValueError(f"{_FACTS} is larger than any agent's")
    facts = json.loads(archive.read(_FACTS))
    if not isinstance(facts, dict):
        raise ValueError(f"{_FACTS} must hold an object")
    return facts


def _read_arrays(archive: zipfile.ZipFile) -> Iterator[tuple[str, NDArray[Any]]]:
    for member in archive.infolist():
        if member.filename.startswith(_ARRAYS):
            name = member.filename.removeprefix(_ARRAYS).removesuffix(".npy")
            yield name, _array(_stored(archive, member))


def _read_state_of_0_1(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """Return the arrays that release 0.1 kept as an archive of NumPy."""
    content = io.BytesIO(_stored(archive, archive.getinfo(_STATE_OF_0_1)))
    with zipfile.ZipFile(content) as arrays:
        return {
            member.filename.removesuffix(".npy"): _array(_stored(arrays, member))
            for member in arrays.infolist()
        }


def _stored(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return a member that takes as much room in the file as in memory: none can be a bomb."""
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed, which no checkpoint's arrays are")
    return archive.read(member)


def _array(content: bytes) -> NDArray[Any]:
    """Return an array of numbers or text; its header claims neither more nor less than there is."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"arrays of NumPy's format {version} are not kept in checkpoints")
    shape, is_fortran, dtype = read(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError("an array holds objects, or was cut off")
    flat = np.frombuffer(content, dtype=dtype, offset=stream.tell(), count=math.prod(shape))
    return flat.reshape(shape, order="F" if is_fortran else "C").copy()


def _digest(archive: zipfile.ZipFile) -> bytes:
    """Return the digest of names and contents of all members but the signature.

    Raises:
        ValueError: two members have one name: two readers could see different ones.
    """
    names = sorted(name for name in archive.namelist() if name != _SIGNATURE)
    if len(set(names)) < len(names):
        raise ValueError("two members have the same name")
    whole = hashlib.sha256()
    for name in names:
        whole.update(hashlib.sha256(name.encode()).digest())
        whole.update(hashlib.sha256(archive.read(name)).digest())
    return whole.digest()


def _is_own(file: Path) -> bool:
    """Return whether this account signed the file."""
    with zipfile.ZipFile(file) as archive:
        if _SIGNATURE not in archive.namelist():
            return False
        try:
            return is_signed(_digest(archive), archive.read(_SIGNATURE))
        except (ValueError, zipfile.BadZipFile, zlib.error):
            return False
