"""Retrieves from several servers, and from servers with habits of their own."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator

import pydicom
import pytest
from pydicom.uid import generate_uid

from support.archive import SERIES, STUDY, Archive
from support.corpus import CorpusFile
from support.dcmqrscp import Dcmqrscp
from support.orthanc import Orthanc
from support.peers import require
from support.synthetic import make_ct_series
from VisualDICOMBrowserLib.dimse.contexts import all_storage_classes
from VisualDICOMBrowserLib.domain.errors import UsageError
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target

SIZE = 2000


@pytest.fixture(scope="module")
def other_orthanc(tmp_path_factory) -> Iterator[Orthanc]:
    require("Orthanc")
    with Orthanc(tmp_path_factory.mktemp("other"), ae_title="OTHER") as peer:
        yield peer.make_lasting()


class Spread:
    """One patient with three studies: the first on A only, the second on B only, the third in parts on both."""

    def __init__(self, root, a: Orthanc, b: Orthanc) -> None:
        self.a, self.b = a, b
        self.on_a = make_ct_series(root / "1", 2, SIZE, patient_id="SPREAD", study=11)
        self.on_b = make_ct_series(root / "2", 3, SIZE, patient_id="SPREAD", study=12)
        both = make_ct_series(root / "3", 4, SIZE, patient_id="SPREAD", study=13)
        more_on_b = make_ct_series(root / "4", 5, SIZE, patient_id="SPREAD", study=13, series=2)
        self.third = both + more_on_b
        assert a.load([f.path for f in (*self.on_a, *both)]) == []
        assert b.load([f.path for f in (*self.on_b, *both, *more_on_b)]) == []


@pytest.fixture(scope="module")
def spread(orthanc, other_orthanc, tmp_path_factory) -> Spread:
    return Spread(tmp_path_factory.mktemp("spread"), orthanc, other_orthanc)


@pytest.fixture
def both(bench, spread) -> Spread:
    bench.add("A", spread.a)
    bench.add("B", spread.b)
    return spread


PATIENT = Target(Level.PATIENT, ("SPREAD",))


def test_a_patient_is_put_together_from_all_servers(both, engine):
    result = engine.retrieve(PATIENT)

    assert result.complete
    assert result.requested == result.verified == result.received == 2 + 3 + 4 + 5
    assert engine.verify().rows == 14
    assert engine.retrieve(PATIENT).received == 0


def test_a_study_that_is_in_parts_on_both_servers_comes_whole(both, engine):
    result = engine.retrieve(Target(Level.STUDY, (both.third[0].study_uid,)))

    assert result.complete
    assert result.requested == result.received == 9


def test_studies_of_different_servers_come_by_one_request(both, engine):
    uids = (both.on_a[0].study_uid, both.on_b[0].study_uid)
    result = engine.retrieve(Target(Level.STUDY, uids))

    assert result.complete
    assert (result.received, result.warnings) == (5, ())


def test_series_and_instances_are_asked_for_until_they_are_here(both, engine):
    series = (both.on_a[0].series_uid, both.on_b[0].series_uid)
    assert engine.retrieve(Target(Level.SERIES, series)).received == 5
    instances = (both.third[0].sop_uid, both.third[-1].sop_uid)
    result = engine.retrieve(Target(Level.IMAGE, instances))

    assert result.complete
    assert (result.requested, result.received) == (2, 2)


def test_a_server_out_of_reach_leaves_a_patient_incomplete(bench, spread, dead_port, engine):
    bench.add("GONE", ("127.0.0.1", dead_port))
    bench.add("A", spread.a)
    result = engine.retrieve(PATIENT)

    assert result.received == result.verified == result.requested == 6
    assert not result.complete
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("GONE: The server at")


def test_a_server_out_of_reach_does_not_matter_for_a_study_that_another_has(bench, spread, dead_port, engine):
    bench.add("A", spread.a)
    bench.add("GONE", ("127.0.0.1", dead_port))
    study = engine.retrieve(Target(Level.STUDY, (spread.on_a[0].study_uid,)))
    series = engine.retrieve(Target(Level.SERIES, (spread.third[0].series_uid,)))

    assert study.complete
    assert study.warnings[0].startswith("GONE: ")
    assert series.complete
    assert series.warnings == ()  # nobody asked for more once it was here


def test_a_server_that_is_only_asked_for_more_is_asked_once(bench, spread, dead_port, engine):
    bench.add("A", spread.a)
    bench.add("GONE", ("127.0.0.1", dead_port))
    states: list[str] = []
    engine.subscribe(lambda name, _, data: states.append(data["state"]) if name == "job" else None)
    engine.retrieve(Target(Level.STUDY, (spread.on_a[0].study_uid,)))

    assert "waiting" not in states


def test_a_named_server_is_the_only_one_that_is_asked(both, engine):
    result = engine.retrieve(PATIENT, "A")

    assert result.complete
    assert result.received == 6


def test_patients_without_an_id_cannot_be_told_apart_and_are_refused(both, engine):
    with pytest.raises(UsageError, match="without an ID"):
        engine.retrieve(Target(Level.PATIENT, ("",)))


def test_wildcards_in_a_patient_id_fetch_nobody_else(both, engine):
    result = engine.retrieve(Target(Level.PATIENT, ("SPREA*",)))

    assert (result.requested, result.complete) == (0, False)


# Compressed objects, on a server that does not tell


def test_half_of_a_series_compressed_comes_whole_from_dcmqrscp(bench, engine, tmp_path):
    """dcmqrscp sends through an uncompressed context if there is one, and fails for what it cannot decompress."""
    require("dcmqrscp")
    require("dcmcjpeg")
    files = make_ct_series(tmp_path / "ct", 6, SIZE, patient_id="HALF", study=21)
    for file in files[::2]:
        compress(file)
    with Dcmqrscp(tmp_path / "qr", compressed=True) as peer:
        assert peer.index([file.path for file in files]) == []
        bench.add("PACS", peer)
        result = engine.retrieve(Target(Level.STUDY, (files[0].study_uid,)))
        again = engine.retrieve(Target(Level.STUDY, (files[0].study_uid,)))

    assert result.complete
    assert (result.requested, result.received) == (6, 6)
    assert again.received == 0


def test_what_a_server_cannot_send_has_its_reason_and_does_not_cost_the_rest(bench, engine, tmp_path):
    """By itself dcmqrscp takes uncompressed contexts only; the compressed half cannot be had."""
    require("dcmqrscp")
    require("dcmcjpeg")
    files = make_ct_series(tmp_path / "ct", 6, SIZE, patient_id="HALF", study=22)
    for file in files[::2]:
        compress(file)
    with Dcmqrscp(tmp_path / "qr") as peer:
        peer.index([file.path for file in files])
        bench.add("PACS", peer)
        result = engine.retrieve(Target(Level.STUDY, (files[0].study_uid,)))

    assert (result.requested, result.received, result.complete) == (6, 3, False)
    assert set(result.missing) == {file.sop_uid for file in files[::2]} == {f.subject for f in result.failed}
    assert all("The server could not send it" in f.reason for f in result.failed)


PRIVATE_CLASS = "1.2.826.0.1.3680043.8.498.77777"


def make_private(file: CorpusFile) -> None:
    """Give a file a SOP class that nobody else knows."""
    dataset = pydicom.dcmread(file.path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = PRIVATE_CLASS
    dataset.save_as(file.path)


def test_objects_of_a_private_class_come_from_a_server_that_names_it(bench, engine, tmp_path, orthanc):
    require("dcmcjpeg")
    files = make_ct_series(tmp_path / "ct", 4, SIZE, patient_id="PRIVATE", study=23)
    for file in files[:2]:
        compress(file)
    for file in files[1:3]:
        make_private(file)
    assert orthanc.load([file.path for file in files]) == []
    bench.add("PACS", orthanc)
    result = engine.retrieve(Target(Level.STUDY, (files[0].study_uid,)))

    assert result.complete
    assert (result.requested, result.received) == (4, 4)


def test_objects_of_a_private_class_that_a_server_does_not_name_are_missing_by_name(bench, engine, tmp_path):
    require("dcmqrscp")
    files = make_ct_series(tmp_path / "ct", 3, SIZE, patient_id="PRIVATE", study=24)
    make_private(files[0])
    with Dcmqrscp(tmp_path / "qr", compressed=True, sop_classes=[PRIVATE_CLASS]) as peer:
        assert peer.index([file.path for file in files]) == []
        bench.add("PACS", peer)
        result = engine.retrieve(Target(Level.STUDY, (files[0].study_uid,)))

    assert (result.requested, result.received, result.complete) == (3, 2, False)
    assert result.missing == (files[0].sop_uid,)


def compress(file: CorpusFile) -> None:
    target = file.path.with_suffix(".jpeg")
    subprocess.run(["dcmcjpeg", "+un", str(file.path), str(target)], check=True, capture_output=True, timeout=20)
    shutil.move(target, file.path)


def test_a_server_without_c_get_says_so(bench, engine, tmp_path):
    require("dcmqrscp")
    files = make_ct_series(tmp_path / "ct", 1, SIZE, patient_id="NOGET", study=23)
    with Dcmqrscp(tmp_path / "qr", disable_get=True) as peer:
        peer.index([file.path for file in files])
        bench.add("PACS", peer)
        result = engine.retrieve(Target(Level.STUDY, (files[0].study_uid,)))

    assert not result.complete
    assert result.missing == (files[0].sop_uid,)
    assert result.failed or result.warnings
    assert "C-GET" in " ".join((*result.warnings, *(f.reason for f in result.failed)))


# Objects that are not what they should be


def test_a_uid_given_out_twice_is_told_and_the_first_object_kept(bench, engine, orthanc, tmp_path):
    """Two studies of different patients with an instance of the same UID; only one can be in the database."""
    (first,) = make_ct_series(tmp_path / "ct", 1, SIZE, patient_id="TWIN1", study=25)
    second = pydicom.dcmread(first.path)
    second.PatientID, second.StudyInstanceUID, second.SeriesInstanceUID = "TWIN2", generate_uid(), generate_uid()
    second.save_as(tmp_path / "second.dcm")
    assert orthanc.load([first.path, tmp_path / "second.dcm"]) == []
    bench.add("PACS", orthanc)
    assert engine.retrieve(Target(Level.STUDY, (first.study_uid,))).complete
    result = engine.retrieve(Target(Level.STUDY, (str(second.StudyInstanceUID),)))

    assert not result.complete
    assert (result.requested, result.received, result.verified, result.missing) == (1, 0, 0, (first.sop_uid,))
    assert "same UID" in result.failed[0].reason
    assert engine.verify().ok
    assert engine.local(QueryFilter(patient_id="TWIN1")).patients
    assert not engine.local(QueryFilter(patient_id="TWIN2")).patients


# A server from a script: no query at image level, no counts, and a success that is none


def test_without_a_query_at_image_level_the_related_instances_count(bench, engine, scripted_peer):
    archive = Archive(count=3, objects=3)
    bench.add("PACS", scripted_peer(archive).address)
    result = engine.retrieve(Target(Level.STUDY, (STUDY,)))

    assert result.complete
    assert (result.requested, result.counted_by, result.received) == (3, "related-instances", 3)
    again = engine.retrieve(Target(Level.STUDY, (STUDY,)))
    assert (again.requested, again.received, again.bytes, archive.gets) == (3, 0, 0, 1)


def test_without_any_counts_the_sub_operations_count(bench, engine, scripted_peer):
    bench.add("PACS", scripted_peer(Archive(count=None, objects=4)).address)
    result = engine.retrieve(Target(Level.STUDY, (STUDY,)))

    assert result.complete
    assert (result.requested, result.counted_by, result.received) == (4, "sub-operations", 4)
    assert engine.retrieve(Target(Level.STUDY, (STUDY,))).received == 0


def test_fewer_instances_than_counted_are_no_success_whatever_the_status_says(bench, engine, scripted_peer):
    archive = Archive(count=5, objects=3)
    bench.add("PACS", scripted_peer(archive).address)
    result = engine.retrieve(Target(Level.STUDY, (STUDY,)))

    assert not result.complete
    assert (result.requested, result.verified) == (5, 3)
    assert any(SERIES in warning for warning in result.warnings)
    assert archive.gets < 20


def test_a_truncated_object_is_not_kept_and_has_its_reason(bench, engine, scripted_peer):
    archive = Archive(count=3, objects=3)
    archive.cut = {1}
    bench.add("PACS", scripted_peer(archive).address)
    result = engine.retrieve(Target(Level.STUDY, (STUDY,)))

    assert (result.requested, result.received, result.verified) == (3, 2, 2)
    assert result.missing == ("1.2.826.1.1.2",) == tuple(failure.subject for failure in result.failed)
    assert result.failed[0].reason.endswith(".")
    assert archive.gets == 1  # it would be as damaged the next time
    assert engine.verify().ok
    assert engine.verify().rows == 2


def test_single_instances_are_fetched_even_if_the_server_lists_none(bench, engine, scripted_peer):
    """Where they belong is known, because they were here before."""
    bench.add("PACS", scripted_peer(Archive(count=3, objects=3)).address)
    engine.retrieve(Target(Level.SERIES, (SERIES,)))
    one = "1.2.826.1.1.2"
    engine.remove(Target(Level.IMAGE, (one,)))
    result = engine.retrieve(Target(Level.IMAGE, (one,)))

    assert result.complete
    assert (result.requested, result.counted_by, result.received) == (1, "request", 1)


@pytest.mark.parametrize("count", [0, None])
def test_a_series_without_instances_is_nothing_to_wait_for(bench, engine, scripted_peer, count):
    archive = Archive(count=count, objects=0, refuse_images=False)
    bench.add("PACS", scripted_peer(archive).address)
    started = time.monotonic()
    result = engine.retrieve(Target(Level.STUDY, (STUDY,)))

    assert (result.requested, result.complete) == (0, False)
    assert archive.gets <= 1
    assert time.monotonic() - started < 3


def test_objects_of_an_unlikely_class_are_asked_for_in_a_later_round(bench, engine, scripted_peer):
    """The server says the series is CT and does not say that its objects are of a rare class."""
    rare = all_storage_classes()[-1]
    archive = Archive(count=2, objects=2, sop_class=rare)
    bench.add("PACS", scripted_peer(archive).address)
    result = engine.retrieve(Target(Level.STUDY, (STUDY,)))

    assert result.complete
    assert result.received == 2
    assert archive.gets == 1  # none was sent over associations without any use


def test_two_retrieves_of_the_same_study_at_once_do_no_harm(both, engine):
    results = []
    target = Target(Level.STUDY, (both.third[0].study_uid,))
    threads = [threading.Thread(target=lambda: results.append(engine.retrieve(target))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert [result.complete for result in results] == [True] * 3
    assert sum(result.received for result in results) == 9
    assert engine.verify().ok
