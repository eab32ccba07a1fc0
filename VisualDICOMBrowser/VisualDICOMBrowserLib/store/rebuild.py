"""Making CTK's databases anew from the files, where they are damaged, and completing them where they are not.

Rows come from the files below ``dicom/``, and from linked files that the catalogue knows, or that can be read in the
old database. What was damaged is kept under another name. A mark is set until all is done: half-made, the database
would make the catalogue forget linked files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from ..domain.errors import BadData, StorageError
from ..domain.results import Failure, RebuildResult, SetAside
from . import ctk_damage, damage
from .ctk_database import CtkDatabase, check_version
from .ctk_rows import StoredInstance
from .files import PART_SUFFIX
from .headers import read_header
from .layout import DatabaseFolder
from .recovery import files_below
from .sqlite import chunks, connect, storage_errors

_AT_ONCE = 500


def rebuild(folder: DatabaseFolder) -> RebuildResult:
    """Make CTK's databases whole. Called with the folder locked and nothing of it open.

    :raises SchemaMismatch: a database of another version, which is left as it is.
    :raises StorageError: the disk is in the way; to be tried again.
    """
    resumed = ctk_damage.is_being_rebuilt(folder)
    wrong = {path: how for path in (folder.ctk_database, folder.ctk_tag_cache) if (how := _what_is_wrong(path))}
    ctk_damage.note_rebuilding(folder)
    aside = [SetAside(path.name, how, damage.set_aside(path).name) for path, how in wrong.items()]
    with CtkDatabase.open(folder) as ctk:
        made = _Rebuilding(folder, ctk, [folder.root / one.kept_as for one in aside])
        made.add_rows()
        if resumed or folder.ctk_tag_cache in wrong:
            made.describe()
    damage.forget_damage(folder.ctk_database)
    return RebuildResult(tuple(aside), made.rows, tuple(made.failed))


def _what_is_wrong(path: Path) -> str:
    """Return what is wrong with a database as a clause, empty if it is whole or there is none."""
    if not path.exists():
        return ""
    if path.stat().st_size == 0:
        return "it was empty"
    if damage.is_damaged(path):
        return "it was damaged"
    with closing(connect(path)) as connection, storage_errors():
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master").fetchall()}
        if "SchemaInfo" in tables:
            check_version(connection)
    return "" if not tables or {"SchemaInfo", "TagCache"} & tables else "it was a database of another program"


@dataclass
class _Rebuilding:
    folder: DatabaseFolder
    ctk: CtkDatabase
    aside: list[Path]
    rows: int = 0
    failed: list[Failure] = field(default_factory=list)

    def add_rows(self) -> None:
        """Give rows to all files that have none."""
        for items in chunks(self._found(), _AT_ONCE):
            self.rows += self.ctk.insert(items)

    def describe(self) -> None:
        """Fill the tag cache from the files of all rows; those that cannot be read go without."""
        for images in chunks(self.ctk.snapshot().images, _AT_ONCE):
            items = (self._read(image.filename, tell=False) for image in images)
            self.ctk.describe([item for item in items if item is not None])

    def _found(self) -> Iterator[StoredInstance]:
        known = {self.folder.find(image.filename) for image in self.ctk.snapshot().images}
        known.update(self._being_removed())
        here = {image.sop_uid for image in self.ctk.snapshot().images}
        for name in self._names():
            if self._path(name) in known:
                continue
            item = self._read(name)
            if item is not None and item.header.sop_uid in here:
                self.failed.append(Failure(name, "Another file of the same instance has the row."))
            elif item is not None:
                here.add(item.header.sop_uid)
                yield item

    def _being_removed(self) -> Iterator[Path | None]:
        kinds = ("remove", "unlink")
        for _, kind, file in damage.salvage(self.folder.catalogue, "intents", "sop_uid, kind, file", "sop_uid"):
            if kind in kinds:
                yield self._path(str(file))

    def _names(self) -> Iterator[str]:
        """Yield the stored names of all files that may want a row, each once."""
        names = dict.fromkeys(
            self.folder.stored_name(path)
            for path in sorted(files_below(self.folder.dicom_folder))
            if not path.name.endswith(PART_SUFFIX)
        )
        names.update(dict.fromkeys(file for _, file in ctk_damage.local_files(self.folder.catalogue)))
        for path in self.aside:
            images = damage.salvage(path, "Images", "rowid, Filename", "rowid")
            names.update(dict.fromkeys(file for _, file in images if file and isinstance(file, str)))
        yield from names

    def _path(self, name: str) -> Path | None:
        try:
            return self.folder.absolute(name).resolve()
        except (BadData, OSError, ValueError):
            return None

    def _read(self, name: str, *, tell: bool = True) -> StoredInstance | None:
        try:
            path = self.folder.absolute(name)
            return StoredInstance(read_header(path), path)
        except (BadData, StorageError, ValueError) as error:
            if tell:
                self.failed.append(Failure(name, str(error)))
            return None
