"""What the window says of jobs: kinds, states, amounts, and the sum of them all; without Qt."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from ...domain.model import Series
from ...jobs.description import JobKind, JobRecord
from ...jobs.states import JobState

KINDS = {
    JobKind.ECHO: "Test",
    JobKind.FIND: "Search",
    JobKind.RETRIEVE: "Fetch",
    JobKind.IMPORT: "Import",
    JobKind.THUMBNAIL: "Thumbnail",
    JobKind.REMOVE: "Remove",
    JobKind.VERIFY: "Check",
    JobKind.EXPORT: "Export",
    JobKind.SEND: "Send",
    JobKind.LISTENER: "Listener",
}
#: Kinds that are over before anybody could look.
QUICK = frozenset({JobKind.ECHO, JobKind.FIND, JobKind.THUMBNAIL})

STATES = {
    JobState.QUEUED: "Queued",
    JobState.RUNNING: "Running",
    JobState.WAITING: "Waiting",
    JobState.INDEXING: "Indexing",
    JobState.COMPLETED: "Done",
    JobState.INCOMPLETE: "Incomplete",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
}
#: A pictogram for each state: none is told by its colour alone.
STATE_GLYPHS = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "arriving",
    JobState.WAITING: "pause",
    JobState.INDEXING: "arriving",
    JobState.COMPLETED: "tick",
    JobState.INCOMPLETE: "partly",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "stop",
}
PROBLEMS = frozenset({JobState.FAILED, JobState.INCOMPLETE})
#: What can be tried again.
RETRIED = frozenset({JobState.FAILED, JobState.INCOMPLETE, JobState.CANCELLED})
_ACTIVE = frozenset({JobState.RUNNING, JobState.INDEXING})

_LEVELS = {"patient": "patient", "study": "study", "series": "series", "image": "image"}
_PLURALS = {"study": "studies", "series": "series"}


def label_of(record: JobRecord) -> str:
    """Return what a job is about: its label if it has one, else a count."""
    params = record.description.params
    label = params.get("label")
    if isinstance(label, str) and label:
        return label
    for name, noun in (("uids", _LEVELS.get(str(params.get("level")), "object")), ("paths", "file or folder")):
        things = params.get(name)
        if isinstance(things, list) and things:
            return f"1 {noun}" if len(things) == 1 else f"{len(things):,} {_plural(noun)}"
    return ""


def series_of(record: JobRecord) -> str | None:
    """Return the series that a job is about, if it is about one and has no label of its own."""
    params = record.description.params
    uids = params.get("uids")
    if params.get("level") != "series" or not isinstance(uids, list) or len(uids) != 1 or params.get("label"):
        return None
    return str(uids[0])


def series_title(series: Series) -> str:
    """Return a short name of a series."""
    number = "" if series.number is None else f"Series {series.number}"
    return " ".join(filter(None, (series.modality, series.description or number)))


def fraction_of(record: JobRecord) -> float | None:
    """Return how much is done, 0 to 1; None while nobody knows."""
    if record.state is JobState.COMPLETED:
        return 1.0
    return max(0.0, min(1.0, record.done / record.total)) if record.total else None


def amount_of(record: JobRecord) -> str:
    """Return how much is done, in numbers."""
    if record.total:
        return f"{record.done:,} of {record.total:,}"
    return f"{record.done:,}" if record.done else ""


def rate_words(rate: float) -> str:
    """Return bytes a second for people; empty if there are none."""
    if rate < 1:
        return ""
    for unit in ("B/s", "kB/s", "MB/s"):
        if rate < 1000:
            return f"{rate:.1f} {unit}" if rate < 10 and unit != "B/s" else f"{rate:.0f} {unit}"
        rate /= 1000
    return f"{rate:.1f} GB/s"


def size_words(size: float) -> str:
    """Return a number of bytes for people."""
    return rate_words(size).removesuffix("/s")


def clock_words(wall: float | None, now: float | None = None) -> str:
    """Return a time of day; with the date if it is another day."""
    if wall is None:
        return ""
    then, today = time.localtime(wall), time.localtime(now)
    return time.strftime("%H:%M:%S" if then[:3] == today[:3] else "%Y-%m-%d %H:%M", then)


def details_of(record: JobRecord) -> str:
    """Return more lines about a job, for who wants to know."""
    facts = [
        ("Done", amount_of(record)),
        ("Moved", size_words(record.bytes)),
        ("Tries", str(record.tries) if record.tries > 1 else ""),
        ("Tried again at", clock_words(record.retry_at.wall) if record.retry_at else ""),
        ("Asked for", clock_words(record.created.wall)),
        ("Started", clock_words(record.started.wall) if record.started else ""),
        ("Ended", clock_words(record.ended.wall) if record.ended else ""),
        ("Job", record.job_id),
    ]
    return "  ·  ".join(f"{name} {words}" for name, words in facts if words)


@dataclass(frozen=True)
class Summary:
    """All jobs in one line.

    :ivar fraction: how much of what was asked for is done, 0 to 1; None if nothing is under way.
    :ivar problem: the newest of what went wrong, in words.
    """

    running: int = 0
    waiting: int = 0
    fraction: float | None = None
    problem: str = ""

    def words(self, rate: float) -> str:
        """Return the line, with bytes a second."""
        parts = [f"{self.running} running"] if self.running else []
        parts += [f"{self.waiting} waiting"] if self.waiting else []
        parts += [rate_words(rate)] if self.running and rate >= 1 else []
        return " · ".join(parts) or "No jobs under way"


def summary_of(records: Iterable[JobRecord]) -> Summary:
    """Sum up jobs, newest first.

    What ended since the oldest job under way was asked for counts for the fraction: it does not run backwards when
    one of several jobs ends.
    """
    records = [record for record in records if record.description.kind not in QUICK | {JobKind.LISTENER}]
    under_way = [record for record in records if not record.state.terminal]
    running = sum(record.state in _ACTIVE for record in under_way)
    problem = next((record for record in records if record.state in PROBLEMS), None)
    return Summary(running, len(under_way) - running, _fraction(records, under_way), _problem(problem))


def _fraction(records: list[JobRecord], under_way: list[JobRecord]) -> float | None:
    if not under_way:
        return None
    since = min(record.created.wall for record in under_way)
    shares = [
        1.0 if record.state.terminal else fraction_of(record) or 0.0
        for record in records
        if not record.state.terminal or (record.ended is not None and record.ended.wall >= since)
    ]
    return sum(shares) / len(shares)


def _problem(record: JobRecord | None) -> str:
    if record is None:
        return ""
    return f"{KINDS[record.description.kind]} {STATES[record.state].lower()}: {record.reason}".rstrip(": ")


def _plural(noun: str) -> str:
    return "files or folders" if noun == "file or folder" else _PLURALS.get(noun, f"{noun}s")
