"""Thumbnails of what is here; those of remote series are tested with real servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled
from VisualDICOMBrowserLib.engine.thumbnails import local_thumbnail
from VisualDICOMBrowserLib.store.importer import Importer
from VisualDICOMBrowserLib.store.local import LocalStore


@dataclass
class Outcome:
    placeholder: bool = False
    reason: str = ""


class FakeDecoder:
    """Draws a file's name instead of its pixels."""

    def __init__(self) -> None:
        self.rendered: list[Path] = []

    def render(self, source: Path, target: Path, modality: str) -> Outcome:
        self.rendered.append(source)
        target.write_bytes(source.name.encode() + modality.encode())
        return Outcome()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore.open(tmp_path / "database") as opened:
        yield opened


@pytest.fixture
def decoder() -> FakeDecoder:
    return FakeDecoder()


def bring(store: LocalStore, paths: list[Path]) -> None:
    Importer(store, link=False, token=CancelToken()).run(paths)


def test_nothing_here_is_no_thumbnail(store, decoder):
    assert local_thumbnail(store, decoder, "1.2.3") is None  # type: ignore[arg-type]


def test_the_middle_instance_stands_for_the_series(store, decoder, tmp_path):
    files = make_ct_series(tmp_path / "ct", 5, 200)
    bring(store, [file.path for file in reversed(files)])
    made = local_thumbnail(store, decoder, files[0].series_uid)

    assert made is not None
    assert made.sop_uid == files[2].sop_uid
    assert Path(made.path).is_relative_to(store.folder.thumbs_folder)
    assert list(store.folder.incoming_folder.glob("*")) == []


def test_a_picture_is_drawn_once_until_another_instance_is_the_middle_one(store, decoder, tmp_path):
    files = make_ct_series(tmp_path / "ct", 6, 200)
    uid = files[0].series_uid
    bring(store, [files[0].path])
    first = local_thumbnail(store, decoder, uid)
    assert local_thumbnail(store, decoder, uid) == first
    assert len(decoder.rendered) == 1
    bring(store, [file.path for file in files[1:]])
    second = local_thumbnail(store, decoder, uid)

    assert first is not None
    assert second is not None
    assert (first.sop_uid, second.sop_uid) == (files[0].sop_uid, files[3].sop_uid)
    assert len(decoder.rendered) == 2


def test_a_deleted_picture_is_drawn_again(store, decoder, tmp_path):
    (file,) = make_ct_series(tmp_path / "ct", 1, 200)
    bring(store, [file.path])
    first = local_thumbnail(store, decoder, file.series_uid)
    assert first is not None
    Path(first.path).unlink()

    assert local_thumbnail(store, decoder, file.series_uid) == first
    assert Path(first.path).exists()


def test_a_picture_that_is_cancelled_while_it_is_drawn_leaves_nothing(store, decoder, tmp_path):
    (file,) = make_ct_series(tmp_path / "ct", 1, 200)
    bring(store, [file.path])
    token = CancelToken()
    render = decoder.render

    def cancelled(source: Path, target: Path, modality: str) -> Outcome:
        token.cancel()
        return render(source, target, modality)

    decoder.render = cancelled
    with pytest.raises(Cancelled):
        local_thumbnail(store, decoder, file.series_uid, token)
    assert store.catalogue.thumbnail(file.series_uid) is None
    assert not list(store.folder.thumbs_folder.rglob("*.png"))
    assert list(store.folder.incoming_folder.glob("*")) == []


def test_two_who_draw_the_same_picture_do_not_take_it_from_each_other(store, decoder, tmp_path):
    (file,) = make_ct_series(tmp_path / "ct", 1, 200)
    bring(store, [file.path])
    other = FakeDecoder()
    render = decoder.render

    def overtaken(source: Path, target: Path, modality: str) -> Outcome:
        outcome = render(source, target, modality)
        local_thumbnail(store, other, file.series_uid)
        return outcome

    decoder.render = overtaken
    made = local_thumbnail(store, decoder, file.series_uid)
    assert len(other.rendered) == 1
    assert made is not None
    assert Path(made.path).is_file()


def test_a_damaged_file_leaves_the_picture_to_the_others(store, decoder, tmp_path):
    files = make_ct_series(tmp_path / "ct", 3, 2000)
    bring(store, [file.path for file in files])
    middle = store.folder.instance_path(files[1].study_uid, files[1].series_uid, files[1].sop_uid)
    middle.write_bytes(b"damaged")
    made = local_thumbnail(store, decoder, files[0].series_uid)

    assert made is not None
    assert made.sop_uid in {files[0].sop_uid, files[2].sop_uid}
