"""A search as a condition on the rows of the catalogue.

It holds for the same rows as :class:`~..domain.filters.QueryFilter` for records. SQL is put together from constants
alone; whatever a user typed is a parameter.

Indexes only narrow down what is looked at: among persons, the smallest set that an index has (:func:`narrowed`); among
studies and series, those with one of the descriptions or modalities that fit, of which there are few different ones.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..domain.filters import DateRange, QueryFilter, as_part, has_wildcards, matches_name
from ..domain.overview import Places
from .catalogue_people import search_key
from .catalogue_pieces import LONG, ranges_of
from .catalogue_records import SEPARATOR

# SQLite takes LIKE patterns of at most 50,000 bytes; no value of an image is as long.
_LONGEST_PATTERN = 10_000
#: A set of fewer persons is worth having; where all have more, persons are looked at one after the other.
FEW = 2000
_MOST_WORDS = 4
_LAST_CHARACTER = "\U0010ffff"
_WILDCARDS = re.compile(r"[*?]+")


@dataclass(frozen=True)
class Condition:
    """A part of a WHERE clause: constant text, and the values of its parameters."""

    sql: str
    values: tuple[str | int, ...] = ()

    def within(self, before: str, after: str = ")") -> Condition:
        """Return the condition with more text around it."""
        return Condition(f"{before}{self.sql}{after}", self.values)


ALWAYS = Condition("1")
NEVER = Condition("0")


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection what the conditions call."""
    connection.create_function("name_fits", 2, matches_name, deterministic=True)


def patients_that_fit(query: QueryFilter, places: Places, among: Condition | None = None) -> Condition:
    """Return the condition on persons ``p``.

    What is asked of studies has to hold for one and the same study, which is in one of the places.

    :param among: what :func:`narrowed` gave.
    """
    studies = _studies_that_fit(query, places, of_few=among is not None)
    patients_of = _patients_of if among is None else _few_patients_of
    there = patients_of(studies) if query.needs_study_level else _patients_at(places)
    if query.text:
        accession = _all([studies, _key("t.accession_key", query.text)])
        there = _any([_all([_text(query), there]), patients_of(accession)])
    near = ALWAYS if among is None else among.within("p.id IN (")
    return _all([near, _key("p.id_key", query.patient_id), _name(query.name_pattern), there])


def studies_that_may_fit(query: QueryFilter, among: Condition | None = None) -> Condition:
    """Return a condition on studies ``t`` of persons ``p`` that holds for what the query matches, and little else."""
    text = _any([_text(query), _key("t.accession_key", query.text)]) if query.text else ALWAYS
    asked = replace(query, series_uid="", series_description="")
    studies = _studies_that_fit(asked, Places(), of_few=among is not None)
    near = ALWAYS if among is None else among.within("t.patient IN (")
    return _all([near, _key("p.id_key", query.patient_id), _name(query.name_pattern), text, studies])


def _patients_of(studies: Condition) -> Condition:
    return studies.within("p.id IN (SELECT t.patient FROM studies t WHERE ")


def _few_patients_of(studies: Condition) -> Condition:
    return studies.within("EXISTS (SELECT 1 FROM studies t WHERE t.patient = p.id AND ")


def _text(query: QueryFilter) -> Condition:
    words = query.text_words
    if words is None:
        return _any([_name(query.text_pattern), _key("p.id_key", query.text)])
    return _all(_like("p.search_text", f"%{_escaped(word)}%") for word in words)


# Whom to look at


def narrowed(
    query: QueryFilter,
    places: Places,
    read: Callable[[str, Sequence[str | int]], list[tuple[Any, ...]]],
    fewer_than: int | None = None,
) -> Condition | None:
    """Return a SELECT for the keys of few persons, outside of whom nobody fits; None if no index has such a set.

    :param read: runs a statement.
    :param fewer_than: how many are not few any more; :data:`FEW` if None.
    """
    smallest, fewest = None, FEW if fewer_than is None else fewer_than
    for persons in _sets_of_persons(query, places):
        for (count,) in read(f"SELECT count(*) FROM ({persons.sql} LIMIT ?)", (*persons.values, fewest)):  # noqa: S608
            if count < fewest:
                smallest, fewest = persons, count
    return smallest


def _sets_of_persons(query: QueryFilter, places: Places) -> Iterator[Condition]:
    yield from _having(_literals(query.name_pattern))
    if has_wildcards(query.patient_id):
        yield from _having(_literals(query.patient_id))
    elif query.patient_id:
        yield _key("id_key", query.patient_id).within("SELECT id FROM patients WHERE ", "")
    if query.text:
        yield from _having_text(query)
    if not _everywhere(places):
        yield _all_at(places)


def _having_text(query: QueryFilter) -> Iterator[Condition]:
    """Yield sets by parts of name or ID, each with those by accession number; none if no index has the latter."""
    words = query.text_words
    if words is None and not _beginning("", query.text):
        return
    accession = _key("accession_key", query.text)
    for some in _having(_literals(query.text.replace(", ", "*")) if words is None else words):
        yield Condition(
            f"{some.sql} UNION ALL SELECT patient FROM studies WHERE {accession.sql}",  # noqa: S608 - constants
            (*some.values, *accession.values),
        )


def _having(words: Iterable[str]) -> Iterator[Condition]:
    longest = sorted((word for word in words if word), key=len, reverse=True)[:_MOST_WORDS]
    for word in longest:
        for first, last in ranges_of(word.replace("\0", "\ufffd")):
            yield Condition(
                "SELECT patient FROM pieces WHERE piece BETWEEN ? AND ?"
                " UNION ALL SELECT patient FROM pieces WHERE piece = ?",
                (first, last, LONG),
            )


def _literals(pattern: str) -> list[str]:
    return [search_key(part) for part in _WILDCARDS.split(pattern)]


# Studies


def _studies_that_fit(query: QueryFilter, places: Places, *, of_few: bool) -> Condition:
    return _all(
        [
            _study_at(places),
            _key("t.accession_key", query.accession_number),
            _among_values("t", "description_key", query.description_pattern),
            _in_range(query.study_date),
            Condition("t.study_uid = ?", (query.study_uid,)) if query.study_uid else ALWAYS,
            _with_modality(query.modalities),
            _with_series(query, of_few=of_few),
        ]
    )


def _in_range(dates: DateRange) -> Condition:
    if dates == DateRange():
        return ALWAYS
    first, last = dates.first or "0", dates.last or "9" * 8
    return Condition("(t.day >= ? AND t.day <= ?)", (first, last))


def _with_modality(modalities: Sequence[str]) -> Condition:
    """Return the condition that a study has one of them, or that nobody said what it has."""
    if not modalities:
        return ALWAYS
    unknown = Condition(r"trim(value, '\') = ''")
    words = [f"{SEPARATOR}{modality}{SEPARATOR}" for modality in _single(modalities)]
    fits = _any([unknown, *(Condition("instr(value, ?) > 0", (word,)) for word in words)])
    return _value_of("t", "known_modalities", fits)


def _single(modalities: Iterable[str]) -> list[str]:
    return [modality for modality in dict.fromkeys(modalities) if modality and SEPARATOR not in modality][:100]


def _with_series(query: QueryFilter, *, of_few: bool) -> Condition:
    """Return the condition that a study has a series that fits, if anything is asked of series alone."""
    if not query.series_uid and not query.series_description:
        return ALWAYS
    condition = _all(
        [
            _among_values("s", "description_key", as_part(query.series_description)),
            Condition("s.series_uid = ?", (query.series_uid,)) if query.series_uid else ALWAYS,
            _one_of("s.modality", tuple(dict.fromkeys(query.modalities))[:100]) if query.modalities else ALWAYS,
        ]
    )
    if of_few:
        return condition.within("EXISTS (SELECT 1 FROM series s WHERE s.study_uid = t.study_uid AND ")
    return condition.within("t.study_uid IN (SELECT s.study_uid FROM series s WHERE ")


_TABLES = {"t": "studies", "s": "series"}


def _among_values(of: str, column: str, pattern: str) -> Condition:
    """Return the condition that a column matches a pattern, as :func:`_key`; there are few different values."""
    condition = _key("value", pattern)
    return condition if condition is ALWAYS else _value_of(of, column, condition)


def _value_of(of: str, column: str, condition: Condition) -> Condition:
    """Return the condition that a column has one of the values that fit, each of which is looked at once.

    The index gives the next value after one, without what lies between.
    """
    table = _TABLES[of]
    return condition.within(
        f"{of}.{column} IN (WITH RECURSIVE every(value) AS (SELECT min({column}) FROM {table} UNION ALL"  # noqa: S608
        f" SELECT (SELECT min({column}) FROM {table} WHERE {column} > value) FROM every WHERE value IS NOT NULL)"
        " SELECT value FROM every WHERE value IS NOT NULL AND "
    )


# Places


def _everywhere(places: Places) -> bool:
    return places.here and places.servers is None


def _study_at(places: Places) -> Condition:
    if _everywhere(places):
        return ALWAYS
    marked = _server(places).within("EXISTS (SELECT 1 FROM study_servers x WHERE x.study_uid = t.study_uid AND ")
    return _any([marked, Condition("t.local > 0")]) if places.here else marked


def _patients_at(places: Places) -> Condition:
    """Return the condition that a person has something there; many have, so looking from person to person ends soon."""
    if _everywhere(places):
        return ALWAYS
    here = [Condition("EXISTS (SELECT 1 FROM studies t WHERE t.patient = p.id AND t.local > 0)")] if places.here else []
    server = _server(places)
    if server is NEVER:
        return _any(here)
    # CROSS: first the studies of the person, who has few, then where each is.
    studies = "EXISTS (SELECT 1 FROM studies t CROSS JOIN study_servers x USING (study_uid) WHERE t.patient = p.id AND "
    alone = "EXISTS (SELECT 1 FROM patient_servers x WHERE x.patient = p.id AND "
    return _any([*here, server.within(studies), server.within(alone)])


def _all_at(places: Places) -> Condition:
    """Return a SELECT for the keys of all persons who have something there."""
    server = _server(places)
    studies = server.within("SELECT t.patient FROM study_servers x JOIN studies t USING (study_uid) WHERE ", "")
    alone = server.within("SELECT x.patient FROM patient_servers x WHERE ", "")
    here = Condition("SELECT patient FROM studies INDEXED BY studies_here WHERE local > 0")
    sets = [studies, alone, here] if places.here else [studies, alone]
    return Condition(" UNION ALL ".join(one.sql for one in sets), tuple(value for one in sets for value in one.values))


def _server(places: Places) -> Condition:
    return ALWAYS if places.servers is None else _one_of("x.server", places.servers)


# Texts


def _name(pattern: str) -> Condition:
    """Return the condition that a name matches; who lacks a text of the pattern is sorted out without calling back."""
    if not pattern:
        return ALWAYS
    near = _like("p.search_text", f"%{_escaped(max(_literals(pattern), key=len))}%")
    return _all([near, Condition("name_fits(?, p.name)", (pattern,))])


def _key(column: str, pattern: str) -> Condition:
    """Return the condition that a folded column matches a DICOM wildcard pattern; an empty one always matches."""
    if not pattern:
        return ALWAYS
    if not has_wildcards(pattern):
        return Condition(f"{column} = ?", (search_key(pattern),))
    parts = re.split(r"(\*+|\?)", pattern)
    like = _like(column, "".join(_LIKE.get(part[:1]) or _escaped(search_key(part)) for part in parts))
    return _all([like, *_beginning(column, pattern)])


def _beginning(column: str, pattern: str) -> list[Condition]:
    """Return what an index can tell of a match with a pattern with wildcards: how the text before them begins."""
    beginning = _literals(pattern)[0].partition(_LAST_CHARACTER)[0]
    if not beginning:
        return []
    after = ord(beginning[-1]) + 1
    after = 0xE000 if after == 0xD800 else after  # what lies between is no character
    return [Condition(f"{column} BETWEEN ? AND ?", (beginning, f"{beginning[:-1]}{chr(after)}"))]


_LIKE = {"*": "%", "?": "_"}


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text.replace("\0", "\ufffd"))


def _like(column: str, pattern: str) -> Condition:
    if len(pattern) > _LONGEST_PATTERN:
        return NEVER
    return Condition(rf"{column} LIKE ? ESCAPE '\'", (pattern,))


def _one_of(column: str, values: Sequence[str]) -> Condition:
    return Condition(f"{column} IN ({', '.join('?' * len(values))})", tuple(values)) if values else NEVER


def _all(conditions: Iterable[Condition]) -> Condition:
    return _joined(" AND ", [condition for condition in conditions if condition is not ALWAYS]) or ALWAYS


def _any(conditions: Sequence[Condition]) -> Condition:
    return _joined(" OR ", conditions) or NEVER


def _joined(word: str, conditions: Sequence[Condition]) -> Condition | None:
    """Put conditions side by side: SQLite's parser cannot go deep."""
    if not conditions:
        return None
    sql = word.join(condition.sql for condition in conditions)
    return Condition(f"({sql})", tuple(value for condition in conditions for value in condition.values))
