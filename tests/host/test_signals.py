"""A process that waits for others hands on the signals that it gets."""

import os
import signal
import threading

from abx_amr.host.signals import handed_on


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
