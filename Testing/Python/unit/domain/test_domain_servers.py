from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.errors import UsageError
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod, Server
from VisualDICOMBrowserLib.domain.tls import TlsSettings

GOOD = {"name": "PACS", "host": "pacs.example", "port": 104, "called_aet": "ORTHANC"}


def test_a_server_needs_few_values_and_survives_json():
    server = Server.from_dict(GOOD)
    assert server == Server("PACS", "pacs.example", 104, "ORTHANC")
    assert (server.calling_aet, server.retrieve, server.timeout, server.max_associations) == (
        "VISUALDICOM",
        RetrieveMethod.GET,
        30.0,
        2,
    )
    assert Server.from_dict(json.loads(json.dumps(server.to_dict()))) == server


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("name", ["P" * 64, "Klinik für Radiologie", "x"]),
        ("host", ["127.0.0.1", "::1", "fe80::1%eth0", "localhost", "münchen.example", "a" * 63]),
        ("port", [1, 65535]),
        ("called_aet", ["A", "A" * 16, "MY PACS", "a-b_c!"]),
        ("calling_aet", ["X"]),
        ("retrieve", ["get", "move"]),
        ("proxy", [None, "Other"]),
        ("timeout", [0.5, 3600, 30]),
        ("max_associations", [1, 32]),
        ("fetch_ahead", [True, False]),
    ],
)
def test_values_up_to_the_bounds_are_taken(key, values):
    for value in values:
        server = Server.from_dict({**GOOD, key: value})
        assert server.to_dict()[key] == value
        assert Server.from_dict(server.to_dict()) == server


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("name", ["", " ", "P" * 65, "a\nb", "a\x7fb", "a\u2028b", "\ud800", None, 1, ["x"], {}]),
        ("host", ["", " ", "a b", "a\0b", "a" * 64, "a..b", ".", "h" * 254, "\ud800", None, 4, "a\x1bb"]),
        ("port", [0, -1, 65536, "104", 104.0, 1e400, None, True, 10**5000, [], float("nan")]),
        ("called_aet", ["", " ", "A" * 17, "A\\B", "Ä", "A\n", None, 7]),
        ("calling_aet", ["", "A" * 17, None, 0]),
        ("retrieve", ["", "GET", "fetch", None, [], {}, 1, True]),
        ("proxy", ["PACS", 1, [], False]),
        ("timeout", [0, 0.49, 3601, -1, float("nan"), float("inf"), "30", None, True, 10**400]),
        ("max_associations", [0, 33, -1, 2.0, "2", None, True]),
        ("fetch_ahead", [0, 1, "true", None, []]),
    ],
)
def test_values_that_cannot_be_right_are_wrong_usage(key, values):
    for value in values:
        with pytest.raises(UsageError):
            Server.from_dict({**GOOD, key: value})


def test_nothing_is_fetched_ahead_unless_somebody_said_so():
    assert not Server.from_dict(GOOD).fetch_ahead


def test_tls_settings_survive_json_and_older_configurations_have_none():
    assert Server.from_dict(GOOD).tls is None
    file = str(Path("ca.pem").absolute())
    server = Server.from_dict({**GOOD, "tls": {"ca_file": file}})
    assert server.tls == TlsSettings(ca_file=file)
    assert Server.from_dict(json.loads(json.dumps(server.to_dict()))) == server
    assert Server.from_dict({**GOOD, "tls": {}}).tls == TlsSettings()


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        (True, "wrong value for 'tls'"),
        ({"verify": False}, "Unknown TLS setting: verify"),
        ({"ca_file": 1}, "wrong value for 'ca_file'"),
        ({"ca_file": "ca.pem"}, "trusted certificates must be named by its full path"),
        ({"ca_file": ""}, "trusted certificates must be named by its full path"),
        ({"certificate": "\0"}, "our certificate must be named"),
        ({"key": str(Path("key.pem").absolute())}, "a private key needs its certificate"),
        ({"key_password_file": str(Path("word").absolute())}, "a password needs the certificate"),
        ({"host_name": "two words"}, "the name in the certificate must be a host name"),
    ],
)
def test_tls_settings_that_cannot_be_right_are_wrong_usage(tls, said):
    with pytest.raises(UsageError, match=said):
        Server.from_dict({**GOOD, "tls": tls})


@pytest.mark.parametrize("key", GOOD)
def test_a_missing_value_is_named(key):
    with pytest.raises(UsageError, match=f"lacks '{key}'"):
        Server.from_dict({k: v for k, v in GOOD.items() if k != key})


@pytest.mark.parametrize("values", [None, [], "x", 1, {1: 2}, {**GOOD, "prot": 1}, {**GOOD, None: 1}, {}])
def test_what_is_no_server_is_wrong_usage(values):
    with pytest.raises(UsageError):
        Server.from_dict(values)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from([*Server.__dataclass_fields__, "other"]), _JSON))
def test_any_values_are_a_server_or_wrong_usage(changes):
    try:
        server = Server.from_dict({**GOOD, **changes})
    except UsageError:
        return
    assert Server.from_dict(server.to_dict()) == server
