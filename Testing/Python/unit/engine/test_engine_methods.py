from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import InternalError, UsageError
from VisualDICOMBrowserLib.domain.filters import DateRange, QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.results import EchoResult, Failure, SearchResult, ServerError, UndoResult
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod, Server
from VisualDICOMBrowserLib.engine.methods import METHODS, plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


class Recorder:
    """An engine that gives back what it is called with."""

    def __getattr__(self, name):
        return lambda **arguments: self.note(name, arguments)

    def note(self, name, arguments):
        self.heard = (name, arguments)


def call(method, params):
    engine, token = Recorder(), CancelToken()
    METHODS[method].call(engine, params, token)
    return engine.heard, token


def test_parameters_become_what_the_engine_takes():
    params = {"filter": {"patient_name": "Doe", "study_date": "2020-01-01-", "modalities": ["CT"], "limit": 5}}
    (name, arguments), token = call("query", {**params, "level": "series", "servers": None})
    assert name == "query"
    assert arguments == {
        "filter": QueryFilter(patient_name="Doe", study_date=DateRange("20200101"), modalities=("CT",), limit=5),
        "level": Level.SERIES,
        "servers": None,
        "token": token,
    }


def test_a_target_is_a_level_and_identifiers():
    (_, arguments), _ = call("remove", {"target": {"level": "study", "uids": ["1.2"]}})
    assert arguments == {"target": Target(Level.STUDY, ("1.2",))}


def test_a_server_is_read_as_it_is_written():
    server = Server("PACS", "localhost", 104, "AET", proxy="OTHER")
    (_, arguments), _ = call("save_server", {"server": server.to_dict(), "replaces": "OLD"})
    assert arguments == {"server": server, "replaces": "OLD"}
    (_, arguments), _ = call("import_servers", {"servers": [server.to_dict()]})
    assert arguments == {"servers": [server]}


def test_an_export_goes_to_an_absolute_folder(tmp_path):
    target = {"level": "series", "uids": ["1.2"]}
    (_, arguments), token = call("export", {"target": target, "folder": str(tmp_path)})
    assert arguments == {"target": Target(Level.SERIES, ("1.2",)), "folder": tmp_path, "token": token}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("save_server", {"server": {"name": "PACS"}}),
        ("save_server", {"server": None}),
        ("import_servers", {"servers": {}}),
        ("import_servers", {"servers": [{"name": "PACS"}]}),
        ("test_server", {"server": {"name": "X", "host": "h", "port": 0, "called_aet": "A"}}),
        ("export", {"folder": "relative"}),
        ("remove", {"undoable": 1}),
        ("undo_remove", {"trash": None}),
        ("explore", {"patient": "1"}),
        ("explore", {"patient": True}),
        ("search", {"servers": "PACS"}),
        ("cancel_job", {"job_id": 1}),
        ("clear_jobs", {"all": True}),
        ("echo", {"server": 1}),
        ("echo", {"host": "example.org"}),
        ("query", {"filter": {"password": "x"}}),
        ("query", {"filter": {"limit": True}}),
        ("query", {"filter": {"limit": 0}}),
        ("query", {"filter": {"study_date": "yesterday"}}),
        ("query", {"level": "planet"}),
        ("remove", {"target": {"level": "study"}}),
        ("remove", {"target": {"level": "study", "uids": "1.2"}}),
        ("import_paths", {"paths": "/"}),
    ],
)
def test_wrong_parameters_are_refused(method, params):
    with pytest.raises(UsageError):
        call(method, params)


@given(st.sampled_from(sorted(METHODS)), st.data())
def test_any_json_is_a_call_or_a_typed_error(method, data):
    names = st.sampled_from([*METHODS[method].params, "unknown"])
    try:
        (_, arguments), _ = call(method, data.draw(st.dictionaries(names, JSON)))
    except UsageError:
        return
    assert set(arguments) <= {*METHODS[method].params, "token"}


def test_results_become_json():
    result = {
        "echo": EchoResult("PACS", True, 0.5, "fine"),
        "paths": (Path("a") / "b",),
        "level": Level.STUDY,
        "method": RetrieveMethod.GET,
        "nothing": None,
        "search": SearchResult(False, ("w",), (ServerError("A", "down"),), 2),
        "undo": UndoResult(1, (Failure("1.2", "gone"),)),
    }
    assert json.loads(json.dumps(plain(result))) == {
        "echo": {"server": "PACS", "ok": True, "seconds": 0.5, "message": "fine"},
        "paths": [str(Path("a") / "b")],
        "level": 1,
        "method": "get",
        "nothing": None,
        "search": {
            "complete": False,
            "warnings": ["w"],
            "errors": [{"server": "A", "reason": "down"}],
            "servers_asked": 2,
        },
        "undo": {"instances": 1, "failed": [{"sop_uid": "1.2", "reason": "gone"}]},
    }


def test_what_has_no_json_form_does_not_leave():
    with pytest.raises(InternalError):
        plain({"pixels": b""})
