"""Between headers and the rows of CTK's tables: how CTK writes values, and how it displays them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

from .headers import Header

TAG_NOT_IN_INSTANCE = "__TAG_NOT_IN_INSTANCE__"
VALUE_IS_EMPTY_STRING = "__VALUE_IS_EMPTY_STRING__"
VALUE_IS_NOT_STORED = "__VALUE_IS_NOT_STORED__"

#: The patient may be queried on no server in particular: what CTK writes for imported files.
_IMPORTED = '{"allow":[""],"deny":[]}'


@dataclass(frozen=True)
class StoredInstance:
    """An instance whose file is in place.

    :ivar path: the file, in the database folder or linked.
    """

    header: Header
    path: Path


def insert_timestamp() -> str:
    """Return the local time as CTK's InsertTimestamp has it."""
    return datetime.now().isoformat(timespec="milliseconds")


def display_timestamp() -> str:
    """Return the time as SQLite's CURRENT_TIMESTAMP, UTC."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def patient_key(header: Header) -> tuple[str, str]:
    """Return Patient ID and name as CTK stores them: without ID the study's UID, without name the ID."""
    patient_id = header.patient_id or header.study_uid
    return patient_id, header.patient_name or patient_id


def patient_row(header: Header) -> dict[str, Any]:
    """Return a row of Patients without its key and its counts."""
    patient_id, name = patient_key(header)
    return {
        "PatientsName": name,
        "PatientID": patient_id,
        "PatientsBirthDate": iso_date(header.birth_date),
        "PatientsBirthTime": header.text("0010,0032") or None,
        "PatientsSex": header.sex or None,
        "PatientsAge": header.text("0010,1010") or None,
        "PatientsComments": header.text("0010,4000") or None,
        "InsertTimestamp": insert_timestamp(),
        "DisplayedPatientsName": displayed_name(name),
        "Connections": _IMPORTED,
    }


def study_row(header: Header, patient: int) -> dict[str, Any]:
    """Return a row of Studies without its counts."""
    return {
        "StudyInstanceUID": header.study_uid,
        "PatientsUID": patient,
        "StudyID": header.study_id or None,
        "StudyDate": header.study_date or None,
        "StudyTime": header.study_time or None,
        "StudyDescription": header.study_description or None,
        "AccessionNumber": header.accession_number or None,
        "ModalitiesInStudy": header.text("0008,0061") or None,
        "InstitutionName": header.text("0008,0080") or None,
        "ReferringPhysician": header.text("0008,0090") or None,
        "PerformingPhysiciansName": header.text("0008,1050") or None,
        "InsertTimestamp": insert_timestamp(),
    }


def series_row(header: Header) -> dict[str, Any]:
    """Return a row of Series without its counts. Missing integers are 0, as CTK has them."""
    return {
        "SeriesInstanceUID": header.series_uid,
        "StudyInstanceUID": header.study_uid,
        "SeriesNumber": header.series_number or 0,
        "SeriesDate": iso_date(header.date("0008,0021")),
        "SeriesTime": header.text("0008,0031") or None,
        "SeriesDescription": header.series_description or None,
        "Modality": header.modality or None,
        "BodyPartExamined": header.body_part or None,
        "FrameOfReferenceUID": header.text("0020,0052") or None,
        "AcquisitionNumber": header.integer("0020,0012") or 0,
        "ContrastAgent": header.text("0018,0010") or None,
        "ScanningSequence": header.text("0018,0020") or None,
        "EchoNumber": header.integer("0018,0086") or 0,
        "TemporalPosition": header.integer("0020,0100") or 0,
        "InsertTimestamp": insert_timestamp(),
        "DisplayedSize": displayed_size(header),
    }


def displayed_size(header: Header) -> str | None:
    """Return ``columns x rows`` as CTK writes it, ``512x512``."""
    rows, columns = header.rows, header.columns
    return None if rows is None or columns is None else f"{columns}x{rows}"


def displayed_name(name: str) -> str:
    """Return a DICOM name as ``Family, Given Middle, Suffix (Prefix)``, from its first group that is not empty."""
    group = next((group for group in name.split("=") if group.strip("^ ")), "")
    family, given, middle, prefix, suffix = ([part.strip() for part in group.split("^")] + [""] * 5)[:5]
    first_names = " ".join(filter(None, (given, middle)))
    text = ", ".join(filter(None, (family, first_names, suffix)))
    return f"{text} ({prefix})" if prefix else text


def tag_value(text: str | None) -> str:
    """Return how the tag cache holds a value."""
    if text is None:
        return TAG_NOT_IN_INSTANCE
    return text or VALUE_IS_EMPTY_STRING


def tag_text(stored: object) -> str | None:
    """Return the value that the tag cache holds, None if the instance lacks it or it was not kept."""
    if stored in (TAG_NOT_IN_INSTANCE, VALUE_IS_NOT_STORED, None):
        return None
    return "" if stored == VALUE_IS_EMPTY_STRING else str(stored)


def tag_rows(header: Header) -> list[tuple[str, str, str]]:
    """Return the rows of the tag cache for an instance."""
    return [(header.sop_uid, tag, tag_value(text)) for tag, text in header.tags.items()]


def iso_date(digits: str) -> str | None:
    """Return YYYYMMDD as YYYY-MM-DD, None unless it is a day of the calendar."""
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).isoformat()
    except ValueError:
        return None


def dicom_date(stored: object) -> str:
    """Return a date of the database as YYYYMMDD, or empty. CTK leaves texts with and without dashes, and integers."""
    digits = "" if stored is None else str(stored).replace("-", "")
    return digits if len(digits) == 8 and digits.isdecimal() and digits.isascii() else ""


def text_of(stored: object) -> str:
    """Return a column's value as text, empty for NULL."""
    if stored is None:
        return ""
    return stored.decode("utf-8", "replace") if isinstance(stored, bytes) else str(stored)


def integer_of(stored: object) -> int | None:
    """Return a column's value as an integer, None if it is none."""
    return stored if isinstance(stored, int) else None


def compatible_patient(rows: list[tuple[Any, ...]], birth_date: str) -> int | None:
    """Choose among rows ``(UID, PatientsBirthDate)`` of the same ID and name: same birth date first, then none said."""
    dates: Mapping[int, str] = {uid: dicom_date(stored) for uid, stored in rows}
    for wanted in (birth_date, ""):
        for uid, known in dates.items():
            if known == wanted:
                return uid
    return next(iter(dates)) if dates and not birth_date else None
