"""The network layer with Orthanc and dcmqrscp: what they hold is found, and comes byte by byte as they send it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.presentation import PresentationContext

from support.client import MemoryHandler, fetch, server_at
from support.corpus import Corpus, CorpusFile
from support.dcmqrscp import Dcmqrscp
from support.fault_proxy import FaultProxy, Throttle
from support.messages import STUDY_ROOT_GET
from support.orthanc import Orthanc
from support.stock import quiet_libraries, without_delay
from VisualDICOMBrowserLib.dimse.association import Association
from VisualDICOMBrowserLib.dimse.contexts import Proposal, storage_batches
from VisualDICOMBrowserLib.dimse.echo import echo
from VisualDICOMBrowserLib.dimse.find import Finder
from VisualDICOMBrowserLib.dimse.get import GetOutcome, get
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import AssociationRejected
from VisualDICOMBrowserLib.domain.model import Level
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.domain.uids import is_uid

Peer = Orthanc | Dcmqrscp
LIMIT = 1000


@dataclass(frozen=True)
class Archive:
    """A server with the files that it holds."""

    server: Server
    files: tuple[CorpusFile, ...]

    @property
    def largest_study(self) -> list[CorpusFile]:
        """The files of the study with the most series and instances."""
        studies = defaultdict(list)
        for file in self.files:
            studies[file.study_uid].append(file)
        return max(studies.values(), key=lambda files: (len({f.series_uid for f in files}), len(files)))


@pytest.fixture(params=["orthanc_with_corpus", "dcmqrscp_with_corpus"])
def archive(request: pytest.FixtureRequest, corpus: Corpus) -> Archive:
    peer: Peer = request.getfixturevalue(request.param)
    refused = {entry.path for entry in peer.refused}
    files = tuple(f for f in corpus.files if f.path not in refused and is_uid(f.study_uid))
    return Archive(server_at(peer.address, peer.ae_title, timeout=10), files)


def keys(file: CorpusFile, level: Level) -> dict[str, str]:
    return {"StudyInstanceUID": file.study_uid, **({"SeriesInstanceUID": file.series_uid} if level > 1 else {})}


def proposals(files: Sequence[CorpusFile]) -> list[Proposal]:
    """Propose for each class the one syntax that its first file has."""
    syntaxes = {file.sop_class: file.transfer_syntax for file in reversed(files)}
    return [Proposal(STUDY_ROOT_GET), *(Proposal(name, (syntax,), as_scp=True) for name, syntax in syntaxes.items())]


def received(archive: Archive, level: Level, files: Sequence[CorpusFile], **more: Sequence[str]) -> dict[str, bytes]:
    handler = MemoryHandler()
    fetch(archive.server, {**keys(files[0], level), **more}, handler, proposals(files), level=level)
    return handler.data()


def by_pynetdicom(
    archive: Archive, level: Level, files: Sequence[CorpusFile], **more: Sequence[str]
) -> dict[str, bytes]:
    """Fetch the same with a stock pynetdicom SCU, with the same presentation contexts."""
    got: dict[str, bytes] = {}

    def keep(event: evt.Event) -> int:
        got[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return 0

    wanted = proposals(files)
    contexts: list[PresentationContext] = [build_context(p.abstract_syntax, list(p.transfer_syntaxes)) for p in wanted]
    with quiet_libraries():
        association = AE("KIT").associate(
            archive.server.host,
            archive.server.port,
            contexts,
            archive.server.called_aet,
            max_pdu=131072,
            ext_neg=[build_role(p.abstract_syntax, scp_role=True) for p in wanted if p.as_scp],
            evt_handlers=[(evt.EVT_C_STORE, keep), (evt.EVT_CONN_OPEN, without_delay)],
        )
        assert association.is_established
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level.name
        for keyword, value in {**keys(files[0], level), **more}.items():
            setattr(identifier, keyword, value)
        for _ in association.send_c_get(identifier, STUDY_ROOT_GET):
            pass
        association.release()
    return got


def test_an_echo_is_answered(archive: Archive):
    with FaultProxy((archive.server.host, archive.server.port)) as proxy:
        echo(server_at(proxy.address, archive.server.called_aet), CancelToken())
        assert proxy.bytes_to_client > 100


def test_all_four_levels_are_found(archive: Archive):
    study = archive.largest_study
    with Finder.connect(archive.server, CancelToken()) as finder:
        patients, truncated = finder.patients({}, LIMIT)
        assert not truncated
        assert len(patients) > 5
        studies, _ = finder.studies({}, LIMIT)
        # dcmqrscp does not index values that are encoded as UN
        expected = {file.study_uid for file in archive.files if file.path.name != "explicit_VR-UN.dcm"}
        assert {s.study_uid for s in studies} >= expected
        (found,), _ = finder.studies({"StudyInstanceUID": study[0].study_uid}, LIMIT)
        assert found.study_uid == study[0].study_uid
        series, _ = finder.series(found.study_uid, {}, LIMIT)
        assert {s.series_uid for s in series} == {file.series_uid for file in study}
        instances = [i for s in series for i in finder.instances(found.study_uid, s.series_uid, {}, LIMIT)[0]]
    assert {i.sop_uid for i in instances} == {file.sop_uid for file in study}


def test_names_beyond_ascii_come_as_unicode(archive: Archive):
    with Finder.connect(archive.server, CancelToken()) as finder:
        names = {study.patient.name for study in finder.studies({}, LIMIT)[0]}
    assert {"Buc^Jérôme", "Äneas^Rüdiger"} <= names
    if archive.server.called_aet == "ORTHANC":
        return  # it answers in Latin-1 whatever is asked, and leaves out what does not fit
    assert {"Διονυσιος", "Люкceмбypг", "שרון^דבורה", "Wang^XiaoDong=王^小东="} <= names
    assert {"Yamada^Tarou=山田^太郎=やまだ^たろう", "Hong^Gildong=洪^吉洞=홍^길동"} <= names


def test_at_the_limit_the_server_stops_and_answers_the_next_query(archive: Archive):
    with Finder.connect(archive.server, CancelToken()) as finder:
        patients, truncated = finder.patients({}, 2)
        assert (len(patients), truncated) == (2, True)
        study = archive.files[0].study_uid
        assert [s.study_uid for s in finder.studies({"StudyInstanceUID": study}, 5)[0]] == [study]


def test_a_study_comes_as_pynetdicom_gets_it(archive: Archive):
    study = archive.largest_study
    ours = received(archive, Level.STUDY, study)
    assert ours
    assert ours == by_pynetdicom(archive, Level.STUDY, study)


def test_a_series_comes_as_pynetdicom_gets_it(archive: Archive):
    study = archive.largest_study
    series = [file for file in study if file.series_uid == study[0].series_uid]
    ours = received(archive, Level.SERIES, series)
    assert set(ours) == {file.sop_uid for file in series}
    assert ours == by_pynetdicom(archive, Level.SERIES, series)


def test_a_list_of_instances_comes_and_no_other(archive: Archive):
    study = archive.largest_study
    series = [file for file in study if file.series_uid == study[0].series_uid]
    wanted = [file.sop_uid for file in series][::2]
    ours = received(archive, Level.IMAGE, series, SOPInstanceUID=wanted)
    assert set(ours) == set(wanted)
    assert ours == by_pynetdicom(archive, Level.IMAGE, series, SOPInstanceUID=wanted)


def test_every_transfer_syntax_comes_as_pynetdicom_gets_it(archive: Archive):
    smallest = {
        file.transfer_syntax: file
        for file in sorted(archive.files, key=lambda file: file.path.stat().st_size, reverse=True)
    }
    assert len(smallest) >= 9
    came = 0
    for file in smallest.values():
        ours = received(archive, Level.IMAGE, [file], SOPInstanceUID=[file.sop_uid])
        assert ours == by_pynetdicom(archive, Level.IMAGE, [file], SOPInstanceUID=[file.sop_uid]), file.path.name
        came += len(ours)
    assert came >= len(smallest) - 2  # big endian and deflated are not sent by every server


def test_a_compressed_instance_comes_with_all_that_we_would_propose(archive: Archive):
    file = next(f for f in archive.files if f.transfer_syntax == "1.2.840.10008.1.2.4.90")
    contexts = next(storage_batches([file.sop_class], [], room=127))
    handler, outcome = MemoryHandler(), GetOutcome()
    fetch(
        archive.server,
        {**keys(file, Level.IMAGE), "SOPInstanceUID": file.sop_uid},
        handler,
        [Proposal(STUDY_ROOT_GET), *contexts],
        level=Level.IMAGE,
        outcome=outcome,
    )
    if archive.server.called_aet == "ORTHANC":
        assert handler.instances[file.sop_uid].incoming.transfer_syntax == file.transfer_syntax
    else:  # dcmqrscp prefers an uncompressed context, and cannot decompress
        assert handler.instances.keys() | set(outcome.failed_uids) == {file.sop_uid}


def test_several_retrieves_go_over_one_association(archive: Archive):
    study = archive.largest_study
    series = {file.series_uid: file for file in study}
    handler = MemoryHandler()
    with Association.request(archive.server, proposals(study), CancelToken()) as association:
        for file in series.values():
            get(association, Level.SERIES, keys(file, Level.SERIES), handler, GetOutcome())
    fitting = {f.sop_uid for f in study if Proposal(f.sop_class, (f.transfer_syntax,), as_scp=True) in proposals(study)}
    assert handler.data().keys() >= fitting


def test_a_slow_line_is_no_stall(archive: Archive):
    file = min(archive.files, key=lambda f: abs(f.path.stat().st_size - 40_000))
    wanted = {**keys(file, Level.IMAGE), "SOPInstanceUID": file.sop_uid}
    faults = [Throttle(after=500, bytes_per_second=30_000)]
    with FaultProxy((archive.server.host, archive.server.port), to_client=faults) as proxy:
        handler = MemoryHandler()
        slow = server_at(proxy.address, archive.server.called_aet, timeout=0.5)
        fetch(slow, wanted, handler, proposals([file]), level=Level.IMAGE)
    assert set(handler.data()) == {file.sop_uid}


def test_a_server_that_checks_its_title_says_so(tmp_path, corpus: Corpus):
    with Orthanc(tmp_path, check_called_aet=True) as peer:
        with pytest.raises(AssociationRejected, match="it is not called WRONG") as caught:
            echo(server_at(peer.address, "WRONG"), CancelToken())
        assert not caught.value.retryable
