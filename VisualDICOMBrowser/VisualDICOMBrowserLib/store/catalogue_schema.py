"""The tables of the catalogue."""

from __future__ import annotations

#: Raised when the tables change; another version is rebuilt from the ctkDICOM database and the servers.
VERSION = "1"

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE patients (
    id INTEGER PRIMARY KEY, patient_id TEXT NOT NULL, issuer TEXT NOT NULL, name TEXT NOT NULL,
    birth_date TEXT NOT NULL, sex TEXT NOT NULL);
CREATE INDEX patients_by_id ON patients (patient_id);

CREATE TABLE studies (
    study_uid TEXT PRIMARY KEY, patient INTEGER NOT NULL, date TEXT NOT NULL, time TEXT NOT NULL,
    description TEXT NOT NULL, accession_number TEXT NOT NULL, study_id TEXT NOT NULL,
    modalities TEXT NOT NULL, sop_classes TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX studies_by_patient ON studies (patient, date);
CREATE INDEX studies_by_date ON studies (date);

CREATE TABLE series (
    series_uid TEXT PRIMARY KEY, study_uid TEXT NOT NULL, number INTEGER, modality TEXT NOT NULL,
    description TEXT NOT NULL, body_part TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX series_by_study ON series (study_uid);

-- file: the stored name of the local file (see layout.DatabaseFolder.stored_name), NULL if it is not here.
CREATE TABLE instances (
    sop_uid TEXT PRIMARY KEY, series_uid TEXT NOT NULL, number INTEGER, sop_class TEXT NOT NULL, file TEXT)
    WITHOUT ROWID;
CREATE INDEX instances_by_series ON instances (series_uid, file);

-- What a server said it has; counts are NULL where it did not say.
CREATE TABLE study_servers (
    study_uid TEXT, server TEXT, series_count INTEGER, instance_count INTEGER, PRIMARY KEY (study_uid, server))
    WITHOUT ROWID;
CREATE TABLE series_servers (
    series_uid TEXT, server TEXT, instance_count INTEGER, PRIMARY KEY (series_uid, server)) WITHOUT ROWID;

-- Work on files that a crash may interrupt: see store.intents.
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
