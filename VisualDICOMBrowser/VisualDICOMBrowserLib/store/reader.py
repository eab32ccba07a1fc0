"""Reads the catalogue for windows: short indexed statements, read-only, only what is about to be shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..domain.filters import QueryFilter
from ..domain.model import Patient, Series, Study
from ..domain.overview import PatientRow, Places, SeriesRow, StudyRow, Thumbnail
from . import catalogue_schema
from .catalogue_matching import Condition, add_functions, narrowed, patients_that_fit
from .catalogue_people import ROW_NOW, SHARED_IDS
from .catalogue_records import LOCAL_TOTALS, SEPARATOR
from .layout import DatabaseFolder
from .sqlite import LIST, DamagedDatabase, fetch_in, storage_errors

#: A place in the list of persons: after the person with this folded name, patient ID and key.
PersonMark = tuple[str, str, int]

# The window must not hang; who finds the catalogue locked shows what it has and asks again.
_PATIENCE_S = 0.1
_MAX_RECORDS = 4_000

_ALL = Condition("1")
_BY_NAME = "ORDER BY p.sort_name, p.patient_id, p.id"
_PATIENT_ROWS = f"SELECT p.id FROM patients p WHERE {{}} AND {{}} AND {{}} {_BY_NAME}"  # noqa: S608 - constants
_STEP_END = f"SELECT sort_name, patient_id, id FROM patients p WHERE {{}} {_BY_NAME} LIMIT 1 OFFSET ?"  # noqa: S608
_PATIENTS = f"SELECT id, patient_id, name, birth_date, sex, issuer FROM patients WHERE id IN {LIST}"  # noqa: S608
_STUDY_COUNTS = f"SELECT patient, count(*), max(local) FROM studies WHERE patient IN {LIST} GROUP BY patient"  # noqa: S608
_SERVERS_BY_MARK = f"SELECT patient, server FROM patient_servers WHERE patient IN {LIST}"  # noqa: S608
_SERVERS_BY_STUDY = (
    "SELECT DISTINCT patient, server FROM studies JOIN study_servers USING (study_uid)"  # noqa: S608
    f" WHERE patient IN {LIST}"
)
_STUDIES = (
    "SELECT study_uid, date, time, description, accession_number, study_id, known_modalities, sop_classes, local,"
    " (SELECT count(*) FROM series s WHERE s.study_uid = t.study_uid) FROM studies t WHERE patient = ?"
    " ORDER BY day DESC, time DESC, study_uid"
)
_STUDY_SERVERS = (
    "SELECT study_uid, server, series_count, instance_count FROM studies JOIN study_servers USING (study_uid)"
    " WHERE patient = ? ORDER BY server"
)
_SERIES = (
    "SELECT series_uid, study_uid, number, modality, description, body_part, known, local FROM series"  # noqa: S608
    f" WHERE {{}} IN {LIST}"
)
_SERIES_SERVERS = f"SELECT series_uid, server, instance_count FROM series_servers WHERE series_uid IN {LIST}"  # noqa: S608
_THUMBNAILS = f"SELECT series_uid, file, placeholder, reason FROM thumbnails WHERE series_uid IN {LIST}"  # noqa: S608


class CatalogueReader:
    """Reads the catalogue of a database folder that an engine, another process, writes.

    Used on one thread. A folder without a catalogue has nothing to show; the file is looked for again each time, as
    the engine may make it anew. What is local or on servers is as the engine noted it: nothing is looked up on disk.

    All methods raise :class:`~..domain.errors.StorageError` if the catalogue is locked (retryable: True) or damaged.

    :param folder: the database folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._layout = DatabaseFolder(folder)
        self._catalogue = self._layout.catalogue
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._records: dict[tuple[Any, ...], SeriesRow] = {}

    def close(self) -> None:
        """Close the file; it is opened again if need be."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._identity = None

    def patient_rows(self, filter: QueryFilter, places: Places) -> list[int]:
        """Return the keys of the persons that fit, sorted by name.

        All conditions hold for one and the same study, which is in one of the places; a person of whom no study is
        known fits if nothing is asked of studies. ``filter.limit`` is for servers, not for this.
        """
        return self.some_patient_rows(filter, places)[0]

    def some_patient_rows(
        self, filter: QueryFilter, places: Places, after: PersonMark | None = None, among: int | None = None
    ) -> tuple[list[int], PersonMark | None]:
        """Return the keys of those that fit among the next persons, sorted by name, and where to go on.

        Where to go on is None when all were looked at. Many persons are looked at in steps so that none takes long; one
        step is enough where an index tells that few can fit.

        :param after: where the step before ended.
        :param among: at how many persons to look.
        """
        start = _ALL if after is None else Condition("(p.sort_name, p.patient_id, p.id) > (?, ?, ?)", after)
        end: list[tuple[Any, ...]] = []
        few = narrowed(filter, places, self._rows, among)
        if among is not None and few is None:
            end = self._rows(_STEP_END.format(start.sql), (*start.values, among - 1))
        stop = Condition("(p.sort_name, p.patient_id, p.id) <= (?, ?, ?)", end[0]) if end else _ALL
        fitting = patients_that_fit(filter, places, few)
        statement = _PATIENT_ROWS.format(fitting.sql, start.sql, stop.sql)
        rows = self._rows(statement, (*fitting.values, *start.values, *stop.values))
        return [row[0] for row in rows], end[0] if end else None

    def row_now(self, row: int) -> int:
        """Return the key of a person whose key may have been given up: the person turned out to be another one."""
        rows = self._rows(ROW_NOW, (row,))
        return int(rows[0][0]) if rows else row

    def patients(self, rows: Sequence[int]) -> list[PatientRow]:
        """Return persons by key, in the order asked for; those that are gone are left out."""
        people = {row_id: Patient(*values) for row_id, *values in self._rows_in(_PATIENTS, rows)}
        counts = {patient: (count, local) for patient, count, local in self._rows_in(_STUDY_COUNTS, people)}
        marks = [*self._rows_in(_SERVERS_BY_MARK, people), *self._rows_in(_SERVERS_BY_STUDY, people)]
        servers = _grouped(sorted(set(marks)))
        shared = {row[0] for row in self._rows_in(SHARED_IDS, {p.patient_id for p in people.values()} - {""})}
        found = []
        for row_id in rows:
            if row_id in people:
                studies, local = counts.get(row_id, (0, 0))
                names = tuple(name for name, *_ in servers.get(row_id, ()))
                patient = people[row_id]
                found.append(PatientRow(row_id, patient, studies, local > 0, names, patient.patient_id in shared))
        return found

    def studies(self, patient_row: int, filter: QueryFilter, places: Places) -> list[StudyRow]:
        """Return the studies of a person in these places, newest first; ``matches`` tells which fit."""
        patient_row = self.row_now(patient_row)
        people = self._rows_in(_PATIENTS, [patient_row])
        if not people:
            return []
        patient = Patient(*people[0][1:])
        marks = _grouped(self._rows(_STUDY_SERVERS, (patient_row,)))
        rows = [_study_row(row, patient, marks.get(row[0], [])) for row in self._rows(_STUDIES, (patient_row,))]
        rows = [row for row in rows if _is_at(places, row.local_instances, row.servers)]
        with_series = self._studies_with_series(rows, filter)
        return [_matching(row, filter, with_series) for row in rows]

    def series(self, study_uids: Sequence[str], filter: QueryFilter, places: Places) -> dict[str, list[SeriesRow]]:
        """Return the series of studies in these places by study, sorted by number, then UID."""
        found: dict[str, list[SeriesRow]] = {uid: [] for uid in study_uids}
        rows = self._series_rows(self._rows_in(_SERIES.format("study_uid"), found), filter)
        rows.sort(key=lambda row: (row.series.number is None, row.series.number or 0, row.uid))
        for row in rows:
            if _is_at(places, row.local_instances, row.servers):
                found[row.series.study_uid].append(row)
        return found

    def series_by_uid(self, series_uids: Sequence[str]) -> dict[str, SeriesRow]:
        """Return series by UID; those that are gone are left out."""
        rows = self._series_rows(self._rows_in(_SERIES.format("series_uid"), dict.fromkeys(series_uids)), QueryFilter())
        return {row.uid: row for row in rows}

    def instances(self, series_uid: str) -> list[tuple[str, int | None, bool]]:
        """Return the known instances of a series: (SOP Instance UID, number, whether it is here), by number."""
        rows = self._rows(
            "SELECT sop_uid, number, file IS NOT NULL FROM instances WHERE series_uid = ?"
            " ORDER BY number IS NULL, number, sop_uid",
            (series_uid,),
        )
        return [(sop_uid, number, bool(local)) for sop_uid, number, local in rows]

    def local_sops(self, series_uid: str) -> set[str]:
        """Return the SOP Instance UIDs of a series that are here."""
        rows = self._rows("SELECT sop_uid FROM instances WHERE series_uid = ? AND file IS NOT NULL", (series_uid,))
        return {row[0] for row in rows}

    def local_paths(self, series_uids: Sequence[str], limit: int) -> list[Path]:
        """Return the files of series, by number, ``limit`` at most; those that are gone from the disk are left out."""
        statement = (
            "SELECT file FROM instances WHERE series_uid = ? AND file IS NOT NULL"
            " ORDER BY number IS NULL, number, sop_uid LIMIT ?"
        )
        paths: list[Path] = []
        for uid in series_uids:
            rows = self._rows(statement, (uid, limit - len(paths)))
            paths += [path for (file,) in rows if (path := self._layout.find(file)) is not None]
        return paths

    def totals(self) -> tuple[int, int, int, int]:
        """Return how many patients, studies, series and instances are here."""
        for patients, studies, series, instances in self._rows(LOCAL_TOTALS):
            return patients, studies, series, instances
        return 0, 0, 0, 0

    # Rows

    def _studies_with_series(self, rows: Sequence[StudyRow], filter: QueryFilter) -> set[str] | None:
        """Return the studies with a series that fits, None if nothing is asked of series alone."""
        if not filter.series_uid and not filter.series_description:
            return None
        found = self._rows_in(_SERIES.format("study_uid"), [row.study.study_uid for row in rows])
        series = [Series(*row[:6]) for row in found]
        return {one.study_uid for one in series if filter.matches_series(one)}

    def _series_rows(self, rows: Sequence[tuple[Any, ...]], filter: QueryFilter) -> list[SeriesRow]:
        uids = [row[0] for row in rows]
        marks = _grouped(self._rows_in(_SERIES_SERVERS, uids))
        pictures = {uid: tuple(values) for uid, *values in self._rows_in(_THUMBNAILS, uids)}
        found = [self._made(row, tuple(marks.get(row[0], ())), pictures.get(row[0])) for row in rows]
        if filter == QueryFilter():
            return found
        return [row if filter.matches_series(row.series) else replace(row, matches=False) for row in found]

    def _made(self, *values: Any) -> SeriesRow:
        """Return a record of what was read; the same one as before if it is the same: windows read often."""
        found = self._records.get(values)
        if found is None:
            if len(self._records) >= _MAX_RECORDS:
                self._records.clear()
            row, marks, picture = values
            found = self._records[values] = _series_row(row, marks, picture and self._thumbnail(*picture))
        return found

    def _thumbnail(self, file: str, placeholder: int, reason: str) -> Thumbnail | None:
        path = self._layout.thumbnail(file)
        return None if path is None else Thumbnail(path, bool(placeholder), reason)

    # The file

    def _rows_in(self, statement: str, values: Iterable[str | int]) -> list[tuple[Any, ...]]:
        connection = self._opened()
        with self._watched():
            return [] if connection is None else fetch_in(connection, statement, values)

    def _rows(self, statement: str, values: Sequence[str | int] = ()) -> list[tuple[Any, ...]]:
        connection = self._opened()
        with self._watched():
            return [] if connection is None else connection.execute(statement, values).fetchall()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            with storage_errors():
                yield
        except DamagedDatabase:
            self.close()  # the engine cannot set it aside on Windows while somebody has it open
            raise

    def _opened(self) -> sqlite3.Connection | None:
        """Return a connection to the file that has the name now, None if there is none of use."""
        path = self._catalogue
        try:
            status = path.stat()
        except OSError:
            self.close()
            return None
        identity = (status.st_dev, status.st_ino)
        if self._connection is None or identity != self._identity:
            self.close()
            self._connection = catalogue_schema.open_to_read(path, patience_s=_PATIENCE_S)
            self._identity = identity
            if self._connection is not None:
                add_functions(self._connection)
        return self._connection


def _grouped(rows: Iterable[tuple[Any, ...]]) -> dict[Any, list[tuple[Any, ...]]]:
    """Return rows by their first value, without it."""
    groups: dict[Any, list[tuple[Any, ...]]] = {}
    for key, *values in rows:
        groups.setdefault(key, []).append(tuple(values))
    return groups


def _is_at(places: Places, local: int, servers: Iterable[str]) -> bool:
    if places.here and (local or places.servers is None):
        return True
    return any(places.servers is None or server in places.servers for server in servers)


def _study_row(row: tuple[Any, ...], patient: Patient, marks: Sequence[tuple[Any, ...]]) -> StudyRow:
    uid, date, time, description, accession, study_id, modalities, classes, local, series_count = row
    counts = [count for _, _, count in marks if count is not None]
    study = Study(
        study_uid=uid,
        patient=patient,
        date=date,
        time=time,
        description=description,
        accession_number=accession,
        study_id=study_id,
        modalities=tuple(sorted(_parts(modalities))),
        sop_classes=tuple(_parts(classes)),
        series_count=max((count for _, count, _ in marks if count is not None), default=None),
        instance_count=max(counts, default=None),
    )
    servers = tuple(server for server, _, _ in marks)
    return StudyRow(study, local, max(series_count, study.series_count or 0), servers)


def _matching(row: StudyRow, filter: QueryFilter, with_series: set[str] | None) -> StudyRow:
    fits = filter.matches_study(row.study) and (with_series is None or row.study.study_uid in with_series)
    return row if fits else replace(row, matches=False)


def _series_row(row: tuple[Any, ...], marks: Sequence[tuple[Any, ...]], thumbnail: Thumbnail | None) -> SeriesRow:
    uid, study_uid, number, modality, description, body_part, known, local = row
    counts = [count for _, count in marks if count is not None]
    series = Series(uid, study_uid, number, modality, description, body_part, max(counts, default=None))
    servers = tuple(sorted(server for server, _ in marks))
    unknown = bool(servers) and not counts and known <= local  # what is here may be all or a part
    total = None if unknown else max([*counts, known, local])
    return SeriesRow(series, total, local, servers, thumbnail)


def _parts(text: str) -> dict[str, None]:
    return dict.fromkeys(part for part in text.split(SEPARATOR) if part)
