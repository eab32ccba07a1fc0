"""DIMSE messages by hand: command sets, data sets, and their fragmentation into PDVs (PS3.7; PS3.8, annex E)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from .pdu import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Pdv, p_data

SUCCESS = 0x0000
PENDING = 0xFF00
CANCELLED = 0xFE00
NO_DATA_SET = 0x0101
HAS_DATA_SET = 0x0001

VERIFICATION = "1.2.840.10008.1.1"
PATIENT_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_GET = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"

C_STORE, C_GET, C_FIND, C_MOVE, C_ECHO, C_CANCEL = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF
RESPONSE = 0x8000

#: Command elements of group 0000 by keyword (PS3.7, annex E): element number, and UI, US or text.
ELEMENTS = {
    "AffectedSOPClassUID": (0x0002, "UI"),
    "RequestedSOPClassUID": (0x0003, "UI"),
    "CommandField": (0x0100, "US"),
    "MessageID": (0x0110, "US"),
    "MessageIDBeingRespondedTo": (0x0120, "US"),
    "MoveDestination": (0x0600, "AE"),
    "Priority": (0x0700, "US"),
    "CommandDataSetType": (0x0800, "US"),
    "Status": (0x0900, "US"),
    "ErrorComment": (0x0902, "LO"),
    "AffectedSOPInstanceUID": (0x1000, "UI"),
    "NumberOfRemainingSuboperations": (0x1020, "US"),
    "NumberOfCompletedSuboperations": (0x1021, "US"),
    "NumberOfFailedSuboperations": (0x1022, "US"),
    "NumberOfWarningSuboperations": (0x1023, "US"),
    "MoveOriginatorApplicationEntityTitle": (0x1030, "AE"),
    "MoveOriginatorMessageID": (0x1031, "US"),
}
_KEYWORDS = {number: (keyword, vr) for keyword, (number, vr) in ELEMENTS.items()}

Value = str | int


@dataclass(frozen=True)
class Message:
    """A command set by keyword, and the encoded data set that follows it (None: there is none)."""

    command: Mapping[str, Value]
    data: bytes | None = None
    context_id: int = 0

    @property
    def message_id(self) -> int:
        """The message id of a request."""
        return int(self.command["MessageID"])

    @property
    def field(self) -> int:
        """The command field, for example :data:`C_FIND`."""
        return int(self.command["CommandField"])

    def dataset(self, transfer_syntax: str = IMPLICIT_LITTLE) -> Dataset:
        """Decode the data set."""
        return read_dataset(
            BytesIO(self.data or b""), is_implicit_VR=transfer_syntax == IMPLICIT_LITTLE, is_little_endian=True
        )


def encode_command(command: Mapping[str, Value], *, group_length: int | None = None) -> bytes:
    """Encode a command set: implicit VR little endian, with its group length (or a lie about it)."""
    body = b"".join(_element(keyword, command[keyword]) for keyword in sorted(command, key=lambda key: ELEMENTS[key]))
    return struct.pack("<HHII", 0, 0, 4, len(body) if group_length is None else group_length) + body


def _element(keyword: str, value: Value) -> bytes:
    number, vr = ELEMENTS[keyword]
    if vr == "US":
        data = struct.pack("<H", int(value))
    else:
        data = str(value).encode("ascii")
        data += (b"\0" if vr == "UI" else b" ") * (len(data) % 2)
    return struct.pack("<HHI", 0, number, len(data)) + data


def decode_command(data: bytes) -> dict[str, Value]:
    """Read a command set; elements that the kit does not know are left out."""
    command: dict[str, Value] = {}
    offset = 0
    while offset < len(data):
        _, number, length = struct.unpack_from("<HHI", data, offset)
        value = data[offset + 8 : offset + 8 + length]
        offset += 8 + length
        keyword, vr = _KEYWORDS.get(number, ("", ""))
        if keyword:
            command[keyword] = (
                int.from_bytes(value, "little") if vr == "US" else value.decode("ascii", "replace").strip(" \0")
            )
    return command


def encode_dataset(dataset: Dataset, transfer_syntax: str = IMPLICIT_LITTLE) -> bytes:
    """Encode a data set in one of the two uncompressed little endian transfer syntaxes."""
    if transfer_syntax not in (IMPLICIT_LITTLE, EXPLICIT_LITTLE):
        raise ValueError(f"The kit does not encode {transfer_syntax}.")
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = transfer_syntax == IMPLICIT_LITTLE
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def respond(
    request: Message,
    status: int = SUCCESS,
    data: Dataset | bytes | None = None,
    *,
    transfer_syntax: str = IMPLICIT_LITTLE,
    more: Mapping[str, Value] | None = None,
) -> Message:
    """Answer a request: C-ECHO-RSP to C-ECHO-RQ, and so on; ``more`` are further command elements by keyword."""
    encoded = encode_dataset(data, transfer_syntax) if isinstance(data, Dataset) else data
    command: dict[str, Value] = {
        "AffectedSOPClassUID": request.command["AffectedSOPClassUID"],
        "CommandField": request.field | RESPONSE,
        "MessageIDBeingRespondedTo": request.message_id,
        "CommandDataSetType": NO_DATA_SET if encoded is None else HAS_DATA_SET,
        "Status": status,
        **(more or {}),
    }
    return Message(command, encoded, request.context_id)


def find_rsp(
    request: Message,
    identifier: Dataset | bytes | None = None,
    status: int | None = None,
    *,
    transfer_syntax: str = IMPLICIT_LITTLE,
) -> Message:
    """Return C-FIND-RSP: pending with an identifier, success without, unless another status is given."""
    if status is None:
        status = SUCCESS if identifier is None else PENDING
    return respond(request, status, identifier, transfer_syntax=transfer_syntax)


def get_rsp(
    request: Message,
    status: int = SUCCESS,
    *,
    remaining: int | None = None,
    completed: int = 0,
    failed: int = 0,
    warning: int = 0,
    identifier: Dataset | bytes | None = None,
) -> Message:
    """Return C-GET-RSP (or C-MOVE-RSP) with its sub-operation counts; a final one has no ``remaining``."""
    counts: dict[str, Value] = {} if remaining is None else {"NumberOfRemainingSuboperations": remaining}
    counts["NumberOfCompletedSuboperations"] = completed
    counts["NumberOfFailedSuboperations"] = failed
    counts["NumberOfWarningSuboperations"] = warning
    return respond(request, status, identifier, more=counts)


def store_rq(
    context_id: int,
    sop_class: str,
    sop_uid: str,
    data: Dataset | bytes,
    *,
    message_id: int = 1,
    transfer_syntax: str = IMPLICIT_LITTLE,
    more: Mapping[str, Value] | None = None,
) -> Message:
    """Return C-STORE-RQ as a server sends it while it answers a C-GET."""
    encoded = encode_dataset(data, transfer_syntax) if isinstance(data, Dataset) else data
    command: dict[str, Value] = {
        "AffectedSOPClassUID": sop_class,
        "CommandField": C_STORE,
        "MessageID": message_id,
        "Priority": 0,
        "CommandDataSetType": HAS_DATA_SET,
        "AffectedSOPInstanceUID": sop_uid,
        **(more or {}),
    }
    return Message(command, encoded, context_id)


def fragments(context_id: int, data: bytes, *, is_command: bool, size: int = 16000) -> list[Pdv]:
    """Cut a command or data set into PDVs of at most ``size`` bytes of content; the last one is marked."""
    parts = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    return [Pdv(context_id, part, is_command, index == len(parts) - 1) for index, part in enumerate(parts)]


def pdvs(message: Message, size: int = 16000) -> list[Pdv]:
    """Cut a message into PDVs: the command, then the data set."""
    found = fragments(message.context_id, encode_command(message.command), is_command=True, size=size)
    if message.data is not None:
        found += fragments(message.context_id, message.data, is_command=False, size=size)
    return found


def pack(values: Iterable[Pdv], per_pdu: int = 1) -> list[bytes]:
    """Put PDVs into P-DATA-TF PDUs, so many in each."""
    everything = list(values)
    return [p_data(*everything[start : start + per_pdu]) for start in range(0, len(everything), per_pdu)]


def interleave(*sequences: Sequence[Pdv]) -> Iterator[Pdv]:
    """Take one PDV of each message in turn, which the standard forbids between messages of one association."""
    remaining = [list(sequence) for sequence in sequences]
    while any(remaining):
        for sequence in remaining:
            if sequence:
                yield sequence.pop(0)


def encode_message(message: Message, *, size: int = 16000, per_pdu: int = 1) -> bytes:
    """Return all PDUs of a message, fragmented."""
    return b"".join(pack(pdvs(message, size), per_pdu))
