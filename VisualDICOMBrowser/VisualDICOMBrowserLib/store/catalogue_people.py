"""Whose the studies are: what files and servers say of patients, and the persons that follow from it.

Everything said is kept beside who said it, and put together anew whenever one of them says something else or is
forgotten. So whose a study is depends on what is known, and not on what was known first. What is said of a study gives
one *record*; records that mean one person, by :mod:`..domain.people`, share a row of ``patients``. A row that is given
up, because its records turned out to be somebody else's, is noted in ``moved``: a window may still hold its key.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from ..domain.filters import fold
from ..domain.model import Patient
from ..domain.people import completed, display_name, grouped, is_readable, is_tellable, put_together
from .catalogue_pieces import change_pieces
from .sqlite import LIST, fetch_in

#: The patient IDs in a list that several persons have.
SHARED_IDS = f"SELECT patient_id FROM patients WHERE patient_id IN {LIST} GROUP BY patient_id HAVING count(*) > 1"  # noqa: S608
#: The row of a person who had another one before.
ROW_NOW = "SELECT patient FROM moved WHERE old = ?"
_VALUES = "patient_id, name, birth_date, sex, issuer"
_RECORD = f"SELECT id, patient, {_VALUES} FROM records"  # noqa: S608 - constants, here and below
_OF_ID = f"{_RECORD} WHERE patient_id = ? AND alone = '' ORDER BY id"
_SAME = "patient_id = ? AND name = ? AND birth_date = ? AND sex = ? AND issuer = ? AND alone = ?"
_SAID_HERE = f"SELECT study_uid, record, said FROM studies WHERE study_uid IN {LIST}"  # noqa: S608
_SAID_BY = f"SELECT study_uid, server, said FROM study_servers WHERE said <> '' AND study_uid IN {LIST}"  # noqa: S608
_LOCAL_RECORDS = f"SELECT DISTINCT record FROM studies WHERE local > 0 AND record IN {LIST}"  # noqa: S608
_INHERIT = "UPDATE records SET patient = (SELECT patient FROM records WHERE id = ?) WHERE id = ? AND patient = 0"
_IDLE = (
    "SELECT id FROM records r WHERE NOT EXISTS (SELECT 1 FROM studies WHERE record = r.id)"
    " AND NOT EXISTS (SELECT 1 FROM patient_servers WHERE record = r.id)"
)
_PATIENT_COLUMNS = ("patient_id", "name", "birth_date", "sex", "issuer", "sort_name", "id_key", "search_text")
_INSERT_PATIENT = (
    f"INSERT INTO patients ({', '.join(_PATIENT_COLUMNS)}) VALUES ({', '.join('?' * len(_PATIENT_COLUMNS))})"  # noqa: S608
)
_UPDATE_PATIENT = f"UPDATE patients SET {', '.join(f'{name} = ?' for name in _PATIENT_COLUMNS)} WHERE id = ?"  # noqa: S608


def search_key(text: str) -> str:
    """Return a text as it is compared: folded. SQLite's LIKE stops at a NUL, so there is none."""
    return fold(text).replace("\0", "\ufffd")


def said_text(patient: Patient) -> str:
    """Return what is said of a patient as it is kept in the columns ``said``."""
    return json.dumps(_values(_stripped(patient)), ensure_ascii=False)


def said_of(text: str) -> Patient:
    """Return what :func:`said_text` made a text of."""
    return Patient(*json.loads(text))


def find_patient(db: sqlite3.Connection, row_id: int) -> Patient | None:
    """Return the person of a row."""
    rows = db.execute(f"SELECT {_VALUES} FROM patients WHERE id = ?", (row_id,)).fetchall()  # noqa: S608
    return Patient(*rows[0]) if rows else None


def row_now(db: sqlite3.Connection, row_id: int) -> int:
    """Return the row of a person whose row may have been given up for another."""
    rows = db.execute(ROW_NOW, (row_id,)).fetchall()
    return int(rows[0][0]) if rows else row_id


def owner_of(server: str) -> str:
    """Return what stands in ``records.alone`` for a server; no UID of a study looks like it."""
    return f"@{server}"


def note_patients(db: sqlite3.Connection, server: str, patients: Iterable[Patient]) -> None:
    """Note that a server has persons, though nothing else may be known."""
    # Nobody can tell records apart that say too little: one of each stands for all, or every search would add some.
    records = [_record(db, patient, owner_of(server)) for patient in patients]
    statement = "INSERT OR IGNORE INTO patient_servers VALUES (?, ?, 0)"
    db.executemany(statement, [(record, server) for record in records])
    regroup(db, records)


def settle(db: sqlite3.Connection, study_uids: Iterable[str], records: Iterable[int] = ()) -> None:
    """Find out anew whose studies are; their counts have to be right.

    :param records: those that the studies had before, or that servers do not have any more.
    """
    uids = list(study_uids)
    servers: dict[str, dict[str, str]] = {}
    for uid, server, said in fetch_in(db, _SAID_BY, uids):
        servers.setdefault(uid, {})[server] = said
    touched, heirs = set(records), {}
    fetch_in(db, f"UPDATE studies SET said = '' WHERE local = 0 AND said <> '' AND study_uid IN {LIST}", uids)  # noqa: S608
    for uid, record, said in fetch_in(db, _SAID_HERE, uids):
        found = _whose(said, servers.get(uid, {}))
        new = record if found is None and record else _record(db, found or Patient(""), uid)
        if new != record:
            db.execute("UPDATE studies SET record = ?, patient = 0 WHERE study_uid = ?", (new, uid))
            heirs[record] = new
        touched.update({record, new} - {0})
    regroup(db, touched, heirs)


def _whose(said: str, servers: Mapping[str, str]) -> Patient | None:
    if len({*filter(None, [said]), *servers.values()}) == 1:
        return said_of(said or next(iter(servers.values())))  # all say the same
    by_servers = {server: said_of(text) for server, text in servers.items()}
    return put_together(said_of(said) if said else None, by_servers)


def _record(db: sqlite3.Connection, patient: Patient, owner: str) -> int:
    """Return the record that says this, made if need be; of its ``owner`` alone if it says too little."""
    patient = _stripped(patient)
    values = (*_values(patient), "" if is_tellable(patient) else owner)
    rows = db.execute(f"SELECT id FROM records WHERE {_SAME}", values).fetchall()  # noqa: S608
    if rows:
        return int(rows[0][0])
    made = db.execute(f"INSERT INTO records (patient, {_VALUES}, alone) VALUES (0, ?, ?, ?, ?, ?, ?)", values)  # noqa: S608
    return int(made.lastrowid or 0)


# Persons


@dataclass(frozen=True)
class _Row:
    """A record with the person that it is counted to so far; 0 if it is new."""

    record: int
    person: int
    patient: Patient


def regroup(db: sqlite3.Connection, records: Iterable[int], heirs: Mapping[int, int] = MappingProxyType({})) -> None:
    """Find out anew who is one person among all records with the IDs of these; forget those that nothing has.

    :param heirs: records that took the places of others.
    """
    touched = set(records)
    idle = {r[0] for r in fetch_in(db, f"{_IDLE} AND r.id IN {LIST}", touched)}
    for old in idle & heirs.keys():
        db.execute(_INHERIT, (old, heirs[old]))
    rows = [_Row(r[0], r[1], Patient(*r[2:])) for r in fetch_in(db, f"{_RECORD} WHERE id IN {LIST}", touched)]
    fetch_in(db, f"DELETE FROM records WHERE id IN {LIST}", idle)  # noqa: S608
    keys, changed = _Keys(db), {row.person for row in rows}
    for group, before in _groups(db, rows, idle):
        if before is None or before in changed:
            keys.give(group)
        else:
            keys.keep(before)
    keys.settle({row.person: heirs.get(row.record, 0) for row in rows if row.record in idle})


def _groups(
    db: sqlite3.Connection, rows: Sequence[_Row], idle: Collection[int]
) -> Iterator[tuple[Sequence[_Row], int | None]]:
    """Yield who is one person, with the row if it is the person of the same records as before."""
    for patient_id in dict.fromkeys(row.patient.patient_id for row in rows if is_tellable(row.patient)):
        of_id = [_Row(r[0], r[1], Patient(*r[2:])) for r in db.execute(_OF_ID, (patient_id,)).fetchall()]
        sizes = Counter(row.person for row in of_id)
        for places in grouped([row.patient for row in of_id]):
            group = [of_id[place] for place in places]
            (before, size), *others = Counter(row.person for row in group).items()
            yield group, None if others or size != sizes[before] else before
    yield from (([row], None) for row in rows if not is_tellable(row.patient) and row.record not in idle)


class _Keys:
    """Sees to it that each person has a row of ``patients``, the one it had as far as possible."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._taken: set[int] = set()
        self._moves: dict[int, int] = {}

    def keep(self, person: int) -> None:
        """Leave a person as it is."""
        self._taken.add(person)

    def give(self, group: Sequence[_Row]) -> None:
        """Give a person a row, and its records and studies."""
        known = [row.person for row in group if row.person and row.person not in self._taken]
        person = self._show(known[0] if known else 0, _shown(self._db, group))
        self._taken.add(person)
        for row in group:
            self._moves.setdefault(row.person, person)
            for table, column in (("records", "id"), ("studies", "record"), ("patient_servers", "record")):
                statement = f"UPDATE {table} SET patient = ? WHERE {column} = ? AND patient <> ?"  # noqa: S608
                self._db.execute(statement, (person, row.record, person))

    def _show(self, person: int, patient: Patient) -> int:
        values = (*_values(patient), *_patient_keys(patient))
        if not person:
            person = int(self._db.execute(_INSERT_PATIENT, values).lastrowid or 0)
            change_pieces(self._db, person, "", values[-1])
        elif find_patient(self._db, person) != patient:
            change_pieces(self._db, person, self._search_text(person), values[-1])
            self._db.execute(_UPDATE_PATIENT, (*values, person))
        return person

    def _search_text(self, person: int) -> str:
        rows = self._db.execute("SELECT search_text FROM patients WHERE id = ?", (person,)).fetchall()
        return str(rows[0][0]) if rows else ""

    def settle(self, vacated: Mapping[int, int]) -> None:
        """Give up the rows that nobody took.

        :param vacated: rows by which records went that nothing has any more, each with its heir; 0 if there is none.
        """
        for person, heir in vacated.items():
            for (row_id,) in self._db.execute("SELECT patient FROM records WHERE id = ?", (heir,)).fetchall():
                self._moves.setdefault(person, row_id)
        for old in (self._moves.keys() | vacated.keys()) - self._taken - {0}:
            change_pieces(self._db, old, self._search_text(old), "")
            self._db.execute("DELETE FROM patients WHERE id = ?", (old,))
            if old in self._moves:
                self._db.execute("UPDATE moved SET patient = ? WHERE patient = ?", (self._moves[old], old))
                self._db.execute("INSERT INTO moved VALUES (?, ?)", (old, self._moves[old]))
            else:
                self._db.execute("DELETE FROM moved WHERE patient = ?", (old,))


def _shown(db: sqlite3.Connection, group: Sequence[_Row]) -> Patient:
    """Return what is shown of a person: names that can be read first, what files say, names not all in capitals."""
    local = {r[0] for r in fetch_in(db, _LOCAL_RECORDS, [row.record for row in group])}

    def rank(row: _Row) -> tuple[object, ...]:
        name = row.patient.name
        return (not is_readable(name), row.record not in local, name.isupper(), _values(row.patient))

    first, *others = (row.patient for row in sorted(group, key=rank))
    return completed(first, others)


def _stripped(patient: Patient) -> Patient:
    return replace(patient, patient_id=patient.patient_id.strip())


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
