"""Where things lie in a database folder.

The layout is CTK's: ``dicom/<A>/<B>/<C>.dcm`` with A and B the first 8 hexadecimal digits of the MD5 of the
Study and the Series Instance UID, C all 32 of the SOP Instance UID. A UID itself never becomes a path.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import md5
from pathlib import Path

from ..domain.errors import BadData

_THUMBNAIL = re.compile(r"thumbs(/[A-Za-z0-9_-]+)+\.png")
_PROGRAM_FILES = ("ctkdicom.sql", "ctkdicomtagcache.sql", "visual-dicom-browser.")


@dataclass(frozen=True)
class DatabaseFolder:
    """The names in one database folder; nothing is created.

    :ivar root: absolute, symbolic links resolved.
    :ivar owns_all: whether all files inside belong to the database, as Slicer has it; else our own folders only.
    """

    root: Path
    owns_all: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).resolve())

    @property
    def ctk_database(self) -> Path:
        """The SQLite database that CTK knows."""
        return self.root / "ctkDICOM.sql"

    @property
    def ctk_tag_cache(self) -> Path:
        """CTK's second SQLite database: tag values of each instance."""
        return self.root / "ctkDICOMTagCache.sql"

    @property
    def catalogue(self) -> Path:
        """Our own index of all that is known."""
        return self.root / "visual-dicom-browser.sqlite"

    @property
    def lock_file(self) -> Path:
        """Held by the one engine that works in the folder."""
        return self.root / "visual-dicom-browser.lock"

    @property
    def dicom_folder(self) -> Path:
        """Copies of DICOM files."""
        return self.root / "dicom"

    @property
    def incoming_folder(self) -> Path:
        """Files on their way in, all with the suffix ``.part``: on the same file system as their destination."""
        return self.dicom_folder / "incoming"

    @property
    def thumbs_folder(self) -> Path:
        """Thumbnails."""
        return self.root / "thumbs"

    @property
    def trash_folder(self) -> Path:
        """Removed files that can still be brought back."""
        return self.root / ".trash"

    def instance_path(self, study_uid: str, series_uid: str, sop_uid: str) -> Path:
        """Return where the file of an instance belongs."""
        return self.dicom_folder / f"{_hashed(study_uid, series_uid, sop_uid)}.dcm"

    def thumbnail_path(self, study_uid: str, series_uid: str, sop_uid: str) -> Path:
        """Return where the thumbnail of an instance belongs."""
        return self.thumbs_folder / f"{_hashed(study_uid, series_uid, sop_uid)}.png"

    def thumbnail(self, stored: str) -> str | None:
        """Return the path of a thumbnail by its stored name; None for any name that cannot be one.

        Nothing is looked up on the disk, and no Path is made: for those who show many.
        """
        if not _THUMBNAIL.fullmatch(stored):
            return None
        return os.path.join(str(self.root), *stored.split("/"))  # noqa: PTH118

    def stored_name(self, path: Path) -> str:
        """Return ``path`` as CTK stores it: relative with ``/`` if inside the folder, else absolute."""
        if path.is_absolute() and path.name != ".." and not _is_link(path):
            folder = _stored_folder(self.root, str(path.parent))
            if folder is not None:
                return f"{folder}{path.name}"
        inside = self._inside(path)
        return (inside.relative_to(self.root) if inside else Path(path).absolute()).as_posix()

    def absolute(self, stored: str) -> Path:
        """Return the path that a stored name means.

        :raises BadData: the name is empty, relative and leads out of the folder, or means a database itself.
        """
        path = Path(stored) if Path(stored).is_absolute() else self._inside(self.root / stored)
        if path is None:
            raise BadData("The database names a file that lies outside its folder.")
        if self.is_database(path):
            raise BadData("The database names itself as an image.")
        return path

    def is_database(self, path: Path) -> bool:
        """Tell whether ``path`` is one of the folder's databases, their journals, or the lock file.

        They must never be opened as images: POSIX drops the locks on a file as soon as a process closes it once.
        """
        if not (path.name.casefold().startswith(_PROGRAM_FILES) or _is_link(path)):
            return False
        inside = self._inside(path)
        return inside is not None and inside.parent == self.root and inside.name.casefold().startswith(_PROGRAM_FILES)

    def owns(self, path: Path) -> bool:
        """Tell whether ``path`` is a copy of ours: no other file is ever deleted.

        It lies below ``dicom/`` or ``thumbs/`` once all symbolic links are followed; see also :attr:`owns_all`.
        """
        inside = self._inside(path)
        if inside is None:
            return False
        if self.owns_all:
            return self.trash_folder not in inside.parents and not self.is_database(inside)
        return not {self.dicom_folder, self.thumbs_folder}.isdisjoint(inside.parents)

    def find(self, stored: str) -> Path | None:
        """Return the file that a stored name means, or None if there is none, or the name is not to be trusted."""
        try:
            path = self.absolute(stored)
            return path if path.is_file() else None
        except (BadData, OSError, ValueError):
            return None

    def _inside(self, path: Path) -> Path | None:
        try:
            resolved = os.path.realpath(path)  # Path.resolve takes three times as long
        except (OSError, ValueError):  # a NUL character
            return None
        inside = Path(resolved)
        above = os.path.join(self.root, "")  # noqa: PTH118 - ends with a separator
        return inside if resolved.startswith(above) or self.root in inside.parents else None


@lru_cache(maxsize=256)
def _stored_folder(root: Path, folder: str) -> str | None:
    """Return what precedes the names of files in a folder, None if that is not inside.

    Kept, so only good for names: what is opened or deleted is looked at each time.
    """
    try:
        inside = Path(folder).resolve().relative_to(root).as_posix()
    except (OSError, RuntimeError, ValueError):
        return None
    return "" if inside == "." else f"{inside}/"


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _hashed(study_uid: str, series_uid: str, sop_uid: str) -> str:
    study, series, sop = (
        md5(uid.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        for uid in (study_uid, series_uid, sop_uid)
    )
    return f"{study[:8]}/{series[:8]}/{sop}"
