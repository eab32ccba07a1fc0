"""Peers start, freeze, crash, come back, and never stay."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import AE, build_context
from pynetdicom.sop_class import Verification

from support import peers, processes
from support.dcmqrscp import Dcmqrscp
from support.orthanc import Orthanc
from support.process_table import group_is_gone, group_members
from support.processes import PeerFailed, answers
from support.waiting import wait_until


@pytest.fixture(params=["Orthanc", "dcmqrscp"])
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[processes.PeerProcess]:
    peers.require(request.param)
    made = Orthanc(tmp_path / "peer") if request.param == "Orthanc" else Dcmqrscp(tmp_path / "peer")
    with made:
        yield made
        made.kill9()


def test_a_peer_answers_until_it_is_stopped(peer: processes.PeerProcess):
    group = peer.group
    assert all(answers(port) for port in peer.ports)
    peer.stop()
    assert group_is_gone(group)
    assert not any(answers(port) for port in peer.ports)
    assert not peer.running


def test_a_killed_peer_comes_back_at_the_same_port(peer: processes.PeerProcess):
    ports, group = peer.ports, peer.group
    peer.kill9()
    assert group_is_gone(group)
    peer.start()
    assert peer.ports == ports
    assert peer.group != group


def test_a_paused_peer_does_not_run_until_it_is_resumed(peer: processes.PeerProcess):
    peer.pause()
    assert {entry.state for entry in group_members(peer.group)} == {"T"}
    peer.resume()
    wait_until(lambda: "T" not in {entry.state for entry in group_members(peer.group)}, what="the peer to go on")


def test_a_paused_peer_can_be_stopped(tmp_path: Path):
    peers.require("dcmqrscp")
    with Dcmqrscp(tmp_path) as peer:
        peer.pause()
        peer.stop()
        assert not peer.running


@pytest.mark.expects_log("Connection closed", "Association Aborted", "Connection reset", "unexpectedly")
def test_children_that_serve_an_association_are_killed_with_the_peer(tmp_path: Path):
    peers.require("dcmqrscp")
    with Dcmqrscp(tmp_path) as peer:
        association = AE("KIT").associate(*peer.address, ae_title=peer.ae_title, contexts=[build_context(Verification)])
        wait_until(lambda: len(group_members(peer.group)) == 2, what="dcmqrscp to fork for the association")
        group = peer.group
        peer.stop()
        assert group_is_gone(group)
        wait_until(lambda: not association.is_alive(), what="the client to see the end")


def test_a_port_taken_by_others_is_given_up_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    peers.require("dcmqrscp")
    with socket.socket() as bound, socket.create_server(("127.0.0.1", 0)) as listening:
        bound.bind(("127.0.0.1", 0))
        taken = [bound.getsockname()[1], listening.getsockname()[1]]
        offered = iter(list(taken))
        free = processes.free_port
        monkeypatch.setattr(processes, "free_port", lambda: next(offered, 0) or free())
        with Dcmqrscp(tmp_path) as peer:
            assert peer.port not in taken


def test_a_peer_that_does_not_start_says_so_with_its_log(tmp_path: Path):
    peers.require("dcmqrscp")
    peer = Dcmqrscp(tmp_path, options=["--no-such-option"])
    with pytest.raises(PeerFailed, match="no-such-option"):
        peer.start()
    assert not peer.running


def test_nagle_is_off_for_dcmtk_unless_asked_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TCP_NODELAY", "7")
    assert Dcmqrscp(tmp_path / "a")._environment()["TCP_NODELAY"] == "1"
    assert "TCP_NODELAY" not in Dcmqrscp(tmp_path / "b", nodelay=False)._environment()


def test_a_missing_peer_is_a_skip_here_and_a_failure_on_a_build_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-peer is not installed"):
        peers.require("no-such-peer")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-peer is not installed"):
        peers.require("no-such-peer")


ABANDONED = """
import sys, time
from pathlib import Path
from support.dcmqrscp import Dcmqrscp
peer = Dcmqrscp(Path(sys.argv[1])).start()
print(peer.group, flush=True)
time.sleep(60)
"""


def test_peers_do_not_outlive_a_test_process_that_is_killed(tmp_path: Path):
    peers.require("dcmqrscp")
    kit = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", ABANDONED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": kit},
    ) as owner:
        assert owner.stdout is not None
        group = int(owner.stdout.readline())
        assert not group_is_gone(group)
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: group_is_gone(group), what="the guardian to end the peer")
