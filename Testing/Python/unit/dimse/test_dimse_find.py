"""C-FIND: what is asked, what is understood, and where it stops."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from support import pdu as kit
from support.client import Background, at_most, chain, farewell, server_at, until_hangup
from support.messages import C_CANCEL, PATIENT_ROOT_FIND, STUDY_ROOT_FIND, Message, encode_message, find_rsp, respond
from support.pdu import EXPLICIT_LITTLE
from support.scripted_peer import Conversation, Script, ScriptedPeer
from support.waiting import wait_until
from VisualDICOMBrowserLib.dimse import find as module
from VisualDICOMBrowserLib.dimse.find import Finder
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, NoCommonContext, OperationRefused, ProtocolViolation
from VisualDICOMBrowserLib.domain.model import Instance, Patient, Series, Study

Factory = Callable[..., ScriptedPeer]
CT = "1.2.840.10008.5.1.4.1.1.2"
CANCELLED, FAILED = 0xFE00, 0xC001


def connect(
    peer: ScriptedPeer, token: CancelToken | None = None, timeout: float = 1.0
) -> AbstractContextManager[Finder]:
    return Finder.connect(server_at(peer.address, timeout=timeout), token or CancelToken())


def pending(request: Message, **values: object) -> Message:
    dataset = Dataset()
    for keyword, value in values.items():
        tag = Tag(keyword)
        dataset.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))  # real servers are like that
    return find_rsp(request, dataset, transfer_syntax=EXPLICIT_LITTLE)


def answering(*sets: dict[str, object], queries: list[Dataset] | None = None, status: int = 0) -> Script:
    """Answer one query with these answers and a final status."""

    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        if queries is not None:
            queries.append(request.dataset(EXPLICIT_LITTLE))
        for values in sets:
            peer.send(pending(request, **values))
        peer.send(find_rsp(request, status=status))
        farewell(peer)

    return script


def many(count: int) -> list[dict[str, object]]:
    return [{"PatientID": f"ID-{number}"} for number in range(count)]


# The four levels


def test_patients_are_asked_for_by_the_patient_root(scripted_peer: Factory):
    queries: list[Dataset] = []
    answer = {
        "PatientID": "4711",
        "PatientName": "Doe^Jane",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "IssuerOfPatientID": "HERE",
    }
    peer = scripted_peer(answering(answer, {"PatientID": ""}, queries=queries))
    with connect(peer) as finder:
        assert finder.has_patient_root
        assert finder.patients({"PatientName": "*doe*"}, 10) == (
            [Patient("4711", "Doe^Jane", "19700101", "F", "HERE")],
            False,
        )
    assert queries[0].QueryRetrieveLevel == "PATIENT"
    assert queries[0].PatientName == "*doe*"
    assert queries[0].PatientBirthDate == ""
    sent = peer.conversations[0].received[1]
    assert isinstance(sent, kit.DataTransfer)
    assert PATIENT_ROOT_FIND.encode() in sent.pdvs[0].data


def test_studies_carry_all_that_the_server_tells(scripted_peer: Factory):
    queries: list[Dataset] = []
    answer = {
        "StudyInstanceUID": "1.2",
        "PatientID": "4711",
        "PatientName": "Doe^Jane",
        "StudyDate": "2024.01.02",
        "StudyTime": "101500",
        "StudyDescription": "Head",
        "AccessionNumber": "A1",
        "StudyID": "7",
        "ModalitiesInStudy": ["CT", "SR"],
        "SOPClassesInStudy": [CT],
        "NumberOfStudyRelatedSeries": "2",
        "NumberOfStudyRelatedInstances": "41",
    }
    with connect(scripted_peer(answering(answer, queries=queries))) as finder:
        studies, truncated = finder.studies({"StudyDate": "20240101-"}, 10)
    assert not truncated
    assert studies == [
        Study("1.2", Patient("4711", "Doe^Jane"), "20240102", "101500", "Head", "A1", "7", ("CT", "SR"), (CT,), 2, 41)
    ]
    assert queries[0].QueryRetrieveLevel == "STUDY"
    assert queries[0].StudyDate == "20240101-"


def test_series_belong_to_the_study_that_was_asked_for(scripted_peer: Factory):
    queries: list[Dataset] = []
    answer = {
        "SeriesInstanceUID": "1.3",
        "StudyInstanceUID": "",
        "SeriesNumber": "4",
        "Modality": "CT",
        "SeriesDescription": "Axial",
        "BodyPartExamined": "HEAD",
        "NumberOfSeriesRelatedInstances": "",
    }
    with connect(scripted_peer(answering(answer, queries=queries))) as finder:
        series, _ = finder.series("1.2", {}, 10)
    assert series == [Series("1.3", "1.2", 4, "CT", "Axial", "HEAD", None)]
    assert (queries[0].QueryRetrieveLevel, queries[0].StudyInstanceUID) == ("SERIES", "1.2")


def test_answers_about_others_than_those_asked_for_and_repeated_ones_are_left_out(scripted_peer: Factory):
    answers: list[dict[str, object]] = [
        {"SeriesInstanceUID": "1.3", "StudyInstanceUID": "1.2", "SeriesNumber": "1"},
        {"SeriesInstanceUID": "1.4", "StudyInstanceUID": "9.9"},  # the server ignores the key
        {"SeriesInstanceUID": "1.3", "StudyInstanceUID": "1.2", "SeriesNumber": "2"},  # and answers for each instance
        {"SeriesInstanceUID": "1.5", "StudyInstanceUID": "1.2"},
        {"StudyInstanceUID": "1.2", "QueryRetrieveLevel": "STUDY"},  # of another level
    ]
    with connect(scripted_peer(answering(*answers))) as finder:
        series, _ = finder.series("1.2", {}, 10)
        assert [(s.series_uid, s.number) for s in series] == [("1.3", 1), ("1.5", None)]
        assert len(finder.unusable) == 1


def test_patients_told_once_for_each_study_are_one(scripted_peer: Factory):
    with connect(scripted_peer(answering({"PatientID": "7"}, {"PatientID": "7"}))) as finder:
        assert finder.patients({}, 10) == ([Patient("7")], False)


def test_instances_are_asked_for_below_their_series(scripted_peer: Factory):
    queries: list[Dataset] = []
    answers = [{"SOPInstanceUID": "1.4", "InstanceNumber": "1", "SOPClassUID": CT}, {"SOPInstanceUID": "1.5"}]
    with connect(scripted_peer(answering(*answers, queries=queries))) as finder:
        instances, _ = finder.instances("1.2", "1.3", {}, 10)
    assert instances == [Instance("1.4", "1.3", "1.2", 1, CT), Instance("1.5", "1.3", "1.2")]
    assert (queries[0].QueryRetrieveLevel, queries[0].SeriesInstanceUID) == ("IMAGE", "1.3")


HOSTILE = ["", "../../etc/passwd", "1.2;DROP TABLE", "1" * 65, "1.2\n3"]


def raw(request: Message, group: int, element: int, value: str) -> Message:
    """Return an answer with one element, pydicom's opinion of its value aside."""
    data = value.encode()
    head = group.to_bytes(2, "little") + element.to_bytes(2, "little")
    return find_rsp(request, head + b"UI" + len(data).to_bytes(2, "little") + data)


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
def test_what_has_no_usable_uid_is_left_out(scripted_peer: Factory, level: str):
    element = {"studies": (0x20, 0xD), "series": (0x20, 0xE), "instances": (8, 0x18)}[level]

    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        for uid in [*HOSTILE, "1.02.3"]:
            peer.send(raw(request, *element, uid))
        peer.send(find_rsp(request))
        farewell(peer)

    with connect(scripted_peer(script)) as finder:
        calls = {
            "studies": lambda: finder.studies({}, 50)[0][0].study_uid,
            "series": lambda: finder.series("1.2", {}, 50)[0][0].series_uid,
            "instances": lambda: finder.instances("1.2", "1.3", {}, 50)[0][0].sop_uid,
        }
        assert calls[level]() == "1.02.3"


def test_a_server_with_patient_root_alone_is_asked_by_that(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association(kit.accept_only(PATIENT_ROOT_FIND))
        request = peer.receive_message()
        assert request.command["AffectedSOPClassUID"] == PATIENT_ROOT_FIND
        peer.send(find_rsp(request))
        farewell(peer)

    with connect(scripted_peer(script)) as finder:
        assert finder.studies({}, 5) == ([], False)


def test_without_patient_root_patients_cannot_be_asked_for(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association(kit.accept_only(STUDY_ROOT_FIND))
        farewell(peer)

    with connect(scripted_peer(script)) as finder:
        assert not finder.has_patient_root
        with pytest.raises(NoCommonContext):
            finder.patients({}, 5)


def test_several_queries_go_over_one_association(scripted_peer: Factory):
    ids: list[int] = []

    def script(peer: Conversation) -> None:
        peer.accept_association()
        for _ in range(3):
            request = peer.receive_message()
            ids.append(request.message_id)
            peer.send(pending(request, PatientID="1"))
            peer.send(find_rsp(request))
        peer.accept_release()

    peer = scripted_peer(script)
    with connect(peer) as finder:
        assert [len(finder.patients({}, 5)[0]) for _ in range(3)] == [1, 1, 1]
    peer.finish()
    assert ids == [1, 2, 3]
    assert len(peer.conversations) == 1


# The limit


def test_as_many_answers_as_the_limit_are_not_truncated(scripted_peer: Factory):
    peer = scripted_peer(answering(*many(3)))
    with connect(peer) as finder:
        patients, truncated = finder.patients({}, 3)
    assert (len(patients), truncated) == (3, False)


def test_at_the_limit_the_server_is_asked_to_stop_and_the_association_lives_on(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        for values in many(4):
            peer.send(pending(request, **values))
        cancel = peer.receive_message()
        assert cancel.field == C_CANCEL
        assert cancel.command["MessageIDBeingRespondedTo"] == request.message_id
        assert cancel.context_id == request.context_id
        for values in many(20):  # were under way already
            peer.send(pending(request, **values))
        peer.send(find_rsp(request, status=CANCELLED))
        request = peer.receive_message()
        peer.send(pending(request, PatientID="second"))
        peer.send(find_rsp(request))
        peer.accept_release()

    peer = scripted_peer(script)
    with connect(peer) as finder:
        patients, truncated = finder.patients({}, 3)
        assert [p.patient_id for p in patients] == ["ID-0", "ID-1", "ID-2"]
        assert truncated
        assert finder.patients({}, 3) == ([Patient("second")], False)
    peer.finish()


def test_a_server_that_stops_by_itself_has_not_told_all(scripted_peer: Factory):
    with connect(scripted_peer(answering(*many(2), status=CANCELLED))) as finder:
        patients, truncated = finder.patients({}, 10)
    assert (len(patients), truncated) == (2, True)


def floods(peer: Conversation, request: Message) -> None:
    answer = encode_message(pending(request, PatientID="more"))
    until_hangup(peer, lambda: answer)


def falls_silent(peer: Conversation, request: Message) -> None:
    peer.wait_for_hangup()


def aborts(peer: Conversation, request: Message) -> None:
    peer.abort()


def hangs_up(peer: Conversation, request: Message) -> None:
    peer.close()


def fails(peer: Conversation, request: Message) -> None:
    peer.send(find_rsp(request, status=FAILED))
    farewell(peer)


def answers_nonsense(peer: Conversation, request: Message) -> None:
    peer.send(kit.pdu(9, b""))
    farewell(peer)


@pytest.mark.parametrize("end", [floods, falls_silent, aborts, hangs_up, fails, answers_nonsense])
def test_whatever_the_server_does_about_the_cancel_the_answers_count(
    scripted_peer: Factory, monkeypatch: pytest.MonkeyPatch, end: Callable[[Conversation, Message], None]
):
    monkeypatch.setattr(module, "_CANCEL_GRACE_S", 0.4)

    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        for values in many(4):
            peer.send(pending(request, **values))
        assert peer.receive_message().field == C_CANCEL
        end(peer, request)

    peer = scripted_peer(script)
    with at_most(1.4), connect(peer, timeout=30) as finder:
        patients, truncated = finder.patients({}, 3)
        assert (len(patients), truncated) == (3, True)
    peer.finish()


def test_after_an_association_was_given_up_the_next_query_makes_another(
    scripted_peer: Factory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_CANCEL_GRACE_S", 0.2)

    def script(peer: Conversation) -> None:
        peer.accept_association()
        floods(peer, peer.receive_message())

    peer = scripted_peer(script, answering(*many(1)))
    with connect(peer) as finder:
        assert finder.patients({}, 1) == ([Patient("more")], True)
        assert finder.patients({}, 1) == ([Patient("ID-0")], False)
    peer.finish()
    assert len(peer.conversations) == 2


def test_answers_that_would_fill_the_memory_are_refused(scripted_peer: Factory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MAX_ANSWERS_LENGTH", 100_000)

    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        answer = encode_message(pending(request, PatientID="x", StudyDescription="y" * 10_000))
        until_hangup(peer, lambda: answer)

    with pytest.raises(ProtocolViolation, match="unreasonable length"), connect(scripted_peer(script)) as finder:
        finder.patients({}, 1000)


# What goes wrong


@pytest.mark.parametrize(
    ("status", "retryable", "part"),
    [
        (0xA700, True, "out of resources"),
        (0xA900, False, "identifier does not match"),
        (0xC001, False, "unable to process"),
        (0x0122, False, "SOP class not supported"),
        (0x0213, True, "resource limitation"),
        (0x1234, False, "failure"),
    ],
)
def test_a_failure_is_told_in_words_with_its_code(scripted_peer: Factory, status: int, retryable: bool, part: str):
    peer = scripted_peer(answering(*many(1), status=status))
    with pytest.raises(OperationRefused, match=f"{part}.*0x{status:04X}") as caught, connect(peer) as finder:
        finder.patients({}, 10)
    assert (caught.value.status, caught.value.retryable) == (status, retryable)


def test_the_servers_own_comment_is_not_repeated(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        peer.send(respond(request, FAILED, more={"ErrorComment": "no such patient Secret^Name"}))
        farewell(peer)

    with pytest.raises(OperationRefused) as caught, connect(scripted_peer(script)) as finder:
        finder.patients({"PatientName": "Secret^Name"}, 10)
    assert "Secret" not in "".join(map(repr, chain(caught.value)))


def test_a_warning_at_the_end_is_an_end(scripted_peer: Factory):
    with connect(scripted_peer(answering(*many(2), status=0xB000))) as finder:
        assert len(finder.patients({}, 10)[0]) == 2


def test_pending_with_keys_ignored_is_an_answer_and_one_without_identifier_too(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        peer.send(find_rsp(request, pending(request, PatientID="1").data, status=0xFF01))
        peer.send(find_rsp(request, status=0xFF00))
        peer.send(find_rsp(request))
        farewell(peer)

    with connect(scripted_peer(script)) as finder:
        assert finder.patients({}, 10) == ([Patient("1")], False)


def test_an_identifier_at_the_end_does_not_matter_whatever_it_is(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        peer.send(pending(request, PatientID="1"))
        peer.send(find_rsp(request, b"garbage", status=0))
        farewell(peer)

    with connect(scripted_peer(script)) as finder:
        assert finder.patients({}, 10) == ([Patient("1")], False)


def garbage(request: Message) -> Message:
    return find_rsp(request, b"Secret^Name is no data set")


def test_one_answer_that_cannot_be_read_does_not_hide_the_others(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        for message in (garbage(request), pending(request, PatientID="1"), garbage(request), find_rsp(request)):
            peer.send(message)
        farewell(peer)

    with connect(scripted_peer(script)) as finder:
        assert finder.patients({}, 10) == ([Patient("1")], False)
        assert finder.damaged == 2


def another_message(request: Message) -> Message:
    return Message({**find_rsp(request).command, "CommandField": 0x8010}, None, request.context_id)


def without_status(request: Message) -> Message:
    command = {key: value for key, value in find_rsp(request).command.items() if key != "Status"}
    return Message(command, None, request.context_id)


@pytest.mark.parametrize("answer", [garbage, another_message, without_status])
def test_nonsense_for_an_answer_is_a_violation(scripted_peer: Factory, answer: Callable[[Message], Message]):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        peer.send(encode_message(answer(request)) + encode_message(find_rsp(request)))
        assert peer.wait_for_abort() == kit.Abort(2, 6)

    peer = scripted_peer(script)
    with pytest.raises(ProtocolViolation) as caught, connect(peer) as finder:
        finder.patients({}, 10)
    assert "Secret" not in "".join(map(repr, chain(caught.value)))
    peer.finish()


def test_cancelling_ends_a_query_whose_answers_come_and_come(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        answer = encode_message(pending(request, PatientID="one of very many"))
        until_hangup(peer, lambda: answer)

    peer, token = scripted_peer(script), CancelToken()

    def work() -> None:
        with connect(peer, token, timeout=60) as finder:
            finder.patients({}, 10**9)

    background = Background(work)
    wait_until(lambda: peer.conversations and len(peer.conversations[0].received) > 1, what="the query")
    token.cancel()
    assert isinstance(background.ended_by(2.0), Cancelled)
