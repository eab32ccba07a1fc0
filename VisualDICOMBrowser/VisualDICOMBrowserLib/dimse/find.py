"""C-FIND as SCU (PS3.4, C.4.1): patients, studies, series and instances that a server knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from ..domain import status as codes
from ..domain.cancel import CancelToken
from ..domain.errors import ConnectionLost, OperationRefused, PeerError, ProtocolViolation
from ..domain.filters import matches, matches_name
from ..domain.model import Instance, Level, Patient, Series, Study
from ..domain.protocol_log import note
from ..domain.servers import Server
from ..domain.uids import is_standard_uid, is_uid
from . import command as c
from .association import Association, Message
from .contexts import Proposal
from .identifier import Answer, Keys, decode_identifier, encode_identifier
from .models import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from .pool import Associate
from .spelling import UTF8, other_sets, set_of
from .stopping import cancel_request, stoppable

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

#: Keys whose text may be written in several character sets: names and descriptions, not identifiers.
_SPELLED = ("PatientName", "StudyDescription", "SeriesDescription")

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
    :ivar damaged: how many answers were left out so far, because they cannot be read.
    """

    def __init__(self, associate: Callable[[], Association]) -> None:
        self._associate = associate
        self._association = associate()
        self.unusable: list[Study | Series | Instance] = []
        self.damaged = 0
        self._answered: dict[str, None] = {}
        self._converts = False

    @classmethod
    @contextmanager
    def connect(
        cls, server: Server, token: CancelToken, associate: Associate = Association.request
    ) -> Iterator[Finder]:
        """Open an association for queries for the length of a ``with`` block.

        :param associate: where it comes from.
        :raises PeerError: see :meth:`.Association.request`.
        """
        proposals = [Proposal(STUDY_ROOT_FIND), Proposal(PATIENT_ROOT_FIND)]
        with ExitStack() as stack:
            yield cls(lambda: stack.enter_context(associate(server, proposals, token)))

    @property
    def has_patient_root(self) -> bool:
        """Whether patients can be asked for as such; the Study Root model has no patient level (PS3.4, C.6.2)."""
        return self._offers(PATIENT_ROOT_FIND)

    def patients(self, keys: Keys, limit: int) -> tuple[list[Patient], bool]:
        """Find patients by patient keys; the flag tells that there are more than ``limit``."""
        found = self._find(Level.PATIENT, {**dict.fromkeys(_PATIENT_KEYS, ""), **keys}, limit)
        patients = dict.fromkeys(map(_patient, found.answers))
        return [p for p in patients if p.patient_id or p.name], found.truncated

    def studies(self, keys: Keys, limit: int) -> tuple[list[Study], bool]:
        """Find studies by patient and study keys. Studies without a usable UID are left out."""
        found = self._find(Level.STUDY, {**dict.fromkeys((*_PATIENT_KEYS, *_STUDY_KEYS), ""), **keys}, limit)
        studies = list(map(_study, found.answers))
        return self._usable(studies, [s.study_uid for s in studies]), found.truncated

    def series(self, study_uid: str, keys: Keys, limit: int) -> tuple[list[Series], bool]:
        """Find the series of a study; of all studies if ``study_uid`` is empty, which many servers refuse."""
        all_keys = {**dict.fromkeys(_SERIES_KEYS, ""), **keys, "StudyInstanceUID": study_uid}
        found = self._find(Level.SERIES, all_keys, limit)
        series = [_series(a, study_uid) for a in found.answers if _is_below(a, StudyInstanceUID=study_uid)]
        return self._usable(series, [s.series_uid for s in series]), found.truncated

    def instances(self, study_uid: str, series_uid: str, keys: Keys, limit: int) -> tuple[list[Instance], bool]:
        """Find the instances of a series; of all if the UIDs are empty, which many servers refuse."""
        parents = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
        found = self._find(Level.IMAGE, {**dict.fromkeys(_IMAGE_KEYS, ""), **keys, **parents}, limit)
        instances = [
            _instance(a, study_uid, series_uid)
            for a in found.answers
            if _is_below(a, StudyInstanceUID=study_uid, SeriesInstanceUID=series_uid)
        ]
        return self._usable(instances, [i.sop_uid for i in instances]), found.truncated

    def sop_uids(self, study_uid: str, series_uid: str, among: Sequence[str] = ()) -> set[str]:
        """Find which instances of a series there are, and nothing else about them, which servers tell far quicker.

        :param among: ask for these only; a few hundred at most.
        """
        keys: Keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid, "SOPInstanceUID": list(among)}
        found = self._find(Level.IMAGE, keys, _MAX_SOP_UIDS)
        return {uid for uid in (answer.text("SOPInstanceUID") for answer in found.answers) if is_uid(uid)}

    def _usable(self, records: Sequence[_Record], uids: Sequence[str]) -> list[_Record]:
        """Return the records with a UID, each once, the first that the server told."""
        pairs = list(zip(records, uids, strict=True))
        self.unusable += [record for record, uid in pairs if not is_uid(uid)]
        return list({uid: record for record, uid in reversed(pairs) if is_uid(uid)}.values())[::-1]

    def _offers(self, model: str) -> bool:
        return any(context.abstract_syntax == model for context in self._association.contexts.values())

    def _find(self, level: Level, keys: Keys, limit: int) -> Found:
        """Ask in UTF-8, and in other character sets as long as it may be that the server did not understand that.

        It did if a match comes in a set other than the one of the question: then it compares characters, not bytes.
        """
        patterns = {k: v for k in _SPELLED if isinstance(v := keys.get(k, ""), str) and not v.isascii()}
        if not patterns:
            return self._ask_surely(level, keys, limit, UTF8)
        found = Found((), truncated=False)
        problem: OperationRefused | None = None
        todo = [UTF8, *other_sets(_texts(keys), self._answered)] if not self._converts else [UTF8]
        for asked in todo:
            try:
                more = self._ask_surely(level, keys, limit, asked)
            except OperationRefused as error:  # perhaps for the character set
                problem = problem or error
                continue
            matching = [a for a in more.answers if _is_match(a, patterns)]
            self._answered.update(dict.fromkeys(filter(None, (set_of(a.character_set) for a in more.answers))))
            self._converts |= any(a.character_set and _set_of(a) != asked for a in matching)
            found = Found((*found.answers, *more.answers)[:limit], found.truncated | more.truncated)
            if self._converts or (more.truncated and matching):
                return found
        if problem is not None and not found.answers:
            raise problem
        return found

    def _ask_surely(self, level: Level, keys: Keys, limit: int, character_set: str) -> Found:
        if self._association.is_over:
            self._association = self._associate()
        before = self._association.bytes_in
        try:
            return self._ask(level, keys, limit, character_set)
        except ConnectionLost:
            # Kept from an earlier use and given up by the server meanwhile: a question may be asked again.
            if not self._association.served or self._association.bytes_in != before:
                raise
            self._association.abandon()
        self._association = self._associate()
        return self._ask(level, keys, limit, character_set)

    def _ask(self, level: Level, keys: Keys, limit: int, character_set: str) -> Found:
        model = PATIENT_ROOT_FIND if level is Level.PATIENT or not self._offers(STUDY_ROOT_FIND) else STUDY_ROOT_FIND
        context = self._association.context_for(model)
        asked = {**keys, "QueryRetrieveLevel": level.name}
        identifier = encode_identifier(asked, context.transfer_syntax, character_set)
        message_id = self._association.next_message_id()
        command: dict[int, str | int] = {
            c.AFFECTED_SOP_CLASS: model,
            c.COMMAND_FIELD: c.C_FIND_RQ,
            c.MESSAGE_ID: message_id,
            c.PRIORITY: c.MEDIUM,
            c.DATA_SET_TYPE: c.WITH_DATA_SET,
        }
        filled = ", ".join(keyword for keyword, value in keys.items() if value) or "no keys"
        note(f"C-FIND at {level.name} level with {filled}.")
        with stoppable(self._association, context.context_id, message_id):
            self._association.send(context.context_id, command, identifier)
            found, last = self._collect(context.transfer_syntax, limit)
        note(f"C-FIND: {len(found.answers)} answers{' and more' if found.truncated else ''}; {codes.in_words(last)}.")
        category = codes.category(last)
        if category is codes.StatusCategory.PENDING:
            self._stop(context.context_id, message_id)
        self._association.retired |= category is not codes.StatusCategory.SUCCESS
        if category is codes.StatusCategory.FAILURE:
            raise _refused(last)
        return found

    def _collect(self, transfer_syntax: str, limit: int) -> tuple[Found, int]:
        """Read answers up to the limit, and return the status at which that ended."""
        answers: list[Answer] = []
        damage: ProtocolViolation | None = None
        size = damaged = 0
        while True:
            message = self._association.receive()
            status = _find_status(message)
            category = codes.category(status)
            if category is not codes.StatusCategory.PENDING:
                if damage is not None and not answers:
                    raise damage
                return Found(tuple(answers), truncated=category is codes.StatusCategory.CANCEL), status
            if len(answers) + damaged == limit:
                return Found(tuple(answers), truncated=True), status
            size += len(message.data_set)
            if size > _MAX_ANSWERS_LENGTH:
                raise ProtocolViolation("The server sent answers of unreasonable length.")
            try:
                answers.append(decode_identifier(message.data_set, transfer_syntax))
            except ProtocolViolation as error:  # one of many must not hide the others
                damage = error
                damaged += 1
                self.damaged += 1

    def _stop(self, context_id: int, message_id: int) -> None:
        """Ask the server to end its answers, and read on until it does.

        Some servers ignore that, others abort. There are as many answers as were asked for, so neither is an error;
        but the next query needs another association then.
        """
        try:
            cancel_request(self._association, context_id, message_id)
            with self._association.within(_CANCEL_GRACE_S):
                while codes.category(_find_status(self._association.receive())) is codes.StatusCategory.PENDING:
                    pass
        except PeerError:
            self._association.abandon()


def _texts(keys: Keys) -> list[str]:
    return [value if isinstance(value, str) else "\\".join(value) for value in keys.values()]


def _is_match(answer: Answer, patterns: Mapping[str, str]) -> bool:
    """Tell whether an answer has what was asked for, written beyond ASCII."""
    return all(
        not (value := answer.text(keyword)).isascii()
        and (matches_name(pattern, value) if keyword == "PatientName" else matches(pattern, value))
        for keyword, pattern in patterns.items()
    )


def _set_of(answer: Answer) -> str:
    return set_of(answer.character_set) or answer.character_set


def _find_status(message: Message) -> int:
    if message.command.field != c.C_FIND_RQ | c.RESPONSE:
        raise ProtocolViolation("The server answered the C-FIND with another message.")
    return message.command.number(c.STATUS)


def _refused(status: int) -> OperationRefused:
    # The error comment (0000,0902) is the peer's own text and may quote the keys: not repeated here.
    return OperationRefused(
        f"The server refused the query: {codes.in_words(status)}.", status, retryable=codes.is_transient(status)
    )


def _is_below(answer: Answer, **parents: str) -> bool:
    """Tell whether an answer is about what was asked for: some servers ignore the UIDs of the levels above."""
    return all(answer.text(keyword) in ("", uid) for keyword, uid in parents.items() if uid)


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
