"""Drives the real window to what a picture shows, and waits until it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.browser_window import BrowserWindow
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.overview import PatientRow, Places, SeriesRow
from VisualDICOMBrowserLib.domain.people import display_name
from VisualDICOMBrowserLib.gui.studies.series_state import Presence

#: What moves by itself (a busy line, a thumbnail coming in) has come to rest after this, in seconds.
_REST_S = 0.4


class Stage:
    """A window in one state after the other. A context manager."""

    def __init__(
        self, name: str, folder: Path, *servers: Any, theme: str = "light", size: tuple[int, int] = (1280, 820)
    ) -> None:
        self.name = name
        self.window = BrowserWindow(folder, *servers, theme_name=theme, size=size)
        self.browser = self.window.browser

    def __enter__(self) -> Stage:
        self.window.__enter__()
        return self

    def __exit__(self, *what: Any) -> None:
        self.window.__exit__(*what)

    def rest(self, seconds: float = _REST_S) -> None:
        """Let what is under way come to rest."""
        self.window.spin(seconds)

    def take(self, path: Path) -> Path:
        """Grab the window, without a blinking cursor and without the path of a file, which is of this machine."""
        self.rest()
        self.browser._elements.path.setVisible(False)
        focused = self.window.app.focusWidget()
        if focused is not None:
            focused.clearFocus()
        return self.window.grab(path)

    def patients(self) -> list[PatientRow]:
        """Return whom the list shows."""
        reader = self.window.session.reader
        return list(reader.patients(reader.patient_rows(QueryFilter(), Places())))

    def search(self) -> None:
        """Ask the servers, and wait for all answers."""
        self.browser.search()
        self.window.wait(self.patients, "patients")
        self.window.wait(lambda: not self.browser._search.running, "the end of the search")

    def choose(self, name: str) -> None:
        """Choose a patient; wait until all pictures are there."""
        row = next(row for row in self.patients() if display_name(row.patient.name).startswith(name))
        self.browser._patients.select(row.row)
        self.window.wait(lambda: self.series() and self._is_pictured(), "the pictures", 60)

    def series(self) -> list[SeriesRow]:
        """Return the series of the chosen patient."""
        return list(self.browser._page.sheet.all_series())

    def named(self, part: str) -> SeriesRow:
        """Return the series whose description has a part."""
        return next(row for row in self.series() if part in row.series.description)

    def fetch(self, *parts: str) -> None:
        """Fetch series, and wait until they are here."""
        wanted = [self.named(part) for part in parts]
        self.browser._actions.fetch(wanted)
        uids = {row.uid for row in wanted}
        self.window.wait(lambda: uids <= {row.uid for row in self.series() if self._is_here(row)}, "the images", 60)

    def look_at(self, part: str, share: float = 0.5) -> None:
        """Choose a series, and show one of its frames, at a share of the stack."""
        sheet, preview = self.browser._page.sheet, self.browser._preview
        sheet.select([self.named(part).uid])
        self.window.wait(lambda: preview.state.count, "the stack")
        preview._go(int(preview.state.count * share))
        self.window.wait(lambda: preview._current_pixels() is not None, "the frame")

    def find_elements(self, text: str) -> None:
        """Show the elements of the instance, those that have a text."""
        elements = self.browser._elements
        self.window.wait(lambda: elements.model.rowCount() > 0, "the elements")
        elements.search.setText(text)

    def fold(self, part: str) -> None:
        """Fold the study whose description has a part."""
        sheet = self.browser._page.sheet
        for row in sheet.content.studies:
            if part in row.study.description:
                sheet.unfold(row.study.study_uid, False)

    def hide_detail(self) -> None:
        """Leave the whole height to the pictures."""
        self.browser.show_detail(False)

    def show_server(self, name: str) -> None:
        """Show the settings of a server."""
        self.browser.show_settings()
        settings = self.browser._settings.servers
        settings.show_server(name)
        self.window.wait(lambda: settings._current is not None and settings._current.saved_name == name, name)

    def wait_for_welcome(self) -> None:
        """Wait for the first page."""
        self.window.wait(self.browser._welcome.isVisible, "the welcome page")

    def _is_here(self, row: SeriesRow) -> bool:
        return self.browser._page.sheet.content.state(row).presence is Presence.HERE

    def _is_pictured(self) -> bool:
        sheet = self.browser._page.sheet
        return not self.browser._page._busy.busy and all(
            sheet._picture(row) is not None for row in sheet.canvas.visible_rows()
        )
