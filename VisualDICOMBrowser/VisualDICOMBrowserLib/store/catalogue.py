"""The catalogue: everything known, local and remote, in one SQLite file beside CTK's database.

Local content is mirrored from ``ctkDICOM.sql`` and can be mirrored again at any time; remote knowledge lives
here alone and never goes there. One connection, guarded by a lock; statements are short.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..domain.model import Instance, Level, Patient, Series, Study
from ..domain.people import same_person
from . import catalogue_schema
from .sqlite import BUSY_TIMEOUT_S, LIST, DamagedDatabase, fetch_in, storage_errors, transaction

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

    def __init__(self, connection: sqlite3.Connection, *, writable: bool = True, path: Path | None = None) -> None:
        self._connection = connection
        self.writable = writable
        self._path = path
        self._lock = threading.RLock()
        self._unscrubbed = False
        self._synchronous = int(connection.execute("PRAGMA synchronous").fetchall()[0][0])

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Catalogue:
        """Open the catalogue of a folder, or make it. A damaged one, or one of another version, is made anew.

        Read-only, a missing or unsuitable catalogue is replaced by an empty one in memory.
        """
        if not read_only:
            catalogue = cls(catalogue_schema.open_to_write(path), path=path)
            catalogue._scrub()
            return catalogue
        connection = catalogue_schema.open_to_read(path)
        return cls(catalogue_schema.in_memory()) if connection is None else cls(connection, writable=False)

    @classmethod
    def open_anew(cls, path: Path) -> Catalogue:
        """Set the catalogue aside, which turned out to be damaged, and make an empty one."""
        catalogue_schema.set_aside(path)
        return cls.open(path)

    def detached(self) -> Catalogue:
        """Return a copy in memory, which can follow the mirror though nobody writes the file."""
        copy = catalogue_schema.in_memory()
        with self._using():
            self._connection.backup(copy)
        return Catalogue(copy)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._path is not None:
                self._scrub()
                self._path = None
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
                _add_study(db, study, local=False)
                db.execute(
                    "INSERT OR REPLACE INTO study_servers VALUES (?, ?, ?, ?)",
                    (study.study_uid, server, study.series_count, study.instance_count),
                )
            for found in series:
                _add_series(db, found, local=False)
                db.execute(
                    "INSERT OR REPLACE INTO series_servers VALUES (?, ?, ?)",
                    (found.series_uid, server, found.instance_count),
                )
            db.executemany(_ADD_FOUND_INSTANCE, [_instance_row(i, None) for i in instances])

    def add_local(self, items: Sequence[LocalInstance], stamp: str | None = None) -> None:
        """Note instances that are local now, settle their intents, and note what was mirrored with ``stamp``."""
        with self._writing() as db:
            _add_local(db, items)
            _clear_intents(db, (item.instance.sop_uid for item in items), "receive")
            if stamp is not None:
                _set_meta(db, "ctk_stamp", stamp)

    def replace_local(self, items: Sequence[LocalInstance], stamp: str) -> None:
        """Mirror the local content anew: what is not in ``items`` is not local."""
        with self._writing(scrub=True) as db:
            db.execute("UPDATE instances SET file = NULL WHERE file IS NOT NULL")
            _add_local(db, items)
            _drop_unknown(db)
            _set_meta(db, "ctk_stamp", stamp)

    def remove_local(self, sop_uids: Sequence[str], stamp: str | None = None) -> None:
        """Forget that instances are local, and whatever nobody else has.

        Their intents ``remove`` become ``unlink``: only the files are left to be deleted. ``stamp`` as for
        :meth:`add_local`.
        """
        with self._writing(scrub=True) as db:
            fetch_in(db, f"UPDATE instances SET file = NULL WHERE sop_uid IN {LIST}", sop_uids)  # noqa: S608
            _drop_unknown(db)
            _clear_intents(db, sop_uids, "unlink")
            fetch_in(db, f"UPDATE intents SET kind = 'unlink' WHERE kind = 'remove' AND sop_uid IN {LIST}", sop_uids)  # noqa: S608
            if stamp is not None:
                _set_meta(db, "ctk_stamp", stamp)
        if self._path is not None:
            catalogue_schema.drop_set_aside(self._path)

    @property
    def ctk_stamp(self) -> str:
        """The state of ``ctkDICOM.sql`` that was mirrored last."""
        return self._meta("ctk_stamp")

    # Intents

    def add_intents(self, kind: str, rows: Iterable[tuple[str, str, str]]) -> None:
        """Write down work on files before it begins: (SOP Instance UID, stored name, detail).

        The kinds: ``receive``, with where the file comes from; ``remove``, with the stored name of its thumbnail;
        ``unlink``, what is left of that when the rows are gone. They are on the disk when this returns. What is
        about to be received is not to be removed any more.
        """
        rows = list(rows)
        with self._writing(durable=True) as db:
            if kind == "receive":
                for other in ("remove", "unlink"):
                    _clear_intents(db, (sop_uid for sop_uid, _, _ in rows), other)
            db.executemany(
                "INSERT OR REPLACE INTO intents (sop_uid, kind, file, source) VALUES (?, ?, ?, ?)",
                [(sop_uid, kind, file, detail) for sop_uid, file, detail in rows],
            )

    def clear_intents(self, kind: str, sop_uids: Iterable[str]) -> None:
        """Strike off work that is done or undone."""
        with self._writing(scrub=kind == "unlink") as db:
            _clear_intents(db, sop_uids, kind)

    def intents(self, kind: str) -> list[tuple[str, str, str]]:
        """Return open work, see :meth:`add_intents`."""
        rows = self._rows("SELECT sop_uid, file, source FROM intents WHERE kind = ?", (kind,))
        return [(row[0], row[1], row[2]) for row in rows]

    # Looking things up

    def local_files(self, level: Level, uids: Iterable[str]) -> list[LocalFile]:
        """Return the local instances of patients (by patient ID), studies, series or instances."""
        column = _COLUMN[level]
        if level is Level.PATIENT:
            uids = [uid.strip() for uid in uids]
        statement = (
            "SELECT i.sop_uid, i.series_uid, s.study_uid, i.number, i.sop_class, i.file FROM instances i"  # noqa: S608
            " JOIN series s USING (series_uid) JOIN studies t USING (study_uid) JOIN patients p ON p.id = t.patient"
            f" WHERE {column} IN {LIST} AND i.file IS NOT NULL ORDER BY i.series_uid, i.number, i.sop_uid"
        )
        with self._using():
            rows = fetch_in(self._connection, statement, uids)
        return [LocalFile(Instance(r[0], r[1], r[2], r[3], r[4]), r[5]) for r in rows]

    def local_counts(self, series_uids: Iterable[str]) -> dict[str, int]:
        """Return how many instances of each series are local; series without any are left out."""
        statement = (
            f"SELECT series_uid, count(*) FROM instances WHERE series_uid IN {LIST} AND file IS NOT NULL"  # noqa: S608
            " GROUP BY series_uid"
        )
        with self._using():
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
        with self._using():
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

    def has_files_below(self, path: Path, root: Path) -> bool:
        """Tell whether a local instance has its file below a folder inside ``root``, the database folder."""
        prefixes = (path.relative_to(root).as_posix(), path.as_posix())
        statement = "SELECT 1 FROM instances WHERE substr(file, 1, ?) = ? LIMIT 1"
        return any(self._rows(statement, (len(prefix) + 1, f"{prefix}/")) for prefix in prefixes)

    def find_study(self, study_uid: str) -> Study | None:
        """Return a known study, local or not."""
        rows = self._rows(
            "SELECT t.study_uid, t.date, t.time, t.description, t.accession_number, t.study_id, t.modalities,"
            " t.sop_classes, p.patient_id, p.name, p.birth_date, p.sex, p.issuer"
            " FROM studies t JOIN patients p ON p.id = t.patient WHERE t.study_uid = ?",
            (study_uid,),
        )
        return _study(rows[0]) if rows else None

    def series_uids_of(self, level: Level, uids: Iterable[str]) -> set[str]:
        """Return the known series, local or not, that have to do with patients (by ID), studies, series, instances."""
        statement = (
            "SELECT DISTINCT s.series_uid FROM series s JOIN studies t USING (study_uid)"  # noqa: S608
            " JOIN patients p ON p.id = t.patient"
            + (" JOIN instances i USING (series_uid)" if level is Level.IMAGE else "")
            + f" WHERE {'s.series_uid' if level is Level.SERIES else _COLUMN[level]} IN {LIST}"
        )
        with self._using():
            return {row[0] for row in fetch_in(self._connection, statement, [uid.strip() for uid in uids])}

    def study_uids_of_patient(self, row: int) -> list[str]:
        """Return the UIDs of all studies that are known of a person, by the row of the person."""
        return [r[0] for r in self._rows("SELECT study_uid FROM studies WHERE patient = ?", (row,))]

    def rename_server(self, old: str, new: str) -> None:
        """Keep what a server said under its new name."""
        with self._writing() as db:
            for table in ("study_servers", "series_servers"):
                db.execute(f"UPDATE OR REPLACE {table} SET server = ? WHERE server = ?", (new, old))  # noqa: S608

    # Jobs

    def save_job(self, job_id: str, state: str, created: float, record: str) -> None:
        """Insert or replace a job of the persistent queue; ``record`` is its JSON text."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?)", (job_id, state, created, record))

    def delete_job(self, job_id: str) -> None:
        """Remove a job from the persistent queue, which may name a patient."""
        with self._writing(scrub=True) as db:
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

    def thumbnail_files(self, sop_uids: Iterable[str]) -> dict[str, str]:
        """Return the stored names of the thumbnails that show these instances."""
        statement = f"SELECT sop_uid, file FROM thumbnails WHERE sop_uid IN {LIST}"  # noqa: S608 - a constant
        with self._using():
            return {row[0]: row[1] for row in fetch_in(self._connection, statement, sop_uids)}

    # Used by the modules beside this one

    @contextmanager
    def _using(self) -> Iterator[None]:
        try:
            with self._lock, storage_errors():
                yield
        except DamagedDatabase:
            if self._path is not None:
                catalogue_schema.note_damage(self._path)
            raise

    @contextmanager
    def _writing(self, *, durable: bool = False, scrub: bool = False) -> Iterator[sqlite3.Connection]:
        """Run a transaction.

        :param durable: have it on the disk afterwards; without, a power cut may cost the last ones (never a crash).
        :param scrub: something was deleted that shall leave no trace.
        """
        with self._using():
            if durable:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                with transaction(self._connection):
                    yield self._connection
            finally:
                if durable:
                    self._connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            self._unscrubbed |= scrub
            if self._unscrubbed:
                self._scrub()

    def _scrub(self) -> None:
        """Overwrite what was deleted: the pages of the write-ahead log hold it until they are written back.

        While another process reads, or the disk is full, that is not possible, and is tried again with the next
        transaction: the one before is safe all the same.
        """
        with self._lock:
            self._unscrubbed = True
            self._connection.execute("PRAGMA busy_timeout = 0").fetchall()
            with suppress(sqlite3.Error):
                busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]
                self._unscrubbed = bool(busy)
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}").fetchall()

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._using():
            return self._connection.execute(statement, tuple(values)).fetchall()

    def _meta(self, key: str) -> str:
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else ""


_COLUMN = {
    Level.PATIENT: "p.patient_id",
    Level.STUDY: "t.study_uid",
    Level.SERIES: "i.series_uid",
    Level.IMAGE: "i.sop_uid",
}


def _upsert(table: str, key: str, columns: str, *, local: bool, overwritten: str = "") -> str:
    """Return the statement that adds a row, or combines it with the one that is there.

    A query only completes what is known already, so that it never makes a local file forgotten; what the local file
    itself says counts more. Nothing said (empty or NULL) never replaces anything.

    :param overwritten: the columns in which a local file is right even against another row.
    """
    names = [key, *columns.split()]
    rules = []
    for name in columns.split():
        values = (f"excluded.{name}", f"{table}.{name}") if local else (f"{table}.{name}", f"excluded.{name}")
        rules.append(f"{name} = coalesce(nullif({values[0]}, ''), {values[1]})")
    if not local:
        rules = [rule for rule in rules if rule.split()[0] not in overwritten.split()]
    marks = ", ".join("?" * len(names))
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names are our own
        f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(rules)}"
    )


_STUDY = ("studies", "study_uid", "patient date time description accession_number study_id modalities sop_classes")
_SERIES = ("series", "series_uid", "study_uid number modality description body_part")
_INSTANCE = ("instances", "sop_uid", "series_uid number sop_class file")
_ADD_STUDY = {local: _upsert(*_STUDY, local=local, overwritten="patient") for local in (True, False)}
_ADD_SERIES = {local: _upsert(*_SERIES, local=local, overwritten="study_uid") for local in (True, False)}
_ADD_LOCAL_INSTANCE = _upsert(*_INSTANCE, local=True)
_ADD_FOUND_INSTANCE = _upsert(*_INSTANCE, local=False, overwritten="series_uid file")


def _add_local(db: sqlite3.Connection, items: Sequence[LocalInstance]) -> None:
    for study in {item.study.study_uid: item.study for item in items}.values():
        _add_study(db, study, local=True)
    for series in {item.series.series_uid: item.series for item in items}.values():
        _add_series(db, series, local=True)
    db.executemany(_ADD_LOCAL_INSTANCE, [_instance_row(item.instance, item.file) for item in items])


def _add_study(db: sqlite3.Connection, study: Study, *, local: bool) -> None:
    known = db.execute("SELECT patient FROM studies WHERE study_uid = ?", (study.study_uid,)).fetchall()
    if known and not local:
        patient = known[0][0]
        _complete_patient(db, patient, study.patient)
    else:
        patient = _patient_row(db, study.patient, local=local)
    values = (study.date, study.time, study.description, study.accession_number, study.study_id)
    lists = (_SEPARATOR.join(study.modalities), _SEPARATOR.join(study.sop_classes))
    db.execute(_ADD_STUDY[local], (study.study_uid, patient, *values, *lists))
    if known and known[0][0] != patient:
        db.execute("DELETE FROM patients WHERE id = ? AND id NOT IN (SELECT patient FROM studies)", known[0])


def _add_series(db: sqlite3.Connection, series: Series, *, local: bool) -> None:
    db.execute(
        _ADD_SERIES[local],
        (series.series_uid, series.study_uid, series.number, series.modality, series.description, series.body_part),
    )


def _instance_row(instance: Instance, file: str | None) -> tuple[str, str, int | None, str, str | None]:
    return (instance.sop_uid, instance.series_uid, instance.number, instance.sop_class, file)


def _patient_row(db: sqlite3.Connection, patient: Patient, *, local: bool) -> int:
    """Return the row of a person, made or completed if need be."""
    patient = replace(patient, patient_id=patient.patient_id.strip())
    for row_id, *values in db.execute(f"{_PATIENTS} WHERE patient_id = ?", (patient.patient_id,)).fetchall():
        if same_person(Patient(*values), patient):
            sources = (_values(patient), values) if local else (values, _values(patient))
            _set_patient(db, row_id, values, [first or second for first, second in zip(*sources, strict=True)])
            return int(row_id)
    cursor = db.execute(
        "INSERT INTO patients (patient_id, name, birth_date, sex, issuer) VALUES (?, ?, ?, ?, ?)", _values(patient)
    )
    return int(cursor.lastrowid or 0)


_PATIENTS = "SELECT id, patient_id, name, birth_date, sex, issuer FROM patients"


def _complete_patient(db: sqlite3.Connection, row_id: int, patient: Patient) -> None:
    """Add what a server knows of the person that a study belongs to, unless it means somebody else."""
    for _, *values in db.execute(f"{_PATIENTS} WHERE id = ?", (row_id,)).fetchall():
        if same_person(Patient(*values), patient):
            _set_patient(db, row_id, values, [old or new for old, new in zip(values, _values(patient), strict=True)])


def _set_patient(db: sqlite3.Connection, row_id: int, old: Sequence[str], new: Sequence[str]) -> None:
    if list(new) != list(old):
        db.execute(
            "UPDATE patients SET patient_id = ?, name = ?, birth_date = ?, sex = ?, issuer = ? WHERE id = ?",
            (*new, row_id),
        )


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
