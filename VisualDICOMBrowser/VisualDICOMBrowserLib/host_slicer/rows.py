"""Slicer's database for an engine on threads of Slicer's own process.

Such an engine must not open ``ctkDICOM*.sql``, not even to look at its first bytes: POSIX drops a process's locks on a
file, Qt's among them, when one descriptor of it closes. Instead it has ``slicer.dicomDatabase`` asked on the main
thread, by :class:`.Errands`. Only such an engine needs this module, and imports it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..domain.errors import StorageError
from ..domain.uids import is_uid
from ..engine.engine import Engine
from ..engine.service import HostedEngine
from ..store.ctk_content import CtkContent, CtkImage, CtkPatient, CtkSeries, CtkStudy
from ..store.ctk_parts import content_among, parts_of
from ..store.ctk_rows import dicom_date, tag_text
from ..store.files import storage_error
from .database import slicer_database
from .errands import Errands, Steps

#: A file that changed less than so long ago may change again without another time or size, in seconds: the coarsest
#: clock is that of FAT.
_CLOCK_S = 2.0


@dataclass(frozen=True)
class _KnownSeries:
    """A series as it was when its rows were read; they are read again if its instances or files are others.

    They are, too, if its own row is another one, as after a removal: then it may say something else of the same files.
    """

    inserted: str
    instances: tuple[str, ...]
    files: tuple[str, ...]
    series: CtkSeries
    images: tuple[CtkImage, ...]


def make_engine(
    database: Path, config: Path, errands: Errands, opening: Callable[[int, int], None] = lambda done, total: None
) -> HostedEngine:
    """Make an engine for this process, on a thread of its own; it has Slicer asked for rows.

    :param opening: as for :class:`.Engine`.
    """
    engine: HostedEngine = Engine(
        database,
        config,
        rows_by_host=True,
        rows=SlicerRows(database, errands),
        decode_here=True,
        listen=True,
        opening=opening,
    )
    return engine


class SlicerRows:
    """Answers what an engine asks of a ctkDICOM database. Called from the engine's threads; never on the main thread.

    All series are asked for at each refresh. Slicer's database object does not tell which rows changed, nor their
    numbers, by which the file is read in parts (:mod:`..store.ctk_parts`), and the file must not be opened here. What
    is kept of a series spares the queries for its images, and the mirror takes over only the studies that changed.

    All methods raise :class:`~..domain.errors.StorageError` when Slicer has closed this database or opened another.

    :param folder: the database folder.
    :param database: returns ``slicer.dicomDatabase``; called on the main thread.
    """

    def __init__(self, folder: Path, errands: Errands, database: Callable[[], Any] | None = None) -> None:
        self._folder = folder.resolve()
        self._errands = errands
        self._database = database or slicer_database
        self._read = CtkContent((), (), (), ())
        self._known: dict[str, _KnownSeries] = {}
        self._file: Path | None = None
        self._checked = ""  # the last name of the folder that was seen to be the right one

    def snapshot(self) -> CtkContent:
        """Read all that is local: three queries for each series that is as it was, and one for each image of others."""
        return self._errands.do(self._content)

    def image_pages(self) -> Iterator[Sequence[CtkImage]]:
        """Yield the images of :meth:`snapshot`: what is read of them is kept in any case."""
        yield self.snapshot().images

    def parts(self) -> dict[str, str]:
        """Return digests of all studies; what was read for them is kept for :meth:`content_of`."""
        self._read = self.snapshot()
        return parts_of(self._read)

    def studies_in(self, parts: Iterable[str]) -> dict[str, list[str]]:
        """Return the UIDs of the studies of parts: each study is one."""
        return {part: [part] for part in parts}

    def parts_holding(self, study_uids: Iterable[str]) -> dict[str, set[str]]:
        """Return the part of each study."""
        return {uid: {uid} for uid in study_uids}

    def content_of(self, study_uids: Iterable[str]) -> CtkContent:
        """Return what was local of studies when :meth:`parts` was called last."""
        return content_among(self._read, study_uids)

    def is_local(self, sop_uids: Iterable[str]) -> set[str]:
        """Return those of the instances that have a row with a file."""
        uids = list(sop_uids)
        return self._errands.do(lambda: self._local(uids))

    def images(self, *, sop_uids: Iterable[str] = (), series_uids: Iterable[str] = ()) -> list[CtkImage]:
        """Return the rows with a file of images, and of series."""
        uids, series = list(sop_uids), list(series_uids)
        return self._errands.do(lambda: self._rows(uids, series))

    def tags_for(self, sop_uids: Iterable[str], tags: Iterable[str]) -> dict[str, dict[str, str | None]]:
        """Read the tag cache: SOP Instance UID -> ``"GGGG,EEEE"`` -> text, None if the instance lacks the element.

        Instances and tags that the cache does not know are left out.
        """
        uids, names = list(sop_uids), list(tags)
        return self._errands.do(lambda: self._cached(uids, names))

    def change_stamp(self) -> tuple[int, int, int]:
        """Return a value that changes whenever ``ctkDICOM.sql`` does: whether it is at rest, size, time in ns.

        While it is not at rest (1), the value may hide a change; it becomes another one when it is (0), and who
        compares looks again. Nothing is opened.
        """
        if self._file is None:
            self._file = self._errands.do(self._name)
        try:
            status = self._file.stat()
        except OSError as error:
            raise storage_error(error, "read the database") from error
        at_rest = time.time() - status.st_mtime > _CLOCK_S
        return int(not at_rest), status.st_size, status.st_mtime_ns

    def close(self) -> None:
        """Answer whoever waits, and nobody any more."""
        self._errands.close()

    def _open(self) -> Any:
        """Return the database; looked at before each query, because Slicer may open another one between two slices."""
        database = self._database()
        if database is None or not database.isOpen:
            raise StorageError("Slicer has closed its DICOM database.")
        directory = str(database.databaseDirectory)
        if directory != self._checked and Path(directory).resolve() != self._folder:
            raise StorageError("Slicer has opened another DICOM database.")
        self._checked = directory
        return database

    def _name(self) -> Steps[Path]:
        return Path(self._open().databaseFilename)
        yield

    def _content(self) -> Steps[CtkContent]:
        patients: list[CtkPatient] = []
        studies: list[CtkStudy] = []
        found: dict[str, _KnownSeries] = {}
        for patient in self._open().patients():
            before = len(studies)
            for study_uid in self._open().studiesForPatient(patient):
                series = yield from self._series_of(study_uid)
                if series:
                    studies.append(self._study(int(patient), study_uid))
                    found.update(series)
                yield
            if len(studies) > before:
                patients.append(self._patient(patient))
        self._known = found
        images = (image for known in found.values() for image in known.images)
        return CtkContent(
            tuple(patients), tuple(studies), tuple(known.series for known in found.values()), tuple(images)
        )

    def _series_of(self, study_uid: str) -> Steps[dict[str, _KnownSeries]]:
        found: dict[str, _KnownSeries] = {}
        if not is_uid(study_uid):
            return found
        for uid in self._open().seriesForStudy(study_uid):
            if is_uid(uid):
                known = yield from self._one_series(study_uid, uid)
                if known.images:
                    found[uid] = known
            yield
        return found

    def _one_series(self, study_uid: str, uid: str) -> Steps[_KnownSeries]:
        database = self._open()
        instances, files = tuple(database.instancesForSeries(uid)), tuple(database.filesForSeries(uid))
        inserted = str(database.fieldForSeries("InsertTimestamp", uid))
        known = self._known.get(uid)
        if known is not None and (known.inserted, known.instances, known.files) == (inserted, instances, files):
            return known
        series = self._series(study_uid, uid)
        images = yield from self._images(instances, uid)
        return _KnownSeries(inserted, instances, files, series, tuple(images))

    def _images(self, sop_uids: Iterable[str], series_uid: str = "") -> Steps[list[CtkImage]]:
        """Return the rows with a file of images; of a series, or of the one that the database names."""
        images = []
        for sop_uid in sop_uids:
            yield
            file = str(self._open().fileForInstance(sop_uid))
            if file and is_uid(sop_uid):
                series = series_uid or str(self._open().seriesForFile(file))
                images.append(CtkImage(sop_uid, series, self._stored_name(file)))
        return images

    def _patient(self, key: str) -> CtkPatient:
        def field(name: str) -> str:
            return str(self._open().fieldForPatient(name, key))

        birth_date = dicom_date(field("PatientsBirthDate"))
        return CtkPatient(int(key), field("PatientID"), field("PatientsName"), birth_date, field("PatientsSex"))

    def _study(self, patient: int, uid: str) -> CtkStudy:
        def field(name: str) -> str:
            return str(self._open().fieldForStudy(name, uid))

        return CtkStudy(
            study_uid=uid,
            patient_uid=patient,
            study_id=field("StudyID"),
            date=dicom_date(field("StudyDate")),
            time=field("StudyTime"),
            description=field("StudyDescription"),
            accession_number=field("AccessionNumber"),
        )

    def _series(self, study_uid: str, uid: str) -> CtkSeries:
        def field(name: str) -> str:
            return str(self._open().fieldForSeries(name, uid))

        return CtkSeries(
            series_uid=uid,
            study_uid=study_uid,
            number=_integer(field("SeriesNumber")),
            modality=field("Modality"),
            description=field("SeriesDescription"),
            body_part=field("BodyPartExamined"),
        )

    def _stored_name(self, file: str) -> str:
        """Undo what CTK does to the stored name: relative ones come with the database's folder in front."""
        return file.removeprefix(f"{str(self._open().databaseDirectory).rstrip('/')}/")

    def _rows(self, sop_uids: list[str], series_uids: list[str]) -> Steps[list[CtkImage]]:
        found = yield from self._images(sop_uids)
        for uid in series_uids:
            found += yield from self._images(self._open().instancesForSeries(uid), uid)
        return found

    def _local(self, uids: list[str]) -> Steps[set[str]]:
        local = set()
        for uid in uids:
            if self._open().fileForInstance(uid):
                local.add(uid)
            yield
        return local

    def _cached(self, uids: list[str], tags: list[str]) -> Steps[dict[str, dict[str, str | None]]]:
        found: dict[str, dict[str, str | None]] = {}
        for uid in uids:
            for tag in tags:
                value = str(self._open().cachedTag(uid, tag))
                if value:
                    found.setdefault(uid, {})[tag] = tag_text(value)
            yield
        return found


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
