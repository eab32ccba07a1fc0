"""Sending through the engine and the command line, to real servers and to one that follows a script."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom import uid

from integration.conftest import Bench
from support.client import Background, farewell
from support.comparison import differences
from support.corpus import Corpus, CorpusFile
from support.dcmqrscp import Dcmqrscp
from support.fault_proxy import FaultProxy, Throttle
from support.messages import respond
from support.orthanc import Orthanc
from support.pdu import CLASS_NOT_SUPPORTED, IMPLICIT_LITTLE, abort, accept_all
from support.scripted_peer import Conversation, HungUp, ScriptedPeer
from support.storescp import Storescp
from support.synthetic import lying_file, make_ct_series, text_folder
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, UsageError
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.uids import is_uid

Factory = Callable[..., ScriptedPeer]
#: What decompression changes, and the pixels, which are compared in unit/imaging.
PICTURE = ("PixelData", "PhotometricInterpretation", "PlanarConfiguration", "LossyImageCompression:", "ExtendedOffset")


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[Callable[..., Storescp]]:
    """Make storescp peers with options."""
    peers: list[Storescp] = []

    def make(*options: str) -> Storescp:
        peers.append(Storescp(tmp_path / f"storescp{len(peers)}", options=options).start())
        return peers[-1]

    yield make
    for peer in peers:
        peer.stop()


def received(peer: Storescp) -> dict[str, pydicom.FileDataset]:
    found = [pydicom.dcmread(path) for path in peer.files]
    return {str(dataset.SOPInstanceUID): dataset for dataset in found}


class Taker:
    """A script that takes instances with the given statuses, the last of which repeats; then it may do something."""

    def __init__(self, *statuses: int, then: Callable[[Conversation], None] = farewell) -> None:
        self.statuses = list(statuses)
        self.then = then
        self.taken: list[str] = []

    def __call__(self, peer: Conversation) -> None:
        peer.accept_association()
        while self.statuses:
            try:
                request = peer.receive_message()
            except (AssertionError, HungUp):
                return
            self.taken.append(str(request.command["AffectedSOPInstanceUID"]))
            peer.send(respond(request, self.statuses.pop(0)))
        self.then(peer)


def cut(peer: Conversation) -> None:
    """Abort in the middle of the next instance."""
    peer.receive_pdu()
    peer.send(abort())
    peer.close()


def series(folder: Path, count: int, size: int = 2000) -> list[CorpusFile]:
    return make_ct_series(folder / "series", count, size)


def _is_sound(file: CorpusFile) -> bool:
    return is_uid(file.sop_uid) and "embedded" not in file.path.name


def test_what_the_server_takes_compressed_arrives_as_it_was(
    bench: Bench, engine: Engine, corpus: Corpus, storescp: Callable[..., Storescp]
) -> None:
    peer = storescp("+xa")
    bench.add("pacs", peer)
    files = {file.sop_uid: file for file in corpus.files if is_uid(file.sop_uid)}

    result = engine.send_files([file.path for file in files.values()], "pacs")

    assert (result.sent, result.failed, result.complete) == (len(files), (), True)
    got = received(peer)
    assert set(got) == set(files)
    for sop_uid, dataset in got.items():
        assert dataset.file_meta.TransferSyntaxUID == files[sop_uid].transfer_syntax
        sent = pydicom.dcmread(files[sop_uid].path)
        if "PixelData" in sent:
            assert dataset.PixelData == sent.PixelData


@pytest.mark.parametrize(("option", "syntax"), [("+x=", None), ("+xi", uid.ImplicitVRLittleEndian)])
def test_what_the_server_does_not_take_compressed_goes_uncompressed(
    bench: Bench,
    engine: Engine,
    corpus: Corpus,
    storescp: Callable[..., Storescp],
    option: str,
    syntax: str | None,
) -> None:
    peer = storescp(option)
    bench.add("pacs", peer)
    kinds = {file.transfer_syntax: file for file in corpus.files if _is_sound(file)}

    result = engine.send_files([file.path for file in kinds.values()], "pacs")

    assert result.failed == ()
    got = received(peer)
    assert set(got) == {file.sop_uid for file in kinds.values()}
    for file in kinds.values():
        dataset = got[file.sop_uid]
        assert not dataset.file_meta.TransferSyntaxUID.is_compressed
        assert syntax in (None, dataset.file_meta.TransferSyntaxUID)
        found = differences(file.path, dataset)
        assert [line for line in found if not line.startswith(PICTURE)] == []


@pytest.mark.parametrize("kind", [Orthanc, Dcmqrscp])
def test_what_was_sent_is_listed(bench: Bench, tmp_path: Path, kind: type[Orthanc] | type[Dcmqrscp]) -> None:
    files = series(tmp_path, 12)
    with kind(tmp_path / "peer") as peer:
        bench.add("pacs", peer)
        bench.run("import", tmp_path / "series")

        run = bench.run("send", "--series", files[0].series_uid, "--to", "pacs", "--verify")

    assert run.code == 0, run.err
    assert run.document["requested"] == run.document["sent"] == run.document["verified"] == 12
    assert run.document["failed"] == run.document["rejected"] == run.document["warnings"] == []


@pytest.mark.parametrize(
    ("level", "expected"), [(Level.PATIENT, 6), (Level.STUDY, 4), (Level.SERIES, 3), (Level.IMAGE, 1)]
)
def test_what_belongs_to_it_is_sent_and_nothing_else(
    bench: Bench, engine: Engine, tmp_path: Path, storescp: Callable[..., Storescp], level: Level, expected: int
) -> None:
    first = make_ct_series(tmp_path / "files" / "1", 3, 1000, patient_id="A", study=1)
    make_ct_series(tmp_path / "files" / "2", 1, 1000, patient_id="A", study=1, series=2)
    make_ct_series(tmp_path / "files" / "3", 2, 1000, patient_id="A", study=2)
    make_ct_series(tmp_path / "files" / "4", 1, 1000, patient_id="B", study=3)
    engine.import_paths([tmp_path / "files"])
    peer = storescp()
    bench.add("pacs", peer)
    uids = {Level.PATIENT: "A", Level.STUDY: first[0].study_uid, Level.SERIES: first[0].series_uid}

    result = engine.send(Target(level, (uids.get(level, first[0].sop_uid),)), "pacs")
    assert (result.complete, result.sent, len(peer.files)) == (True, expected, expected)


def test_a_server_that_cannot_be_searched_cannot_be_checked(
    bench: Bench, tmp_path: Path, storescp: Callable[..., Storescp]
) -> None:
    bench.add("pacs", storescp())
    files = series(tmp_path, 2)

    run = bench.run("send", files[0].path, files[1].path, "--to", "pacs", "--verify")

    assert run.code == 1
    assert (run.document["sent"], run.document["verified"]) == (2, None)
    assert "could not be checked" in run.err


def test_two_hundred_classes_and_a_private_one(
    bench: Bench, engine: Engine, tmp_path: Path, scripted_peer: Factory
) -> None:
    files = series(tmp_path, 200)
    for number, file in enumerate(files):
        dataset = pydicom.dcmread(file.path)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = f"1.2.840.99999.{number + 1}"
        dataset.save_as(file.path)
    associations: list[int] = []
    taken: list[str] = []

    def script(peer: Conversation) -> None:
        associations.append(len(peer.accept_association().contexts))
        try:
            while True:
                request = peer.receive_message()
                taken.append(str(request.command["AffectedSOPClassUID"]))
                peer.send(respond(request))
        except AssertionError:
            peer.close()

    bench.add("pacs", scripted_peer(script).address)
    result = engine.send_files([tmp_path / "series"], "pacs")

    assert result.complete
    assert associations == [128, 128, 128, 16]
    assert len(set(taken)) == 200


def test_each_instance_has_its_result(bench: Bench, engine: Engine, tmp_path: Path, scripted_peer: Factory) -> None:
    files = series(tmp_path, 5)
    taker = Taker(0x0000, 0xA900, 0xB000, 0xC001, 0x0000)
    bench.add("pacs", scripted_peer(taker).address)

    result = engine.send_files([tmp_path / "series"], "pacs")

    assert (result.requested, result.sent, result.complete) == (5, 3, False)
    assert {failure.subject: failure.reason for failure in result.failed} == {
        files[1].sop_uid: "The server refused it: the data set does not match the SOP class (status 0xA900).",
        files[3].sop_uid: "The server refused it: the server cannot understand the data set (status 0xC001).",
    }
    assert result.warnings == ("pacs, 1 instances: the server changed values of elements (status 0xB000).",)


def test_after_a_cut_only_the_rest_is_sent(
    bench: Bench, engine: Engine, tmp_path: Path, scripted_peer: Factory
) -> None:
    files = series(tmp_path, 6)
    first, second, third = Taker(0, 0, then=cut), Taker(0, then=cut), Taker(0, 0, 0)
    bench.add("pacs", scripted_peer(first, second, third).address)

    result = engine.send_files([tmp_path / "series"], "pacs")

    assert result.complete
    assert sorted(first.taken + second.taken + third.taken) == sorted(file.sop_uid for file in files)
    assert first.taken == [files[0].sop_uid, files[1].sop_uid]
    # what broke the conversation goes last the next time
    assert files[2].sop_uid not in second.taken


def test_a_server_out_of_resources_is_asked_again_for_the_rest(
    bench: Bench, engine: Engine, tmp_path: Path, scripted_peer: Factory
) -> None:
    series(tmp_path, 4)
    reasons: list[str] = []
    engine.subscribe(lambda name, _, data: reasons.append(data["reason"]) if name == "job" else None)
    first, second = Taker(0, 0xA700), Taker(0, 0, 0)
    bench.add("pacs", scripted_peer(first, second).address)

    result = engine.send_files([tmp_path / "series"], "pacs")

    assert result.complete
    assert any("out of resources (status 0xA700); 3 of 4 instances are left" in reason for reason in reasons)


def test_a_retry_sends_only_what_is_missing(
    bench: Bench, engine: Engine, tmp_path: Path, scripted_peer: Factory
) -> None:
    files = series(tmp_path, 4)
    first, second = Taker(0, 0xC000, 0, 0), Taker(0)
    bench.add("pacs", scripted_peer(first, second).address)

    job_id = engine.begin_send_files([tmp_path / "series"], "pacs")
    wait_until(lambda: _state(engine, job_id) == "incomplete", what="the job to fall short")
    engine.retry_job(job_id)
    wait_until(lambda: _state(engine, job_id) == "completed", what="the job to complete")

    assert len(first.taken) == 4
    assert second.taken == [files[1].sop_uid]


def test_after_a_restart_what_the_server_lists_already_is_not_sent_again(
    bench: Bench, orthanc: Orthanc, tmp_path: Path, scripted_peer: Factory
) -> None:
    files = series(tmp_path, 5)
    silent = Taker(0, 0, then=Conversation.stay_silent)
    bench.add("pacs", scripted_peer(silent).address)
    with Engine(bench.database, bench.config) as first:
        job_id = first.begin_send_files([tmp_path / "series"], "pacs")
        wait_until(lambda: len(silent.taken) == 2, what="two instances to be confirmed")
    assert orthanc.load([file.path for file in files if file.sop_uid in silent.taken]) == []

    bench.add("pacs", orthanc)
    with Engine(bench.database, bench.config) as second:
        assert second.resume_jobs() == [job_id]
        wait_until(lambda: _state(second, job_id) == "completed", what="the job to complete")
        log = "\n".join(line["text"] for line in second.job_log(job_id)["lines"])
        assert second.send_result(job_id).sent == 5

    assert "2 of 5 instances are listed by the server already." in log
    assert "C-STORE of 3 instances." in log
    assert {file.sop_uid for file in files} <= set(orthanc.instances())


def _state(engine: Engine, job_id: str) -> str:
    return next(record.state.value for record in engine.jobs() if record.job_id == job_id)


@pytest.mark.parametrize("then", [Conversation.stay_silent, Conversation.receive_message])
def test_a_stalled_server_ends_the_job_with_its_reason(
    bench: Bench, engine: Engine, tmp_path: Path, scripted_peer: Factory, then: Callable[[Conversation], object]
) -> None:
    series(tmp_path, 3, 4_000_000)

    def script(peer: Conversation) -> None:
        peer.accept_association()
        then(peer)
        peer.stay_silent()

    bench.add("pacs", scripted_peer(script).address, timeout=0.5)
    started = time.monotonic()
    result = engine.send_files([tmp_path / "series"], "pacs")

    assert time.monotonic() - started < 12  # four tries
    assert (result.requested, result.sent) == (3, 0)
    assert all("no data for 0.5 seconds" in failure.reason for failure in result.failed)


def test_cancelling_ends_within_two_seconds(
    bench: Bench, engine: Engine, tmp_path: Path, scripted_peer: Factory
) -> None:
    series(tmp_path, 3, 4_000_000)
    stuck = threading.Event()

    def script(peer: Conversation) -> None:
        peer.accept_association()
        peer.receive_pdu()
        stuck.set()
        peer.stay_silent()

    bench.add("pacs", scripted_peer(script).address, timeout=60)
    token = CancelToken()
    work = Background(lambda: engine.send_files([tmp_path / "series"], "pacs", token=token))
    assert stuck.wait(10)
    token.cancel()
    assert isinstance(work.ended_by(2), Cancelled)


def test_cancelling_ends_a_conversion(
    bench: Bench, engine: Engine, corpus: Corpus, scripted_peer: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    converting, held = threading.Event(), threading.Event()

    def ask(self: object, *_: object, **__: object) -> dict[str, object]:
        converting.set()
        held.wait(20)
        raise Cancelled

    monkeypatch.setattr("VisualDICOMBrowserLib.imaging.children.Decoder.ask", ask)
    monkeypatch.setattr("VisualDICOMBrowserLib.imaging.children.Decoder.close", lambda _: held.set())
    compressed = next(file for file in corpus.files if file.transfer_syntax == uid.JPEG2000Lossless)

    def script(peer: Conversation) -> None:
        peer.accept_association(
            lambda x: accept_all(x) if IMPLICIT_LITTLE in x.transfer_syntaxes else (CLASS_NOT_SUPPORTED, "")
        )
        farewell(peer)

    bench.add("pacs", scripted_peer(script).address)
    token = CancelToken()
    work = Background(lambda: engine.send_files([compressed.path], "pacs", token=token))
    assert converting.wait(10)
    token.cancel()
    assert isinstance(work.ended_by(2), Cancelled)


def test_a_server_that_takes_nothing_of_it_says_so(
    bench: Bench, engine: Engine, tmp_path: Path, scripted_peer: Factory
) -> None:
    series(tmp_path, 2)

    def script(peer: Conversation) -> None:
        peer.accept_association(lambda _: (CLASS_NOT_SUPPORTED, ""))
        farewell(peer)

    bench.add("pacs", scripted_peer(script).address)
    result = engine.send_files([tmp_path / "series"], "pacs")

    assert result.sent == 0
    assert {failure.reason for failure in result.failed} == {"The server does not take objects of this kind."}


def test_a_slow_but_healthy_line_is_no_stall(
    bench: Bench,
    engine: Engine,
    tmp_path: Path,
    storescp: Callable[..., Storescp],
    fault_proxy: Callable[..., FaultProxy],
) -> None:
    peer = storescp()
    proxy = fault_proxy(peer.address, to_server=[Throttle(bytes_per_second=2_000_000)])
    bench.add("pacs", proxy.address, timeout=4.0)
    series(tmp_path, 3, 4_000_000)

    assert engine.send_files([tmp_path / "series"], "pacs").complete
    assert len(peer.files) == 3


def test_files_that_cannot_be_sent_are_named(bench: Bench, tmp_path: Path, storescp: Callable[..., Storescp]) -> None:
    bench.add("pacs", storescp())
    files = series(tmp_path, 3)
    texts = text_folder(tmp_path)

    run = bench.run("send", tmp_path / "series", texts, "--to", "pacs")
    assert run.code == 0
    assert run.document["requested"] == run.document["sent"] == 3
    assert len(run.document["rejected"]) == 5

    lying = lying_file(tmp_path)
    run = bench.run("send", files[0].path, lying, "--to", "pacs")
    assert run.code == 1
    assert [item["path"] for item in run.document["rejected"]] == [str(lying)]

    assert bench.run("send", texts, "--to", "pacs").code == 1


def test_instances_whose_files_are_gone_are_named(
    bench: Bench, engine: Engine, tmp_path: Path, storescp: Callable[..., Storescp]
) -> None:
    bench.add("pacs", storescp())
    files = series(tmp_path, 3)
    engine.import_paths([tmp_path / "series"], link=True)
    files[1].path.unlink()

    result = engine.send(Target(Level.STUDY, (files[0].study_uid,)), "pacs")

    assert (result.requested, result.sent) == (3, 2)
    assert [failure.subject for failure in result.failed] == [files[1].sop_uid]


def test_wrong_words_are_refused(bench: Bench, tmp_path: Path) -> None:
    (file,) = series(tmp_path, 1)
    bench.add("pacs", ("127.0.0.1", 1))

    for words in (
        ["send", "--to", "pacs"],
        ["send", file.path, "--study", file.study_uid, "--to", "pacs"],
        ["send", file.path],
        ["send", file.path, "--to", "nobody"],
        ["send", "--study", file.study_uid, "--to", "pacs"],
        ["send", tmp_path / "nothing", "--to", "pacs"],
    ):
        run = bench.run(*words)
        assert run.code == 2, words
        assert run.document["error"]


def test_a_server_out_of_reach_is_named(bench: Bench, tmp_path: Path, dead_port: int) -> None:
    series(tmp_path, 2)
    bench.add("pacs", ("127.0.0.1", dead_port))
    with bench.engine() as engine:
        result = engine.send_files([tmp_path / "series"], "pacs")
    assert (result.requested, result.sent) == (2, 0)
    assert all("cannot be reached" in failure.reason for failure in result.failed)


def test_nothing_here_is_nothing_to_send(engine: Engine, bench: Bench) -> None:
    bench.add("pacs", ("127.0.0.1", 1))
    with pytest.raises(UsageError):
        engine.begin_send(Target(Level.SERIES, ("1.2.3",)), "pacs")
