"""What a person's row says."""

from __future__ import annotations

from dataclasses import replace

from VisualDICOMBrowserLib.domain.model import Patient
from VisualDICOMBrowserLib.domain.overview import PatientRow
from VisualDICOMBrowserLib.gui.patients import patient_text

ROW = PatientRow(1, Patient("4711", "Doe^Jane"), local=True)


def test_that_another_person_has_the_same_id_is_told_and_spoken():
    shared = replace(ROW, shares_id=True)
    assert "Another person has the same ID." in patient_text.tooltip(shared).splitlines()
    assert patient_text.spoken(shared) == "Doe, Jane, ID 4711, another person has the same ID, this computer"


def test_of_an_id_that_only_one_has_nothing_is_said():
    assert "same ID" not in patient_text.tooltip(ROW) + patient_text.spoken(ROW)
