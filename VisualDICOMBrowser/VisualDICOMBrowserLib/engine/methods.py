"""Which of the engine's methods a client may call, and how their parameters and results cross the pipe.

:data:`METHODS` is the whole list. Each parameter has a reader, which turns JSON into what the method takes
and raises ``ValueError``, ``TypeError``, ``KeyError`` or a :class:`.UsageError` on anything else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from ..domain.cancel import CancelToken
from ..domain.errors import InternalError, UsageError
from ..domain.filters import DateRange, QueryFilter
from ..domain.listener import ListenerSettings
from ..domain.model import Level, Target
from ..domain.servers import Server

Reader = Callable[[Any], Any]


@dataclass(frozen=True)
class Method:
    """One callable method.

    :param attribute: its name on the engine.
    :param params: the readers of its keyword parameters; others are refused, missing ones are left to the method.
    :param cancellable: whether it takes the keyword ``token``, a :class:`.CancelToken`.
    """

    attribute: str
    params: Mapping[str, Reader] = field(default_factory=dict)
    cancellable: bool = False

    def call(self, engine: Any, params: Mapping[str, Any], token: CancelToken) -> Any:
        """Call the method and return its result as JSON values.

        :raises UsageError: a parameter is unknown or cannot be read.
        """
        arguments = {name: self._read(name, value) for name, value in params.items()}
        if self.cancellable:
            arguments["token"] = token
        return plain(getattr(engine, self.attribute)(**arguments))

    def _read(self, name: str, value: Any) -> Any:
        reader = self.params.get(name)
        if reader is None:
            raise UsageError(f"{self.attribute} has no such parameter.")
        try:
            return reader(value)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"The parameter {name} of {self.attribute} has a wrong value.") from error


def text(value: Any) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def flag(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value


def number(value: Any) -> int:
    """Read a whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a whole number")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(value, list):
        raise TypeError("not a list")
    return tuple(text(item) for item in value)


def path(value: Any) -> Path:
    """Read a path, which must be absolute: the engine has a working folder of its own."""
    read = Path(text(value))
    if not read.is_absolute():
        raise ValueError("not absolute")
    return read


def paths(value: Any) -> list[Path]:
    """Read a list of paths."""
    return [Path(item) for item in texts(value)]


def level(value: Any) -> Level:
    """Read ``patient``, ``study``, ``series`` or ``image``."""
    return Level.from_word(text(value))


def target(value: Any) -> Target:
    """Read ``{"level": …, "uids": […]}``."""
    return Target(level(value["level"]), texts(value["uids"]))


def server(value: Any) -> Server:
    """Read what :meth:`.Server.to_dict` writes."""
    return Server.from_dict(value)


def servers(value: Any) -> list[Server]:
    """Read a list of servers."""
    if not isinstance(value, list):
        raise TypeError("not a list")
    return [server(item) for item in value]


def listener_settings(value: Any) -> ListenerSettings:
    """Read what :meth:`.ListenerSettings.to_dict` writes."""
    return ListenerSettings.from_dict(value)


def query_filter(value: Any) -> QueryFilter:
    """Read an object with fields of :class:`.QueryFilter`; the dates as one text."""
    if not isinstance(value, dict):
        raise TypeError("not a filter")
    arguments: dict[str, Any] = {name: _FILTER_READERS[name](item) for name, item in value.items()}
    return QueryFilter(**arguments)


_FILTER_READERS: Mapping[str, Reader] = {
    **{f.name: text for f in dataclasses.fields(QueryFilter)},
    "study_date": lambda days: DateRange.parse(text(days)),
    "modalities": texts,
    "limit": number,
}


def optional(reader: Reader) -> Reader:
    """Return a reader that also takes null, as None."""
    return lambda value: None if value is None else reader(value)


METHODS: Mapping[str, Method] = {
    "servers": Method("servers"),
    "save_server": Method("save_server", {"server": server, "replaces": optional(text)}),
    "import_servers": Method("import_servers", {"servers": servers}),
    "remove_server": Method("remove_server", {"name": text}),
    "test_server": Method("test_server", {"server": server}, cancellable=True),
    "listener": Method("listener"),
    "set_listener": Method("set_listener", {"settings": listener_settings}),
    "calls": Method("calls"),
    "jobs": Method("jobs"),
    "job_log": Method("job_log", {"job_id": text}),
    "cancel_job": Method("cancel_job", {"job_id": text}),
    "retry_job": Method("retry_job", {"job_id": text}),
    "clear_jobs": Method("clear_jobs"),
    "unfinished_jobs": Method("unfinished_jobs"),
    "resume_jobs": Method("resume_jobs"),
    "drop_jobs": Method("drop_jobs"),
    "echo": Method("echo", {"server": text}, cancellable=True),
    "query": Method("query", {"filter": query_filter, "level": level, "servers": optional(texts)}, cancellable=True),
    "search": Method("search", {"filter": query_filter, "servers": optional(texts)}, cancellable=True),
    "explore": Method("explore", {"patient": number, "servers": optional(texts)}, cancellable=True),
    "local": Method("local", {"filter": query_filter, "level": level}),
    "retrieve": Method("retrieve", {"target": target, "server": optional(text), "force": flag}, cancellable=True),
    "import_paths": Method("import_paths", {"paths": paths, "link": flag, "replace": flag}, cancellable=True),
    "remove": Method("remove", {"target": target, "undoable": flag}),
    "undo_remove": Method("undo_remove", {"trash": text}),
    "export": Method("export", {"target": target, "folder": path}, cancellable=True),
    "verify": Method("verify", cancellable=True),
    "index_batch": Method("index_batch", {"limit": number}),
    "index_done": Method("index_done", {"batch": number}),
    "series_to_remove": Method("series_to_remove"),
    "series_removed": Method("series_removed", {"removal": text}),
    "refresh_local": Method("refresh_local"),
    "send": Method("begin_send", {"target": target, "server": text, "verify": flag}),
    "send_files": Method("begin_send_files", {"paths": paths, "server": text, "verify": flag}),
    "send_result": Method("send_result", {"job_id": text}),
    "fetch": Method("fetch", {"series_uids": texts, "force": flag}),
    "show": Method("show", {"series_uids": texts, "study_uids": texts}),
    "thumbnail": Method("thumbnail", {"series_uid": text, "server": optional(text)}, cancellable=True),
    "stack": Method("stack", {"series_uid": text}, cancellable=True),
    "frame": Method("frame", {"sop_uid": text, "frame": number}, cancellable=True),
    "elements": Method(
        "elements", {"sop_uid": text, "offset": number, "limit": number, "search": text}, cancellable=True
    ),
}


def plain(value: Any) -> Any:
    """Return a result as JSON values: records by their ``to_dict()``, enumerations by value, paths as texts.

    :raises InternalError: there is no such form of it.
    """
    if value is None or (isinstance(value, (str, bool, int, float)) and not isinstance(value, Enum)):
        return value
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Path):
        return str(value)
    raise InternalError(f"A result of the type {type(value).__name__} cannot leave the engine.")
