"""Slicer's settings are turned into servers: three forms, what is checked, what cannot be used."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.errors import BadData
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod, Server
from VisualDICOMBrowserLib.domain.slicer_servers import FoundServers, found_servers

CHECKED, UNCHECKED = 2, 0


def node(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "Verification": "unknown",
        "QueryRetrieveCheckState": CHECKED,
        "StorageCheckState": UNCHECKED,
        "TrustedCheckState": UNCHECKED,
        "Calling AETitle": "SLICER",
        "Called AETitle": "PACS",
        "Address": "pacs.example.org",
        "Port": "11112",
        "Timeout": 45,
        "Retrieve Protocol": "CGET",
        "Retrieve Proxy": "",
        **changes,
    }


def dialog_node(name: str, **changes: Any) -> dict[str, Any]:
    values = {"Name": name, "CheckState": CHECKED, "AETitle": "OLD", "Address": "old.example.org", "Port": "104"}
    return {**values, "CGET": CHECKED, **changes}


def settings(*nodes: object, dialog: tuple[object, ...] = (), **more: object) -> dict[str, object]:
    rows = {f"DICOM/ServerNodes/{n}": one for n, one in enumerate(nodes)}
    old = {f"ServerNodes/{n}": one for n, one in enumerate(dialog)}
    return {"DICOM/ServerNodeCount": str(len(nodes)), "ServerNodeCount": len(dialog), **rows, **old, **more}


def found(values: dict[str, object], **options: Any) -> FoundServers:
    return found_servers(values.get, **options)


def reasons(outcome: FoundServers) -> dict[str, str]:
    return {failure.subject: failure.reason for failure in outcome.unusable}


@pytest.mark.parametrize("form", [json.dumps, lambda one: json.dumps(one, indent=4).encode(), dict])
def test_a_row_of_the_visual_browser_is_a_server(form):
    row = node("Röntgen 放射線", **{"Retrieve Protocol": "CMOVE", "Retrieve Proxy": "Gate"})
    assert found(settings(form(row))) == FoundServers(
        (
            Server(
                "Röntgen 放射線", "pacs.example.org", 11112, "PACS", "SLICER", RetrieveMethod.MOVE, "Gate", timeout=45
            ),
        )
    )


def test_the_map_of_an_earlier_visual_browser_has_shorter_names():
    row = node("PACS", Protocol="CMOVE", Proxy="Gate")
    del row["Retrieve Protocol"], row["Retrieve Proxy"]
    (server,) = found(settings(row)).servers
    assert (server.retrieve, server.proxy) == (RetrieveMethod.MOVE, "Gate")


def test_a_row_of_the_query_dialog_is_a_server():
    move = dialog_node("Move", CGET=UNCHECKED, Address="move.example.org")
    outcome = found(settings(dialog=(dialog_node("Get"), move), CallingAETitle="ME"))
    assert outcome.servers == (
        Server("Get", "old.example.org", 104, "OLD", "ME"),
        Server("Move", "move.example.org", 104, "OLD", "ME", RetrieveMethod.MOVE),
    )


def test_a_server_of_both_tables_is_that_of_the_visual_browser():
    both = dialog_node("Same", AETitle="PACS", Address="PACS.example.org", Port=11112)
    outcome = found(settings(json.dumps(node("PACS")), dialog=(both, dialog_node("Other"))))
    assert [server.name for server in outcome.servers] == ["PACS", "Other"]


def test_only_what_is_checked_is_taken_unless_all_is_asked_for():
    example = node("MedicalConnections", QueryRetrieveCheckState=UNCHECKED, Address="dicomserver.co.uk")
    rows = settings(json.dumps(example), json.dumps(node("PACS")), dialog=(dialog_node("Old", CheckState=UNCHECKED),))
    outcome = found(rows)
    assert ([server.name for server in outcome.servers], outcome.unchecked) == (
        ["PACS"],
        ("MedicalConnections", "Old"),
    )
    everything = found(rows, unchecked=True)
    assert ([server.name for server in everything.servers], everything.unchecked) == (
        ["MedicalConnections", "PACS", "Old"],
        (),
    )


def test_a_proxy_of_a_checked_server_is_taken_with_it():
    rows = [
        node("PACS", **{"Retrieve Proxy": "Gate"}),
        node("Gate", QueryRetrieveCheckState=UNCHECKED, **{"Retrieve Proxy": "Inner"}),
        node("Inner", QueryRetrieveCheckState=UNCHECKED),
        node("Idle", QueryRetrieveCheckState=UNCHECKED),
    ]
    outcome = found(settings(*rows))
    assert ([server.name for server in outcome.servers], outcome.unchecked) == (["PACS", "Gate", "Inner"], ("Idle",))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Address": " "}, "It has no address."),
        ({"Address": "two words"}, "The host must be a host name or an address."),
        ({"Port": "dicom"}, "Its port is no number."),
        ({"Port": None}, "Its port is no number."),
        ({"Port": True}, "Its port is no number."),
        ({"Port": "١٠٤"}, "Its port is no number."),
        ({"Port": "9" * 5000}, "Its port is no number."),
        ({"Port": 0}, "The port must lie between 1 and 65535."),
        (
            {"Called AETitle": ""},
            "The called AE title must have 1 to 16 ASCII characters and no backslash.",
        ),
        (
            {"Calling AETitle": "MUCH TOO LONG A TITLE"},
            "The calling AE title must have 1 to 16 ASCII characters and no backslash.",
        ),
        ({"Retrieve Protocol": "WADO"}, "The retrieve protocol WADO is not supported."),
        ({"Retrieve Proxy": "PACS"}, "Server PACS cannot be its own proxy."),
    ],
)
def test_what_cannot_be_a_server_is_told_with_the_reason(changes, reason):
    outcome = found(settings(json.dumps(node("PACS", **changes)), json.dumps(node("Good", Address="good"))))
    assert (reasons(outcome), [server.name for server in outcome.servers]) == ({"PACS": reason}, ["Good"])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("{", "It is not valid JSON."),
        ("[" * 50_000, "It is not valid JSON."),
        ("[]", "It is in a form that is not known here."),
        (["{", "}"], "It is in a form that is not known here."),
        ('"' + "x" * 70_000 + '"', "It is in a form that is not known here."),
        (None, "It is missing in the settings."),
    ],
)
def test_an_entry_in_no_known_form_is_told_by_its_number(raw, reason):
    assert reasons(found(settings(json.dumps(node("PACS")), raw))) == {"entry 2": reason}


def test_a_value_that_cannot_be_read_is_told_and_nothing_else_suffers():
    def read(key: str) -> object:
        if key in ("DICOM/ServerNodes/0", "CallingAETitle"):
            raise BadData("A setting ends too early.")
        return settings(None, json.dumps(node("PACS")), dialog=(dialog_node("Old"),)).get(key)

    outcome = found_servers(read)
    assert reasons(outcome) == {"entry 1": "A setting ends too early."}
    assert [server.name for server in outcome.servers] == ["PACS", "Old"]


def test_odd_values_fall_back():
    row = node("", Timeout=5, Port=104.0, **{"Calling AETitle": "", "Retrieve Protocol": ""})
    (server,) = found(settings(json.dumps(row))).servers
    assert server == Server("pacs.example.org", "pacs.example.org", 104, "PACS")
    (slow,) = found(settings(json.dumps(node("PACS", Timeout="100000")))).servers
    assert slow.timeout == 3600


def test_settings_without_servers_have_none():
    assert found({}) == FoundServers()
    assert found({"DICOM/ServerNodes/0": json.dumps(node("PACS"))}) == FoundServers()


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["CMOVE", "PACS", "104"])


@given(st.lists(st.dictionaries(st.sampled_from(list(node(""))), VALUES), max_size=4), st.booleans())
def test_nothing_in_an_entry_raises(rows, unchecked):
    outcome = found(settings(*rows), unchecked=unchecked)
    assert len(outcome.servers) + len(outcome.unchecked) + len(outcome.unusable) == len(rows)
