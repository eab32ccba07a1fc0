"""The module qt of the desktop has Qt's names in one flat namespace."""

from __future__ import annotations


def test_the_three_parts_of_qt_are_in_one_module(qapp):
    import qt  # noqa: PLC0415

    label = qt.QLabel("text")
    assert label.alignment() & qt.Qt.AlignLeft
    assert qt.QColor("red").red() == 255
    assert qt.QTimer(label).parent() is label
