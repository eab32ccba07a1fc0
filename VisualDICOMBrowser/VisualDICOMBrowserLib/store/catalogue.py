"""The catalogue: everything known, local and remote, in one SQLite file beside CTK's database.

Local content is mirrored from ``ctkDICOM.sql`` and can be mirrored again at any time; remote knowledge lives
here alone and never goes there. One connection, guarded by a lock; statements are short.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..domain.filters import QueryFilter
from ..domain.model import Instance, Level, Patient, Series, Study
from ..domain.overview import Places
from . import damage
from .catalogue_matching import narrowed, studies_that_may_fit
from .catalogue_mirror import CatalogueMirror
from .catalogue_people import SHARED_IDS, find_patient, note_patients, owner_of, row_now, said_text, settle
from .catalogue_records import (
    LOCAL_TOTALS,
    SEPARATOR,
    LocalFile,
    LocalInstance,
    add_found_instances,
    add_local,
    add_series,
    add_study,
    clear_intents,
    note_unmirrored,
    set_meta,
    settling,
)
from .sqlite import LIST, fetch_in

__all__ = ["Catalogue", "LocalFile", "LocalInstance"]


class Catalogue(CatalogueMirror):
    """Reads and writes the catalogue; made by :meth:`open`.

    :ivar writable: False if another engine writes it.

    All methods raise :class:`~..domain.errors.StorageError` when the disk is in the way.
    """

    # Both kinds of knowledge

    def note_found(
        self,
        server: str,
        studies: Iterable[Study] = (),
        series: Iterable[Series] = (),
        instances: Iterable[Instance] = (),
        patients: Iterable[Patient] = (),
    ) -> None:
        """Remember what a server has. Local knowledge is never changed by it, nor a count by one that is not told."""
        with self._writing() as db:
            _note_found(db, server, list(studies), list(series), list(instances))
            note_patients(db, server, patients)

    def note_studies_of(self, server: str, patient_row: int, studies: Iterable[Study]) -> None:
        """Note all studies that a server has of a person: what it said of others of that person is forgotten.

        Without any, the server does not have the person either. Local content stays.
        """
        found = list(studies)
        with self._writing() as db:
            row = row_now(db, patient_row)
            # Of the studies that were this person's when the server was asked: what is said now may add some.
            marked = db.execute(_MARKED_STUDIES, (row, server)).fetchall()
            gone = _others(marked, (study.study_uid for study in found))
            records = [] if found else [r[0] for r in db.execute(_MARKED_RECORDS, (row, server)).fetchall()]
            _note_found(db, server, found, [], [])
            if gone or records:
                self._unmark(db, server, gone, fetch_in(db, _SERIES_OF, gone), records)

    def note_series_of(self, server: str, study_uid: str, series: Iterable[Series]) -> None:
        """Note all series that a server has of a study: what it said of others of that study is forgotten.

        Local content stays.
        """
        found = list(series)
        with self._writing() as db:
            _note_found(db, server, [], found, [])
            marked = db.execute(_MARKED_SERIES, (study_uid, server)).fetchall()
            gone = _others(marked, (one.series_uid for one in found))
            if gone:
                self._unmark(db, server, [], [(uid,) for uid in gone], [])

    def forget_server(self, name: str) -> None:
        """Forget all that a server said, and who and what was known from it alone."""
        with self._writing(persons=True) as db:
            marked = [db.execute(f"SELECT {of} WHERE server = ?", (name,)).fetchall() for of in _MARKED]
            studies, series, records = marked
            self._unmark(db, name, [row[0] for row in studies], series, [row[0] for row in records])

    def _unmark(
        self,
        db: sqlite3.Connection,
        server: str,
        study_uids: Sequence[str],
        series: Sequence[Sequence[str]],
        records: Sequence[int],
    ) -> None:
        series_uids = [row[0] for row in series]
        with settling(db, studies=study_uids, series=series_uids, records=records, dropping=True):
            for table, column, keys in (
                ("study_servers", "study_uid", study_uids),
                ("series_servers", "series_uid", series_uids),
                ("patient_servers", "record", records),
            ):
                statement = f"DELETE FROM {table} WHERE {column} = ? AND server = ?"  # noqa: S608 - our own names
                db.executemany(statement, [(key, server) for key in keys])
        self._unscrubbed = True

    def person(self, row: int) -> Patient | None:
        """Return a person by the catalogue's key, or one that it had before; None if it is gone."""
        with self._using():
            return find_patient(self._connection, row_now(self._connection, row))

    def shared_ids(self, patient_ids: Iterable[str]) -> set[str]:
        """Return those of the patient IDs that several persons have."""
        with self._using():
            rows = fetch_in(self._connection, SHARED_IDS, (uid for uid in map(str.strip, patient_ids) if uid))
        return {row[0] for row in rows}

    def add_local(
        self,
        items: Sequence[LocalInstance],
        stamp: str | None = None,
        *,
        settled: bool = True,
        renewed: Collection[str] = (),
    ) -> None:
        """Note instances that are local now, settle their intents, and note what was mirrored with ``stamp``.

        :param settled: False if their rows are still to come: then the intents stay.
        :param renewed: SOP Instance UIDs of those that were local with other files: what the new ones say of series,
            study and patient takes the place of what was known.
        """
        sop_uids = [item.instance.sop_uid for item in items]
        series_uids = {item.series.series_uid for item in items}
        with self._writing(scrub=bool(renewed)) as db:
            note_unmirrored(db, renewed)
            with settling(db, series=series_uids, instances=sop_uids, dropping=bool(renewed)):
                add_local(db, items, renewed)
                fetch_in(db, f"DELETE FROM thumbnails WHERE sop_uid IN {LIST}", renewed)  # noqa: S608
            note_unmirrored(db, sop_uids)
            if settled:
                clear_intents(db, sop_uids, "receive")
            if stamp is not None:
                set_meta(db, "ctk_stamp", stamp)

    def remove_local(self, sop_uids: Sequence[str], stamp: str | None = None) -> None:
        """Forget that instances are local, and whatever nobody else has.

        Their intents ``remove`` become ``unlink``: only the files are left to be deleted. ``stamp`` as for
        :meth:`add_local`.
        """
        with self._writing(persons=True) as db:
            note_unmirrored(db, sop_uids)
            with settling(db, instances=sop_uids, dropping=True):
                fetch_in(db, f"UPDATE instances SET file = NULL WHERE sop_uid IN {LIST}", sop_uids)  # noqa: S608
            clear_intents(db, sop_uids, "unlink")
            fetch_in(db, f"UPDATE intents SET kind = 'unlink' WHERE kind = 'remove' AND sop_uid IN {LIST}", sop_uids)  # noqa: S608
            if stamp is not None:
                set_meta(db, "ctk_stamp", stamp)
        if self._path is not None:
            damage.drop_set_aside(self._path)

    # Intents

    def add_intents(self, kind: str, rows: Iterable[tuple[str, str, str]]) -> None:
        """Write down work on files before it begins: (SOP Instance UID, stored name, detail).

        The kinds: ``receive``, with where the file comes from; ``remove``, with the stored name of its thumbnail;
        ``unlink``, what is left of that when the rows are gone; ``replace``, an old file that has to go once the row
        names another, with the stored name of its thumbnail; ``swap``, a file that is to replace what is here, with
        where it comes from. They are on the disk when this returns. What is about to be received is not to be removed
        any more.
        """
        rows = list(rows)
        with self._writing(durable=True) as db:
            if kind == "receive":
                for other in ("remove", "unlink"):
                    clear_intents(db, (sop_uid for sop_uid, _, _ in rows), other)
            db.executemany(
                "INSERT OR REPLACE INTO intents (sop_uid, kind, file, source) VALUES (?, ?, ?, ?)",
                [(sop_uid, kind, file, detail) for sop_uid, file, detail in rows],
            )

    def clear_intents(self, kind: str, sop_uids: Iterable[str]) -> None:
        """Strike off work that is done or undone."""
        with self._writing(scrub=kind == "unlink") as db:
            clear_intents(db, sop_uids, kind)

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
        statement = f"SELECT series_uid, local FROM series WHERE series_uid IN {LIST} AND local > 0"  # noqa: S608
        with self._using():
            return {r[0]: r[1] for r in fetch_in(self._connection, statement, series_uids)}

    def local_studies(self, query: QueryFilter = QueryFilter()) -> Iterator[Study]:  # noqa: B008 - frozen
        """Return the studies with anything local, each with its patient and the modalities that are here.

        Where the series here do not tell, the modalities are those that servers said.

        :param query: leaves out most of those that it does not match.
        """
        condition = studies_that_may_fit(query, narrowed(query, Places(), self._rows))
        rows = self._rows(
            "SELECT t.study_uid, t.date, t.time, t.description, t.accession_number, t.study_id,"  # noqa: S608
            r" coalesce(replace(group_concat(DISTINCT nullif(s.modality, '')), ',', '\'), t.known_modalities),"
            " t.sop_classes, p.patient_id, p.name, p.birth_date, p.sex, p.issuer"
            " FROM studies t JOIN patients p ON p.id = t.patient JOIN series s USING (study_uid)"
            f" WHERE t.local > 0 AND s.local > 0 AND {condition.sql} GROUP BY t.study_uid ORDER BY t.study_uid",
            condition.values,
        )
        yield from map(_study, rows)

    def local_series(self, study_uids: Iterable[str]) -> list[Series]:
        """Return the series of studies that have anything local; ``instance_count`` is what is local."""
        statement = (
            "SELECT series_uid, study_uid, number, modality, description, body_part, local FROM series"  # noqa: S608
            f" WHERE study_uid IN {LIST} AND local > 0 ORDER BY series_uid"
        )
        with self._using():
            return [Series(*row) for row in fetch_in(self._connection, statement, study_uids)]

    def local_totals(self) -> tuple[int, int, int, int]:
        """Return how many patients, studies, series and instances are local."""
        patients, studies, series, instances = self._rows(LOCAL_TOTALS)[0]
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

    def series_at_servers(self, study_uid: str) -> list[tuple[str, str, int, int | None]]:
        """Return who said to have which series of a study: (UID, server, how many are here, of how many it has)."""
        return self._rows(
            "SELECT s.series_uid, x.server, s.local, x.instance_count FROM series s"
            " JOIN series_servers x USING (series_uid) WHERE s.study_uid = ? ORDER BY s.number, s.series_uid",
            (study_uid,),
        )

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
        with self._using():
            row = row_now(self._connection, row)
            return [r[0] for r in self._rows("SELECT study_uid FROM studies WHERE patient = ?", (row,))]

    def rename_server(self, old: str, new: str) -> None:
        """Keep what a server said under its new name."""
        with self._writing() as db:
            for table in ("patient_servers", "study_servers", "series_servers"):
                db.execute(f"UPDATE OR REPLACE {table} SET server = ? WHERE server = ?", (new, old))  # noqa: S608
            db.execute("UPDATE OR IGNORE records SET alone = ? WHERE alone = ?", (owner_of(new), owner_of(old)))
            settle(db, [row[0] for row in db.execute(_DISPUTED).fetchall()])

    # Jobs

    def save_job(self, job_id: str, state: str, created: float, record: str) -> None:
        """Insert or replace a job of the persistent queue; ``record`` is its JSON text."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?)", (job_id, state, created, record))

    def delete_job(self, job_id: str) -> None:
        """Remove a job from the persistent queue, which may name a patient."""
        with self._writing(scrub=True) as db:
            db.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,))

    def jobs(self, job_id: str | None = None) -> list[str]:
        """Return the JSON texts of all jobs in the persistent queue, oldest first; or of one, if it is there."""
        if job_id is not None:
            return [r[0] for r in self._rows("SELECT record FROM jobs WHERE job_id = ?", (job_id,))]
        return [r[0] for r in self._rows("SELECT record FROM jobs ORDER BY created")]

    # Thumbnails

    def set_thumbnail(self, series_uid: str, sop_uid: str, file: str, placeholder: bool, reason: str) -> None:
        """Note the thumbnail that stands for a series."""
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?, ?)",
                (series_uid, sop_uid, file, int(placeholder), reason),
            )

    def drop_placeholders(self, outdated: Callable[[str], bool]) -> list[str]:
        """Forget the placeholders whose reason is outdated, and return the stored names of their files."""
        reasons = [row[0] for row in self._rows("SELECT DISTINCT reason FROM thumbnails WHERE placeholder = 1")]
        dropped: list[str] = []
        for reason in filter(outdated, reasons):
            which = "FROM thumbnails WHERE placeholder = 1 AND reason = ?"
            dropped += [row[0] for row in self._rows(f"SELECT file {which}", (reason,))]
            with self._writing() as db:
                db.execute(f"DELETE {which}", (reason,))
        return dropped

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


_COLUMN = {
    Level.PATIENT: "p.patient_id",
    Level.STUDY: "t.study_uid",
    Level.SERIES: "i.series_uid",
    Level.IMAGE: "i.sop_uid",
}


_MARKED_STUDIES = "SELECT study_uid FROM studies JOIN study_servers USING (study_uid) WHERE patient = ? AND server = ?"
_MARKED_SERIES = (
    "SELECT series_uid FROM series JOIN series_servers USING (series_uid) WHERE study_uid = ? AND server = ?"
)
_MARKED_RECORDS = "SELECT record FROM patient_servers WHERE patient = ? AND server = ?"
_MARKED = ("study_uid FROM study_servers", "series_uid FROM series_servers", "record FROM patient_servers")
_SERIES_OF = f"SELECT series_uid FROM series WHERE study_uid IN {LIST}"  # noqa: S608 - a constant
# Whose such a study is may depend on the names of the servers.
_DISPUTED = "SELECT study_uid FROM study_servers GROUP BY study_uid HAVING count(DISTINCT said) > 1"


def _note_found(
    db: sqlite3.Connection, server: str, studies: list[Study], series: list[Series], instances: list[Instance]
) -> None:
    series_uids = {found.series_uid for found in series} | {instance.series_uid for instance in instances}
    with settling(db, studies=[study.study_uid for study in studies], series=series_uids):
        for study in studies:
            add_study(db, study, local=False)
        for found in series:
            add_series(db, found, local=False)
        add_found_instances(db, instances)
        db.executemany(
            "INSERT INTO study_servers VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " series_count = coalesce(excluded.series_count, series_count),"
            " instance_count = coalesce(excluded.instance_count, instance_count), said = excluded.said",
            [(s.study_uid, server, s.series_count, s.instance_count, said_text(s.patient)) for s in studies],
        )
    db.executemany(
        "INSERT INTO series_servers VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
        " instance_count = coalesce(excluded.instance_count, instance_count)",
        [(found.series_uid, server, found.instance_count) for found in series],
    )
    db.executemany(  # who has a series of a study has the study
        "INSERT OR IGNORE INTO study_servers (study_uid, server)"
        " SELECT study_uid, ? FROM studies JOIN series USING (study_uid) WHERE series_uid = ?",
        [(server, found.series_uid) for found in series],
    )


def _others(rows: Sequence[Sequence[Any]], uids: Iterable[str]) -> list[str]:
    known = set(uids)
    return [row[0] for row in rows if row[0] not in known]


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
    return tuple(part for part in text.split(SEPARATOR) if part)
