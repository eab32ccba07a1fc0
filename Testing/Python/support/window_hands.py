"""Hands and eyes for tests of the whole window: real mouse and key events go to the window, texts are read off it.

Events are sent to the window itself, as the platform does, so that what lies in front of a widget gets them first.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PySide6.QtTest import QTest

from VisualDICOMBrowserLib.domain.overview import SeriesRow
from VisualDICOMBrowserLib.gui.studies.sheet_layout import HEADER
from VisualDICOMBrowserLib.gui.studies.sheet_painter import chip_box

from .browser_window import BrowserWindow, qt
from .process_table import ProcessEntry, children

LEFT, RIGHT = qt.Qt.LeftButton, qt.Qt.RightButton
NONE, CONTROL, SHIFT = qt.Qt.NoModifier, qt.Qt.ControlModifier, qt.Qt.ShiftModifier


class Hands:
    """Uses an open :class:`BrowserWindow` as a person does."""

    def __init__(self, window: BrowserWindow) -> None:
        self.window = window
        self.browser = window.browser
        self.wait = window.wait
        self.search_bar = self.browser._search_bar
        self.patients = self.browser._patients
        self.people = self.patients._view
        self.page = self.browser._page
        self.sheet = self.page.sheet
        self.canvas = self.sheet.canvas
        self.preview = self.browser._preview
        self.elements = self.browser._elements
        self.settings = self.browser._settings.servers
        self.browser.activateWindow()
        self.wait(self.browser.isActiveWindow, "the active window")

    # Mouse and keys

    def click(self, widget: Any, point: Any = None, *, button: Any = LEFT, keys: Any = NONE) -> None:
        """Click into a widget; in its middle without a point."""
        QTest.mouseClick(*self._target(widget, button, keys, point))

    def double_click(self, widget: Any, point: Any) -> None:
        """Click twice."""
        QTest.mouseDClick(*self._target(widget, LEFT, NONE, point))

    def tick(self, box: Any) -> None:
        """Click the square of a tick box."""
        self.click(box, qt.QPoint(8, box.height() // 2))

    def drag(self, widget: Any, right: int, down: int) -> None:
        """Press in the middle of a widget, move, and let go."""
        handle, button, keys, start = self._target(widget, LEFT, NONE, None)
        QTest.mousePress(handle, button, keys, start)
        for share in (1, 2):
            QTest.mouseMove(handle, start + qt.QPoint(right * share // 2, down * share // 2))
            self.window.spin(0)
        QTest.mouseRelease(handle, button, keys, start + qt.QPoint(right, down))

    def turn_wheel(self, widget: Any, notches: int) -> None:
        """Turn the wheel over the middle of a widget, away from the user."""
        at = qt.QPointF(widget.rect().center())
        spot = qt.QPointF(widget.mapToGlobal(widget.rect().center()))
        turned = qt.QPoint(0, 120 * notches)
        qt.QApplication.sendEvent(
            widget,
            qt.QWheelEvent(at, spot, qt.QPoint(), turned, qt.Qt.NoButton, NONE, qt.Qt.NoScrollPhase, False),
        )

    def key(self, key: Any, keys: Any = NONE) -> None:
        """Press a key; whatever has the focus gets it."""
        QTest.keyClick(self._active_handle(), key, keys)

    def type(self, text: str) -> None:
        """Type a text; letters that no key has are put in as an input method does."""
        for letter in text:
            if letter.isascii():
                QTest.keyClick(self._active_handle(), letter)
            else:
                event = qt.QInputMethodEvent()
                event.setCommitString(letter)
                qt.QApplication.sendEvent(qt.QApplication.focusWidget(), event)

    def fill(self, field: Any, text: str) -> None:
        """Click into a field of text and write it anew."""
        self.click(field)
        self.key(qt.Qt.Key_A, CONTROL)
        self.type(text)

    def drop(self, widget: Any, paths: Iterable[Path]) -> bool:
        """Drop files onto the middle of a widget; tell whether it took them."""
        data = qt.QMimeData()
        data.setUrls([qt.QUrl.fromLocalFile(str(path)) for path in paths])
        handle, _, _, at = self._target(widget, LEFT, NONE, None)
        enter = qt.QDragEnterEvent(at, qt.Qt.CopyAction, data, LEFT, NONE)
        qt.QApplication.sendEvent(handle, enter)
        if not enter.isAccepted():
            return False
        event = qt.QDropEvent(qt.QPointF(at), qt.Qt.CopyAction, data, LEFT, NONE)
        qt.QApplication.sendEvent(handle, event)
        return bool(event.isAccepted())

    def _target(self, widget: Any, button: Any, keys: Any, point: Any) -> tuple[Any, Any, Any, Any]:
        assert widget.isVisible(), f"{widget} cannot be seen"
        top = widget.window()
        at = widget.mapTo(top, widget.rect().center() if point is None else point)
        assert top.rect().contains(at), f"{widget} lies outside its window"
        return top.windowHandle(), button, keys, at

    def _active_handle(self) -> Any:
        top = qt.QApplication.activePopupWidget() or qt.QApplication.activeWindow()
        assert top is not None, "no window is active"
        return top.windowHandle()

    def press(self, text: str, within: Any = None) -> None:
        """Press the visible button with a text, or with such a tool tip, as soon as it can be pressed."""
        button = self.button(text, within)
        self.wait(button.isEnabled, f"{text} to be possible")
        self.click(button)

    def button(self, text: str, within: Any = None) -> Any:
        """Return the button with a text, or with such a tool tip, as soon as it can be seen."""
        found = self.wait(lambda: self._buttons(text, within or self.browser), f"the button {text!r}")
        assert len(found) == 1, f"{len(found)} buttons {text!r}"
        return found[0]

    def _buttons(self, text: str, within: Any) -> list[Any]:
        buttons = within.findChildren(qt.QAbstractButton)
        return [one for one in buttons if one.isVisible() and text in (one.text(), one.toolTip())]

    def menu(self) -> dict[str, bool]:
        """Return the entries of the open menu, and whether they can be chosen."""
        opened = self.wait(qt.QApplication.activePopupWidget, "a menu")
        return {action.text(): action.isEnabled() for action in opened.actions() if action.text()}

    def choose(self, entry: str) -> None:
        """Click an entry of the open menu."""
        opened = self.wait(qt.QApplication.activePopupWidget, "a menu")
        (action,) = (action for action in opened.actions() if action.text() == entry)
        self.click(opened, opened.actionGeometry(action).center())
        self.wait(lambda: qt.QApplication.activePopupWidget() is None, "the end of the menu")

    # Searching and patients

    def search(self, text: str) -> None:
        """Type into the search field, press Enter, and wait until the servers have answered."""
        self.fill(self.search_bar._field, text)
        self.key(qt.Qt.Key_Return)
        self.wait_for_search()

    def wait_for_search(self) -> None:
        """Wait until no search is under way and the list shows what it found."""
        self.wait(lambda: not self.browser._search.running, "the end of the search")
        model = self.people.model()
        model.refresh()
        self.wait(lambda: None not in [model.row_at(at) for at in range(model.rowCount())], "the rows")

    def names(self) -> list[str]:
        """Return the persons that the list shows, as it writes them."""
        if not self.people.isVisible():
            return []
        model = self.people.model()
        return [str(model.data(model.index(at, 0))) for at in range(model.rowCount())]

    def choose_patient(self, name: str) -> None:
        """Click the person whose name holds a text."""
        (at,) = (at for at, shown in enumerate(self.names()) if name in shown)
        box = self.people.visualRect(self.people.model().index(at, 0))
        self.click(self.people.viewport(), box.center())

    def find_patient(self, name: str) -> None:
        """Search for a person, choose it, and wait until all studies and series are known."""
        self.search(name)
        self.choose_patient(name)
        self.wait_for_studies()

    def wait_for_studies(self) -> None:
        """Wait until the servers have told of all studies, and the sheet shows them."""
        self.wait(lambda: self.studies() and not self.page._busy.busy, "the studies")
        self.sheet.refresh()

    # The sheet

    def studies(self) -> list[str]:
        """Return the UIDs of the studies, from above to below."""
        return [row.study.study_uid for row in self.sheet.content.studies]

    def row(self, uid: str) -> SeriesRow:
        """Return a series as the catalogue has it now."""
        rows: dict[str, SeriesRow] = self.window.session.reader.series_by_uid([uid])
        return rows[uid]

    def shown_row(self, uid: str) -> SeriesRow:
        """Return a series as the sheet shows it."""
        row = self.sheet.content.find(uid)
        assert row is not None, "the sheet does not show this series"
        return row

    def state(self, uid: str) -> str:
        """Return how far the sheet says that a series has got."""
        return str(self.sheet.content.state(self.shown_row(uid)).presence.value)

    def wait_for_state(self, uid: str, *states: str, timeout: float = 20.0) -> None:
        """Wait until the sheet shows a series in one of some states."""
        try:
            self.wait(lambda: self.state(uid) in states, f"{states}", timeout)
        except AssertionError:
            raise AssertionError(f"the series is {self.state(uid)}, not {states}; {self.messages()}") from None

    def unfold(self, study_uid: str) -> None:
        """Click the header of a folded study."""
        if not self.sheet.content.is_unfolded(study_uid):
            spot = self.sheet.content.spot_of(study_uid)
            assert spot is not None
            self.canvas.reveal(spot)
            box = self.canvas.places.box(spot)
            self.click(self.canvas, qt.QPoint(box.x + 120, box.y + box.height // 2 - self.canvas.top))

    def point_of(self, uid: str) -> Any:
        """Return the middle of the cell of a series on the canvas, scrolled into view if need be."""
        spot = self.sheet.content.spot_of(uid)
        assert spot is not None
        assert spot.cell != HEADER
        self.canvas.reveal(spot)
        box = self.canvas.places.box(spot)
        return qt.QPoint(box.x + box.width // 2, box.y + box.height // 3 - self.canvas.top)

    def click_cell(self, uid: str, *, button: Any = LEFT, keys: Any = NONE) -> None:
        """Click the cell of a series."""
        self.click(self.canvas, self.point_of(uid), button=button, keys=keys)

    def open_cell(self, uid: str) -> None:
        """Click the cell of a series twice."""
        self.double_click(self.canvas, self.point_of(uid))

    def click_chip(self, uid: str) -> None:
        """Click the pictogram of the state of a series."""
        self.point_of(uid)
        box = chip_box(self.canvas.look, self.canvas.places.box(self.sheet.content.spot_of(uid)))
        self.click(self.canvas, qt.QPoint(box.x + box.width // 2, box.y + box.height // 2 - self.canvas.top))

    def menu_of_cell(self, uid: str) -> dict[str, bool]:
        """Open the context menu of a series."""
        self.click_cell(uid, button=RIGHT)
        return self.menu()

    # Messages, dialogs, engine

    def messages(self) -> list[str]:
        """Return the texts of the messages that can be seen."""
        return [message.text for message in self.browser._messages.shown()]

    def wait_for_message(self, part: str, timeout: float = 20.0) -> str:
        """Wait for a message that holds a text, and return it."""
        found: Callable[[], str] = lambda: next((text for text in self.messages() if part in text), "")  # noqa: E731
        try:
            return str(self.wait(found, f"a message with {part!r}", timeout))
        except AssertionError:
            raise AssertionError(f"no message with {part!r}, but {self.messages()}") from None

    def details(self, part: str) -> str:
        """Return the folded lines of the message that holds a text."""
        (message,) = (message for message in self.browser._messages.shown() if part in message.text)
        return "\n".join(message.details)

    def answer_dialog(self, *paths: Path) -> None:
        """Type paths into the open file dialog, and accept."""
        find: Callable[[], Any] = lambda: next(  # noqa: E731
            (one for one in self.browser.findChildren(qt.QFileDialog) if one.isVisible()), None
        )
        dialog = self.wait(find, "the file dialog")
        self.wait(dialog.isActiveWindow, "the file dialog to be active")
        name = dialog.findChild(qt.QLineEdit, "fileNameEdit")
        name.setText(" ".join(f'"{path}"' for path in paths) if len(paths) > 1 else str(paths[0]))
        self.click(name)
        self.key(qt.Qt.Key_Return)
        self.wait(lambda: find() is None, "the end of the file dialog")
        self.browser.activateWindow()
        self.wait(self.browser.isActiveWindow, "the active window")

    def ask(self, method: str, **params: Any) -> Any:
        """Call the engine and wait for the answer."""
        answers: list[Any] = []
        self.window.session.ask(method, params, answers.append, answers.append)
        self.wait(lambda: answers, f"the answer to {method}")
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]


def engine_processes() -> list[ProcessEntry]:
    """Return the engines that this process has started and that live."""
    return [entry for entry in children() if "VisualDICOMBrowserLib.engine" in entry.command_line]


def kill_engine() -> None:
    """End the one engine of this process without a warning."""
    (engine,) = engine_processes()
    os.kill(engine.pid, signal.SIGKILL)
