"""Fixtures for all tests: real peers, the faulty wire, the scripted peer, and what every test is watched for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import pytest

from support import guards, qt_here
from support.corpus import Corpus
from support.corpus import corpus as read_corpus
from support.dcmqrscp import Dcmqrscp
from support.fault_proxy import FaultProxy
from support.guardian import guardian
from support.guards import leak_check, logfail
from support.orthanc import Orthanc
from support.peers import require
from support.processes import PeerProcess
from support.scripted_peer import Script, ScriptedPeer

__all__ = ["leak_check", "logfail"]

Peer = TypeVar("Peer", bound=PeerProcess)


def pytest_plugin_registered(manager: pytest.PytestPluginManager) -> None:
    qt_here.drop_pytest_qt(manager)


def pytest_configure(config: pytest.Config) -> None:
    guards.register_markers(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    guards.skip_soak_tests(config, items)


def pytest_unconfigure() -> None:
    guardian.close()


@contextmanager
def _running(peer: Peer) -> Iterator[Peer]:
    """Run a peer for a fixture that outlives the test; at the end it is killed: its storage is thrown away anyhow."""
    peer.start().make_lasting()
    try:
        yield peer
    finally:
        peer.kill9()


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """Real files of many vendors."""
    return read_corpus()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An empty Orthanc for the tests of one module."""
    require("Orthanc")
    with _running(Orthanc(tmp_path_factory.mktemp("orthanc"))) as peer:
        yield peer


@pytest.fixture(scope="module")
def dcmqrscp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dcmqrscp]:
    """An empty dcmqrscp for the tests of one module; it speaks uncompressed transfer syntaxes only."""
    require("dcmqrscp")
    with _running(Dcmqrscp(tmp_path_factory.mktemp("dcmqrscp"))) as peer:
        yield peer


@pytest.fixture(scope="session")
def orthanc_with_corpus(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Iterator[Orthanc]:
    """An Orthanc that holds the corpus, for reading only; what it did not take is in ``refused``."""
    require("Orthanc")
    with _running(Orthanc(tmp_path_factory.mktemp("orthanc-corpus"))) as peer:
        peer.load(corpus.paths)
        yield peer


@pytest.fixture(scope="session")
def dcmqrscp_with_corpus(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Iterator[Dcmqrscp]:
    """A dcmqrscp that holds the corpus and speaks compressed transfer syntaxes too, for reading only."""
    require("dcmqrscp")
    classes = {file.sop_class for file in corpus.files}
    peer = Dcmqrscp(tmp_path_factory.mktemp("dcmqrscp-corpus"), compressed=True, sop_classes=sorted(classes))
    with _running(peer):
        peer.load(corpus.files)
        yield peer


@pytest.fixture
def fault_proxy() -> Iterator[Callable[..., FaultProxy]]:
    """Make fault proxies, with the arguments of :class:`FaultProxy`; they are closed after the test."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(FaultProxy(*args, **options))


@pytest.fixture
def scripted_peer() -> Iterator[Callable[..., ScriptedPeer]]:
    """Make peers from scripts; they are closed after the test, and an error in a script fails it."""
    with ExitStack() as stack:

        def make(*scripts: Script) -> ScriptedPeer:
            return stack.enter_context(ScriptedPeer(*scripts))

        yield make
