"""What the engine process and its client say to each other: one JSON object a line, in ASCII.

The engine says ``hello`` first, unless opening takes long: then events :data:`OPENING` come before. The client sends
requests; each is answered by one response with its id, in any order. Events come at any time. ``goodbye`` is the last
line, or the only one where the engine could not start.

Both sides trust nothing: a line is bounded, and types, fields and the protocol version must be exactly right.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from ..domain import errors
from ..domain.errors import InternalError, LocalError, OperationRefused, VisualDicomError

PROTOCOL = 1

#: The longest line that is read or written, in bytes, the line feed not counted.
MAX_LINE = 16 * 1024 * 1024

#: The event that may come before ``hello``: ``{"done", "total"}`` studies were read, 0 if the total is not known yet.
OPENING = "opening"


class MessageError(LocalError):
    """A line that is no message of this protocol, or a message that cannot be a line."""


_ERRORS: dict[str, type[VisualDicomError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, VisualDicomError)
}


@dataclass(frozen=True)
class ErrorDetail:
    """An error on its way between processes.

    :ivar kind: the name of its class in :mod:`..domain.errors`.
    :ivar status: the DIMSE status of an :class:`.OperationRefused`.
    """

    kind: str
    message: str
    retryable: bool = False
    status: int | None = None

    @classmethod
    def of(cls, error: BaseException) -> ErrorDetail:
        """Describe an error. What is not the project's own becomes an internal error, without its text."""
        if not isinstance(error, VisualDicomError):
            error = InternalError(f"Something went wrong inside the engine ({type(error).__name__}).")
        kind = next(base.__name__ for base in type(error).__mro__ if base.__name__ in _ERRORS)
        return cls(kind, str(error), error.retryable, error.status if isinstance(error, OperationRefused) else None)

    def to_error(self) -> VisualDicomError:
        """Return an error of the class that ``kind`` names, or an internal one if there is none such."""
        if self.kind == OperationRefused.__name__:
            return OperationRefused(self.message, self.status or 0, retryable=self.retryable)
        error = _ERRORS.get(self.kind, InternalError)(self.message)
        error.retryable = self.retryable
        return error


@dataclass(frozen=True)
class Hello:
    """The engine is there.

    :ivar pid: the engine's own process; what the client started may be a launcher.
    :ivar database: the folder it serves.
    """

    pid: int
    version: str
    database: str
    protocol: int = PROTOCOL


@dataclass(frozen=True)
class Request:
    """A call of one of the engine's methods; ``id`` is the client's and unique among the open ones."""

    id: int
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """The answer to a request: ``error`` if it failed, else ``result``."""

    id: int
    result: Any = None
    error: ErrorDetail | None = None


@dataclass(frozen=True)
class Event:
    """Something changed. A newer event of the same subject and name replaces one that is still under way."""

    subject: str
    name: str
    data: Any = None


@dataclass(frozen=True)
class Goodbye:
    """The engine ends, or never began."""

    reason: str
    error: ErrorDetail | None = None


Message: TypeAlias = Hello | Request | Response | Event | Goodbye

_TYPES: dict[str, type[Message]] = {
    "hello": Hello,
    "request": Request,
    "response": Response,
    "event": Event,
    "goodbye": Goodbye,
}
_NAMES = {message_type: name for name, message_type in _TYPES.items()}

# The JSON types of fields; fields that are not here take any value.
_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "pid": (int,),
    "version": (str,),
    "database": (str,),
    "protocol": (int,),
    "id": (int,),
    "method": (str,),
    "params": (dict,),
    "subject": (str,),
    "name": (str,),
    "reason": (str,),
    "error": (dict, type(None)),
    "kind": (str,),
    "message": (str,),
    "retryable": (bool,),
    "status": (int, type(None)),
}


def encode(message: Message) -> bytes:
    """Return the line of a message, with its line feed.

    :raises MessageError: it holds something that is not JSON, or is too long.
    """
    values = {f.name: getattr(message, f.name) for f in dataclasses.fields(message)}
    error = values.get("error")
    if isinstance(error, ErrorDetail):
        values["error"] = dataclasses.asdict(error)
    try:
        line = json.dumps({"type": _NAMES[type(message)], **values}, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as failure:
        raise MessageError("A message holds values that JSON does not have.") from failure
    if len(line) > MAX_LINE:
        raise MessageError(f"A message of {len(line)} bytes is too long.")
    return line + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line, with or without its line feed.

    :raises MessageError: it is none, or one of another protocol version.
    """
    if len(line) > MAX_LINE + 1:
        raise MessageError(f"A line of {len(line)} bytes is too long for a message.")
    values = _read_object(line)
    name = values.pop("type", None)
    message_type = _TYPES.get(name) if isinstance(name, str) else None
    if message_type is None:
        raise MessageError("A line is a message of an unknown type.")
    if message_type is Hello:
        _check_protocol(values.get("protocol"))
    if isinstance(values.get("error"), dict):
        error = ErrorDetail(**_checked(ErrorDetail, values["error"]))
        return message_type(**{**_checked(message_type, values), "error": error})
    return message_type(**_checked(message_type, values))


def _read_object(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MessageError("A line is not JSON.") from error
    if not isinstance(values, dict):
        raise MessageError("A line is not a JSON object.")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_protocol(protocol: object) -> None:
    if protocol != PROTOCOL or isinstance(protocol, bool):
        raise MessageError(
            f"The engine speaks another version of the protocol ({str(protocol)[:20]}, here {PROTOCOL}): "
            "the two parts of the program come from different releases."
        )


def _checked(message_type: type[Message | ErrorDetail], values: dict[str, Any]) -> dict[str, Any]:
    """Return ``values`` if they are exactly the fields of the type, each of its JSON type."""
    if set(values) != {f.name for f in dataclasses.fields(message_type)}:
        raise MessageError(f"A {message_type.__name__} message does not have the fields it should.")
    for name, value in values.items():
        allowed = _FIELD_TYPES.get(name)
        if allowed is not None and (
            not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)
        ):
            raise MessageError(f"A {message_type.__name__} message has a wrong value for {name}.")
    return values


class LineSplitter:
    """Cuts a stream of bytes into lines, and gives up on lines that never end."""

    def __init__(self) -> None:
        self._head = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that ``chunk`` completes, without their line feeds.

        :raises MessageError: a line grows beyond the bound.
        """
        first, *rest = chunk.split(b"\n")
        self._head += first
        if len(self._head) > MAX_LINE:
            raise MessageError("A line is too long for a message.")
        if not rest:
            return []
        lines = [bytes(self._head), *rest[:-1]]
        self._head = bytearray(rest[-1])
        return lines
