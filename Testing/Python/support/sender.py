"""A storage SCU of stock pynetdicom, to fill a server: one context for each SOP class and transfer syntax."""

from __future__ import annotations

import logging
import socket
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import pydicom
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import build_context
from pynetdicom.status import code_to_category

from .corpus import CorpusFile, LeftOut

VERIFICATION = "1.2.840.10008.1.1"

#: A presentation context id is an odd byte, so one association holds 128 of them (PS3.8, 9.3.2.2); one is ours.
CONTEXTS = 127

#: Files by SOP class and transfer syntax.
Kinds = dict[tuple[str, str], list[CorpusFile]]


def send_files(
    address: tuple[str, int], called: str, files: Iterable[CorpusFile], calling: str = "KITSEND"
) -> list[LeftOut]:
    """C-STORE the files as they are, and return those that the server did not take.

    :raises AssertionError: no association could be made.
    """
    with quiet_libraries():
        return [entry for kinds in _batches(files) for entry in _send_batch(address, called, calling, kinds)]


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence pydicom and pynetdicom: what they say about odd files is no news to a test that needs a filled server."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "pynetdicom")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _send_batch(address: tuple[str, int], called: str, calling: str, kinds: Kinds) -> list[LeftOut]:
    refused: list[LeftOut] = []
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in kinds]
    contexts.append(build_context(VERIFICATION))  # one that is accepted, else pynetdicom gives up by itself
    association = AE(calling).associate(
        *address,
        ae_title=called,
        contexts=contexts,
        max_pdu=131072,
        evt_handlers=[(evt.EVT_CONN_OPEN, without_delay)],
    )
    assert association.is_established, f"{called} refused the association of the kit's sender"
    try:
        for file in (file for group in kinds.values() for file in group):
            reason = _send(association, file)
            if reason:
                refused.append(LeftOut(file.path, reason))
    finally:
        association.release()
    return refused


def _batches(files: Iterable[CorpusFile]) -> Iterator[Kinds]:
    kinds: Kinds = {}
    for file in files:
        kinds.setdefault((file.sop_class, file.transfer_syntax), []).append(file)
    rest = iter(kinds.items())
    while batch := dict(islice(rest, CONTEXTS)):
        yield batch


def _send(association: Association, file: CorpusFile) -> str:
    kind = (file.sop_class, file.transfer_syntax)
    if kind not in {(context.abstract_syntax, context.transfer_syntax[0]) for context in association.accepted_contexts}:
        return f"no context for {pydicom.uid.UID(file.sop_class).name} in {pydicom.uid.UID(file.transfer_syntax).name}"
    try:
        status = association.send_c_store(pydicom.dcmread(file.path))
    except (ValueError, AttributeError, TypeError) as error:
        return f"not sent, pydicom or pynetdicom cannot encode it: {error}"
    if "Status" not in status:
        return "the association ended"
    if code_to_category(status.Status) in ("Success", "Warning"):
        return ""
    return f"status 0x{status.Status:04X} {status.get('ErrorComment', '')}".strip()


def without_delay(event: Event) -> None:
    """Handle EVT_CONN_OPEN: switch Nagle's algorithm off, which costs 40 ms for each small message."""
    transport = event.assoc.dul.socket
    assert transport is not None
    assert transport.socket is not None
    transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
