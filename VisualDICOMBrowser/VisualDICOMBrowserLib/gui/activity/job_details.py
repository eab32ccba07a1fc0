"""What happened to a job: why it is as it is, what is missing, and its conversations on the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qt

from ...jobs.description import JobRecord
from ..parts.portable import value
from ..parts.throttle import Throttle
from ..session import Session
from .job_report import report_of

_LOG_MS = 1000
_LEAST_WIDTH, _LEAST_HEIGHT = 240, 40
_NONE = "Choose a job to see what happened to it."


class JobDetails(qt.QWidget):
    """A text to read and to copy; it follows the job while it runs."""

    def __init__(self, session: Session, parent: qt.QWidget | None = None) -> None:
        qt.QWidget.__init__(self, parent)
        self._session = session
        self._record: JobRecord | None = None
        self._log: Mapping[str, Any] | None = None
        self._shown = ""
        self._ask_later = Throttle(_LOG_MS, self._ask, self)
        self._build()
        self.show_job(None)

    def show_job(self, record: JobRecord | None) -> None:
        """Show a job, and read its log anew; None for no job."""
        before, self._record = self._record, record
        if record is None or before is None or record.job_id != before.job_id:
            self._log = None
            self._ask_later.cancel()
            self.text.verticalScrollBar().setValue(0)
        if record is not None and record is not before:
            self._ask_later()
        self._show()

    def cleanup(self) -> None:
        """Read nothing any more."""
        self._ask_later.cancel()

    def _ask(self) -> None:
        record = self._record
        if record is not None:
            job_id = record.job_id
            params = {"job_id": job_id}
            self._session.ask("job_log", params, lambda log: self._take(job_id, log), lambda _: None)  # it has none

    def _take(self, job_id: str, log: Mapping[str, Any]) -> None:
        if self._record is not None and self._record.job_id == job_id:
            self._log = log
            self._show()

    def _show(self) -> None:
        text = _NONE if self._record is None else report_of(self._record, self._log)
        self._copy.setEnabled(self._record is not None)
        if text == self._shown:
            return
        bar = self.text.verticalScrollBar()
        at, end = int(value(bar, "value")), int(value(bar, "maximum"))
        follows = 0 < at == end
        self.text.setPlainText(text)
        self._shown = text
        bar.setValue(int(value(bar, "maximum")) if follows else at)

    def _build(self) -> None:
        title = qt.QLabel("What happened", self)
        font = qt.QFont(value(self, "font"))
        font.setBold(True)
        title.setFont(font)
        self._copy = qt.QPushButton("Copy", self)
        self._copy.setToolTip("Copy all of this; it names no patient")
        self._copy.clicked.connect(lambda *_: qt.QApplication.clipboard().setText(self._shown))
        self.text = qt.QPlainTextEdit(self)
        self.text.setReadOnly(True)
        self.text.setMinimumHeight(_LEAST_HEIGHT)
        self.text.setFrameShape(qt.QFrame.NoFrame)
        self.text.setAccessibleName("What happened to the job")
        row = qt.QHBoxLayout()
        row.addWidget(title, 1)
        row.addWidget(self._copy)
        column = qt.QVBoxLayout(self)
        column.setContentsMargins(6, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.text, 1)
        self.setMinimumWidth(_LEAST_WIDTH)
