"""What a ctkDICOM database holds locally, read in short statements."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..domain.uids import is_uid
from .ctk_rows import dicom_date, integer_of, tag_text, text_of
from .sqlite import LIST, chunks, fetch_in

# A statement over so many rows takes well under 100 ms; an open cursor would make CTK's commits fail.
_PAGE = 20_000
_LINKED_PAGE = 5_000
_FEW_SERIES = 10
#: No row has a smaller number.
FIRST_ROW = -(1 << 63)

_PATIENTS = (
    "SELECT rowid, UID, PatientID, PatientsName, PatientsBirthDate, PatientsSex FROM Patients"
    " WHERE rowid > ? ORDER BY rowid LIMIT ?"
)
_STUDIES = (
    "SELECT rowid, StudyInstanceUID, PatientsUID, StudyID, StudyDate, StudyTime, StudyDescription, AccessionNumber"
    " FROM Studies WHERE rowid > ? ORDER BY rowid LIMIT ?"
)
_SERIES = (
    "SELECT rowid, SeriesInstanceUID, StudyInstanceUID, SeriesNumber, Modality, SeriesDescription, BodyPartExamined"
    " FROM Series WHERE rowid > ? ORDER BY rowid LIMIT ?"
)
# As texts, whatever they are: of these there are millions.
_IMAGE = (
    "coalesce(CAST(SOPInstanceUID AS TEXT), ''), coalesce(CAST(SeriesInstanceUID AS TEXT), ''), CAST(Filename AS TEXT)"
)
_IMAGES = f"SELECT rowid, {_IMAGE} FROM Images WHERE rowid > ? AND Filename <> '' ORDER BY rowid LIMIT ?"  # noqa: S608
_IMAGE_PAGE = (
    "SELECT i.rowid, coalesce(CAST(SOPInstanceUID AS TEXT), ''), CAST(i.SeriesInstanceUID AS TEXT),"
    " coalesce(CAST(Filename AS TEXT), ''), CAST(t.StudyInstanceUID AS TEXT)"
    " FROM Images i CROSS JOIN Series s USING (SeriesInstanceUID) CROSS JOIN Studies t USING (StudyInstanceUID)"
    " CROSS JOIN Patients p ON p.UID = t.PatientsUID"
    " WHERE i.rowid > ? AND Filename <> '' ORDER BY i.rowid LIMIT ?"
)
_PATIENTS_OF = (
    "SELECT DISTINCT p.rowid, UID, PatientID, PatientsName, PatientsBirthDate, PatientsSex"  # noqa: S608 - constants
    f" FROM Patients p JOIN Studies s ON s.PatientsUID = UID WHERE StudyInstanceUID IN {LIST}"
)
_STUDIES_OF = f"{_STUDIES.partition(' WHERE ')[0]} WHERE StudyInstanceUID IN {LIST}"
_SERIES_OF = f"{_SERIES.partition(' WHERE ')[0]} WHERE StudyInstanceUID IN {LIST}"
_IMAGES_OF = f"SELECT {_IMAGE} FROM Images WHERE Filename <> '' AND {{}} IN {LIST}"  # noqa: S608 - constants
_KNOWN = f"SELECT StudyInstanceUID FROM Studies WHERE StudyInstanceUID IN {LIST}"  # noqa: S608 - a constant
_TAGS = f"SELECT SOPInstanceUID, Tag, Value FROM TagCache WHERE SOPInstanceUID IN {LIST}"  # noqa: S608 - a constant


@dataclass(frozen=True)
class CtkPatient:
    """A row of Patients. ``patient_id`` is the Study Instance UID where the images have no Patient ID."""

    uid: int
    patient_id: str
    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True)
class CtkStudy:
    """A row of Studies; ``date`` is YYYYMMDD or empty."""

    study_uid: str
    patient_uid: int
    study_id: str
    date: str
    time: str
    description: str
    accession_number: str


@dataclass(frozen=True)
class CtkSeries:
    """A row of Series. CTK writes 0 for a missing number."""

    series_uid: str
    study_uid: str
    number: int | None
    modality: str
    description: str
    body_part: str


class CtkImage(NamedTuple):
    """A local row of Images; ``filename`` is as stored, see :meth:`.layout.DatabaseFolder.absolute`."""

    sop_uid: str
    series_uid: str
    filename: str


@dataclass(frozen=True)
class CtkContent:
    """All images that have a file, with their series, studies and patients, and no others."""

    patients: tuple[CtkPatient, ...]
    studies: tuple[CtkStudy, ...]
    series: tuple[CtkSeries, ...]
    images: tuple[CtkImage, ...]


def read_content(connection: sqlite3.Connection) -> CtkContent:
    """Read what is local. Rows without usable UIDs, and those known only from queries, are left out."""
    images = [CtkImage._make(row[1:]) for row in _pages(connection, _IMAGES)]
    wanted_series = {image.series_uid for image in images}
    series = [found for found in map(_series, _pages(connection, _SERIES)) if found.series_uid in wanted_series]
    wanted_studies = {found.study_uid for found in series}
    studies = [found for found in map(_study, _pages(connection, _STUDIES)) if found.study_uid in wanted_studies]
    wanted_patients = {study.patient_uid for study in studies}
    patients = [found for found in map(_patient, _pages(connection, _PATIENTS)) if found.uid in wanted_patients]
    return _connected(patients, studies, series, images)


def read_image_page(connection: sqlite3.Connection, after: int) -> tuple[list[CtkImage], int | None]:
    """Read some of the images of :func:`read_content`, and tell the row after which to go on; None if that was all.

    :param after: :data:`FIRST_ROW` to begin with.
    """
    rows = connection.execute(_IMAGE_PAGE, (after, _LINKED_PAGE)).fetchall()
    images = [CtkImage._make(row[1:4]) for row in rows if is_uid(row[1]) and is_uid(row[2]) and is_uid(row[4])]
    return images, rows[-1][0] if rows else None


def read_content_of(connection: sqlite3.Connection, study_uids: Iterable[str]) -> CtkContent:
    """Read what is local of studies, and of those whose UIDs stand for the patient IDs that they lack."""
    uids = set(study_uids)
    patients = {row[1]: _patient(row) for row in fetch_in(connection, _PATIENTS_OF, uids)}
    uids.update(row[0] for row in fetch_in(connection, _KNOWN, [one.patient_id for one in patients.values()]))
    series = {row[1]: _series(row) for row in fetch_in(connection, _SERIES_OF, uids)}
    images = [image for some in chunks(series, _FEW_SERIES) for image in read_images(connection, series_uids=some)]
    filled = {image.series_uid for image in images}
    studies = [_study(row) for row in fetch_in(connection, _STUDIES_OF, uids)]
    patients.update((row[1], _patient(row)) for row in fetch_in(connection, _PATIENTS_OF, uids))
    found = [one for one in series.values() if one.series_uid in filled]
    holders = {one.study_uid for one in found}
    return _connected(list(patients.values()), [one for one in studies if one.study_uid in holders], found, images)


def read_images(
    connection: sqlite3.Connection, *, sop_uids: Iterable[str] = (), series_uids: Iterable[str] = ()
) -> list[CtkImage]:
    """Read the local rows of single images, and those of series."""
    rows = fetch_in(connection, _IMAGES_OF.format("SOPInstanceUID"), sop_uids)
    rows += fetch_in(connection, _IMAGES_OF.format("SeriesInstanceUID"), series_uids)
    return list(map(CtkImage._make, rows))


def _connected(
    patients: list[CtkPatient], studies: list[CtkStudy], series: list[CtkSeries], images: list[CtkImage]
) -> CtkContent:
    """Drop what has no parent or no UID, from the top, so that every record leads up to a patient."""
    known_patients = {patient.uid for patient in patients}
    studies = [study for study in studies if is_uid(study.study_uid) and study.patient_uid in known_patients]
    known_studies = {study.study_uid for study in studies}
    series = [found for found in series if is_uid(found.series_uid) and found.study_uid in known_studies]
    known_series = {found.series_uid for found in series}
    images = [image for image in images if is_uid(image.sop_uid) and image.series_uid in known_series]
    return CtkContent(tuple(patients), tuple(studies), tuple(series), tuple(images))


def _pages(connection: sqlite3.Connection, statement: str) -> Iterator[tuple[Any, ...]]:
    last = FIRST_ROW
    while rows := connection.execute(statement, (last, _PAGE)).fetchall():
        yield from rows
        last = rows[-1][0]


def _patient(row: tuple[Any, ...]) -> CtkPatient:
    return CtkPatient(integer_of(row[1]) or 0, text_of(row[2]), text_of(row[3]), dicom_date(row[4]), text_of(row[5]))


def _study(row: tuple[Any, ...]) -> CtkStudy:
    _, uid, patient, study_id, day, time, description, accession = row
    return CtkStudy(
        text_of(uid),
        integer_of(patient) or 0,
        text_of(study_id),
        dicom_date(day),
        text_of(time),
        text_of(description),
        text_of(accession),
    )


def _series(row: tuple[Any, ...]) -> CtkSeries:
    _, uid, study, number, modality, description, body_part = row
    return CtkSeries(
        text_of(uid), text_of(study), integer_of(number), text_of(modality), text_of(description), text_of(body_part)
    )


def read_tags(
    connection: sqlite3.Connection, sop_uids: Iterable[str], tags: Iterable[str]
) -> dict[str, dict[str, str | None]]:
    """Read values of the tag cache: SOP Instance UID -> tag -> text, None if the instance lacks the element.

    What the cache does not know is left out.
    """
    wanted = frozenset(tags)
    found: dict[str, dict[str, str | None]] = {}
    for chunk in chunks(sop_uids, _PAGE // 50):
        for sop_uid, tag, value in fetch_in(connection, _TAGS, chunk):
            if tag in wanted:
                found.setdefault(sop_uid, {})[tag] = tag_text(value)
    return found
