"""The elements of an instance: pages, search, copying, and what stays when another instance is looked at."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from VisualDICOMBrowserLib.domain.errors import StorageError
from VisualDICOMBrowserLib.gui.elements.element_tree import ROOT, ElementTree
from VisualDICOMBrowserLib.gui.elements.elements_model import VALUE, ElementsModel
from VisualDICOMBrowserLib.gui.elements.metadata_view import MetadataView

UID = "1.2.3"
ROWS: list[list[Any]] = [
    [0, "(0002,0010)", "UI", "Transfer Syntax UID", 20, "1.2.840.10008.1.2.1", -1],
    [0, "(0008,0060)", "CS", "Modality", 2, "CT", -1],
    [0, "(0008,1140)", "SQ", "Referenced Image Sequence", 4294967295, "2 items", -1],
    [1, "(fffe,e000)", "", "Item 1", 60, "", 2],
    [2, "(0008,1155)", "UI", "Referenced SOP Instance UID", 10, "1.2.3.4", 3],
    [1, "(fffe,e000)", "", "Item 2", 60, "", 2],
    [2, "(0008,1155)", "UI", "Referenced SOP Instance UID", 10, "1.2.3.5", 5],
    [0, "(0010,0010)", "PN", "Patient's Name", 16, "Müller^Zoé", -1],
]


def many(count: int) -> list[list[Any]]:
    return [[0, f"(0009,{number:04x})", "LO", f"Private {number}", 4, str(number), -1] for number in range(count)]


@pytest.fixture
def view(session, qtbot):
    widget = MetadataView(session)
    qtbot.addWidget(widget)
    widget.resize(560, 300)
    widget.show()
    yield widget
    widget.cleanup()


def answer(session, rows, total=None, **more):
    ask = session.asked("elements")[-1]
    offset = ask.params["offset"]
    page = {"total": len(rows) if total is None else total, "path": "/data/a.dcm", "rows": rows[offset : offset + 500]}
    ask.answer({**page, **more})


def shown(session, view, instances=3, rows=None):
    view.show_series(UID)
    images = [[f"1.2.3.{number}", 1] for number in range(instances)]
    session.asked("stack")[-1].answer({"images": images, "frame_time_ms": None, "modality": "CT"})
    answer(session, ROWS if rows is None else rows)


def outline(model: ElementsModel, parent=None) -> list[Any]:
    children = [model.index(row, 0, parent) for row in range(model.rowCount(parent))]
    return [(model.data(child), outline(model, child)) for child in children]


@pytest.mark.parametrize("size", [1, 3, 4, 5, 6, 100])
def test_pages_of_any_size_make_the_same_tree(qapp, size):
    model, whole = ElementsModel(), ElementsModel()
    whole.start("", ROWS)
    model.start("", ROWS[:size])
    for start in range(size, len(ROWS), size):
        model.add(ROWS[start : start + size])
    assert outline(model) == outline(whole)
    assert len(outline(whole)) == 4
    child = model.index(1, 0, model.index(2, 0))
    assert model.parent(child) == model.index(2, 0)


def test_a_row_that_names_a_parent_that_cannot_be_stands_at_the_top():
    tree = ElementTree()
    waiting = tree.add([[3, "(0008,0060)", "CS", "Modality", 2, "CT", 77]])
    assert waiting == {ROOT: [0]}


@pytest.mark.parametrize("search", ["zoe", "MULLER", "00100010", "(0010,0010)", "patient's n"])
def test_a_search_finds_by_tag_name_and_value_without_accents(search):
    tree = ElementTree(search)
    tree.add(ROWS)
    hits = [element.name for element in tree.elements if element.hit]
    assert hits == ["Patient's Name"]


def test_the_first_page_is_shown_and_the_next_is_asked_for(view, session):
    shown(session, view, rows=many(1200))
    assert view.model.rowCount() == 500
    assert session.asked("elements")[-1].params == {"sop_uid": "1.2.3.0", "offset": 500, "limit": 500}
    answer(session, many(1200))
    answer(session, many(1200))
    assert view.model.rowCount() == 1200
    assert len(session.asked("elements")) == 3
    assert view.count.text() == "1,200 elements"


def test_typing_searches_once_and_opens_what_matches(view, session, qtbot):
    shown(session, view)
    qtbot.keyClicks(view.search, "1.2.3.5")
    qtbot.waitUntil(lambda: len(session.asked("elements")) == 2, timeout=2000)
    assert session.asked("elements")[-1].params["search"] == "1.2.3.5"
    answer(session, [ROWS[2], [*ROWS[5][:6], 0], [*ROWS[6][:6], 1]])
    item = view.model.index(0, 0, view.model.index(0, 0))
    assert view.view.isExpanded(view.model.index(0, 0))
    assert view.view.isExpanded(item)
    assert view.count.text() == "1 found"
    hit = view.model.index(0, VALUE, item)
    assert view.model.data(hit, Qt.BackgroundRole) is not None


def test_what_was_open_is_open_again_after_a_search_and_for_another_instance(view, session, qtbot):
    shown(session, view)
    view.view.expand(view.model.index(2, 0))
    view.view.setCurrentIndex(view.model.index(1, 0, view.model.index(2, 0)))
    view.search.setText("CT")
    qtbot.waitUntil(lambda: len(session.asked("elements")) == 2, timeout=2000)
    answer(session, [ROWS[1]])
    view.search.clear()
    qtbot.waitUntil(lambda: len(session.asked("elements")) == 3, timeout=2000)
    answer(session, ROWS)
    assert view.view.isExpanded(view.model.index(2, 0))
    view.picker.slider.setValue(2)
    answer(session, ROWS)
    assert view.view.isExpanded(view.model.index(2, 0))
    assert not view.view.isExpanded(view.model.index(1, 0, view.model.index(2, 0)))
    assert view.model.element(view.view.currentIndex()).name == "Item 2"


def test_the_place_in_the_list_stays_from_instance_to_instance(view, session):
    shown(session, view, rows=many(400))
    view.view.verticalScrollBar().setValue(2500)
    view.picker.number.setValue(2)
    assert session.asked("elements")[-1].params["sop_uid"] == "1.2.3.1"
    answer(session, many(400))
    assert view.view.verticalScrollBar().value() == 2500


def test_another_instance_is_told_and_an_outdated_answer_is_not_shown(view, session):
    told = []
    view.instance_changed.connect(told.append)
    shown(session, view)
    view.picker.slider.setValue(1)
    late = session.asked("elements")[-1]
    view.picker.slider.setValue(2)
    assert late.stopped
    late.answer({"total": 1, "path": "/data/late.dcm", "rows": many(1)})
    answer(session, ROWS)
    assert view.model.rowCount() == 4
    assert told == ["1.2.3.1", "1.2.3.2"]
    view.show_instance("1.2.3.0")
    assert told == ["1.2.3.1", "1.2.3.2"]
    assert view.picker.number.value() == 1


def test_values_rows_and_everything_can_be_copied(view, session, qtbot):
    shown(session, view)
    clipboard = QApplication.clipboard()
    view.view.setCurrentIndex(view.model.index(1, 0))
    view.activateWindow()
    view.view.setFocus()
    qtbot.keyClick(view.view, Qt.Key_C, Qt.ControlModifier)
    assert clipboard.text() == "CT"
    qtbot.keyClick(view.view, Qt.Key_C, Qt.ControlModifier | Qt.ShiftModifier)
    assert clipboard.text() == "(0008,0060)\tCS\tModality\t2\tCT"
    view.copy_all()
    assert clipboard.text().splitlines()[4] == "    (0008,1155)\tUI\tReferenced SOP Instance UID\t10\t1.2.3.4"
    qtbot.mouseClick(view.path.button, Qt.LeftButton)
    assert clipboard.text() == "/data/a.dcm"


def test_all_sequences_open_and_close(view, session):
    shown(session, view)
    view.expand_all(True)
    assert view.view.isExpanded(view.model.index(0, 0, view.model.index(2, 0)))
    view.expand_all(False)
    assert not view.view.isExpanded(view.model.index(2, 0))


def test_an_error_is_said_in_place_of_the_elements(view, session):
    view.show_series(UID)
    session.asked("stack")[-1].answer({"images": [["1.2.3.0", 1]], "frame_time_ms": None, "modality": "CT"})
    session.asked("elements")[-1].fail(StorageError("The file is gone."))
    assert view.pages.currentIndex() == 1
    assert "The file is gone." in view.message.text()


def test_a_series_that_is_not_here_and_a_search_without_result_say_so(view, session, qtbot):
    view.show_series(UID)
    session.asked("stack")[-1].answer({"images": [], "frame_time_ms": None, "modality": ""})
    assert "No instance" in view.message.text()
    session.series_changed.emit(UID)
    qtbot.waitUntil(lambda: len(session.asked("stack")) == 2, timeout=3000)
    session.asked("stack")[-1].answer({"images": [["1.2.3.0", 1]], "frame_time_ms": None, "modality": "CT"})
    answer(session, ROWS)
    assert view.pages.currentIndex() == 0
    view.search.setText("nowhere")
    qtbot.waitUntil(lambda: len(session.asked("elements")) == 2, timeout=2000)
    answer(session, [])
    assert view.message.text() == "Nothing matches the search."


def test_a_damaged_file_is_shown_as_far_as_it_goes_with_a_warning(view, session):
    view.show_series(UID)
    session.asked("stack")[-1].answer({"images": [["1.2.3.0", 1]], "frame_time_ms": None, "modality": "CT"})
    answer(session, ROWS, warning="The file ends in the middle of an element.")
    assert view.warning.isVisible()


def test_nothing_is_left_of_the_file_before(view, session):
    shown(session, view)
    answer_with_warning = {"total": 8, "path": "/data/a.dcm", "rows": ROWS, "warning": "It ends too early."}
    view.picker.slider.setValue(1)
    session.asked("elements")[-1].answer(answer_with_warning)
    assert view.warning.isVisible()
    assert view.path.isVisible()
    view.show_series("1.9")
    assert not view.warning.isVisible()
    assert not view.path.isVisible()


def test_the_elements_are_back_when_the_engine_is(view, session):
    shown(session, view)
    session.ready_changed.emit(True, "")
    session.asked("stack")[-1].fail(StorageError("The engine is gone."))
    assert view.message.text() == "The engine is gone."
    session.ready_changed.emit(True, "")
    session.asked("stack")[-1].answer({"images": [["1.2.3.0", 1]], "frame_time_ms": None, "modality": "CT"})
    answer(session, ROWS)
    assert view.pages.currentIndex() == 0


def test_an_instance_that_was_awaited_is_not_gone_to_after_another_one_was_chosen(view, session):
    shown(session, view)
    view.show_instance("1.2.3.9")
    view.show_instance("1.2.3.0")
    session.ready_changed.emit(True, "")
    images = [[f"1.2.3.{number}", 1] for number in range(10)]
    session.asked("stack")[-1].answer({"images": images, "frame_time_ms": None, "modality": "CT"})
    assert view.picker.number.value() == 1


def test_objects_without_pixels_have_elements_too(view, session):
    view.show_series(UID)
    session.asked("stack")[-1].answer({"images": [["1.2.3.0", 0]], "frame_time_ms": None, "modality": "SR"})
    answer(session, ROWS)
    assert view.model.rowCount() == 4


@pytest.mark.parametrize("width", [370, 499, 900])
def test_the_columns_fit_into_the_width(view, session, qtbot, width):
    view.resize(width, 400)
    shown(session, view, rows=many(80))
    qtbot.waitUntil(lambda: view.view.header().length() == view.view.viewport().width(), timeout=2000)
    assert view.view.horizontalScrollBar().maximum() == 0


def test_there_is_nothing_to_search_in_where_there_are_no_elements(view, session):
    assert not view.top.isVisible()
    shown(session, view)
    assert view.top.isVisible()
    view.show_series("")
    assert not view.top.isVisible()
