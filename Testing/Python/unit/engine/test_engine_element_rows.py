"""Pages of a listing, and the search in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.engine.element_rows import ElementRows

ROWS = [
    [0, "(0008,0060)", "CS", "Modality", 2, "CT", -1, "Modality"],
    [0, "(0010,0010)", "PN", "Patient's Name", 9, "Müller^José", -1, "PatientName"],
    [0, "(0040,A730)", "SQ", "Content Sequence", 90, "2 items", -1, "ContentSequence"],
    [1, "(FFFE,E000)", "", "Item 1", 40, "", 2, ""],
    [2, "(0010,0020)", "LO", "Patient ID", 4, "4711", 3, "PatientID"],
    [1, "(FFFE,E000)", "", "Item 2", 40, "", 2, ""],
    [2, "(0008,0104)", "LO", "Code Meaning", 4, "ΑΒΓ 0010", 5, "CodeMeaning"],
]


@pytest.fixture
def listing(tmp_path: Path) -> ElementRows:
    path = tmp_path / "rows"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return ElementRows(path, "")


def found(listing: ElementRows, search: str) -> list[str]:
    return [row[3] for row in listing.page(0, 100, search)[1]]


def test_pages_are_parts_of_the_whole(listing):
    assert listing.total == 7
    assert listing.page(5, 10) == (7, [tuple(row[:7]) for row in ROWS[5:]])
    assert listing.page(7, 10) == (7, [])
    assert listing.page(2, 0) == (7, [])


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("modal", ["Modality"]),
        ("MULLER", ["Patient's Name"]),
        ("müller^jose", ["Patient's Name"]),
        ("patientname", ["Patient's Name"]),
        ("αβγ", ["Content Sequence", "Item 2", "Code Meaning"]),
        ("0010,0020", ["Content Sequence", "Item 1", "Patient ID"]),
        ("(0010,0020)", ["Content Sequence", "Item 1", "Patient ID"]),
        ("00100020", ["Content Sequence", "Item 1", "Patient ID"]),
        (" 0040a730 ", ["Content Sequence"]),
        ("0040,A7", ["Content Sequence"]),
        ("nothing of the kind", []),
    ],
)
def test_the_search_finds_rows_and_shows_what_they_stand_below(listing, search, names):
    assert found(listing, search) == names
    assert listing.page(0, 100, search)[0] == len(names)


def test_parents_are_counted_among_what_was_found(listing):
    rows = listing.page(0, 100, "4711")[1]
    assert [row[6] for row in rows] == [-1, 0, 1]
    assert [row[6] for row in listing.page(2, 1, "4711")[1]] == [1]


def test_an_empty_search_is_none(listing):
    assert listing.page(0, 100, "  ")[0] == 7


def test_a_listing_that_is_gone_is_a_storage_error(listing, tmp_path):
    (tmp_path / "rows").unlink()
    for search in ("", "x"):
        with pytest.raises(StorageError):
            listing.page(0, 1, search)
    with pytest.raises(StorageError):
        ElementRows(tmp_path / "rows", "")
