"""The configuration file: which servers there are, and how we can be called. JSON, written atomically."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.errors import PackageMissing, UsageError
from ..domain.listener import ListenerSettings
from ..domain.server_import import ServerImport, plan_import
from ..domain.servers import Server

_VERSION = 1
_MAX_BYTES = 4 * 1024 * 1024
_APPLICATION = "visual-dicom-browser"


def default_configuration_file() -> Path:
    """Return the file in the user's own configuration folder.

    :raises PackageMissing: platformdirs is not installed.
    """
    return Path(_platformdirs().user_config_dir(_APPLICATION, appauthor=False)) / "config.json"


def default_database_folder() -> Path:
    """Return the database folder in the user's own data folder.

    :raises PackageMissing: platformdirs is not installed.
    """
    return Path(_platformdirs().user_data_dir(_APPLICATION, appauthor=False)) / "database"


def _platformdirs() -> Any:
    try:
        import platformdirs  # noqa: PLC0415 - not in Slicer, which names its own files
    except ImportError as error:
        raise PackageMissing(
            "Without --database and --config, the Python package platformdirs is needed to find the user's folders."
        ) from error
    return platformdirs


class Configuration:
    """Reads and changes a configuration file. A missing file has no servers; it appears with the first one.

    :ivar on_changed: called when the servers that are read are others than before, because another program or a person
        changed the file; on the thread that reads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.on_changed: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._seen_lock = threading.Lock()
        self._seen: dict[str, Server] | None = None

    def servers(self) -> list[Server]:
        """Return the configured servers in the order they were added.

        :raises UsageError: the file is not a configuration.
        """
        return list(self._read().values())

    def server(self, name: str) -> Server:
        """Return one server.

        :raises UsageError: there is none of that name; the sentence says which there are.
        """
        servers = self._read()
        if name not in servers:
            known = ", ".join(servers) or "none; add one with: servers add"
            raise UsageError(f"There is no server {name!r}. Configured: {known}.")
        return servers[name]

    def add(self, server: Server) -> None:
        """Add a server, or replace the one of the same name.

        :raises UsageError: its proxy is not configured, or the file cannot be written.
        """
        with self._lock:
            servers = self._read()
            if server.proxy is not None and server.proxy not in servers:
                raise UsageError(f"The proxy {server.proxy!r} is not a configured server; add it first.")
            servers[server.name] = server
            self._write(servers)

    def save(self, server: Server, replaces: str | None = None) -> Server | None:
        """Add a server, or put it in the place of the one called ``replaces``, which is returned.

        Servers whose proxy is renamed go on to use it.

        :raises UsageError: the name is taken, its proxy or what it replaces is not configured, or the file cannot be
            written.
        """
        with self._lock:
            servers = self._read()
            if replaces is not None and replaces not in servers:
                raise UsageError(f"There is no server {replaces!r} any more.")
            if server.name != replaces and server.name in servers:
                raise UsageError(f"There is a server {server.name!r} already.")
            if server.proxy is not None and (server.proxy not in servers or server.proxy == replaces):
                raise UsageError(f"The proxy {server.proxy!r} is not another configured server.")
            if replaces is None:
                self._write({**servers, server.name: server})
                return None
            self._write(_replaced(servers, replaces, server))
            return servers[replaces]

    def import_servers(self, wanted: Sequence[Server]) -> ServerImport:
        """Add servers of another program's settings, all at once, by the rule of :mod:`..domain.server_import`.

        :raises UsageError: the file cannot be read or written.
        """
        with self._lock:
            servers = self._read()
            plan = plan_import(servers.values(), wanted)
            if plan.added:
                self._write({**servers, **{server.name: server for server in plan.added}})
            return plan

    def remove(self, name: str) -> None:
        """Remove a server.

        :raises UsageError: there is none of that name, another one needs it as its proxy, or the file cannot be
            written.
        """
        with self._lock:
            servers = self._read()
            if name not in servers:
                raise UsageError(f"There is no server {name!r}.")
            users = [s.name for s in servers.values() if s.proxy == name]
            if users:
                raise UsageError(f"The server {name!r} is the proxy of {', '.join(users)}.")
            del servers[name]
            self._write(servers)

    def listener(self) -> ListenerSettings:
        """Return the settings of the listener, as by default where there are none.

        :raises UsageError: the file is not a configuration.
        """
        return ListenerSettings.from_dict(self._document().get("listener", {}))

    def set_listener(self, settings: ListenerSettings) -> None:
        """Keep the settings of the listener.

        :raises UsageError: the file is not a configuration, or cannot be written.
        """
        with self._lock:
            self._write_document({**self._document(), "listener": settings.to_dict()})

    def _read(self) -> dict[str, Server]:
        servers = _servers(self._document(), self.path)
        with self._seen_lock:
            before, self._seen = self._seen, servers
        if before is not None and before != servers:
            self.on_changed()
        return dict(servers)

    def _document(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file:
                raw = file.read(_MAX_BYTES)
        except FileNotFoundError:
            return {"version": _VERSION, "servers": []}
        except OSError as error:
            raise UsageError(f"The configuration file {self.path} cannot be read: {error.strerror}.") from error
        return _parsed(raw, self.path)

    def _write(self, servers: dict[str, Server]) -> None:
        self._write_document({**self._document(), "servers": [server.to_dict() for server in servers.values()]})
        with self._seen_lock:
            self._seen = dict(servers)

    def _write_document(self, document: dict[str, Any]) -> None:
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, suffix=".part")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(self.path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise UsageError(f"The configuration file {self.path} cannot be written: {error.strerror}.") from error


def _replaced(servers: dict[str, Server], old: str, server: Server) -> dict[str, Server]:
    """Return the servers with one in the place of another, and proxies that follow its name."""
    changed = [
        server if s.name == old else replace(s, proxy=server.name) if s.proxy == old else s for s in servers.values()
    ]
    return {s.name: s for s in changed}


def _parsed(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        document: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The configuration file {path} is not valid JSON.") from error
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        raise UsageError(f"The configuration file {path} has a version that this program does not know.")
    return document


def _servers(document: dict[str, Any], path: Path) -> dict[str, Server]:
    entries = document.get("servers", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"The configuration file {path} has no list of servers.")
    servers = [Server.from_dict(entry) for entry in entries]
    return {server.name: server for server in servers}
