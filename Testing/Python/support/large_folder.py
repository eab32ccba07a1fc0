"""Makes a database folder as large as a hospital's, for measuring: rows without files, straight into CTK's tables."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import md5
from itertools import islice
from pathlib import Path
from typing import Any

from VisualDICOMBrowserLib.store import ctk_schema
from VisualDICOMBrowserLib.store.ctk_rows import displayed_name
from VisualDICOMBrowserLib.store.layout import DatabaseFolder

SERVERS = ("Archive", "Clinic")
STUDIES_EACH, SERIES_EACH = 2, 5
#: Instances in the tag cache.
CACHED = 10_000
_TAGS = ("0008,0016", "0020,0013", "0008,0018", "0010,0010", "0010,0020", "0020,000D", "0020,000E", "0028,0010")
_SYLLABLES = "an bar cor da el fi gor hen il jo ka lund mer nov os pe rich sen tar ull vik wen yor zim".split()  # noqa: SIM905
_MODALITIES = ("CT", "CT", "MR", "MR", "US", "DX", "PT", "XA")
_REGIONS = ("Abdomen", "Head", "Knee", "Spine", "Thorax")
_ADDED = "2026-01-01T12:00:00.000"
# Every third study is on the first server too, and every sixth on both.
_STUDIES_THERE = (
    "INSERT INTO study_servers SELECT study_uid, ?, 5, 50, json_array(patient_id, name, p.birth_date, sex, issuer)"
    " FROM studies t JOIN patients p ON p.id = t.patient WHERE t.day % ? = 0"
)
_SERIES_THERE = (
    "INSERT INTO series_servers SELECT series_uid, ?, 10 FROM series s JOIN studies t USING (study_uid)"
    " WHERE t.day % ? = 0"
)


@dataclass(frozen=True)
class Size:
    """So many of each."""

    patients: int
    instances_each: int = 10

    @property
    def studies(self) -> int:
        """Studies in all."""
        return self.patients * STUDIES_EACH

    @property
    def series(self) -> int:
        """Series in all."""
        return self.studies * SERIES_EACH

    @property
    def instances(self) -> int:
        """Instances in all."""
        return self.series * self.instances_each


@dataclass(frozen=True)
class Person:
    """A made-up person; the same number makes the same one."""

    number: int
    name: str
    birth_date: str

    @property
    def patient_id(self) -> str:
        """The patient ID."""
        return f"{self.number:07}"

    @classmethod
    def made(cls, number: int) -> Person:
        """Return the person of a number."""
        chance = random.Random(number)
        family, given = ("".join(chance.choices(_SYLLABLES, k=chance.randint(2, 3))).title() for _ in range(2))
        return cls(number, f"{family}^{given}", f"{chance.randint(1930, 2015)}-{chance.randint(1, 12):02}-15")


def study_uid(number: int) -> str:
    """Return the UID of a study: as scattered as real ones."""
    return f"1.2.826.0.1.3680043.8.498.{int(md5(str(number).encode(), usedforsecurity=False).hexdigest()[:24], 16)}"


def accession_number(number: int) -> str:
    """Return the accession number of a study."""
    return f"A{number:08}"


def make(root: Path, size: Size) -> DatabaseFolder:
    """Make ``ctkDICOM.sql`` and the tag cache of a folder. Half a minute for two million instances."""
    folder = DatabaseFolder(root)
    root.mkdir(parents=True)
    with closing(_empty(folder.ctk_database)) as db:
        ctk_schema.create_main(db)
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO Patients (UID, PatientID, PatientsName, PatientsBirthDate, PatientsSex, DisplayedPatientsName,"
            " InsertTimestamp) VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((p.number, p.patient_id, p.name, p.birth_date, "FMO"[p.number % 3], displayed_name(p.name), _ADDED)
             for p in map(Person.made, range(1, size.patients + 1))),
        )  # fmt: skip
        db.executemany(
            "INSERT INTO Studies (StudyInstanceUID, PatientsUID, StudyID, StudyDate, StudyTime, StudyDescription,"
            " AccessionNumber, InsertTimestamp) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (_study_row(number, size) for number in range(size.studies)),
        )
        db.executemany(
            "INSERT INTO Series (SeriesInstanceUID, StudyInstanceUID, SeriesNumber, SeriesDescription, Modality,"
            " InsertTimestamp) VALUES (?, ?, ?, ?, ?, ?)",
            (_series_row(number, at) for number in range(size.studies) for at in range(SERIES_EACH)),
        )
        db.executemany(
            "INSERT INTO Images (SOPInstanceUID, SeriesInstanceUID, Filename, URL, InsertTimestamp)"
            f" VALUES (?, ?, ?, '', '{_ADDED}')",
            _image_rows(size),
        )
        db.execute("COMMIT")
    with closing(_empty(folder.ctk_tag_cache)) as db:
        ctk_schema.create_tag_cache(db)
        db.execute("BEGIN")
        cached = [(uid, tag, "1") for uid, *_ in islice(_image_rows(size), CACHED) for tag in _TAGS]
        db.executemany("INSERT INTO TagCache VALUES (?, ?, ?)", cached)
        db.execute("COMMIT")
    return folder


def add_servers(folder: DatabaseFolder) -> None:
    """Have servers know some of the studies of a mirrored folder, that nobody has open."""
    with closing(sqlite3.connect(folder.catalogue)) as db, db:
        for server, share in zip(SERVERS, (3, 6), strict=True):
            for statement in (_STUDIES_THERE, _SERIES_THERE):
                db.execute(statement, (server, share))


def _empty(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    return connection


def _study_row(number: int, size: Size) -> tuple[Any, ...]:
    chance = random.Random(-number - 1)
    day = f"{chance.randint(2000, 2025)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
    description = f"{chance.choice(_REGIONS)} {number % 7}"
    patient = number % size.patients + 1
    return study_uid(number), patient, str(number), day, "120000", description, accession_number(number), _ADDED


def _series_row(number: int, at: int) -> tuple[Any, ...]:
    uid, modality = study_uid(number), _MODALITIES[(number + at // 4) % len(_MODALITIES)]
    return f"{uid}.{at + 1}", uid, at + 1, f"Series {at}", modality, _ADDED


def _image_rows(size: Size) -> Iterator[tuple[str, str, str]]:
    for number in range(size.studies):
        study = study_uid(number)
        for at in range(1, SERIES_EACH + 1):
            series = f"{study}.{at}"
            folder = f"dicom/{_hash(study)[:8]}/{_hash(series)[:8]}"
            for instance in range(1, size.instances_each + 1):
                uid = f"{series}.{instance}"
                yield uid, series, f"{folder}/{_hash(uid)}.dcm"


def _hash(uid: str) -> str:
    return md5(uid.encode(), usedforsecurity=False).hexdigest()
