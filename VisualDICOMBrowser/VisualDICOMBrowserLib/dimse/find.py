"""C-FIND as SCU (PS3.4, C.4.1): patients, studies, series and instances that a server knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import OperationRefused, PeerError, ProtocolViolation
from ..domain.model import Instance, Level, Patient, Series, Study
from ..domain.servers import Server
from ..domain.uids import is_standard_uid, is_uid
from . import command as c
from .association import Association, Message
from .contexts import Proposal
from .identifier import Answer, Keys, decode_identifier, encode_identifier
from .models import PATIENT_ROOT_FIND, STUDY_ROOT_FIND

#: How long a server may go on answering after a C-CANCEL, in seconds; then the association is given up.
_CANCEL_GRACE_S = 2.0
#: Most bytes of identifiers that are read for one C-FIND; a thousand real ones have less than one MiB.
_MAX_ANSWERS_LENGTH = 64 * 1024 * 1024
#: Most instances of a series.
_MAX_SOP_UIDS = 200_000

_PATIENT_KEYS = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "IssuerOfPatientID")
_STUDY_KEYS = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "StudyID",
    "ModalitiesInStudy",
    "SOPClassesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
_SERIES_KEYS = (
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "SeriesDescription",
    "BodyPartExamined",
    "NumberOfSeriesRelatedInstances",
)
_IMAGE_KEYS = ("SOPInstanceUID", "InstanceNumber", "SOPClassUID")

_Record = TypeVar("_Record", Study, Series, Instance)


@dataclass(frozen=True)
class Found:
    """Answers to one C-FIND.

    :ivar truncated: the server had more than the limit, or stopped by itself before it had told all.
    """

    answers: tuple[Answer, ...]
    truncated: bool


class Finder:
    """Asks one server, over one association for as long as the server keeps it; made by :meth:`connect`.

    :param associate: opens an association for queries.
    :ivar unusable: the answers that were left out so far, because their UID is none.
    """

    def __init__(self, associate: Callable[[], Association]) -> None:
        self._associate = associate
        self._association = associate()
        self.unusable: list[Study | Series | Instance] = []

    @classmethod
    @contextmanager
    def connect(cls, server: Server, token: CancelToken) -> Iterator[Finder]:
        """Open an association for queries for the length of a ``with`` block.

        :raises PeerError: see :meth:`.Association.request`.
        """
        proposals = [Proposal(STUDY_ROOT_FIND), Proposal(PATIENT_ROOT_FIND)]
        with ExitStack() as stack:
            yield cls(lambda: stack.enter_context(Association.request(server, proposals, token)))

    @property
    def has_patient_root(self) -> bool:
        """Whether patients can be asked for as such; the Study Root model has no patient level (PS3.4, C.6.2)."""
        return self._offers(PATIENT_ROOT_FIND)

    def patients(self, keys: Keys, limit: int) -> tuple[list[Patient], bool]:
        """Find patients by patient keys; the flag tells that there are more than ``limit``."""
        found = self._find(Level.PATIENT, {**dict.fromkeys(_PATIENT_KEYS, ""), **keys}, limit)
        return [p for p in map(_patient, found.answers) if p.patient_id or p.name], found.truncated

    def studies(self, keys: Keys, limit: int) -> tuple[list[Study], bool]:
        """Find studies by patient and study keys. Studies without a usable UID are left out."""
        found = self._find(Level.STUDY, {**dict.fromkeys((*_PATIENT_KEYS, *_STUDY_KEYS), ""), **keys}, limit)
        studies = list(map(_study, found.answers))
        return self._usable(studies, [s.study_uid for s in studies]), found.truncated

    def series(self, study_uid: str, keys: Keys, limit: int) -> tuple[list[Series], bool]:
        """Find the series of a study; of all studies if ``study_uid`` is empty, which many servers refuse."""
        all_keys = {**dict.fromkeys(_SERIES_KEYS, ""), **keys, "StudyInstanceUID": study_uid}
        found = self._find(Level.SERIES, all_keys, limit)
        series = [_series(a, study_uid) for a in found.answers]
        return self._usable(series, [s.series_uid for s in series]), found.truncated

    def instances(self, study_uid: str, series_uid: str, keys: Keys, limit: int) -> tuple[list[Instance], bool]:
        """Find the instances of a series; of all if the UIDs are empty, which many servers refuse."""
        parents = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        found = self._find(Level.IMAGE, {**dict.fromkeys(_IMAGE_KEYS, ""), **keys, **parents}, limit)
        instances = [_instance(a, study_uid, series_uid) for a in found.answers]
        return self._usable(instances, [i.sop_uid for i in instances]), found.truncated

    def sop_uids(self, study_uid: str, series_uid: str, among: Sequence[str] = ()) -> set[str]:
        """Find which instances of a series there are, and nothing else about them, which servers tell far quicker.

        :param among: ask for these only; a few hundred at most.
        """
        keys: Keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": list(among)}
        found = self._find(Level.IMAGE, keys, _MAX_SOP_UIDS)
        return {uid for uid in (answer.text("SOPInstanceUID") for answer in found.answers) if is_uid(uid)}

    def _usable(self, records: Sequence[_Record], uids: Sequence[str]) -> list[_Record]:
        pairs = list(zip(records, uids, strict=True))
        self.unusable += [record for record, uid in pairs if not is_uid(uid)]
        return [record for record, uid in pairs if is_uid(uid)]

    def _offers(self, model: str) -> bool:
        return any(context.abstract_syntax == model for context in self._association.contexts.values())

    def _find(self, level: Level, keys: Keys, limit: int) -> Found:
        if self._association.is_over:
            self._association = self._associate()
        model = PATIENT_ROOT_FIND if level is Level.PATIENT or not self._offers(STUDY_ROOT_FIND) else STUDY_ROOT_FIND
        context = self._association.context_for(model)
        identifier = encode_identifier({**keys, "QueryRetrieveLevel": level.name}, context.transfer_syntax)
        message_id = self._association.next_message_id()
        self._association.send(
            context.context_id,
            {
                c.AFFECTED_SOP_CLASS: model,
                c.COMMAND_FIELD: c.C_FIND_RQ,
                c.MESSAGE_ID: message_id,
                c.PRIORITY: c.MEDIUM,
                c.DATA_SET_TYPE: c.WITH_DATA_SET,
            },
            identifier,
        )
        return self._collect(context.context_id, context.transfer_syntax, message_id, limit)

    def _collect(self, context_id: int, transfer_syntax: str, message_id: int, limit: int) -> Found:
        """Read answers up to the limit; then ask the server to stop."""
        answers: list[Answer] = []
        size = 0
        while True:
            message = self._association.receive()
            status = _find_status(message)
            category = codes.category(status)
            if category is codes.StatusCategory.FAILURE:
                raise _refused(message, status)
            if category is not codes.StatusCategory.PENDING:
                return Found(tuple(answers), truncated=category is codes.StatusCategory.CANCEL)
            if len(answers) == limit:
                self._stop(context_id, message_id)
                return Found(tuple(answers), truncated=True)
            size += len(message.data_set)
            if size > _MAX_ANSWERS_LENGTH:
                raise ProtocolViolation("The server sent answers of unreasonable length.")
            answers.append(decode_identifier(message.data_set, transfer_syntax))

    def _stop(self, context_id: int, message_id: int) -> None:
        """Ask the server to end its answers, and read on until it does.

        Some servers ignore that, others abort. There are as many answers as were asked for, so neither is an error;
        but the next query needs another association then.
        """
        try:
            self._cancel(context_id, message_id)
            with self._association.within(_CANCEL_GRACE_S):
                while codes.category(_find_status(self._association.receive())) is codes.StatusCategory.PENDING:
                    pass
        except PeerError:
            self._association.abandon()

    def _cancel(self, context_id: int, message_id: int) -> None:
        self._association.send(
            context_id,
            {
                c.COMMAND_FIELD: c.C_CANCEL_RQ,
                c.MESSAGE_ID_RESPONDED_TO: message_id,
                c.DATA_SET_TYPE: c.NO_DATA_SET,
            },
        )


def _find_status(message: Message) -> int:
    if message.command.field != c.C_FIND_RQ | c.RESPONSE:
        raise ProtocolViolation("The server answered the C-FIND with another message.")
    return message.command.number(c.STATUS)


def _refused(message: Message, status: int) -> OperationRefused:
    # The error comment (0000,0902) is the peer's own text and may quote the keys: not repeated here.
    return OperationRefused(
        f"The server refused the query: {codes.in_words(status)}.", status, retryable=codes.is_transient(status)
    )


def _patient(answer: Answer) -> Patient:
    return Patient(
        patient_id=answer.text("PatientID"),
        name=answer.text("PatientName"),
        birth_date=answer.text("PatientBirthDate"),
        sex=answer.text("PatientSex"),
        issuer=answer.text("IssuerOfPatientID"),
    )


def _study(answer: Answer) -> Study:
    return Study(
        study_uid=answer.text("StudyInstanceUID"),
        patient=_patient(answer),
        date=answer.text("StudyDate").replace(".", ""),
        time=answer.text("StudyTime"),
        description=answer.text("StudyDescription"),
        accession_number=answer.text("AccessionNumber"),
        study_id=answer.text("StudyID"),
        modalities=answer.texts("ModalitiesInStudy"),
        sop_classes=tuple(uid for uid in answer.texts("SOPClassesInStudy") if is_standard_uid(uid)),
        series_count=answer.number("NumberOfStudyRelatedSeries"),
        instance_count=answer.number("NumberOfStudyRelatedInstances"),
    )


def _series(answer: Answer, study_uid: str) -> Series:
    return Series(
        series_uid=answer.text("SeriesInstanceUID"),
        study_uid=study_uid or answer.text("StudyInstanceUID"),
        number=answer.number("SeriesNumber"),
        modality=answer.text("Modality"),
        description=answer.text("SeriesDescription"),
        body_part=answer.text("BodyPartExamined"),
        instance_count=answer.number("NumberOfSeriesRelatedInstances"),
    )


def _instance(answer: Answer, study_uid: str, series_uid: str) -> Instance:
    sop_class = answer.text("SOPClassUID")
    return Instance(
        sop_uid=answer.text("SOPInstanceUID"),
        series_uid=series_uid or answer.text("SeriesInstanceUID"),
        study_uid=study_uid or answer.text("StudyInstanceUID"),
        number=answer.number("InstanceNumber"),
        sop_class=sop_class if is_standard_uid(sop_class) else "",
    )
