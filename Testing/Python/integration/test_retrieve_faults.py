"""Retrieves that meet trouble: a clear sentence, the right exit code, in time; and nothing is lost."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.corpus import CorpusFile
from support.fault_proxy import Cut, FaultProxy, Stall, Throttle
from support.orthanc import Orthanc
from support.peers import require
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib.domain.model import Level, Target

COUNT = 20
SIZE = 60_000
STUDY_OF_NOBODY = "1.2.3.4.5.6.7"


class Filled:
    """A server with one study of one series."""

    def __init__(self, peer: Orthanc, files: list[CorpusFile]) -> None:
        self.peer = peer
        self.files = files
        self.study = files[0].study_uid
        self.series = files[0].series_uid


@pytest.fixture(scope="module")
def filled(orthanc, tmp_path_factory) -> Filled:
    files = make_ct_series(tmp_path_factory.mktemp("ct"), COUNT, SIZE)
    assert orthanc.load([file.path for file in files]) == []
    return Filled(orthanc, files)


def ok(bench) -> bool:
    return bench.run("verify").document["ok"]


def count_here(bench) -> int:
    return bench.run("verify").document["rows"]


def test_a_wrong_port_is_told_within_ten_seconds(bench, dead_port):
    bench.add("PACS", ("127.0.0.1", dead_port))
    done = bench.spawn("retrieve", "--study", STUDY_OF_NOBODY)

    assert done.code == 1
    assert done.document["seconds"] < 10
    assert "nothing listens on this port" in done.document["warnings"][0]
    assert "Trying again in" in done.err
    assert (done.document["requested"], done.document["received"]) == (0, 0)
    assert ok(bench)


@pytest.mark.parametrize("command", [["echo", "PACS"], ["query"], ["query", "--server", "PACS", "--level", "series"]])
def test_a_wrong_port_is_told_at_once_where_somebody_waits_for_the_answer(bench, dead_port, command):
    bench.add("PACS", ("127.0.0.1", dead_port))
    done = bench.run(*command)

    assert done.code == 1
    assert done.seconds < 6
    assert "nothing listens on this port" in done.out


def test_a_host_that_never_answers_is_not_tried_for_long(bench, engine, monkeypatch):
    """A full backlog on loopback answers no further connection, as a dead host does."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        bench.add("PACS", listener.getsockname())
        result = engine.retrieve(Target(Level.STUDY, (STUDY_OF_NOBODY,)))

    assert "no answer within 5 seconds" in result.warnings[0]
    assert 5 <= result.seconds < 13


def test_a_wrong_called_title_is_named(bench, tmp_path):
    require("Orthanc")
    with Orthanc(tmp_path / "strict", check_called_aet=True) as strict:
        bench.add("PACS", strict, called_aet="WRONG")
        for command in (["echo", "PACS"], ["query"], ["retrieve", "--study", STUDY_OF_NOBODY]):
            done = bench.run(*command)
            assert done.code == 1
            assert done.seconds < 6  # not tried again: it would be as wrong the next time
            assert "it is not called WRONG" in done.out


def test_a_wrong_called_title_is_named_with_dcmqrscp_too(bench, dcmqrscp):
    bench.add("PACS", dcmqrscp, called_aet="WRONG")
    done = bench.run("retrieve", "--study", STUDY_OF_NOBODY)

    assert done.code == 1
    assert done.seconds < 6
    assert "WRONG" in done.document["warnings"][0]


def test_after_a_server_crash_in_mid_transfer_the_next_retrieve_fetches_only_the_rest(bench, engine, tmp_path):
    require("Orthanc")
    files = make_ct_series(tmp_path / "ct", COUNT, SIZE)
    target = Target(Level.STUDY, (files[0].study_uid,))
    with Orthanc(tmp_path / "orthanc") as peer:
        peer.load([file.path for file in files])
        slow = Throttle(after=5 * SIZE, bytes_per_second=5 * SIZE)
        with FaultProxy(peer.address, to_client=[slow]) as proxy, ThreadPoolExecutor(1) as pool:
            bench.add("PACS", proxy.address, called_aet=peer.ae_title)
            running = pool.submit(engine.retrieve, target)
            wait_until(lambda: proxy.bytes_to_client > 7 * SIZE, what="the transfer to be under way")
            peer.kill9()
            result = running.result(20)
        assert 0 < result.received < COUNT
        (warning,) = result.warnings  # of the last try: a connection that is closed at once may also look refused
        assert warning.startswith("PACS: The server")
        assert len(result.missing) == COUNT - result.received
        checked = engine.verify()
        assert checked.ok
        assert checked.rows == result.received

        peer.start()
        bench.add("PACS", peer)
        again = engine.retrieve(target)
    assert again.complete
    assert again.received == COUNT - result.received
    assert again.verified == COUNT
    assert engine.verify().ok


def test_a_connection_cut_once_is_taken_up_again_by_itself(bench, filled, fault_proxy):
    proxy = fault_proxy(filled.peer.address, to_client=[Cut(after=8 * SIZE)], only_first=2)
    bench.add("PACS", proxy.address, called_aet=filled.peer.ae_title)
    done = bench.run("retrieve", "--series", filled.series)

    assert done.code == 0
    assert proxy.happened.is_set()
    assert done.document["received"] == done.document["verified"] == COUNT
    assert done.document["warnings"] == []
    assert done.document["bytes"] < (COUNT + 2) * SIZE + COUNT * 4000  # nothing but the cut instance came twice


def test_a_server_silent_in_mid_pdu_is_given_up_after_its_time_out(bench, filled, fault_proxy):
    proxy = fault_proxy(filled.peer.address, to_client=[Stall(after=6 * SIZE + 777)], only_first=2)
    bench.add("PACS", proxy.address, called_aet=filled.peer.ae_title, timeout=1.0)
    done = bench.spawn("retrieve", "--study", filled.study)

    assert done.code == 0
    assert "has sent no data for 1 seconds" in done.err
    assert done.document["received"] == COUNT
    assert ok(bench)


def test_a_server_that_stays_silent_leaves_what_came_and_says_so(bench, engine, filled, fault_proxy):
    proxy = fault_proxy(filled.peer.address, to_client=[Stall(after=3 * SIZE)])
    bench.add("PACS", proxy.address, called_aet=filled.peer.ae_title, timeout=0.5)
    result = engine.retrieve(Target(Level.STUDY, (filled.study,)))

    assert not result.complete
    assert result.seconds < 8  # four tries of half a second
    assert result.warnings == ("PACS: The server has sent no data for 0.5 seconds.",)
    assert 0 < result.received < COUNT
    assert len(result.missing) == result.requested - result.verified > 0
    assert engine.verify().rows == result.received
    assert engine.verify().ok


def test_an_interrupted_command_keeps_what_came(bench, filled, fault_proxy):
    proxy = fault_proxy(filled.peer.address, to_client=[Throttle(after=5 * SIZE, bytes_per_second=2 * SIZE)])
    bench.add("PACS", proxy.address, called_aet=filled.peer.ae_title)
    command = bench.start("retrieve", "--study", filled.study)
    wait_until(lambda: proxy.bytes_to_client > 6 * SIZE, what="the transfer to be under way")
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=5)

    assert command.returncode == 1
    assert "Cancelled" in out
    assert "Traceback" not in err
    came = count_here(bench)
    assert 0 < came < COUNT
    assert ok(bench)
    bench.add("PACS", filled.peer)
    assert bench.run("retrieve", "--study", filled.study).document["received"] == COUNT - came


def test_a_killed_command_leaves_a_folder_that_verifies_and_goes_on(bench, filled, fault_proxy):
    proxy = fault_proxy(filled.peer.address, to_client=[Throttle(after=5 * SIZE, bytes_per_second=2 * SIZE)])
    bench.add("PACS", proxy.address, called_aet=filled.peer.ae_title)
    command = bench.start("retrieve", "--study", filled.study)
    wait_until(lambda: proxy.bytes_to_client > 6 * SIZE, what="the transfer to be under way")
    command.kill()
    command.communicate(timeout=5)

    came = count_here(bench)
    assert ok(bench)
    bench.add("PACS", filled.peer)
    again = bench.run("retrieve", "--study", filled.study)
    assert again.code == 0
    assert again.document["received"] == COUNT - came


def test_a_damaged_local_file_is_missing_until_it_is_fetched_again(bench, filled):
    bench.add("PACS", filled.peer)
    assert bench.run("retrieve", "--study", filled.study).code == 0
    victim = next(path for path in Path(bench.database, "dicom").rglob("*.dcm"))
    victim.write_bytes(victim.read_bytes()[:5000])
    assert not ok(bench)
    again = bench.run("retrieve", "--study", filled.study)

    assert again.code == 0
    assert again.document["received"] == 1
    assert ok(bench)


@pytest.mark.parametrize("level", ["--study", "--series", "--instance"])
def test_an_unknown_uid_is_not_found_and_not_an_empty_success(bench, filled, level):
    bench.add("PACS", filled.peer)
    done = bench.run("retrieve", level, STUDY_OF_NOBODY)
    words = {"--study": "study", "--series": "series", "--instance": "image"}

    assert done.code == 1
    assert done.document["warnings"] == [f"Not on PACS: {words[level]} {STUDY_OF_NOBODY}."]
    assert (done.document["requested"], done.document["verified"]) == (0, 0)


def test_one_unknown_uid_among_known_ones_makes_the_retrieve_incomplete(bench, filled):
    bench.add("PACS", filled.peer)
    done = bench.run("retrieve", "--study", filled.study, STUDY_OF_NOBODY)

    assert done.code == 1
    assert done.document["verified"] == done.document["requested"] == COUNT
    assert STUDY_OF_NOBODY in done.document["warnings"][0]
    assert "there may be more" in done.err
