"""The rows of the catalogue: how records become rows, and what is kept beside them so that reading is fast."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ..domain.filters import plain_day
from ..domain.model import Instance, Patient, Series, Study
from ..domain.people import completed, name_group, same_person
from .catalogue_people import said_of, said_text, search_key, settle
from .sqlite import LIST, fetch_in

#: Between the values of a list in one column, as DICOM has it.
SEPARATOR = "\\"


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
    """Where the file of a local instance lies; ``file`` is its stored name."""

    instance: Instance
    file: str


#: An instance as it is kept: SOP Instance UID, Series Instance UID, number, SOP class, stored name if it is here.
ImageRow = tuple[str, str, int | None, str, str | None]

#: How many patients, studies, series and instances are local.
LOCAL_TOTALS = (
    "SELECT count(DISTINCT patient), count(*), coalesce(sum(local_series), 0), coalesce(sum(local), 0)"
    " FROM studies WHERE local > 0"
)

#: Columns that follow others.
_DERIVED = {"day": "date", "description_key": "description", "accession_key": "accession_number"}


def _upsert(
    table: str, key: str, columns: str, *, local: bool, overwritten: str = "", exact: tuple[str, ...] = ()
) -> str:
    """Return the statement that adds a row, or combines it with the one that is there.

    A query only completes what is known already, so that it never makes a local file forgotten; what the local file
    itself says counts more. Nothing said (empty or NULL) never replaces anything.

    :param overwritten: the columns in which a local file is right even against another row.
    :param exact: the columns that take the new value even if it says nothing.
    """
    names = [key, *columns.split()]
    first, second = ("excluded", table) if local else (table, "excluded")
    rules = []
    for name in columns.split():
        said = _DERIVED.get(name, name)
        if name in exact:
            rules.append(f"{name} = excluded.{name}")
            continue
        rules.append(f"{name} = CASE WHEN {first}.{said} <> '' THEN {first}.{name} ELSE {second}.{name} END")
    if not local:
        rules = [rule for rule in rules if rule.split()[0] not in overwritten.split()]
    marks = ", ".join("?" * len(names))
    return (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names are our own
        f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(rules)}"
    )


_STUDY_COLUMNS = (
    "date time description accession_number study_id modalities sop_classes day description_key accession_key"
)
_STUDY = ("studies", "study_uid", _STUDY_COLUMNS)
_SERIES = ("series", "series_uid", "study_uid number modality description body_part description_key")
_INSTANCE = ("instances", "sop_uid", "series_uid number sop_class file")
_ADD_STUDY = {local: _upsert(*_STUDY, local=local) for local in (True, False)}
_ADD_SERIES = {local: _upsert(*_SERIES, local=local, overwritten="study_uid") for local in (True, False)}
_FROM_SERVERS = ("modalities", "sop_classes")
_RENEW_STUDY, _RENEW_SERIES = (
    _upsert(*of, local=True, exact=tuple(name for name in of[2].split() if name not in _FROM_SERVERS))
    for of in (_STUDY, _SERIES)
)
_ADD_LOCAL_INSTANCE = _upsert(*_INSTANCE, local=True)
_ADD_FOUND_INSTANCE = _upsert(*_INSTANCE, local=False, overwritten="series_uid file")


def add_local(db: sqlite3.Connection, items: Sequence[LocalInstance], renewed: Collection[str] = ()) -> None:
    """Add instances whose files are here, and all that leads up to them.

    :param renewed: see :meth:`.catalogue.Catalogue.add_local`.
    """
    for study in {item.study.study_uid: item.study for item in items}.values():
        add_study(db, study, local=True)
    for series in {item.series.series_uid: item.series for item in items}.values():
        add_series(db, series, local=True)
    for item in (item for item in items if item.instance.sop_uid in renewed):
        _renew(db, item)
    add_images(db, [_instance_values(item.instance, item.file) for item in items])


def _renew(db: sqlite3.Connection, item: LocalInstance) -> None:
    """Have the rows above an instance say what its file does, and nothing else."""
    study = item.study
    db.execute(_RENEW_STUDY, _study_values(study))
    db.execute("UPDATE studies SET said = ? WHERE study_uid = ?", (said_text(study.patient), study.study_uid))
    db.execute(_RENEW_SERIES, _series_values(item.series))


def add_images(db: sqlite3.Connection, images: Iterable[ImageRow]) -> None:
    """Add instances whose files are here, or complete them."""
    db.executemany(_ADD_LOCAL_INSTANCE, images)


def add_study(db: sqlite3.Connection, study: Study, *, local: bool, from_rows: bool = False) -> None:
    """Add a study, or complete it; what a file says of the patient is noted, and what a server says is not.

    :param from_rows: it is not the file that says it, but a row of the ctkDICOM database.
    """
    db.execute(_ADD_STUDY[local], _study_values(study))
    if local:
        ((known,),) = db.execute("SELECT said FROM studies WHERE study_uid = ?", (study.study_uid,)).fetchall()
        said = _by_row(known, study.patient) if from_rows else _by_file(known, study.patient)
        if said != known:
            db.execute("UPDATE studies SET said = ? WHERE study_uid = ?", (said, study.study_uid))


def _by_file(known: str, patient: Patient) -> str:
    """Return what is said here once a file says this: of files that contradict each other, the first is right."""
    if not known:
        return said_text(patient)
    first = said_of(known)
    return said_text(completed(first, [patient])) if same_person(first, patient) else known


def _by_row(known: str, patient: Patient) -> str:
    """Return what is said here once a row says this. CTK tells persons by ID and name alone, and keeps no issuer."""
    if known:
        file = said_of(known)
        if (file.patient_id, name_group(file.name, 0)) == (patient.patient_id.strip(), name_group(patient.name, 0)):
            patient = completed(replace(file, sex=patient.sex), [patient, file])
    return said_text(patient)


def add_series(db: sqlite3.Connection, series: Series, *, local: bool) -> None:
    """Add a series, or complete it; a local file decides of which study it is."""
    db.execute(_ADD_SERIES[local], _series_values(series))


def _study_values(study: Study) -> tuple[str, ...]:
    values = (study.date, study.time, study.description, study.accession_number, study.study_id)
    lists = (SEPARATOR.join(study.modalities), SEPARATOR.join(study.sop_classes))
    keys = (plain_day(study.date), search_key(study.description), search_key(study.accession_number))
    return (study.study_uid, *values, *lists, *keys)


def _series_values(series: Series) -> tuple[str | int | None, ...]:
    values = (series.study_uid, series.number, series.modality, series.description, series.body_part)
    return (series.series_uid, *values, search_key(series.description))


def add_found_instances(db: sqlite3.Connection, instances: Iterable[Instance]) -> None:
    """Add instances that a server has, or complete them."""
    db.executemany(_ADD_FOUND_INSTANCE, [_instance_values(instance, None) for instance in instances])


def _instance_values(instance: Instance, file: str | None) -> ImageRow:
    return (instance.sop_uid, instance.series_uid, instance.number, instance.sop_class, file)


# Forgetting


def drop_unknown(db: sqlite3.Connection, studies: Iterable[str], series: Iterable[str]) -> None:
    """Forget what of these is neither local nor on a server; names must not linger after a removal."""
    series, of_series = list(series), f"series_uid IN {LIST}"
    on_servers = "EXISTS (SELECT 1 FROM series_servers x WHERE x.series_uid = {}.series_uid)"
    fetch_in(
        db,
        f"DELETE FROM instances WHERE {of_series} AND file IS NULL AND NOT {on_servers.format('instances')}",  # noqa: S608
        series,
    )
    fetch_in(
        db,
        f"DELETE FROM series WHERE {of_series} AND NOT {on_servers.format('series')}"  # noqa: S608
        " AND NOT EXISTS (SELECT 1 FROM instances i WHERE i.series_uid = series.series_uid)",
        series,
    )
    fetch_in(
        db,
        f"DELETE FROM studies WHERE study_uid IN {LIST}"  # noqa: S608
        " AND NOT EXISTS (SELECT 1 FROM series s WHERE s.study_uid = studies.study_uid)"
        " AND NOT EXISTS (SELECT 1 FROM study_servers x WHERE x.study_uid = studies.study_uid)",
        studies,
    )
    known = "EXISTS (SELECT 1 FROM series s WHERE s.series_uid = thumbnails.series_uid)"
    fetch_in(db, f"DELETE FROM thumbnails WHERE {of_series} AND NOT {known}", series)  # noqa: S608


# Counts, and persons


@contextmanager
def settling(
    db: sqlite3.Connection,
    *,
    studies: Iterable[str] = (),
    series: Iterable[str] = (),
    instances: Iterable[str] = (),
    records: Iterable[int] = (),
    dropping: bool = False,
) -> Iterator[None]:
    """Bring all that follows from what the block touches up to date, where it was before as where it is then.

    That is, counts, modalities, and whose the studies are.

    :param records: what servers without a study said of patients, see :mod:`.catalogue_people`.
    :param dropping: forget what neither this computer nor a server has any more.
    """
    series_uids = {*series, *_column(db, _SERIES_OF_INSTANCES, instances)}
    study_uids = {*studies, *_column(db, _STUDIES_OF_SERIES, series_uids)}
    before = {*records, *_column(db, _RECORDS_OF_STUDIES, study_uids)}
    yield
    if dropping:
        drop_unknown(db, study_uids, series_uids)
    study_uids.update(_column(db, _STUDIES_OF_SERIES, series_uids))
    fetch_in(db, f"{_COUNT_SERIES} WHERE series_uid IN {LIST}", series_uids)
    fetch_in(db, f"{_COUNT_STUDIES} WHERE study_uid IN {LIST}", study_uids)
    settle(db, study_uids, before)


_RECORDS_OF_STUDIES = f"SELECT DISTINCT record FROM studies WHERE study_uid IN {LIST}"  # noqa: S608 - constants
_SERIES_OF_INSTANCES = f"SELECT DISTINCT series_uid FROM instances WHERE sop_uid IN {LIST}"  # noqa: S608 - constants
_STUDIES_OF_SERIES = f"SELECT DISTINCT study_uid FROM series WHERE series_uid IN {LIST}"  # noqa: S608
_COUNT_SERIES = (
    "UPDATE series SET (known, local) ="
    " (SELECT count(*), count(file) FROM instances i WHERE i.series_uid = series.series_uid)"
)
_COUNT_STUDIES = (
    "UPDATE studies SET (local, local_series) ="
    " (SELECT coalesce(sum(local), 0), count(nullif(local, 0)) FROM series s WHERE s.study_uid = studies.study_uid),"
    r" known_modalities = '\' || modalities || '\' || coalesce((SELECT group_concat(modality, '\') FROM"
    r" (SELECT DISTINCT modality FROM series s WHERE s.study_uid = studies.study_uid)), '') || '\'"
)


def _column(db: sqlite3.Connection, statement: str, values: Iterable[str]) -> list[Any]:
    return [row[0] for row in fetch_in(db, statement, values)]


# The rest


def note_unmirrored(db: sqlite3.Connection, sop_uids: Iterable[str]) -> None:
    """Note the studies of instances as changed here, beside the ctkDICOM database."""
    fetch_in(db, _NOTE_UNMIRRORED, sop_uids)


_NOTE_UNMIRRORED = (
    "INSERT OR IGNORE INTO unmirrored SELECT DISTINCT study_uid FROM instances JOIN series USING (series_uid)"  # noqa: S608
    f" WHERE sop_uid IN {LIST}"
)


def clear_intents(db: sqlite3.Connection, sop_uids: Iterable[str], kind: str) -> None:
    """Strike off intents of one kind."""
    db.executemany("DELETE FROM intents WHERE sop_uid = ? AND kind = ?", [(uid, kind) for uid in sop_uids])


def set_meta(db: sqlite3.Connection, key: str, value: str) -> None:
    """Insert or replace a value that is about the whole catalogue."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
