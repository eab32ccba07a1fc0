"""The whole window: looking at images and elements, alone and together, while they arrive and afterwards."""

from __future__ import annotations

import pytest
import qt

from support.fault_proxy import Throttle
from support.synthetic import make_ct_series
from support.window_hands import CONTROL, Hands

SLOW = 250_000


def picture(hands: Hands) -> bytes:
    """Return what is painted of the image."""
    grabbed = hands.preview.view.grab().toImage().convertToFormat(qt.QImage.Format_RGB888)
    return bytes(grabbed.constBits())


def see_other(hands: Hands, before: bytes) -> bytes:
    hands.wait(lambda: picture(hands) != before, "another picture")
    return picture(hands)


COUNT = 12


@pytest.fixture
def shown(open_window, tmp_path) -> Hands:
    """A window that shows an imported CT series, and its elements."""
    files = make_ct_series(tmp_path / "disc", COUNT, 20_000, patient_id="PRE-1", patient_name="Preview^Paul", study=61)
    hands = open_window()
    hands.drop(hands.browser, [files[0].path.parent])
    hands.wait_for_message(f"Imported {COUNT} images.")
    hands.wait(lambda: hands.names() == ["Preview, Paul"], "the patient")
    hands.choose_patient("Preview")
    hands.wait(lambda: hands.sheet.content.find(files[0].series_uid), "the series")
    hands.click_cell(files[0].series_uid)
    hands.wait(lambda: hands.preview._current_pixels() is not None, "the picture")
    hands.wait(lambda: hands.elements.count.text().endswith("elements"), "the elements")
    return hands


def test_wheel_keys_and_slider_go_through_the_stack(shown):
    hands, state = shown, shown.preview.state
    view, last = hands.preview.view, shown.preview.state.count - 1
    before = picture(hands)
    start = state.index
    hands.turn_wheel(view, -1)
    assert state.index == start + 1
    before = see_other(hands, before)
    hands.click(view)
    for key, index in ((qt.Qt.Key_Home, 0), (qt.Qt.Key_Right, 1), (qt.Qt.Key_End, last), (qt.Qt.Key_Left, last - 1)):
        hands.key(key)
        assert state.index == index
    slider = hands.preview.controls.slider
    hands.click(slider, qt.QPoint(3, slider.height() // 2))
    assert state.index < last - 1
    assert hands.preview.controls.counter.text() == f"{state.index + 1} / {state.count}"
    see_other(hands, before)


def test_dragging_in_the_picture_sets_the_window_and_a_double_click_sets_it_back(shown):
    hands = shown
    view = hands.preview.view
    hands.wait(lambda: view._corners.bottom_left, "the window in words")
    words, before = view._corners.bottom_left, picture(hands)
    hands.drag(view, 40, 25)
    assert view._corners.bottom_left != words
    changed = see_other(hands, before)
    hands.double_click(view, view.rect().center())
    assert view._corners.bottom_left == words
    see_other(hands, changed)
    hands.key(qt.Qt.Key_I)
    assert view._corners.bottom_right == "Inverted"


def test_preview_and_elements_look_at_the_same_instance(shown):
    hands, state, picker = shown, shown.preview.state, shown.elements.picker
    hands.wait(lambda: picker.number.maximum() == state.count, "the instances")
    same = lambda: hands.elements._current() == state.current.sop_uid  # noqa: E731
    hands.wait(same, "the same instance")
    hands.click(hands.preview.view)
    hands.key(qt.Qt.Key_End)
    hands.wait(same, "the last instance")
    hands.fill(picker.number, "2")
    hands.key(qt.Qt.Key_Return)
    hands.wait(lambda: hands.elements._place == 1, "the second instance")
    hands.wait(same, "its picture")
    assert state.index == 1


def test_elements_are_searched_while_typing_and_copied(shown):
    hands, elements = shown, shown.elements
    hands.fill(elements.search, "patientid")
    hands.wait(lambda: elements.count.text().endswith("found"), "the hits")
    rows = [element for element in elements.model.tree.elements if element.key.endswith("(0010,0020)")]
    assert [row.value for row in rows] == ["PRE-1"]
    index = elements.model.index_of(elements.model.tree.elements.index(rows[0]))
    hands.click(elements.view.viewport(), elements.view.visualRect(index).center())
    qt.QApplication.clipboard().clear()
    hands.key(qt.Qt.Key_C, CONTROL)
    hands.wait(lambda: qt.QApplication.clipboard().text() == "PRE-1", "the value")
    hands.fill(elements.search, "no such element")
    hands.wait(lambda: elements.message.text() == "Nothing matches the search.", "the sentence")
    hands.fill(elements.search, "")
    hands.key(qt.Qt.Key_Backspace)
    hands.wait(lambda: elements.count.text().endswith("elements"), "all elements again")
    assert any(row.key.endswith("(0002,0010)") for row in elements.model.tree.elements)


def test_the_clip_plays_and_pauses(open_window, demo):
    hands = open_window(demo.server)
    hands.find_patient("Yamada")
    uid = next(row.uid for row in hands.sheet.all_series() if row.series.modality == "US")
    hands.open_cell(uid)
    hands.wait_for_state(uid, "here")
    state = hands.preview.state
    hands.wait(lambda: state.count > 5, "the frames")
    assert len({frame.sop_uid for frame in state.frames}) == 1
    hands.click(hands.preview.view)
    hands.key(qt.Qt.Key_Space)
    seen = {state.index}

    def three() -> bool:
        seen.add(state.index)
        return len(seen) > 3

    hands.wait(three, "frames one after another")
    hands.click(hands.preview.controls.play)
    index = state.index
    hands.window.spin(0.15)
    assert state.index == index


def test_the_preview_shows_the_first_image_and_grows_with_the_series(open_window, archive, fault_proxy):
    proxy = fault_proxy(archive.peer.address)
    hands = open_window(archive.server(address=proxy.address))
    hands.find_patient("Window")
    uid = archive.first[0].series_uid
    hands.wait(lambda: hands.sheet._picture(hands.shown_row(uid)), "the picture")
    proxy.to_client = (Throttle(bytes_per_second=SLOW),)
    hands.open_cell(uid)
    counts = []
    hands.wait(lambda: counts.append(hands.preview.state.count) or counts[-1] > 4, "more images")
    looked_at = hands.preview.state.current.sop_uid
    hands.wait(lambda: hands.preview._current_pixels() is not None, "the picture")
    assert "Arriving" in hands.preview.banner.label.text()
    proxy.heal()
    hands.wait(lambda: hands.preview.state.count == len(archive.first), "all images")
    assert counts == sorted(counts)
    assert hands.preview.state.current.sop_uid == looked_at
    hands.wait(lambda: not hands.preview.banner.isVisible(), "the end of the banner")
