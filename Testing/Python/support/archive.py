"""A server from a script: no query at image level, perhaps no counts, and a success that is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from VisualDICOMBrowserLib.domain import status as codes

from .messages import (
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    Message,
    encode_dataset,
    find_rsp,
    get_rsp,
    store_rq,
)
from .pdu import ACCEPTED, CLASS_NOT_SUPPORTED, IMPLICIT_LITTLE, ProposedContext, release_rp
from .scripted_peer import Conversation

Ends = Callable[[int], dict[str, Any]]

STUDY, SERIES = "1.2.826.1", "1.2.826.1.1"


def ct(number: int) -> Dataset:
    """Return the data set of one of the instances."""
    found = Dataset()
    found.SOPClassUID, found.SOPInstanceUID = CTImageStorage, f"1.2.826.1.1.{number}"
    found.StudyInstanceUID, found.SeriesInstanceUID = STUDY, SERIES
    found.PatientID, found.PatientName, found.Modality, found.InstanceNumber = "S", "Script^Ed", "CT", number
    found.add_new("PixelData", "OW", bytes(200))
    return found


class Archive:
    """Answers C-FIND at study and series level and C-GET, for one SOP class uncompressed; no queries of images.

    :param count: what it says of the number of instances in its series, None if nothing.
    :param objects: how many it really has and sends.
    :ivar cut: which of them, from 0, end too early.
    :ivar ends: gives the arguments of the final response to the nth C-GET; with a status it sends nothing else.
    :ivar gets: how many C-GET requests came.
    """

    def __init__(
        self, count: int | None, objects: int, *, refuse_images: bool = True, sop_class: str = CTImageStorage
    ) -> None:
        self.count = count
        self.sop_class = sop_class
        self.objects = [ct(number + 1) for number in range(objects)]
        self.refuse_images = refuse_images
        self.cut: set[int] = set()
        self.ends: Ends = lambda _: {}
        self.gets = 0

    def __call__(self, peer: Conversation) -> None:
        """Serve one association."""
        peer.accept_association(self._choose)
        while True:
            try:
                message = peer.receive_message()
            except AssertionError:
                if not peer.is_released:
                    raise
                peer.send(release_rp())
                return
            if message.command["AffectedSOPClassUID"] == STUDY_ROOT_GET:
                self._get(peer, message)
            else:
                self._find(peer, message)

    def _choose(self, context: ProposedContext) -> tuple[int, str]:
        known = (STUDY_ROOT_FIND, PATIENT_ROOT_FIND, STUDY_ROOT_GET, self.sop_class)
        if context.abstract_syntax in known and IMPLICIT_LITTLE in context.transfer_syntaxes:
            return ACCEPTED, IMPLICIT_LITTLE
        return CLASS_NOT_SUPPORTED, IMPLICIT_LITTLE

    def _find(self, peer: Conversation, message: Message) -> None:
        level = message.dataset().QueryRetrieveLevel
        if level == "IMAGE" and self.refuse_images:
            peer.send(find_rsp(message, status=0xC000))
            return
        answer = ct(1)
        del answer.SOPInstanceUID, answer.SOPClassUID, answer.InstanceNumber
        answer.QueryRetrieveLevel = level
        if level == "SERIES" and self.count is not None:
            answer.NumberOfSeriesRelatedInstances = self.count
        if level != "IMAGE":
            peer.send(find_rsp(message, answer))
        peer.send(find_rsp(message))

    def _get(self, peer: Conversation, message: Message) -> None:
        self.gets += 1
        wanted = message.dataset().get("SOPInstanceUID") or [found.SOPInstanceUID for found in self.objects]
        objects = [found for found in self.objects if found.SOPInstanceUID in wanted]
        assert peer.request is not None
        if self.sop_class not in {context.abstract_syntax for context in peer.request.contexts}:
            peer.send(get_rsp(message, 0xA702, failed=len(objects)))
            return
        end = self.ends(self.gets)
        if codes.category(end.get("status", 0)) is codes.StatusCategory.FAILURE:
            peer.send(get_rsp(message, **end))
            return
        context = peer.request.context_id(self.sop_class, IMPLICIT_LITTLE)
        for number, found in enumerate(objects):
            found.SOPClassUID = self.sop_class
            data = encode_dataset(found)
            if number in self.cut:
                data = data[:-100]
            peer.send(store_rq(context, self.sop_class, found.SOPInstanceUID, data, message_id=number + 1))
            peer.receive_message()
        peer.send(get_rsp(message, **{"completed": len(objects), **end}))
