"""The settings of the listener."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from VisualDICOMBrowserLib.domain.errors import UsageError
from VisualDICOMBrowserLib.domain.listener import CallRecord, ListenerSettings, ListenResult
from VisualDICOMBrowserLib.domain.results import Conflict
from VisualDICOMBrowserLib.domain.tls import ListenerTls

FILE = str(Path("file.pem").absolute())


def test_tls_survives_json_and_older_configurations_have_none():
    assert ListenerSettings.from_dict({"aet": "US"}).tls is None
    settings = ListenerSettings(tls=ListenerTls(FILE, key=FILE, key_password_file=FILE, ca_file=FILE))
    assert ListenerSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    plain = ListenerSettings()
    assert ListenerSettings.from_dict(json.loads(json.dumps(plain.to_dict()))) == plain


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        (True, "wrong value for 'tls'"),
        ([], "wrong value for 'tls'"),
        ({}, "the listener needs a certificate"),
        ({"certificate": None}, "the listener needs a certificate"),
        ({"certificate": 5}, "The listener in the configuration has a wrong value for 'certificate'"),
        ({"certificate": ""}, "our certificate must be named by its full path"),
        ({"certificate": "own.pem"}, "our certificate must be named by its full path"),
        ({"certificate": FILE, "key": "key.pem"}, "our private key must be named by its full path"),
        ({"certificate": FILE, "key_password_file": "\n"}, "the file with the password must be named"),
        ({"certificate": FILE, "ca_file": "x" * 5000}, "the file of trusted certificates must be named"),
        ({"certificate": FILE, "host_name": "us.example"}, "Unknown TLS setting: host_name"),
    ],
)
def test_tls_that_cannot_be_right_is_wrong_usage(tls: object, said: str):
    with pytest.raises(UsageError, match=said):
        ListenerSettings.from_dict({"tls": tls})


def test_conflicts_of_calls_are_counted_and_the_first_are_named():
    record, result = CallRecord(1, "CT", "192.0.2.7"), ListenResult("US", "127.0.0.1", 104)
    for number in range(130):
        record.add_conflict(Conflict(f"1.{number}", "It differs.", (), "CT"))
    result.add(record)
    result.add(record)
    for document, count in ((record.to_dict(), 130), (result.to_dict(), 260)):
        assert document["conflicting"] == count
        assert [one["sop_uid"] for one in document["conflicts"]] == [f"1.{n}" for n in range(100)]
