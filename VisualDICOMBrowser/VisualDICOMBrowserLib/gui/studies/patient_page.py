"""The chosen patient: who it is, and all studies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import qt

from ...domain.errors import Cancelled, PackageMissing, VisualDicomError
from ...domain.filters import QueryFilter
from ...domain.overview import PatientRow, Places, SeriesRow
from ..parts.busy_line import BusyLine
from ..parts.signals import Signal
from ..parts.throttle import Debounce, Throttle
from ..parts.trouble_line import TroubleLine
from ..session import Call, Session
from .patient_header import PatientHeader
from .series_state import Presence
from .study_sheet import StudySheet

_NOBODY = "Choose a patient on the left to see the studies."
_ASKING = "Asking the servers for studies…"
_NOTHING = "No studies were found of this patient."
_UNKNOWN = "Not every server could be asked for studies; none are known."
_HERE_ONLY = "There are no studies of this patient on this computer."
_DEEDS_MS = 120
#: How long a choice in the list must last before servers are asked about it.
ASK_MS = 150


class PatientPage(qt.QWidget):
    """A header above a :class:`StudySheet`; asks the servers for the studies when a patient stays shown.

    Besides the signals of the sheet, which are the sheet's own objects, ``send_asked``, ``export_asked`` and
    ``load_asked`` tell a list of series, and ``detail_asked`` whether the preview and the elements are wanted. The
    buttons are about the chosen series; if none is chosen, about all that the sheet has, except for Load, which could
    fill the memory.

    :param loads: whether series can be loaded into the program around the window.
    """

    def __init__(self, session: Session, parent: qt.QWidget | None = None, loads: bool = False) -> None:
        qt.QWidget.__init__(self, parent)
        self._session = session
        self._patient: PatientRow | None = None
        self._places = Places()
        self._call: Call | None = None
        self._wants_studies = False
        self._has_failed = False
        self.sheet = StudySheet(session, self)
        self.send_asked = Signal()
        self.export_asked = Signal()
        self.load_asked = Signal()
        self.detail_asked = Signal()
        self._told_servers: frozenset[str] = frozenset()
        self.selection_changed, self.opened, self.previewed = (
            self.sheet.selection_changed,
            self.sheet.opened,
            self.sheet.previewed,
        )
        self.menu_asked = self.sheet.menu_asked
        self.fetch_asked, self.cancel_asked, self.retry_asked = (
            self.sheet.fetch_asked,
            self.sheet.cancel_asked,
            self.sheet.retry_asked,
        )
        self._header = PatientHeader(self, loads)
        self._busy = BusyLine(self)
        self._trouble = TroubleLine(self)
        self._show_deeds = Throttle(_DEEDS_MS, lambda *_: self._show_deeds_now(), self, at_once=False)
        self._ask_later = Debounce(ASK_MS, self._ask_studies, self)
        self._build()
        self._disconnects = self._connect()
        self.show_patient(None)

    def show_patient(self, patient: PatientRow | None) -> None:
        """Show a person, and ask the servers for the studies; the same person again is only told anew."""
        same = patient is not None and self._patient is not None and patient.row == self._patient.row
        self._patient = patient
        self._header.setVisible(patient is not None)
        if patient is not None:
            self._header.show_patient(patient)
        if same:
            return
        self._stop_asking()
        self._trouble.hide()
        self.sheet.show_patient(patient)
        self._ask_studies_soon()
        self._show_deeds()

    def set_filter(self, wanted: QueryFilter, places: Places) -> None:
        """Show what matches, and the rest less prominently; other servers are asked at once."""
        others = places.servers != self._places.servers
        self._places = places
        self.sheet.set_filter(wanted, places)
        if others and self._patient is not None:
            self._ask_studies()
        self._show_notice()

    def set_told_servers(self, names: Iterable[str]) -> None:
        """Say nothing of these servers: that they failed is told elsewhere."""
        self._told_servers = frozenset(names)

    def set_detailed(self, on: bool) -> None:
        """Show on the button whether the preview and the elements can be seen."""
        self._header.set_detailed(on)

    def refresh(self) -> None:
        """Ask the servers again, also for pictures that could not be had."""
        self.sheet.retry_pictures()
        self.sheet.refresh()
        self._ask_studies()

    def cleanup(self) -> None:
        """Hear nothing more of the session."""
        self._stop_asking()
        self._show_deeds.cancel()
        for disconnect in self._disconnects:
            disconnect()
        self.sheet.cleanup()

    def _build(self) -> None:
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for widget in (self._header, self._busy, self._trouble):
            column.addWidget(widget)
        column.addWidget(self.sheet, 1)

    def _connect(self) -> list[Any]:
        header, sheet = self._header, self.sheet
        header.load.connect(lambda: self.load_asked.emit(sheet.selected()))
        header.fetch.connect(lambda: self.fetch_asked.emit(self._in(_FETCHABLE)))
        header.cancel.connect(lambda: self.cancel_asked.emit(self._in(_UNDER_WAY)))
        header.send.connect(lambda: self.send_asked.emit(self._meant()))
        header.export.connect(lambda: self.export_asked.emit(self._local()))
        header.refresh.connect(self.refresh)
        header.menu.connect(lambda point: self.menu_asked.emit(self._meant(), point))
        header.detailed.connect(self.detail_asked.emit)
        header.sized.connect(sheet.set_thumbnail_size)
        sheet.size_changed.connect(header.set_size)
        sheet.selection_changed.connect(self._show_deeds)
        self._trouble.retried.connect(self.refresh)
        session = self._session
        return [
            session.ready_changed.connect(self._on_ready),
            session.jobs.changed.connect(self._show_deeds),
            session.series_changed.connect(self._show_deeds),
            sheet.refreshed.connect(self._on_refreshed),
        ]

    # -- the studies

    def _ask_studies_soon(self) -> None:
        """Ask unless the next patient is shown at once, as with an arrow key that is held down."""
        self._stop_asking()
        self._busy.set_busy(self._patient is not None and self._places.servers != () and self._session.ready)
        self._ask_later()
        self._show_notice()

    def _ask_studies(self) -> None:
        self._stop_asking()
        self._wants_studies = self._patient is not None and self._places.servers != ()
        if self._patient is None or not self._wants_studies or not self._session.ready:
            self._show_notice()
            return
        self._wants_studies = False
        row, servers = self._patient.row, self._places.servers
        params = {"patient": row, "servers": None if servers is None else list(servers)}
        self._busy.set_busy(True)
        self._trouble.hide()
        self._call = self._session.ask(
            "explore",
            params,
            lambda result: self._on_explored(row, result),
            lambda error: self._on_failed(row, error),
        )
        if self._call.done():
            self._call = None
        self._show_notice()

    def _stop_asking(self) -> None:
        call, self._call = self._call, None
        self._ask_later.cancel()
        self._busy.set_busy(False)
        if call is not None:
            call.stop()

    def _on_explored(self, row: int, result: Mapping[str, Any]) -> None:
        if not self._is_about(row):
            return
        found = result.get("errors", ())
        self._end_asking(bool(found))
        errors = [f"{one['server']}: {one['reason']}" for one in found if one["server"] not in self._told_servers]
        lines = [*errors, *map(str, result.get("warnings", ()))]
        if lines:
            self._trouble.tell(lines, problem=False)
        self.sheet.refresh()

    def _on_failed(self, row: int, error: VisualDicomError) -> None:
        if isinstance(error, Cancelled) or not self._is_about(row):
            return
        self._end_asking(True)
        if not isinstance(error, PackageMissing):
            self._trouble.tell([str(error)], problem=True)
        self._show_notice()

    def _is_about(self, row: int) -> bool:
        return self._patient is not None and self._patient.row == row

    def _end_asking(self, has_failed: bool) -> None:
        self._call = None
        self._has_failed = has_failed
        self._busy.set_busy(False)

    def _on_ready(self, ready: bool, _sentence: str) -> None:
        if ready and self._wants_studies:
            self._ask_studies()
        elif not ready:
            self._wants_studies = self._wants_studies or self._call is not None
            self._end_asking(True)
            self._show_notice()

    def _on_refreshed(self) -> None:
        self._show_notice()
        self._show_deeds()

    def _show_notice(self) -> None:
        if self._patient is None:
            text = _NOBODY
        elif self._busy.busy:
            text = _ASKING
        elif self._places.servers == ():
            text = _HERE_ONLY
        else:
            text = _UNKNOWN if self._has_failed else _NOTHING
        self.sheet.set_notice(text)

    # -- the buttons

    def _meant(self) -> list[SeriesRow]:
        return self.sheet.selected() or self.sheet.all_series()

    def _in(self, presences: frozenset[Presence]) -> list[SeriesRow]:
        return [row for row in self._meant() if self.sheet.content.state(row).presence in presences]

    def _local(self) -> list[SeriesRow]:
        return [row for row in self._meant() if row.local_instances]

    def _show_deeds_now(self) -> None:
        """Count among what was read; the series of folded studies are read only when a button needs them."""
        rows = self.sheet.selected() or self.sheet.content.read_rows()
        presences = [self.sheet.content.state(row).presence for row in rows]
        folded = not self.sheet.selected() and self.sheet.content.has_unread()
        self._header.set_deeds(
            len(self.sheet.selected()),
            sum(presence in _FETCHABLE for presence in presences) + folded,
            sum(presence in _UNDER_WAY for presence in presences),
            sum(row.local_instances > 0 for row in rows) + folded,
        )


_FETCHABLE = frozenset({Presence.REMOTE, Presence.PARTLY, Presence.FAILED})
_UNDER_WAY = frozenset({Presence.QUEUED, Presence.ARRIVING})
