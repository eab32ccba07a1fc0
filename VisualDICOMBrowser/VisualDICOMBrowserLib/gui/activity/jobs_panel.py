"""The list of jobs, with what can be done about them."""

from __future__ import annotations

from collections.abc import Callable

import qt

from ...jobs.description import JobRecord
from ..parts.portable import value
from ..parts.signals import Signal
from ..parts.text_field import TextField
from ..parts.throttle import Debounce
from ..session import Session
from .job_cells import JobCells
from .job_details import JobDetails
from .job_watch import JobWatch
from .job_words import KINDS, RETRIED, STATES, details_of
from .jobs_model import KIND, PROGRESS, RATE, REASON, SERVER, STARTED, STATE, WHAT, JobsModel

_TYPING_MS = 150
#: Below that, the table is without some columns while the log is beside it: there, the log tells.
_WIDE = 1200


class JobsPanel(qt.QWidget):
    """All jobs in a table; the one selected, with its reason in full, below, and with its log at the right if wanted.

    ==============  ============  ======================
    signal          values        when
    ==============  ============  ======================
    ``job_chosen``  JobRecord     a job was selected
    ==============  ============  ======================
    """

    def __init__(self, session: Session, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self.job_chosen = Signal()
        self._session = session
        self._watch = JobWatch(session, self)
        self._watch.look()
        self._build()
        self._search_later = Debounce(_TYPING_MS, self._filter, self)
        self._watch.updated.connect(self._update)
        self._update()
        self._watch.pause()

    def showEvent(self, event: qt.QShowEvent) -> None:
        """Catch up."""
        qt.QWidget.showEvent(self, event)
        self._watch.resume()

    def hideEvent(self, event: qt.QHideEvent) -> None:
        """Rest while nobody looks."""
        qt.QWidget.hideEvent(self, event)
        self._watch.pause()

    def resizeEvent(self, event: qt.QResizeEvent) -> None:
        """Leave the table its room."""
        qt.QWidget.resizeEvent(self, event)
        self._show_log()

    def choose(self, job_id: str) -> None:
        """Select a job, if it is in the list."""
        row = self.model.row_of(job_id)
        if row is not None:
            self.view.selectRow(row)

    def show_job(self, job_id: str) -> None:
        """Show what happened to a job, whatever the filter was."""
        self.search.clear()
        self._filter()
        self.choose(job_id)
        self.log_button.setChecked(True)

    def chosen(self) -> list[JobRecord]:
        """Return the selected jobs."""
        rows = sorted(index.row() for index in self.view.selectionModel().selectedRows())
        return [record for record in map(self.model.record, rows) if record is not None]

    def cleanup(self) -> None:
        """Let go of the session."""
        self._watch.cleanup()
        self._search_later.cancel()
        self.log.cleanup()

    def keyPressEvent(self, event: qt.QKeyEvent) -> None:
        """Open and close the log by keys."""
        key, shown = event.key(), bool(self.log_button.isChecked())
        if key in (qt.Qt.Key_Return, qt.Qt.Key_Enter) and self.view.hasFocus() and self.chosen():
            self.log_button.setChecked(True)
        elif key == qt.Qt.Key_Escape and shown:
            self.log_button.setChecked(False)
        else:
            qt.QWidget.keyPressEvent(self, event)

    def _filter(self) -> None:
        self.model.set_filter(value(self.search, "text"), self.quick.isChecked())
        self._update()

    def _cancel(self) -> None:
        for record in self.chosen():
            if not record.state.terminal:
                self._session.ask("cancel_job", {"job_id": record.job_id})

    def _retry(self) -> None:
        for record in self.chosen():
            if record.state in RETRIED:
                self._session.ask("retry_job", {"job_id": record.job_id})

    def _clear(self) -> None:
        ended = [record.job_id for record in self._watch.records if record.state.terminal]
        self._session.ask("clear_jobs", {}, lambda *_: self._session.jobs.forget(ended))

    def _on_selection(self) -> None:
        self._update()
        chosen = self.chosen()
        if chosen:
            self.layout().activate()  # what is said of them takes room from the table
            self.view.scrollTo(self.view.currentIndex())
        if len(chosen) == 1:
            self.job_chosen.emit(chosen[0])

    def _update(self) -> None:
        chosen = self.chosen()
        self.cancel.setEnabled(any(not record.state.terminal for record in chosen))
        self.retry.setEnabled(any(record.state in RETRIED for record in chosen))
        self.clear.setEnabled(any(record.state.terminal for record in self._watch.records))
        self._show_details(chosen)
        self._show_log()
        self._show_emptiness()

    def _show_details(self, chosen: list[JobRecord]) -> None:
        self.details.setVisible(bool(chosen) and not self.log_button.isChecked())
        if len(chosen) == 1:
            record = chosen[0]
            what = (KINDS[record.description.kind], self._watch.label(record), record.description.server or "")
            self.title.setText("  ·  ".join(filter(None, (*what, STATES[record.state]))))
            self.reason.setText(record.reason)
            self.facts.setText(details_of(record))
        else:
            self.title.setText(f"{len(chosen)} jobs selected")
            self.reason.setText("")
            self.facts.setText("")
        self.reason.setVisible(bool(value(self.reason, "text")))
        self.facts.setVisible(len(chosen) == 1)

    def _show_log(self) -> None:
        shown, chosen = bool(self.log_button.isChecked()), self.chosen()
        self.log.setVisible(shown)
        for column in (RATE, STARTED, REASON):
            self.view.setColumnHidden(column, shown and value(self, "width") < _WIDE)
        self.log.show_job(chosen[0] if shown and len(chosen) == 1 else None)

    def _show_emptiness(self) -> None:
        hidden = bool(self._watch.records)
        self.empty.setText("No job matches." if hidden else "Nothing has been fetched or imported yet.")
        self.pages.setCurrentIndex(0 if self.model.rowCount() else 1)

    def _build(self) -> None:
        self.log = JobDetails(self._session, self)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(6)
        column.addLayout(self._build_top())
        halves = qt.QSplitter(qt.Qt.Horizontal, self)
        halves.setChildrenCollapsible(False)
        halves.addWidget(self._build_table())
        halves.addWidget(self.log)
        halves.setStretchFactor(0, 3)
        halves.setStretchFactor(1, 2)
        column.addWidget(halves, 1)
        column.addWidget(self._build_details())

    def _build_top(self) -> qt.QHBoxLayout:
        self.search = TextField("Filter jobs", self)
        self.search.setMinimumWidth(120)
        self.search.setMaximumWidth(260)
        self.search.textChanged.connect(lambda *_: self._search_later())
        self.quick = qt.QCheckBox("Searches and pictures too", self)
        self.quick.setToolTip("Also searches, thumbnails and tests, of which there are many")
        self.quick.toggled.connect(lambda *_: self._filter())
        self.cancel = self._button("Cancel", "Stop the selected jobs", self._cancel)
        self.retry = self._button("Retry", "Try the selected jobs again", self._retry)
        self.log_button = qt.QPushButton("Details", self)
        self.log_button.setToolTip("Show what happened to the selected job (Enter)")
        self.log_button.setCheckable(True)
        self.log_button.toggled.connect(lambda *_: self._update())
        self.clear = self._button("Clear ended", "Take all jobs that have ended off the list", self._clear)
        row = qt.QHBoxLayout()
        row.addWidget(self.search, 3)
        row.addWidget(self.quick)
        row.addStretch(1)
        for button in (self.log_button, self.cancel, self.retry, self.clear):
            row.addWidget(button)
        return row

    def _button(self, text: str, hint: str, act: Callable[[], None]) -> qt.QPushButton:
        button = qt.QPushButton(text, self)
        button.setToolTip(hint)
        button.clicked.connect(lambda *_: act())
        return button

    def _build_table(self) -> qt.QStackedWidget:
        self.pages = qt.QStackedWidget(self)
        self.view = qt.QTableView(self.pages)
        self.model = JobsModel(self._watch, self.view)
        self.cells = JobCells(self.view)
        self.view.setModel(self.model)
        self.view.setItemDelegate(self.cells)
        self.view.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        self.view.setSelectionMode(qt.QAbstractItemView.ExtendedSelection)
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setTabKeyNavigation(False)
        self.view.setFrameShape(qt.QFrame.NoFrame)
        self.view.setVerticalScrollMode(qt.QAbstractItemView.ScrollPerPixel)
        self.view.doubleClicked.connect(lambda *_: self.log_button.setChecked(True))
        self.view.selectionModel().selectionChanged.connect(lambda *_: self._on_selection())
        self._size_table()
        self.empty = qt.QLabel("", self.pages)
        self.empty.setAlignment(qt.Qt.AlignCenter)
        self.empty.setForegroundRole(qt.QPalette.PlaceholderText)
        self.pages.addWidget(self.view)
        self.pages.addWidget(self.empty)
        return self.pages

    def _size_table(self) -> None:
        metrics = self.fontMetrics()
        letter = metrics.horizontalAdvance("M")
        rows, columns = self.view.verticalHeader(), self.view.horizontalHeader()
        rows.setVisible(False)
        rows.setDefaultSectionSize(metrics.height() + 10)
        columns.setHighlightSections(False)
        columns.setDefaultAlignment(qt.Qt.AlignLeft | qt.Qt.AlignVCenter)
        widths = {KIND: 6, SERVER: 10, STATE: 10.5, PROGRESS: 11, RATE: 7, STARTED: 7.5}
        for column, letters in widths.items():
            self.view.setColumnWidth(column, round(letters * letter))
        for column in (WHAT, REASON):
            columns.setSectionResizeMode(column, qt.QHeaderView.Stretch)

    def _build_details(self) -> qt.QWidget:
        self.details = qt.QWidget(self)
        self.title, self.reason, self.facts = (qt.QLabel("", self.details) for _ in range(3))
        bold = qt.QFont(value(self, "font"))
        bold.setBold(True)
        self.title.setFont(bold)
        self.facts.setForegroundRole(qt.QPalette.PlaceholderText)
        lines = qt.QVBoxLayout(self.details)
        lines.setContentsMargins(6, 4, 6, 0)
        lines.setSpacing(3)
        for label in (self.title, self.reason, self.facts):
            label.setWordWrap(True)
            label.setTextFormat(qt.Qt.PlainText)
            label.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
            lines.addWidget(label)
        return self.details
