"""The data set of a file as it is sent: every byte at its place, however the system reads."""

from __future__ import annotations

from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest

from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.store import outgoing
from VisualDICOMBrowserLib.store.outgoing import OutgoingFile, opened_data_set, read_outgoing

Scatter = Callable[[FileIO, list[memoryview]], int]


@pytest.fixture
def file(tmp_path: Path) -> OutgoingFile:
    """A file with a CT image."""
    (made,) = make_ct_series(tmp_path, 1, 20_000)
    return read_outgoing(made.path)


def one_byte_less(stream: FileIO, views: list[memoryview]) -> int:
    return stream.readinto(views[0][: max(1, len(views[0]) - 1)])


@pytest.mark.parametrize("scatter", [outgoing._read_into_first, one_byte_less, outgoing._scatter])
def test_views_are_filled_one_after_the_other(
    file: OutgoingFile, scatter: Scatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "_scatter", scatter)
    expected = file.path.read_bytes()[file.offset :]
    memory = memoryview(bytearray(b"-" * (file.size + 30)))
    places = [(5, 7), (20, 1), (21, 9000), (9030, file.size - 9008)]
    with opened_data_set(file) as reader:
        reader.fill([memory[start : start + size] for start, size in places[:2]])
        reader.fill([memory[start : start + size] for start, size in places[2:]])
    assert b"".join(memory[start : start + size] for start, size in places) == expected
    assert bytes(memory[:5]) == b"-----"
    assert bytes(memory[12:20]) == b"--------"


@pytest.mark.parametrize("scatter", [outgoing._read_into_first, outgoing._scatter])
def test_a_file_that_became_shorter_is_not_sent_as_if_it_were_whole(
    file: OutgoingFile, scatter: Scatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "_scatter", scatter)
    with opened_data_set(file) as reader:
        with file.path.open("r+b") as stream:
            stream.truncate(file.offset + 100)
        with pytest.raises(StorageError, match="changed"):
            reader.fill([memoryview(bytearray(60)), memoryview(bytearray(60))])


def test_a_file_that_was_replaced_is_not_opened(file: OutgoingFile) -> None:
    file.path.write_bytes(file.path.read_bytes() + b"more")
    with pytest.raises(StorageError, match="changed"), opened_data_set(file):
        pass
