"""What the log of a job says of instances that came with other content than what is here."""

from __future__ import annotations

from ..domain.protocol_log import note
from ..domain.results import Conflict, conflict_words

#: So many are named in the log of a job, which holds 500 lines in all.
MAX_NAMED = 50


def log_conflict(conflict: Conflict, before: int, *, source: str | None = None) -> None:
    """Name a conflict in the log of the work that this thread is at, if it is among the first :data:`MAX_NAMED`.

    :param before: how many there were already.
    :param source: what to call where it came from; empty to leave it out, as for paths, which may name a patient.
    """
    if before < MAX_NAMED:
        note(conflict_words(conflict.to_dict(), source))
    elif before == MAX_NAMED:
        note("More such instances are not named here.")
