"""A PACS that moves what it has without a word before the end, which is always success."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pydicom.dataset import Dataset

from .corpus import CorpusFile
from .messages import STUDY_ROOT_FIND, Message, find_rsp, get_rsp
from .pdu import EXPLICIT_LITTLE, release_rp
from .scripted_peer import Conversation
from .sender import send_files


class MutePacs:
    """A script for :class:`.ScriptedPeer`: it has one series, and sends it to one destination, whatever it is asked.

    :param destination: address and AE title.
    :param sends: how many of the files it really sends.
    :param pause: seconds before each.
    :ivar moves: how many C-MOVE requests came.
    :ivar refused: how many files the destination did not take, which changes nothing about what it says.
    """

    def __init__(
        self,
        files: Sequence[CorpusFile],
        destination: tuple[tuple[str, int], str],
        *,
        sends: int | None = None,
        pause: float = 0.0,
    ) -> None:
        self.files = list(files)
        self.destination = destination
        self.sends = len(self.files) if sends is None else sends
        self.pause = pause
        self.moves = 0
        self.refused = 0

    def __call__(self, peer: Conversation) -> None:
        """Serve one association."""
        peer.accept_association()
        while True:
            try:
                message = peer.receive_message()
            except AssertionError:
                if peer.is_released:
                    peer.send(release_rp())
                return
            if message.command["AffectedSOPClassUID"] == STUDY_ROOT_FIND:
                self._find(peer, message)
            else:
                self._move(peer, message)

    def _find(self, peer: Conversation, message: Message) -> None:
        level = message.dataset(EXPLICIT_LITTLE).QueryRetrieveLevel
        for file in self.files if level == "IMAGE" else self.files[:1]:
            peer.send(find_rsp(message, answer_about(file, level), transfer_syntax=EXPLICIT_LITTLE))
        peer.send(find_rsp(message))

    def _move(self, peer: Conversation, message: Message) -> None:
        self.moves += 1
        for file in self.files[: self.sends]:
            time.sleep(self.pause)
            self.refused += len(send_files(*self.destination, [file]))
        peer.send(get_rsp(message))


def answer_about(file: CorpusFile, level: str) -> Dataset:
    """Return what a C-FIND at a level tells of a file, and of what it belongs to."""
    answer = Dataset()
    answer.QueryRetrieveLevel = level
    answer.StudyInstanceUID = file.study_uid
    if level != "STUDY":
        answer.SeriesInstanceUID, answer.Modality = file.series_uid, "CT"
    if level == "IMAGE":
        answer.SOPInstanceUID, answer.SOPClassUID = file.sop_uid, file.sop_class
    return answer
