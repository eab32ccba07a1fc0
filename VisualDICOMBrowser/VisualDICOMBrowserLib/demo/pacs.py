"""A small PACS on the loopback interface: C-ECHO, C-FIND, C-GET, C-MOVE, C-STORE and C-CANCEL.

It is built on pynetdicom's own server and shares nothing with the network and storage layers of the
project, so that it can serve as a peer in their tests.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import socket
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any, cast

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    MPEGTransferSyntaxes,
    RLETransferSyntaxes,
)
from pynetdicom import AE, AllStoragePresentationContexts, _config, build_context, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext

from ..domain import status
from .index import BadQuery, Index, level_of
from .part10 import BULK, Held

AE_TITLE = "DEMO-PACS"
HOST = "127.0.0.1"
_MAX_PDU = 128 * 1024
_IDLE_S = 60.0
#: PS3.4 C.6.1.3 and C.6.2.3: the FIND, MOVE and GET models.
_PATIENT_ROOT = {UID(f"1.2.840.10008.5.1.4.1.2.1.{n}") for n in (1, 2, 3)}
_STUDY_ROOT = {UID(f"1.2.840.10008.5.1.4.1.2.2.{n}") for n in (1, 2, 3)}
_VERIFICATION = UID("1.2.840.10008.1.1")
_UNCOMPRESSED = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
]
#: In the order of our choice when a peer offers several in one presentation context.
_ACCEPTED = [
    *_UNCOMPRESSED,
    *JPEGTransferSyntaxes,
    *JPEGLSTransferSyntaxes,
    *JPEG2000TransferSyntaxes,
    *RLETransferSyntaxes,
    *MPEGTransferSyntaxes,
]
#: A context has one transfer syntax or any of the plain ones; an association has at most 128 (PS3.8 7.1.1.13).
_MAX_CONTEXTS = 128

_NO_MATCHING_IDENTIFIER = 0xA900
_Answer = tuple[int, Dataset | None]


class DemoPacs:
    """The PACS as a context manager; it serves while the block runs.

    :param folder: where received objects are written, under numbers; the caller removes it.
    :param held: the objects to begin with.
    :param port: TCP port, 0 for any free one.
    :param destinations: AE titles that C-MOVE may send to, with host and port; may be changed while it runs.
    """

    def __init__(
        self, folder: Path, held: Iterable[Held] = (), port: int = 0,
        destinations: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:  # fmt: skip
        self.index = Index(held)
        self.destinations = dict(destinations or {})
        self.port = port
        self._folder = folder
        self._numbers = itertools.count(1)
        self._associations: weakref.WeakSet[Association] = weakref.WeakSet()
        self._associations_lock = threading.Lock()
        self._stopping = False
        self._server: Any = None

    def __enter__(self) -> DemoPacs:
        """Listen; :attr:`port` then is the real port."""
        silence_pynetdicom()
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._opened), (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_GET, self._get), (evt.EVT_C_MOVE, self._move), (evt.EVT_C_STORE, self._store),
        ]  # fmt: skip
        self._server = _application_entity().start_server((HOST, self.port), block=False, evt_handlers=handlers)
        self.port = self._server.server_address[1]
        self._server.contexts = _QuicklyCopied(self._server.contexts)
        return self

    def __exit__(self, *error: object) -> None:
        """Cut all connections and stop listening."""
        with self._associations_lock:
            self._stopping = True
            for association in self._associations:
                _cut(association)
        with contextlib.suppress(OSError):  # not every system does that: pynetdicom looks twice a second besides
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()

    def _opened(self, event: evt.Event) -> None:
        """Send small messages at once, and never wait for ever for a peer that stopped in the middle of a PDU."""
        wrapper = event.assoc.dul.socket
        connection = wrapper.socket if wrapper is not None else None
        if connection is None:  # closed again already
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_IDLE_S)
        with self._associations_lock:
            self._associations.add(event.assoc)
            if self._stopping:
                _cut(event.assoc)

    def _find(self, event: evt.Event) -> Iterator[_Answer]:
        try:
            identifier = event.identifier
            level = level_of(identifier, study_root=event.request.AffectedSOPClassUID in _STUDY_ROOT)
        except BadQuery:
            yield _NO_MATCHING_IDENTIFIER, None
            return
        answers, all_supported = self.index.find(level, identifier)
        for answer in answers:
            if event.is_cancelled:
                yield status.CANCEL, None
                return
            answer.RetrieveAETitle = AE_TITLE
            answer.InstanceAvailability = "ONLINE"
            yield status.PENDING if all_supported else status.PENDING_KEYS_IGNORED, answer
            _wait_until_sent(event.assoc)

    def _get(self, event: evt.Event) -> Iterator[int | _Answer]:
        try:
            selected = self._selected(event)
        except BadQuery:
            yield 1
            yield _NO_MATCHING_IDENTIFIER, None
            return
        yield len(selected)
        yield from _sub_operations(event, selected, event.assoc)

    def _move(self, event: evt.Event) -> Iterator[Any]:
        """Yield the destination, the number of objects, then each of them; see pynetdicom's EVT_C_MOVE.

        A bad query is raised on purpose: before there is an association with the destination, pynetdicom can
        answer nothing but "unable to process" (0xC514).
        """
        destination = self.destinations.get(event.move_destination or "")
        if destination is None:
            yield None, None
            return
        selected = self._selected(event)
        opened: list[Association] = []
        handlers = [(evt.EVT_CONN_OPEN, self._opened), (evt.EVT_CONN_OPEN, lambda e: opened.append(e.assoc))]
        yield *destination, {"contexts": _proposed(selected), "max_pdu": _MAX_PDU, "evt_handlers": handlers}
        yield len(selected)
        yield from _sub_operations(event, selected, opened[0])

    def _selected(self, event: evt.Event) -> list[Held]:
        level = level_of(event.identifier, study_root=event.request.AffectedSOPClassUID in _STUDY_ROOT)
        return self.index.select(level, event.identifier)

    def _store(self, event: evt.Event) -> int:
        path = self._folder / f"received-{next(self._numbers):06d}.dcm"
        encoded = event.encoded_dataset()
        try:
            header = dcmread(io.BytesIO(encoded), stop_before_pixels=True)
            stated = header.SOPClassUID, header.SOPInstanceUID
        except (InvalidDicomError, AttributeError, ValueError, EOFError, OSError):
            return status.STORE_CANNOT_UNDERSTAND
        request = cast(C_STORE, event.request)
        if stated != (request.AffectedSOPClassUID, request.AffectedSOPInstanceUID):
            return status.STORE_DATA_SET_MISMATCH
        path.write_bytes(encoded)
        for keyword in BULK:
            if keyword in header:
                delattr(header, keyword)
        self.index.add(Held(header, path, event.context.transfer_syntax))
        return status.SUCCESS


def _wait_until_sent(association: Association) -> None:
    """Wait for the last response to leave: pynetdicom queues without limit, and a C-CANCEL would come too late."""
    while association.is_established and not association.dul.to_provider_queue.empty():
        time.sleep(0.0002)


def _cut(association: Association) -> None:
    """End a connection and the wait for its peer, be it for data or for the request that opens an association.

    pynetdicom tells of a connection that ended only who has an association: an acceptor that waits for its first
    request would hold its socket for the rest of ``acse_timeout``. That it got none is what ``None`` says there.
    """
    wrapper = association.dul.socket
    connection = wrapper.socket if wrapper is not None else None
    if connection is not None:
        with contextlib.suppress(OSError):  # the peer may have closed it a moment ago
            connection.shutdown(socket.SHUT_RDWR)
    if association.requestor.primitive is None:
        association.dul.to_user_queue.put(None)


def _sub_operations(event: evt.Event, selected: Iterable[Held], to: Association) -> Iterator[_Answer]:
    """Yield the objects, read one by one, until the peer cancels."""
    for held in selected:
        if event.is_cancelled:
            yield status.CANCEL, None
            return
        yield status.PENDING, _loaded(held, to.accepted_contexts)


def silence_pynetdicom() -> None:
    """Keep pynetdicom from logging: it would print patients' data, and each slip of a client.

    These settings hold for the whole process.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    logger = logging.getLogger("pynetdicom")
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)


class _QuicklyCopied(list[PresentationContext]):
    """Contexts for pynetdicom's server, which makes a deep copy for each association: 0.1 s with all their UIDs."""

    def __deepcopy__(self, memo: object) -> list[PresentationContext]:
        return [copy(context) for context in self]


def _application_entity() -> AE:
    entity = AE(AE_TITLE)
    entity.maximum_pdu_size = _MAX_PDU
    entity.maximum_associations = 30
    entity.acse_timeout = 10
    entity.connection_timeout = 5
    entity.network_timeout = _IDLE_S
    entity.add_supported_context(_VERIFICATION)
    for model in sorted(_STUDY_ROOT | _PATIENT_ROOT):
        entity.add_supported_context(model, _UNCOMPRESSED)
    for context in AllStoragePresentationContexts:
        # Both roles: a client stores to us, or takes the SCP role to receive the sub-operations of its C-GET.
        entity.add_supported_context(str(context.abstract_syntax), _ACCEPTED, scu_role=True, scp_role=True)
    return entity


def _proposed(selected: Iterable[Held]) -> list[PresentationContext]:
    """Return the contexts of a C-MOVE's sub-association: each object in its own syntax, or in a plain one."""
    held = list(selected)
    own = sorted({(str(one.header.SOPClassUID), str(one.syntax)) for one in held})
    plain = sorted({uid for uid, _ in own})
    contexts = [build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for uid in plain]
    contexts += [build_context(uid, syntax) for uid, syntax in own if syntax != ExplicitVRLittleEndian]
    return contexts[:_MAX_CONTEXTS]


def _loaded(held: Held, contexts: Iterable[PresentationContext]) -> Dataset:
    """Read an object; decompress it if the peer does not take it as it is."""
    dataset = dcmread(held.path)
    accepted = {
        context.transfer_syntax[0] for context in contexts
        if context.abstract_syntax == dataset.SOPClassUID and context.as_scu
    }  # fmt: skip
    if held.syntax.is_encapsulated and held.syntax not in accepted:
        dataset.decompress(generate_instance_uid=False)
    return dataset
