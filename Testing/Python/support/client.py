"""The project's own DIMSE client, for tests: what a C-GET brings is kept in memory, or refused on purpose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from VisualDICOMBrowserLib.dimse.association import Association
from VisualDICOMBrowserLib.dimse.contexts import Proposal
from VisualDICOMBrowserLib.dimse.get import GetOutcome, get
from VisualDICOMBrowserLib.dimse.identifier import Keys
from VisualDICOMBrowserLib.dimse.storing import Incoming
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import VisualDicomError
from VisualDICOMBrowserLib.domain.model import Level
from VisualDICOMBrowserLib.domain.servers import Server

from .messages import STUDY_ROOT_GET, Message
from .pdu import ReleaseRequest, release_rp
from .scripted_peer import Conversation, HungUp

STALL_S = 1.0


def server_at(address: tuple[str, int], ae_title: str = "SCRIPTED", timeout: float = STALL_S) -> Server:
    """Return the configuration of a server on loopback."""
    return Server("peer", *address, called_aet=ae_title, calling_aet="KIT", timeout=timeout)


@dataclass
class MemorySink:
    """Keeps one data set."""

    handler: MemoryHandler
    incoming: Incoming
    data: bytearray = field(default_factory=bytearray)
    fragments: int = 0

    def write(self, data: memoryview) -> None:
        """Take a fragment, or raise what the handler was told to raise while writing."""
        self.fragments += 1
        self.data += data
        self._fail("write")

    def finish(self) -> None:
        """Keep the data set, or raise."""
        self._fail("finish")
        self.handler.instances[self.incoming.sop_uid] = self

    def discard(self) -> None:
        """Note that the data set was dropped."""
        self.handler.discarded.append(self.incoming.sop_uid)

    def _fail(self, where: str) -> None:
        if where in self.handler.failures:
            raise self.handler.failures[where]


@dataclass
class MemoryHandler:
    """Keeps what comes, by SOP Instance UID.

    :param failures: errors to raise in ``open``, ``write`` or ``finish``.
    :ivar opened: the UIDs of everything that was offered.
    """

    failures: Mapping[str, VisualDicomError] = field(default_factory=dict)
    instances: dict[str, MemorySink] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)

    def open(self, incoming: Incoming) -> MemorySink:
        """Begin an instance, or raise."""
        self.opened.append(incoming.sop_uid)
        if "open" in self.failures:
            raise self.failures["open"]
        return MemorySink(self, incoming)

    def data(self) -> dict[str, bytes]:
        """Return the encoded data sets."""
        return {uid: bytes(sink.data) for uid, sink in self.instances.items()}


class NullHandler:
    """Takes everything and keeps nothing but a count."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0

    def open(self, incoming: Incoming) -> NullHandler:
        """Begin an instance."""
        del incoming
        return self

    def write(self, data: memoryview) -> None:
        """Count."""
        self.bytes += len(data)

    def finish(self) -> None:
        """Count."""
        self.count += 1

    def discard(self) -> None:
        """Do nothing."""


def storage(*sop_classes: str, syntaxes: Iterable[tuple[str, ...]] = ()) -> list[Proposal]:
    """Propose C-GET and storage classes; ``syntaxes`` are the transfer syntaxes of each context of a class."""
    groups = list(syntaxes) or [Proposal("").transfer_syntaxes]
    return [
        Proposal(STUDY_ROOT_GET),
        *(Proposal(sop_class, group, as_scp=True) for sop_class in sop_classes for group in groups),
    ]


def fetch(
    server: Server,
    keys: Keys,
    handler: MemoryHandler | NullHandler,
    proposals: list[Proposal],
    *,
    level: Level = Level.SERIES,
    outcome: GetOutcome | None = None,
    token: CancelToken | None = None,
) -> GetOutcome:
    """Do one C-GET over an association of its own, and return what came of it."""
    outcome = outcome or GetOutcome()
    with Association.request(server, proposals, token or CancelToken()) as association:
        get(association, level, keys, handler, outcome)
    return outcome


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer."""
    start = time.monotonic()
    yield
    taken = time.monotonic() - start
    assert taken <= seconds, f"It took {taken:.2f} s instead of at most {seconds:g} s."


class Background:
    """Something that runs in a thread of its own and should be ended from outside."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self.error = error

    def ended_by(self, seconds: float) -> BaseException | None:
        """Wait for the end, and return the error that ended it."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"It goes on after {seconds:g} s."
        return self.error


def until_hangup(peer: Conversation, next_bytes: Callable[[], bytes | Message], pause: float = 0.0) -> None:
    """Send what ``next_bytes`` gives, again and again, until the client ends the connection or the test does."""
    waiting = threading.Event()
    try:
        while True:
            peer.send(next_bytes())
            waiting.wait(pause)
    except ConnectionError:
        return


def farewell(peer: Conversation) -> None:
    """Confirm a release, if one is asked for, and wait until the client has ended the connection."""
    try:
        while not isinstance(peer.receive_pdu(), ReleaseRequest):
            pass
        peer.send(release_rp())
    except (HungUp, ConnectionError):
        return
    peer.wait_for_hangup()


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything that led to it."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
