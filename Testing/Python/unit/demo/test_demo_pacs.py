from __future__ import annotations

import contextlib
import io
import socket
import threading
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)
from pynetdicom import AE, build_role, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from VisualDICOMBrowserLib.demo.objects import made_uid
from VisualDICOMBrowserLib.demo.pacs import AE_TITLE, DemoPacs

PATIENT_FIND, PATIENT_MOVE, PATIENT_GET = (f"1.2.840.10008.5.1.4.1.2.1.{n}" for n in (1, 2, 3))
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
CT_STUDY = made_uid("study", "A2023-1101")
ECHO_STUDY = made_uid("study", "A2020-1301")
SMALL_STUDY = made_uid("study", "A2022-1102")


def identifier(level: str, charset: str | list[str] = "", **keys) -> Dataset:
    dataset = Dataset()
    if charset:
        dataset.SpecificCharacterSet = charset
    dataset.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


class Client:
    """A stock pynetdicom SCU."""

    def __init__(self, port: int, storage=(), syntaxes=(ExplicitVRLittleEndian, ImplicitVRLittleEndian)) -> None:
        self.stored: list[Dataset] = []
        self.ae = AE("CLIENT")
        for model in (PATIENT_FIND, PATIENT_MOVE, PATIENT_GET, STUDY_FIND, STUDY_MOVE, STUDY_GET, "1.2.840.10008.1.1"):
            self.ae.add_requested_context(model)
        for sop_class in storage:
            for syntax in syntaxes:
                self.ae.add_requested_context(sop_class, syntax)
        self.roles = [build_role(sop_class, scu_role=True, scp_role=True) for sop_class in storage]
        self.port = port

    def __enter__(self):
        self.association = self.ae.associate(
            "127.0.0.1", self.port, ae_title=AE_TITLE, ext_neg=self.roles,
            evt_handlers=[(evt.EVT_C_STORE, self._store)],
        )  # fmt: skip
        assert self.association.is_established
        return self

    def __exit__(self, *error) -> None:
        if self.association.is_established:
            self.association.release()

    def _store(self, event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.stored.append(dataset)
        return 0

    def find(self, keys: Dataset, model: str = STUDY_FIND) -> tuple[int, list[Dataset]]:
        answers = list(self.association.send_c_find(keys, model))
        return answers[-1][0].Status, [found for _, found in answers[:-1]]

    def get(self, keys: Dataset, model: str = STUDY_GET) -> Dataset:
        return list(self.association.send_c_get(keys, model))[-1][0]

    def store_as(self, dataset: Dataset, sop_uid: UID) -> int:
        """Send an object under a UID that need not be its own."""
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID = dataset.SOPClassUID
        request.AffectedSOPInstanceUID = sop_uid
        request.DataSet = io.BytesIO(encode(dataset, False, True))
        context = next(c for c in self.association.accepted_contexts if c.abstract_syntax == dataset.SOPClassUID)
        self.association._reactor_checkpoint.clear()
        self.association.dimse.send_msg(request, context.context_id)
        _, response = self.association.dimse.get_msg(block=True)
        self.association._reactor_checkpoint.set()
        return response.Status

    def move(self, keys: Dataset, to: str, model: str = STUDY_MOVE) -> Dataset:
        return list(self.association.send_c_move(keys, to, model))[-1][0]


@pytest.fixture
def client(pacs: DemoPacs):
    with Client(pacs.port) as connected:
        yield connected


@pytest.fixture
def getting(pacs: DemoPacs, archive):
    with Client(pacs.port, sorted({h.header.SOPClassUID for h in archive}), [ExplicitVRLittleEndian]) as connected:
        yield connected


def test_it_answers_an_echo(client):
    assert client.association.send_c_echo().Status == 0


def test_all_patients_are_found_with_their_names_and_counts(client, archive):
    keys = identifier(
        "PATIENT", PatientID="", PatientName="", NumberOfPatientRelatedStudies="", NumberOfPatientRelatedInstances=""
    )
    outcome, found = client.find(keys, PATIENT_FIND)
    assert outcome == 0
    assert len(found) == 7
    assert {str(p.PatientName) for p in found} >= {"Müller^Jörg", "Образцова^Анна", "Hong^Gildong=洪^吉洞=홍^길동"}
    assert sum(p.NumberOfPatientRelatedInstances for p in found) == len(archive)
    assert sum(p.NumberOfPatientRelatedStudies for p in found) == 13


@pytest.mark.parametrize(
    ("charset", "name", "patient_id"),
    [
        ("ISO_IR 192", "*山田*", "DEMO-1003"),
        (["ISO 2022 IR 6", "ISO 2022 IR 87"], "*山田*", "DEMO-1003"),
        ("ISO_IR 192", "образцова*", "DEMO-1002"),
        ("ISO_IR 144", "Образцова*", "DEMO-1002"),
        ("ISO_IR 100", "MÜLLER^*", "DEMO-1001"),
        ("ISO_IR 192", "*길동*", "DEMO-1004"),
        ("GB18030", "王^小东", "DEMO-1005"),
        ("ISO_IR 192", "Παράδειγμα^?????", "DEMO-1006"),
        ("", "sample^patricia", "DEMO-1007"),
    ],
)
def test_a_patient_is_found_by_a_name_in_any_character_set(client, charset, name, patient_id):
    _, found = client.find(identifier("PATIENT", charset, PatientName=name, PatientID=""), PATIENT_FIND)
    assert [p.PatientID for p in found] == [patient_id]


def test_answers_state_the_character_set_of_the_object(client):
    _, found = client.find(identifier("STUDY", PatientID="DEMO-1003", StudyDescription="", PatientName=""))
    assert {tuple(s.SpecificCharacterSet) for s in found} == {("ISO 2022 IR 6", "ISO 2022 IR 87")}
    assert {s.StudyDescription for s in found} == {"心臓超音波検査", "胸部X線"}


def test_studies_are_found_by_range_of_dates_and_modality(client):
    keys = identifier("STUDY", StudyDate="20210101-20231231", ModalitiesInStudy="MR", StudyInstanceUID="")
    _, found = client.find(keys)
    assert {s.StudyDate[:4] for s in found} == {"2021", "2023"}
    assert all("MR" in s.ModalitiesInStudy for s in found)


def test_a_study_lists_its_modalities_classes_and_counts(client, archive):
    keys = identifier(
        "STUDY", StudyInstanceUID=CT_STUDY, ModalitiesInStudy="", SOPClassesInStudy="",
        NumberOfStudyRelatedSeries="", NumberOfStudyRelatedInstances="",
    )  # fmt: skip
    _, (study,) = client.find(keys)
    assert set(study.ModalitiesInStudy) == {"CT", "OT", "RTSTRUCT"}
    assert CTImageStorage in study.SOPClassesInStudy
    assert study.NumberOfStudyRelatedSeries == 6
    assert study.NumberOfStudyRelatedInstances == sum(h.header.StudyInstanceUID == CT_STUDY for h in archive)


def test_studies_are_found_by_a_list_of_uids(client):
    _, found = client.find(identifier("STUDY", StudyInstanceUID=[CT_STUDY, ECHO_STUDY, "1.2.3"]))
    assert {s.StudyInstanceUID for s in found} == {CT_STUDY, ECHO_STUDY}


def test_series_of_a_study_are_found_with_numbers_and_counts(client):
    keys = identifier(
        "SERIES",
        StudyInstanceUID=ECHO_STUDY,
        SeriesInstanceUID="",
        Modality="",
        SeriesNumber="",
        NumberOfSeriesRelatedInstances="",
    )
    _, found = client.find(keys)
    assert [(s.SeriesNumber, s.Modality, s.NumberOfSeriesRelatedInstances) for s in found] == [
        (1, "US", 1),
        (2, "US", 1),
        (3, "SR", 1),
    ]


def test_images_of_a_series_are_found_with_class_and_number(client, archive):
    series = archive[0].header.SeriesInstanceUID
    keys = identifier(
        "IMAGE",
        StudyInstanceUID=CT_STUDY,
        SeriesInstanceUID=series,
        SOPInstanceUID="",
        SOPClassUID="",
        InstanceNumber="",
    )
    _, found = client.find(keys)
    assert sorted(i.InstanceNumber for i in found) == list(range(1, 60))
    assert {i.SOPClassUID for i in found} == {CTImageStorage}
    keys.InstanceNumber = "7"
    _, (one,) = client.find(keys)
    assert one.SOPInstanceUID == archive[6].header.SOPInstanceUID


def test_keys_of_a_lower_level_are_ignored_and_the_status_says_so(client):
    keys = identifier("STUDY", StudyInstanceUID=CT_STUDY, Modality="MR", SeriesDescription="")
    answers = list(client.association.send_c_find(keys, STUDY_FIND))
    assert [a[0].Status for a in answers] == [0xFF01, 0]
    assert "Modality" not in answers[0][1]


def test_nothing_found_is_a_success_without_answers(client):
    assert client.find(identifier("STUDY", PatientName="NOBODY", StudyInstanceUID="")) == (0, [])


@pytest.mark.parametrize("level", ["PATIENT", "NONSENSE", ""])
def test_a_level_that_the_study_root_does_not_have_is_refused(client, level):
    assert client.find(identifier(level, PatientID="")) == (0xA900, [])


def test_a_search_stops_when_it_is_cancelled(pacs, archive):
    with Client(pacs.port) as client:
        keys = identifier("IMAGE", SOPInstanceUID="")
        answers = client.association.send_c_find(keys, STUDY_FIND, msg_id=5)
        statuses = [next(answers)[0].Status]
        client.association.send_c_cancel(5, query_model=STUDY_FIND)
        statuses += [answer[0].Status for answer in answers]
    assert statuses[-1] == 0xFE00
    assert len(statuses) <= len(archive)


@pytest.mark.parametrize("model", [PATIENT_GET, STUDY_GET])
def test_a_study_is_fetched_whole(getting, archive, model):
    outcome = getting.get(identifier("STUDY", StudyInstanceUID=ECHO_STUDY, PatientID="DEMO-1003"), model)
    expected = {h.header.SOPInstanceUID: h for h in archive if h.header.StudyInstanceUID == ECHO_STUDY}
    assert outcome.Status == 0
    assert outcome.NumberOfCompletedSuboperations == len(expected)
    assert {ds.SOPInstanceUID for ds in getting.stored} == set(expected)
    for dataset in getting.stored:
        assert dataset.PatientName == dcmread(expected[dataset.SOPInstanceUID].path).PatientName


def test_patient_series_and_image_levels_and_lists_of_uids_can_be_fetched(getting, archive):
    assert getting.get(identifier("PATIENT", PatientID="DEMO-1003"), PATIENT_GET).NumberOfCompletedSuboperations == 4
    series = made_uid("series", "A2022-1102", 1)
    assert (
        getting.get(
            identifier("SERIES", StudyInstanceUID=SMALL_STUDY, SeriesInstanceUID=series)
        ).NumberOfCompletedSuboperations
        == 1
    )
    wanted = [archive[n].header.SOPInstanceUID for n in (0, 3, 5)]
    keys = identifier(
        "IMAGE", StudyInstanceUID=CT_STUDY, SeriesInstanceUID=archive[0].header.SeriesInstanceUID, SOPInstanceUID=wanted
    )
    assert getting.get(keys).NumberOfCompletedSuboperations == 3
    assert [ds.SOPInstanceUID for ds in getting.stored[-3:]] == wanted


def test_fetching_without_the_key_of_the_level_is_refused(getting):
    assert getting.get(identifier("STUDY", PatientID="DEMO-1003")).Status == 0xA900
    assert not getting.stored


def test_fetching_what_is_not_there_is_a_success_of_nothing(getting):
    outcome = getting.get(identifier("STUDY", StudyInstanceUID="1.2.3"))
    assert (outcome.Status, outcome.NumberOfCompletedSuboperations) == (0, 0)


def test_an_object_is_sent_in_its_own_syntax_if_that_was_accepted(pacs):
    clip = identifier("SERIES", StudyInstanceUID=ECHO_STUDY, SeriesInstanceUID=made_uid("series", "A2020-1301", 2))
    slices = identifier("SERIES", SeriesInstanceUID=made_uid("series", "A2024-1601", 1))
    storage = [UltrasoundMultiFrameImageStorage, CTImageStorage]
    with Client(
        pacs.port, storage, [ExplicitVRLittleEndian, JPEGBaseline8Bit, DeflatedExplicitVRLittleEndian]
    ) as client:
        client.get(clip)
        client.get(slices)
    syntaxes = {ds.Modality: ds.file_meta.TransferSyntaxUID for ds in client.stored}
    assert syntaxes == {"US": JPEGBaseline8Bit, "CT": DeflatedExplicitVRLittleEndian}


def test_a_compressed_object_is_decompressed_for_those_who_do_not_take_it(pacs):
    clip = identifier("SERIES", StudyInstanceUID=ECHO_STUDY, SeriesInstanceUID=made_uid("series", "A2020-1301", 2))
    with Client(pacs.port, [UltrasoundMultiFrameImageStorage], [ImplicitVRLittleEndian]) as client:
        assert client.get(clip).Status == 0
    (dataset,) = client.stored
    assert dataset.SOPInstanceUID == made_uid("instance", "A2020-1301", 2, 1)
    assert dataset.PhotometricInterpretation == "RGB"
    assert len(dataset.PixelData) == 12 * dataset.Rows * dataset.Columns * 3


def test_objects_of_a_class_that_was_not_negotiated_count_as_failed(pacs):
    with Client(pacs.port, [UltrasoundMultiFrameImageStorage]) as client:
        outcome = client.get(identifier("STUDY", StudyInstanceUID=ECHO_STUDY))
    assert outcome.Status == 0xB000
    assert (outcome.NumberOfCompletedSuboperations, outcome.NumberOfFailedSuboperations) == (2, 1)


def test_a_fetch_stops_when_it_is_cancelled(pacs, archive):
    with Client(pacs.port, [CTImageStorage]) as client:
        responses = client.association.send_c_get(identifier("STUDY", StudyInstanceUID=CT_STUDY), STUDY_GET, msg_id=9)
        next(responses)
        client.association.send_c_cancel(9, query_model=STUDY_GET)
        statuses = [response[0].Status for response in responses]
    assert statuses[-1] == 0xFE00
    assert 0 < len(client.stored) < sum(h.header.StudyInstanceUID == CT_STUDY for h in archive)


@pytest.fixture
def receiver(pacs: DemoPacs, archive):
    received: list[Dataset] = []
    ae = AE("RECEIVER")
    for sop_class in {h.header.SOPClassUID for h in archive}:
        ae.add_supported_context(sop_class)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda e: received.append(e.dataset) or 0)]
    )
    pacs.destinations["RECEIVER"] = ("127.0.0.1", server.server_address[1])
    yield received
    server.shutdown()


@pytest.mark.parametrize("model", [PATIENT_MOVE, STUDY_MOVE])
def test_a_study_is_moved_to_a_known_destination(client, receiver, model):
    outcome = client.move(identifier("STUDY", StudyInstanceUID=ECHO_STUDY), "RECEIVER", model)
    assert (outcome.Status, outcome.NumberOfCompletedSuboperations) == (0, 3)
    assert {ds.SOPClassUID.name for ds in receiver} == {"Ultrasound Multi-frame Image Storage", "Basic Text SR Storage"}


def test_an_unknown_destination_is_named_as_such(client):
    assert client.move(identifier("STUDY", StudyInstanceUID=ECHO_STUDY), "NOWHERE").Status == 0xA801


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom forgets the socket
def test_a_destination_that_does_not_listen_is_named_as_unreachable(client, pacs):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        pacs.destinations["GONE"] = closed.getsockname()[:2]
    assert client.move(identifier("STUDY", StudyInstanceUID=ECHO_STUDY), "GONE").Status == 0xA801


def test_a_move_without_the_key_of_the_level_is_refused(client, receiver):
    assert client.move(identifier("STUDY", PatientID="DEMO-1003"), "RECEIVER").Status == 0xC514
    assert not receiver


def stranger(archive) -> Dataset:
    dataset = dcmread(archive[0].path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.PatientID, dataset.PatientName = "NEW-1", "Стрейнджер^Новый"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    return dataset


def test_a_stored_object_can_be_found_and_fetched(pacs, archive):
    new = stranger(archive)
    before = pacs.index.counts()
    with Client(pacs.port, [CTImageStorage]) as client:
        assert client.association.send_c_store(new).Status == 0
        _, found = client.find(identifier("PATIENT", "ISO_IR 192", PatientName="*новый", PatientID=""), PATIENT_FIND)
        assert [p.PatientID for p in found] == ["NEW-1"]
        assert client.association.send_c_store(new).Status == 0
    after = pacs.index.counts()
    assert {key: after[key] - before[key] for key in after} == dict.fromkeys(after, 1)
    with Client(pacs.port, [CTImageStorage]) as client:
        client.get(identifier("STUDY", StudyInstanceUID=new.StudyInstanceUID))
    assert client.stored[0].PixelData == new.PixelData


def test_an_object_that_contradicts_its_command_is_refused(pacs, archive):
    new = stranger(archive)
    with Client(pacs.port, [CTImageStorage]) as client:
        assert client.store_as(new, generate_uid()) == 0xA900
    assert pacs.index.counts()["patients"] == 7


@pytest.mark.expects_log("Invalid value for VR UI")
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_received_files_are_named_by_number_whatever_their_uid(archive, tmp_path: Path):
    new = stranger(archive)
    new.SOPInstanceUID = "../../evil"
    with DemoPacs(tmp_path) as pacs, Client(pacs.port, [CTImageStorage]) as client:
        client.store_as(new, new.SOPInstanceUID)
    assert {path.name for path in tmp_path.iterdir()} <= {"received-000001.dcm"}


def test_several_clients_are_served_at_once(pacs, archive):
    outcomes: list[int] = []

    def fetch() -> None:
        with Client(pacs.port, [CTImageStorage]) as client:
            outcomes.append(
                client.get(identifier("SERIES", SeriesInstanceUID=made_uid("series", "A2023-1101", 4))).Status
            )

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert outcomes == [0] * 4


def test_nothing_is_printed_when_a_client_talks_nonsense(pacs, capfd):
    with socket.create_connection(("127.0.0.1", pacs.port), timeout=10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(100))
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass
    with Client(pacs.port) as client:
        assert client.association.send_c_echo().Status == 0
    assert capfd.readouterr() == ("", "")


def test_stopping_does_not_wait_for_a_peer_that_stopped_in_the_middle_of_a_pdu(tmp_path: Path):
    with DemoPacs(tmp_path) as pacs:
        raw = socket.create_connection(("127.0.0.1", pacs.port), timeout=10)
        raw.sendall(b"\x01\x00\x00\x00\x10\x00" + bytes(50))
    with raw, contextlib.suppress(ConnectionResetError):
        assert raw.recv(10) == b""
