"""What is needed of a file to send it: who it is, how it is encoded, and its data set piece by piece."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from ..domain.errors import BadData, StorageError
from ..domain.uids import clean_uid, is_uid
from .elements import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Elements, RawElement, scan_file
from .files import storage_error

_MEDIA_STORAGE_SOP_CLASS = 0x00020002
_SOP_CLASS, _SOP_UID, _STUDY_UID, _SERIES_UID = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_WANTED = (_MEDIA_STORAGE_SOP_CLASS, _SOP_CLASS, _SOP_UID, _STUDY_UID, _SERIES_UID)
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
_MAGIC = b"DICM"


@dataclass(frozen=True)
class OutgoingFile:
    """A file with an instance that can be sent.

    :ivar transfer_syntax: in which the data set is really encoded, whatever the file says of explicit and implicit VR.
    :ivar study_uid: empty for the few objects that belong to no study; ``series_uid`` as well.
    :ivar offset: where the data set begins.
    :ivar size: bytes of the data set, up to the end of the file.
    """

    path: Path
    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax: str
    offset: int
    size: int


def read_outgoing(path: Path) -> OutgoingFile:
    """Look through a file for what is needed to send it.

    :raises BadData: not a whole DICOM file of an instance with usable UIDs.
    :raises StorageError: the file cannot be read.
    """
    found = scan_file(path, _WANTED)
    sop_class = _uid(found, _SOP_CLASS)
    if _MEDIA_DIRECTORY in (sop_class, _uid(found, _MEDIA_STORAGE_SOP_CLASS)):
        raise BadData("This is a DICOMDIR, the directory of a medium, not an image.")
    sop_uid = _uid(found, _SOP_UID)
    for uid, name in ((sop_class, "SOP Class UID"), (sop_uid, "SOP Instance UID")):
        if not is_uid(uid):
            raise BadData(f"The file has no usable {name}.")
    return OutgoingFile(
        path,
        sop_class,
        sop_uid,
        _uid(found, _STUDY_UID),
        _uid(found, _SERIES_UID),
        _real_syntax(found),
        found.dataset_offset,
        found.size - found.dataset_offset,
    )


def looks_like_dicom(path: Path) -> bool:
    """Tell whether a file has the mark of DICOM (PS3.10, 7.1), even if nothing else of it is right."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == _MAGIC
    except (OSError, ValueError):
        return False


@contextmanager
def opened_data_set(file: OutgoingFile) -> Iterator[DataSetReader]:
    """Open a file at its data set.

    :raises StorageError: it cannot be read, or is not what :func:`read_outgoing` saw.
    """
    try:
        stream = file.path.open("rb", buffering=0)
    except OSError as error:
        raise storage_error(error, "read the file") from error
    with stream:
        try:
            if os.fstat(stream.fileno()).st_size != file.offset + file.size:
                raise StorageError(_CHANGED)
            stream.seek(file.offset)
        except OSError as error:
            raise storage_error(error, "read the file") from error
        yield DataSetReader(stream)


class DataSetReader:
    """Reads on in a data set."""

    def __init__(self, stream: FileIO) -> None:
        self._stream = stream

    def fill(self, views: list[memoryview]) -> None:
        """Fill views one after the other with the next bytes, all of them.

        :raises StorageError: there are not so many, or they cannot be read.
        """
        try:
            count = _scatter(self._stream, views)
            for view in views:
                done = min(count, len(view))
                count -= done
                while done < len(view):
                    more = _scatter(self._stream, [view[done:]])
                    if not more:
                        raise StorageError(_CHANGED)
                    done += more
        except OSError as error:
            raise storage_error(error, "read the file") from error


def _read_into_first(stream: FileIO, views: list[memoryview]) -> int:
    return stream.readinto(views[0])


def _read_into_all(stream: FileIO, views: list[memoryview]) -> int:
    return os.readv(stream.fileno(), views)


#: Reads into views, with one call of the system; returns how many bytes came, which may be less. Windows has no readv.
_scatter = _read_into_all if hasattr(os, "readv") else _read_into_first


_CHANGED = "The file changed while it was sent."


def _uid(found: Elements, tag: int) -> str:
    return clean_uid(found.values.get(tag, RawElement("", b"")).value)


def _real_syntax(found: Elements) -> str:
    stated = found.transfer_syntax
    if not is_uid(stated):
        raise BadData("The Transfer Syntax UID of the file is not a UID.")
    if stated in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
        return EXPLICIT_LITTLE if found.explicit else IMPLICIT_LITTLE
    if not found.explicit and stated.startswith("1.2.840.10008."):
        raise BadData("The file is not encoded as its transfer syntax says.")
    return stated
