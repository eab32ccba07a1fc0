"""What a viewer asks for: the stack of a series, frames as raw pixels, and the elements of an instance.

Files are read in child processes of their own, so that neither a broken one nor the making of thumbnails holds up the
viewer. What was made is kept in the session's folder.
"""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path

from ..domain.cancel import CancelToken
from ..domain.errors import BadData, StorageError, UsageError
from ..domain.model import Level
from ..domain.views import ElementPage, FrameView, Stack
from ..imaging.children import ChildFailed, Decoder
from ..imaging.views import GRAY16, check_view
from ..store.files import storage_error
from ..store.local import LocalStore
from .listings import Listings, identity
from .session_folder import FileCache, SessionFolder
from .stacks import FactsCache, stack_of

#: Bytes of frames that are kept.
FRAME_BYTES = 512 << 20
#: Seconds until a file is tried again that a child did not survive: the computer may have been too busy.
TRY_AGAIN_S = 60.0
#: Seconds for one frame.
FRAME_TIMEOUT_S = 20.0

_GREY_SIDE = 64
_GREY = (0x4000).to_bytes(2, "little") * (_GREY_SIDE * _GREY_SIDE)


class Viewer:
    """Serves one viewer after the other from a store. Every method may be called from any thread.

    :param decoder: makes frames and listings; closed with the viewer. Two children by default: a long listing does not
        stop a film.
    :param facts: of the files of stacks.
    :param frame_bytes: how many bytes of frames are kept.
    """

    def __init__(
        self,
        store: LocalStore,
        *,
        decoder: Decoder | None = None,
        facts: FactsCache | None = None,
        folder: SessionFolder | None = None,
        frame_bytes: int = FRAME_BYTES,
    ) -> None:
        self._store = store
        self._decoder = decoder or Decoder(max_children=2)
        self._facts = facts or FactsCache(store.path_of)
        self._folder = folder or SessionFolder()
        self._frames: FileCache[FrameView] = FileCache(frame_bytes)
        self._listings = Listings(self._decoder, self._folder)
        self._lock = threading.Lock()
        self._grey: Path | None = None

    def close(self) -> None:
        """End the children and delete what was kept."""
        self._decoder.close()
        self._folder.close()

    def forget_gone(self) -> None:
        """Delete what was made of files that are not there any more."""
        self._frames.forget(lambda key: isinstance(key, tuple) and not key[0].exists())
        self._listings.forget_gone()

    def stack(self, series_uid: str, token: CancelToken) -> Stack:
        """Return the images of a series that are here; see :class:`.Stack`. Frames will be asked for next."""
        self._decoder.warm()
        files = self._store.catalogue.local_files(Level.SERIES, [series_uid])
        return stack_of(files, self._facts, token)

    def frame(self, sop_uid: str, index: int, token: CancelToken) -> FrameView:
        """Return a frame of an instance that is here, counted from 0; a placeholder if it cannot be shown.

        :raises UsageError: the instance is not here, or there is no such number.
        :raises StorageError: the picture cannot be written.
        """
        if index < 0:
            raise UsageError("Frames are counted from 0.")
        try:
            path = self._path(sop_uid)
            key = (*identity(path), index)
        except (BadData, StorageError) as error:
            return self._placeholder(str(error))
        known = self._frames.get(key)
        return known if known is not None else self._decode(path, index, key, token)

    def elements(self, sop_uid: str, offset: int, limit: int, search: str, token: CancelToken) -> ElementPage:
        """Return some of the elements of an instance that is here.

        :param limit: at most :data:`~.listings.MAX_PAGE`.
        :param search: only what matches it, and what that stands below.
        :raises UsageError: the instance is not here.
        :raises BadData: its file is not DICOM, or a child did not survive it.
        :raises StorageError: the file cannot be read, or the listing not be written.
        """
        return self._listings.page(self._path(sop_uid), offset, limit, search, token)

    def _path(self, sop_uid: str) -> Path:
        files = self._store.catalogue.local_files(Level.IMAGE, [sop_uid])
        if not files:
            raise UsageError("This instance is not on this computer.")
        return self._store.path_of(files[0])

    # Frames

    def _decode(self, path: Path, index: int, key: tuple[Path, int, int, int], token: CancelToken) -> FrameView:
        made = self._folder.new_path(".raw")
        try:
            answer = self._decoder.ask("frame", path, made, FRAME_TIMEOUT_S, token=token, frame=index)
            view = FrameView(path=str(made), **asdict(check_view(answer)))
            self._frames.put(key, view, made, made.stat().st_size)
        except BadData as error:
            made.unlink(missing_ok=True)
            view = self._placeholder(str(error))
            seconds = TRY_AGAIN_S if isinstance(error, ChildFailed) else float("inf")
            self._frames.put(key, view, Path(view.path), 0, seconds)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        return view

    def _placeholder(self, reason: str) -> FrameView:
        with self._lock:
            if self._grey is None or not self._grey.exists():
                made = self._folder.new_path(".raw")
                try:
                    made.write_bytes(_GREY)
                except OSError as error:
                    raise storage_error(error, "write the picture") from error
                self._grey = made
        return FrameView(str(self._grey), _GREY_SIDE, _GREY_SIDE, GRAY16, placeholder=True, reason=reason)
