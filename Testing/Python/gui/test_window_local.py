"""The whole window on what is on this computer: first page, import by drop and dialog, remove, undo, export."""

from __future__ import annotations

import pytest
import qt

from support.synthetic import make_ct_series, truncated_file
from support.window_hands import Hands

COUNT = 6


@pytest.fixture
def files(tmp_path):
    return make_ct_series(tmp_path / "disc", COUNT, 20_000, patient_id="LOC-1", patient_name="Local^Lena", study=81)


@pytest.fixture
def hands(open_window) -> Hands:
    return open_window()


def import_and_choose(hands: Hands, folder) -> None:
    assert hands.drop(hands.browser, [folder])
    hands.wait_for_message(f"Imported {COUNT} images.")
    hands.wait(lambda: hands.names() == ["Local, Lena"], "the patient")
    hands.choose_patient("Local")
    hands.wait(hands.studies, "the study")


def test_the_first_page_leads_to_a_server_and_to_a_folder(hands, files):
    welcome = hands.browser._welcome
    hands.wait(welcome.isVisible, "the first page")
    hands.press("Add a server…", welcome)
    hands.wait(lambda: hands.settings.isVisible() and hands.settings.form.fields["name"].hasFocus(), "the form")
    hands.press("Discard", hands.settings)
    hands.key(qt.Qt.Key_Escape)
    hands.wait(welcome.isVisible, "the first page again")
    hands.press("Import a folder…", welcome)
    hands.answer_dialog(files[0].path.parent)
    hands.wait_for_message(f"Imported {COUNT} images.")
    hands.wait(lambda: hands.names() == ["Local, Lena"], "the patient")
    assert hands.ask("verify")["rows"] == COUNT


def test_files_may_be_dropped_on_the_first_page_and_bad_ones_are_told(hands, files, tmp_path):
    broken = truncated_file(tmp_path, 0.01)
    hands.wait(hands.browser._welcome.isVisible, "the first page")
    assert hands.drop(hands.browser._welcome, [*(file.path for file in files), broken])
    text = hands.wait_for_message(f"Imported {COUNT} images.")
    assert "1 file had to be left out." in text
    assert broken.name in hands.details("Imported")
    hands.wait(lambda: hands.names() == ["Local, Lena"], "the patient")
    hands.choose_patient("Local")
    hands.wait(hands.studies, "the study")
    assert hands.drop(hands.canvas, [files[0].path])  # also where one looks at images
    hands.wait_for_message("1 were here already")


def test_chosen_files_are_imported_by_dialog(hands, files):
    hands.browser.import_files()
    hands.answer_dialog(files[0].path, files[1].path)
    hands.wait_for_message("Imported 2 images.")
    assert hands.ask("verify")["rows"] == 2


def test_what_is_removed_comes_back_by_undo(hands, files):
    import_and_choose(hands, files[0].path.parent)
    uid = files[0].series_uid
    assert hands.menu_of_cell(uid)["Remove from this computer"]
    hands.choose("Remove from this computer")
    hands.wait_for_message(f"Removed {COUNT} images of 1 series")
    hands.wait(lambda: hands.names() == [], "the empty list")
    assert hands.ask("verify") == {"rows": 0, "files": 0, "missing": [], "orphans": [], "ok": True}
    hands.press("Undo", hands.browser._messages)
    hands.wait_for_message(f"{COUNT} images are back.")
    hands.wait(lambda: hands.names() == ["Local, Lena"], "the patient")
    assert hands.ask("verify") == {"rows": COUNT, "files": COUNT, "missing": [], "orphans": [], "ok": True}
    hands.choose_patient("Local")
    hands.wait(lambda: hands.sheet.content.find(uid), "the series")
    hands.wait_for_state(uid, "here")


def test_export_writes_the_same_bytes_into_a_folder(hands, files, tmp_path):
    import_and_choose(hands, files[0].path.parent)
    target = tmp_path / "stick"
    target.mkdir()
    hands.press("Export…", hands.page)
    hands.answer_dialog(target)
    hands.wait_for_message(f"Exported {COUNT} files to")
    written = {path.read_bytes() for path in target.rglob("*") if path.is_file() and path.name != "DICOMDIR"}
    assert written == {file.path.read_bytes() for file in files}


def test_other_content_under_a_known_uid_is_told_and_takes_its_place_on_purpose(hands, files, tmp_path):
    import_and_choose(hands, files[0].path.parent)
    corrected = make_ct_series(
        tmp_path / "new", COUNT, 20_000, patient_id="LOC-1", patient_name="Local^Magdalena", study=81
    )
    assert hands.drop(hands.browser, [corrected[0].path.parent])
    hands.wait_for_message(f"{COUNT} files have another content than the image that is here under the same UID")
    assert "PatientName" in hands.details("another content")
    assert hands.names() == ["Local, Lena"]
    hands.press("Replace", hands.browser._messages)
    hands.wait_for_message(f"{COUNT} images that had been here gave way to the files.")
    hands.wait(lambda: hands.names() == ["Local, Magdalena"], "the corrected name")
    assert hands.ask("verify")["rows"] == COUNT
