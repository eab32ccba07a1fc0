"""What a sheet shows: the studies and series of one person, read when they are needed, and how they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ...domain.errors import StorageError
from ...domain.filters import QueryFilter
from ...domain.model import Series
from ...domain.overview import PatientRow, Places, SeriesRow, StudyRow
from ..parts.signals import Signal
from ..session import Session
from .series_state import Presence, SeriesState, state_of
from .sheet_layout import HEADER, LINE, Block, Spot
from .sheet_text import counted, whereabouts

#: So many of the newest studies are unfolded at first.
OPEN_AT_FIRST = 2
#: The key of the line that stands for the studies that do not match.
OTHERS = "others"
_Read = TypeVar("_Read")
_UNDER_WAY = (Presence.QUEUED, Presence.ARRIVING)


@dataclass(frozen=True)
class StudySummary:
    """What a header says beyond the study itself.

    :ivar fraction: how much of it is here, 0 to 1, while something is under way; else None.
    """

    where: str
    series: str
    fraction: float | None = None
    under_way: bool = False
    complete: bool = False


class SheetContent:
    """The studies of a person and those series of theirs that were looked at. Without Qt.

    ``failed`` tells the :class:`StorageError` of a reading that came to nothing; what was read before stays.
    """

    def __init__(self, session: Session) -> None:
        self.failed = Signal()
        self._session = session
        self._filter = QueryFilter()
        self._places = Places()
        self.patient: PatientRow | None = None
        self.loaded: frozenset[str] = frozenset()
        self._forget()

    def _forget(self) -> None:
        self.show_others = False
        self._all: list[StudyRow] = []
        self.studies: list[StudyRow] = []
        self._unfolded: dict[str, bool] = {}
        self._series: dict[str, list[SeriesRow]] = {}
        self._where: dict[str, tuple[str, int]] = {}
        self._ranks: dict[str, int] = {}
        self._states: dict[str, SeriesState] = {}

    @property
    def hidden_studies(self) -> int:
        """How many studies stand behind the line at the end."""
        return len(self._all) - len(self.studies)

    def show(self, patient: PatientRow | None) -> None:
        """Show another person, or nobody."""
        self._forget()
        self.patient = patient
        self.read()

    def set_filter(self, wanted: QueryFilter, places: Places) -> None:
        """Look for something else, or elsewhere."""
        self._filter, self._places = wanted, places
        self.show_others = False
        self.read()

    def read(self) -> None:
        """Read the studies again, and the series of those that were read before or are unfolded."""
        patient = self.patient
        if patient is None:
            self._all = []
        else:
            reader = self._session.reader
            found = self._tried(lambda: reader.studies(patient.row, self._filter, self._places))
            self._all = self._all if found is None else found
        self._choose_studies()
        known = {row.study.study_uid for row in self._all}
        self._series = {uid: rows for uid, rows in self._series.items() if uid in known}
        self._read_series([uid for uid in map(_uid, self._all) if uid in self._series or self.is_unfolded(uid)])

    def show_all(self) -> None:
        """Show also the studies that do not match."""
        self.show_others = True
        self._choose_studies()
        self._read_series([uid for uid in map(_uid, self.studies) if self.is_unfolded(uid) and uid not in self._series])

    def read_series(self, uids: Iterable[str]) -> list[str]:
        """Read single series again.

        :returns: those that are gone, or that nobody has seen yet: then more than their rows has changed.
        """
        uids = list(uids)
        rows = self._tried(lambda: self._session.reader.series_by_uid(uids))
        if rows is None:
            return []
        for uid, row in rows.items():
            if uid in self._where:
                study, index = self._where[uid]
                self._series[study][index] = replace(row, matches=self._series[study][index].matches)
        self.forget_states(uids)
        return [uid for uid in uids if (uid in rows) != (uid in self._where)]

    def blocks(self) -> list[Block]:
        """Return what the layout is made of."""
        blocks = [self._block(uid) for uid in map(_uid, self.studies)]
        return [*blocks, Block(OTHERS, 0, True, header=False)] if self.hidden_studies else blocks

    def _block(self, study_uid: str) -> Block:
        return Block(study_uid, len(self._series.get(study_uid, ())), self.is_unfolded(study_uid))

    def is_unfolded(self, study_uid: str) -> bool:
        """Tell whether the series of a study are shown."""
        return self._unfolded.get(study_uid, False)

    def unfold(self, study_uid: str, unfolded: bool = True) -> None:
        """Show or hide the series of a study."""
        self._unfolded[study_uid] = unfolded
        if unfolded and study_uid not in self._series:
            self._read_series([study_uid])

    def series_of(self, study_uid: str) -> Sequence[SeriesRow]:
        """Return the series of a study, which are read if they were not yet."""
        if study_uid not in self._series:
            self._read_series([study_uid])
        return self._series.get(study_uid, [])

    def choosable(self, study_uid: str) -> list[str]:
        """Return the UIDs of those series of a study that match, or of all if none does; as far as they were read."""
        rows = self._series.get(study_uid, [])
        return [row.uid for row in rows if row.matches] or [row.uid for row in rows]

    def series_at(self, spot: Spot | None) -> SeriesRow | None:
        """Return the series of a cell; None for anything else."""
        if spot is None or spot.cell < 0 or spot.block >= len(self.studies):
            return None
        rows = self._series.get(_uid(self.studies[spot.block]), [])
        return rows[spot.cell] if spot.cell < len(rows) else None

    def study_at(self, spot: Spot | None) -> StudyRow | None:
        """Return the study that a header, line or cell belongs to; None for the line at the end."""
        return self.studies[spot.block] if spot is not None and spot.block < len(self.studies) else None

    def find(self, uid: str) -> SeriesRow | None:
        """Return a series that was read."""
        study, index = self._where.get(uid, ("", 0))
        return self._series[study][index] if study else None

    def place_of(self, row: SeriesRow) -> tuple[int, int]:
        """Return a key that sorts series as they lie in the sheet."""
        study, index = self._where.get(row.uid, ("", 0))
        return self._ranks.get(study, len(self._ranks)), index

    def spot_of(self, uid: str) -> Spot | None:
        """Return the cell of a series if it is shown, or the header of a study, or the line at the end."""
        if uid == OTHERS and self.hidden_studies:
            return Spot(len(self.studies), LINE)
        study, cell = self._where.get(uid, (uid, HEADER))
        block = self._ranks.get(study)
        if block is None or (cell >= 0 and not self.is_unfolded(study)):
            return None
        return Spot(block, cell)

    def key_of(self, spot: Spot) -> str:
        """Return the UID of the series or study at a spot, for :meth:`spot_of`."""
        series, study = self.series_at(spot), self.study_at(spot)
        return series.uid if series is not None else _uid(study) if study is not None else OTHERS

    def shown(self) -> list[SeriesRow]:
        """Return the series of unfolded studies, from above to below."""
        return [row for uid in map(_uid, self.studies) if self.is_unfolded(uid) for row in self._series.get(uid, ())]

    def read_rows(self) -> list[SeriesRow]:
        """Return the series that were read of the studies that are shown, folded or not."""
        return [row for study in self.studies for row in self._series.get(_uid(study), ())]

    def has_unread(self) -> bool:
        """Tell whether there are studies whose series were not looked at yet."""
        return any(_uid(study) not in self._series for study in self.studies)

    def known_uids(self) -> Iterable[str]:
        """Return the UIDs of all series that were read."""
        return self._where.keys()

    def state(self, row: SeriesRow) -> SeriesState:
        """Return how far a series has got."""
        found = self._states.get(row.uid)
        if found is None:
            job = self._session.jobs.retrieve_of(row)
            found = self._states[row.uid] = state_of(row, job, loaded=row.uid in self.loaded)
        return found

    def forget_states(self, uids: Iterable[str] | None = None) -> None:
        """Have the states of series found out anew; of all without ``uids``."""
        if uids is None:
            self._states.clear()
            return
        for uid in uids:
            self._states.pop(uid, None)

    def uids_in_job(self, job_id: str) -> list[str]:
        """Return the UIDs that a job is about, with those of the series of its studies as far as they were read."""
        record = self._session.jobs.get(job_id)
        uids = record.description.params.get("uids", ()) if record is not None else ()
        return [found for uid in uids for found in (uid, *(row.uid for row in self._series.get(uid, ())))]

    def summary(self, row: StudyRow) -> StudySummary:
        """Return what the header of a study says."""
        if _uid(row) not in self._series:
            return self._unread_summary(row)
        series = self._series[_uid(row)]
        states = [self.state(one) for one in series]
        under_way = any(state.presence in _UNDER_WAY for state in states)
        here = sum(state.here for state in states)
        total = sum(state.here if state.total is None else state.total for state in states)
        return StudySummary(
            where=whereabouts(row, bool(here)),
            series=counted(max(row.series_count, len(series)), "series", "series"),
            fraction=min(1.0, here / total) if under_way and total else None,
            under_way=under_way,
            complete=bool(series) and all(one.complete for one in series),
        )

    def _unread_summary(self, row: StudyRow) -> StudySummary:
        job = self._session.jobs.retrieve_of(SeriesRow(Series("", _uid(row))))
        under_way = job is not None and not job.state.terminal
        fraction = min(1.0, job.done / job.total) if job is not None and under_way and job.total else None
        where, series = whereabouts(row, False), counted(row.series_count, "series", "series")
        return StudySummary(where, series, fraction, under_way)

    def _tried(self, read: Callable[[], _Read]) -> _Read | None:
        """Return what is read; None, and a word to who listens, if the catalogue cannot be read now."""
        try:
            return read()
        except StorageError as error:
            self.failed.emit(error)
            return None

    def _choose_studies(self) -> None:
        matching = [row for row in self._all if row.matches]
        for index, row in enumerate(matching or self._all):
            self._unfolded.setdefault(_uid(row), index < OPEN_AT_FIRST)
        self.studies = self._all if self.show_others else matching
        self._ranks = {_uid(row): index for index, row in enumerate(self.studies)}

    def _read_series(self, study_uids: Iterable[str]) -> None:
        wanted = list(study_uids)
        if wanted:
            found = self._tried(lambda: self._session.reader.series(wanted, self._filter, self._places))
            self._series.update(found or {})
        self._where = {row.uid: (uid, index) for uid, rows in self._series.items() for index, row in enumerate(rows)}
        self._states.clear()


def _uid(row: StudyRow) -> str:
    return row.study.study_uid
