"""What servers claim at the end of a retrieve, and what it came to: each ends as what it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.archive import SERIES, STUDY, Archive
from support.counting_server import CountingServer
from support.messages import Message, find_rsp
from support.pdu import EXPLICIT_LITTLE
from support.scripted_peer import Conversation, ScriptedPeer
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.jobs.states import JobState

Factory = Callable[..., ScriptedPeer]
STUDY_TARGET = Target(Level.STUDY, (STUDY,))
CANCELLED, SOME_FAILED, BUSY, UNABLE = 0xFE00, 0xB000, 0xA701, 0xC001


@pytest.fixture
def archive(bench, scripted_peer: Factory) -> Archive:
    """A server that tells no number of instances before it sends them."""
    made = Archive(count=None, objects=4)
    bench.add("PACS", scripted_peer(made).address)
    return made


def states(engine: Engine) -> list[JobState]:
    return [record.state for record in engine.jobs()]


def test_without_counts_at_the_end_either_what_came_counts(archive: Archive, engine: Engine):
    archive.ends = lambda _: {"completed": 0}
    result = engine.retrieve(STUDY_TARGET)

    assert (result.complete, result.requested, result.verified) == (True, 4, 4)


def test_failures_that_nobody_counts_or_names_leave_it_incomplete(archive: Archive, engine: Engine):
    archive.ends = lambda _: {"completed": 0, "status": SOME_FAILED}
    result = engine.retrieve(STUDY_TARGET)

    assert (result.complete, result.requested, result.verified) == (False, 5, 4)
    assert states(engine) == [JobState.INCOMPLETE]
    assert any(SERIES in warning for warning in result.warnings)


def test_a_refusal_is_no_success_though_nobody_knows_how_much_there_is(archive: Archive, engine: Engine):
    archive.ends = lambda _: {"status": UNABLE}
    result = engine.retrieve(STUDY_TARGET)

    assert (result.complete, result.verified) == (False, 0)
    assert states(engine) == [JobState.INCOMPLETE]
    assert "unable to process the request (status 0xC001)" in " ".join(result.warnings)


def test_a_server_that_is_too_busy_to_begin_is_asked_again(archive: Archive, engine: Engine):
    archive.ends = lambda number: {"status": BUSY} if number < 3 else {}
    result = engine.retrieve(STUDY_TARGET)

    assert (result.complete, result.verified, archive.gets) == (True, 4, 3)


def test_a_server_that_stays_too_busy_is_given_up_and_says_why(archive: Archive, engine: Engine):
    archive.ends = lambda _: {"status": BUSY}
    result = engine.retrieve(STUDY_TARGET)

    assert (result.complete, archive.gets) == (False, 4)
    assert result.warnings[0].startswith("PACS: The server did not send it: out of resources")
    (job,) = engine.jobs()
    assert job.state is JobState.INCOMPLETE
    assert "out of resources" in job.reason


@pytest.mark.parametrize(
    ("result", "source", "reason", "said"),
    [
        (1, 1, 1, "it gave no reason"),
        (1, 1, 2, "it does not support DICOM's application context"),
        (1, 1, 3, "it does not know our AE title VISUALDICOM"),
        (1, 1, 7, "it is not called ANY"),
        (1, 2, 2, "it does not support this protocol version"),
        (2, 1, 1, ""),
        (2, 3, 1, ""),
        (2, 3, 2, ""),
    ],
)
def test_only_a_rejection_that_may_pass_is_tried_again(
    bench, engine: Engine, scripted_peer: Factory, result: int, source: int, reason: int, said: str
):
    def rejects(peer: Conversation) -> None:
        peer.reject_association(result, source, reason)

    peer = scripted_peer(rejects, Archive(count=2, objects=2))
    bench.add("PACS", peer.address)
    retrieved = engine.retrieve(STUDY_TARGET)

    assert retrieved.complete == (not said)
    assert said in " ".join(retrieved.warnings)
    assert said == "" or len(peer.conversations) == 1


@pytest.mark.parametrize("count", [3, None])
def test_success_with_nothing_is_none(archive: Archive, engine: Engine, count: int | None):
    archive.count, archive.objects = count, []
    result = engine.retrieve(STUDY_TARGET)

    assert (result.complete, result.received) == (False, 0)
    assert result.requested == (count or 0)
    assert any("reported success but did not send it" in warning for warning in result.warnings)


class CutOff(CountingServer):
    """It ends lists of instances before their end, and says so."""

    def _find(self, peer: Conversation, message: Message) -> None:
        everything, self._files = self._files, self._files[:2]
        super()._find(peer, message)
        self._files = everything

    def end(self, message: Message) -> Message:
        """End a list."""
        return find_rsp(message, status=CANCELLED)


def test_a_list_that_the_server_cut_off_is_not_taken_for_all(bench, tmp_path, scripted_peer: Factory):
    files = make_ct_series(tmp_path / "files", 4, 1000)
    bench.add("PACS", scripted_peer(CutOff(files)).address)
    with bench.engine() as engine:
        result = engine.retrieve(Target(Level.STUDY, (files[0].study_uid,)))

    assert not result.complete
    assert result.verified >= 2
    assert "PACS did not list all that it has; there may be more than what was asked for." in result.warnings


class Forgetful(CountingServer):
    """It lists a series, and none of its instances."""

    def _find(self, peer: Conversation, message: Message) -> None:
        if message.dataset(EXPLICIT_LITTLE).QueryRetrieveLevel == "IMAGE":
            peer.send(self.end(message))
        else:
            super()._find(peer, message)


def test_a_thumbnail_comes_from_the_server_that_has_it(bench, tmp_path, scripted_peer: Factory):
    files = make_ct_series(tmp_path / "files", 3, 1000)
    bench.add("FIRST", scripted_peer(Forgetful(files)).address)
    bench.add("SECOND", scripted_peer(CountingServer(files)).address)
    with bench.engine() as engine:
        engine.query(level=Level.SERIES)
        assert engine.thumbnail(files[0].series_uid).path
