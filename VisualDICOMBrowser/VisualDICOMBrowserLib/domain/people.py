"""When two records mean one person.

The rule: the same patient ID, from the same issuer as far as both name one, and no contradiction in name or birth
date. Names are compared without case, accents, and padding, component group by component group; a missing
value contradicts nothing. Records without a patient ID are one person only if name and birth date are both
there and agree.
"""

from __future__ import annotations

import re

from .filters import fold
from .model import Patient


def same_person(one: Patient, other: Patient) -> bool:
    """Tell whether two records mean one person, by the rule above."""
    if one.patient_id.strip() != other.patient_id.strip():
        return False
    if not one.patient_id.strip() and not all((_has_name(one), one.birth_date, _has_name(other), other.birth_date)):
        return False
    return (
        _agree(one.issuer.strip(), other.issuer.strip())
        and _agree(one.birth_date, other.birth_date)
        and _names_agree(one.name, other.name)
    )


def _agree(one: str, other: str) -> bool:
    return not one or not other or one == other


def _names_agree(one: str, other: str) -> bool:
    groups = list(zip(_groups(one), _groups(other), strict=True))
    compared = [(a, b) for a, b in groups if a and b]
    # A server that drops the ideographic group still has the alphabetic one; with nothing in common, nothing
    # contradicts only if one has no name at all.
    return all(a == b for a, b in compared) if compared else not all(map(any, zip(*groups, strict=True)))


def _groups(name: str) -> list[str]:
    return [name_group(name, index) for index in range(3)]


def _has_name(patient: Patient) -> bool:
    return any(_groups(patient.name))


def name_group(name: str, index: int) -> str:
    """Return a component group of a name, ready to compare: 0 alphabetic, 1 ideographic, 2 phonetic (PS3.5, 6.2)."""
    groups = name.split("=")
    if index >= len(groups):
        return ""
    return "^".join(" ".join(part.split()) for part in fold(groups[index]).split("^")).strip("^ ")


def display_name(name: str) -> str:
    """Return a name for people to read: ``Family, Given Middle``, with its ideographic form in brackets."""
    groups = [_readable(group) for group in name.split("=")[:2]]
    first, rest = groups[0], [g for g in groups[1:] if g]
    if not first:
        return rest[0] if rest else ""
    return f"{first} ({rest[0]})" if rest and rest[0] != first else first


def _readable(group: str) -> str:
    family, *others = (part.strip() for part in group.split("^"))
    given = " ".join(part for part in others if part)
    between = "" if _EAST_ASIAN.fullmatch(family + given) else ", "
    return f"{family}{between}{given}" if family and given else family or given


# Han, Kana and Hangul: there, a name is written in one, family name first.
_EAST_ASIAN = re.compile(r"[\u3005-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]+")
