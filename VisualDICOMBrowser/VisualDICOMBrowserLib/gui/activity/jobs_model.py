"""The jobs as a Qt table: rows come, go and change one by one, never all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from ...jobs.description import JobRecord
from .job_watch import JobWatch
from .job_words import KINDS, QUICK, STATE_GLYPHS, STATES, clock_words, fraction_of, rate_words

COLUMNS = ("Job", "What", "Server", "State", "Progress", "Rate", "Started", "Reason")
KIND, WHAT, SERVER, STATE, PROGRESS, RATE, STARTED, REASON = range(8)

#: Role of the name of a pictogram.
GLYPH_ROLE = int(qt.Qt.UserRole) + 1
#: Role of how much is done: 0 to 1, or None.
FRACTION_ROLE = int(qt.Qt.UserRole) + 2

_DISPLAY, _TIP = int(qt.Qt.DisplayRole), int(qt.Qt.ToolTipRole)


class JobsModel(qt.QAbstractTableModel):
    """The jobs that the filter lets through, the newest first."""

    def __init__(self, watch: JobWatch, parent: qt.QObject | None = None) -> None:
        qt.QAbstractTableModel.__init__(self, parent)
        self._watch = watch
        self._ids: list[str] = []
        self._records: dict[str, JobRecord] = {}
        self._search, self._quick = "", False
        watch.updated.connect(self._take)
        self._take()

    def set_filter(self, text: str, quick: bool) -> None:
        """Show jobs with a text in what is said of them; quick ones only if wanted."""
        self._search, self._quick = text.strip().casefold(), quick
        self._take()

    def record(self, row: int) -> JobRecord | None:
        """Return the job of a row."""
        return self._records.get(self._ids[row]) if 0 <= row < len(self._ids) else None

    def row_of(self, job_id: str) -> int | None:
        """Return the row of a job; None if it is not shown."""
        return self._ids.index(job_id) if job_id in self._records else None

    # what Qt asks

    def rowCount(self, parent: qt.QModelIndex | None = None) -> int:
        """Return the number of jobs shown."""
        return 0 if parent is not None and parent.isValid() else len(self._ids)

    def columnCount(self, parent: qt.QModelIndex | None = None) -> int:
        """Return the number of :data:`COLUMNS`."""
        return len(COLUMNS)

    def headerData(self, section: int, orientation: int, role: int = _DISPLAY) -> Any:
        """Return the name of a column."""
        return COLUMNS[section] if orientation == qt.Qt.Horizontal and role == _DISPLAY else None

    def data(self, index: qt.QModelIndex, role: int = _DISPLAY) -> Any:
        """Return what a cell shows."""
        record = self.record(index.row()) if index.isValid() else None
        if record is None:
            return None
        column = index.column()
        if role in (_DISPLAY, _TIP):
            return self._words(record, column)
        if role == GLYPH_ROLE:
            return STATE_GLYPHS[record.state] if column == STATE else None
        return fraction_of(record) if role == FRACTION_ROLE and column == PROGRESS else None

    def _words(self, record: JobRecord, column: int) -> str:
        if column == RATE:
            return "" if record.state.terminal else rate_words(self._watch.rate(record.job_id))
        return self._watch.label(record) if column == WHAT else _WORDS[column](record)

    # what changes

    def _take(self) -> None:
        """Bring the rows up to date, one by one."""
        shown = {record.job_id: record for record in self._watch.records if self._passes(record)}
        kept = [job_id for job_id in shown if job_id in self._records]
        if kept == [job_id for job_id in self._ids if job_id in shown]:
            self._remove([row for row, job_id in enumerate(self._ids) if job_id not in shown])
        else:
            self._remove(list(range(len(self._ids))))  # another order
        self._change(shown)
        self._insert(shown)

    def _change(self, shown: dict[str, JobRecord]) -> None:
        """Take the new records; rates change without one."""
        changed = [
            row
            for row, job_id in enumerate(self._ids)
            if shown[job_id] is not self._records[job_id] or not shown[job_id].state.terminal
        ]
        self._records = {job_id: shown[job_id] for job_id in self._ids}
        if changed:
            self.dataChanged.emit(self.index(changed[0], 0), self.index(changed[-1], len(COLUMNS) - 1))

    def _remove(self, rows: list[int]) -> None:
        for first, last in reversed(_runs(rows)):
            self.beginRemoveRows(qt.QModelIndex(), first, last)
            for job_id in self._ids[first : last + 1]:
                del self._records[job_id]
            del self._ids[first : last + 1]
            self.endRemoveRows()

    def _insert(self, shown: dict[str, JobRecord]) -> None:
        ids = list(shown)
        for first, last in _runs([row for row, job_id in enumerate(ids) if job_id not in self._records]):
            self.beginInsertRows(qt.QModelIndex(), first, last)
            self._ids[first:first] = ids[first : last + 1]
            self._records.update({job_id: shown[job_id] for job_id in ids[first : last + 1]})
            self.endInsertRows()

    def _passes(self, record: JobRecord) -> bool:
        if record.description.kind in QUICK and not self._quick:
            return False
        return not self._search or any(self._search in self._words(record, column).casefold() for column in _SEARCHED)


def _runs(rows: list[int]) -> list[tuple[int, int]]:
    """Return ascending numbers as runs of the first and the last."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if runs and runs[-1][1] == row - 1:
            runs[-1] = (runs[-1][0], row)
        else:
            runs.append((row, row))
    return runs


def _progress_words(record: JobRecord) -> str:
    fraction = fraction_of(record)
    return "" if fraction is None else f"{fraction:.0%}"


_WORDS: dict[int, Callable[[JobRecord], str]] = {
    KIND: lambda record: KINDS[record.description.kind],
    SERVER: lambda record: record.description.server or "",
    STATE: lambda record: STATES[record.state],
    PROGRESS: _progress_words,
    STARTED: lambda record: clock_words(record.started.wall if record.started else None),
    REASON: lambda record: record.reason,
}
_SEARCHED = (KIND, WHAT, SERVER, STATE, REASON)
