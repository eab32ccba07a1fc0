"""A search as a condition on the rows of the catalogue.

It holds for the same rows as :class:`~..domain.filters.QueryFilter` for records. SQL is put together from constants
alone; whatever a user typed is a parameter.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..domain.filters import DateRange, QueryFilter, as_part, has_wildcards, matches_name
from ..domain.overview import Places
from .catalogue_people import search_key
from .catalogue_records import SEPARATOR

# SQLite takes LIKE patterns of at most 50,000 bytes; no value of an image is as long.
_LONGEST_PATTERN = 10_000


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


def patients_that_fit(query: QueryFilter, places: Places) -> Condition:
    """Return the condition on persons ``p``.

    What is asked of studies has to hold for one and the same study, which is in one of the places.
    """
    studies = _studies_that_fit(query, places)
    there = _patients_of(studies) if query.needs_study_level else _patients_at(places)
    if query.text:
        accession = _all([studies, _key("t.accession_key", query.text)])
        there = _any([_all([_text(query), there]), _patients_of(accession)])
    return _all([_key("p.id_key", query.patient_id), _name(query.name_pattern), there])


def studies_that_may_fit(query: QueryFilter) -> Condition:
    """Return a condition on studies ``t`` of persons ``p`` that holds for what the query matches, and little else."""
    text = _any([_text(query), _key("t.accession_key", query.text)]) if query.text else ALWAYS
    studies = _studies_that_fit(replace(query, series_uid="", series_description=""), Places())
    return _all([_key("p.id_key", query.patient_id), _name(query.name_pattern), text, studies])


def _patients_of(studies: Condition) -> Condition:
    return studies.within("p.id IN (SELECT t.patient FROM studies t WHERE ")


def _text(query: QueryFilter) -> Condition:
    words = query.text_words
    if words is None:
        return _any([_name(query.text_pattern), _key("p.id_key", query.text)])
    return _all(_like("p.search_text", f"%{_escaped(word)}%") for word in words)


def _studies_that_fit(query: QueryFilter, places: Places) -> Condition:
    return _all(
        [
            _study_at(places),
            _key("t.accession_key", query.accession_number),
            _key("t.description_key", query.description_pattern),
            _in_range(query.study_date),
            Condition("t.study_uid = ?", (query.study_uid,)) if query.study_uid else ALWAYS,
            _with_modality(query.modalities),
            _with_series(query),
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
    unknown = Condition(r"trim(t.known_modalities, '\') = ''")
    words = [f"{SEPARATOR}{modality}{SEPARATOR}" for modality in _single(modalities)]
    return _any([unknown, *(Condition("instr(t.known_modalities, ?) > 0", (word,)) for word in words)])


def _single(modalities: Iterable[str]) -> list[str]:
    return [modality for modality in dict.fromkeys(modalities) if modality and SEPARATOR not in modality][:100]


def _with_series(query: QueryFilter) -> Condition:
    """Return the condition that a study has a series that fits, if anything is asked of series alone."""
    if not query.series_uid and not query.series_description:
        return ALWAYS
    condition = _all(
        [
            _key("s.description_key", as_part(query.series_description)),
            Condition("s.series_uid = ?", (query.series_uid,)) if query.series_uid else ALWAYS,
            _one_of("s.modality", tuple(dict.fromkeys(query.modalities))[:100]) if query.modalities else ALWAYS,
        ]
    )
    return condition.within("t.study_uid IN (SELECT s.study_uid FROM series s WHERE ")


# Places


def _everywhere(places: Places) -> bool:
    return places.here and places.servers is None


def _study_at(places: Places) -> Condition:
    if _everywhere(places):
        return ALWAYS
    marked = _server(places).within("t.study_uid IN (SELECT x.study_uid FROM study_servers x WHERE ")
    return _any([marked, Condition("t.local > 0")]) if places.here else marked


def _patients_at(places: Places) -> Condition:
    """Return the condition that a person has something there; many have, so looking from person to person ends soon."""
    if _everywhere(places):
        return ALWAYS
    here = [Condition("EXISTS (SELECT 1 FROM studies t WHERE t.patient = p.id AND t.local > 0)")] if places.here else []
    server = _server(places)
    if server is NEVER:
        return _any(here)
    studies = "EXISTS (SELECT 1 FROM studies t JOIN study_servers x USING (study_uid) WHERE t.patient = p.id AND "
    alone = "EXISTS (SELECT 1 FROM patient_servers x WHERE x.patient = p.id AND "
    return _any([*here, server.within(studies), server.within(alone)])


def _server(places: Places) -> Condition:
    return ALWAYS if places.servers is None else _one_of("x.server", places.servers)


# Texts


def _name(pattern: str) -> Condition:
    """Return the condition that a name matches; who lacks a text of the pattern is sorted out without calling back."""
    if not pattern:
        return ALWAYS
    longest = max(re.split(r"[*?]+", pattern), key=len)
    near = _like("p.search_text", f"%{_escaped(search_key(longest))}%")
    return _all([near, Condition("name_fits(?, p.name)", (pattern,))])


def _key(column: str, pattern: str) -> Condition:
    """Return the condition that a folded column matches a DICOM wildcard pattern; an empty one always matches."""
    if not pattern:
        return ALWAYS
    if not has_wildcards(pattern):
        return Condition(f"{column} = ?", (search_key(pattern),))
    parts = re.split(r"(\*+|\?)", pattern)
    return _like(column, "".join(_LIKE.get(part[:1]) or _escaped(search_key(part)) for part in parts))


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
