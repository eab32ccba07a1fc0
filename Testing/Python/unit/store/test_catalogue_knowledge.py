"""What the catalogue knows: local files and what servers say, side by side."""

from __future__ import annotations

import dataclasses

import pytest

from VisualDICOMBrowserLib.domain.errors import BadData
from VisualDICOMBrowserLib.domain.model import Instance, Level, Patient, Series, Study
from VisualDICOMBrowserLib.store.catalogue import Catalogue, LocalInstance
from VisualDICOMBrowserLib.store.catalogue_mirror import MirroredStudies

JANE = Patient("4711", "Doe^Jane", "19700101", "F")
STUDY = Study("1.1", JANE, "20260101", "1200", "Abdomen", "A1", "S1")
SERIES = Series("1.1.1", "1.1", 3, "CT", "Axial", "ABDOMEN")
INSTANCE = Instance("1.1.1.1", "1.1.1", "1.1", 7, "1.2.840.10008.5.1.4.1.1.2")
LOCAL = LocalInstance(STUDY, SERIES, INSTANCE, "dicom/a/b/c.dcm")


@pytest.fixture
def catalogue(tmp_path):
    opened = Catalogue.open(tmp_path / "catalogue.sqlite")
    yield opened
    opened.close()


def _persons(catalogue: Catalogue) -> list[tuple[object, ...]]:
    return catalogue._rows("SELECT patient_id, name, birth_date, sex, issuer FROM patients ORDER BY id")


def _mirror(catalogue: Catalogue, items: list[LocalInstance], stamp: str) -> None:
    """Mirror a database that has these and nothing else."""
    studies = {item.study.study_uid: item.study for item in items}
    uids = [*studies, *(study.study_uid for study in catalogue.local_studies())]
    known = set(catalogue.local_images_of(uids))
    gone = [*known.difference(item.instance.sop_uid for item in items)]
    series = {item.series.series_uid: item.series for item in items}
    found = [(item.instance, item.file) for item in items]
    files = [(one.sop_uid, one.series_uid, one.number, one.sop_class, file) for one, file in found]
    catalogue.mirror(MirroredStudies(uids, [*studies.values()], [*series.values()], files, gone))
    catalogue.note_mirrored(stamp, {}, [], [])


def _local(catalogue: Catalogue) -> tuple[list[Study], list[Series], list[object]]:
    studies = list(catalogue.local_studies())
    series = catalogue.local_series(study.study_uid for study in studies)
    return studies, series, list(catalogue.local_files(Level.STUDY, [study.study_uid for study in studies]))


def test_what_is_local_is_found_again_by_every_level(catalogue):
    catalogue.add_local([LOCAL])
    for level, uid in (
        (Level.PATIENT, "4711"),
        (Level.STUDY, "1.1"),
        (Level.SERIES, "1.1.1"),
        (Level.IMAGE, "1.1.1.1"),
    ):
        (file,) = catalogue.local_files(level, [uid])
        assert (file.instance, file.file) == (INSTANCE, "dicom/a/b/c.dcm")
        assert catalogue.local_files(level, [uid + ".no"]) == []
    assert catalogue.local_totals() == (1, 1, 1, 1)
    assert catalogue.local_counts(["1.1.1", "9"]) == {"1.1.1": 1}
    assert catalogue.parents(Level.SERIES, "1.1.1") == ("1.1", "1.1.1")
    assert catalogue.parents(Level.IMAGE, "1.1.1.1") == ("1.1", "1.1.1")
    assert catalogue.parents(Level.IMAGE, "9") is None


@pytest.mark.parametrize("server_first", [True, False])
def test_a_server_that_contradicts_changes_nothing_local(catalogue, server_first):
    def note() -> None:
        catalogue.note_found(
            "Liar",
            [Study("1.1", Patient("666", "Evil^Eve", "20000101"), "19000101", "00", "Nothing", "X", "Y")],
            [Series("1.1.1", "6.6", 99, "US", "Lies", "HEAD"), Series("6.6.1", "6.6")],
            [Instance("1.1.1.1", "6.6.1", "6.6", 1, "1.9")],
        )

    if server_first:
        note()
    catalogue.add_local([LOCAL])
    if not server_first:
        note()
    studies, series, files = _local(catalogue)
    assert studies == [dataclasses.replace(STUDY, modalities=("CT",))]
    assert series == [dataclasses.replace(SERIES, instance_count=1)]
    assert [file.instance for file in files] == [INSTANCE]
    assert catalogue.local_totals() == (1, 1, 1, 1)
    assert catalogue.servers_of_series("1.1.1") == ["Liar"]
    assert [row[1] for row in _persons(catalogue)] == ["Doe^Jane"]


def test_what_a_server_knows_more_completes_what_is_local(catalogue):
    bare = LocalInstance(
        Study("1.1", Patient("4711", "Doe^Jane")),
        Series("1.1.1", "1.1"),
        Instance("1.1.1.1", "1.1.1", "1.1"),
        "dicom/a",
    )
    catalogue.add_local([bare])
    catalogue.note_found(
        "PACS", [dataclasses.replace(STUDY, modalities=("CT", "SR"), sop_classes=("1.5",))], [SERIES], [INSTANCE]
    )
    study, series = catalogue.find_series("1.1.1")
    assert study == dataclasses.replace(STUDY, modalities=("CT", "SR"), sop_classes=("1.5",))
    assert series == SERIES
    (file,) = catalogue.local_files(Level.IMAGE, ["1.1.1.1"])
    assert (file.instance, file.file) == (INSTANCE, "dicom/a")


def test_storing_a_file_keeps_what_the_server_told_of_its_study(catalogue):
    found = dataclasses.replace(STUDY, modalities=("CT", "SR"), sop_classes=("1.5", "1.6"))
    catalogue.note_found("PACS", [found], [SERIES])
    catalogue.add_local([LOCAL])
    assert catalogue.find_series("1.1.1")[0] == found


def test_a_query_after_a_query_completes_too(catalogue):
    catalogue.note_found(
        "A", [Study("1.1", Patient("4711"))], [Series("1.1.1", "1.1")], [Instance("1.1.1.1", "1.1.1", "1.1")]
    )
    catalogue.note_found("B", [STUDY], [SERIES], [INSTANCE])
    assert catalogue.find_series("1.1.1") == (STUDY, SERIES)
    assert catalogue.servers_of_series("1.1.1") == ["A", "B"]
    assert list(catalogue.local_studies()) == []
    assert catalogue.local_totals() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("others", "persons"),
    [
        ([Patient("4711")], 1),
        ([Patient(" 4711", "DOE^JANE^^")], 1),
        ([Patient("4711", "Doe^Jane", issuer="H")], 1),
        ([Patient("4711", "Doe^Jane", issuer="H"), Patient("4711", "Doe^Jane", issuer="K")], 3),
        ([Patient("4711", "Doe^John")], 2),
        ([Patient("4711", "Doe^Jane", "19700102")], 2),
        ([Patient("4712", "Doe^Jane", "19700101")], 2),
        ([Patient(""), Patient("")], 3),
        ([Patient("", "^"), Patient("", "===a", "19700101"), Patient("", "===a", "19700101")], 4),
        ([Patient("", "Roe^R", "19700101"), Patient("", "ROE^R", "19700101")], 2),
    ],
)
@pytest.mark.parametrize("local", [True, False])
def test_persons_are_one_or_several_by_the_documented_rule(catalogue, others, persons, local):
    for number, patient in enumerate([JANE, *others]):
        study = Study(f"1.{number}", patient)
        if local:
            series, instance = (
                Series(f"2.{number}", study.study_uid),
                Instance(f"3.{number}", f"2.{number}", study.study_uid),
            )
            catalogue.add_local([LocalInstance(study, series, instance, f"dicom/{number}")])
        else:
            catalogue.note_found("PACS", [study])
    assert len(_persons(catalogue)) == persons


def test_asking_again_adds_no_person(catalogue):
    for _ in range(3):
        catalogue.note_found("PACS", [Study("1.1", Patient("", "^^")), Study("1.2", Patient("", "\u0301", "19700101"))])
    assert len(_persons(catalogue)) == 2


def test_a_person_is_completed_by_what_is_known_elsewhere(catalogue):
    catalogue.note_found("A", [Study("1.1", Patient("4711"))])
    catalogue.note_found("B", [Study("1.2", JANE)])
    catalogue.note_found("C", [Study("1.3", Patient("4711", issuer="H"))])
    assert _persons(catalogue) == [("4711", "Doe^Jane", "19700101", "F", "H")]


def test_the_local_spelling_of_a_name_counts(catalogue):
    catalogue.note_found("A", [dataclasses.replace(STUDY, patient=Patient("4711", "DOE^JANE", "19700101"))])
    catalogue.add_local([LOCAL])
    assert _persons(catalogue)[0][1] == "Doe^Jane"


def test_mirroring_anew_forgets_what_is_not_local_and_keeps_what_servers_have(catalogue):
    other = LocalInstance(
        Study("5.1", Patient("5", "Roe^R")), Series("5.1.1", "5.1"), Instance("5.1.1.1", "5.1.1", "5.1"), "x"
    )
    catalogue.add_local([LOCAL, other])
    catalogue.note_found("PACS", [STUDY], [SERIES], [INSTANCE])
    catalogue.set_thumbnail("5.1.1", "5.1.1.1", "thumbs/x", placeholder=False, reason="")
    _mirror(catalogue, [], "stamp")
    assert catalogue.local_totals() == (0, 0, 0, 0)
    assert catalogue.find_series("1.1.1") == (STUDY, SERIES)
    assert catalogue.find_series("5.1.1") is None
    assert catalogue.thumbnail("5.1.1") is None
    assert [row[0] for row in _persons(catalogue)] == ["4711"]
    assert catalogue.ctk_stamp == "stamp"
    _mirror(catalogue, [other], "later")
    assert catalogue.local_totals() == (1, 1, 1, 1)
    assert catalogue.find_series("5.1.1")[0].patient == Patient("5", "Roe^R")


def test_removing_keeps_what_servers_have(catalogue):
    more = dataclasses.replace(LOCAL, instance=dataclasses.replace(INSTANCE, sop_uid="1.1.1.2"), file="dicom/2")
    catalogue.add_local([LOCAL, more])
    catalogue.note_found("PACS", [dataclasses.replace(STUDY, instance_count=2)], [SERIES])
    catalogue.remove_local(["1.1.1.1"])
    assert catalogue.local_counts(["1.1.1"]) == {"1.1.1": 1}
    catalogue.remove_local(["1.1.1.2"])
    assert catalogue.local_totals() == (0, 0, 0, 0)
    assert catalogue.find_series("1.1.1") == (STUDY, SERIES)
    assert catalogue.servers_of_series("1.1.1") == ["PACS"]


def test_receiving_strikes_off_an_older_removal(catalogue):
    catalogue.add_intents("remove", [("1.1.1.1", "dicom/a", "")])
    catalogue.add_intents("unlink", [("1.1.1.1", "dicom/a", ""), ("1.1.1.2", "dicom/b", "t")])
    catalogue.add_intents("receive", [("1.1.1.1", "dicom/a", "PACS")])
    assert catalogue.intents("remove") == []
    assert catalogue.intents("unlink") == [("1.1.1.2", "dicom/b", "t")]
    catalogue.add_local([LOCAL])
    assert catalogue.intents("receive") == []


def test_many_identifiers_are_looked_up_at_once(catalogue):
    items = [
        dataclasses.replace(LOCAL, instance=dataclasses.replace(INSTANCE, sop_uid=f"1.1.1.{n}"), file=f"dicom/{n}")
        for n in range(3000)
    ]
    catalogue.add_local(items)
    uids = [item.instance.sop_uid for item in items]
    assert len(catalogue.local_files(Level.IMAGE, iter(uids))) == 3000
    catalogue.add_intents("remove", [(uid, "f", "") for uid in uids])
    catalogue.remove_local(uids)
    assert catalogue.local_totals() == (0, 0, 0, 0)
    assert len(catalogue.intents("unlink")) == 3000
    assert _persons(catalogue) == []


def test_hostile_texts_are_values_and_never_sql(catalogue):
    evil = "'; DROP TABLE patients; --\"`[]%_\\?*"
    study = Study("1.1", Patient(evil, evil, evil, evil, evil), evil, evil, evil, evil, evil, (evil,), (evil,))
    catalogue.note_found(evil, [study], [Series("1.1.1", "1.1", 1, evil, evil, evil)])
    assert catalogue.servers_of_series("1.1.1") == [evil]
    assert catalogue.find_series("1.1.1")[0].patient.name == evil
    assert catalogue.local_files(Level.PATIENT, [evil]) == []


@pytest.mark.parametrize("bad", [Series("1.1.2", "1.1", 1 << 70), Series("1.1.2", "1.1", None, "\ud800")])
def test_values_that_no_database_takes_are_bad_data_and_nothing_is_noted(catalogue, bad):
    with pytest.raises(BadData):
        catalogue.note_found("PACS", [STUDY], [SERIES, bad])
    assert catalogue.find_series("1.1.1") is None
    catalogue.note_found("PACS", [STUDY], [SERIES])
    assert catalogue.find_series("1.1.1") == (STUDY, SERIES)


def test_jobs_and_thumbnails_are_kept(catalogue):
    catalogue.save_job("b", "queued", 2.0, "{2}")
    catalogue.save_job("a", "queued", 1.0, "{1}")
    catalogue.save_job("b", "running", 2.0, "{3}")
    assert catalogue.jobs() == ["{1}", "{3}"]
    catalogue.delete_job("a")
    assert catalogue.jobs() == ["{3}"]
    catalogue.set_thumbnail("1.1.1", "1.1.1.1", "thumbs/x.png", placeholder=True, reason="no pixels")
    assert catalogue.thumbnail("1.1.1") == ("1.1.1.1", "thumbs/x.png", True, "no pixels")
    assert catalogue.thumbnail_files(["1.1.1.1", "9"]) == {"1.1.1.1": "thumbs/x.png"}
    assert catalogue.thumbnail("9") is None


# Persons that a server has


def test_a_person_is_remembered_though_nothing_else_is_known(catalogue):
    catalogue.note_found("PACS", patients=[JANE])
    catalogue.remove_local(["no such instance"])
    _mirror(catalogue, [], "stamp")
    assert _persons(catalogue) == [("4711", "Doe^Jane", "19700101", "F", "")]
    assert catalogue.person(1) == JANE
    assert catalogue.person(2) is None


def test_nameless_persons_of_a_server_are_not_noted_again_and_again(catalogue):
    for _ in range(3):
        catalogue.note_found("PACS", patients=[Patient(""), Patient(" ", "Doe"), JANE])
    assert len(_persons(catalogue)) == 3


def test_the_key_of_a_forgotten_person_is_not_given_to_another(catalogue):
    catalogue.note_found("PACS", patients=[JANE])
    catalogue.forget_server("PACS")
    catalogue.note_found("PACS", patients=[Patient("815", "Roe^R")])
    assert catalogue.person(1) is None
    assert catalogue.person(2) == Patient("815", "Roe^R")


# Complete answers


def _marks(catalogue: Catalogue) -> list[tuple[object, ...]]:
    return catalogue._rows(
        "SELECT study_uid, server FROM study_servers UNION ALL"
        " SELECT series_uid, server FROM series_servers ORDER BY 1, 2"
    )


def _note_two_studies(catalogue: Catalogue, *servers: str) -> None:
    for server in servers:
        catalogue.note_found(
            server,
            [STUDY, dataclasses.replace(STUDY, study_uid="1.2")],
            [SERIES, Series("1.1.2", "1.1"), Series("1.2.1", "1.2")],
            [INSTANCE, Instance("1.1.1.2", "1.1.1", "1.1")],
        )


def test_studies_that_a_server_does_not_list_any_more_are_forgotten(catalogue):
    _note_two_studies(catalogue, "A", "B")
    catalogue.note_studies_of("A", 1, [STUDY])
    assert _marks(catalogue) == [
        *(("1.1", "A"), ("1.1", "B"), ("1.1.1", "A"), ("1.1.1", "B"), ("1.1.2", "A"), ("1.1.2", "B")),
        *(("1.2", "B"), ("1.2.1", "B")),
    ]
    catalogue.note_studies_of("B", 1, iter([STUDY]))
    assert catalogue.find_series("1.2.1") is None
    assert catalogue.find_series("1.1.1") is not None


def test_a_person_of_whom_no_server_has_anything_is_forgotten(catalogue):
    _note_two_studies(catalogue, "A")
    catalogue.note_found("B", patients=[JANE])
    catalogue.note_studies_of("A", 1, [])
    assert catalogue.person(1) == JANE
    catalogue.note_studies_of("B", 1, [])
    assert _persons(catalogue) == []


def test_series_that_a_server_does_not_list_any_more_are_forgotten(catalogue):
    _note_two_studies(catalogue, "A")
    catalogue.note_series_of("A", "1.1", [Series("1.1.2", "1.1"), Series("1.1.3", "1.1")])
    assert _marks(catalogue) == [(uid, "A") for uid in ("1.1", "1.1.2", "1.1.3", "1.2", "1.2.1")]
    assert catalogue.find_series("1.1.1") is None
    catalogue.note_series_of("A", "1.1", [])
    assert _marks(catalogue) == [(uid, "A") for uid in ("1.1", "1.2", "1.2.1")]


def test_what_is_local_stays_whatever_servers_stop_saying(catalogue):
    catalogue.add_local([LOCAL])
    _note_two_studies(catalogue, "A")
    before = _local(catalogue)
    catalogue.note_series_of("A", "1.1", [])
    catalogue.note_studies_of("A", 1, [])
    assert _local(catalogue) == before
    assert _marks(catalogue) == []
    assert catalogue._rows("SELECT known, local FROM series") == [(1, 1)]  # the other instance went with the server


def test_a_server_that_is_forgotten_takes_along_what_it_alone_had(catalogue, tmp_path):
    catalogue.add_local([LOCAL])
    _note_two_studies(catalogue, "A")
    catalogue.note_found("A", [Study("5", Patient("5", "Secret^Name"))], patients=[Patient("6", "Hidden^Name")])
    catalogue.note_found("B", patients=[Patient("7", "Kept^Name")])
    catalogue.forget_server("A")
    assert [row[0] for row in _persons(catalogue)] == ["4711", "7"]
    assert _marks(catalogue) == []
    assert catalogue.local_totals() == (1, 1, 1, 1)
    traces = b"".join(file.read_bytes() for file in tmp_path.glob("catalogue.sqlite*"))
    assert b"Secret" not in traces
    assert b"secret" not in traces  # nor folded
    assert b"hidden" not in traces
    assert b"Kept" in traces


def test_what_a_server_stops_saying_leaves_no_trace(catalogue, tmp_path):
    catalogue.note_found("A", [Study("5", Patient("5", "Secret^Name"), description="Verborgen")])
    catalogue.note_studies_of("A", 1, [])
    traces = b"".join(file.read_bytes() for file in tmp_path.glob("catalogue.sqlite*"))
    for text in (b"Secret", b"secret", b"Verborgen", b"verborgen"):
        assert text not in traces


def test_counts_follow_an_instance_into_the_series_that_its_file_names(catalogue):
    wrong = dataclasses.replace(INSTANCE, series_uid="9.1", study_uid="9")
    catalogue.note_found("A", [STUDY, Study("9", JANE)], [SERIES, Series("9.1", "9", modality="US")], [wrong])
    counts = "SELECT series_uid, known, local FROM series ORDER BY series_uid"
    assert catalogue._rows(counts) == [("1.1.1", 0, 0), ("9.1", 1, 0)]
    catalogue.add_local([LOCAL])
    assert catalogue._rows(counts) == [("1.1.1", 1, 1), ("9.1", 0, 0)]
    assert catalogue._rows("SELECT study_uid, local FROM studies ORDER BY study_uid") == [("1.1", 1), ("9", 0)]
    catalogue.remove_local(["1.1.1.1"])
    assert catalogue._rows(counts) == [("1.1.1", 1, 0), ("9.1", 0, 0)]
