"""A server for C-FIND and C-GET that counts who is there at once, as real ones do that have a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from pydicom import dcmread

from .corpus import CorpusFile
from .messages import C_STORE, RESPONSE, STUDY_ROOT_FIND, Message, find_rsp, get_rsp, store_rq
from .mute_pacs import answer_about
from .pdu import EXPLICIT_LITTLE, release_rp
from .scripted_peer import Conversation


class CountingServer:
    """A script for :class:`.ScriptedPeer`.

    An association counts until its release is confirmed, or it is aborted; so the count never runs after the client's.

    :param pause: seconds before each instance.
    :ivar peak: how many associations there were at most.
    """

    def __init__(self, files: Sequence[CorpusFile], pause: float = 0.0) -> None:
        self._files = list(files)
        self._pause = pause
        self._lock = threading.Lock()
        self._open = 0
        self.peak = 0

    def __call__(self, peer: Conversation) -> None:
        """Serve one association."""
        request = peer.receive_association()
        self._count(1)
        peer.accept(request)
        try:
            while True:
                message = peer.receive_message()
                if message.command["AffectedSOPClassUID"] == STUDY_ROOT_FIND:
                    self._find(peer, message)
                else:
                    self._get(peer, message)
        except AssertionError:  # a release, an abort or a hang-up, all the same to a count
            self._count(-1)
        if peer.is_released:
            peer.send(release_rp())

    def _count(self, more: int) -> None:
        with self._lock:
            self._open += more
            self.peak = max(self.peak, self._open)

    def _wanted(self, message: Message) -> list[CorpusFile]:
        keys = message.dataset(EXPLICIT_LITTLE)
        series, instances = keys.get("SeriesInstanceUID", ""), keys.get("SOPInstanceUID", "")
        return [
            file
            for file in self._files
            if keys.get("StudyInstanceUID", "") in ("", file.study_uid)
            and series in ("", file.series_uid)
            and (not instances or file.sop_uid in instances)
        ]

    def _find(self, peer: Conversation, message: Message) -> None:
        level = message.dataset(EXPLICIT_LITTLE).QueryRetrieveLevel
        told = {"STUDY": "study_uid", "SERIES": "series_uid", "IMAGE": "sop_uid"}[level]
        for file in {getattr(file, told): file for file in self._wanted(message)}.values():
            peer.send(find_rsp(message, answer_about(file, level), transfer_syntax=EXPLICIT_LITTLE))
        peer.send(self.end(message))

    def end(self, message: Message) -> Message:
        """Return what tells the end of a list."""
        return find_rsp(message)

    def _get(self, peer: Conversation, message: Message) -> None:
        assert peer.request is not None
        wanted = self._wanted(message)
        for number, file in enumerate(wanted, 1):
            time.sleep(self._pause)
            context_id = peer.request.context_id(file.sop_class, EXPLICIT_LITTLE)
            data = dcmread(file.path)
            peer.send(
                store_rq(
                    context_id, file.sop_class, file.sop_uid, data, message_id=number, transfer_syntax=EXPLICIT_LITTLE
                )
            )
            assert peer.receive_message().field == C_STORE | RESPONSE
        peer.send(get_rsp(message, completed=len(wanted)))
