"""A storage SCU that fills a server with files, byte for byte: one context for each SOP class and transfer syntax.

It speaks the kit's own PDUs. pynetdicom re-encodes data sets, and under load its reactor thread now and then
takes the answer to a C-STORE for a message of its own, which then costs the DIMSE time-out.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from itertools import islice

from pydicom.uid import UID

from .corpus import CorpusFile, LeftOut
from .messages import store_rq
from .pdu import AssociateAccept, ProposedContext, ReleaseReply, associate_rq, release_rq
from .scripted_peer import Conversation

#: A presentation context id is an odd byte, so one association holds 128 of them (PS3.8, 9.3.2.2).
CONTEXTS = 128
LONGEST_PDU = 131072
#: Bytes of a PDV item besides its fragment: length, context id and control header (PS3.8, 9.3.5.1).
PDV_HEAD = 6
LONG_LENGTH_VRS = (b"OB", b"OW", b"UN", b"SQ", b"UT")

#: Files by the context that they need.
Batch = dict[ProposedContext, list[CorpusFile]]


def send_files(
    address: tuple[str, int], called: str, files: Iterable[CorpusFile], calling: str = "KITSEND"
) -> list[LeftOut]:
    """C-STORE the files as they are, and return those that the server did not take.

    :raises AssertionError: no association could be made.
    """
    return [entry for batch in _batches(files) for entry in _send_batch(address, called, calling, batch)]


def _batches(files: Iterable[CorpusFile]) -> Iterator[Batch]:
    kinds: dict[tuple[str, str], list[CorpusFile]] = {}
    for file in files:
        kinds.setdefault((file.sop_class, file.transfer_syntax), []).append(file)
    rest = iter(kinds.items())
    while part := list(islice(rest, CONTEXTS)):
        yield {
            ProposedContext(2 * number + 1, sop_class, (syntax,)): group
            for number, ((sop_class, syntax), group) in enumerate(part)
        }


def _send_batch(address: tuple[str, int], called: str, calling: str, batch: Batch) -> list[LeftOut]:
    waiting = [(context, file) for context, files in batch.items() for file in files]
    refused: list[LeftOut] = []
    while waiting:
        with socket.create_connection(address, timeout=5) as connection:
            server = Conversation(connection)
            accepted = _associate(server, called, calling, batch)
            if _send_until_abort(server, accepted, waiting, refused):
                server.send(release_rq())
                assert isinstance(server.receive_pdu(), ReleaseReply)
    return refused


def _associate(server: Conversation, called: str, calling: str, batch: Batch) -> AssociateAccept:
    server.send(associate_rq(called, calling, list(batch), max_length=LONGEST_PDU))
    accepted = server.receive_pdu()
    assert isinstance(accepted, AssociateAccept), f"{called} answered the kit's sender with {accepted}."
    return accepted


def _send_until_abort(
    server: Conversation,
    accepted: AssociateAccept,
    waiting: list[tuple[ProposedContext, CorpusFile]],
    refused: list[LeftOut],
) -> bool:
    """Empty ``waiting``; tell whether the association is still there."""
    while waiting:
        context, file = waiting.pop(0)
        try:
            reason = _send(server, accepted, context, file)
        except (AssertionError, ConnectionError):
            refused.append(LeftOut(file.path, "the server ended the association over it"))
            return False
        if reason:
            refused.append(LeftOut(file.path, reason))
    return True


def _send(server: Conversation, accepted: AssociateAccept, context: ProposedContext, file: CorpusFile) -> str:
    if not accepted.accepts(context.context_id):
        return f"no context for {UID(file.sop_class).name} in {UID(file.transfer_syntax).name}"
    message = store_rq(context.context_id, file.sop_class, file.sop_uid, data_set_bytes(file.path.read_bytes()))
    server.send(message, size=min(accepted.max_length or LONGEST_PDU, LONGEST_PDU) - PDV_HEAD)
    answer = server.receive_message().command
    status = int(answer["Status"])
    if status == 0 or status >> 12 == 0xB:  # success, or a warning
        return ""
    return f"status 0x{status:04X} {answer.get('ErrorComment', '')}".strip()


def data_set_bytes(data: bytes) -> bytes:
    """Return what follows the file meta information of a file (PS3.10, 7.1), untouched.

    A deflated stream of odd length gets the NUL byte that PS3.5, A.5 wants; DCMTK aborts over an odd fragment.
    """
    offset = 132
    while data[offset : offset + 2] == b"\x02\x00":
        if data[offset + 4 : offset + 6] in LONG_LENGTH_VRS:
            offset += 12 + struct.unpack_from("<I", data, offset + 8)[0]
        else:
            offset += 8 + struct.unpack_from("<H", data, offset + 6)[0]
    return data[offset:] + b"\0" * (len(data[offset:]) % 2)
