"""C-GET: what is kept, what is refused, and what each side is told about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydicom.dataset import Dataset

from support import pdu as kit
from support.client import Background, MemoryHandler, MemorySink, farewell, fetch, server_at, storage
from support.messages import STUDY_ROOT_GET, Message, encode_message, get_rsp, pdvs, store_rq
from support.pdu import EXPLICIT_LITTLE
from support.scripted_peer import Conversation, Script, ScriptedPeer
from support.waiting import wait_until
from VisualDICOMBrowserLib.dimse.association import Association
from VisualDICOMBrowserLib.dimse.get import GetOutcome, get
from VisualDICOMBrowserLib.dimse.storing import Incoming
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import (
    BadData,
    Cancelled,
    ConnectionLost,
    NoCommonContext,
    ProtocolViolation,
    StorageError,
)
from VisualDICOMBrowserLib.domain.model import Level

Factory = Callable[..., ScriptedPeer]
CT = "1.2.840.10008.5.1.4.1.1.2"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
KEYS = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}
SUCCESS, SOME_FAILED, ALL_FAILED, PENDING = 0x0000, 0xB000, 0xA702, 0xFF00
DATA = bytes(i * 7 % 256 for i in range(50_000))


def instance(number: int, **options: Any) -> Message:
    """Return a C-STORE request for the instance 1.4.<number>."""
    return store_rq(3, CT, f"1.4.{number}", DATA[:1000] + bytes([number]), message_id=number, **options)


class Served:
    """A C-GET service: sends what it is told to, and notes the request and all answers."""

    def __init__(self, *messages: Message, end: Callable[[Message], Message] | None = get_rsp) -> None:
        self.messages = messages
        self.end = end
        self.request: Message | None = None
        self.answers: list[Message] = []
        self.afterwards: list[kit.Pdu] = []

    def __call__(self, peer: Conversation) -> None:
        peer.accept_association()
        self.request = peer.receive_message()
        for message in self.messages:
            peer.send(message)
            if message.field == 1:
                self.answers.append(peer.receive_message())
        if self.end is None:
            self.afterwards = peer.wait_for_hangup()
        else:
            peer.send(self.end(self.request))
            farewell(peer)

    @property
    def statuses(self) -> list[int]:
        return [int(answer.command["Status"]) for answer in self.answers]


def get_from(served: Script, peers: Factory, handler: MemoryHandler, **options: Any) -> GetOutcome:
    peer = peers(served)
    try:
        return fetch(server_at(peer.address), KEYS, handler, storage(CT), **options)
    finally:
        peer.finish()


def ended(status: int, **counts: Any) -> Callable[[Message], Message]:
    return lambda request: get_rsp(request, status, **counts)


# The ordinary course


def test_every_instance_is_kept_and_confirmed(scripted_peer: Factory):
    served, handler = Served(instance(1), instance(2), instance(3), end=ended(SUCCESS, completed=3)), MemoryHandler()
    outcome = get_from(served, scripted_peer, handler)
    assert outcome == GetOutcome(["1.4.1", "1.4.2", "1.4.3"], [], SUCCESS, (), 3)
    assert handler.data() == {f"1.4.{n}": DATA[:1000] + bytes([n]) for n in (1, 2, 3)}
    assert served.statuses == [SUCCESS] * 3
    assert [a.command["MessageIDBeingRespondedTo"] for a in served.answers] == [1, 2, 3]
    assert {(a.command["AffectedSOPClassUID"], a.context_id) for a in served.answers} == {(CT, 3)}
    assert [a.command["AffectedSOPInstanceUID"] for a in served.answers] == ["1.4.1", "1.4.2", "1.4.3"]


def test_the_request_names_level_and_keys(scripted_peer: Factory):
    served = Served()
    get_from(served, scripted_peer, MemoryHandler(), level=Level.IMAGE)
    assert served.request is not None
    assert served.request.command["AffectedSOPClassUID"] == STUDY_ROOT_GET
    identifier = served.request.dataset(EXPLICIT_LITTLE)
    assert (identifier.QueryRetrieveLevel, identifier.SeriesInstanceUID) == ("IMAGE", "1.3")


def test_the_handler_learns_class_uid_and_the_transfer_syntax_of_the_context(scripted_peer: Factory):
    seen: list[Incoming] = []

    class Handler(MemoryHandler):
        def open(self, incoming: Incoming) -> MemorySink:
            seen.append(incoming)
            return super().open(incoming)

    compressed = store_rq(5, CT, "1.4.1", DATA)
    peer = scripted_peer(Served(compressed))
    fetch(server_at(peer.address), KEYS, Handler(), storage(CT, syntaxes=[(EXPLICIT_LITTLE,), (JPEG_2000,)]))
    assert seen == [Incoming(CT, "1.4.1", JPEG_2000)]


def test_without_c_get_nothing_is_asked(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association(kit.accept_only(CT))
        assert peer.wait_for_hangup() == [kit.Abort(0, 0)]

    with pytest.raises(NoCommonContext):
        get_from(script, scripted_peer, MemoryHandler())


# What the server says about it


@pytest.mark.parametrize(
    ("counts", "announced"),
    [({"remaining": 5}, 5), ({"remaining": 2, "completed": 3, "failed": 1, "warning": 1}, 7), ({}, None)],
)
def test_the_announced_number_is_the_sum_of_the_counts(
    scripted_peer: Factory, counts: dict[str, int], announced: int | None
):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        peer.send(get_rsp(request, PENDING, **counts))
        peer.send(get_rsp(request, SUCCESS))
        farewell(peer)

    outcome = get_from(script, scripted_peer, MemoryHandler())
    assert (outcome.announced, outcome.status, outcome.received) == (announced, SUCCESS, [])


def test_a_final_status_is_passed_on_with_the_failed_instances(scripted_peer: Factory):
    failed = Dataset()
    failed.FailedSOPInstanceUIDList = ["1.4.2", "1.4.3"]
    identifier = store_rq(3, CT, "1", failed, transfer_syntax=EXPLICIT_LITTLE).data
    end = ended(SOME_FAILED, completed=1, failed=2, identifier=identifier)
    outcome = get_from(Served(instance(1), end=end), scripted_peer, MemoryHandler())
    assert outcome == GetOutcome(["1.4.1"], [], SOME_FAILED, ("1.4.2", "1.4.3"), 3)


def list_within_the_command(uids: str) -> Script:
    """Answer as Orthanc does: (0008,0058) stands in the command set."""

    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        data = encode_message(get_rsp(request, ALL_FAILED, failed=2))
        value = uids.encode()
        extra = b"\x08\0\x58\0" + len(value).to_bytes(4, "little") + value
        (pdv,) = kit.decode(data).pdvs
        peer.send(kit.p_data(kit.Pdv(pdv.context_id, pdv.data + extra, True, True)))
        farewell(peer)

    return script


def test_orthancs_list_within_the_command_set_is_understood(scripted_peer: Factory):
    outcome = get_from(list_within_the_command("1.4.2\\../../x\\1.4.3\0"), scripted_peer, MemoryHandler())
    assert (outcome.failed_uids, outcome.status) == (("1.4.2", "1.4.3"), ALL_FAILED)


def test_a_garbled_list_of_failures_does_not_spoil_what_came(scripted_peer: Factory):
    end = ended(SUCCESS, completed=1, identifier=b"\xff garbage")
    outcome = get_from(Served(instance(1), end=end), scripted_peer, MemoryHandler())
    assert (outcome.received, outcome.failed_uids) == (["1.4.1"], ())


def test_hostile_names_in_the_list_of_failures_are_left_out(scripted_peer: Factory):
    value = b"1.4.2\\../../etc/passwd\\" + b"9" * 65 + b"\\1.4.3"
    identifier = b"\x08\0\x58\0UI" + (len(value) + 1).to_bytes(2, "little") + value + b"\0"
    outcome = get_from(Served(end=ended(SOME_FAILED, identifier=identifier)), scripted_peer, MemoryHandler())
    assert outcome.failed_uids == ("1.4.2", "1.4.3")


@pytest.mark.parametrize("status", [ALL_FAILED, 0xC000, 0xA900, 0xFE00])
def test_a_refusal_is_an_outcome_not_an_error(scripted_peer: Factory, status: int):
    assert get_from(Served(end=ended(status)), scripted_peer, MemoryHandler()).status == status


# Instances that are not taken

HOSTILE = [
    "",
    "../../../../evil",
    "/etc/x",
    "1.2.3;DROP TABLE",
    "..\\..\\x",
    "1" * 65,
    "1.2.3\x00.4",
    "1.2 .3",
    "CON",
    "%2e%2e",
]


def test_hostile_uids_are_refused_and_the_conversation_goes_on(scripted_peer: Factory):
    bad = [store_rq(3, CT, uid, DATA, message_id=n) for n, uid in enumerate(HOSTILE, 1)]
    served, handler = Served(*bad, instance(99)), MemoryHandler()
    outcome = get_from(served, scripted_peer, handler)
    assert served.statuses == [0xC000] * len(bad) + [SUCCESS]
    assert handler.opened == ["1.4.99"]
    assert outcome.received == ["1.4.99"]
    assert all(isinstance(error, BadData) for _, error in outcome.rejected)
    assert [uid for uid, _ in outcome.rejected] == [""] * len(bad)  # what is no UID names nothing
    assert all("AffectedSOPInstanceUID" not in answer.command for answer in served.answers[:-1])


@pytest.mark.parametrize("sop_class", ["", "../CT", "1" * 65])
def test_hostile_classes_are_refused(scripted_peer: Factory, sop_class: str):
    served, handler = Served(store_rq(3, sop_class, "1.4.1", DATA), instance(2)), MemoryHandler()
    get_from(served, scripted_peer, handler)
    assert served.statuses == [0xC000, SUCCESS]
    assert handler.opened == ["1.4.2"]


def test_an_instance_without_data_set_is_refused(scripted_peer: Factory):
    empty = instance(1, more={"CommandDataSetType": 0x0101})
    served, handler = Served(Message(empty.command, None, 3), instance(2)), MemoryHandler()
    outcome = get_from(served, scripted_peer, handler)
    assert served.statuses == [0xC000, SUCCESS]
    assert [uid for uid, _ in outcome.rejected] == ["1.4.1"]
    assert outcome.received == ["1.4.2"]


@pytest.mark.parametrize("where", ["open", "write", "finish"])
def test_bad_data_is_answered_as_such_and_the_rest_is_taken(scripted_peer: Factory, where: str):
    served, handler = Served(instance(1), instance(2)), MemoryHandler({where: BadData("Not what it says.")})
    outcome = get_from(served, scripted_peer, handler)
    assert served.statuses == [0xC000, 0xC000]
    assert [(uid, str(error)) for uid, error in outcome.rejected] == [
        ("1.4.1", "Not what it says."),
        ("1.4.2", "Not what it says."),
    ]
    assert handler.discarded == (["1.4.1", "1.4.2"] if where == "write" else [])


@pytest.mark.parametrize("where", ["open", "write", "finish"])
def test_a_full_disk_is_told_to_the_server_and_ends_the_retrieve(scripted_peer: Factory, where: str):
    served = Served(store_rq(3, CT, "1.4.1", DATA), end=None)
    handler, outcome = MemoryHandler({where: StorageError("The disk is full.")}), GetOutcome()
    with pytest.raises(StorageError, match="disk is full"):
        get_from(served, scripted_peer, handler, outcome=outcome)
    assert served.statuses == [0xA700]
    assert served.afterwards == [kit.Abort(0, 0)]
    assert [uid for uid, _ in outcome.rejected] == ["1.4.1"]
    assert handler.discarded == (["1.4.1"] if where == "write" else [])


def test_after_an_error_the_rest_of_an_instance_is_not_offered(scripted_peer: Factory):
    sinks: list[MemorySink] = []

    class Handler(MemoryHandler):
        def open(self, incoming: Incoming) -> MemorySink:
            sinks.append(super().open(incoming))
            return sinks[-1]

    handler = Handler({"write": BadData("no")})
    peer = scripted_peer(Served(store_rq(3, CT, "1.4.1", DATA)))  # four fragments
    fetch(server_at(peer.address), KEYS, handler, storage(CT))
    assert [sink.fragments for sink in sinks] == [1]


def test_an_error_nobody_foresaw_ends_the_association_and_drops_the_instance(scripted_peer: Factory):
    served = Served(instance(1), end=None)
    handler = MemoryHandler({"write": ZeroDivisionError()})  # type: ignore[dict-item]

    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        peer.send(instance(1))
        served.afterwards = peer.wait_for_hangup()

    with pytest.raises(ZeroDivisionError):
        get_from(script, scripted_peer, handler)
    assert served.afterwards == [kit.Abort(0, 0)]
    assert handler.discarded == ["1.4.1"]


# When the conversation breaks


def test_what_came_before_a_cut_is_told(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        for number in (1, 2):
            peer.send(instance(number))
            peer.receive_message()
        peer.send_half(instance(3))

    handler, outcome = MemoryHandler(), GetOutcome()
    with pytest.raises(ConnectionLost):
        get_from(script, scripted_peer, handler, outcome=outcome)
    assert outcome.received == ["1.4.1", "1.4.2"]
    assert outcome.status == PENDING  # nothing was claimed yet
    assert handler.discarded == ["1.4.3"]


def test_a_data_set_announced_but_not_sent_is_a_violation(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        request = peer.receive_message()
        peer.send(kit.p_data(pdvs(instance(1))[0]))
        peer.send(get_rsp(request, SUCCESS))
        assert peer.wait_for_hangup() == [kit.Abort(2, 6)]

    handler = MemoryHandler()
    with pytest.raises(ProtocolViolation, match="mixed up"):
        get_from(script, scripted_peer, handler)
    assert handler.discarded == ["1.4.1"]


@pytest.mark.parametrize("field", [0x8020, 0x8001, 0x0030, 0x0FFF])
def test_another_message_is_a_violation(scripted_peer: Factory, field: int):
    def end(request: Message) -> Message:
        return Message({**get_rsp(request).command, "CommandField": field}, None, request.context_id)

    with pytest.raises(ProtocolViolation, match="another message"):
        get_from(Served(end=end), scripted_peer, MemoryHandler())


def test_a_request_without_message_id_cannot_be_answered(scripted_peer: Factory):
    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        command = {key: value for key, value in instance(1).command.items() if key != "MessageID"}
        peer.send(Message(command, DATA, 3))
        peer.wait_for_hangup()

    with pytest.raises(ProtocolViolation, match="0000,0110"):
        get_from(script, scripted_peer, MemoryHandler())


def test_progress_is_told_after_each_instance_kept_or_not(scripted_peer: Factory):
    told: list[tuple[int, int]] = []
    outcome = GetOutcome()
    messages = [instance(1), store_rq(3, CT, "../x", DATA), instance(2)]
    server, token = server_at(scripted_peer(Served(*messages)).address), CancelToken()
    with Association.request(server, storage(CT), token) as association:
        get(
            association,
            Level.SERIES,
            KEYS,
            MemoryHandler(),
            outcome,
            lambda: told.append((len(outcome.received), len(outcome.rejected))),
        )
    assert told == [(1, 0), (1, 1), (2, 1)]


def test_cancelling_between_instances_keeps_what_came(scripted_peer: Factory):
    token, handler = CancelToken(), MemoryHandler()

    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_message()
        peer.send(instance(1))
        peer.wait_for_hangup()

    peer = scripted_peer(script)
    work = Background(lambda: fetch(server_at(peer.address, timeout=60), KEYS, handler, storage(CT), token=token))
    wait_until(lambda: handler.instances, what="the first instance")
    token.cancel()
    assert isinstance(work.ended_by(2.0), Cancelled)
    assert list(handler.instances) == ["1.4.1"]
