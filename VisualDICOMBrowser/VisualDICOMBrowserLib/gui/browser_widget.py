"""The browser: search, patients, their studies as thumbnails, preview, elements, jobs, all in one widget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import qt

from ..domain.errors import StorageError
from ..domain.filters import QueryFilter
from ..domain.overview import PatientRow, Places, SeriesRow
from .actions import Actions
from .activity.jobs_panel import JobsPanel
from .activity.jobs_strip import JobsStrip
from .conflict_notes import ConflictNotes
from .drops import accept_files, take_files
from .elements.metadata_view import MetadataView
from .host import Host, LoadOption
from .loading.load_choice import LoadChoice
from .loading.load_strip import LoadStrip
from .menus import Entry, is_fetchable, is_loadable, is_local, is_replaceable, menu_of
from .messages import Tone
from .missing_packages import MissingPackages
from .parts.file_choice import choose_files, choose_folder
from .parts.message_bar import MessageBar
from .patients.patient_list import PatientList
from .patients.patient_text import title
from .preview.stack_preview import StackPreview
from .search.search_bar import SearchBar
from .search.search_run import SearchRun
from .sending.send_panel import SendPanel
from .sending.sender import Sender
from .session import Session
from .settings_page import SettingsPage
from .studies.patient_page import PatientPage
from .studies.sheet_look import ThumbnailSize
from .unfinished import Unfinished
from .welcome import WelcomePage

_HANDLE = 5
_LEAST_PATIENTS = 224


class BrowserWidget(qt.QWidget):
    """See the module. The same for Slicer and the desktop.

    :param session: the engine and its folder; :meth:`close_session` ends it.
    :param host: what the program around it offers.
    """

    def __init__(self, session: Session, parent: Any = None, host: Host | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self._session = session
        self._host = host or Host()
        self._loader = self._host.loader
        self._actions = Actions(session)
        self._missing = MissingPackages(session, self, self._host)
        self._unfinished = Unfinished(session)
        self._sender = Sender(session)
        self._conflicts = ConflictNotes(session, self._show_job)
        self._patient: PatientRow | None = None
        self._failed_servers: set[str] = set()
        self._search = SearchRun(session)
        self.setAcceptDrops(True)
        self._make_widgets()
        self._lay_out()
        self._connect_search()
        self._connect_patient()
        self._connect_pages()
        self._connect_sending()
        self._connect_loader()
        self._patients.show_filter(QueryFilter(), Places())

    def close_session(self) -> None:
        """End the engine; the widget is of no use afterwards."""
        self._search.close()
        self._missing.close()
        self._unfinished.close()
        self._sender.close()
        self._conflicts.close()
        if self._loader is not None:
            self._loader.close()
        for widget in self._parts:
            widget.cleanup()
        self._session.close()

    def search(self) -> None:
        """Ask the servers for what stands in the search field, as Enter does."""
        self._search_bar.search()

    def focus_search(self) -> None:
        """Put the cursor into the search field."""
        self._search_bar.focus_field()

    def dragEnterEvent(self, event: qt.QDragEnterEvent) -> None:
        """Take files wherever nothing else does."""
        accept_files(event)

    def dropEvent(self, event: qt.QDropEvent) -> None:
        """Import them."""
        paths = take_files(event)
        if paths:
            self._actions.import_paths(paths)

    def choose_patient(self, key: int | None) -> None:
        """Show the studies of a person, by the key of :class:`.PatientRow`, as if the user had clicked it."""
        self._patients.select(key)

    # What it is made of

    def _make_widgets(self) -> None:
        session = self._session
        self._search_bar = SearchBar(session)
        self._messages = MessageBar(session)
        self._patients = PatientList(session)
        self._page = PatientPage(session, None, self._loader is not None)
        self._load_strip = LoadStrip()
        self._load_choice = LoadChoice()
        self._send_panel = SendPanel(session)
        self._preview = StackPreview(session)
        self._elements = MetadataView(session)
        self._strip = JobsStrip(session)
        self._jobs = JobsPanel(session)
        self._settings = SettingsPage(session, host=self._host)
        self._welcome = WelcomePage(session)
        self._parts = (
            self._search_bar,
            self._messages,
            self._patients,
            self._page,
            self._send_panel,
            self._preview,
            self._elements,
            self._strip,
            self._jobs,
            self._settings,
            self._welcome,
        )

    def _lay_out(self) -> None:
        self._wants_detail = True
        self._detail = qt.QSplitter(qt.Qt.Horizontal)
        self._detail.addWidget(self._preview)
        self._detail.addWidget(self._elements)
        self._right = qt.QSplitter(qt.Qt.Vertical)
        self._right.addWidget(self._page)
        self._right.addWidget(self._detail)
        self._columns = qt.QSplitter(qt.Qt.Horizontal)
        self._columns.addWidget(self._patients)
        self._columns.addWidget(self._right)
        self._stack = qt.QStackedWidget()
        for page in (self._columns, self._welcome, self._settings):
            self._stack.addWidget(page)
        self._rows = qt.QSplitter(qt.Qt.Vertical)
        self._rows.addWidget(self._stack)
        self._rows.addWidget(self._jobs)
        for splitter, first, second in (
            (self._detail, 2, 3),
            (self._right, 3, 2),
            (self._columns, 1, 4),
            (self._rows, 1, 0),
        ):
            splitter.setChildrenCollapsible(False)
            splitter.setHandleWidth(_HANDLE)
            splitter.setStretchFactor(0, first)
            splitter.setStretchFactor(1, second)
        self._patients.setMinimumWidth(_LEAST_PATIENTS)
        self._columns.setSizes([280, 1000])
        self._right.setSizes([480, 340])
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for widget, stretch in (
            (self._search_bar, 0),
            (self._messages, 0),
            (self._rows, 1),
            (self._load_choice, 0),
            (self._send_panel, 0),
            (self._load_strip, 0),
            (self._strip, 0),
        ):
            column.addWidget(widget, stretch)
        self._jobs.hide()
        self._detail.hide()
        self._detail_key = qt.QShortcut(qt.QKeySequence("F4"), self)
        self._detail_key.setContext(qt.Qt.WidgetWithChildrenShortcut)
        self._detail_key.activated.connect(lambda: self.show_detail(not self._wants_detail))

    def show_detail(self, on: bool) -> None:
        """Show or hide the preview and the elements; while no patient is chosen, there are none."""
        self._wants_detail = on
        self._page.set_detailed(on)
        self._detail.setVisible(on and self._patient is not None)

    def arrangement(self) -> str:
        """Return what the user made of the window, for :meth:`arrange` another time."""
        splitters = {name: list(splitter.sizes()) for name, splitter in self._splitters().items()}
        size = int(self._page.sheet.thumbnail_size())
        send = {"server": self._send_panel.server, "verify": self._send_panel.verify}
        return json.dumps({"detail": self._wants_detail, "pictures": size, "sizes": splitters, "send": send})

    def arrange(self, text: str) -> None:
        """Take what :meth:`arrangement` returned; what is not understood is left as it is."""
        try:
            kept = json.loads(text)
            wants_detail, size = bool(kept["detail"]), ThumbnailSize(kept["pictures"])
            sizes = {name: [int(one) for one in kept["sizes"].get(name, ())] for name in self._splitters()}
            send = {"server": "", "verify": True, **kept.get("send", {})}
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        self.show_detail(wants_detail)
        self._page.sheet.set_thumbnail_size(size)
        self._send_panel.server, self._send_panel.verify = str(send["server"]), bool(send["verify"])
        for name, splitter in self._splitters().items():
            if len(sizes[name]) == 2 and min(sizes[name]) > 0:  # one that was hidden has no sizes worth keeping
                splitter.setSizes(sizes[name])

    def _splitters(self) -> dict[str, qt.QSplitter]:
        return {"detail": self._detail, "right": self._right, "columns": self._columns, "rows": self._rows}

    # Searching

    def _connect_search(self) -> None:
        bar = self._search_bar
        bar.listen_in(self)
        bar.narrowed.connect(self._narrow)
        bar.places_changed.connect(self._show_filter)
        bar.searched.connect(self._run_search)
        bar.stopped.connect(self._search.stop)
        bar.settings_asked.connect(self.show_settings)
        self._search.running_changed.connect(bar.set_running)
        self._search.running_changed.connect(self._patients.busy)
        self._search.errors_changed.connect(self._show_errors)
        self._search.errors_changed.connect(lambda errors: self._page.set_told_servers([name for name, _ in errors]))
        self._patients.retry_asked.connect(self._search.retry)
        self._patients.clear_asked.connect(bar.clear_all)
        self._patients.left_upwards.connect(bar.focus_field)
        bar.left_downwards.connect(self._patients.focus_list)

    def _narrow(self, filter: QueryFilter, places: Places) -> None:
        self._show_browser()
        self._show_filter(filter, places)

    def _show_filter(self, filter: QueryFilter, places: Places) -> None:
        self._patients.show_filter(filter, places)
        self._page.set_filter(filter, places)

    def _show_errors(self, errors: list[tuple[str, str]]) -> None:
        failed = {server for server, _ in errors}
        for server in self._failed_servers - failed:
            self._messages.close_about(f"server:{server}")  # asked again, or asked no more
        self._failed_servers = failed
        self._patients.show_errors(errors)

    def _run_search(self, filter: QueryFilter, places: Places) -> None:
        self._narrow(filter, places)
        self._messages.close_about("search")  # of the search before
        self._search.start(filter, places.servers)

    # The chosen patient

    def _connect_patient(self) -> None:
        self._patients.chosen.connect(self._choose)
        self._patients.renewed.connect(self._renew)
        self._patients.menu_asked.connect(self._show_patient_menu)
        page = self._page
        page.previewed.connect(self._show_detail)
        page.opened.connect(self._open)
        page.menu_asked.connect(self._show_series_menu)
        page.retry_asked.connect(self._actions.retry)
        page.fetch_asked.connect(self._actions.fetch)
        page.cancel_asked.connect(self._actions.cancel)
        page.export_asked.connect(self.export)
        page.detail_asked.connect(self.show_detail)
        page.set_detailed(self._wants_detail)
        self._preview.instance_changed.connect(self._elements.show_instance)
        self._preview.fetch_asked.connect(self._actions.retry)
        self._elements.instance_changed.connect(self._preview.show_instance)

    def _choose(self, patient: PatientRow | None) -> None:
        self._patient = patient
        self._page.show_patient(patient)
        self.show_detail(self._wants_detail)
        self._show_detail(None)

    def _renew(self, patient: PatientRow) -> None:
        self._patient = patient
        self._page.show_patient(patient)

    def _show_detail(self, row: SeriesRow | None) -> None:
        uid = row.uid if row is not None else ""
        self._preview.show_series(uid)
        self._elements.show_series(uid)

    def _open(self, row: SeriesRow) -> None:
        self._show_detail(row)
        if self._loader is not None:
            self.load([row])
        else:
            self._actions.fetch([row])

    def _show_series_menu(self, series: Sequence[SeriesRow], point: Any) -> None:
        menu_of(self.series_entries(list(series)), self).popup(point)

    def series_entries(self, series: list[SeriesRow], patient: PatientRow | None = None) -> list[Entry | None]:
        """Return what can be done with chosen series.

        :param patient: whose they are, if not those of the chosen person.
        """
        here, many = is_local(series), len(series) != 1
        uids = "\n".join(row.uid for row in series)
        return [
            *self._load_entries(series),
            Entry("Fetch", lambda: self._actions.fetch(series), is_fetchable(series)),
            Entry("Cancel fetching", lambda: self._actions.cancel(series), self._actions.are_under_way(series)),
            Entry("Try again", lambda: self._actions.retry(series), self._actions.have_failed(series)),
            Entry("Fetch again and replace", lambda: self._actions.fetch_again(series), is_replaceable(series)),
            None,
            Entry("Send…", lambda: self.send(series, patient), here),
            Entry("Export…", lambda: self.export(series), here),
            Entry(f"Copy UID{'s' if many else ''}", lambda: qt.QApplication.clipboard().setText(uids), bool(series)),
            None,
            Entry("Remove from this computer", lambda: self._actions.remove(series), here),
        ]

    def _load_entries(self, series: list[SeriesRow]) -> list[Entry | None]:
        if self._loader is None:
            return []
        possible = is_loadable(series)
        return [
            Entry("Load", lambda: self.load(series), possible),
            Entry("Load as…", lambda: self.load(series, choose=True), possible),
            None,
        ]

    def _show_patient_menu(self, patient: PatientRow, point: Any) -> None:
        try:
            series = self._series_of(patient)
        except StorageError as error:
            self._session.say(str(error), Tone.PROBLEM, "catalogue")
            return
        menu_of(self.series_entries(series, patient), self).popup(point)

    def _series_of(self, patient: PatientRow) -> list[SeriesRow]:
        reader = self._session.reader
        studies = reader.studies(patient.row, QueryFilter(), Places())
        found = reader.series([row.study.study_uid for row in studies], QueryFilter(), Places())
        return [row for rows in found.values() for row in rows]

    def export(self, series: Sequence[SeriesRow]) -> None:
        """Ask for a folder, and copy what is here of the series into it."""
        choose_folder(self, "Export to folder", lambda folder: self._actions.export(list(series), folder))

    # Sending

    def _connect_sending(self) -> None:
        panel = self._send_panel
        self._page.send_asked.connect(self.send)
        panel.send_asked.connect(lambda uids, server, verify: self._sender.send(uids, server, verify=verify))
        panel.fetch_asked.connect(self._actions.fetch)
        panel.settings_asked.connect(self.add_server)
        panel.closed.connect(self._page.sheet.setFocus)

    def send(self, series: Sequence[SeriesRow], patient: PatientRow | None = None) -> None:
        """Ask where to send what is here of the series.

        :param patient: whose they are, if not those of the chosen person.
        """
        whose = patient or self._patient
        self._send_panel.open_for(series, title(whose) if whose is not None else "")

    # Loading into the program around it

    def _connect_loader(self) -> None:
        loader = self._loader
        if loader is None:
            return
        self._page.load_asked.connect(self.load)
        self._page.sheet.set_loaded(loader.loaded)
        loader.loaded_changed.connect(self._page.sheet.set_loaded)
        loader.progress_changed.connect(self._load_strip.show_progress)
        loader.choice_asked.connect(self._show_choice)
        self._load_strip.cancelled.connect(loader.cancel)
        self._load_choice.chosen.connect(loader.choose)

    def load(self, series: Sequence[SeriesRow], *, choose: bool = False) -> None:
        """Load series into the program around the window; what is not here is fetched first.

        :param choose: show what could be loaded, to choose from.
        """
        uids = [row.uid for row in series if is_loadable([row])]
        if self._loader is not None and uids:
            self._loader.load(uids, choose=choose)

    def _show_choice(self, options: Sequence[LoadOption]) -> None:
        """Show what could be loaded; the keys go there unless the user is typing, and back to the series."""
        had_keys = self._load_choice.isAncestorOf(qt.QApplication.focusWidget())
        self._load_choice.show_options(options)
        if options and self._page.isAncestorOf(qt.QApplication.focusWidget()):
            self._load_choice.setFocus()
        elif not options and had_keys:
            self._page.sheet.setFocus()

    # Pages

    def _connect_pages(self) -> None:
        self._strip.show_toggled.connect(self._jobs.setVisible)
        self._settings.closed.connect(self._leave_settings)
        self._welcome.add_server_asked.connect(self.add_server)
        self._welcome.import_asked.connect(self.import_folder)
        self._session.ready_changed.connect(lambda ready, _: self._look_around() if ready else None)
        self._session.servers_changed.connect(self._look_around)
        self._session.catalogue_changed.connect(self._leave_welcome)

    def _look_around(self) -> None:
        self._session.ask("servers", done=self._note_servers)

    def _note_servers(self, servers: list[dict[str, Any]]) -> None:
        page = self._stack.currentWidget()
        if not servers and not self._has_patients() and page is not self._settings:
            self._stack.setCurrentWidget(self._welcome)
        elif servers and page is self._welcome:
            self._show_browser()
        else:
            self._leave_welcome()

    def _leave_welcome(self) -> None:
        if self._stack.currentWidget() is self._welcome and self._has_patients():
            self._show_browser()

    def _has_patients(self) -> bool:
        return bool(self._session.reader.some_patient_rows(QueryFilter(), Places(), among=1)[0])

    def _show_browser(self) -> None:
        self._stack.setCurrentWidget(self._columns)

    def show_settings(self) -> None:
        """Show the servers."""
        self._stack.setCurrentWidget(self._settings)
        self._settings.show_servers()

    def _show_job(self, job_id: str) -> None:
        """Show what happened to a job."""
        self._strip.set_shown(True)
        self._jobs.setVisible(True)
        self._jobs.show_job(job_id)

    def _leave_settings(self) -> None:
        self._show_browser()
        self._look_around()

    def add_server(self) -> None:
        """Show the servers with an empty form for a new one."""
        self.show_settings()
        self._settings.servers.add_server()

    def import_folder(self) -> None:
        """Ask for a folder to import."""
        choose_folder(self, "Import folder", lambda folder: self._actions.import_paths([folder]))

    def import_files(self) -> None:
        """Ask for files to import."""
        choose_files(self, "Import files", self._actions.import_paths)
