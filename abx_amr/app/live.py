"""Parts of a page as server-sent events: each is sent again when it has changed, until the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from abx_amr.app.desk import Desk
from abx_amr.app.watching import event, study_standing
from abx_amr.errors import InputError, first_line

_LOOK_SECONDS = 1.0
#: A look at a study's storage may take from its workers: the pause is so many times as long.
_LOOK_SHARE, _STUDY_SECONDS = 5.0, 3.0

#: What a look remembers for the next one.
Memory = dict[str, Any]
#: Returns the parts of a page by their ids, and whether they may still change.
Look = Callable[[Memory], Awaitable[tuple[Mapping[str, str], bool]]]


async def streamed(look: Look) -> AsyncIterator[str]:
    """Yield what changes, for as long as somebody looks and something may change."""
    shown: dict[str, str] = {}
    memory: Memory = {}
    goes_on = True
    while goes_on:
        began = time.monotonic()
        try:
            parts, goes_on = await look(memory)
        except InputError as error:  # its folder was removed
            parts, goes_on = {"state": first_line(error)}, False
        for name, html in parts.items():
            if shown.get(name) != html:
                shown[name] = html
                yield event("part", {"id": name, "html": str(html)})
        if goes_on:
            yield ": alive\n\n"
            await asyncio.sleep(max(_LOOK_SECONDS, time.monotonic() - began))
    yield event("end", {})


async def standing_of(
    desk: Desk, study: Path, memory: Memory, *, is_at_work: bool
) -> dict[str, Any]:
    """Return how a study stands, as `study_standing`; while it is at work not at every look."""
    if is_at_work and time.monotonic() < memory.get("next", 0.0):
        kept: dict[str, Any] = memory["standing"]
        return kept
    began = time.monotonic()
    found = await desk.reports(study_standing, study)
    ended = time.monotonic()
    memory |= {
        "standing": found,
        "next": ended + max(_STUDY_SECONDS, _LOOK_SHARE * (ended - began)),
    }
    return found
