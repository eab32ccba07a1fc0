"""The module qt of the desktop has Qt's names in one flat namespace, and follows PythonQt where that is cheap."""

from __future__ import annotations

import pytest
import qt
from PySide6.QtWidgets import QFileDialog

from VisualDICOMBrowserLib.host_desktop.qt_shim import _file_dialog

AT, ON_SCREEN = (3, 4), (103, 204)


def test_the_three_parts_of_qt_are_in_one_module(qapp):
    label = qt.QLabel("text")
    assert label.alignment() & qt.Qt.AlignLeft
    assert qt.QColor("red").red() == 255
    assert qt.QTimer(label).parent() is label


def test_actions_and_shortcuts_are_where_slicer_has_them(qapp):
    widget = qt.QWidget()
    action = qt.QAction("Copy", widget)
    heard = []
    action.triggered.connect(lambda: heard.append("copy"))
    action.trigger()
    assert heard == ["copy"]
    assert qt.QShortcut(qt.QKeySequence("Ctrl+F"), widget).parent() is widget


def test_dialogs_menus_and_loops_run_with_an_underscore(qapp):
    dialog, menu, loop = qt.QDialog(), qt.QMenu(), qt.QEventLoop()
    menu.addAction("one")
    qt.QTimer.singleShot(0, dialog.accept)
    assert dialog.exec_() == qt.QDialog.Accepted
    menu.aboutToShow.connect(lambda: qt.QTimer.singleShot(0, menu.close))
    assert menu.exec_(qt.QPoint(1, 1)) is None
    qt.QTimer.singleShot(0, lambda: loop.exit(3))
    assert loop.exec_() == 3
    assert "exec_" in vars(qt.QApplication)
    assert "exec_" in vars(qt.QDrag)


def mouse_press():
    position, on_screen = qt.QPointF(*AT), qt.QPointF(*ON_SCREEN)
    button = qt.Qt.LeftButton
    return qt.QMouseEvent(qt.QEvent.MouseButtonPress, position, on_screen, button, button, qt.Qt.NoModifier)


def test_a_mouse_event_has_the_names_of_qt_5(qapp):
    event = mouse_press()
    assert event.pos() == qt.QPoint(*AT)
    assert event.globalPos() == qt.QPoint(*ON_SCREEN)
    assert (event.x(), event.y(), event.globalX(), event.globalY()) == (*AT, *ON_SCREEN)
    assert event.localPos() == qt.QPointF(*AT)
    assert event.windowPos() == qt.QPointF(*AT)
    assert event.screenPos() == qt.QPointF(*ON_SCREEN)


def test_a_drop_event_has_the_names_of_qt_5(qapp):
    mime = qt.QMimeData()
    button, modifier = qt.Qt.LeftButton, qt.Qt.ControlModifier
    event = qt.QDropEvent(qt.QPointF(*AT), qt.Qt.CopyAction, mime, button, modifier)
    assert event.pos() == qt.QPoint(*AT)
    assert event.posF() == qt.QPointF(*AT)
    assert event.mouseButtons() == button
    assert event.keyboardModifiers() == modifier


def file_dialog_that_chooses(monkeypatch, name, chosen):
    monkeypatch.setattr(QFileDialog, name, staticmethod(lambda *_arguments: (chosen, "All files (*)")))
    return _file_dialog(QFileDialog)


@pytest.mark.parametrize("name", ["getOpenFileName", "getSaveFileName"])
@pytest.mark.parametrize("chosen", ["/data/a.dcm", ""])
def test_a_chosen_file_comes_without_the_filter(monkeypatch, name, chosen):
    dialog = file_dialog_that_chooses(monkeypatch, name, chosen)
    assert getattr(dialog, name)(None, "Choose") == chosen


def test_several_chosen_files_are_a_tuple(monkeypatch):
    dialog = file_dialog_that_chooses(monkeypatch, "getOpenFileNames", ["/a", "/b"])
    assert dialog.getOpenFileNames(None, "Choose") == ("/a", "/b")


def test_a_file_dialog_can_be_made_and_derived_from(qapp):
    dialog = qt.QFileDialog(None, "Choose")
    dialog.setFileMode(qt.QFileDialog.Directory)
    assert dialog.inherits("QFileDialog")


def test_the_memory_of_an_image_can_be_written(qapp):
    image = qt.QImage(4, 2, qt.QImage.Format_Grayscale8)
    memory = image.bits()
    memory[:] = bytes([7]) * len(memory)
    assert image.pixelColor(3, 1).red() == 7


def test_bytes_come_out_of_a_byte_array(qapp):
    assert qt.QByteArray(b"a\0b").data() == b"a\0b"


def test_a_single_shot_calls_a_python_function(qapp, qtbot):
    heard = []
    qt.QTimer.singleShot(0, lambda: heard.append(1))
    qtbot.waitUntil(lambda: bool(heard))
    assert heard == [1]
