"""Delivery in order and one at a time, and the end of it that others wait for."""

from __future__ import annotations

import threading

from VisualDICOMBrowserLib.jobs.mailbox import Mailbox


def test_what_another_thread_delivers_is_waited_for():
    mailbox, begun, go_on, delivered = Mailbox(), threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        assert go_on.wait(10)
        delivered.append("slow")

    mailbox.post(slow)
    mailbox.post(lambda: delivered.append("next"))
    other = threading.Thread(target=mailbox.drain)
    other.start()
    assert begun.wait(10)
    assert not mailbox.settle(0.01)
    go_on.set()
    assert mailbox.settle(10)
    assert delivered == ["slow", "next"]
    other.join(10)
    assert mailbox.settle(0)


def test_a_callback_does_not_wait_for_itself():
    mailbox, told = Mailbox(), []
    mailbox.post(lambda: told.append(mailbox.settle(10)))
    mailbox.post(lambda: told.append("last"))
    mailbox.drain()
    assert told == [True, "last"]
