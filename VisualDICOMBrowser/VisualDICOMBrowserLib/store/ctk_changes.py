"""The statements that put instances into CTK's main database, and take them out, each within a transaction."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .ctk_rows import (
    StoredInstance,
    compatible_patient,
    dicom_date,
    display_timestamp,
    displayed_size,
    insert_timestamp,
    iso_date,
    patient_key,
    patient_row,
    series_row,
    study_row,
    text_of,
)
from .headers import Header
from .sqlite import LIST, fetch_in

# A row known only from a query becomes local; a local one is never touched.
_ADD_IMAGE = """
    INSERT INTO Images
        (SOPInstanceUID, Filename, URL, SeriesInstanceUID, InsertTimestamp, DisplayedFieldsUpdatedTimestamp)
    VALUES (?, ?, '', ?, ?, ?)
    ON CONFLICT (SOPInstanceUID) DO UPDATE SET
        Filename = excluded.Filename, URL = '', SeriesInstanceUID = excluded.SeriesInstanceUID,
        InsertTimestamp = excluded.InsertTimestamp,
        DisplayedFieldsUpdatedTimestamp = excluded.DisplayedFieldsUpdatedTimestamp
    WHERE Images.Filename IS NULL OR Images.Filename = ''
"""

_LOCAL_IMAGES = f"SELECT SOPInstanceUID FROM Images WHERE Filename <> '' AND SOPInstanceUID IN {LIST}"  # noqa: S608
_KNOWN_SERIES = f"SELECT SeriesInstanceUID, StudyInstanceUID FROM Series WHERE SeriesInstanceUID IN {LIST}"  # noqa: S608
_KNOWN_STUDIES = f"SELECT StudyInstanceUID, PatientsUID FROM Studies WHERE StudyInstanceUID IN {LIST}"  # noqa: S608
_IMAGES = f"SELECT SOPInstanceUID, SeriesInstanceUID, Filename FROM Images WHERE SOPInstanceUID IN {LIST}"  # noqa: S608
_REMOVE_IMAGES = f"DELETE FROM Images WHERE SOPInstanceUID IN {LIST}"  # noqa: S608
_FORGET_FILES = f"UPDATE Images SET Filename = '' WHERE SOPInstanceUID IN {LIST}"  # noqa: S608
_SAME_PATIENT = "SELECT UID, PatientsBirthDate FROM Patients WHERE PatientID = ? AND PatientsName = ? ORDER BY UID"

_COUNT_IMAGES = """
    UPDATE Series SET DisplayedCount = (SELECT count(*) FROM Images WHERE Images.SeriesInstanceUID = :uid),
        DisplayedSize = coalesce(DisplayedSize, :size), DisplayedFieldsUpdatedTimestamp = :now
    WHERE SeriesInstanceUID = :uid
"""
_COUNT_SERIES = """
    UPDATE Studies SET DisplayedNumberOfSeries = (SELECT count(*) FROM Series WHERE Series.StudyInstanceUID = :uid),
        DisplayedFieldsUpdatedTimestamp = :now
    WHERE StudyInstanceUID = :uid
"""
_COUNT_STUDIES = """
    UPDATE Patients SET DisplayedNumberOfStudies = :studies, DisplayedLastStudyDate = :last,
        DisplayedFieldsUpdatedTimestamp = :now
    WHERE UID = :uid
"""
_STUDY_DATES = "SELECT StudyDate FROM Studies WHERE PatientsUID = ?"

# For series, study and patient: whether any image is left below, and what goes if not. A study may hold rows
# without images that came from queries only.
_HAS_IMAGES = (
    "SELECT EXISTS (SELECT 1 FROM Images WHERE SeriesInstanceUID = ?)",
    """SELECT EXISTS (SELECT 1 FROM Series JOIN Images ON Images.SeriesInstanceUID = Series.SeriesInstanceUID
       WHERE Series.StudyInstanceUID = ?)""",
    """SELECT EXISTS (SELECT 1 FROM Studies JOIN Series ON Series.StudyInstanceUID = Studies.StudyInstanceUID
       JOIN Images ON Images.SeriesInstanceUID = Series.SeriesInstanceUID WHERE Studies.PatientsUID = ?)""",
)
_REMOVALS = (
    {"series": "DELETE FROM Series WHERE SeriesInstanceUID = ?"},
    {
        "series": "DELETE FROM Series WHERE StudyInstanceUID = ?",
        "studies": "DELETE FROM Studies WHERE StudyInstanceUID = ?",
    },
    {
        "series": """DELETE FROM Series WHERE StudyInstanceUID IN
                     (SELECT StudyInstanceUID FROM Studies WHERE PatientsUID = ?)""",
        "studies": "DELETE FROM Studies WHERE PatientsUID = ?",
        "patients": "DELETE FROM Patients WHERE UID = ?",
    },
)


@dataclass(frozen=True)
class RemovedRows:
    """What was taken out of the database.

    :ivar filenames: files of the removed images as stored, see :meth:`.layout.DatabaseFolder.absolute`.
    """

    patients: int = 0
    studies: int = 0
    series: int = 0
    instances: int = 0
    filenames: tuple[str, ...] = ()


def local_images(connection: sqlite3.Connection, sop_uids: Iterable[str]) -> set[str]:
    """Tell which of the instances have a local row."""
    return {row[0] for row in fetch_in(connection, _LOCAL_IMAGES, sop_uids)}


def add_instances(
    connection: sqlite3.Connection, items: Sequence[tuple[StoredInstance, str]], replaced: Collection[str] = ()
) -> None:
    """Add images with their names as stored, and the series, studies and patients that they need.

    :param replaced: local images among them that get another file: what it says of series, study and patient holds.
    """
    before = _Above.of(connection, replaced)
    fetch_in(connection, _FORGET_FILES, replaced)
    sizes: dict[str, str | None] = dict.fromkeys(before.series)
    for item, _ in items:
        sizes[item.header.series_uid] = sizes.get(item.header.series_uid) or displayed_size(item.header)
    _add_series(connection, [item.header for item, _ in items])
    added, displayed = insert_timestamp(), display_timestamp()
    connection.executemany(
        _ADD_IMAGE,
        [(item.header.sop_uid, name, item.header.series_uid, added, displayed) for item, name in items],
    )
    _renew(connection, [item.header for item, _ in items if item.header.sop_uid in replaced])
    studies = _parents(connection, _KNOWN_SERIES, sizes) | before.studies
    patients = _parents(connection, _KNOWN_STUDIES, studies) | before.patients
    _remove_empty(connection, before)
    _refresh(connection, sizes, studies, patients)


@dataclass(frozen=True)
class _Above:
    """The series, studies and patients of images."""

    series: set[str]
    studies: set[str]
    patients: set[int]

    @classmethod
    def of(cls, connection: sqlite3.Connection, sop_uids: Collection[str]) -> _Above:
        series = {uid for _, uid, _ in fetch_in(connection, _IMAGES, sop_uids)}
        studies = _parents(connection, _KNOWN_SERIES, series)
        return cls(series, studies, _parents(connection, _KNOWN_STUDIES, studies))


def _renew(connection: sqlite3.Connection, headers: Sequence[Header]) -> None:
    """Have the rows above images say what these headers do; of several, the last."""
    for header in {header.study_uid: header for header in headers}.values():
        patient = _patient(connection, header)
        _update(connection, "Patients", patient_row(header), "UID", patient)
        _update(connection, "Studies", study_row(header, patient), "StudyInstanceUID", header.study_uid)
    for header in {header.series_uid: header for header in headers}.values():
        _update(connection, "Series", series_row(header), "SeriesInstanceUID", header.series_uid)


def _update(connection: sqlite3.Connection, table: str, row: Mapping[str, Any], key: str, value: str | int) -> None:
    columns = [name for name in row if name not in _KEPT]
    rules = ", ".join(f"{name} = ?" for name in columns)
    statement = f"UPDATE {table} SET {rules} WHERE {key} = ?"  # noqa: S608 - names are our own
    connection.execute(statement, (*(row[name] for name in columns), value))


#: What does not come from files.
_KEPT = ("InsertTimestamp", "Connections")


def _add_series(connection: sqlite3.Connection, headers: Sequence[Header]) -> None:
    """Add from the bottom up, so that nothing is added above what is known already."""
    first: dict[str, Header] = {}
    for header in headers:
        first.setdefault(header.series_uid, header)
    known = {row[0] for row in fetch_in(connection, _KNOWN_SERIES, first)}
    missing = [header for uid, header in first.items() if uid not in known]
    _add_studies(connection, missing)
    for header in missing:
        _insert(connection, "Series", series_row(header))


def _add_studies(connection: sqlite3.Connection, headers: Sequence[Header]) -> None:
    first: dict[str, Header] = {}
    for header in headers:
        first.setdefault(header.study_uid, header)
    known = {row[0] for row in fetch_in(connection, _KNOWN_STUDIES, first)}
    for uid, header in first.items():
        if uid not in known:
            _insert(connection, "Studies", study_row(header, _patient(connection, header)))


def _patient(connection: sqlite3.Connection, header: Header) -> int:
    rows = connection.execute(_SAME_PATIENT, patient_key(header)).fetchall()
    known = compatible_patient(rows, header.birth_date)
    return _insert(connection, "Patients", patient_row(header)) if known is None else known


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    marks = ", ".join("?" * len(row))
    statement = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608 - names are our own
    return connection.execute(statement, tuple(row.values())).lastrowid or 0


def remove_images(connection: sqlite3.Connection, sop_uids: Iterable[str]) -> RemovedRows:
    """Remove images, and every series, study and patient that is left without any."""
    uids = list(sop_uids)
    images = fetch_in(connection, _IMAGES, uids)
    above = _Above.of(connection, uids)
    fetch_in(connection, _REMOVE_IMAGES, uids)
    counts = _remove_empty(connection, above)
    _refresh(connection, dict.fromkeys(above.series), above.studies, above.patients)
    filenames = tuple(text_of(name) for _, _, name in images if name)
    return RemovedRows(counts["patients"], counts["studies"], counts["series"], len(images), filenames)


def _remove_empty(connection: sqlite3.Connection, above: _Above) -> Counter[str]:
    """Remove those that are left without images; return how many of which kind."""
    counts: Counter[str] = Counter()
    levels: tuple[Iterable[str | int], ...] = (above.series, above.studies, above.patients)
    for keys, has_images, removals in zip(levels, _HAS_IMAGES, _REMOVALS, strict=True):
        for key in keys:
            if not connection.execute(has_images, (key,)).fetchall()[0][0]:
                _remove(connection, removals, key, counts)
    return counts


def _remove(connection: sqlite3.Connection, removals: Mapping[str, str], key: str | int, counts: Counter[str]) -> None:
    for kind, statement in removals.items():
        counts[kind] += connection.execute(statement, (key,)).rowcount


def _parents(connection: sqlite3.Connection, statement: str, uids: Iterable[Any]) -> set[Any]:
    return {row[1] for row in fetch_in(connection, statement, uids)}


def _refresh(
    connection: sqlite3.Connection, sizes: Mapping[str, str | None], studies: Iterable[str], patients: Iterable[int]
) -> None:
    """Count again what CTK displays; rows that are gone are passed over."""
    now = display_timestamp()
    connection.executemany(_COUNT_IMAGES, [{"uid": uid, "size": size, "now": now} for uid, size in sizes.items()])
    connection.executemany(_COUNT_SERIES, [{"uid": uid, "now": now} for uid in studies])
    for patient in patients:
        rows = connection.execute(_STUDY_DATES, (patient,)).fetchall()
        last = max((dicom_date(stored) for (stored,) in rows), default="")
        counted = {"uid": patient, "studies": len(rows), "last": iso_date(last), "now": now}
        connection.execute(_COUNT_STUDIES, counted)
