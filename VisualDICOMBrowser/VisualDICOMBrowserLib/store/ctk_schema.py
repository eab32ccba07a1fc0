"""CTK's database schema 0.8.1, so that a folder made here opens in 3D Slicer without an upgrade.

CTK compares the version only, but other programs read the tables by name, and its table browser reads
``ColumnDisplayProperties``; all of it is therefore the same as in a database that CTK has made.
"""

from __future__ import annotations

import sqlite3

from .sqlite import transaction

SCHEMA_VERSION = "0.8.1"

_KEY, _NAMED = "VARCHAR(64) NOT NULL", "VARCHAR(255) NULL"

_TABLES: dict[str, dict[str, str]] = {
    "SchemaInfo": {"Version": "VARCHAR(1024) NOT NULL"},
    "Images": {
        "SOPInstanceUID": _KEY,
        "Filename": "VARCHAR(1024) NULL",
        "URL": "VARCHAR(2048) NULL",
        "SeriesInstanceUID": _KEY,
        "InsertTimestamp": "VARCHAR(20) NOT NULL",
        "DisplayedFieldsUpdatedTimestamp": "DATETIME NULL",
    },
    "Patients": {
        "UID": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "PatientsName": _NAMED,
        "PatientID": _NAMED,
        "PatientsBirthDate": "DATE NULL",
        "PatientsBirthTime": "TIME NULL",
        "PatientsSex": "VARCHAR(1) NULL",
        "PatientsAge": "VARCHAR(10) NULL",
        "PatientsComments": _NAMED,
        "InsertTimestamp": "VARCHAR(20) NOT NULL",
        "DisplayedPatientsName": _NAMED,
        "DisplayedNumberOfStudies": "INT NULL",
        "DisplayedLastStudyDate": "DATE NULL",
        "DisplayedFieldsUpdatedTimestamp": "DATETIME NULL",
        "Connections": "VARCHAR(2048) NULL",
    },
    "Studies": {
        "StudyInstanceUID": _KEY,
        "PatientsUID": "INT NOT NULL",
        "StudyID": _NAMED,
        "StudyDate": "DATE NULL",
        "StudyTime": "VARCHAR(20) NULL",
        "StudyDescription": _NAMED,
        "AccessionNumber": _NAMED,
        "ModalitiesInStudy": _NAMED,
        "InstitutionName": _NAMED,
        "ReferringPhysician": _NAMED,
        "PerformingPhysiciansName": _NAMED,
        "InsertTimestamp": "VARCHAR(20) NOT NULL",
        "DisplayedNumberOfSeries": "INT NULL",
        "DisplayedFieldsUpdatedTimestamp": "DATETIME NULL",
    },
    "Series": {
        "SeriesInstanceUID": _KEY,
        "StudyInstanceUID": _KEY,
        "SeriesNumber": "INT NULL",
        "SeriesDate": "DATE NULL",
        "SeriesTime": "VARCHAR(20) NULL",
        "SeriesDescription": _NAMED,
        "Modality": "VARCHAR(20) NULL",
        "BodyPartExamined": _NAMED,
        "FrameOfReferenceUID": "VARCHAR(64) NULL",
        "AcquisitionNumber": "INT NULL",
        "ContrastAgent": _NAMED,
        "ScanningSequence": "VARCHAR(45) NULL",
        "EchoNumber": "INT NULL",
        "TemporalPosition": "INT NULL",
        "InsertTimestamp": "VARCHAR(20) NOT NULL",
        "DisplayedCount": "INT NULL",
        "DisplayedSize": "VARCHAR(20) NULL",
        "DisplayedNumberOfFrames": "INT NULL",
        "DisplayedFieldsUpdatedTimestamp": "DATETIME NULL",
    },
    "Directories": {"Dirname": "VARCHAR(1024)"},
    "ColumnDisplayProperties": {
        "TableName": _KEY,
        "FieldName": _KEY,
        "DisplayedName": _NAMED,
        "Visibility": "INT NULL DEFAULT 1",
        "Weight": "INT NULL",
        "Format": _NAMED,
    },
    "DisplayedFieldGeneratorRules": {"Name": _KEY, "Enabled": "INT NULL DEFAULT 1", "Options": _NAMED},
}

_PRIMARY_KEYS = {
    "Images": ("SOPInstanceUID",),
    "Studies": ("StudyInstanceUID",),
    "Series": ("SeriesInstanceUID",),
    "Directories": ("Dirname",),
    "ColumnDisplayProperties": ("TableName", "FieldName"),
    "DisplayedFieldGeneratorRules": ("Name",),
}

_INDEXES = (
    ("ImagesFilenameIndex", "Images", "Filename"),
    ("ImagesSeriesIndex", "Images", "SeriesInstanceUID"),
    ("SeriesStudyIndex", "Series", "StudyInstanceUID"),
    ("StudiesPatientIndex", "Studies", "PatientsUID"),
)

_FIT, _STRETCH = '{"resizeMode":"resizeToContents"}', '{"resizeMode":"stretch"}'
_FIT_ASCENDING = '{"resizeMode":"resizeToContents", "sort": "ascending"}'

# Column: title, place among the visible ones (0: hidden), format.
_DISPLAY: dict[str, dict[str, tuple[str, int, str]]] = {
    "Patients": {
        "UID": ("", 0, ""),
        "PatientsName": ("Patient name", 0, ""),
        "PatientID": ("Patient ID", 2, ""),
        "PatientsBirthDate": ("Birth date", 3, _FIT),
        "PatientsBirthTime": ("Birth time", 0, ""),
        "PatientsSex": ("Sex", 4, _FIT),
        "PatientsAge": ("Age", 0, ""),
        "PatientsComments": ("Comments", 0, ""),
        "InsertTimestamp": ("Date added", 7, '{"sort": "descending"}'),
        "DisplayedPatientsName": ("Patient name", 1, _STRETCH),
        "DisplayedNumberOfStudies": ("Studies", 5, _FIT),
        "DisplayedLastStudyDate": ("Last study date", 6, ""),
        "DisplayedFieldsUpdatedTimestamp": ("", 0, ""),
        "Connections": ("", 0, ""),
    },
    "Studies": {
        "StudyInstanceUID": ("", 0, ""),
        "PatientsUID": ("", 0, ""),
        "StudyID": ("Study ID", 2, ""),
        "StudyDate": ("Study date", 1, _FIT_ASCENDING),
        "StudyTime": ("Study time", 0, ""),
        "StudyDescription": ("Study description", 3, _STRETCH),
        "AccessionNumber": ("Accession #", 0, ""),
        "ModalitiesInStudy": ("Modalities", 0, ""),
        "InstitutionName": ("Institution", 0, ""),
        "ReferringPhysician": ("Referring physician", 0, ""),
        "PerformingPhysiciansName": ("Performing physician", 0, ""),
        "InsertTimestamp": ("Date added", 5, ""),
        "DisplayedNumberOfSeries": ("Series", 4, _FIT),
        "DisplayedFieldsUpdatedTimestamp": ("", 0, ""),
    },
    "Series": {
        "SeriesInstanceUID": ("", 0, ""),
        "StudyInstanceUID": ("", 0, ""),
        "SeriesNumber": ("Series #", 1, _FIT_ASCENDING),
        "SeriesDate": ("Series date", 0, ""),
        "SeriesTime": ("Series time", 0, ""),
        "SeriesDescription": ("Series description", 2, _STRETCH),
        "Modality": ("Modality", 3, _FIT),
        "BodyPartExamined": ("Body part", 0, ""),
        "FrameOfReferenceUID": ("", 0, ""),
        "AcquisitionNumber": ("Acquisition #", 0, ""),
        "ContrastAgent": ("Contrast agent", 0, ""),
        "ScanningSequence": ("Scanning sequence", 0, ""),
        "EchoNumber": ("Echo #", 0, ""),
        "TemporalPosition": ("Temporal position", 0, ""),
        "InsertTimestamp": ("Date added", 6, ""),
        "DisplayedSize": ("Size", 4, _FIT),
        "DisplayedCount": ("Count", 5, _FIT),
        "DisplayedNumberOfFrames": ("Number of frames", 0, ""),
        "DisplayedFieldsUpdatedTimestamp": ("", 0, ""),
    },
}

_TAG_CACHE = "CREATE TABLE IF NOT EXISTS TagCache (SOPInstanceUID, Tag, Value, PRIMARY KEY (SOPInstanceUID, Tag))"


def create_main(connection: sqlite3.Connection) -> None:
    """Make the tables of ``ctkDICOM.sql`` in an empty database."""
    with transaction(connection):
        for table, columns in _TABLES.items():
            connection.execute(_create_table(table, columns))
        for name, table, column in _INDEXES:
            connection.execute(f"CREATE INDEX '{name}' ON '{table}' ('{column}')")
        connection.executemany("INSERT INTO ColumnDisplayProperties VALUES (?, ?, ?, ?, ?, ?)", _display_rows())
        connection.execute("INSERT INTO SchemaInfo VALUES (?)", (SCHEMA_VERSION,))


def create_tag_cache(connection: sqlite3.Connection) -> None:
    """Make the table of ``ctkDICOMTagCache.sql`` unless it is there."""
    connection.execute(_TAG_CACHE)


def _create_table(table: str, columns: dict[str, str]) -> str:
    parts = [f"'{name}' {kind}" for name, kind in columns.items()]
    if table in _PRIMARY_KEYS:
        parts.append("PRIMARY KEY (" + ", ".join(f"'{name}'" for name in _PRIMARY_KEYS[table]) + ")")
    return f"CREATE TABLE '{table}' ({', '.join(parts)})"


def _display_rows() -> list[tuple[str, str, str, int, int, str]]:
    return [
        (table, column, title, int(place > 0), place, style)
        for table, columns in _DISPLAY.items()
        for column, (title, place, style) in columns.items()
    ]
