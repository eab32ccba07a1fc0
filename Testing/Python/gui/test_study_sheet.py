"""The sheet of studies under real mouse, keys and events of the session."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import qt
from PIL import Image

from support import sheet_samples as samples
from support.fake_session import FakeSession
from VisualDICOMBrowserLib.domain.errors import PeerError, StorageError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.overview import Places, Thumbnail
from VisualDICOMBrowserLib.gui.studies.sheet_layout import HEADER, LINE, Spot
from VisualDICOMBrowserLib.gui.studies.sheet_look import ThumbnailSize
from VisualDICOMBrowserLib.gui.studies.sheet_painter import check_box, chip_box, header_chip
from VisualDICOMBrowserLib.gui.studies.study_sheet import StudySheet
from VisualDICOMBrowserLib.jobs.states import JobState

CTRL, SHIFT, NONE = qt.Qt.ControlModifier, qt.Qt.ShiftModifier, qt.Qt.NoModifier


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.new("L", (256, 200), 128).save(path)
    return path


class Driver:
    """A sheet, and what it told."""

    def __init__(self, qtbot, session: FakeSession) -> None:
        self.qtbot = qtbot
        self.sheet = StudySheet(session)
        self.canvas = self.sheet.canvas
        self.told: list[tuple] = []
        for name in (
            "selection_changed",
            "opened",
            "previewed",
            "menu_asked",
            "retry_asked",
            "fetch_asked",
            "cancel_asked",
        ):
            getattr(self.sheet, name).connect(lambda *values, name=name: self.told.append((name, *values)))
        qtbot.addWidget(self.sheet)
        self.sheet.resize(800, 600)
        self.sheet.show()
        qtbot.waitExposed(self.sheet)

    def box(self, uid: str):
        return self.canvas.places.box(self.sheet.content.spot_of(uid))

    def point(self, box) -> qt.QPoint:
        return qt.QPoint(box.x + box.width // 2, box.y + box.height // 2 - self.canvas.top)

    def click(self, uid: str, modifiers=NONE) -> None:
        self.qtbot.mouseClick(self.canvas, qt.Qt.LeftButton, modifiers, self.point(self.box(uid)))

    def press(self, key, modifiers=NONE) -> None:
        self.qtbot.keyClick(self.canvas, key, modifiers)

    def selected(self) -> list[str]:
        return [row.uid for row in self.sheet.selected()]

    def told_of(self, name: str) -> list:
        return [values[0] for told, *values in self.told if told == name]


@pytest.fixture
def driver(qtbot, session, picture):
    driver = Driver(qtbot, session)
    driver.sheet.show_patient(samples.one_of_each_state(session, picture))
    yield driver
    driver.sheet.cleanup()


def test_the_two_newest_studies_are_unfolded_and_only_their_series_are_read(driver, session):
    assert [block.expanded for block in driver.canvas.places.blocks] == [True, True, False, True]
    assert [uids for name, uids in session.reader.asked if name == "series"] == [("1.1", "1.2")]


def test_a_click_chooses_ctrl_adds_and_shift_reaches(driver):
    driver.click("1.1.2")
    driver.click("1.1.5", CTRL)
    assert driver.selected() == ["1.1.2", "1.1.5"]
    driver.click("1.1.3", SHIFT)
    assert driver.selected() == ["1.1.3", "1.1.4", "1.1.5"]
    assert [row.uid for row in driver.told_of("selection_changed")[-1]] == ["1.1.3", "1.1.4", "1.1.5"]


def test_a_click_on_one_of_several_chosen_ones_chooses_it_when_the_button_goes_up(driver):
    driver.click("1.1.2")
    driver.click("1.1.5", CTRL)
    driver.click("1.1.2")
    assert driver.selected() == ["1.1.2"]


def test_a_click_beside_the_cells_chooses_nothing(driver):
    driver.click("1.1.2")
    below = driver.box("1.1.9")
    driver.qtbot.mouseClick(driver.canvas, qt.Qt.LeftButton, NONE, qt.QPoint(790, below.y + 5))
    assert driver.selected() == []


def test_a_rubber_band_chooses_what_it_meets(driver):
    first, last = driver.box("1.1.1"), driver.box("1.1.2")
    driver.qtbot.mousePress(driver.canvas, qt.Qt.LeftButton, NONE, qt.QPoint(2, first.y + 5))
    driver.qtbot.mouseMove(driver.canvas, qt.QPoint(20, first.y + 20))
    driver.qtbot.mouseMove(driver.canvas, qt.QPoint(last.x + 5, first.y + 40))
    assert driver.selected() == ["1.1.1", "1.1.2"]
    driver.qtbot.mouseRelease(driver.canvas, qt.Qt.LeftButton, NONE, qt.QPoint(last.x + 5, first.y + 40))
    assert driver.selected() == ["1.1.1", "1.1.2"]


def test_a_double_click_and_enter_open_a_series(driver):
    driver.qtbot.mouseDClick(driver.canvas, qt.Qt.LeftButton, NONE, driver.point(driver.box("1.1.6")))
    driver.click("1.1.1")
    driver.press(qt.Qt.Key_Return)
    assert [row.uid for row in driver.told_of("opened")] == ["1.1.6", "1.1.1"]


def test_the_series_under_the_keys_is_previewed(driver):
    driver.click("1.1.1")
    driver.press(qt.Qt.Key_Right)
    driver.press(qt.Qt.Key_Up)
    assert [row and row.uid for row in driver.told_of("previewed")] == ["1.1.1", "1.1.2", None]


def test_arrows_choose_with_shift_a_range_and_with_ctrl_nothing(driver):
    driver.click("1.1.1")
    driver.press(qt.Qt.Key_Right)
    assert driver.selected() == ["1.1.2"]
    driver.press(qt.Qt.Key_Right, SHIFT)
    assert driver.selected() == ["1.1.2", "1.1.3"]
    driver.press(qt.Qt.Key_Right, CTRL)
    driver.press(qt.Qt.Key_Space)
    assert driver.selected() == ["1.1.2", "1.1.3", "1.1.4"]
    driver.press(qt.Qt.Key_Escape)
    assert driver.selected() == []


def test_ctrl_a_chooses_the_study_and_then_all_that_is_unfolded_and_matches(driver):
    driver.click("1.2.1")
    driver.press(qt.Qt.Key_A, CTRL)
    assert driver.selected() == ["1.2.1", "1.2.2"]
    driver.press(qt.Qt.Key_A, CTRL)
    assert len(driver.selected()) == 11


def test_left_and_right_on_a_header_fold_and_unfold(driver):
    driver.canvas.go_to(Spot(0))
    driver.press(qt.Qt.Key_Left)
    assert not driver.sheet.content.is_unfolded("1.1")
    driver.press(qt.Qt.Key_Right)
    assert driver.sheet.content.is_unfolded("1.1")
    driver.press(qt.Qt.Key_Right)
    assert driver.sheet.current().uid == "1.1.1"
    driver.press(qt.Qt.Key_Backspace)
    assert not driver.sheet.content.is_unfolded("1.1")
    assert driver.canvas.current_spot() == Spot(0, HEADER)
    driver.press(qt.Qt.Key_Return)
    assert driver.sheet.content.is_unfolded("1.1")


def test_a_click_on_a_header_folds_and_the_series_of_a_folded_study_are_read_then(driver, session):
    driver.click("1.1")
    driver.click("1.2")
    driver.click("1.3")
    assert ("series", ("1.3",)) in session.reader.asked
    assert driver.canvas.places.blocks[2].expanded


def test_folding_keeps_what_is_chosen_but_leaves_the_cell(driver):
    driver.click("1.1.1")
    driver.sheet.unfold("1.1", False)
    assert driver.selected() == ["1.1.1"]
    assert driver.canvas.current_spot() == Spot(0, HEADER)


def test_the_box_of_a_header_chooses_the_whole_study_and_lets_go_of_it(driver):
    point = driver.point(check_box(driver.box("1.1")))
    driver.qtbot.mouseClick(driver.canvas, qt.Qt.LeftButton, NONE, point)
    assert len(driver.selected()) == 9
    driver.qtbot.mouseClick(driver.canvas, qt.Qt.LeftButton, NONE, point)
    assert driver.selected() == []


@pytest.mark.parametrize(
    ("uid", "signal"),
    [("1.1.2", "fetch_asked"), ("1.1.5", "fetch_asked"), ("1.1.3", "cancel_asked"), ("1.1.7", "retry_asked")],
)
def test_the_pictogram_of_a_state_fetches_stops_or_tries_again(driver, uid, signal):
    point = driver.point(chip_box(driver.canvas.look, driver.box(uid)))
    driver.qtbot.mouseClick(driver.canvas, qt.Qt.LeftButton, NONE, point)
    assert [[row.uid for row in rows] for rows in driver.told_of(signal)] == [[uid]]
    assert driver.selected() == []


def test_the_pictogram_of_a_header_stops_what_is_under_way_or_fetches_the_rest(driver):
    for uid in ("1.1", "1.2"):
        point = driver.point(header_chip(driver.box(uid)))
        driver.qtbot.mouseClick(driver.canvas, qt.Qt.LeftButton, NONE, point)
    assert [row.uid for row in driver.told_of("cancel_asked")[0]] == ["1.1.3", "1.1.4"]
    assert [row.uid for row in driver.told_of("fetch_asked")[0]] == ["1.2.1", "1.2.2", "1.2.3"]


def test_the_tooltip_of_a_failure_says_why_in_plain_words(driver):
    box = chip_box(driver.canvas.look, driver.box("1.1.7"))
    driver.qtbot.mouseMove(driver.canvas, driver.point(box))
    tip = driver.canvas.toolTip()
    assert "Hospital PACS closed the connection." in tip
    assert "Click to try again." in tip


def test_a_right_click_chooses_what_it_is_on_and_asks_for_a_menu(driver):
    driver.click("1.1.2")
    point = driver.point(driver.box("1.1.5"))
    event = qt.QContextMenuEvent(qt.QContextMenuEvent.Mouse, point, driver.canvas.mapToGlobal(point))
    driver.canvas.contextMenuEvent(event)
    assert driver.selected() == ["1.1.5"]
    assert [row.uid for row in driver.told_of("menu_asked")[0]] == ["1.1.5"]


def test_studies_that_do_not_match_stand_behind_a_line(driver):
    assert driver.sheet.content.hidden_studies == 1
    driver.canvas.go_to(Spot(3, LINE))
    driver.press(qt.Qt.Key_Return)
    assert [row.study.study_uid for row in driver.sheet.content.studies] == ["1.1", "1.2", "1.3", "1.4"]
    assert driver.canvas.places.index_of("others") is None


def test_another_filter_hides_them_again(driver):
    driver.sheet.content.show_all()
    driver.sheet.set_filter(QueryFilter(text="x"), Places())
    assert driver.sheet.content.hidden_studies == 1


def test_a_series_that_changes_is_read_again_alone_and_many_changes_are_one_reading(driver, session):
    rows = session.reader.series_of["1.1"]
    rows[1] = replace(rows[1], local_instances=120)
    session.reader.asked.clear()
    reads = []
    by_uid = session.reader.series_by_uid
    session.reader.series_by_uid = lambda uids: reads.append(sorted(uids)) or by_uid(uids)
    for _ in range(50):
        session.series_changed.emit("1.1.2")
    driver.qtbot.waitUntil(lambda: reads != [])
    assert reads == [["1.1.2"]]
    assert session.reader.asked == []
    assert driver.sheet.content.find("1.1.2").complete


def test_a_new_study_is_shown_with_choice_scroll_and_focus_as_they_were(driver, session):
    driver.click("1.1.2")
    driver.sheet.unfold("1.3")
    driver.canvas.scroll_asked.emit(300)
    place = driver.box("1.2").y - driver.canvas.top
    session.reader.studies_of[1].insert(0, samples.study("1.0", date="20260301"))
    session.catalogue_changed.emit()
    driver.qtbot.waitUntil(lambda: len(driver.sheet.content.studies) == 4)
    assert driver.selected() == ["1.1.2"]
    assert driver.sheet.current().uid == "1.1.2"
    assert driver.box("1.2").y - driver.canvas.top == place


def test_a_series_that_is_gone_is_no_longer_chosen(driver, session):
    driver.click("1.1.2")
    driver.click("1.1.3", CTRL)
    del session.reader.series_of["1.1"][1]
    session.series_changed.emit("1.1.2")
    driver.qtbot.waitUntil(lambda: driver.selected() == ["1.1.3"])
    assert [row.uid for row in driver.told_of("selection_changed")[-1]] == ["1.1.3"]


def test_a_job_changes_the_look_of_its_series_without_a_reading(driver, session):
    session.reader.asked.clear()
    session.jobs.note(samples.job("n", JobState.RUNNING, ["1.2"]))
    summary = driver.sheet.content.summary(driver.sheet.content.studies[1])
    assert summary.under_way
    assert session.reader.asked == []


def test_a_folded_study_that_was_never_read_shows_its_own_retrieve(driver, session):
    values = samples.job("n", JobState.RUNNING, ["1.3"]) | {"done": 3, "total": 4}
    session.jobs.note(values)
    summary = driver.sheet.content.summary(driver.sheet.content.studies[2])
    assert (summary.under_way, summary.fraction) == (True, 0.75)
    assert ("series", ("1.3",)) not in session.reader.asked


def test_a_double_click_on_a_pictogram_asks_once(driver):
    point = driver.point(chip_box(driver.canvas.look, driver.box("1.1.2")))
    driver.qtbot.mouseClick(driver.canvas, qt.Qt.LeftButton, NONE, point)
    driver.qtbot.mouseDClick(driver.canvas, qt.Qt.LeftButton, NONE, point)
    assert len(driver.told_of("fetch_asked")) == 1
    assert driver.told_of("opened") == []


def test_a_picture_whose_file_is_gone_is_asked_for_again(driver, session, tmp_path):
    rows = session.reader.series_of["1.1"]
    rows[0] = replace(rows[0], thumbnail=Thumbnail(str(tmp_path / "gone.png")))
    driver.sheet.refresh()
    driver.qtbot.waitUntil(lambda: "1.1.1" in [ask.params["series_uid"] for ask in session.asked("thumbnail")])
    assert driver.sheet._picture(rows[0]) is None


def test_progress_of_a_study_is_the_share_of_its_images_that_is_here(driver):
    summary = driver.sheet.content.summary(driver.sheet.content.studies[0])
    assert summary.fraction == pytest.approx((2 + 41 + 60 + 120 + 1500) / (2 + 120 * 6 + 1 + 1500))
    assert summary.where == "this computer · Hospital PACS"


def test_ctrl_with_the_wheel_or_plus_and_minus_change_the_size(driver):
    driver.canvas.setFocus()
    driver.press(qt.Qt.Key_Plus, CTRL)
    assert driver.sheet.thumbnail_size() is ThumbnailSize.MEDIUM
    for _ in range(5):
        driver.press(qt.Qt.Key_Minus, CTRL)
    assert driver.sheet.thumbnail_size() is ThumbnailSize.HIDDEN
    assert driver.canvas.places.columns == 1


def test_only_series_that_are_seen_are_asked_pictures_for(driver, session):
    driver.qtbot.waitUntil(lambda: session.asked("thumbnail") != [])
    assert session.asked("thumbnail")[0].params["series_uid"] == "1.1.3"
    driver.sheet.set_thumbnail_size(ThumbnailSize.HIDDEN)
    driver.qtbot.waitUntil(lambda: all(ask.stopped for ask in session.asked("thumbnail")))


def test_the_picture_that_is_answered_is_shown(driver, session, picture):
    driver.qtbot.waitUntil(lambda: session.asked("thumbnail") != [])
    session.asked("thumbnail")[0].answer({"path": str(picture), "placeholder": False, "reason": ""})
    row = driver.sheet.content.find("1.1.3")
    driver.qtbot.waitUntil(lambda: driver.sheet._picture(row) is not None)
    assert driver.sheet._picture(row).width() == round(128 * driver.canvas.look.ratio)


def test_why_there_is_no_picture_stands_in_the_tooltip(driver, session):
    driver.qtbot.waitUntil(lambda: session.asked("thumbnail") != [])
    session.asked("thumbnail")[0].fail(PeerError("The server refused."))
    driver.qtbot.mouseMove(driver.canvas, driver.point(driver.box("1.1.3")))
    assert "No picture: The server refused." in driver.canvas.toolTip()


def test_another_patient_starts_at_the_top_with_nothing_chosen(driver, session):
    driver.click("1.1.2")
    driver.canvas.scroll_asked.emit(200)
    driver.sheet.show_patient(samples.person(row=2))
    assert (driver.selected(), driver.canvas.top, driver.sheet.current()) == ([], 0, None)


def test_dragging_a_series_that_is_here_takes_its_files_along(driver, session, monkeypatch, tmp_path):
    dragged = []
    session.reader.paths_of["1.1.6"] = [tmp_path / "a.dcm"]
    monkeypatch.setattr(qt.QDrag, "exec_", lambda drag, action: dragged.extend(drag.mimeData().urls()))
    start = driver.point(driver.box("1.1.6"))
    driver.qtbot.mousePress(driver.canvas, qt.Qt.LeftButton, NONE, start)
    driver.qtbot.mouseMove(driver.canvas, start + qt.QPoint(30, 10))
    assert [url.toLocalFile() for url in dragged] == [str(tmp_path / "a.dcm")]


def test_a_patient_with_a_hundred_series_is_shown_without_reading_more_than_the_unfolded_ones(qtbot, session):
    driver = Driver(qtbot, session)
    driver.sheet.show_patient(samples.many(session, 10, 10))
    assert len(list(driver.sheet.content.known_uids())) == 20
    driver.sheet.cleanup()


def test_after_cleanup_the_session_is_not_heard(driver, session):
    driver.sheet.cleanup()
    session.reader.asked.clear()
    session.series_changed.emit("1.1.2")
    session.catalogue_changed.emit()
    driver.qtbot.wait(250)
    assert session.reader.asked == []


def test_a_catalogue_that_is_locked_leaves_what_is_shown_and_is_read_again_soon(driver, session):
    read, tries = session.reader.studies, []

    def locked(*values):
        tries.append(values)
        if len(tries) < 2:
            raise StorageError("The catalogue is locked.", retryable=True)
        return read(*values)[:1]

    session.reader.studies = locked
    driver.sheet.refresh()
    assert len(driver.sheet.content.studies) == 3
    driver.qtbot.waitUntil(lambda: len(driver.sheet.content.studies) == 1)
    assert session.messages == []


def test_the_studies_of_another_patient_come_when_the_catalogue_is_not_locked_any_more(driver, session, monkeypatch):
    def locked(*_):
        raise StorageError("The catalogue is locked.", retryable=True)

    with monkeypatch.context() as patched:
        patched.setattr(session.reader, "studies", locked)
        driver.sheet.show_patient(samples.person())
    assert driver.sheet.content.studies == []
    driver.qtbot.waitUntil(lambda: len(driver.sheet.content.studies) == 3)


def test_no_picture_is_read_after_cleanup(driver):
    driver.sheet._store.want([("/nowhere.png", 128)])
    driver.sheet.cleanup()
    assert not driver.sheet._store._timer.isActive()


def test_a_catalogue_that_is_damaged_is_told(driver, session):
    def damaged(*_):
        raise StorageError("The catalogue is damaged.")

    session.reader.series_by_uid = damaged
    session.series_changed.emit("1.1.2")
    driver.qtbot.waitUntil(lambda: session.messages != [])
    assert session.messages[0].text == "The catalogue is damaged."
    assert driver.sheet.content.find("1.1.2") is not None


def spoken(driver) -> str:
    return driver.canvas.accessibleName()


def test_a_screen_reader_hears_where_the_keys_are(driver):
    assert spoken(driver) == "Studies"
    driver.press(qt.Qt.Key_Home)
    assert spoken(driver) == "Study 2026-01-04, CT thorax and abdomen with contrast, 9 series, unfolded"
    assert "Accession number A1.1" in driver.canvas.accessibleDescription()
    driver.press(qt.Qt.Key_Down)
    assert spoken(driver) == "CT, Scout, 2 images, on this computer, selected"
    assert driver.canvas.accessibleDescription() == "On this computer, Hospital PACS"
    driver.press(qt.Qt.Key_Space, CTRL)
    assert spoken(driver) == "CT, Scout, 2 images, on this computer"
    driver.press(qt.Qt.Key_Space)
    driver.press(qt.Qt.Key_Up)
    assert spoken(driver).endswith("unfolded, partly selected")
    driver.press(qt.Qt.Key_Left)
    assert spoken(driver).endswith(" folded, partly selected")
    driver.sheet.show_patient(None)
    assert spoken(driver) == "Studies"


def test_a_screen_reader_hears_how_a_series_stands_but_not_each_image_that_arrives(driver, session):
    driver.sheet.select(["1.1.3"])
    assert spoken(driver) == "CT, Queued one, 120 images, queued, selected"
    heard = []
    announce = driver.canvas.setAccessibleName
    driver.canvas.setAccessibleName = lambda words: (heard.append(words), announce(words))
    for here in range(1, 40):
        rows = session.reader.series_of["1.1"]
        rows[2] = replace(rows[2], local_instances=here)
        session.jobs.note(samples.job("q", JobState.RUNNING, ["1.1.3"]))
        session.series_changed.emit("1.1.3")
        driver.sheet._on_series_due()
    assert heard == ["CT, Queued one, arriving, selected"]


def test_a_screen_reader_hears_why_there_is_nothing(driver):
    driver.sheet.show_patient(None)
    driver.sheet.set_notice("Choose a patient on the left.")
    assert driver.canvas.accessibleDescription() == "Choose a patient on the left."
