"""What a person's row says, in words; without Qt."""

from __future__ import annotations

from functools import lru_cache

from ...domain.model import Patient, readable_date
from ...domain.overview import PatientRow
from ...domain.people import display_name

NO_NAME = "(no name)"
SHARED_ID = "Another person has the same ID."
#: Stands for a person that is not there any more.
NOBODY = Patient("")
#: Rows whose words are kept: they are written anew whenever the pointer moves.
_MOST_REMEMBERED = 1_000
SEXES = {"F": "female", "M": "male", "O": "other"}


@lru_cache(_MOST_REMEMBERED)
def title(row: PatientRow) -> str:
    """Return the name for people to read."""
    return _one_line(display_name(row.patient.name)) or NO_NAME


@lru_cache(_MOST_REMEMBERED)
def facts(row: PatientRow) -> str:
    """Return what tells people of one name apart: ID, date of birth, sex."""
    patient = row.patient
    identity = f"ID {patient.patient_id}" if patient.patient_id.strip() else "no ID"
    parts = (identity, readable_date(patient.birth_date), patient.sex)
    return " · ".join(_one_line(part) for part in parts if part.strip())


def studies(row: PatientRow) -> str:
    """Return how many studies are known; empty if none is yet."""
    return "" if not row.studies else "1 study" if row.studies == 1 else f"{row.studies:,} studies"


def whereabouts(row: PatientRow) -> str:
    """Return where something of the person is."""
    return ", ".join((*(["this computer"] if row.local else []), *map(_one_line, row.servers)))


def tooltip(row: PatientRow) -> str:
    """Return all that is known, a fact a line."""
    patient = row.patient
    lines = (
        title(row),
        patient.patient_id and f"ID: {patient.patient_id}",
        SHARED_ID if row.shares_id else "",
        patient.issuer and f"Issuer of the ID: {patient.issuer}",
        patient.birth_date and f"Born: {readable_date(patient.birth_date)}",
        patient.sex and f"Sex: {SEXES.get(patient.sex, patient.sex)}",
        studies(row),
        whereabouts(row) and f"On: {whereabouts(row)}",
    )
    return "\n".join(_one_line(line) for line in lines if line)


def spoken(row: PatientRow) -> str:
    """Return the row for a screen reader."""
    shared = SHARED_ID[:1].lower() + SHARED_ID[1:].rstrip(".") if row.shares_id else ""
    parts = (title(row), facts(row).replace(" · ", ", "), shared, studies(row), whereabouts(row))
    return ", ".join(part for part in parts if part)


def count(number: int) -> str:
    """Return ``1,000 patients``."""
    return "1 patient" if number == 1 else f"{number:,} patients"


def _one_line(text: str) -> str:
    return " ".join(text.split())
