"""Receiving from real senders: what is confirmed is here, what nobody asked for is not, and nothing is left behind."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support import pdu as kit
from support.caller import CONTEXTS, ask, calling, release, status_of
from support.client import at_most
from support.corpus import CorpusFile
from support.dcmqrscp import Dcmqrscp, Node
from support.listened import AET, ANYBODY, HOST, OPEN, Listened, listening, sent, storescu
from support.messages import store_rq
from support.orthanc import Orthanc
from support.peers import require
from support.processes import free_port
from support.sender import data_set_bytes, send_files
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.errors import FolderInUse, StorageError, UsageError
from VisualDICOMBrowserLib.domain.listener import AllowedPeer, ListenerSettings
from VisualDICOMBrowserLib.domain.model import Level
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine.reception import Expectation

CLOSED = ListenerSettings(AET, 0)


def all_here(engine: Engine, files: Sequence[CorpusFile]) -> bool:
    return engine._store.readable([file.sop_uid for file in files]) == {file.sop_uid for file in files}


def expected(port: int, **what: Any) -> Expectation:
    return Expectation(Server("PACS", HOST, port, "TESTQR"), **what)


def test_four_senders_at_once(engine: Engine, tmp_path: Path):
    groups = [make_ct_series(tmp_path / str(n), 15, 100_000, study=n) for n in range(1, 5)]
    with listening(engine) as listened:
        assert sent(*(storescu(listened.port, files) for files in groups)) == [0] * 4
    result = listened.end()
    assert all(all_here(engine, files) for files in groups)
    assert (result.associations, result.stored, result.duplicates, result.failed) == (4, 60, 0, 0)
    assert result.studies == {files[0].study_uid for files in groups}
    assert result.bytes > 60 * 100_000
    assert engine.verify().ok


def test_the_same_again_is_confirmed_and_kept_once(engine: Engine, tmp_path: Path):
    files = make_ct_series(tmp_path / "files", 3, 20_000)
    with listening(engine) as listened:
        assert sent(storescu(listened.port, files), storescu(listened.port, files)) == [0, 0]
    result = listened.end()
    assert (result.stored, result.duplicates) == (3, 3)
    assert engine.verify().files == 3


def test_files_of_many_vendors_arrive_as_they_are(engine: Engine, corpus: Any):
    files = corpus.files[::7]
    with listening(engine) as listened:
        refused = send_files((HOST, listened.port), AET, files)
    kept = [file for file in files if file.path not in {left.path for left in refused}]
    assert len(kept) > len(files) * 0.8
    assert all_here(engine, kept)
    for file in kept:
        (local,) = _local(engine, file)
        assert data_set_bytes(local.read_bytes()) == data_set_bytes(file.path.read_bytes())


def _local(engine: Engine, file: CorpusFile) -> list[Path]:
    return [engine._store.path_of(one) for one in engine._store.catalogue.local_files(Level.IMAGE, [file.sop_uid])]


def test_orthanc_sends(engine: Engine, orthanc: Orthanc, tmp_path: Path):
    files = make_ct_series(tmp_path / "files", 10, 50_000, study=9)
    assert orthanc.load([file.path for file in files]) == []
    with listening(engine) as listened:
        orthanc.set_modality("us", AET, listened.port)
        study = json.loads(orthanc._rest("POST", "/tools/lookup", files[0].study_uid.encode()))[0]["ID"]
        told = json.loads(orthanc._rest("POST", "/modalities/us/store", study.encode()))
        assert told["FailedInstancesCount"] == 0
    assert all_here(engine, files)


def test_what_a_server_is_asked_to_move_arrives_and_the_port_closes(bench: Any, tmp_path: Path):
    files = make_ct_series(tmp_path / "files", 8, 50_000, study=5)
    port, came = free_port(), []
    with Dcmqrscp(tmp_path / "pacs", nodes=[Node(AET, port)], disable_get=True) as pacs, bench.engine() as engine:
        pacs.load(files)
        engine.set_listener(ListenerSettings(AET, port))
        wish = expected(pacs.port, series_uids=frozenset({files[0].series_uid}), arrived=came.append)
        before = wish.last_byte
        with engine._core.listening.expecting(wish) as where:
            assert (where.aet, where.address, where.port) == (AET, HOST, port)
            move = [require("movescu"), "-S", "-aec", pacs.ae_title, "-aet", "ANY", "-aem", AET, HOST, str(pacs.port)]
            keys = ["QueryRetrieveLevel=SERIES", f"StudyInstanceUID={files[0].study_uid}"]
            keys.append(f"SeriesInstanceUID={files[0].series_uid}")
            done = subprocess.run([*move, *(w for key in keys for w in ("-k", key))], timeout=60, check=False)
            assert done.returncode == 0
        assert sorted(came) == sorted(file.sop_uid for file in files)
        assert wish.last_byte > before
        assert all_here(engine, files)
        assert not engine.listener().open
        with pytest.raises(ConnectionRefusedError), calling(port):
            pass


def one_by_one(port: int, files: Sequence[CorpusFile], title: str = "TESTQR") -> list[int]:
    """Send files over one association, and return the status of each."""
    with calling(port) as peer:
        assert isinstance(ask(peer, called=AET, title=title), kit.AssociateAccept)
        statuses = [
            status_of(peer, store_rq(3, f.sop_class, f.sop_uid, data_set_bytes(f.path.read_bytes()), message_id=number))
            for number, f in enumerate(files, 1)
        ]
        release(peer)
    return statuses


@pytest.mark.parametrize("by", ["study", "series", "sop"])
def test_only_what_is_expected_is_taken(bench: Any, tmp_path: Path, by: str):
    asked, other = (make_ct_series(tmp_path / str(n), 1, 5_000, study=n) for n in (1, 2))
    what = {f"{by}_uids": frozenset({getattr(asked[0], f"{by}_uid")})}
    with bench.engine() as engine:
        engine.set_listener(CLOSED)
        with engine._core.listening.expecting(expected(1, **what)) as where:
            assert one_by_one(where.port, [*asked, *other]) == [0, 0x0124]
        assert all_here(engine, asked)
        assert engine._store.readable([other[0].sop_uid]) == set()
        assert engine.verify().ok


def test_pushes_are_refused_unless_they_are_allowed(engine: Engine, tmp_path: Path):
    files = make_ct_series(tmp_path / "files", 2, 5_000)
    with listening(engine, ListenerSettings(AET, 0, HOST, ANYBODY)) as listened:
        assert one_by_one(listened.port, files) == [0x0124, 0x0124]
    assert (listened.end().refused, listened.end().stored) == (2, 0)
    assert engine.verify().files == 0


@pytest.mark.parametrize(
    ("allowed", "admitted"),
    [
        ("FRIEND@127.0.0.1", True),
        ("FRIEND@localhost", True),
        ("*@127.0.0.1", True),
        ("FRIEND@*", True),
        ("OTHER@127.0.0.1", False),
        ("FRIEND@192.0.2.1", False),
        ("*@192.0.2.1", False),
    ],
)
def test_allowed_is_who_has_both_title_and_address(engine: Engine, allowed: str, admitted: bool):
    settings = ListenerSettings(AET, 0, HOST, (AllowedPeer.parse(allowed),), unsolicited=True)
    with listening(engine, settings) as listened, calling(listened.port) as peer:
        answer = ask(peer, CONTEXTS, called=AET, title="FRIEND")
        assert isinstance(answer, kit.AssociateAccept) if admitted else answer == kit.AssociateReject(1, 1, 3)


def test_nobody_is_allowed_by_default_but_the_configured_servers(bench: Any):
    bench.add("PACS", (HOST, 104), called_aet="PACS")
    with bench.engine() as engine, listening(engine, ListenerSettings(AET, 0)) as listened:
        for title, admitted in (("PACS", True), ("STRANGER", False)):
            with calling(listened.port) as peer:
                answer = ask(peer, called=AET, title=title)
                assert isinstance(answer, kit.AssociateAccept) is admitted


def test_another_instance_than_was_announced_is_refused(engine: Engine, tmp_path: Path):
    first, second = make_ct_series(tmp_path / "files", 2, 5_000)
    with listening(engine) as listened, calling(listened.port) as peer:
        ask(peer, called=AET)
        data = data_set_bytes(second.path.read_bytes())
        assert status_of(peer, store_rq(3, first.sop_class, first.sop_uid, data)) == 0xA900
        assert status_of(peer, store_rq(3, first.sop_class, first.sop_uid, b"no DICOM at all")) == 0xC000
        assert status_of(peer, store_rq(3, second.sop_class, second.sop_uid, data)) == 0
    assert engine.verify().files == 1


def test_a_sender_that_is_killed_leaves_whole_instances_only(engine: Engine, tmp_path: Path):
    files = make_ct_series(tmp_path / "files", 60, 500_000)
    with listening(engine) as listened:
        sender = storescu(listened.port, files)
        wait_until(lambda: engine.verify().files >= 3, what="the first instances")
        sender.send_signal(signal.SIGKILL)
        sent(sender)
    assert 3 <= listened.end().stored <= 60
    assert engine.verify().files == listened.end().stored
    assert engine.verify().ok
    assert list(parts(engine)) == []


def parts(engine: Engine) -> Iterator[Path]:
    return engine._store.folder.root.rglob("*.part")


@pytest.mark.expects_log("wait for their rows")
@pytest.mark.parametrize("size", [500_000, 3_000], ids=["large", "small"])
def test_a_full_disk_is_told_and_nothing_that_was_confirmed_is_lost(
    tmp_path: Path, small_disk: tuple[Path, Callable[[int], None]], size: int
):
    """Large files meet the limit themselves; with small ones it may be the databases, once files were confirmed."""
    disk, resize = small_disk
    files = make_ct_series(tmp_path / "files", 40, size)
    with Engine(disk / "database", tmp_path / "config.json") as engine:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(0 if size > 100_000 else max(0, shutil.disk_usage(disk).free - 80_000)))
        with listening(engine) as listened:
            statuses = one_by_one(listened.port, files)
        assert set(statuses) == {0, 0xA700}
        resize(32)
        assert engine.verify().ok
        assert all_here(engine, [file for file, status in zip(files, statuses, strict=True) if status == 0])
        assert list(parts(engine)) == []
        with listening(engine) as listened:
            assert set(one_by_one(listened.port, files)) == {0}
        assert all_here(engine, files)
        assert engine.verify().ok


@pytest.mark.expects_log("wait for their rows")
def test_while_the_rows_of_another_cannot_be_written_senders_are_turned_away(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = make_ct_series(tmp_path / "files", 3, 5_000)

    def fail(_: object) -> None:
        raise StorageError("The database is locked by another program.")

    with listening(engine) as listened:
        with monkeypatch.context() as patch:
            patch.setattr(engine._store._keeper, "take_in", fail)
            assert one_by_one(listened.port, files[:1]) == [0]
            wait_until(lambda: "The database is locked" in engine.listener().problem, what="the problem")
            assert one_by_one(listened.port, files[1:]) == [0xA700, 0xA700]
        engine._store.safekeeping.settle()
        assert engine.listener().problem == ""
        assert one_by_one(listened.port, files) == [0, 0, 0]
    assert (listened.end().stored, listened.end().duplicates, listened.end().failed) == (3, 1, 2)
    assert engine.verify().rows == 3


def test_idle_strangers_do_not_keep_a_sender_out(engine: Engine, tmp_path: Path):
    files = make_ct_series(tmp_path / "files", 5, 20_000)
    with listening(engine) as listened, ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(calling(listened.port))
        assert sent(storescu(listened.port, files)) == [0]
    assert all_here(engine, files)


def test_events_tell_of_associations_and_series_and_name_no_patient(engine: Engine, tmp_path: Path):
    files = make_ct_series(tmp_path / "files", 2, 5_000, patient_name="SECRET^NAME")
    told: list[tuple[str, str, Any]] = []
    engine.subscribe(lambda *event: told.append(event))
    with listening(engine) as listened:
        assert sent(storescu(listened.port, files)) == [0]
    calls = [data for name, _, data in told if name == "association"]
    assert [call["over"] for call in calls] == [False, True]
    assert (calls[-1]["aet"], calls[-1]["stored"], calls[-1]["studies"], calls[-1]["reason"]) == ("STORESCU", 2, 1, "")
    wait_until(lambda: "series-changed" in [name for name, _, _ in told], what="the event of the rows")
    assert {subject for name, subject, _ in told if name == "series-changed"} == {files[0].series_uid}
    assert [name for name, _, _ in told].count("listener-changed") == 2
    assert "SECRET" not in repr(told)


def test_where_another_program_keeps_the_rows_files_are_handed_over(bench: Any, tmp_path: Path):
    with bench.engine():
        pass  # makes the databases
    files = make_ct_series(tmp_path / "files", 3, 5_000)
    with Engine(bench.database, bench.config, rows_by_host=True) as engine:
        with listening(engine) as listened:
            assert sent(storescu(listened.port, files)) == [0]
        assert len(engine.index_batch().files) == 3


def test_a_server_elsewhere_cannot_reach_a_listener_on_loopback(engine: Engine):
    engine.set_listener(CLOSED)
    wish = Expectation(Server("FAR", "192.0.2.1", 104, "FAR"))
    with pytest.raises(UsageError, match=r"FAR could not send anything here.*bound to 127\.0\.0\.1"):
        engine._core.listening.expecting(wish).__enter__()


def test_a_port_that_is_taken_and_a_folder_that_is_held_are_named(bench: Any, benches: Any):
    with bench.engine() as engine, listening(engine) as listened, benches("other").engine() as other:
        other.set_listener(ListenerSettings(AET, listened.port))
        with pytest.raises(UsageError, match="another program listens"):
            other._core.listening.expecting(expected(1)).__enter__()
        with bench.engine() as second, pytest.raises(FolderInUse, match="process"):
            second._core.listening.expecting(expected(1)).__enter__()


def test_calls_are_remembered_with_what_came_and_why_others_were_refused(engine: Engine, tmp_path: Path):
    files = make_ct_series(tmp_path / "files", 2, 20_000)
    only = ListenerSettings(AET, 0, HOST, (AllowedPeer("STORESCU", "*"),), unsolicited=True)
    heard: list[Any] = []
    engine.subscribe(lambda name, _, data: heard.append(data) if name == "caller-refused" else None)
    with listening(engine, only) as listened:
        assert sent(storescu(listened.port, files)) == [0]
        for title in ("STRANGER", "STRANGER"):
            with calling(listened.port) as peer:
                assert ask(peer, called=AET, title=title) == kit.AssociateReject(1, 1, 3)
        stranger, sender = engine.calls()
        assert (sender["aet"], sender["admitted"], sender["over"], sender["stored"]) == ("STORESCU", True, True, 2)
        assert (stranger["aet"], stranger["admitted"], stranger["times"]) == ("STRANGER", False, 2)
        assert stranger["reason"] == "Nobody of this AE title at this address is allowed to call."
    assert heard[-1] == stranger


def test_while_somebody_sends_it_is_told_how_far_that_is(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = make_ct_series(tmp_path / "files", 3, 20_000)
    monkeypatch.setattr("VisualDICOMBrowserLib.engine.reception._REPORT_S", 0.0)
    told: list[tuple[int, bool]] = []
    engine.subscribe(
        lambda name, _, data: told.append((data["stored"], data["over"])) if name == "association" else None
    )
    with listening(engine) as listened:
        assert sent(storescu(listened.port, files)) == [0]
    assert told == [(0, False), (1, False), (2, False), (3, False), (3, True)]


def test_the_settings_are_kept_and_followed(bench: Any):
    port = free_port()
    settings = ListenerSettings(AET, port, HOST, (AllowedPeer("A B", "host.example"),), True, enabled=True)
    bench.add("PACS", (HOST, 104))
    with Engine(bench.database, bench.config, listen=True) as engine:
        assert not engine.listener().open
        engine.set_listener(settings)
        status = engine.listener()
        assert (status.open, status.address, status.port, status.problem) == (True, HOST, port, "")
        assert status.reachable_at == (HOST,)
    with Engine(bench.database, bench.config) as engine:
        assert engine.listener().settings == settings
        assert not engine.listener().open  # for a command, nobody shall be able to call
        assert [server.name for server in engine.servers()] == ["PACS"]
    with Engine(bench.database, bench.config, listen=True) as engine, calling(port):
        with Engine(bench.root / "second", bench.config, listen=True) as other:
            assert "another program listens" in other.listener().problem
        engine.set_listener(ListenerSettings(AET, port))
        assert not engine.listener().open


def test_closing_the_engine_ends_what_is_under_way(bench: Any, tmp_path: Path):
    (file,) = make_ct_series(tmp_path / "files", 1, 500_000)
    engine = bench.engine()
    listened = Listened(engine, OPEN)
    with calling(listened.port) as peer:
        ask(peer, called=AET)
        peer.send_half(store_rq(3, file.sop_class, file.sop_uid, data_set_bytes(file.path.read_bytes())))
        with at_most(4.0):
            listened.token.cancel()
            engine.close()
    listened.end()
    with bench.engine() as engine:
        assert engine.verify().ok
        assert list(parts(engine)) == []
