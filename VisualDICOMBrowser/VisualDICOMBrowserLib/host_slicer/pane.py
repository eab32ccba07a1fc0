"""What holds the browser, and keeps the browser's keys from Slicer while the browser has the focus.

Docked or floating, the browser lies in Slicer's main window as far as Qt's shortcuts are concerned. Slicer has keys for
all of that: Ctrl+F finds a module, Ctrl+Left and Ctrl+Right go through the modules, and Segment Editor takes digits,
Space, Esc and single letters. Who types in the browser means the browser.
"""

from __future__ import annotations

from typing import Any

import qt

from ..gui.parts.signals import Signal

_WITH_CTRL = tuple(int(key) for key in (qt.Qt.Key_F, qt.Qt.Key_Left, qt.Qt.Key_Right))
#: Keys of shortcuts, the browser's (``/``, F4) as others', which go the usual way.
_SHORTCUTS = (int(qt.Qt.Key_Slash), *range(int(qt.Qt.Key_F1), int(qt.Qt.Key_F35) + 1))


class Pane(qt.QWidget):
    """See the module.

    :ivar search_asked: told when the user pressed Ctrl+F.
    """

    def __init__(self, parent: Any = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.search_asked = Signal()

    def event(self, event: Any) -> bool:
        """Before Qt looks for a shortcut it asks, from the focus outwards, who wants the key for itself."""
        if event.type() == qt.QEvent.ShortcutOverride and _is_the_browsers(int(event.key()), event.modifiers()):
            event.accept()
            return True
        return bool(qt.QWidget.event(self, event))

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Take what nobody inside has taken."""
        if event.key() == qt.Qt.Key_F and event.modifiers() & qt.Qt.ControlModifier:
            self.search_asked.emit()
        else:
            qt.QWidget.keyPressEvent(self, event)


def _is_the_browsers(key: int, modifiers: Any) -> bool:
    if modifiers & qt.Qt.AltModifier or modifiers & qt.Qt.MetaModifier:
        return False
    return key in _WITH_CTRL if modifiers & qt.Qt.ControlModifier else key not in _SHORTCUTS
