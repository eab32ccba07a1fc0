"""A page in place of the browser: why it is not there, and one button that helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


class NoticePage(qt.QWidget):
    """See the module.

    :param action: called when the button is pressed.
    """

    def __init__(self, sentence: str, button: str, action: Callable[[], object], parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        label = qt.QLabel(sentence, self)
        label.setWordWrap(True)
        label.setAlignment(qt.Qt.AlignCenter)
        self._button = qt.QPushButton(button, self)
        self._button.clicked.connect(lambda *_: action())
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(48, 24, 48, 24)
        column.addStretch(2)
        column.addWidget(label)
        column.addSpacing(16)
        column.addWidget(self._button, 0, qt.Qt.AlignHCenter)
        column.addStretch(3)
