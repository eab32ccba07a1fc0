from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from VisualDICOMBrowserLib.domain.errors import UsageError
from VisualDICOMBrowserLib.domain.listener import AllowedPeer, ListenerSettings
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod, Server
from VisualDICOMBrowserLib.engine.configuration import (
    Configuration,
    default_configuration_file,
    default_database_folder,
)

PACS = Server("PACS", "pacs.example", 104, "ARCHIVE")
GATE = Server("GATE", "gate.example", 105, "GATE")
MOVING = Server("MOVING", "far.example", 106, "FAR", retrieve=RetrieveMethod.MOVE, proxy="GATE", timeout=5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sub" / "config.json"


@pytest.fixture
def configuration(path: Path) -> Configuration:
    return Configuration(path)


def test_a_missing_file_has_no_servers_and_is_not_made_by_reading(configuration, path):
    assert configuration.servers() == []
    assert not path.parent.exists()


def test_what_is_added_is_there_for_another_reader_in_order(configuration, path):
    for server in (PACS, GATE, MOVING):
        configuration.add(server)

    assert Configuration(path).servers() == [PACS, GATE, MOVING]
    assert Configuration(path).server("MOVING") == MOVING
    assert [p.name for p in path.parent.iterdir()] == ["config.json"]


def test_a_server_of_the_same_name_is_replaced(configuration):
    configuration.add(PACS)
    newer = Server("PACS", "new.example", 11112, "NEW")
    configuration.add(newer)

    assert configuration.servers() == [newer]


def test_an_unknown_server_is_refused_with_the_known_names(configuration):
    with pytest.raises(UsageError, match="servers add"):
        configuration.server("PACS")
    configuration.add(PACS)
    with pytest.raises(UsageError, match="Configured: PACS"):
        configuration.server("pacs")
    with pytest.raises(UsageError):
        configuration.remove("GATE")


def test_a_proxy_must_be_there_before_and_as_long_as_it_is_needed(configuration):
    with pytest.raises(UsageError, match="add it first"):
        configuration.add(MOVING)
    configuration.add(GATE)
    configuration.add(MOVING)
    with pytest.raises(UsageError, match="proxy of MOVING"):
        configuration.remove("GATE")
    configuration.remove("MOVING")
    configuration.remove("GATE")

    assert configuration.servers() == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "version"),
        ('{"version": 2}', "version"),
        ('{"version": 1, "servers": {}}', "list of servers"),
        ('{"version": 1, "servers": ["x"]}', "list of servers"),
        ('{"version": 1, "servers": [{"name": "x"}]}', "lacks"),
        ('{"version": 1, "servers": [{"name": "x", "host": "h", "port": "p", "called_aet": "A"}]}', "wrong value"),
        ('{"version": 1, "servers": [{"name": "x", "host": "h", "port": 1, "called_aet": "A", "z": 1}]}', "Unknown"),
        ('{"version": 1, "servers": [{"name": "x", "host": "h", "port": 0, "called_aet": "A"}]}', "port"),
        ('{"version": 1, "servers": [{"name": "", "host": "h", "port": 1, "called_aet": "A"}]}', "name"),
        ("\udcff".encode("utf-8", "surrogateescape"), "not valid JSON"),
    ],
)
def test_a_broken_file_is_named_and_never_overwritten(configuration, path, text, part):
    path.parent.mkdir()
    raw = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(raw)
    for work in (configuration.servers, lambda: configuration.add(PACS), lambda: configuration.remove("PACS")):
        with pytest.raises(UsageError, match=part):
            work()

    assert path.read_bytes() == raw


def test_a_folder_in_the_files_place_is_named(configuration, path):
    path.mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot be read"):
        configuration.servers()


def test_a_place_where_nothing_can_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be"):
        Configuration(tmp_path / "file" / "config.json").add(PACS)


def test_names_of_every_script_survive(configuration, path):
    server = Server("Radiologie Süd 放射科", "h", 104, "A")
    configuration.add(server)

    assert configuration.server(server.name) == server
    assert server.name in path.read_text(encoding="utf-8")


def test_servers_added_by_several_threads_are_all_there(configuration, path):
    threads = [threading.Thread(target=configuration.add, args=(Server(f"S{n}", "h", 104, "A"),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {server.name for server in configuration.servers()} == {f"S{n}" for n in range(8)}
    assert json.loads(path.read_text())["version"] == 1


def test_a_change_by_somebody_else_is_told_once_and_an_own_one_is_not(configuration, path):
    told: list[list[str]] = []
    configuration.on_changed = lambda: told.append([server.name for server in configuration.servers()])
    configuration.add(PACS)
    configuration.save(GATE)
    assert configuration.servers() == [PACS, GATE]
    assert told == []
    Configuration(path).remove("GATE")
    assert configuration.server("PACS") == PACS
    assert configuration.servers() == [PACS]
    assert told == [["PACS"]]


def test_the_users_own_folders_follow_the_environment(tmp_path, monkeypatch):
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "LOCALAPPDATA", "APPDATA", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))

    assert tmp_path in default_configuration_file().parents or os.name == "nt"
    assert tmp_path in default_database_folder().parents or os.name == "nt"
    assert default_configuration_file().name == "config.json"


LISTENER = ListenerSettings("US", 104, "0.0.0.0", (AllowedPeer("*", "host.example"), AllowedPeer("A@B", "::1")), True)


def test_a_file_without_listener_has_the_defaults(configuration, path):
    configuration.add(PACS)
    assert "listener" not in json.loads(path.read_text())
    assert configuration.listener() == ListenerSettings()
    assert configuration.listener().is_local


def test_servers_and_listener_are_kept_beside_each_other(configuration, path):
    configuration.set_listener(LISTENER)
    configuration.add(PACS)
    configuration.add(GATE)
    configuration.remove("GATE")
    assert Configuration(path).listener() == LISTENER
    assert Configuration(path).servers() == [PACS]
    configuration.set_listener(ListenerSettings())
    assert Configuration(path).servers() == [PACS]


@pytest.mark.parametrize(
    "values",
    [
        [],
        {"aet": 5},
        {"aet": ""},
        {"port": True},
        {"port": 65536},
        {"port": "104"},
        {"bind": "host.example"},
        {"allowed": "A@B"},
        {"allowed": [5]},
        {"allowed": ["nobody"]},
        {"allowed": ["A\\B@host"]},
        {"allowed": ["A@"]},
        {"unsolicited": "no"},
        {"other": 1},
    ],
)
def test_a_listener_that_cannot_be_right_is_refused_and_servers_are_read_all_the_same(configuration, path, values):
    configuration.add(PACS)
    document = {**json.loads(path.read_text()), "listener": values}
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError):
        configuration.listener()
    assert configuration.servers() == [PACS]
