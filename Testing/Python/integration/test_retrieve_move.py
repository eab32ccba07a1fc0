"""Retrieves by C-MOVE to our own listener, which is open only for as long as something is expected."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.client import at_most
from support.dcmqrscp import Node
from support.fault_proxy import FaultProxy, Throttle
from support.host_of_rows import HostOfRows
from support.moving_pacs import MovingPacs
from support.mute_pacs import MutePacs
from support.peers import require
from support.processes import HOST, answers, free_port
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import Cancelled, UsageError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.listener import ListenerSettings
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod
from VisualDICOMBrowserLib.engine.configuration import Configuration
from VisualDICOMBrowserLib.jobs.states import JobState

MOVE = RetrieveMethod.MOVE
SIZE = 20_000
US = "VISUALDICOM"


@pytest.fixture(scope="module")
def our_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def pacs(our_port, tmp_path_factory) -> Iterator[MovingPacs]:
    require("dcmqrscp")
    made = MovingPacs(tmp_path_factory.mktemp("mover"), [Node(US, our_port)])
    with made.peer:
        made.peer.make_lasting()
        yield made


def listen_at(bench, port: int) -> None:
    Configuration(bench.config).set_listener(ListenerSettings(aet=US, port=port))


@pytest.fixture
def placed(bench, pacs, our_port) -> MovingPacs:
    bench.add("PACS", pacs.peer, retrieve=MOVE, timeout=5.0)
    listen_at(bench, our_port)
    return pacs


def test_a_study_comes_to_our_listener_which_is_shut_afterwards(placed, bench, engine, our_port):
    result = engine.retrieve(placed.study, "PACS")

    assert (result.complete, result.requested, result.received, result.verified) == (True, 42, 42, 42)
    assert result.warnings == ()
    assert result.bytes > 42 * SIZE
    assert sum(call["stored"] for call in engine.calls()) == sum(call["asked_for"] for call in engine.calls()) == 42
    assert engine.verify().ok
    assert not answers(our_port)
    assert [p for p in bench.database.rglob("*.part") if p.is_file()] == []


def test_the_command_line_opens_the_listener_for_itself(placed, bench):
    done = bench.spawn("retrieve", "--series", placed.series[0][0].series_uid, "--server", "PACS")

    assert done.code == 0
    assert (done.document["requested"], done.document["verified"]) == (12, 12)


def test_only_what_is_missing_is_asked_for(placed, engine):
    some = Target(Level.IMAGE, tuple(f.sop_uid for f in placed.series[1][:5]))
    assert engine.retrieve(some, "PACS").received == 5
    result = engine.retrieve(placed.series_target(1), "PACS")

    assert (result.complete, result.received, result.verified) == (True, 25, 30)


def test_a_thumbnail_costs_one_instance(placed, engine):
    engine.query(QueryFilter(), Level.SERIES, servers=["PACS"])
    made = engine.thumbnail(placed.series[1][0].series_uid, server="PACS")

    assert made.path
    assert engine.verify().rows == 1


def test_two_jobs_at_once_share_the_listener(placed, engine):
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(engine.retrieve, placed.series_target(n), "PACS") for n in (0, 1)]
        assert [r.result(60).complete for r in running] == [True, True]
    assert engine.verify().rows == 42


def test_a_server_that_does_not_know_us_is_told_with_what_to_register(bench, engine, tmp_path, our_port):
    made = MovingPacs(tmp_path, [])
    with made.peer:
        bench.add("PACS", made.peer, retrieve=MOVE)
        listen_at(bench, our_port)
        result = engine.retrieve(made.series_target(0), "PACS")

    assert not result.complete
    assert result.warnings[0].startswith("PACS: PACS does not know the destination VISUALDICOM: its administrator has")
    assert f"127.0.0.1, port {our_port}." in result.warnings[0]


def test_a_port_that_is_taken_is_wrong_configuration(placed, engine, our_port):
    with socket.create_server((HOST, our_port)), pytest.raises(UsageError, match=str(our_port)):
        engine.retrieve(placed.series_target(0), "PACS")


def test_a_pacs_without_pending_responses_is_waited_for_while_instances_arrive(
    placed, bench, engine, our_port, scripted_peer
):
    mute = MutePacs(placed.series[0], ((HOST, our_port), US), pause=0.3)
    bench.add("MUTE", scripted_peer(mute).address, retrieve=MOVE, timeout=1.0)
    result = engine.retrieve(placed.series_target(0), "MUTE")

    assert (result.complete, result.received) == (True, 12)
    assert mute.moves == 1


def test_success_with_nothing_is_no_success_and_says_what_to_check(placed, bench, engine, our_port, scripted_peer):
    mute = MutePacs(placed.series[0], ((HOST, our_port), US), sends=0)
    bench.add("MUTE", scripted_peer(mute).address, retrieve=MOVE)
    result = engine.retrieve(placed.series_target(0), "MUTE")

    assert (result.complete, result.requested, result.received) == (False, 12, 0)
    (reason,) = {f.reason for f in result.failed}
    assert reason.startswith("MUTE reported success but did not send it to VISUALDICOM. It should have it registered")
    assert reason.endswith(f"with address 127.0.0.1 and port {our_port}.")


def test_success_with_a_part_names_the_rest(placed, bench, engine, our_port, scripted_peer):
    mute = MutePacs(placed.series[0], ((HOST, our_port), US), sends=10)
    bench.add("MUTE", scripted_peer(mute).address, retrieve=MOVE)
    result = engine.retrieve(placed.series_target(0), "MUTE")

    assert (result.complete, result.received) == (False, 10)
    assert set(result.missing) == {f.sop_uid for f in placed.series[0][10:]}


def test_what_we_refused_is_named_with_our_reason_whatever_the_pacs_says(
    bench, engine, tmp_path, our_port, scripted_peer
):
    files = make_ct_series(tmp_path / "files", 3, SIZE)
    files[1].path.write_bytes(files[1].path.read_bytes()[:-100])
    listen_at(bench, our_port)
    mute = MutePacs(files, ((HOST, our_port), US))
    bench.add("MUTE", scripted_peer(mute).address, retrieve=MOVE)
    result = engine.retrieve(Target(Level.SERIES, (files[0].series_uid,)), "MUTE")

    assert (result.complete, result.received, mute.refused) == (False, 2, 1)
    assert result.missing == (files[1].sop_uid,)
    assert "MUTE" not in result.failed[0].reason
    assert mute.moves == 1  # it would be as damaged the next time


@pytest.fixture
def slow(bench, tmp_path) -> Iterator[tuple[MovingPacs, FaultProxy]]:
    """A PACS whose way to us is slow after some instances."""
    port = free_port()
    with FaultProxy((HOST, port), to_server=[Throttle(after=4 * SIZE, bytes_per_second=2 * SIZE)]) as link:
        made = MovingPacs(tmp_path, [Node(US, link.port)])
        with made.peer:
            bench.add("PACS", made.peer, retrieve=MOVE, timeout=5.0)
            listen_at(bench, port)
            yield made, link


def test_a_cancel_is_back_within_two_seconds_and_keeps_what_came(slow, bench, engine):
    pacs, link = slow
    token = CancelToken()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(engine.retrieve, pacs.series_target(1), "PACS", token=token)
        wait_until(link.happened.is_set, what="the slow part")
        wait_until(lambda: engine.verify().rows >= 2, what="arrivals")
        with at_most(2.0):
            token.cancel()
            with pytest.raises(Cancelled):
                running.result(10)
    wait_until(lambda: not [p for p in bench.database.rglob("*.part") if p.is_file()], what="the end of the listener")
    assert 2 <= engine.verify().rows < 30


def test_the_end_of_the_pacs_leaves_what_came(slow, engine):
    pacs, link = slow
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(engine.retrieve, pacs.series_target(1), "PACS")
        wait_until(link.happened.is_set, what="the slow part")
        wait_until(lambda: engine.verify().rows >= 2, what="arrivals")
        pacs.peer.kill9()
        result = running.result(30)

    assert 2 <= result.received < 30
    assert len(result.missing) == 30 - result.verified
    assert result.warnings[0].startswith("PACS: The server")


def test_descriptors_are_back_afterwards(placed, engine):
    engine.retrieve(Target(Level.IMAGE, (placed.files[0].sop_uid,)), "PACS")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count is all
    assert engine.retrieve(placed.study, "PACS").complete
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, what="the end of the connections")  # noqa: PTH208


def test_an_engine_whose_rows_another_program_keeps_retrieves_so_too(placed, bench):
    host = HostOfRows(bench.database)
    try:
        with Engine(bench.database, bench.config, rows_by_host=True) as engine, ThreadPoolExecutor(1) as pool:
            running = pool.submit(engine.retrieve, placed.study, "PACS")
            wait_until(lambda: JobState.INDEXING in [r.state for r in engine.jobs()], what="files without rows")
            host.index(engine)
            result = running.result(20)
        assert (result.complete, result.verified) == (True, 42)
    finally:
        host.stop()
