"""Copies in a folder for others: names that every system takes, nothing overwritten, nothing left half."""

from __future__ import annotations

import errno
import io
import shutil
from collections import namedtuple
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.store.store_kit import Sample, bring_in, receive, samples, write_files
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, StorageError, UsageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.store import exporter as module
from VisualDICOMBrowserLib.store import sqlite
from VisualDICOMBrowserLib.store.exporter import Exporter
from VisualDICOMBrowserLib.store.safe_names import MAX_BYTES, MAX_CHARACTERS, safe_name

PATIENT = Target(Level.PATIENT, ("4711",))
Usage = namedtuple("Usage", "total used free")


def export(store, folder: Path, target: Target = PATIENT, token: CancelToken | None = None, progress=lambda *_: None):
    return Exporter(store, token or CancelToken(), progress).run(target, folder)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_lie_below_patient_study_and_series_in_the_order_of_their_numbers(store, tmp_path):
    receive(store, [*reversed(samples(3)), *samples(1, series=2)])
    reports = []
    result = export(store, tmp_path / "out", progress=lambda *numbers: reports.append(numbers))

    assert tree(tmp_path / "out") == {
        **{f"4711-Doe, Jane/study/1 CT/0000{n}.dcm": Sample(number=n).file for n in (1, 2, 3)},
        "4711-Doe, Jane/study/2 CT/00001.dcm": Sample(series=2).file,
    }
    assert (result.files, result.failed, result.folder) == (4, (), str(tmp_path / "out"))
    assert [done for done, _, _ in reports] == [1, 2, 3, 4]
    assert reports[-1][1] == 4
    assert reports[-1][2] == sum(len(content) for content in tree(tmp_path / "out").values())


def test_the_same_files_again_are_left_alone(store, tmp_path):
    receive(store, samples(2))
    export(store, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.dcm")}
    again = export(store, tmp_path)

    assert again.files == 2
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.dcm")} == before


def test_other_files_of_that_name_are_not_overwritten(store, tmp_path):
    receive(store, samples(2))
    series = tmp_path / "4711-Doe, Jane" / "study" / "1 CT"
    series.mkdir(parents=True)
    (series / "00002.dcm").write_bytes(b"theirs")
    export(store, tmp_path)

    assert (series / "00002.dcm").read_bytes() == b"theirs"
    assert not (series / "00001.dcm").exists()
    assert len(list((series.parent / "1 CT (2)").iterdir())) == 2


def test_a_link_in_the_folder_is_not_written_through(store, tmp_path):
    receive(store, samples(1))
    series = tmp_path / "4711-Doe, Jane" / "study" / "1 CT"
    series.mkdir(parents=True)
    try:
        (series / "00001.dcm").symlink_to(tmp_path / "victim")
    except OSError:
        pytest.skip("no links here")
    export(store, tmp_path)

    assert not (tmp_path / "victim").exists()
    assert (series.parent / "1 CT (2)" / "00001.dcm").is_file()


def test_two_of_the_same_name_get_folders_of_their_own(store, tmp_path):
    receive(store, [*samples(1), *samples(1, study=2), *samples(1, study=3, name="Doe^jane", patient_id="4711 ")])
    out = tmp_path / "out"
    export(store, out)

    folders = {path.parent.parent.relative_to(out).as_posix() for path in out.rglob("*.dcm")}
    assert len(folders) == 3
    assert len({folder.casefold() for folder in folders}) == 3


def test_an_interrupted_export_goes_on_where_it_was(store, tmp_path):
    receive(store, samples(5))
    token = CancelToken()
    with pytest.raises(Cancelled):
        export(store, tmp_path / "out", token=token, progress=lambda done, *_: done == 2 and token.cancel())
    assert len(tree(tmp_path / "out")) == 2

    assert export(store, tmp_path / "out").files == 5
    assert len(tree(tmp_path / "out")) == 5


def test_sources_that_are_gone_are_named_and_stop_nothing(store, tmp_path):
    paths = write_files(tmp_path / "theirs", samples(3))
    bring_in(store, paths, link=True)
    paths[1].unlink()
    result = export(store, tmp_path / "out")

    assert result.files == 2
    assert [failure.subject for failure in result.failed] == ["1.2.1.1.2"]
    assert result.to_dict()["failed"][0]["sop_uid"] == "1.2.1.1.2"
    assert len(tree(tmp_path / "out")) == 2


def test_nothing_here_is_a_wrong_request(store, tmp_path):
    with pytest.raises(UsageError, match="Nothing of that"):
        export(store, tmp_path)


@pytest.mark.parametrize("inside", ["", "dicom", "new/folder"])
def test_the_database_folder_is_no_place_for_it(store, folder, inside):
    receive(store, samples(1))
    with pytest.raises(UsageError, match="database folder"):
        export(store, folder.root / inside)


def test_too_little_room_is_told_before_anything_is_written(store, tmp_path, monkeypatch):
    receive(store, samples(1))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: Usage(1000, 1000, 0))
    with pytest.raises(StorageError, match="not enough room"):
        export(store, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_a_full_disk_leaves_no_half_file(store, tmp_path, monkeypatch):
    receive(store, samples(2))

    def full(part: Path, final: Path) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(module, "_name_anew", full)
    with pytest.raises(StorageError, match="full"):
        export(store, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_a_disk_that_is_full_when_a_file_is_closed_is_told(store, tmp_path, monkeypatch):
    receive(store, samples(1))

    class Full(io.BytesIO):
        def close(self) -> None:
            super().close()
            raise OSError(errno.ENOSPC, "No space left on device")

    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode, **how: Full() if mode == "xb" else opened(path, mode, **how))
    with pytest.raises(StorageError, match="disk is full"):
        export(store, tmp_path / "out")


def test_many_instances_of_a_series_lie_in_one_folder(store, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "CHUNK", 2)
    receive(store, [*samples(3), *samples(3, series=2)])
    uids = [f"1.2.1.{series}.{number}" for number in (1, 2, 3) for series in (1, 2)]
    result = export(store, tmp_path, Target(Level.IMAGE, (*uids, uids[0])))

    assert result.files == 6
    assert {path.parent.name for path in tmp_path.rglob("0000[123].dcm") if "dicom" not in path.parts} == {
        "1 CT",
        "2 CT",
    }


def test_a_series_that_is_removed_meanwhile_is_named(store, tmp_path, monkeypatch):
    receive(store, samples(2))
    monkeypatch.setattr(store.catalogue, "find_series", lambda _: None)
    result = export(store, tmp_path / "out")

    assert result.files == 0
    assert [failure.subject for failure in result.failed] == ["1.2.1.1.1", "1.2.1.1.2"]


def test_where_there_are_no_links_files_are_renamed(store, tmp_path, monkeypatch):
    receive(store, samples(2))

    def no_links(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(module.os, "link", no_links)
    assert export(store, tmp_path / "out").files == 2
    assert all(name.endswith(".dcm") for name in tree(tmp_path / "out"))


def test_a_hostile_patient_stays_in_the_folder(store, tmp_path):
    receive(store, [Sample(patient_id="../../../up", name="..\\..\\C:\\evil^\0\x1b[31m")])
    out = tmp_path / "a" / "b" / "c" / "out"
    export(store, out, Target(Level.STUDY, ("1.2.1",)))

    assert len(tree(out)) == 1
    assert len([path for path in tmp_path.rglob("00001.dcm") if out not in path.parents]) == 0


def test_a_file_where_the_folder_should_be_is_told(store, tmp_path):
    receive(store, samples(1))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        export(store, tmp_path / "file")


def test_what_was_deleted_of_an_export_is_exported_again(store, tmp_path):
    receive(store, samples(2))
    export(store, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "4711-Doe, Jane" / "study")
    assert export(store, tmp_path / "out").files == 2
    assert len(tree(tmp_path / "out")) == 2


# Names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Doe, Jane", "Doe, Jane"),
        ("山田, 太郎", "山田, 太郎"),
        ("a/b\\c:d", "a_b_c_d"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("LPT1 .x", "_LPT1 .x"),
        ("COM¹", "_COM¹"),
        ("CONSOLE", "CONSOLE"),
        ("..", "thing"),
        (". .hidden. ", "hidden"),
        ("", "thing"),
        ("///", "thing"),
        ("a\0b\nc\u202ed", "ab cd"),
        ("A\u030a", "Å"),
        ("x" * 500, "x" * MAX_CHARACTERS),
    ],
)
def test_a_text_becomes_a_name(text, expected):
    assert safe_name(text, "thing") == expected


@given(st.text(st.characters()))
def test_any_text_becomes_one_name_that_every_system_takes(text):
    name = safe_name(text, "thing")

    assert PurePosixPath(name).parts == (name,)
    assert PureWindowsPath(name).parts == (name,)
    assert name not in ("", ".", "..")
    assert name.split(".")[0].rstrip().upper() not in ("CON", "PRN", "AUX", "NUL", "COM1", "LPT9")
    assert not name.endswith((".", " "))
    assert len(name.encode("utf-8")) <= MAX_BYTES + 1
    assert not set(name) & set('<>:"/\\|?*')
    assert name.isprintable()
    assert safe_name(name, "thing") == name
