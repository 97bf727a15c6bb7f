"""What clinics take of a machine's memory, said before it is asked for.

Shapes: E clinics, P patients, T steps, K antibiotics.
"""

from __future__ import annotations

from abx_amr.errors import InputError
from abx_amr.host.memory import in_gib, total_bytes

#: Numbers of 8 bytes that are kept of each patient at once: attributes as they are and as they are
#: seen, draws, actions, outcomes and the observation.
_PER_PATIENT = 24
#: Numbers of 8 bytes that an evaluation keeps of each step and antibiotic.
_PER_STEP = 8


def needed_bytes(*, clinics: int, patients: int, steps: int = 0, antibiotics: int = 1) -> int:
    """Return about how many bytes E clinics take at one step, with a record of T steps.

    >>> needed_bytes(clinics=8, patients=1)
    1536
    """
    return 8 * clinics * (_PER_PATIENT * patients + _PER_STEP * steps * antibiotics)


def refuse_beyond_memory(size: int, *, what: str) -> None:
    """Refuse what takes more memory than this process may have.

    Raises:
        InputError: with both figures.
    """
    if size > (total := total_bytes()):
        raise InputError(
            f"{what} would take about {in_gib(size)} of memory, and this machine gives "
            f"{in_gib(total)}: choose fewer"
        )
