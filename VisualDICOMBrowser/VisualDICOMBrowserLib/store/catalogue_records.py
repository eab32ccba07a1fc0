"""The rows of the catalogue: how records become rows, and what is kept beside them so that reading is fast."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..domain.filters import fold, plain_day
from ..domain.model import Instance, Patient, Series, Study
from ..domain.people import display_name, same_person
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


def search_key(text: str) -> str:
    """Return a text as it is compared: folded. SQLite's LIKE stops at a NUL, so there is none."""
    return fold(text).replace("\0", "\ufffd")


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
    "patient date time description accession_number study_id modalities sop_classes day description_key accession_key"
)
_STUDY = ("studies", "study_uid", _STUDY_COLUMNS)
_SERIES = ("series", "series_uid", "study_uid number modality description body_part description_key")
_INSTANCE = ("instances", "sop_uid", "series_uid number sop_class file")
_ADD_STUDY = {local: _upsert(*_STUDY, local=local, overwritten="patient") for local in (True, False)}
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
    left = set(_column(db, _SERIES_OF_INSTANCES, renewed))
    for item in (item for item in items if item.instance.sop_uid in renewed):
        _renew(db, item)
        left.discard(item.series.series_uid)
    db.executemany(_ADD_LOCAL_INSTANCE, [_instance_values(item.instance, item.file) for item in items])

    if left:
        drop_unknown(db)


def _renew(db: sqlite3.Connection, item: LocalInstance) -> None:
    """Have the rows above an instance say what its file does, and nothing else."""
    study, series = item.study, item.series
    rows = db.execute("SELECT patient FROM studies WHERE study_uid = ?", (study.study_uid,)).fetchall()
    values = _values(_stripped(study.patient))
    _set_patient(db, rows[0][0], (), values)
    db.execute(_RENEW_STUDY, _study_values(study, rows[0][0]))
    db.execute(_RENEW_SERIES, _series_values(series))


def add_study(db: sqlite3.Connection, study: Study, *, local: bool) -> None:
    """Add a study and its patient, or complete them; a local file decides whose study it is."""
    known = db.execute("SELECT patient FROM studies WHERE study_uid = ?", (study.study_uid,)).fetchall()
    if known and not local:
        patient = known[0][0]
        _complete_patient(db, patient, study.patient)
    else:
        patient = add_patient(db, study.patient, local=local)
    db.execute(_ADD_STUDY[local], _study_values(study, patient))
    if known and known[0][0] != patient:
        _drop_patients(db, "id = ?", known[0])


def add_series(db: sqlite3.Connection, series: Series, *, local: bool) -> None:
    """Add a series, or complete it; a local file decides of which study it is."""
    db.execute(_ADD_SERIES[local], _series_values(series))


def _study_values(study: Study, patient: int) -> tuple[str | int, ...]:
    values = (study.date, study.time, study.description, study.accession_number, study.study_id)
    lists = (SEPARATOR.join(study.modalities), SEPARATOR.join(study.sop_classes))
    keys = (plain_day(study.date), search_key(study.description), search_key(study.accession_number))
    return (study.study_uid, patient, *values, *lists, *keys)


def _series_values(series: Series) -> tuple[str | int | None, ...]:
    values = (series.study_uid, series.number, series.modality, series.description, series.body_part)
    return (series.series_uid, *values, search_key(series.description))


def add_found_instances(db: sqlite3.Connection, instances: Iterable[Instance]) -> None:
    """Add instances that a server has, or complete them."""
    db.executemany(_ADD_FOUND_INSTANCE, [_instance_values(instance, None) for instance in instances])


def _instance_values(instance: Instance, file: str | None) -> tuple[str, str, int | None, str, str | None]:
    return (instance.sop_uid, instance.series_uid, instance.number, instance.sop_class, file)


# Persons


def add_patient(db: sqlite3.Connection, patient: Patient, *, local: bool) -> int:
    """Return the row of a person, made or completed if need be."""
    patient = _stripped(patient)
    for row_id, *values in db.execute(f"{_PATIENTS} WHERE patient_id = ?", (patient.patient_id,)).fetchall():
        if same_person(Patient(*values), patient):
            sources = (_values(patient), values) if local else (values, _values(patient))
            _set_patient(db, row_id, values, [first or second for first, second in zip(*sources, strict=True)])
            return int(row_id)
    row = (*_values(patient), *_patient_keys(patient))
    return int(db.execute(_INSERT_PATIENT, row).lastrowid or 0)


def note_patient(db: sqlite3.Connection, server: str, patient: Patient) -> None:
    """Note that a server has a person, though nothing else may be known."""
    patient = _stripped(patient)
    if not same_person(patient, patient):
        # Nobody can tell such records apart: the one that is there stands for all, or every search would add one.
        there = f"{_PATIENTS} JOIN patient_servers ON patient = id WHERE server = ? AND patient_id = ''"
        if any(tuple(values) == _values(patient) for _, *values in db.execute(there, (server,)).fetchall()):
            return
    row = add_patient(db, patient, local=False)
    db.execute("INSERT OR IGNORE INTO patient_servers VALUES (?, ?)", (row, server))


def find_patient(db: sqlite3.Connection, row_id: int) -> Patient | None:
    """Return the person of a row."""
    rows = db.execute(f"{_PATIENTS} WHERE id = ?", (row_id,)).fetchall()
    return Patient(*rows[0][1:]) if rows else None


_PATIENTS = "SELECT id, patient_id, name, birth_date, sex, issuer FROM patients"
_PATIENT_COLUMNS = ("patient_id", "name", "birth_date", "sex", "issuer", "sort_name", "id_key", "search_text")
_INSERT_PATIENT = (
    f"INSERT INTO patients ({', '.join(_PATIENT_COLUMNS)}) VALUES ({', '.join('?' * len(_PATIENT_COLUMNS))})"  # noqa: S608
)
_UPDATE_PATIENT = f"UPDATE patients SET {', '.join(f'{name} = ?' for name in _PATIENT_COLUMNS)} WHERE id = ?"  # noqa: S608


def _stripped(patient: Patient) -> Patient:
    return replace(patient, patient_id=patient.patient_id.strip())


def _complete_patient(db: sqlite3.Connection, row_id: int, patient: Patient) -> None:
    """Add what a server knows of the person that a study belongs to, unless it means somebody else."""
    known = find_patient(db, row_id)
    if known is not None and same_person(known, patient):
        old = _values(known)
        _set_patient(db, row_id, old, [first or second for first, second in zip(old, _values(patient), strict=True)])


def _set_patient(db: sqlite3.Connection, row_id: int, old: Sequence[str], new: Sequence[str]) -> None:
    if list(new) != list(old):
        db.execute(_UPDATE_PATIENT, (*new, *_patient_keys(Patient(*new)), row_id))


def _values(patient: Patient) -> tuple[str, str, str, str, str]:
    return (patient.patient_id, patient.name, patient.birth_date, patient.sex, patient.issuer)


def _patient_keys(patient: Patient) -> tuple[str, str, str]:
    """Return what a person is sorted by, the folded ID, and what words are looked for in.

    Who has no name is sorted by the ID, which stands in its place. The parts of the last one are on lines of their
    own, so that no word is found across them.
    """
    id_key = search_key(patient.patient_id)
    sort_name = search_key(display_name(patient.name)) or id_key
    return sort_name, id_key, f"{search_key(patient.name)}\n{id_key}"


def _drop_patients(db: sqlite3.Connection, condition: str, values: Sequence[int] = ()) -> None:
    db.execute(
        f"DELETE FROM patients WHERE {condition} AND id NOT IN (SELECT patient FROM studies)"  # noqa: S608 - constants
        " AND id NOT IN (SELECT patient FROM patient_servers)",
        values,
    )


# Forgetting


def drop_unknown(db: sqlite3.Connection) -> None:
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
    _drop_patients(db, "1")
    db.execute("DELETE FROM thumbnails WHERE series_uid NOT IN (SELECT series_uid FROM series)")


# Counts


@contextmanager
def recounting(
    db: sqlite3.Connection,
    *,
    studies: Iterable[str] = (),
    series: Iterable[str] = (),
    instances: Iterable[str] = (),
) -> Iterator[None]:
    """Bring the counts and modalities of what the block touches up to date, where it was before as where it is then."""
    series_uids = {*series, *_column(db, _SERIES_OF_INSTANCES, instances)}
    study_uids = {*studies, *_column(db, _STUDIES_OF_SERIES, series_uids)}
    yield
    study_uids.update(_column(db, _STUDIES_OF_SERIES, series_uids))
    fetch_in(db, f"{_COUNT_SERIES} WHERE series_uid IN {LIST}", series_uids)
    fetch_in(db, f"{_COUNT_STUDIES} WHERE study_uid IN {LIST}", study_uids)


def recount(db: sqlite3.Connection) -> None:
    """Bring all counts and modalities up to date; for changes that may touch anything."""
    db.execute(_COUNT_SERIES)
    db.execute(_COUNT_STUDIES)


_SERIES_OF_INSTANCES = f"SELECT DISTINCT series_uid FROM instances WHERE sop_uid IN {LIST}"  # noqa: S608 - constants
_STUDIES_OF_SERIES = f"SELECT DISTINCT study_uid FROM series WHERE series_uid IN {LIST}"  # noqa: S608
_COUNT_SERIES = (
    "UPDATE series SET (known, local) ="
    " (SELECT count(*), count(file) FROM instances i WHERE i.series_uid = series.series_uid)"
)
_COUNT_STUDIES = (
    "UPDATE studies SET local = (SELECT coalesce(sum(local), 0) FROM series s WHERE s.study_uid = studies.study_uid),"
    r" known_modalities = '\' || modalities || '\' || coalesce((SELECT group_concat(modality, '\') FROM"
    r" (SELECT DISTINCT modality FROM series s WHERE s.study_uid = studies.study_uid)), '') || '\'"
)


def _column(db: sqlite3.Connection, statement: str, values: Iterable[str]) -> list[str]:
    return [row[0] for row in fetch_in(db, statement, values)]


# The rest


def clear_intents(db: sqlite3.Connection, sop_uids: Iterable[str], kind: str) -> None:
    """Strike off intents of one kind."""
    db.executemany("DELETE FROM intents WHERE sop_uid = ? AND kind = ?", [(uid, kind) for uid in sop_uids])


def set_meta(db: sqlite3.Connection, key: str, value: str) -> None:
    """Insert or replace a value that is about the whole catalogue."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
