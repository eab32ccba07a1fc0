"""TLS with real peers: DCMTK's storescp and echoscu, Orthanc, and a stock pynetdicom server."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pynetdicom import AE

from support import peers
from support.certificates import Authorities, listener_tls
from support.client import Background, MemoryHandler, fetch, server_at
from support.dcmqrscp import Dcmqrscp
from support.fault_proxy import Cut, FaultProxy, Stall
from support.messages import STUDY_ROOT_GET
from support.orthanc import Orthanc
from support.stock import quiet_libraries
from support.synthetic import make_ct_series
from support.tls_front import server_context
from support.tls_storescp import TlsStorescp
from VisualDICOMBrowserLib.dimse.association import Association
from VisualDICOMBrowserLib.dimse.contexts import Proposal
from VisualDICOMBrowserLib.dimse.echo import VERIFICATION, echo
from VisualDICOMBrowserLib.dimse.store import Outgoing, context_as_it_is, store, store_batches
from VisualDICOMBrowserLib.dimse.tls import listener_context, wrap_accepted
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import ConnectionLost, PeerError, PeerStalled, TlsFailed
from VisualDICOMBrowserLib.domain.model import Level
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.domain.tls import TlsSettings
from VisualDICOMBrowserLib.store.outgoing import opened_data_set, read_outgoing

HOST = "127.0.0.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities.below(tmp_path_factory.mktemp("certificates"))


def secured(address: tuple[str, int], settings: TlsSettings | None, timeout: float = 5.0) -> Server:
    return replace(server_at(address, "ANY", timeout=timeout), tls=settings)


# storescp


@pytest.fixture(scope="module")
def strict(kit: Authorities, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsStorescp]:
    """A storescp that wants certificates of our authority."""
    with TlsStorescp(tmp_path_factory.mktemp("strict"), kit.ours.issue(), clients=kit.ours) as peer:
        yield peer.make_lasting()


def test_storescp_answers_whom_it_knows(kit: Authorities, strict: TlsStorescp):
    assert echo(secured(strict.address, kit.known_as(kit.ours)), CancelToken()) is None  # else it raises


def test_storescp_takes_what_it_is_sent(kit: Authorities, strict: TlsStorescp, tmp_path: Path):
    (file,) = make_ct_series(tmp_path, 1, 300_000)
    outgoing = read_outgoing(file.path)
    kind = (outgoing.sop_class, outgoing.transfer_syntax)
    instance = Outgoing(outgoing.sop_class, outgoing.sop_uid, outgoing.transfer_syntax, outgoing.size)
    server = secured(strict.address, kit.known_as(kit.ours))
    with (
        Association.request(server, next(store_batches([kind])), CancelToken()) as association,
        opened_data_set(outgoing) as reader,
    ):
        context = context_as_it_is(association, instance)
        assert context is not None
        assert store(association, context, instance, reader.fill).status == 0
    assert len(list((strict.folder / "storage").iterdir())) == 1


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        (lambda kit: kit.trusting, TlsFailed, "wants a client certificate"),
        (lambda kit: kit.known_as(kit.strange), TlsFailed, "refuses our certificate"),
        (lambda kit: kit.known_as(kit.ours, expired=True), TlsFailed, "refuses our certificate"),
        (lambda kit: TlsSettings(ca_file=str(kit.strange.file)), TlsFailed, "an authority that is not trusted"),
        (lambda kit: replace(kit.trusting, host_name="pacs.example"), TlsFailed, r"not made out for pacs\.example"),
        (lambda kit: None, PeerError, "TLS"),
    ],
    ids=["no certificate", "unknown certificate", "expired certificate", "wrong authority", "wrong name", "no TLS"],
)
def test_storescp_refused_or_refusing_is_said_in_words(
    kit: Authorities,
    strict: TlsStorescp,
    settings: Callable[[Authorities], TlsSettings | None],
    error: type[PeerError],
    said: str,
):
    with pytest.raises(error, match=said):
        echo(secured(strict.address, settings(kit)), CancelToken())


def test_an_expired_storescp_is_refused(kit: Authorities, tmp_path: Path):
    with (
        TlsStorescp(tmp_path, kit.ours.issue(expired=True)) as peer,
        pytest.raises(TlsFailed, match="The server's certificate has expired"),
    ):
        assert echo(secured(peer.address, kit.trusting), CancelToken()) is None


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_storescp_with_each_profile_of_the_standard_is_understood(kit: Authorities, tmp_path: Path, profile: str):
    with TlsStorescp(tmp_path, kit.ours.issue(), options=[profile]) as peer:
        assert echo(secured(peer.address, kit.trusting), CancelToken()) is None


def test_storescp_with_ciphers_that_do_not_encrypt_is_refused(kit: Authorities, tmp_path: Path):
    with TlsStorescp(tmp_path, kit.ours.issue(), options=["+pn"]) as peer, pytest.raises(TlsFailed):
        echo(secured(peer.address, kit.trusting), CancelToken())


def test_dcmqrscp_speaks_no_tls_and_is_not_spoken_to(kit: Authorities, tmp_path: Path):
    with Dcmqrscp(tmp_path) as peer, pytest.raises(PeerError, match="does not speak TLS here"):
        echo(secured(peer.address, kit.trusting, timeout=1.0), CancelToken())


# pynetdicom


def test_a_stock_pynetdicom_server_answers(kit: Authorities):
    entity = AE("ANY")
    entity.add_supported_context(VERIFICATION)
    with quiet_libraries():
        server = entity.start_server((HOST, 0), block=False, ssl_context=server_context(kit.ours.issue()))
        try:
            assert echo(secured(server.socket.getsockname()[:2], kit.trusting), CancelToken()) is None
        finally:
            server.shutdown()


# Orthanc


COUNT = 100


@dataclass(frozen=True)
class Archive:
    """An Orthanc behind TLS that knows its clients by their certificates, and one series in it."""

    peer: Orthanc
    study_uid: str
    files: dict[str, bytes]


@pytest.fixture(scope="module")
def archive(kit: Authorities, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    own = kit.ours.issue()
    options = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(own.file),
        "DicomTlsPrivateKey": str(own.key),
        "DicomTlsTrustedCertificates": str(kit.ours.file),
        "DicomTlsRemoteCertificateRequired": True,
    }
    made = make_ct_series(tmp_path_factory.mktemp("ct"), COUNT, 100_000)
    with Orthanc(tmp_path_factory.mktemp("orthanc"), options=options) as peer:
        assert peer.load([file.path for file in made]) == []
        yield Archive(peer.make_lasting(), made[0].study_uid, {file.sop_uid: b"" for file in made})


def get_all(archive: Archive, server: Server) -> MemoryHandler:
    handler = MemoryHandler()
    proposals = [Proposal(STUDY_ROOT_GET), Proposal(CT, (EXPLICIT,), as_scp=True)]
    fetch(server, {"StudyInstanceUID": archive.study_uid}, handler, proposals, level=Level.STUDY)
    return handler


def test_a_hundred_instances_come_over_tls(kit: Authorities, archive: Archive):
    with FaultProxy(archive.peer.address) as proxy:
        handler = get_all(archive, secured(proxy.address, kit.known_as(kit.ours), timeout=10))
        assert proxy.bytes_to_client > COUNT * 100_000
    data = handler.data()
    assert set(data) == set(archive.files)
    assert all(len(body) > 100_000 for body in data.values())


def test_orthanc_wants_to_know_its_clients(kit: Authorities, archive: Archive):
    with pytest.raises(TlsFailed, match="wants a client certificate"):
        echo(secured(archive.peer.address, kit.trusting), CancelToken())


@pytest.mark.parametrize(
    ("fault", "error"), [(Stall(after=3_000_777), PeerStalled), (Cut(after=3_000_777), ConnectionLost)]
)
def test_a_fetch_that_stalls_or_is_cut_within_a_record_ends(
    kit: Authorities, archive: Archive, fault: Stall | Cut, error: type[PeerError]
):
    with FaultProxy(archive.peer.address, to_client=[fault]) as proxy, pytest.raises(error):
        get_all(archive, secured(proxy.address, kit.known_as(kit.ours), timeout=1.0))


# The side that is called


def test_echoscu_is_secured_when_it_calls(kit: Authorities):
    own, its = kit.ours.issue("localhost"), kit.ours.issue("scu.example")
    context = listener_context(listener_tls(own, kit.ours))
    tool = shutil.which(peers.require("echoscu"))
    with socket.create_server((HOST, 0)) as listener:
        command = [tool, "-to", "5", "+tls", its.key, its.file, "+cf", kit.ours.file, "localhost"]
        words = [*map(str, command), str(listener.getsockname()[1])]
        calling = Background(lambda: subprocess.run(words, capture_output=True, check=False, timeout=20))
        with closing(wrap_accepted(listener.accept()[0], context, 5.0)) as called:
            head = bytearray(6)
            called.settimeout(5.0)
            assert called.recv_into(memoryview(head)) > 0
            assert (head[0], called.version in ("TLSv1.2", "TLSv1.3")) == (1, True)  # A-ASSOCIATE-RQ
            called.shutdown(socket.SHUT_RDWR)
        assert calling.ended_by(20.0) is None


def test_echoscu_that_trusts_another_authority_hangs_up(kit: Authorities):
    own, its = kit.ours.issue("localhost"), kit.ours.issue("scu.example")
    with socket.create_server((HOST, 0)) as listener:
        command = [peers.require("echoscu"), "+tls", its.key, its.file, "+cf", kit.strange.file, "localhost"]
        words = [*map(str, command), str(listener.getsockname()[1])]
        calling = Background(lambda: subprocess.run(words, capture_output=True, check=False, timeout=20))
        with pytest.raises(TlsFailed, match="refuses our certificate: it does not know who issued it"):
            wrap_accepted(listener.accept()[0], listener_context(listener_tls(own)), 5.0)
        assert calling.ended_by(20.0) is None
