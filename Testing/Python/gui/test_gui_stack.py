"""A series in the preview: order, what is asked for, moving, window and level, cine, what is not here yet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QWheelEvent
from PySide6.QtWidgets import QApplication

from support.fake_session import FakeSession
from VisualDICOMBrowserLib.domain.errors import Cancelled, StorageError
from VisualDICOMBrowserLib.domain.model import Series
from VisualDICOMBrowserLib.domain.overview import SeriesRow, Thumbnail
from VisualDICOMBrowserLib.gui.preview.stack_preview import StackPreview
from VisualDICOMBrowserLib.gui.preview.stack_state import (
    CineClock,
    Frame,
    Recent,
    StackState,
    cine_rate,
    frames_of,
)
from VisualDICOMBrowserLib.gui.preview.windowing import Window, fitted, lookup_table, reduced, reduction

UID = "1.2.3"


def images(count: int, frames: int = 1) -> list[list[Any]]:
    return [[f"1.2.3.{number}", frames] for number in range(count)]


class Engine:
    """Answers what a preview asks, with frames whose stored value is their number."""

    def __init__(self, session: FakeSession, folder: Path, **changes: Any) -> None:
        self.session, self.folder, self.changes = session, folder, changes

    def stack(self, stack: list[list[Any]], modality: str = "CT", frame_time_ms: float | None = None) -> None:
        ask = self.session.asked("stack")[-1]
        ask.answer({"images": stack, "frame_time_ms": frame_time_ms, "modality": modality})

    def open(self) -> list[Any]:
        return [ask for ask in self.session.asked("frame") if not ask.settled and not ask.stopped]

    def frames(self) -> None:
        while self.open():
            self.frame(self.open()[0])

    def frame(self, ask: Any) -> None:
        number = int(ask.params["sop_uid"].rsplit(".", 1)[1]) * 100 + ask.params["frame"]
        path = self.folder / f"{number}.raw"
        values = np.full((6, 5), number, "<u2")
        values.tofile(path)
        answer = {
            "path": str(path), "width": 5, "height": 6, "format": "gray16", "slope": 1.0, "intercept": -1000.0,
            "center": 40.0, "width_of_window": 400.0, "inverted": False, "aspect": 1.0, "placeholder": False,
            "reason": "",
        }  # fmt: skip
        ask.answer({**answer, **self.changes})


@pytest.fixture
def preview(session, qtbot):
    session.now = 100.0
    widget = StackPreview(session, None, lambda: session.now)
    qtbot.addWidget(widget)
    widget.resize(420, 360)
    widget.show()
    yield widget
    widget.cleanup()


@pytest.fixture
def engine(session, tmp_path):
    return Engine(session, tmp_path)


# order


def test_a_stack_starts_in_the_middle_and_a_cine_at_its_first_frame():
    stack, cine = StackState(), StackState()
    stack.set_frames(frames_of(images(9)))
    cine.set_frames(frames_of(images(1, 30)))
    assert (stack.index, cine.index) == (4, 0)


def test_images_that_arrive_leave_the_current_one_where_the_user_is():
    state = StackState()
    state.set_frames(frames_of([["1.2.3.5", 1]]))
    assert state.set_frames(frames_of(images(9)))
    assert state.current == Frame("1.2.3.5")
    assert not state.set_frames(frames_of(images(9)))


def test_when_the_current_image_is_removed_its_neighbour_is_shown():
    state = StackState()
    state.set_frames(frames_of(images(4)))
    state.go(3)
    state.set_frames(frames_of(images(2)))
    assert state.current == Frame("1.2.3.1")
    state.set_frames(())
    assert state.current is None


def test_frames_ahead_are_wanted_first_in_the_direction_of_travel():
    state = StackState()
    state.set_frames(frames_of(images(100)))
    state.go(40)
    numbers = [int(frame.sop_uid.rsplit(".", 1)[1]) for frame in state.wanted()]
    assert numbers == [40, 39, 38, 37, 41, 36, 35, 34]
    assert StackState().wanted() == []


def test_at_the_end_of_a_cine_the_first_frames_are_wanted():
    state = StackState()
    state.set_frames(frames_of(images(1, 5)))
    state.go(4)
    assert [frame.number for frame in state.wanted(3, round_trip=True)] == [4, 3, 0]


def test_a_file_that_claims_a_billion_frames_is_not_believed():
    assert len(frames_of([["1.2", 10**9], ["1.3", -5]])) == 100_000


def test_the_cine_clock_keeps_its_rate_and_catches_nothing_up_after_a_wait():
    clock = CineClock(10.0)
    clock.start(5.0)
    assert [clock.due(5.0 + tick * 0.05) for tick in range(1, 7)] == [0, 1, 0, 1, 0, 1]
    clock.start(60.0)
    assert clock.due(60.05) == 0


def test_the_rate_comes_from_the_frame_time_within_bounds():
    assert cine_rate(40.0) == 25.0
    assert cine_rate(None) == cine_rate(0) == cine_rate(float("nan")) == 12.0
    assert cine_rate(0.001) == 60.0


def test_what_was_not_used_for_longest_makes_room():
    recent: Recent[str, str] = Recent(10)
    for key in "abc":
        recent.put(key, key, 4)
        recent.get("a")
    assert ("a" in recent, "b" in recent, "c" in recent, recent.used) == (True, False, True, 8)
    recent.put("huge", "huge", 99)
    assert recent.get("huge") == "huge"


# window and level


def test_the_window_maps_its_ends_to_black_and_white():
    table = lookup_table(1.0, -1000.0, Window(40, 400), False)
    assert (table[1000 + 40 - 200], table[1000 + 40 + 199], int(table[1040])) == (0, 255, 128)
    assert (255 - table == lookup_table(1.0, -1000.0, Window(40, 400), True)).all()


def test_a_window_of_width_one_is_a_threshold():
    table = lookup_table(1.0, 0.0, Window(100, 1), False)
    assert (table[99], table[100]) == (0, 255)


def test_windowing_keeps_its_budget():
    pixels, table = np.arange(512 * 512).reshape(512, 512).astype(np.uint16), None
    started = time.perf_counter()
    table = lookup_table(1.0, -1024.0, Window(40, 400), False)
    table.take(pixels)
    assert time.perf_counter() - started < 0.1  # a fifth of it is usual; the machine may be busy


def test_a_picture_is_reduced_only_as_far_as_the_screen_asks():
    assert reduction(2048, 2048, 512, 512) == 4
    assert reduction(512, 512, 600, 600) == 1
    assert reduction(4, 4, 0, 0) == 1
    assert reduced(np.full((9, 9), 7, np.uint16), 2).tolist() == [[7] * 4] * 4


def test_pixels_that_are_not_square_are_drawn_undistorted():
    box = fitted(100, 100, 2.0, 400, 400)
    assert (box.left, box.top, box.width, box.height) == (100, 0, 200, 400)


# the widget


def test_a_series_is_shown_from_what_is_here(preview, session, engine):
    preview.show_series(UID)
    engine.stack(images(9))
    assert preview.controls.counter.text() == "5 / 9"
    engine.frames()
    assert preview.view._image is not None
    assert preview.view._corners.bottom_left == "W 400  L 40"


def test_at_most_four_frames_are_asked_for_and_outdated_ones_are_stopped(preview, session, engine):
    preview.show_series(UID)
    engine.stack(images(200))
    assert [ask.params["sop_uid"] for ask in engine.open()] == [f"1.2.3.{number}" for number in (100, 101, 102, 103)]
    first = engine.open()
    preview.controls.slider.setValue(10)
    assert all(ask.stopped for ask in first)
    assert len(engine.open()) == 4
    for ask in first:
        ask.fail(Cancelled())
    assert len(engine.open()) == 4


def test_wheel_and_keys_move_through_the_stack(preview, session, engine, qtbot):
    preview.show_series(UID)
    engine.stack(images(100))

    def turn(delta: int) -> None:
        place = QPointF(50, 50)
        QApplication.sendEvent(
            preview.view,
            QWheelEvent(place, place, QPoint(), QPoint(0, delta), Qt.NoButton, Qt.NoModifier, Qt.NoScrollPhase, False),
        )

    turn(-120)
    assert preview.state.index == 51
    for _ in range(4):
        turn(30)
    assert preview.state.index == 50
    places = []
    for key in (Qt.Key_Home, Qt.Key_Down, Qt.Key_PageDown, Qt.Key_Left, Qt.Key_End, Qt.Key_PageUp):
        qtbot.keyClick(preview.view, key)
        places.append(preview.state.index)
    assert places == [0, 1, 11, 10, 99, 89]


def test_dragging_sets_the_window_and_a_double_click_sets_it_back(preview, session, engine, qtbot):
    preview.show_series(UID)
    engine.stack(images(3))
    engine.frames()
    qtbot.mousePress(preview.view, Qt.LeftButton, pos=QPoint(100, 100))
    qtbot.mouseMove(preview.view, QPoint(225, 100))
    qtbot.mouseRelease(preview.view, Qt.LeftButton, pos=QPoint(225, 100))
    assert preview.view._corners.bottom_left == "W 600  L 40"
    qtbot.mouseDClick(preview.view, Qt.LeftButton, pos=QPoint(100, 100))
    assert preview.view._corners.bottom_left == "W 400  L 40"


def test_presets_are_offered_for_ct_only_and_stay_while_moving(preview, session, engine):
    preview.show_series(UID)
    engine.stack(images(3))
    engine.frames()
    lung = next(action for action in preview.controls.menu.actions() if action.text().startswith("Lung"))
    lung.trigger()
    preview.controls.slider.setValue(2)
    assert preview.view._corners.bottom_left == "W 1500  L -600"
    preview.show_series("1.9")
    engine.stack(images(3), "MR")
    engine.frames()
    assert [action.text() for action in preview.controls.menu.actions()] == ["As stored"]


def test_invert_exchanges_black_and_white(preview, session, engine, qtbot):
    preview.show_series(UID)
    engine.stack(images(1))
    engine.frames()
    before = preview.view._image.pixelColor(0, 0).red()
    qtbot.keyClick(preview.view, Qt.Key_I)
    assert preview.view._image.pixelColor(0, 0).red() == 255 - before
    assert preview.controls.invert.isChecked()


def test_the_cine_goes_round_and_waits_for_frames_that_are_not_here(preview, session, engine, qtbot):
    preview.show_series(UID)
    engine.stack(images(1, 3), "US", 100.0)
    assert preview.controls.rate.value() == 10
    qtbot.keyClick(preview.view, Qt.Key_Space)
    session.now += 5
    preview._on_tick()
    assert preview.state.index == 0
    engine.frames()
    for expected in (1, 2, 0):
        session.now += 0.1
        preview._on_tick()
        assert preview.state.index == expected
    qtbot.keyClick(preview.view, Qt.Key_Space)
    assert not preview._ticker.isActive()


def test_a_cine_ends_when_its_images_are_removed(preview, session, engine, qtbot):
    preview.show_series(UID)
    engine.stack(images(3))
    engine.frames()
    preview.play()
    session.series_changed.emit(UID)
    qtbot.waitUntil(lambda: len(session.asked("stack")) == 2, timeout=2000)
    engine.stack([])
    assert not preview._ticker.isActive()
    assert preview.view._sentence == "No image of this series is on this computer."


def test_why_a_series_cannot_be_shown_is_not_overwritten_by_a_wait(preview, session, qtbot):
    preview.show_series(UID)
    assert preview._waiting.isActive()
    session.asked("stack")[0].fail(StorageError("The engine is gone."))
    assert not preview._waiting.isActive()
    assert preview.view._detail == "The engine is gone."


def test_a_locked_catalogue_leaves_no_picture_of_the_series_before(preview, session, engine, monkeypatch):
    preview.show_series(UID)
    engine.stack(images(1))
    engine.frames()
    assert preview.view._image is not None

    def locked(*_: Any) -> None:
        raise StorageError("The catalogue is locked.", retryable=True)

    monkeypatch.setattr(session.reader, "series_by_uid", locked)
    preview.show_series("1.9")
    assert preview.view._image is None
    assert session.asked("stack")[-1].params == {"series_uid": "1.9"}
    assert session.messages == []
    assert preview._review._timer.isActive()


def test_images_that_arrive_extend_the_stack_without_a_jump(preview, session, engine, qtbot):
    preview.show_series(UID)
    engine.stack([["1.2.3.7", 1]])
    session.series_changed.emit("another")
    session.series_changed.emit(UID)
    qtbot.waitUntil(lambda: len(session.asked("stack")) == 2, timeout=2000)
    engine.stack(images(20))
    assert preview.controls.counter.text() == "8 / 20"


def test_an_image_without_pixels_says_why(preview, session, engine):
    preview.show_series(UID)
    engine.stack(images(1))
    engine.open()[0].fail(StorageError("The file is damaged."))
    assert preview.view._detail == "The file is damaged."


def test_a_cache_file_that_is_too_short_is_a_reason_not_a_crash(preview, session, engine):
    engine.changes = {"width": 5000}
    preview.show_series(UID)
    engine.stack(images(1))
    engine.frames()
    assert "could not be read" in preview.view._detail


def test_a_cache_file_that_is_gone_is_asked_for_again_once(preview, session, engine):
    engine.changes = {"path": "/nowhere.raw"}
    preview.show_series(UID)
    engine.stack(images(1))
    engine.frame(engine.open()[0])
    engine.changes = {}
    engine.frame(engine.open()[0])
    assert preview.view._image is not None


def test_large_pictures_are_put_through_the_window_at_the_size_of_the_screen():
    assert reduction(4096, 4096, 2400, 2400) == 2
    assert reduction(2048, 2048, 1200, 1200) == 1


def test_colours_have_no_window(preview, session, engine, tmp_path):
    engine.changes = {"format": "rgb8", "width": 5, "height": 4}
    preview.show_series(UID)
    engine.stack(images(1), "US")
    engine.frames()
    assert preview.view._image.width() == 5
    assert not preview.controls.windows.isEnabled()
    assert preview.view._corners.bottom_left == ""


def test_a_window_that_only_comes_near_is_marked_as_such(preview, session, engine):
    engine.changes = {"note": "The file asks for a curve."}
    preview.show_series(UID)
    engine.stack(images(1), "CT")
    engine.frames()
    assert preview.view.toolTip() == "The file asks for a curve."
    assert preview.view._corners.bottom_left.startswith("≈ ")


def test_a_placeholder_says_why_instead_of_showing_grey(preview, session, engine):
    engine.changes = {"placeholder": True, "reason": "This is a report; it has no pixels."}
    preview.show_series(UID)
    engine.stack(images(1), "SR")
    engine.frames()
    assert preview.view._image is None
    assert preview.view._detail == "This is a report; it has no pixels."


def test_a_report_that_is_here_has_no_images_and_is_not_said_to_be_missing(preview, session, engine):
    session.reader.series_of["1.2"] = [SeriesRow(Series(UID, "1.2", 1, "SR"), 1, 1)]
    preview.show_series(UID)
    engine.stack([["1.2.3.0", 0]], "SR")
    assert preview.view._sentence == "This series has no images to look at."
    assert not preview.controls.isVisible()


def test_a_series_on_the_server_shows_its_thumbnail_and_can_be_fetched(preview, session, engine, tmp_path, qtbot):
    picture = QImage(64, 64, QImage.Format_RGB32)
    picture.fill(Qt.darkGray)
    picture.save(str(tmp_path / "t.png"))
    row = SeriesRow(Series(UID, "1.2", 1, "CT"), 120, 0, ("PACS",), Thumbnail(str(tmp_path / "t.png")))
    session.reader.series_of["1.2"] = [row]
    preview.show_series(UID)
    engine.stack([])
    assert preview.banner.label.text() == "Only a preview image is here."
    wanted = []
    preview.fetch_asked.connect(wanted.append)
    qtbot.mouseClick(preview.banner.button, Qt.LeftButton)
    assert wanted == [[row]]


def test_the_instance_that_is_looked_at_is_told(preview, session, engine):
    told = []
    preview.instance_changed.connect(told.append)
    preview.show_series(UID)
    engine.stack(images(3))
    preview.show_instance("1.2.3.2")
    preview.show_series("")
    assert told == ["1.2.3.1", "1.2.3.2", ""]


def test_after_the_end_nothing_is_listened_to(preview, session, engine):
    preview.show_series(UID)
    preview.cleanup()
    asked = len(session.asks)
    session.series_changed.emit(UID)
    session.jobs.changed.emit(None)
    assert len(session.asks) == asked
    assert session.asked("stack")[0].stopped
