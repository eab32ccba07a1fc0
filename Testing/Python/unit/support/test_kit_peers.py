"""The real peers, driven by a stock pynetdicom SCU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind as StudyFind,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet as StudyGet,
)
from pynetdicom.sop_class import Verification
from support.corpus import Corpus
from support.dcmqrscp import Dcmqrscp
from support.orthanc import Orthanc
from support.processes import PeerProcess
from support.sender import without_delay


@contextmanager
def associated(peer: PeerProcess, **options) -> Iterator[Association]:
    handlers = [(evt.EVT_CONN_OPEN, without_delay), *options.pop("handlers", [])]
    association = AE("KIT").associate(*peer.address, ae_title=peer.ae_title, evt_handlers=handlers, **options)
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def find_studies(peer: PeerProcess) -> set[str]:
    key = Dataset()
    key.QueryRetrieveLevel = "STUDY"
    key.StudyInstanceUID = ""
    with associated(peer, contexts=[build_context(StudyFind)]) as association:
        answers = list(association.send_c_find(key, StudyFind))
    assert answers[-1][0].Status == 0x0000
    return {str(identifier.StudyInstanceUID) for _, identifier in answers[:-1] if identifier is not None}


@pytest.mark.parametrize("name", ["orthanc", "dcmqrscp"])
def test_a_peer_answers_an_echo(name: str, request: pytest.FixtureRequest):
    peer = request.getfixturevalue(name)
    with associated(peer, contexts=[build_context(Verification)]) as association:
        assert association.send_c_echo().Status == 0x0000


def test_orthanc_finds_what_was_uploaded(orthanc: Orthanc, corpus: Corpus):
    files = corpus.files[:3]
    assert [answer["Status"] for answer in orthanc.upload_many([file.path for file in files])] == ["Success"] * 3
    assert find_studies(orthanc) == {file.study_uid for file in files}
    assert orthanc.instances() == sorted(file.sop_uid for file in files)
    assert orthanc.upload(files[0].path)["Status"] == "AlreadyStored"
    assert orthanc.file(files[0].sop_uid)[128:132] == b"DICM"
    orthanc.delete_all()
    assert orthanc.counts() == (0, 0, 0, 0)


def test_orthanc_says_why_it_refuses_a_file(orthanc: Orthanc):
    answer = orthanc.upload(b"this is not DICOM")
    assert answer["Status"] == "Refused"
    assert "Bad file format" in answer["Reason"]


def test_dcmqrscp_gives_back_by_c_get_what_was_loaded(dcmqrscp: Dcmqrscp, corpus: Corpus):
    plain = [file for file in corpus.files if file.transfer_syntax == "1.2.840.10008.1.2.1"]
    study = [file for file in plain if file.study_uid == plain[0].study_uid]
    assert dcmqrscp.load(study) == []
    got: list[str] = []

    def keep(event: evt.Event) -> int:
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    key = Dataset()
    key.QueryRetrieveLevel = "STUDY"
    key.StudyInstanceUID = study[0].study_uid
    contexts = [build_context(StudyGet), *(build_context(name) for name in {file.sop_class for file in study})]
    roles = [build_role(context.abstract_syntax, scp_role=True) for context in contexts[1:]]
    with associated(dcmqrscp, contexts=contexts, ext_neg=roles, handlers=[(evt.EVT_C_STORE, keep)]) as association:
        statuses = [status.Status for status, _ in association.send_c_get(key, StudyGet)]
    assert statuses[-1] == 0x0000
    assert sorted(got) == sorted(file.sop_uid for file in study)


def test_orthanc_holds_the_whole_corpus(orthanc_with_corpus: Orthanc, corpus: Corpus):
    assert orthanc_with_corpus.refused == []
    assert orthanc_with_corpus.instances() == sorted(corpus.by_uid())


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.expects_log("Invalid value for VR UI", "Failed to decode")
def test_dcmqrscp_holds_nearly_the_whole_corpus(dcmqrscp_with_corpus: Dcmqrscp, corpus: Corpus):
    assert dcmqrscp_with_corpus.refused == []
    found = find_studies(dcmqrscp_with_corpus)
    lost = {file.path.name for file in corpus.files if file.study_uid not in found}
    assert lost == {"explicit_VR-UN.dcm"}, "answered Success, then indexed without UIDs"
