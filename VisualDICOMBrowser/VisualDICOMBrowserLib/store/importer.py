"""Files on this computer into the database: copied into its folder, or linked where they lie."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..domain.cancel import CancelToken
from ..domain.errors import BadData, DiskFull, StorageError, UsageError
from ..domain.results import Failure, ImportResult
from .duplicates import NotHere
from .files import PartFile, storage_error
from .headers import Header, read_header
from .index_queue import REFUSED
from .local import LocalStore
from .writer import Batch, Pending

_COPY_CHUNK = 1024 * 1024


class Importer:
    """One import.

    :param link: leave the files where they are, and only note them.
    :param replace: instances that are here already give way.
    :param progress: called with the number of files looked at so far.
    """

    def __init__(
        self,
        store: LocalStore,
        *,
        link: bool,
        token: CancelToken,
        progress: Callable[[int], None] = lambda _: None,
        replace: bool = False,
    ) -> None:
        self._store = store
        self._link = link
        self._replace = replace
        self._token = token
        self._progress = progress
        self._batch = Batch()
        self._rejected: list[Failure] = []
        self._no_room: list[Failure] = []
        self._paths: dict[str, Path] = {}

    def run(self, paths: Sequence[Path]) -> ImportResult:
        """Import files, and folders with all that is below them; links to folders are not followed.

        :raises UsageError: a path that does not exist.
        :raises Cancelled: on request; what was imported before stays.
        """
        started = time.monotonic()
        for path in paths:
            if not exists(path):
                raise UsageError(f"There is no file or folder {_shown(path)}.")
        files = 0
        try:
            for path in self._files(paths):
                self._token.check()
                files += 1
                self._take(path)
                self._progress(files)
        finally:
            self._batch.wait()
        failed = [Failure(_shown(self._paths[uid]), str(error)) for uid, error in self._batch.failed]
        return ImportResult(
            files=files,
            imported=len(self._batch.stored),
            duplicates=len(self._batch.duplicates),
            rejected=(*self._rejected, *failed),
            replaced=len(self._batch.replaced),
            conflicts=tuple(self._batch.conflicts),
            seconds=time.monotonic() - started,
            not_kept=(*self._no_room, *failed),
        )

    @property
    def stored(self) -> list[str]:
        """The SOP Instance UIDs of what was imported, or took the place of something."""
        return [*self._batch.stored, *self._batch.replaced]

    def as_seen(self, result: ImportResult) -> ImportResult:
        """Return the result of :meth:`run` as it is when the program that keeps the rows has seen, or refused, all."""
        conflicts = [replace(c, source=_shown(self._paths[c.sop_uid])) for c in self._store.take_conflicts(self.stored)]
        refused = sorted(self._store.refused(self.stored))
        failures = [Failure(_shown(self._paths[uid]), REFUSED) for uid in refused]
        not_stored = {*refused, *(conflict.sop_uid for conflict in conflicts)}
        return replace(
            result,
            imported=result.imported - len(not_stored.intersection(self._batch.stored)),
            replaced=result.replaced - len(not_stored.intersection(self._batch.replaced)),
            rejected=(*result.rejected, *failures),
            conflicts=(*result.conflicts, *conflicts),
        )

    def _files(self, paths: Sequence[Path]) -> Iterator[Path]:
        for path in paths:
            if not path.is_dir():
                yield path
                continue
            for parent, folders, names in os.walk(path, onerror=self._unreadable):
                folders[:] = sorted(name for name in folders if not self._is_incoming(Path(parent, name)))
                for name in sorted(names):
                    yield Path(parent, name)

    def _is_incoming(self, path: Path) -> bool:
        """Tell whether this is where files wait that are being stored: they come in by themselves."""
        incoming = self._store.folder.incoming_folder
        return path.name == incoming.name and path.resolve() == incoming

    def _unreadable(self, error: OSError) -> None:
        self._rejected.append(Failure(_shown(error.filename), str(storage_error(error, "read the folder"))))

    def _take(self, path: Path) -> None:
        try:
            if self._store.folder.is_database(path):
                raise BadData("This is a file of the database itself.")
            header = read_header(path)
            if self._is_here(path, header):
                return
            pending = self._linked(path, header) if self._link else self._copied(path, header)
        except (BadData, StorageError) as error:
            self._rejected.append(Failure(_shown(path), str(error)))
            if isinstance(error, DiskFull):
                self._no_room.append(self._rejected[-1])
        else:
            self._paths.setdefault(header.sop_uid, path)
            self._store.writer.put(pending, self._batch)

    def _is_here(self, path: Path, header: Header) -> bool:
        """Account for an instance that need not be copied: it is here, whatever its content, and does not give way.

        Nor does a file of the folder's own give way to one that is the same to the last byte: an import that was cut
        off may have brought it.
        """
        duplicates = self._store.duplicates
        if self._replace and not duplicates.is_file_of(header.sop_uid, path):
            is_under_way = header.sop_uid in self._paths  # and will change what is here
            if self._link or is_under_way or not duplicates.is_copy(path, header, owned=True):
                return False
            self._batch.note_duplicate(header.sop_uid)
            return True
        try:
            self._batch.note_duplicate(header.sop_uid, duplicates.judge(path, header, _shown(path)))
        except NotHere:
            return False
        return True

    def _linked(self, path: Path, header: Header) -> Pending:
        if _shown(path.absolute()) != str(path.absolute()):
            raise BadData("The name of the file is no text that a database can keep; import it by copying.")
        return Pending(header, None, path.absolute(), "import", self._replace, _shown(path))

    def _copied(self, path: Path, header: Header) -> Pending:
        final = self._store.folder.instance_path(header.study_uid, header.series_uid, header.sop_uid)
        part = PartFile(self._store.folder.incoming_folder / final.name)
        try:
            _copy(path, part)
            if part.size != header.size or read_header(part.part) != header:
                raise BadData("The file changed while it was read.")
            part.retarget(final)
        except BaseException:
            part.discard()
            raise
        return Pending(header, part, final, "import", self._replace, _shown(path))


def exists(path: Path) -> bool:
    """Tell whether there is such a file or folder, whatever its name is like."""
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def _shown(path: Path | str) -> str:
    """Return a path for people and for JSON; on Linux its name may be no text."""
    return str(path).encode("utf-8", "replace").decode("utf-8")


def _copy(source: Path, part: PartFile) -> None:
    try:
        with source.open("rb") as file:
            shutil.copyfileobj(file, _Sink(part), _COPY_CHUNK)
    except OSError as error:
        raise storage_error(error, "read the file") from error


class _Sink:
    """A part file as :func:`shutil.copyfileobj` wants it."""

    def __init__(self, part: PartFile) -> None:
        self._part = part

    def write(self, data: bytes) -> int:
        self._part.write(data)
        return len(data)
