from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from VisualDICOMBrowserLib.domain.model import Instance, Level, Patient, Series, Study
from VisualDICOMBrowserLib.engine.tree import PatientTree

DOE = Patient("1", "Doe^Jane", "19700101", "F")
STUDY = Study("1.2", DOE, "20240101", "0900", "Head", "A1", modalities=("CT",))
SERIES = Series("1.2.3", "1.2", 1, "CT", "Axial", instance_count=5)


def tree(*servers: str | None, study: Study = STUDY, series: Series = SERIES) -> PatientTree:
    made = PatientTree()
    for server in servers:
        made.add_study(study, server)
        made.add_series(series, server)
    return made


def only_series(made: PatientTree) -> dict:
    return made.to_list(Level.SERIES)[0]["studies"][0]["series"][0]


def test_each_level_shows_itself_and_what_is_above_it_and_nothing_below():
    made = tree("A")
    made.add_instance(Instance("1.2.3.4", "1.2.3", "1.2", 1), "A")

    assert set(made.to_list(Level.PATIENT)[0]) == {"patient_id", "name", "birth_date", "sex", "shares_id"}
    assert "series" not in made.to_list(Level.STUDY)[0]["studies"][0]
    assert "images" not in only_series(made)
    assert made.to_list(Level.IMAGE)[0]["studies"][0]["series"][0]["images"] == [
        {"sop_uid": "1.2.3.4", "number": 1, "sop_class_uid": "", "local": False, "servers": ["A"]}
    ]


def test_the_same_study_of_two_servers_is_one_with_both_names():
    (patient,) = tree("A", "B", "A").to_list(Level.SERIES)

    assert patient["studies"][0]["servers"] == ["A", "B"]
    assert patient["studies"][0]["series"][0]["servers"] == ["A", "B"]


def test_what_one_server_leaves_out_another_completes():
    made = tree("A", study=replace(STUDY, description="", modalities=()), series=replace(SERIES, number=None))
    made.add_study(replace(STUDY, modalities=("SR",)), "B")
    made.add_series(SERIES, "B")
    study = made.to_list(Level.SERIES)[0]["studies"][0]

    assert study["description"] == "Head"
    assert study["modalities"] == ["CT", "SR"]
    assert study["series"][0]["number"] == 1


def test_the_largest_count_counts_and_an_unknown_one_is_none():
    several = tree("A")
    several.add_series(replace(SERIES, instance_count=7), "B")
    several.add_series(replace(SERIES, instance_count=None), "C")

    assert only_series(several)["instances"] == 7
    assert only_series(tree("A", series=replace(SERIES, instance_count=None)))["instances"] is None
    assert only_series(tree("A", series=replace(SERIES, instance_count=0)))["instances"] == 0


def test_local_content_has_no_server_and_its_own_count():
    local = tree(None)
    assert (only_series(local)["instances"], only_series(local)["local_instances"]) == (5, 5)
    assert only_series(local)["servers"] == []
    both = tree("A", series=replace(SERIES, instance_count=9))
    both.add_series(replace(SERIES, instance_count=2), None)

    assert (only_series(both)["instances"], only_series(both)["local_instances"]) == (9, 2)
    assert only_series(both)["servers"] == ["A"]


def test_listed_instances_count_where_the_server_tells_no_number():
    made = tree("A", series=replace(SERIES, instance_count=None))
    for number in range(3):
        made.add_instance(Instance(f"1.2.3.{number}", "1.2.3", "1.2", 3 - number), "A")
    made.add_instance(Instance("1.2.3.0", "1.2.3", "1.2"), None)

    assert only_series(made)["instances"] == 3
    images = made.to_list(Level.IMAGE)[0]["studies"][0]["series"][0]["images"]
    assert [image["number"] for image in images] == [1, 2, 3]
    assert [image["local"] for image in images] == [False, False, True]


def test_persons_of_one_id_whose_names_contradict_stay_apart():
    made = PatientTree()
    made.add_study(STUDY, "A")
    made.add_study(replace(STUDY, study_uid="1.9", patient=Patient("1", "Roe^Richard")), "B")

    assert [(p["name"], p["shares_id"]) for p in made.to_list(Level.STUDY)] == [
        ("Doe^Jane", True), ("Roe^Richard", True)
    ]  # fmt: skip


def test_an_id_that_others_have_whom_the_tree_does_not_show_is_marked_too():
    assert tree("A").to_list(Level.STUDY)[0]["shares_id"] is False
    assert tree("A").to_list(Level.STUDY, {"1"})[0]["shares_id"] is True


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_record_that_fits_two_persons_joins_neither_whoever_comes_first(order):
    made = PatientTree()
    patients = [Patient("1", "Doe^Jane"), Patient("1"), Patient("1", "Roe^Richard")]
    for at in order:
        made.add_study(replace(STUDY, study_uid=f"1.{at}", patient=patients[at]), "A")

    found = [(p["name"], [s["study_uid"] for s in p["studies"]]) for p in made.to_list(Level.STUDY)]
    assert found == [("", ["1.1"]), ("Doe^Jane", ["1.0"]), ("Roe^Richard", ["1.2"])]


@pytest.mark.parametrize("order", list(permutations([None, "A", "B"])))
def test_the_file_here_says_whose_a_study_is_then_the_first_server_by_name(order):
    names = {None: "Here^H", "A": "Roe^R", "B": "Roe^B"}
    made, remote = PatientTree(), PatientTree()
    for server in order:
        made.add_study(replace(STUDY, patient=Patient("1", names[server])), server)
        if server is not None:
            remote.add_study(replace(STUDY, patient=Patient("1", names[server])), server)

    assert [p["name"] for p in made.to_list(Level.STUDY)] == ["Here^H"]
    assert [p["name"] for p in remote.to_list(Level.STUDY)] == ["Roe^R"]


def test_servers_that_name_another_patient_of_a_study_are_told():
    made = tree("A", "C", "D")
    assert made.disputes() == []
    made.add_study(replace(STUDY, patient=Patient("1", "Roe^Richard")), "B")
    made.add_study(replace(STUDY, patient=Patient("")), "D")
    assert made.disputes() == ["B: another patient than shown is named for studies: 1."]
    made.add_study(replace(STUDY, patient=Patient("1", "Roe^Richard")), None)
    assert [sentence[:1] for sentence in made.disputes()] == ["A", "C"]


def test_a_person_is_completed_from_another_server():
    made = PatientTree()
    made.add_patient(Patient("1", "DOE^JANE"))
    made.add_patient(DOE)
    made.add_study(STUDY, "A")

    (patient,) = made.to_list(Level.STUDY)
    assert (patient["birth_date"], patient["sex"]) == ("19700101", "F")
    assert len(patient["studies"]) == 1


def test_persons_without_id_name_and_birth_date_are_nobodys_twins():
    made = PatientTree()
    made.add_study(replace(STUDY, patient=Patient("")), "A")
    made.add_study(replace(STUDY, study_uid="1.9", patient=Patient("")), "A")

    assert [len(p["studies"]) for p in made.to_list(Level.STUDY)] == [1, 1]


def test_patients_sort_by_name_studies_from_the_newest_series_by_number():
    made = PatientTree()
    for uid, name, date in (("1.1", "Roe", "2020"), ("1.2", "Doe", "2019"), ("1.3", "Doe", "2021")):
        made.add_study(Study(uid, Patient(name, name), date), "A")
    for uid, number in (("9.1", 10), ("9.2", 2), ("9.3", None)):
        made.add_series(Series(uid, "1.2", number), "A")
    found = made.to_list(Level.SERIES)

    assert [p["name"] for p in found] == ["Doe", "Roe"]
    assert [s["study_uid"] for s in found[0]["studies"]] == ["1.3", "1.2"]
    assert [s["number"] for s in found[0]["studies"][1]["series"]] == [2, 10, None]
