"""Copies of local instances in a folder for others: patient / study / series / 00001.dcm, named for people."""

from __future__ import annotations

import filecmp
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

from ..domain.cancel import CancelToken
from ..domain.errors import BadData, StorageError, UsageError
from ..domain.model import Series, Study, Target, readable_date
from ..domain.people import display_name
from ..domain.results import ExportResult, Failure
from .catalogue import Catalogue, LocalFile
from .files import make_folder, storage_error, unlink_with_retry
from .headers import read_header
from .layout import DatabaseFolder
from .safe_names import safe_name

_CHUNK = 1024 * 1024
#: What a disk shall have left, beside the files themselves.
_SPARE_BYTES = 16 * 1024 * 1024
_MAX_FOLDERS = 1000
_SUFFIX = ".part"


class Store(Protocol):
    """What it needs of the local store."""

    folder: DatabaseFolder
    catalogue: Catalogue

    def path_of(self, file: LocalFile) -> Path:
        """Return where a file lies."""


@dataclass(frozen=True)
class _Copy:
    """One file to be made."""

    sop_uid: str
    source: Path
    name: str


class Exporter:
    """One export.

    :param progress: called with the number of files that are done, of how many, and the bytes copied so far.
    """

    def __init__(self, store: Store, token: CancelToken, progress: Callable[[int, int | None, int], None]) -> None:
        self._store = store
        self._token = token
        self._progress = progress
        self._failed: list[Failure] = []
        self._files = 0
        self._done = 0
        self._total = 0
        self._bytes = 0
        self._taken: dict[str, str] = {}

    def run(self, target: Target, folder: Path) -> ExportResult:
        """Copy what is here of a target.

        Nothing that lies in the folder is overwritten: files that are the same count as exported, and for others the
        folder of the series gets a number.

        :raises UsageError: nothing of the target is here, or the folder is the database's own.
        :raises StorageError: the folder cannot be written, or has not enough room.
        :raises Cancelled: on request; what was copied stays.
        """
        started = time.monotonic()
        files = self._store.catalogue.local_files(target.level, target.uids)
        if not files:
            raise UsageError("Nothing of that is on this computer.")
        root = self._prepared(folder)
        self._total = len(files)
        self._require_room(files, root)
        files.sort(key=_series_of)  # of many instances, the catalogue gives a series in several parts
        for series_uid, group in groupby(files, key=_series_of):
            self._export_series(series_uid, list(group), root)
        return ExportResult(str(root), self._files, tuple(self._failed), time.monotonic() - started)

    def _prepared(self, folder: Path) -> Path:
        try:
            root = folder.resolve()
            own = self._store.folder.root
            if own == root or own in root.parents:
                raise UsageError("Files cannot be exported into the database folder; choose another one.")
            root.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError, ValueError) as error:
            problem = error if isinstance(error, OSError) else OSError(str(error))
            raise storage_error(problem, "create the folder") from error
        return root

    def _require_room(self, files: Sequence[LocalFile], root: Path) -> None:
        needed = sum(self._size(file) for file in files) + _SPARE_BYTES
        try:
            free = shutil.disk_usage(root).free
        except OSError:
            return  # a file system that does not tell
        if free < needed:
            raise StorageError(
                f"There is not enough room: {needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free."
            )

    def _size(self, file: LocalFile) -> int:
        try:
            return self._store.path_of(file).stat().st_size
        except (BadData, OSError):
            return 0

    def _export_series(self, series_uid: str, files: Sequence[LocalFile], root: Path) -> None:
        known = self._store.catalogue.find_series(series_uid)
        if known is None:
            for file in files:
                self._miss(file.instance.sop_uid, "It was removed meanwhile.")
            return
        copies = self._copies(files)
        if not copies:
            return  # all of them are in the failures
        folder = self._folder_for(root, *known, copies)
        for copy in copies:
            self._token.check()
            try:
                self._copy(copy, folder / copy.name)
            except _Unreadable as error:
                self._miss(copy.sop_uid, str(error))
            else:
                self._files += 1
                self._tell()

    def _copies(self, files: Sequence[LocalFile]) -> list[_Copy]:
        """Return the files of a series in the order of its instances; those that are gone are failures."""
        found: list[tuple[int, str, Path]] = []
        for file in files:
            self._token.check()
            sop_uid = file.instance.sop_uid
            try:
                path = self._store.path_of(file)
                number = read_header(path).instance_number
                found.append((number if number is not None else 0, sop_uid, path))
            except (BadData, StorageError) as error:
                self._miss(sop_uid, str(error))
        return [_Copy(uid, path, f"{n:05d}.dcm") for n, (_, uid, path) in enumerate(sorted(found), 1)]

    def _miss(self, sop_uid: str, reason: str) -> None:
        self._failed.append(Failure(sop_uid, reason))
        self._tell()

    def _tell(self) -> None:
        self._done += 1
        self._progress(self._done, self._total, self._bytes)

    def _folder_for(self, root: Path, study: Study, series: Series, copies: Sequence[_Copy]) -> Path:
        patient = study.patient
        person = "-".join(part for part in (patient.patient_id.strip(), display_name(patient.name)) if part)
        what = series.description or series.modality
        parts = (
            (f"{patient.patient_id}\0{patient.name}\0{patient.issuer}", person, "patient"),
            (study.study_uid, f"{readable_date(study.date)} {study.description}", "study"),
            (series.series_uid, f"{'' if series.number is None else series.number} {what}", "series"),
        )
        folder = root
        for key, text, fallback in parts:
            is_fine = _always if fallback != "series" else lambda path: _takes(path, copies)
            folder = self._claim(folder, safe_name(text, fallback), f"{fallback}\0{key}", is_fine)
        make_folder(folder)
        return folder

    def _claim(self, parent: Path, name: str, owner: str, is_fine: Callable[[Path], bool]) -> Path:
        """Return a folder for one patient, study or series: the named one, or a numbered one if that is another's."""
        for number in range(1, _MAX_FOLDERS + 1):
            path = parent / (name if number == 1 else f"{name} ({number})")
            # Without regard to case, as Windows and macOS compare.
            if self._taken.get(str(path).casefold(), owner) == owner and is_fine(path):
                self._taken[str(path).casefold()] = owner
                return path
        raise StorageError("There are too many folders of the same name.")

    def _copy(self, copy: _Copy, final: Path) -> None:
        if _exists(final):
            return  # the same: see _takes
        part = final.with_name(f"{final.name}{_SUFFIX}")
        try:
            self._bytes += _copy_bytes(copy.source, part, self._token)
            _name_anew(part, final)
        except BaseException:
            unlink_with_retry(part)
            raise


class _Unreadable(StorageError):
    """The source, not the destination, is what cannot be read."""


def _series_of(file: LocalFile) -> str:
    return file.instance.series_uid


def _always(_: Path) -> bool:
    return True


def _takes(folder: Path, copies: Iterable[_Copy]) -> bool:
    """Tell whether nothing in a folder stands where one of the copies shall go, unless it is the same file."""
    if not folder.is_dir():
        return not _exists(folder)
    return all(not _exists(folder / c.name) or _is_same(c.source, folder / c.name) for c in copies)


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return not other.is_symlink() and other.is_file() and filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _copy_bytes(source: Path, part: Path, token: CancelToken) -> int:
    try:
        reading = source.open("rb")
    except OSError as error:
        raise _Unreadable(str(storage_error(error, "read the file"))) from error
    with reading:
        unlink_with_retry(part)
        try:
            writing = part.open("xb")
        except OSError as error:
            raise storage_error(error, "create the file") from error
        try:
            with writing:
                return _pump(reading.read, writing.write, token)
        except OSError as error:  # also when closing writes the rest
            raise storage_error(error, "write the file") from error


def _pump(read: Callable[[int], bytes], write: Callable[[bytes], int], token: CancelToken) -> int:
    size = 0
    while True:
        token.check()
        try:
            chunk = read(_CHUNK)
        except OSError as error:
            raise _Unreadable(str(storage_error(error, "read the file"))) from error
        if not chunk:
            return size
        write(chunk)
        size += len(chunk)


def _name_anew(part: Path, final: Path) -> None:
    """Give a file its name unless something has it: a link does that at once, where there are links."""
    try:
        try:
            os.link(part, final)
        except FileExistsError:
            raise
        except OSError:
            if _exists(final):
                raise
            part.rename(final)
            return
        unlink_with_retry(part)
    except OSError as error:
        raise storage_error(error, "rename the file") from error
