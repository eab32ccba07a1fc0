"""While an engine reads a large folder for the first time, the window says how far it is, and shows what there is."""

from __future__ import annotations

from concurrent.futures import Future

from VisualDICOMBrowserLib.engine.messages import OPENING, Event, Hello
from VisualDICOMBrowserLib.gui.session import Session
from VisualDICOMBrowserLib.store.reader import CatalogueReader


class Client:
    """An engine that takes its time."""

    def __init__(self):
        self.ready = Future()
        self.calls = []

    def on_event(self, callback):
        self.tell = callback

    def on_end(self, callback):
        self.end = callback

    def start(self):
        return self.ready

    def call_async(self, method, params):
        self.calls.append(method)
        return Future()

    def close(self):
        self.closed = True


def test_opening_is_told_and_what_is_read_can_be_looked_at(tmp_path):
    client = Client()
    session = Session(lambda: client, CatalogueReader(tmp_path))
    said, changed = [], []
    session.said.connect(said.append)
    session.catalogue_changed.connect(lambda: changed.append(1))
    session.start()
    client.tell(Event("engine", OPENING, {"done": 0, "total": 0}))
    client.tell(Event("engine", OPENING, {"done": 1200, "total": 40000}))
    assert said[0].text.endswith("many changes …")
    assert said[1].text.endswith("1,200 of 40,000 studies.")
    assert {message.about for message in said} == {OPENING}
    assert changed == [1, 1]
    client.ready.set_result(Hello(1, "1", "folder"))
    assert session.ready
    client.tell(Event("engine", OPENING, {"done": 39900, "total": 40000}))  # overtaken by the greeting
    assert len(said) == 2
    assert client.calls == ["jobs", "calls"]
    session.close()
    assert client.closed
