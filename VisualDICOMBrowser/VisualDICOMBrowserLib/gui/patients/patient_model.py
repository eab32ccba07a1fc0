"""The persons of the list: their keys at once, what is shown of them only when it is about to be shown."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import qt

from ...domain.errors import StorageError
from ...domain.filters import QueryFilter
from ...domain.overview import PatientRow, Places
from ...store.reader import PersonMark
from ..messages import Tone
from ..parts.signals import Signal
from ..parts.throttle import Throttle
from ..session import Session
from . import patient_text

#: Persons that are read at once, and most that are kept.
PAGE = 64
#: Persons that are looked at in one turn, to see whether they fit.
STEP = 2000
MAX_PAGES_KEPT = 32
#: The catalogue is read again at most once in this time while it keeps changing.
REFRESH_MS = 250
_Read = TypeVar("_Read")


class PatientModel(qt.QAbstractListModel):
    """A list of persons over the catalogue. At most one statement is run in one turn of the event loop.

    While the catalogue cannot be read, what was read before stays.

    ====================  ===========  =====================================================================
    signal                values       when
    ====================  ===========  =====================================================================
    ``about_to_change``   none         other keys are about to take the place of the present ones
    ``keys_changed``      none         they did
    ``rows_read``         list of int  keys whose rows were read, again or for the first time
    ====================  ===========  =====================================================================
    """

    def __init__(self, session: Session, parent: Any = None) -> None:
        qt.QAbstractListModel.__init__(self, parent)
        self.about_to_change = Signal()
        self.keys_changed = Signal()
        self.rows_read = Signal()
        self._session, self._reader = session, session.reader
        self._query, self._places = QueryFilter(), Places()
        self._keys: list[int] = []
        self._at: dict[int, int] = {}
        self._pages: OrderedDict[int, dict[int, PatientRow]] = OrderedDict()  # page -> key -> row
        self._stale: set[int] = set()
        self._wanted: list[int] = []  # pages, the newest wish last
        self._reads = qt.QTimer(self)
        self._reads.setSingleShot(True)
        self._reads.timeout.connect(self._read_page)
        self._found: list[int] = []  # keys, as far as they are read
        self._steps = qt.QTimer(self)
        self._steps.setSingleShot(True)
        self._steps.timeout.connect(lambda: self._read_keys(self._place))
        self._place: PersonMark | None = None
        self._refresh_soon = Throttle(REFRESH_MS, self.refresh)
        self._disconnect = session.catalogue_changed.connect(self._refresh_soon)

    @property
    def keys(self) -> list[int]:
        """The keys of all persons, in order."""
        return self._keys

    def look_for(self, query: QueryFilter, places: Places) -> None:
        """Show the persons that fit."""
        self._query, self._places = query, places
        self.refresh()

    def refresh(self) -> None:
        """Read the keys again; what is shown stays until they are all read."""
        self._found = []
        self._read_keys(None)

    def _read_keys(self, after: PersonMark | None) -> None:
        """Read the keys of the next persons that fit; what is asked of studies is looked up for all at once."""
        among = None if self._query.needs_study_level else STEP
        found = self._tried(lambda: self._reader.some_patient_rows(self._query, self._places, after, among))
        if found is None:
            return
        keys, self._place = found
        self._found += keys
        if self._place is not None:
            self._steps.start()
        else:
            self._take_over(self._found)

    def _take_over(self, keys: list[int]) -> None:
        self._wanted.clear()
        if keys == self._keys:
            self._stale = set(self._pages)
            self._tell_changed(0, len(keys) - 1)
            return
        self.about_to_change.emit()
        self.beginResetModel()
        known = {key: row for page in self._pages.values() for key, row in page.items()}
        self._keys, self._at = keys, {key: at for at, key in enumerate(keys)}
        self._pages = self._arrange(known)
        self._stale = set(self._pages)
        self.endResetModel()
        self.keys_changed.emit()

    def key_at(self, at: int) -> int | None:
        """Return the key at a place of the list."""
        return self._keys[at] if 0 <= at < len(self._keys) else None

    def find_key(self, key: int) -> int | None:
        """Return the place of a key, or of the one that the person has now."""
        if key not in self._at:
            key = self._tried(lambda: self._reader.row_now(key)) or key
        return self._at.get(key)

    def row_at(self, at: int) -> PatientRow | None:
        """Return a person as far as it is read; if not, it will be."""
        key = self.key_at(at)
        if key is None:
            return None
        page = at // PAGE
        rows = self._pages.get(page)
        if rows is None or page in self._stale or key not in rows:
            self._want(page)
        else:
            self._pages.move_to_end(page)
        return None if rows is None else rows.get(key)

    def first_named(self, beginning: str, after: int) -> int | None:
        """Return the place of the next person, from ``after`` on and around, whose name begins like this."""
        if not beginning.strip() or self._query.patient_name:
            return None
        pattern = beginning.replace(", ", "^").replace("*", "?") + "*"
        query = replace(self._query, patient_name=pattern)
        fitting = self._tried(lambda: self._reader.patient_rows(query, self._places))
        found = sorted(self._at[key] for key in fitting or () if key in self._at)
        return next((at for at in found if at >= after), found[0] if found else None)

    def cleanup(self) -> None:
        """Let go of the session."""
        self._disconnect()
        self._reads.stop()
        self._steps.stop()
        self._refresh_soon.cancel()

    # What Qt asks

    def rowCount(self, parent: Any = None) -> int:
        """Return how many persons there are."""
        return 0 if parent is not None and parent.isValid() else len(self._keys)

    def data(self, index: qt.QModelIndex, role: int = 0) -> Any:
        """Return what is shown, told or read out of a person."""
        words = _WORDS.get(int(role))
        if words is None:
            return None
        row = self.row_at(index.row())
        return None if row is None else words(row)

    # How it reads

    def _want(self, page: int) -> None:
        if page in self._wanted:
            self._wanted.remove(page)
        self._wanted.append(page)
        if not self._reads.isActive():
            self._reads.start()

    def _read_page(self) -> None:
        if not self._wanted:
            return
        page = self._wanted.pop()
        first = page * PAGE
        keys = self._keys[first : first + PAGE]
        before = self._pages.get(page)
        found = self._tried(lambda: self._reader.patients(keys))
        if found is None:
            return
        rows = {row.row: row for row in found}
        self._pages[page] = {key: rows.get(key) or _gone(key) for key in keys}
        self._pages.move_to_end(page)
        self._stale.discard(page)
        self._drop_oldest()
        if self._pages[page] != before:
            self._tell_changed(first, first + len(keys) - 1)
        self.rows_read.emit(keys)
        if self._wanted:
            self._reads.start()

    def _tried(self, read: Callable[[], _Read]) -> _Read | None:
        """Return what is read; None if it cannot be: soon all is read again that another process had locked."""
        try:
            return read()
        except StorageError as error:
            if error.retryable:
                self._refresh_soon()
            else:
                self._session.say(str(error), Tone.PROBLEM, "catalogue")
            return None

    def _drop_oldest(self) -> None:
        while len(self._pages) > MAX_PAGES_KEPT:
            page, _rows = self._pages.popitem(last=False)
            self._stale.discard(page)

    def _arrange(self, known: dict[int, PatientRow]) -> OrderedDict[int, dict[int, PatientRow]]:
        pages: OrderedDict[int, dict[int, PatientRow]] = OrderedDict()
        for key, row in known.items():
            at = self._at.get(key)
            if at is not None:
                pages.setdefault(at // PAGE, {})[key] = row
        return pages

    def _tell_changed(self, first: int, last: int) -> None:
        if last >= first:
            self.dataChanged.emit(self.index(first, 0), self.index(last, 0))


def _gone(key: int) -> PatientRow:
    """Stand for a person that was removed since the keys were read; the keys are about to be read again."""
    return PatientRow(key, patient_text.NOBODY)


_WORDS: dict[int, Callable[[PatientRow], str]] = {
    int(qt.Qt.DisplayRole): patient_text.title,
    int(qt.Qt.ToolTipRole): patient_text.tooltip,
    int(qt.Qt.AccessibleTextRole): patient_text.spoken,
}
