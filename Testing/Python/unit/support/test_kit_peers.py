"""The real peers, driven by a stock pynetdicom SCU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind as StudyFind,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet as StudyGet,
)
from pynetdicom.sop_class import Verification

from support.corpus import Corpus, CorpusFile
from support.dcmqrscp import Dcmqrscp
from support.orthanc import Orthanc
from support.peers import require
from support.processes import PeerProcess
from support.stock import without_delay
from support.synthetic import make_ct_series


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


def study_of(corpus: Corpus, name: str) -> list[CorpusFile]:
    (uid,) = {file.study_uid for file in corpus.files if file.path.name == name}
    return [file for file in corpus.files if file.study_uid == uid]


def get_study(peer: PeerProcess, study: list[CorpusFile], status: int = 0x0000) -> list[tuple[str, str]]:
    """C-GET a study; return SOP Instance UID and transfer syntax of what came."""
    got: list[tuple[str, str]] = []

    def keep(event: evt.Event) -> int:
        got.append((str(event.request.AffectedSOPInstanceUID), str(event.context.transfer_syntax)))
        return 0x0000

    key = Dataset()
    key.QueryRetrieveLevel = "STUDY"
    key.StudyInstanceUID = study[0].study_uid
    kinds = {(file.sop_class, file.transfer_syntax) for file in study}
    contexts = [build_context(StudyGet), *(build_context(*kind) for kind in sorted(kinds))]
    roles = [build_role(name, scp_role=True) for name in {sop_class for sop_class, _ in kinds}]
    with associated(peer, contexts=contexts, ext_neg=roles, handlers=[(evt.EVT_C_STORE, keep)]) as association:
        answers = list(association.send_c_get(key, StudyGet))
    assert answers[-1][0].Status == status
    return got


def identities(files: list[CorpusFile]) -> list[tuple[str, str]]:
    return sorted((file.sop_uid, file.transfer_syntax) for file in files)


def test_dcmqrscp_gives_back_by_c_get_what_was_loaded(dcmqrscp: Dcmqrscp, corpus: Corpus):
    plain = [file for file in corpus.files if file.transfer_syntax == ExplicitVRLittleEndian]
    study = [file for file in plain if file.study_uid == plain[0].study_uid]
    assert dcmqrscp.load(study) == []
    assert sorted(get_study(dcmqrscp, study)) == identities(study)


def test_dcmqrscp_gives_back_what_was_indexed_in_its_storage(dcmqrscp: Dcmqrscp, tmp_path: Path):
    study = make_ct_series(tmp_path, 30, 2000)
    assert dcmqrscp.index([file.path for file in study]) == []
    assert sorted(get_study(dcmqrscp, study)) == identities(study)


def test_dcmqrscp_with_its_profile_gives_back_compressed_objects_as_they_are(
    dcmqrscp_with_corpus: Dcmqrscp, corpus: Corpus
):
    study = study_of(corpus, "JPGLosslessP14SV1_1s_1f_8b.dcm")
    assert [file.transfer_syntax for file in study] == [JPEGLosslessSV1]
    assert get_study(dcmqrscp_with_corpus, study) == identities(study)


def test_dcmqrscp_sends_all_objects_of_a_class_through_one_context_and_fails_on_other_syntaxes(
    dcmqrscp_with_corpus: Dcmqrscp, corpus: Corpus
):
    study = study_of(corpus, "MR2_J2KR.dcm")
    plain = [file for file in study if file.transfer_syntax == ExplicitVRLittleEndian]
    assert (len(study), len(plain)) == (3, 1)
    assert get_study(dcmqrscp_with_corpus, study, status=0xB000) == identities(plain)


def test_dcmqrscp_by_itself_refuses_compressed_objects(dcmqrscp: Dcmqrscp, corpus: Corpus):
    (refused,) = dcmqrscp.load(file for file in corpus.files if file.path.name == "MR2_J2KR.dcm")
    assert refused.reason == "no context for MR Image Storage in JPEG 2000 Image Compression (Lossless Only)"


def test_c_get_can_be_disabled(tmp_path: Path):
    require("dcmqrscp")
    with (
        Dcmqrscp(tmp_path, disable_get=True) as peer,
        associated(peer, contexts=[build_context(Verification), build_context(StudyGet)]) as association,
    ):
        assert [context.abstract_syntax for context in association.accepted_contexts] == [Verification]


@pytest.mark.expects_log("Association Rejected", "Result: ", "Source: ", "Reason: ")
def test_orthanc_can_insist_on_its_ae_title(tmp_path: Path):
    require("Orthanc")
    with Orthanc(tmp_path, check_called_aet=True) as peer:
        association = AE("KIT").associate(*peer.address, ae_title="OTHER", contexts=[build_context(Verification)])
        assert not association.is_established
        peer.kill9()


def test_orthanc_holds_the_whole_corpus(orthanc_with_corpus: Orthanc, corpus: Corpus):
    assert orthanc_with_corpus.refused == []
    assert orthanc_with_corpus.instances() == sorted(corpus.by_uid())


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.expects_log("Invalid value for VR UI", "Failed to decode")
def test_dcmqrscp_holds_nearly_the_whole_corpus(dcmqrscp_with_corpus: Dcmqrscp, corpus: Corpus):
    (refused,) = dcmqrscp_with_corpus.refused
    assert (refused.path.name, refused.reason) == ("explicit_VR-UN.dcm", "status 0xC000")
    expected = {file.study_uid for file in corpus.files if file.path != refused.path}
    assert find_studies(dcmqrscp_with_corpus) == expected
