"""The tables of the catalogue, and how its file is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..domain.errors import StorageError
from . import damage
from .sqlite import DamagedDatabase, connect, storage_errors, transaction

#: Raised when the tables change; another version is rebuilt from the ctkDICOM database and the servers.
VERSION = "5"

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- A key that was given out is never given again: a window may still hold it.
-- Columns ending in _key are folded, see catalogue_people.search_key; sort_name is the folded name as people read it.
CREATE TABLE patients (
    id INTEGER PRIMARY KEY AUTOINCREMENT, patient_id TEXT NOT NULL, issuer TEXT NOT NULL, name TEXT NOT NULL,
    birth_date TEXT NOT NULL, sex TEXT NOT NULL, sort_name TEXT NOT NULL, id_key TEXT NOT NULL,
    search_text TEXT NOT NULL);
CREATE INDEX patients_by_id ON patients (patient_id);
CREATE INDEX patients_by_id_key ON patients (id_key);
CREATE INDEX patients_by_name ON patients (sort_name, patient_id);

-- By which numbers persons are found, see catalogue_pieces.
CREATE TABLE pieces (piece INTEGER, patient INTEGER, PRIMARY KEY (piece, patient)) WITHOUT ROWID;

-- Keys of persons who turned out to be somebody with another key.
CREATE TABLE moved (old INTEGER PRIMARY KEY, patient INTEGER NOT NULL);
CREATE INDEX moved_by_patient ON moved (patient);

-- What studies, and servers without a study, say of persons, put together: see catalogue_people. alone: the study or
-- server that the record is about, where it says too little to be compared with others.
CREATE TABLE records (
    id INTEGER PRIMARY KEY, patient INTEGER NOT NULL, patient_id TEXT NOT NULL, name TEXT NOT NULL,
    birth_date TEXT NOT NULL, sex TEXT NOT NULL, issuer TEXT NOT NULL, alone TEXT NOT NULL);
CREATE UNIQUE INDEX records_by_values ON records (patient_id, alone, name, birth_date, sex, issuer);
CREATE INDEX records_by_patient ON records (patient);

-- record, patient: whose the study is. said: what the files that are here say of the patient, see catalogue_people.
-- day: the date as YYYYMMDD, empty if it is none. known_modalities: those that servers said and those of the series,
-- between backslashes. local, local_series: how many instances, and series with any, are here.
CREATE TABLE studies (
    study_uid TEXT PRIMARY KEY, date TEXT NOT NULL, time TEXT NOT NULL,
    description TEXT NOT NULL, accession_number TEXT NOT NULL, study_id TEXT NOT NULL,
    modalities TEXT NOT NULL, sop_classes TEXT NOT NULL, day TEXT NOT NULL, description_key TEXT NOT NULL,
    accession_key TEXT NOT NULL, known_modalities TEXT NOT NULL DEFAULT '', local INTEGER NOT NULL DEFAULT 0,
    local_series INTEGER NOT NULL DEFAULT 0, record INTEGER NOT NULL DEFAULT 0,
    patient INTEGER NOT NULL DEFAULT 0, said TEXT NOT NULL DEFAULT '')
    WITHOUT ROWID;
CREATE INDEX studies_by_record ON studies (record, local);
CREATE INDEX studies_by_patient ON studies (patient, local, local_series);
CREATE INDEX studies_by_day ON studies (day, patient);
CREATE INDEX studies_by_accession ON studies (accession_key, patient);
CREATE INDEX studies_by_description ON studies (description_key, patient);
CREATE INDEX studies_by_modalities ON studies (known_modalities, day, patient);
CREATE INDEX studies_here ON studies (patient) WHERE local > 0;

-- known, local: how many instances are in the table below, and how many of them are here.
CREATE TABLE series (
    series_uid TEXT PRIMARY KEY, study_uid TEXT NOT NULL, number INTEGER, modality TEXT NOT NULL,
    description TEXT NOT NULL, body_part TEXT NOT NULL, description_key TEXT NOT NULL,
    known INTEGER NOT NULL DEFAULT 0, local INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX series_by_study ON series (study_uid, modality);
CREATE INDEX series_by_description ON series (description_key, study_uid);

-- file: the stored name of the local file (see layout.DatabaseFolder.stored_name), NULL if it is not here.
CREATE TABLE instances (
    sop_uid TEXT PRIMARY KEY, series_uid TEXT NOT NULL, number INTEGER, sop_class TEXT NOT NULL, file TEXT)
    WITHOUT ROWID;
CREATE INDEX instances_by_series ON instances (series_uid, file);

-- What a server said it has; counts are NULL, said (of the patient) is empty where it did not say. A server that has a
-- study has its patient, too: patient_servers is for persons of whom no study may be known yet.
CREATE TABLE patient_servers (
    record INTEGER, server TEXT, patient INTEGER NOT NULL, PRIMARY KEY (record, server)) WITHOUT ROWID;
CREATE INDEX patient_servers_by_patient ON patient_servers (patient);
CREATE INDEX patient_servers_by_server ON patient_servers (server, patient);
CREATE TABLE study_servers (
    study_uid TEXT, server TEXT, series_count INTEGER, instance_count INTEGER, said TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (study_uid, server)) WITHOUT ROWID;
CREATE INDEX study_servers_by_server ON study_servers (server, study_uid);
CREATE TABLE series_servers (
    series_uid TEXT, server TEXT, instance_count INTEGER, PRIMARY KEY (series_uid, server)) WITHOUT ROWID;

-- What of the ctkDICOM database was mirrored, see ctk_parts; studies are UIDs, one a line.
CREATE TABLE mirrored (part TEXT PRIMARY KEY, digest TEXT NOT NULL, studies TEXT NOT NULL);
-- Studies that this program changed here since then, whatever the parts say.
CREATE TABLE unmirrored (study_uid TEXT PRIMARY KEY) WITHOUT ROWID;

-- Work on files that a crash may interrupt: see catalogue.Catalogue.add_intents.
CREATE TABLE intents (
    sop_uid TEXT, kind TEXT NOT NULL, file TEXT NOT NULL, source TEXT NOT NULL, PRIMARY KEY (sop_uid, kind))
    WITHOUT ROWID;

CREATE TABLE thumbnails (
    series_uid TEXT PRIMARY KEY, sop_uid TEXT NOT NULL, file TEXT NOT NULL, placeholder INTEGER NOT NULL,
    reason TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, state TEXT NOT NULL, created REAL NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX jobs_by_time ON jobs (created);
"""


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open the catalogue, or make it. A damaged one, or one of another version, is set aside and made anew.

    :raises StorageError: it is locked, or cannot be read or written.
    """
    if damage.is_noted(path):
        if damage.is_damaged(path):
            return made_anew(path)
        damage.forget_damage(path)
    try:
        connection = _connect(path)
        try:
            if _version(connection) in (None, VERSION):
                return _with_tables(connection)
        except BaseException:
            connection.close()
            raise
        connection.close()
    except DamagedDatabase:
        pass  # the same as another version
    return made_anew(path)


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file with a write-ahead log; with a rollback journal where memory cannot be shared (a network share)."""
    connection = connect(path)
    try:
        with storage_errors():
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchall()[0][0]
            with transaction(connection):  # only now is the shared memory needed
                pass
            connection.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")
        return connection
    except DamagedDatabase:
        connection.close()
        raise
    except StorageError as error:
        connection.close()
        if error.retryable:
            raise
    return _connect_without_log(path)


def _connect_without_log(path: Path) -> sqlite3.Connection:
    connection = connect(path)
    try:
        with storage_errors():
            # To leave the log, SQLite has to read it, which it can with memory of its own while it is alone.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            connection.execute("PRAGMA locking_mode = NORMAL").fetchall()
            connection.execute("SELECT 1 FROM sqlite_master").fetchall()  # gives the lock back
            connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path, *, patience_s: float | None = None) -> sqlite3.Connection | None:
    """Open a catalogue that somebody else may write; None if there is none that can be read.

    :param patience_s: as for :func:`.sqlite.connect`.
    :raises StorageError: it is locked (retryable).
    """
    if not path.is_file():
        return None
    try:
        connection = connect(path, read_only=True, patience_s=patience_s)
        try:
            if _version(connection) == VERSION:
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
    except DamagedDatabase:
        return None
    except StorageError as error:
        if error.retryable:
            raise
        return None  # its log cannot be replayed without writing: the mirror can be made again
    return None


def in_memory() -> sqlite3.Connection:
    """Return an empty catalogue that nothing is left of."""
    return _with_tables(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))


def _with_tables(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Make the tables unless they are there; the connection is closed if that fails."""
    try:
        if _version(connection) is None:
            with storage_errors(), transaction(connection):
                for statement in TABLES.split(";\n"):
                    connection.execute(statement)
                connection.execute("INSERT INTO meta VALUES ('version', ?)", (VERSION,))
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> str | None:
    """Return the version of the tables, None if there are none."""
    with storage_errors():
        if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
            return None
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchall():
            return ""
        rows = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchall()
        return str(rows[0][0]) if rows else ""


def made_anew(path: Path) -> sqlite3.Connection:
    """Set a catalogue aside, and make another with the open work of the old one, as far as it can be read.

    All else can be had again: from the ctkDICOM database and from the servers. What was to be removed and still has
    its rows is not removed any more: who knows how old a damaged list is.
    """
    aside = damage.set_aside(path)
    damage.forget_damage(path)
    connection = _with_tables(_connect(path))
    try:
        with storage_errors(), transaction(connection):
            _take_over(aside, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _take_over(aside: Path, connection: sqlite3.Connection) -> None:
    kinds = {kind: kind for kind in ("receive", "replace", "swap", "unlink")} | {"remove": "unlink"}
    for sop_uid, kind, *rest in damage.salvage(aside, "intents", "sop_uid, kind, file, source", "sop_uid"):
        if kind in kinds and all(isinstance(value, str) for value in (sop_uid, *rest)):
            connection.execute("INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?)", (sop_uid, kinds[kind], *rest))
    for row in damage.salvage(aside, "jobs", "job_id, state, created, record", "job_id"):
        if [type(value) for value in row] == [str, str, float, str]:
            connection.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?)", row)
