"""Signals end a block wherever they come, or are handed on by a process that waits."""

import os
import signal
import sys
import threading
import time
import weakref
import zipfile
from collections import deque
from pathlib import Path

import pytest

from abx_amr.host.signals import ONE_KEY_SECONDS, CommandInterruptError, Interrupts, handed_on


class Held:
    """Something that a weak reference can be of."""


@pytest.fixture
def ended_by_sigint() -> Interrupts:
    return Interrupts([signal.SIGINT], error=CommandInterruptError)


def test_an_interrupt_that_python_drops_is_raised_again(
    ended_by_sigint: Interrupts, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = sys.unraisablehook
    held = Held()
    kept = [weakref.ref(held, lambda reference: os.kill(os.getpid(), signal.SIGINT))]
    went_on = False
    with (
        pytest.raises(CommandInterruptError),
        ended_by_sigint.watched(),
        ended_by_sigint.ending(),
    ):
        del held  # the error leaves the callback, and Python goes on
        went_on = True
        time.sleep(10)
    assert kept
    assert went_on
    assert capsys.readouterr().err == ""
    assert sys.unraisablehook is hook


def test_what_else_python_drops_is_said_as_ever(
    ended_by_sigint: Interrupts, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: dropped.append(args.exc_type))
    held = Held()
    kept = [weakref.ref(held, lambda reference: 1 / 0)]
    with ended_by_sigint.watched(), ended_by_sigint.ending():
        del held
    assert kept
    assert dropped == [ZeroDivisionError]


def test_who_is_woken_by_another_thread_is_not_forgotten_in_an_interrupt(
    ended_by_sigint: Interrupts,
) -> None:
    """A waiter that stays behind takes the next wake-up: that of nobody."""
    condition = threading.Condition()

    class Waiters(deque[object]):
        def remove(self, waiter: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            super().remove(waiter)

    condition._waiters = Waiters()  # type: ignore[attr-defined]
    woken = threading.Event()

    def wait() -> None:
        with condition:
            assert condition.wait(60)
        woken.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not condition._waiters:  # type: ignore[attr-defined]
        time.sleep(0.01)
    with (
        pytest.raises(CommandInterruptError),
        ended_by_sigint.watched(),
        ended_by_sigint.ending(),
    ):
        with condition:
            condition.notify()
        assert woken.wait(60)
        time.sleep(10)
    waiting.join(60)
    assert woken.is_set()
    assert not condition._waiters  # type: ignore[attr-defined]


def test_an_archive_that_is_interrupted_is_closed_and_the_interrupt_is_what_comes_of_it(
    ended_by_sigint: Interrupts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = zipfile.ZipFile._open_to_write  # type: ignore[attr-defined]

    def interrupted(*arguments: object, **keywords: object) -> object:
        handle = opened(*arguments, **keywords)
        os.kill(os.getpid(), signal.SIGINT)  # the archive waits for the handle, which nobody has
        return handle

    monkeypatch.setattr(zipfile.ZipFile, "_open_to_write", interrupted)
    with (
        pytest.raises(CommandInterruptError),
        ended_by_sigint.watched(),
        ended_by_sigint.ending(),
        zipfile.ZipFile(tmp_path / "a.zip", "w") as archive,
    ):
        archive.writestr("a", "b")
        time.sleep(10)


def test_one_interrupt_may_come_twice(ended_by_sigint: Interrupts) -> None:
    """As from timeout(1), which sends it to the process and to its group."""
    with (
        pytest.raises(CommandInterruptError),
        ended_by_sigint.watched(),
        ended_by_sigint.ending(),
    ):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGINT)  # later, it would end the process


def test_a_signal_that_comes_twice_is_handed_on_once() -> None:
    told: list[int] = []
    with handed_on(told.append) as received:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
    assert told == received == [signal.SIGINT]


def test_a_waiting_process_hands_signals_on_and_goes_on_itself() -> None:
    before = signal.getsignal(signal.SIGTERM)
    told: list[int] = []
    with handed_on(told.append) as received:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert told == received == [signal.SIGTERM, signal.SIGINT]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_signal_may_mean_more_than_the_first() -> None:
    first: list[int] = []
    later: list[int] = []
    with handed_on(first.append, later_to=later.append):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1.5 * ONE_KEY_SECONDS)
    assert (len(first), len(later)) == (1, 2)


def test_a_thread_that_may_take_no_signals_waits_all_the_same() -> None:
    before = signal.getsignal(signal.SIGINT)
    during: list[object] = []

    def wait() -> None:
        with handed_on(lambda number: None) as received:
            during.extend((signal.getsignal(signal.SIGINT), received))

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert during == [before, []]
