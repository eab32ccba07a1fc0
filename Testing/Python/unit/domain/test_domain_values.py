"""UIDs, status codes, results, levels: small values that everything else relies on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain import identity, status
from VisualDICOMBrowserLib.domain.errors import BadData, ConnectionLost, StorageError, VisualDicomError
from VisualDICOMBrowserLib.domain.model import Level, readable_date
from VisualDICOMBrowserLib.domain.results import (
    EchoResult,
    Failure,
    ImportResult,
    QueryResult,
    RemoveResult,
    RetrieveResult,
    ThumbnailResult,
    VerifyResult,
)
from VisualDICOMBrowserLib.domain.uids import clean_uid, is_uid


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2", "1", "2.25." + "9" * 59, "1.02.3"])
def test_uids_are_taken(uid):
    assert is_uid(uid)


@pytest.mark.parametrize(
    "uid", ["", " ", "1.2 ", "1.2\n", "1.2\0", "1/2", "../1", "1.2.x", "1" * 65, "１.２", "١.٢", "-1", "1,2"]
)
def test_what_is_no_uid_is_refused(uid):
    assert not is_uid(uid)


@pytest.mark.parametrize(
    ("raw", "uid"),
    [(b"1.2\0", "1.2"), (b"1.2 ", "1.2"), ("1.2\0\0", "1.2"), (b" 1.2\r\n", "1.2"), (b"", ""), (b"\0", "")],
)
def test_padding_of_uids_goes(raw, uid):
    assert clean_uid(raw) == uid


@given(st.binary(max_size=80))
def test_any_bytes_become_a_uid_or_none(raw):
    text = clean_uid(raw)
    assert not is_uid(text) or text.encode("ascii") in raw


def test_our_own_identity_obeys_the_standard():
    assert is_uid(identity.IMPLEMENTATION_CLASS_UID)
    assert len(identity.IMPLEMENTATION_VERSION) <= 16


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0x0000, "success"),
        (0xFF00, "pending"),
        (0xFF01, "pending"),
        (0xFE00, "cancel"),
        (0x0001, "warning"),
        (0x0107, "warning"),
        (0x0116, "warning"),
        (0xB000, "warning"),
        (0xB007, "warning"),
        (0xBFFF, "warning"),
        (0xA700, "failure"),
        (0xA900, "failure"),
        (0xC000, "failure"),
        (0x0122, "failure"),
        (0x0124, "failure"),
        (0xFF02, "failure"),
        (0x4711, "failure"),
    ],
)
def test_status_codes_have_categories(code, kind):
    assert status.category(code).value == kind


@pytest.mark.parametrize(("code", "transient"), [(0xA700, True), (0xA7FF, True), (0x0213, True), (0xA801, False),
                                                 (0xA900, False), (0xC000, False), (0x0000, False)])  # fmt: skip
def test_only_lack_of_resources_passes(code, transient):
    assert status.is_transient(code) is transient


@pytest.mark.parametrize("code", [0x0000, 0x0110, 0x0122, 0xA700, 0xA7F3, 0xA9FF, 0xB000, 0xC123, 0xFE00, 0x4711])
def test_every_status_is_put_in_words_with_its_code(code):
    text = status.in_words(code)
    assert text.endswith(f"(status 0x{code:04X})")
    assert len(text) > len("(status 0x0000)") + 5


def test_errors_know_whether_trying_again_helps():
    assert ConnectionLost("x").retryable
    assert not BadData("x").retryable
    assert StorageError("x", retryable=True).retryable
    assert not StorageError("x").retryable
    assert not ConnectionLost("x", retryable=False).retryable
    assert str(VisualDicomError("A sentence.")) == "A sentence."


def test_levels_have_words_and_an_order():
    assert [Level.from_word(word) for word in ("patient", "study", "series", "image")] == sorted(Level)
    with pytest.raises(KeyError):
        Level.from_word("instance")


@pytest.mark.parametrize(("date", "shown"), [("20260131", "2026-01-31"), ("", ""), ("2026", "2026"), ("abcdefgh",) * 2])
def test_dates_for_people(date, shown):
    assert readable_date(date) == shown


def _retrieve(requested: int, verified: int, missing: tuple[str, ...] = ()) -> RetrieveResult:
    failed = (Failure("1.9", "The server did not send it."),)
    return RetrieveResult(requested, "image-find", verified, verified, missing, failed, 1000, 1.23456)


@pytest.mark.parametrize(
    ("result", "complete"),
    [
        (_retrieve(3, 3), True),
        (_retrieve(3, 2, ("1.9",)), False),
        (_retrieve(0, 0), False),
        (_retrieve(3, 3, ("1",)), False),
    ],
)
def test_a_retrieve_is_complete_when_all_is_verified(result, complete):
    assert result.complete is complete
    assert result.to_dict()["failed"] == [{"sop_uid": "1.9", "reason": "The server did not send it."}]


@pytest.mark.parametrize(
    "result",
    [
        _retrieve(1, 1),
        EchoResult("PACS", True, 0.1, "The server answers."),
        ImportResult(3, 1, 1, (Failure("a.txt", "This is not a DICOM file."),), 0.12345),
        VerifyResult(2, 1, ("1.2",), ("dicom/x",)),
        RemoveResult(1, 1, 2, 12, 12),
        ThumbnailResult("1.2", "1.3", "/x.png", False),
        QueryResult(({"patient_id": "1"},), complete=True),
    ],
)
def test_results_are_json_documents(result):
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict()


def test_an_import_and_a_verification_say_what_is_wrong():
    imported = ImportResult(3, 1, 1, (Failure("a.txt", "no"),), 0.12345).to_dict()
    assert imported["rejected"] == [{"path": "a.txt", "reason": "no"}]
    assert imported["seconds"] == 0.123
    whole_disk = ImportResult(9000, 0, 0, tuple(Failure(str(n), "no") for n in range(9000)), 1.0).to_dict()
    assert (whole_disk["left_out"], len(whole_disk["rejected"])) == (9000, 2000)
    assert VerifyResult(1, 1, (), ()).ok
    assert not VerifyResult(1, 0, ("1.2",), ()).ok
    assert not VerifyResult(0, 1, (), ("dicom/x",)).to_dict()["ok"]
