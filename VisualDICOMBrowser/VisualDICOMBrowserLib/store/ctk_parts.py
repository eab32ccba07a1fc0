"""A ctkDICOM database in parts, so that those can be found that were changed.

Rows that lie together in a table are a part. Its digest covers all that the mirror reads of the rows, so that no change
is ever missed; SQLite puts the text together, so that no rows are handed out. Each statement is short, like all on this
database, which another program may be writing.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from .ctk_content import CtkContent
from .sqlite import LIST, fetch_in


@dataclass(frozen=True)
class _Table:
    """A table of CTK.

    :ivar rows: how many row numbers make a part.
    :ivar columns: all that the mirror reads.
    :ivar among: which rows count.
    :ivar studies: the studies that rows have to do with.
    :ivar rows_of: studies and the row numbers that have to do with them, where that is not for the rows alone to say.
    """

    rows: int
    columns: tuple[str, ...]
    among: str
    studies: str
    rows_of: str = ""

    @property
    def text(self) -> str:
        """Return the expression that puts a part together, column by column: half the work of row by row."""
        return " || '\x1e' || ".join(f"group_concat(coalesce({column}, ''), '\x1f')" for column in self.columns)


_TABLES: Mapping[str, _Table] = {
    "Images": _Table(
        1024,
        ("SOPInstanceUID", "SeriesInstanceUID", "Filename"),
        "Filename <> ''",
        "SELECT DISTINCT s.StudyInstanceUID FROM Images t JOIN Series s USING (SeriesInstanceUID)",
        "SELECT s.StudyInstanceUID, t.rowid FROM Series s JOIN Images t USING (SeriesInstanceUID)"  # noqa: S608
        f" WHERE s.StudyInstanceUID IN {LIST}",
    ),
    "Series": _Table(
        128,
        (
            *("SeriesInstanceUID", "StudyInstanceUID", "SeriesNumber", "Modality"),
            *("SeriesDescription", "BodyPartExamined"),
        ),
        "1",
        "SELECT DISTINCT StudyInstanceUID FROM Series t",
    ),
    "Studies": _Table(
        32,
        (
            *("StudyInstanceUID", "PatientsUID", "StudyID", "StudyDate", "StudyTime"),
            *("StudyDescription", "AccessionNumber"),
        ),
        "1",
        "SELECT StudyInstanceUID FROM Studies t",
    ),
    "Patients": _Table(
        16,
        ("UID", "PatientID", "PatientsName", "PatientsBirthDate", "PatientsSex"),
        "1",
        "SELECT s.StudyInstanceUID FROM Patients t JOIN Studies s ON s.PatientsUID = t.UID",
        "SELECT s.StudyInstanceUID, t.rowid FROM Studies s JOIN Patients t ON s.PatientsUID = t.UID"  # noqa: S608
        f" WHERE s.StudyInstanceUID IN {LIST}",
    ),
}


def read_parts(connection: sqlite3.Connection, lock: Callable[[], AbstractContextManager[None]]) -> dict[str, str]:
    """Return the digests of all parts that have rows, by the names of the parts.

    :param lock: entered for each statement.
    """
    return {
        f"{name} {part}": digest
        for name, table in _TABLES.items()
        for part, digest in _digests(connection, name, table, lock)
    }


def _digests(
    connection: sqlite3.Connection, name: str, table: _Table, lock: Callable[[], AbstractContextManager[None]]
) -> Iterator[tuple[int, str]]:
    next_row = f"SELECT min(rowid) FROM {name} WHERE rowid > ?"  # noqa: S608 - our own names, here and below
    read = f"SELECT CAST({table.text} AS BLOB) FROM {name} WHERE rowid BETWEEN ? AND ? AND {table.among}"  # noqa: S608
    with lock():
        ((row,),) = connection.execute(f"SELECT min(rowid) FROM {name}").fetchall()  # noqa: S608
    while row is not None:
        part = row // table.rows
        first, last = _row_numbers(table, part)
        with lock():
            ((content,),) = connection.execute(read, (first, last)).fetchall()
            ((row,),) = connection.execute(next_row, (last,)).fetchall()
        if content is not None:
            yield part, hashlib.blake2b(content, digest_size=16).hexdigest()


def _row_numbers(table: _Table, part: int) -> tuple[int, int]:
    """Return the first and the last row number that a part may have."""
    return max(part * table.rows, -(1 << 63)), min((part + 1) * table.rows - 1, (1 << 63) - 1)


def studies_in(connection: sqlite3.Connection, parts: Iterable[str]) -> dict[str, list[str]]:
    """Return the UIDs of the studies that the rows of each part have to do with."""
    found = {}
    for name in parts:
        table = _TABLES[name.split()[0]]
        statement = f"{table.studies} WHERE t.rowid BETWEEN ? AND ?"
        rows = connection.execute(statement, _row_numbers(table, int(name.split()[1]))).fetchall()
        found[name] = [str(row[0]) for row in rows]
    return found


def parts_holding(connection: sqlite3.Connection, study_uids: Iterable[str]) -> dict[str, set[str]]:
    """Return the parts that have to do with some of the studies, each with these.

    Whose an image is, its series says, and whose a study is, the study: a part may come to have to do with a study
    without being changed itself.
    """
    wanted, found = list(study_uids), dict[str, set[str]]()
    for name, table in _TABLES.items():
        if table.rows_of:
            for uid, row in fetch_in(connection, table.rows_of, wanted):
                found.setdefault(f"{name} {row // table.rows}", set()).add(uid)
    return found


def parts_of(content: CtkContent) -> dict[str, str]:
    """Return what :func:`read_parts` does, of what was read already: each study is a part, named by its UID."""
    patients = {patient.uid: patient for patient in content.patients}
    said = {study.study_uid: [repr((study, patients[study.patient_uid]))] for study in content.studies}
    studies = {series.series_uid: series.study_uid for series in content.series}
    for series in content.series:
        said[series.study_uid].append(repr(series))
    for image in content.images:
        said[studies[image.series_uid]].append(repr(image))
    return {uid: hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest() for uid, lines in said.items()}


def content_among(content: CtkContent, study_uids: Iterable[str]) -> CtkContent:
    """Return what there is of studies in what was read already."""
    wanted = set(study_uids)
    holders = {study.patient_uid for study in content.studies if study.study_uid in wanted}
    # Where the objects have no patient ID, CTK writes the UID of a study.
    wanted.update(patient.patient_id for patient in content.patients if patient.uid in holders)
    studies = tuple(study for study in content.studies if study.study_uid in wanted)
    series = tuple(series for series in content.series if series.study_uid in wanted)
    patients, series_uids = {study.patient_uid for study in studies}, {one.series_uid for one in series}
    return CtkContent(
        tuple(patient for patient in content.patients if patient.uid in patients),
        studies,
        series,
        tuple(image for image in content.images if image.series_uid in series_uids),
    )
