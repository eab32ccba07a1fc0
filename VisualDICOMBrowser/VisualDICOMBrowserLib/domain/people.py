"""When two records mean one person.

Two records *agree* if they have the same patient ID, from the same issuer as far as both name one, and contradict
each other neither in name nor in birth date. Names are compared without case, accents, and padding, component group by
component group; a missing value, a date that is none, and a group that could not be decoded contradict nothing. Records
without a patient ID agree only if name and birth date are both there and the same.

Records mean one person if they agree with each other and with the same others. So it does not matter which of them is
seen first, and a record that says little never joins two persons who contradict each other: it agrees with both, they
do not agree with each other, and so all three are kept apart.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from .filters import fold, plain_day
from .model import Patient

_ISSUER, _DAY, _GROUPS = 1, 2, (3, 4, 5)
_FIELDS = ("name", "birth_date", "sex", "issuer")


def same_person(one: Patient, other: Patient) -> bool:
    """Tell whether two records agree, by the rule above."""
    return bool(_agreeing((one, other))[0] & 2)


def is_tellable(record: Patient) -> bool:
    """Tell whether a record says enough to be compared with others: an ID, or name and birth date."""
    if record.patient_id.strip():
        return True
    facts = _facts(record)
    return bool(facts[_DAY]) and any(facts[column] for column in _GROUPS)


def grouped(records: Sequence[Patient]) -> list[list[int]]:
    """Return who is one person, as places in ``records``, by the rule above."""
    if len(records) < 2:
        return [[place] for place in range(len(records))]
    groups: dict[int, list[int]] = {}
    for place, agreeing in enumerate(_agreeing(records)):
        groups.setdefault(agreeing | 1 << place, []).append(place)
    return list(groups.values())


def put_together(local: Patient | None, by_servers: Mapping[str, Patient]) -> Patient | None:
    """Return who the patient of one study is, from what is said of it; None if nothing is.

    The file on this computer is right, else the server whose name comes first of those that say enough. The others
    complete that, but none who contradicts it, and none at all if they contradict one another.

    :param by_servers: what servers say, by their names.
    """
    said = [by_servers[name] for name in sorted(by_servers)]
    said.sort(key=lambda record: not is_tellable(record))
    first, *others = [*filter(None, (local,)), *said] or (None,)
    if first is None:
        return None
    fitting = [other for other in others if other is not None and same_person(first, other)]
    return completed(first, fitting) if len(grouped([first, *fitting])) == 1 else first


def completed(record: Patient, others: Iterable[Patient]) -> Patient:
    """Return a record with each of its empty fields taken from the first of the others that has it."""
    for other in others:
        missing = [name for name in _FIELDS if not getattr(record, name).strip()]
        record = replace(record, **{name: getattr(other, name) for name in missing})
    return record


def _agreeing(records: Sequence[Patient]) -> list[int]:
    """Return for each record with which it agrees: bit n for ``records[n]``, its own included if it is tellable.

    Sets as integers, so that ten thousand records of one ID, which a hostile server may send, are no trouble.
    """
    facts = [_facts(record) for record in records]
    having: list[defaultdict[str, int]] = [defaultdict(int) for _ in range(6)]
    for place, values in enumerate(facts):
        for column, value in enumerate(values):
            having[column][value] |= 1 << place
    nameless = (1 << len(facts)) - 1
    for column in _GROUPS:
        nameless &= having[column].get("", 0)
    return [_agreeing_with(values, having, nameless) for values in facts]


def _agreeing_with(values: tuple[str, ...], having: list[defaultdict[str, int]], nameless: int) -> int:
    named = [column for column in _GROUPS if values[column]]
    agreeing = having[0].get(values[0], 0)
    for column in (_ISSUER, _DAY, *named):
        if values[column]:
            agreeing &= having[column].get(values[column], 0) | having[column].get("", 0)
    if not values[0]:
        agreeing = agreeing & ~nameless & ~having[_DAY].get("", 0) if named and values[_DAY] else 0
    if named:
        # A server that drops the ideographic group still has the alphabetic one; with nothing in common, nothing
        # contradicts only if one has no name at all.
        agreeing &= nameless | _any_of(having[column][values[column]] for column in named)
    return agreeing


def _any_of(sets: Iterable[int]) -> int:
    union = 0
    for one in sets:
        union |= one
    return union


def _facts(record: Patient) -> tuple[str, ...]:
    groups = (name_group(record.name, index) for index in range(3))
    known = (group if is_readable(group) else "" for group in groups)
    return (record.patient_id.strip(), fold(record.issuer.strip()), _real_day(record.birth_date), *known)


def is_readable(name: str) -> bool:
    """Tell whether a name was decoded. Others leave replacement characters, question marks, or ISO 2022 escapes."""
    return not name or not ("\ufffd" in name or "\x1b" in name or set(name) <= set("?^= "))


def _real_day(text: str) -> str:
    day = plain_day(text.strip())
    try:
        date(int(day[:4] or 0), int(day[4:6] or 0), int(day[6:] or 0))
    except ValueError:
        return ""
    return day


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
