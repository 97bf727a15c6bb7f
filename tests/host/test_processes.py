"""A process is known again, dead or alive, by whoever stands on its machine."""

import os
import time
from dataclasses import replace

from abx_amr.host.processes import ProcessIdentity


def test_this_process_is_alive_and_a_child_that_ended_is_not():
    here = ProcessIdentity.of_this_process()
    assert here.is_alive
    assert not here.has_died
    child = os.fork()
    if child == 0:
        time.sleep(0.2)
        os._exit(0)
    forked = replace(here, pid=child, started=None)
    assert not forked.has_died
    time.sleep(0.6)
    assert forked.has_died  # a zombie that nobody has waited for
    os.waitpid(child, 0)
    assert forked.has_died
    assert not forked.is_alive


def test_a_process_number_that_was_given_away_again_is_a_death():
    assert replace(ProcessIdentity.of_this_process(), started="1").has_died


def test_nothing_is_known_of_other_machines():
    for key in ("host", "boot", "container"):
        elsewhere = replace(ProcessIdentity.of_this_process(), **{key: "other"})
        assert not replace(elsewhere, pid=99999999).has_died
        assert not elsewhere.is_alive


def test_an_identity_is_written_and_read_beside_other_things():
    here = ProcessIdentity.of_this_process()
    assert ProcessIdentity.from_record({**here.as_record(), "token": "x"}) == here
    unknown = ProcessIdentity.from_record({"host": here.host})
    assert not unknown.has_died
    assert not unknown.is_alive
