"""The catalogue: everything known, local and remote, in one SQLite file beside CTK's database.

Local content is mirrored from ``ctkDICOM.sql`` and can be mirrored again at any time; remote knowledge lives
here alone and never goes there. One connection, guarded by a lock; statements are short.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError
from ..domain.model import Instance, Level, Patient, Series, Study
from ..domain.people import same_person
from . import catalogue_schema
from .sqlite import LIST, connect, fetch_in, storage_errors, transaction

_SEPARATOR = "\\"


@dataclass(frozen=True)
class LocalInstance:
    """An instance whose file is on this computer, with all that leads up to it.

    :ivar file: stored name, see :meth:`.layout.DatabaseFolder.absolute`.
    """

    study: Study
    series: Series
    instance: Instance
    file: str


@dataclass(frozen=True)
class LocalFile:
    """Where the file of a local instance lies."""

    instance: Instance
    file: str


class Catalogue:
    """Reads and writes the catalogue; made by :meth:`open`.

    :ivar writable: False if another engine writes it.

    All methods raise :class:`~..domain.errors.StorageError` when the disk is in the way.
    """

    def __init__(self, connection: sqlite3.Connection, *, writable: bool = True) -> None:
        self._connection = connection
        self.writable = writable
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Catalogue:
        """Open the catalogue of a folder, or make it. A damaged one, or one of another version, is made anew.

        Read-only, a missing or unsuitable catalogue is replaced by an empty one in memory.
        """
        if read_only:
            connection = _open_to_read(path)
            return cls(_prepared(_in_memory())) if connection is None else cls(connection, writable=False)
        try:
            connection = connect(path)
            if _version(connection) in (None, catalogue_schema.VERSION):
                return cls(_prepared(connection))
            connection.close()
        except StorageError:
            if not path.exists() or path.stat().st_size == 0:
                raise
        _set_aside(path)
        return cls(_prepared(connect(path)))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # Both kinds of knowledge

    def note_found(
        self,
        server: str,
        studies: Iterable[Study] = (),
        series: Iterable[Series] = (),
        instances: Iterable[Instance] = (),
    ) -> None:
        """Remember what a server has. Local knowledge is never changed by it."""
        with self._writing() as db:
            for study in studies:
                self._add_study(db, study, overwrite=False)
                db.execute(
                    "INSERT OR REPLACE INTO study_servers VALUES (?, ?, ?, ?)",
                    (study.study_uid, server, study.series_count, study.instance_count),
                )
            for found in series:
                _add_series(db, found)
                db.execute(
                    "INSERT OR REPLACE INTO series_servers VALUES (?, ?, ?)",
                    (found.series_uid, server, found.instance_count),
                )
            db.executemany(_ADD_INSTANCE, [_instance_row(i, None) for i in instances])

    def add_local(self, items: Sequence[LocalInstance]) -> None:
        """Note instances that are local now; first the mirror of the rows, then their intents are settled."""
        with self._writing() as db:
            self._add_local(db, items)
            _clear_intents(db, (item.instance.sop_uid for item in items), "receive")

    def replace_local(self, items: Sequence[LocalInstance], stamp: str) -> None:
        """Mirror the local content anew: what is not in ``items`` is not local."""
        with self._writing() as db:
            db.execute("UPDATE instances SET file = NULL WHERE file IS NOT NULL")
            self._add_local(db, items)
            _drop_unknown(db)
            _set_meta(db, "ctk_stamp", stamp)

    def remove_local(self, sop_uids: Sequence[str]) -> None:
        """Forget that instances are local, and whatever nobody else has; settles their removal intents."""
        with self._writing() as db:
            fetch_in(db, f"UPDATE instances SET file = NULL WHERE sop_uid IN {LIST}", sop_uids)  # noqa: S608
            _drop_unknown(db)
            _clear_intents(db, sop_uids, "remove")

    @property
    def ctk_stamp(self) -> str:
        """The state of ``ctkDICOM.sql`` that was mirrored last."""
        return self._meta("ctk_stamp")

    @ctk_stamp.setter
    def ctk_stamp(self, stamp: str) -> None:
        with self._writing() as db:
            _set_meta(db, "ctk_stamp", stamp)

    # Intents

    def add_intents(self, kind: str, rows: Iterable[tuple[str, str, str]]) -> None:
        """Write down work on files before it begins: (SOP Instance UID, stored name, where from)."""
        with self._writing() as db:
            db.executemany(
                "INSERT OR REPLACE INTO intents (sop_uid, kind, file, source) VALUES (?, ?, ?, ?)",
                [(sop_uid, kind, file, source) for sop_uid, file, source in rows],
            )

    def clear_intents(self, kind: str, sop_uids: Iterable[str]) -> None:
        """Strike off work that is done or undone."""
        with self._writing() as db:
            _clear_intents(db, sop_uids, kind)

    def intents(self, kind: str) -> list[tuple[str, str]]:
        """Return open work: (SOP Instance UID, stored name)."""
        return [(r[0], r[1]) for r in self._rows("SELECT sop_uid, file FROM intents WHERE kind = ?", (kind,))]

    # Looking things up

    def local_files(self, level: Level, uids: Iterable[str]) -> list[LocalFile]:
        """Return the local instances of patients (by patient ID), studies, series or instances."""
        column = _COLUMN[level]
        statement = (
            "SELECT i.sop_uid, i.series_uid, s.study_uid, i.number, i.sop_class, i.file FROM instances i"  # noqa: S608
            " JOIN series s USING (series_uid) JOIN studies t USING (study_uid) JOIN patients p ON p.id = t.patient"
            f" WHERE {column} IN {LIST} AND i.file IS NOT NULL ORDER BY i.series_uid, i.number, i.sop_uid"
        )
        with self._lock, storage_errors():
            rows = fetch_in(self._connection, statement, uids)
        return [LocalFile(Instance(r[0], r[1], r[2], r[3], r[4]), r[5]) for r in rows]

    def local_counts(self, series_uids: Iterable[str]) -> dict[str, int]:
        """Return how many instances of each series are local; series without any are left out."""
        statement = (
            f"SELECT series_uid, count(*) FROM instances WHERE series_uid IN {LIST} AND file IS NOT NULL"  # noqa: S608
            " GROUP BY series_uid"
        )
        with self._lock, storage_errors():
            return {r[0]: r[1] for r in fetch_in(self._connection, statement, series_uids)}

    def local_studies(self) -> Iterator[Study]:
        """Return the studies with anything local, each with its patient and the modalities that are here."""
        rows = self._rows(
            "SELECT t.study_uid, t.date, t.time, t.description, t.accession_number, t.study_id,"
            r" replace(group_concat(DISTINCT s.modality), ',', '\'), t.sop_classes,"
            " p.patient_id, p.name, p.birth_date, p.sex, p.issuer"
            " FROM studies t JOIN patients p ON p.id = t.patient JOIN series s USING (study_uid)"
            " WHERE EXISTS (SELECT 1 FROM instances i WHERE i.series_uid = s.series_uid AND i.file IS NOT NULL)"
            " GROUP BY t.study_uid"
        )
        yield from map(_study, rows)

    def local_series(self, study_uids: Iterable[str]) -> list[Series]:
        """Return the series of studies that have anything local; ``instance_count`` is what is local."""
        statement = (
            "SELECT s.series_uid, s.study_uid, s.number, s.modality, s.description, s.body_part, count(*)"  # noqa: S608
            " FROM series s JOIN instances i USING (series_uid)"
            f" WHERE s.study_uid IN {LIST} AND i.file IS NOT NULL GROUP BY s.series_uid"
        )
        with self._lock, storage_errors():
            return [Series(*row) for row in fetch_in(self._connection, statement, study_uids)]

    def local_totals(self) -> tuple[int, int, int, int]:
        """Return how many patients, studies, series and instances are local."""
        rows = self._rows(
            "SELECT count(DISTINCT t.patient), count(DISTINCT t.study_uid), count(DISTINCT s.series_uid), count(*)"
            " FROM instances i JOIN series s USING (series_uid) JOIN studies t USING (study_uid)"
            " WHERE i.file IS NOT NULL"
        )
        patients, studies, series, instances = rows[0]
        return patients, studies, series, instances

    def parents(self, level: Level, uid: str) -> tuple[str, str] | None:
        """Return study and series UID of a known series or instance (the series UID is ``uid`` for a series)."""
        if level is Level.SERIES:
            rows = self._rows("SELECT study_uid, series_uid FROM series WHERE series_uid = ?", (uid,))
        else:
            rows = self._rows(
                "SELECT s.study_uid, s.series_uid FROM instances i JOIN series s USING (series_uid)"
                " WHERE i.sop_uid = ?",
                (uid,),
            )
        return (rows[0][0], rows[0][1]) if rows else None

    def find_series(self, series_uid: str) -> tuple[Study, Series] | None:
        """Return a known series with its study, local or not."""
        rows = self._rows(
            "SELECT t.study_uid, t.date, t.time, t.description, t.accession_number, t.study_id, t.modalities,"
            " t.sop_classes, p.patient_id, p.name, p.birth_date, p.sex, p.issuer,"
            " s.series_uid, s.study_uid, s.number, s.modality, s.description, s.body_part"
            " FROM series s JOIN studies t USING (study_uid) JOIN patients p ON p.id = t.patient"
            " WHERE s.series_uid = ?",
            (series_uid,),
        )
        return (_study(rows[0][:13]), Series(*rows[0][13:])) if rows else None

    def servers_of_series(self, series_uid: str) -> list[str]:
        """Return the names of the servers that said they have a series."""
        return [r[0] for r in self._rows("SELECT server FROM series_servers WHERE series_uid = ?", (series_uid,))]

    # Jobs

    def save_job(self, job_id: str, state: str, created: float, record: str) -> None:
        """Insert or replace a job of the persistent queue; ``record`` is its JSON text."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?)", (job_id, state, created, record))

    def delete_job(self, job_id: str) -> None:
        """Remove a job from the persistent queue."""
        with self._writing() as db:
            db.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,))

    def jobs(self) -> list[str]:
        """Return the JSON texts of all jobs in the persistent queue, oldest first."""
        return [r[0] for r in self._rows("SELECT record FROM jobs ORDER BY created")]

    # Thumbnails

    def set_thumbnail(self, series_uid: str, sop_uid: str, file: str, placeholder: bool, reason: str) -> None:
        """Note the thumbnail that stands for a series."""
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?, ?)",
                (series_uid, sop_uid, file, int(placeholder), reason),
            )

    def thumbnail(self, series_uid: str) -> tuple[str, str, bool, str] | None:
        """Return (SOP Instance UID, stored name, placeholder, reason) of a series' thumbnail."""
        rows = self._rows(
            "SELECT sop_uid, file, placeholder, reason FROM thumbnails WHERE series_uid = ?", (series_uid,)
        )
        return (rows[0][0], rows[0][1], bool(rows[0][2]), rows[0][3]) if rows else None

    # Used by the modules beside this one

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, storage_errors(), transaction(self._connection):
            yield self._connection

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock, storage_errors():
            return self._connection.execute(statement, tuple(values)).fetchall()

    def _meta(self, key: str) -> str:
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""

    def _add_local(self, db: sqlite3.Connection, items: Sequence[LocalInstance]) -> None:
        for study in {item.study.study_uid: item.study for item in items}.values():
            self._add_study(db, study, overwrite=True)
        for series in {item.series.series_uid: item.series for item in items}.values():
            _add_series(db, series)
        db.executemany(_ADD_INSTANCE, [_instance_row(item.instance, item.file) for item in items])

    def _add_study(self, db: sqlite3.Connection, study: Study, *, overwrite: bool) -> None:
        patient = _patient_of(db, study) or _patient_row(db, study.patient)
        verb = "REPLACE" if overwrite else "IGNORE"
        db.execute(
            f"INSERT OR {verb} INTO studies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - one of two constants
            (
                study.study_uid,
                patient,
                study.date,
                study.time,
                study.description,
                study.accession_number,
                study.study_id,
                _SEPARATOR.join(study.modalities),
                _SEPARATOR.join(study.sop_classes),
            ),
        )


_COLUMN = {
    Level.PATIENT: "p.patient_id",
    Level.STUDY: "t.study_uid",
    Level.SERIES: "i.series_uid",
    Level.IMAGE: "i.sop_uid",
}

# A query must never make a local file forgotten: what is known already is only completed.
_ADD_INSTANCE = (
    "INSERT INTO instances (sop_uid, series_uid, number, sop_class, file) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (sop_uid) DO UPDATE SET file = coalesce(excluded.file, file),"
    " sop_class = CASE WHEN sop_class = '' THEN excluded.sop_class ELSE sop_class END,"
    " number = coalesce(number, excluded.number)"
)


def _instance_row(instance: Instance, file: str | None) -> tuple[str, str, int | None, str, str | None]:
    return (instance.sop_uid, instance.series_uid, instance.number, instance.sop_class, file)


def _add_series(db: sqlite3.Connection, series: Series) -> None:
    db.execute(
        "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (series_uid) DO UPDATE SET"
        " number = coalesce(number, excluded.number),"
        " modality = CASE WHEN modality = '' THEN excluded.modality ELSE modality END,"
        " description = CASE WHEN description = '' THEN excluded.description ELSE description END,"
        " body_part = CASE WHEN body_part = '' THEN excluded.body_part ELSE body_part END",
        (series.series_uid, series.study_uid, series.number, series.modality, series.description, series.body_part),
    )


def _patient_of(db: sqlite3.Connection, study: Study) -> int | None:
    """Return the row of a known study's patient if it says the same; who has no ID would else get a row each time."""
    rows = db.execute(
        "SELECT p.id, p.patient_id, p.name, p.birth_date, p.sex, p.issuer FROM studies t"
        " JOIN patients p ON p.id = t.patient WHERE t.study_uid = ?",
        (study.study_uid,),
    ).fetchall()
    return int(rows[0][0]) if rows and rows[0][1:] == _values(study.patient) else None


def _patient_row(db: sqlite3.Connection, patient: Patient) -> int:
    """Return the row of a person, made or completed if need be."""
    rows = db.execute(
        "SELECT id, patient_id, name, birth_date, sex, issuer FROM patients WHERE patient_id = ?",
        (patient.patient_id,),
    ).fetchall()
    for row_id, *values in rows:
        known = Patient(*values)
        if same_person(known, patient):
            merged = [old or new for old, new in zip(values, _values(patient), strict=True)]
            if merged != values:
                db.execute(
                    "UPDATE patients SET patient_id = ?, name = ?, birth_date = ?, sex = ?, issuer = ? WHERE id = ?",
                    (*merged, row_id),
                )
            return int(row_id)
    cursor = db.execute(
        "INSERT INTO patients (patient_id, name, birth_date, sex, issuer) VALUES (?, ?, ?, ?, ?)", _values(patient)
    )
    return int(cursor.lastrowid or 0)


def _values(patient: Patient) -> tuple[str, str, str, str, str]:
    return (patient.patient_id, patient.name, patient.birth_date, patient.sex, patient.issuer)


def _drop_unknown(db: sqlite3.Connection) -> None:
    """Forget what is neither local nor on a server; names must not linger after a removal."""
    db.execute("DELETE FROM instances WHERE file IS NULL AND series_uid NOT IN (SELECT series_uid FROM series_servers)")
    db.execute(
        "DELETE FROM series WHERE series_uid NOT IN (SELECT series_uid FROM instances)"
        " AND series_uid NOT IN (SELECT series_uid FROM series_servers)"
    )
    db.execute(
        "DELETE FROM studies WHERE study_uid NOT IN (SELECT study_uid FROM series)"
        " AND study_uid NOT IN (SELECT study_uid FROM study_servers)"
    )
    db.execute("DELETE FROM patients WHERE id NOT IN (SELECT patient FROM studies)")
    db.execute("DELETE FROM thumbnails WHERE series_uid NOT IN (SELECT series_uid FROM series)")


def _clear_intents(db: sqlite3.Connection, sop_uids: Iterable[str], kind: str) -> None:
    db.executemany("DELETE FROM intents WHERE sop_uid = ? AND kind = ?", [(uid, kind) for uid in sop_uids])


def _set_meta(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _study(row: Sequence[Any]) -> Study:
    uid, date, time, description, accession, study_id, modalities, classes, *patient = row
    return Study(
        study_uid=uid,
        patient=Patient(*patient),
        date=date,
        time=time,
        description=description,
        accession_number=accession,
        study_id=study_id,
        modalities=_split(modalities or ""),
        sop_classes=_split(classes),
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(_SEPARATOR) if part)


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    with storage_errors():
        # Not on a network share, perhaps: then SQLite answers with the mode it keeps, which is as good, only slower.
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")
        if _version(connection) is None:
            connection.executescript(f"BEGIN; {catalogue_schema.TABLES} COMMIT;")
            _set_meta(connection, "version", catalogue_schema.VERSION)
    return connection


def _version(connection: sqlite3.Connection) -> str | None:
    """Return the version of the tables, None if there are none."""
    with storage_errors():
        if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
            return None
        try:
            rows = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchall()
        except sqlite3.OperationalError:
            return ""
        return str(rows[0][0]) if rows else ""


def _open_to_read(path: Path) -> sqlite3.Connection | None:
    """Open a catalogue that somebody else writes; None if there is none that can be read."""
    if not path.is_file():
        return None
    try:
        connection = connect(path, read_only=True)
        if _version(connection) == catalogue_schema.VERSION:
            return connection
    except StorageError:
        return None  # damaged, or its log cannot be replayed without writing: the mirror can be made again
    connection.close()
    return None


def _in_memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def _set_aside(path: Path) -> None:
    """Keep a catalogue that cannot be used under another name; its contents can all be had again."""
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.replace(path.with_name(f"{path.name}.unusable{suffix}"))
