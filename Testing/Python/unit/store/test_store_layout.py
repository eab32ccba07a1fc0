from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.errors import BadData
from VisualDICOMBrowserLib.store.layout import DatabaseFolder


def test_instances_lie_where_ctk_looks_for_them(folder):
    study = "1.2.826.0.1.3680043.8.498.13032911582176390737694135309109971567"
    series = "1.2.826.0.1.3680043.8.498.30147642812743613394408058254606912145"
    sop = "1.2.826.0.1.3680043.8.498.84464213652490592025355473067975944279"
    hashed = "1c56f546/ccf391c8/08213633efad73598a98f8b365aaf9be"
    assert folder.instance_path(study, series, sop) == folder.root / f"dicom/{hashed}.dcm"
    assert folder.thumbnail_path(study, series, sop) == folder.root / f"thumbs/{hashed}.png"


def test_root_is_absolute_and_resolved(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    assert DatabaseFolder(Path("link")).root == (tmp_path / "real").resolve()


@given(*[st.text()] * 3)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_uid_however_hostile_becomes_a_path(folder, study, series, sop):
    path = folder.instance_path(study, series, sop)
    assert folder.owns(path)
    assert len(path.relative_to(folder.dicom_folder).parts) == 3


def test_files_inside_are_stored_relative_and_linked_ones_absolute(folder, tmp_path):
    inside = folder.dicom_folder / "a" / "b.dcm"
    assert folder.stored_name(inside) == "dicom/a/b.dcm"
    assert folder.stored_name(tmp_path / "elsewhere.dcm") == (tmp_path / "elsewhere.dcm").as_posix()
    assert folder.absolute("dicom/a/b.dcm") == inside
    assert folder.absolute(str(tmp_path / "elsewhere.dcm")) == tmp_path / "elsewhere.dcm"


def test_a_relative_path_to_a_linked_file_is_stored_absolute(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folder.stored_name(Path("elsewhere.dcm")) == (tmp_path / "elsewhere.dcm").as_posix()


@pytest.mark.parametrize(
    "stored", ["", ".", "..", "../x", "dicom/../../x", "dicom/../..", "a/../../database-2/x", "x\0y"]
)
def test_a_stored_name_that_leads_out_of_the_folder_is_refused(folder, stored):
    with pytest.raises(BadData, match="outside its folder"):
        folder.absolute(stored)


def test_a_windows_name_gives_an_absolute_path_on_every_system(folder):
    assert folder.absolute("C:/images/1.dcm").is_absolute()


def test_a_symbolic_link_out_of_the_folder_does_not_count_as_inside(folder, tmp_path):
    folder.dicom_folder.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (folder.dicom_folder / "link").symlink_to(tmp_path / "outside")
    assert not folder.owns(folder.dicom_folder / "link" / "x.dcm")
    assert Path(folder.stored_name(folder.dicom_folder / "link" / "x.dcm")).is_absolute()
    with pytest.raises(BadData):
        folder.absolute("dicom/link/x.dcm")


def test_a_loop_of_links_leads_nowhere(folder):
    folder.root.mkdir()
    (folder.root / "a").symlink_to(folder.root / "b")
    (folder.root / "b").symlink_to(folder.root / "a")
    path = folder.root / "a" / "x"
    assert not folder.owns(path) or not path.exists()  # Python 3.13 leaves the loop in the path


def test_neither_the_folder_itself_nor_a_sibling_with_the_same_beginning_is_inside(folder):
    assert not folder.owns(folder.root)
    assert not folder.owns(folder.dicom_folder)
    assert not folder.owns(folder.root.with_name(folder.root.name + "-2") / "x")
    assert not folder.owns(folder.root / "dicom-2" / "x")
    assert folder.owns(folder.thumbs_folder / "x")


@pytest.mark.parametrize(
    "name",
    ["ctkDICOM.sql", "ctkdicom.SQL", "ctkDICOM.sql-journal", "ctkDICOMTagCache.sql", "visual-dicom-browser.lock"],
)
def test_the_databases_are_known_by_name_and_through_links_and_are_no_images(folder, tmp_path, name):
    assert folder.is_database(folder.root / name)
    assert not folder.is_database(tmp_path / name)
    assert not folder.is_database(folder.dicom_folder / name)
    (tmp_path / "link").symlink_to(folder.root / name)
    assert folder.is_database(tmp_path / "link")
    for stored in (name, f"dicom/../{name}", str(folder.root / name)):
        with pytest.raises(BadData, match="names itself"):
            folder.absolute(stored)


def test_a_name_that_no_file_can_have_is_found_nowhere(folder):
    for stored in ("dicom/" + "x" * 5000, "/" + "x" * 5000, "x" * 5000, "a\0b", "/a\0b"):
        assert folder.find(stored) is None
