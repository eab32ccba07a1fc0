"""All that is known of a job, as a text to read and to copy; without Qt.

It is made to be passed on, so it names no patient: what a job is about is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...jobs.description import JobKind, JobRecord
from ..messages import counted
from .job_words import KINDS, STATES, clock_words, details_of


def report_of(record: JobRecord, log: Mapping[str, Any] | None) -> str:
    """Return the text.

    :param log: as :meth:`.Engine.job_log` returns it; None if there is none.
    """
    parts = (_head(record), _log(log or {"lines": (), "dropped": 0}), _missing(record))
    return "\n\n".join(text for part in parts if (text := "\n".join(part)))


def _head(record: JobRecord) -> Iterator[str]:
    what = (KINDS[record.description.kind], record.description.server or "", STATES[record.state])
    yield "  ·  ".join(filter(None, what))
    if record.reason:
        yield record.reason
    yield details_of(record)


def _log(log: Mapping[str, Any]) -> Iterator[str]:
    if log["dropped"]:
        yield f"{counted(log['dropped'], 'older line')} dropped."
    for line in log["lines"]:
        yield f"{clock_words(line['at'])}  {line['text']}"


def _missing(record: JobRecord) -> Iterator[str]:
    missing = record.missing
    if not missing.count:
        return
    word = "instance" if missing.uids else "file"
    verb = "not sent" if record.description.kind is JobKind.SEND else "missing"
    yield f"{counted(missing.count, word)} {'is' if missing.count == 1 else 'are'} {verb}{':' if missing.uids else '.'}"
    yield from missing.uids
    if missing.uids and missing.count > len(missing.uids):
        yield f"and {missing.count - len(missing.uids):,} more"
