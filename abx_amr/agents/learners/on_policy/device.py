"""The device that an agent of torch computes on."""

from __future__ import annotations

from typing import Any

import torch

from abx_amr.errors import InputError


def check_device(wanted: Any) -> None:
    """Refuse a device that torch does not know or that this machine lacks.

    Raises:
        InputError: naming what there is.
    """
    if wanted == "auto" or isinstance(wanted, torch.device):
        return
    try:
        kind = torch.device(str(wanted)).type
    except RuntimeError:
        raise InputError(
            f"agent_algorithm.device must be cpu, cuda or auto, got {wanted!r}"
        ) from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"agent_algorithm.device={wanted}: torch {torch.__version__} finds no GPU here; write "
            "agent_algorithm.device=cpu, which these small networks are fast on"
        )
