"""Real files of many vendors, from real servers: what the server counts arrives, as it went over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import _read_file_meta_info, read_preamble
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association

from support.comparison import differences
from support.corpus import Corpus, CorpusFile
from support.processes import PeerProcess
from support.stock import without_delay
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.domain.servers import Server

STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"

#: What cannot be had: file name -> (why not, part of the reason that is told).
NOT_FROM_ORTHANC = {
    "explicit_VR-UN.dcm": (
        "Orthanc does not understand a SOP Class UID of VR UN, and finds no context for it",
        "0xC000",
    ),
}
#: Objects that servers do not list in a way that one could ask for.
NEVER_LISTED = {"bad_sequence.dcm": "its UIDs are hexadecimal digests, which are none"}
NOT_IN_DCMQRSCP = {"explicit_VR-UN.dcm": "dcmqrscp does not understand UIDs of VR UN either, and lists it without"}


class Retrieved:
    """Everything that one server has, retrieved."""

    def __init__(self, name: str, peer: PeerProcess, corpus: Corpus, root: Path) -> None:
        self.name = name
        self.peer = peer
        self.corpus = corpus
        self.engine = Engine(root / "database", root / "config.json")
        self.engine.configuration.add(Server("PACS", peer.host, peer.port, peer.ae_title))
        found = self.engine.query(QueryFilter(), Level.STUDY)
        self.complete = found.complete
        self.warnings = found.warnings
        self.study_uids = tuple(s["study_uid"] for p in found.patients for s in p["studies"])
        self.result = self.engine.retrieve(Target(Level.STUDY, self.study_uids))

    def stored(self) -> dict[str, Path]:
        store = self.engine._store
        files = store.catalogue.local_files(Level.STUDY, self.study_uids)
        return {file.instance.sop_uid: store.path_of(file) for file in files}


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def retrieved(request, corpus, tmp_path_factory) -> Iterator[Retrieved]:
    peer = request.getfixturevalue(f"{request.param}_with_corpus")
    made = Retrieved(request.param, peer, corpus, tmp_path_factory.mktemp(f"from-{request.param}"))
    yield made
    made.engine.close()


def expected_missing(retrieved: Retrieved) -> dict[str, tuple[str, str]]:
    return NOT_FROM_ORTHANC if retrieved.name == "orthanc" else {}


def listed(retrieved: Retrieved) -> set[str]:
    unlisted = {*NEVER_LISTED, *(NOT_IN_DCMQRSCP if retrieved.name == "dcmqrscp" else ())}
    return {file.sop_uid for file in retrieved.corpus.files if file.path.name not in unlisted}


def test_everything_that_the_server_counts_arrives_or_has_its_reason(retrieved):
    result, files = retrieved.result, retrieved.corpus.by_uid()
    missing = {files[uid].path.name for uid in result.missing}
    reasons = {files[failure.subject].path.name: failure.reason for failure in result.failed}

    assert missing == set(expected_missing(retrieved)) == set(reasons)
    assert all(part in reasons[name] for name, (_, part) in expected_missing(retrieved).items())
    assert result.counted_by == "image-find"
    assert result.requested == len(listed(retrieved))
    assert result.received == result.verified == result.requested - len(missing)


def test_what_is_stored_is_what_was_listed_and_verifies(retrieved):
    stored = retrieved.stored()
    not_had = {f.sop_uid for f in retrieved.corpus.files if f.path.name in expected_missing(retrieved)}

    assert set(stored) == listed(retrieved) - not_had
    checked = retrieved.engine.verify()
    assert checked.ok
    assert checked.rows == checked.files == len(stored)


def test_objects_with_invalid_uids_are_mentioned_by_the_search(retrieved):
    assert not retrieved.complete
    assert retrieved.warnings == ("PACS: matches left out because their UID is invalid: 1.",)


def test_the_elements_are_those_of_the_source(retrieved):
    files = retrieved.corpus.by_uid()
    different = {
        files[uid].path.name: found
        for uid, path in retrieved.stored().items()
        if (found := differences(files[uid].path, path))
    }
    assert different == {}


def test_the_data_sets_are_byte_for_byte_what_was_on_the_wire(retrieved):
    files = retrieved.corpus.by_uid()
    stored = retrieved.stored()
    changed = [
        files[uid].path.name
        for uid, on_the_wire in recorded(retrieved, stored).items()
        if data_set(stored[uid]) != on_the_wire
    ]
    assert changed == []


def test_a_second_retrieve_receives_nothing(retrieved):
    again = retrieved.engine.retrieve(Target(Level.STUDY, retrieved.study_uids))

    assert (again.received, again.bytes) == (0, 0)
    assert again.verified == retrieved.result.verified
    assert again.missing == retrieved.result.missing


def data_set(path: Path) -> bytes:
    with path.open("rb") as file:
        read_preamble(file, force=False)
        _read_file_meta_info(file)
        return file.read()


def recorded(retrieved: Retrieved, stored: dict[str, Path]) -> dict[str, bytes]:
    """Fetch each instance with a stock SCU that accepts nothing but the transfer syntax we got; the raw data sets."""
    files = retrieved.corpus.by_uid()
    groups: dict[tuple[str, str], list[CorpusFile]] = {}
    for uid, path in stored.items():
        syntax = str(pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID)
        groups.setdefault((files[uid].sop_class, syntax), []).append(files[uid])
    found: dict[str, bytes] = {}

    def keep(event: evt.Event) -> int:
        found[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return 0x0000

    for (sop_class, syntax), members in groups.items():
        association = AE("RECORDER").associate(
            *retrieved.peer.address,
            ae_title=retrieved.peer.ae_title,
            contexts=[build_context(STUDY_ROOT_GET), build_context(sop_class, syntax)],
            ext_neg=[build_role(sop_class, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, keep), (evt.EVT_CONN_OPEN, without_delay)],
        )
        assert association.is_established
        for file in members:
            get_one(association, file)
        association.release()
    assert set(found) == set(stored)
    return found


def get_one(association: Association, file: CorpusFile) -> None:
    keys = Dataset()
    keys.QueryRetrieveLevel = "IMAGE"
    keys.StudyInstanceUID, keys.SeriesInstanceUID, keys.SOPInstanceUID = file.study_uid, file.series_uid, file.sop_uid
    list(association.send_c_get(keys, STUDY_ROOT_GET))


def test_what_came_back_has_the_content_of_the_source(retrieved):
    sources = [file for file in retrieved.corpus.files if file.sop_uid in retrieved.stored()]
    with closing(retrieved.engine._comparing):  # whose processes outlive no test
        again = retrieved.engine.import_paths([file.path for file in sources])

    assert (again.files, again.imported, again.conflicts) == (len(sources), 0, ())
    assert again.duplicates == len(sources) > 0.9 * len(retrieved.corpus.files)
