"""Receiving over TLS from real senders: who is let in, who is not, and what the engine tells of it."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from support.certificates import Authority, Certificate, listener_tls
from support.client import at_most
from support.corpus import CorpusFile
from support.listened import AET, HOST, OPEN, Listened, listening, sent, storescu
from support.orthanc import Orthanc
from support.processes import answers, free_port
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import UsageError
from VisualDICOMBrowserLib.domain.listener import ListenerSettings
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod
from VisualDICOMBrowserLib.domain.tls import ListenerTls


@dataclass(frozen=True)
class Kit:
    """Two authorities, of which the first is trusted on both sides; our certificate, and one series to send."""

    ours: Authority
    strange: Authority
    own: Certificate
    files: list[CorpusFile]

    def options(self, its: Certificate) -> list[str]:
        """What ``storescu`` needs to be known by a certificate, and to verify ours."""
        return ["+tls", str(its.key), str(its.file), "+cf", str(self.ours.file)]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    root = tmp_path_factory.mktemp("certificates")
    ours = Authority(root / "ours")
    return Kit(ours, Authority(root / "strange"), ours.issue(), make_ct_series(root / "files", 3, 20_000))


@pytest.fixture
def strict(kit: Kit, engine: Engine) -> Iterator[Listened]:
    """A listener that wants certificates of our authority."""
    with listening(engine, replace(OPEN, tls=listener_tls(kit.own, kit.ours))) as listened:
        yield listened


@pytest.fixture
def lenient(kit: Kit, engine: Engine) -> Iterator[Listened]:
    """A listener that asks nobody for a certificate."""
    with listening(engine, replace(OPEN, tls=listener_tls(kit.own))) as listened:
        yield listened


def stored(listened: Listened) -> int:
    return listened.end().stored


def test_a_sender_with_the_right_certificate_is_let_in(kit: Kit, strict: Listened, engine: Engine):
    told: list[Any] = []
    engine.subscribe(lambda name, _, data: told.append(data) if name == "association" else None)
    assert engine.listener().secured
    assert sent(storescu(strict.port, kit.files, *kit.options(kit.ours.issue("scu.example")))) == [0]
    assert (stored(strict), strict.end().secured) == (3, True)
    assert engine.verify().ok
    assert [record["secured"] for record in told] == [True, True]
    assert not engine.listener().secured


@pytest.mark.parametrize(
    "options",
    [
        lambda kit: ["+tla", "+cf", str(kit.ours.file)],
        lambda kit: kit.options(kit.strange.issue("scu.example")),
        lambda kit: kit.options(kit.ours.issue("scu.example", expired=True)),
        lambda kit: [],
    ],
    ids=["no certificate", "unknown certificate", "expired certificate", "no TLS"],
)
def test_anybody_else_is_not(kit: Kit, strict: Listened, options: Callable[[Kit], Sequence[str]]):
    with at_most(10.0):
        assert sent(storescu(strict.port, kit.files, *options(kit))) != [0]
    assert (stored(strict), strict.end().associations) == (0, 0)


def test_where_no_certificate_is_wanted_none_is_needed(kit: Kit, lenient: Listened):
    assert sent(storescu(lenient.port, kit.files, "+tla", "+cf", str(kit.ours.file))) == [0]
    assert stored(lenient) == 3


def test_a_sender_that_does_not_trust_us_hangs_up(kit: Kit, lenient: Listened):
    assert sent(storescu(lenient.port, kit.files, "+tla", "+cf", str(kit.strange.file))) != [0]
    assert stored(lenient) == 0


def test_tls_at_a_port_without_is_refused(kit: Kit, engine: Engine):
    with listening(engine) as listened, at_most(10.0):
        assert sent(storescu(listened.port, kit.files, "+tla", "-ic")) != [0]
    assert stored(listened) == 0


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1])
def test_outdated_versions_are_refused(lenient: Listened, highest: ssl.TLSVersion):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = highest
    with (
        socket.create_connection((HOST, lenient.port), timeout=5.0) as sock,
        pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"),
    ):
        context.wrap_socket(sock)


def test_mute_clients_keep_nobody_out(kit: Kit, lenient: Listened):
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(socket.create_connection((HOST, lenient.port)))
        senders = [storescu(lenient.port, kit.files, "+tla", "+cf", str(kit.ours.file)) for _ in range(2)]
        with at_most(4.0):
            assert sent(*senders) == [0, 0]
    assert (stored(lenient), lenient.end().duplicates) == (3, 3)


def test_a_certificate_that_was_renewed_is_shown_from_the_next_opening_on(kit: Kit, engine: Engine, tmp_path: Path):
    mine = Certificate(tmp_path / "own.pem", tmp_path / "own.key.pem")
    for issued, outcome in ((kit.strange.issue(), False), (kit.ours.issue(), True)):
        mine.file.write_bytes(issued.file.read_bytes())
        mine.key.write_bytes(issued.key.read_bytes())
        with listening(engine, replace(OPEN, tls=listener_tls(mine))) as listened:
            done = sent(storescu(listened.port, kit.files, "+tla", "+cf", str(kit.ours.file)))
        assert (done == [0]) is outcome


def test_files_that_do_not_fit_are_not_saved_and_named(kit: Kit, engine: Engine, tmp_path: Path):
    gone = ListenerSettings(AET, tls=ListenerTls(str(tmp_path / "gone.pem")))
    with pytest.raises(UsageError, match=r"gone\.pem cannot be read"):
        engine.set_listener(gone)
    with pytest.raises(UsageError, match=r"gone\.pem cannot be read"):
        engine.listen(gone, token=CancelToken())
    assert engine.listener().settings.tls is None


def test_files_that_vanish_later_are_named_in_the_status(bench: Any, kit: Kit, tmp_path: Path):
    (tmp_path / "own.pem").write_bytes(kit.own.file.read_bytes())
    tls = ListenerTls(str(tmp_path / "own.pem"), str(kit.own.key))
    settings = ListenerSettings(AET, free_port(), enabled=True, tls=tls)
    with Engine(bench.database, bench.config, listen=True) as engine:
        engine.set_listener(settings)
        assert (engine.listener().open, engine.listener().secured) == (True, True)
        (tmp_path / "own.pem").unlink()
        engine.set_listener(replace(settings, unsolicited=True))
        assert "own.pem cannot be read" in engine.listener().problem
        assert not engine.listener().open
        engine.set_listener(replace(settings, tls=None))
        assert (engine.listener().open, engine.listener().secured, engine.listener().problem) == (True, False, "")


@pytest.fixture(scope="module")
def mover(kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An Orthanc that has a certificate to show to destinations which it is told to call over TLS."""
    its = kit.ours.issue("orthanc.example")
    options = {
        "DicomTlsCertificate": str(its.file),
        "DicomTlsPrivateKey": str(its.key),
        "DicomTlsTrustedCertificates": str(kit.ours.file),
    }
    with Orthanc(tmp_path_factory.mktemp("mover"), options=options) as peer:
        assert peer.load([file.path for file in kit.files]) == []
        yield peer.make_lasting()


@pytest.mark.parametrize("secured", [True, False])
def test_a_server_that_moves_must_send_with_tls(kit: Kit, mover: Orthanc, bench: Any, engine: Engine, secured: bool):
    port = free_port()
    mover.set_modality("us", "VISUALDICOM", port, tls=secured)
    bench.add("PACS", mover, retrieve=RetrieveMethod.MOVE, timeout=5.0)
    engine.set_listener(ListenerSettings(port=port, tls=listener_tls(kit.own, kit.ours)))
    result = engine.retrieve(Target(Level.SERIES, (kit.files[0].series_uid,)), "PACS")
    assert (result.complete, result.verified) == ((True, 3) if secured else (False, 0))
    assert all("It has to send with TLS there." in failure.reason for failure in result.failed)
    assert len(result.failed) == (0 if secured else 3)


def test_the_command_line_keeps_and_drops_it(bench: Any, kit: Kit):
    port = free_port()
    words = ["listen", "--aet", AET, "--port", port, "--allow", "*@*", "--unsolicited", "--save"]
    files = ["--tls-cert", kit.own.file, "--tls-key", kit.own.key, "--tls-ca", kit.ours.file]
    document, said = _listened(bench, port, [*words, *files])
    assert (document["secured"], f"port {port}, secured by TLS" in said) == (True, True)
    assert _saved(bench) == listener_tls(kit.own, kit.ours).to_dict()
    document, said = _listened(bench, port, [*words, "--no-tls"])
    assert (document["secured"], "TLS" in said) == (False, False)
    assert _saved(bench) is None


def _saved(bench: Any) -> Any:
    return json.loads(bench.config.read_text(encoding="utf-8"))["listener"]["tls"]


def _listened(bench: Any, port: int, words: Sequence[object]) -> tuple[Any, str]:
    process = bench.start(*words)
    wait_until(lambda: answers(port) or process.poll() is not None, what="the listener")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    return json.loads(out), err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tls-key", "own.key"], "TLS needs our certificate: --tls-cert"),
        (["--tls-cert", "gone.pem"], "gone.pem cannot be read"),
        (["--tls-cert", "own.pem", "--no-tls"], "--no-tls cannot be given together"),
    ],
)
def test_words_that_cannot_be_right_are_wrong_usage(bench: Any, words: list[str], said: str):
    done = bench.run("listen", *words, "--save")
    assert (done.code, said in done.document["error"]) == (2, True)
    assert not bench.config.exists()
