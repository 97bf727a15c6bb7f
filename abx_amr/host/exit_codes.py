"""The exit statuses of all commands and workers, in one table.

A process that a signal ended has the shell's status of that signal.
"""

from __future__ import annotations

#: All is done.
SUCCESS = 0
#: Some of it failed, or is not there; also Python's own status after a traceback.
FAILURE = 1
#: A mistake of the user's, said in one line.
USER_ERROR = 2
#: Work is left because a time limit is near: the same command goes on (EX_TEMPFAIL).
TEMPORARY = 75


def of_signal(number: int) -> int:
    """Return the status of a process that was asked to stop by a signal.

    >>> import signal
    >>> of_signal(signal.SIGINT)
    130
    """
    return 128 + number


def signal_of(status: object) -> int | None:
    """Return the signal that a status stands for, None for any other status.

    >>> signal_of(143), signal_of(USER_ERROR), signal_of(TEMPORARY), signal_of(None)
    (15, None, None, None)
    """
    return status - 128 if isinstance(status, int) and status > 128 else None
