"""The frame around the browser in Slicer: a dock that can float, or a window of its own where there is no main window.

It remembers in Slicer's settings, below :data:`PREFIX`, where it was.
"""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..gui.parts.portable import value
from ..gui.parts.signals import Signal

#: Below this lies all that the window keeps in Slicer's settings.
PREFIX = "VisualDICOMBrowser/"
DOCK_NAME = "VisualDICOMBrowserDockWidget"
_FLOATING, _AREA, _WIDTH, _HEIGHT = (PREFIX + key for key in ("floating", "area", "dockWidth", "dockHeight"))
_GEOMETRY = PREFIX + "geometry"
_SIZE = (1280, 820)
_DOCKED = 640
_AREAS = {
    "left": qt.Qt.LeftDockWidgetArea,
    "right": qt.Qt.RightDockWidgetArea,
    "top": qt.Qt.TopDockWidgetArea,
    "bottom": qt.Qt.BottomDockWidgetArea,
}


class Frame:
    """Shows one widget. Closing it, as the user does, only hides it.

    :param content: the widget; the frame owns it.
    :ivar hidden: told when it was hidden or closed; at that time its place is kept.
    """

    def __init__(self, content: Any, title: str) -> None:
        self.hidden = Signal()
        self._main = slicer.util.mainWindow()
        self._dock = _make_dock(self._main, content, title) if self._main is not None else None
        self._window = self._dock if self._dock is not None else _make_window(content, title)
        self._restore()
        if self._dock is not None:
            self._dock.visibilityChanged.connect(self._on_visibility)

    def show(self) -> None:
        """Show it above everything else."""
        self._window.show()
        self._window.raise_()
        if self._dock is None or self._dock.isFloating():
            self._window.activateWindow()

    def is_visible(self) -> bool:
        """Tell whether the user has it open."""
        return bool(self._window.isVisible())

    def close(self) -> None:
        """Keep the place, and take it away for good."""
        self._keep()
        if self._dock is not None:
            self._dock.visibilityChanged.disconnect(self._on_visibility)
            self._main.removeDockWidget(self._dock)
        self._window.hide()
        self._window.deleteLater()

    def _on_visibility(self, visible: bool) -> None:
        if not visible:
            self._keep()
            self.hidden.emit()

    def _restore(self) -> None:
        settings = qt.QSettings()
        if self._dock is None:
            _place(self._window, settings, None)
            return
        area = _AREAS.get(str(settings.value(_AREA)), qt.Qt.RightDockWidgetArea)
        self._main.addDockWidget(area, self._dock)
        floating = slicer.util.settingsValue(_FLOATING, True, slicer.util.toBool)
        self._dock.setFloating(floating)
        if floating:
            _place(self._dock, settings, self._main)
            return
        width = slicer.util.settingsValue(_WIDTH, _DOCKED, _to_int)
        height = slicer.util.settingsValue(_HEIGHT, _DOCKED, _to_int)
        self._main.resizeDocks([self._dock], [width], qt.Qt.Horizontal)
        self._main.resizeDocks([self._dock], [height], qt.Qt.Vertical)

    def _keep(self) -> None:
        settings = qt.QSettings()
        if self._dock is not None and not self._dock.isFloating():
            settings.setValue(_FLOATING, False)
            area = self._main.dockWidgetArea(self._dock)
            settings.setValue(_AREA, next((word for word, known in _AREAS.items() if known == area), "right"))
            size = value(self._dock, "size")
            settings.setValue(_WIDTH, size.width())
            settings.setValue(_HEIGHT, size.height())
            return
        settings.setValue(_FLOATING, True)
        settings.setValue(_GEOMETRY, self._window.saveGeometry())


def _make_dock(main: Any, content: Any, title: str) -> qt.QDockWidget:
    dock = qt.QDockWidget(title, main)
    dock.setObjectName(DOCK_NAME)  # Slicer keeps the places of docks by their names
    dock.setAllowedAreas(qt.Qt.AllDockWidgetAreas)
    dock.setWidget(content)
    return dock


def _make_window(content: Any, title: str) -> qt.QWidget:
    window = qt.QWidget()
    window.setObjectName(DOCK_NAME)
    window.setWindowTitle(title)
    column = qt.QVBoxLayout(window)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(content)
    return window


def _place(window: Any, settings: qt.QSettings, main: Any) -> None:
    """Put a window where it was, or else over the middle of the main window; Qt corrects what is on no screen."""
    kept = settings.value(_GEOMETRY)
    if kept is not None and not isinstance(kept, str) and window.restoreGeometry(kept):
        return
    window.resize(*_SIZE)
    if main is not None:
        frame = value(main, "geometry")
        x, y = frame.x() + (frame.width() - _SIZE[0]) // 2, frame.y() + (frame.height() - _SIZE[1]) // 2
        window.move(max(0, x), max(0, y))


def _to_int(text: Any) -> int:
    """Read a number of the settings, which come back as text; one that was changed by hand may be anything."""
    try:
        return int(text)
    except (TypeError, ValueError):
        return _DOCKED
