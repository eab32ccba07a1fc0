"""The commands of ``jobs``: what an earlier command could not finish, or was killed before it could."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .domain.cancel import CancelToken
from .domain.errors import FolderInUse, UsageError

if TYPE_CHECKING:
    from .engine.engine import Engine
    from .engine.job_desk import QueuedJobs
    from .jobs.description import JobRecord

Say = Callable[[str], None]

#: In ``--all``, and not without: the user wanted them to stop.
_UNWANTED = "cancelled"


def list_jobs(engine: Engine, options: argparse.Namespace, say: Say) -> tuple[bool, Any]:
    """Return the queue as a document; also of a folder that another engine holds."""
    queued = engine.queued_jobs()
    if queued.held_by:
        say(f"Note: {queued.held_by} These are its jobs.")
    _say_unreadable(queued, say)
    chosen = [record for record in queued.records if options.all or record.state.value != _UNWANTED]
    jobs = [{**record.to_dict(), "interrupted": record.job_id in queued.interrupted} for record in chosen]
    return True, {"jobs": jobs, "unreadable": queued.unreadable, "held_by": queued.held_by or None}


def retry_jobs(engine: Engine, options: argparse.Namespace, say: Say, token: CancelToken) -> tuple[bool, Any]:
    """Run jobs again, here and now, and wait for them; whether all of them completed."""
    queued = _own(engine)
    wanted = [r for r in queued.records if r.state.value != _UNWANTED] if options.all else _named(queued, options.ids)
    if not wanted:
        say("There is nothing to retry.")
    for record in wanted:
        engine.retry_job(record.job_id)
    ended = engine.wait_for_jobs([record.job_id for record in wanted], token=token)
    left = [record for record in ended if record.state.value != "completed"]
    for record in left:
        say(f"Error: {record.job_id[:_SHORT]}: {record.reason}")
    return not left, {"jobs": [record.to_dict() for record in ended]}


def cancel_jobs(engine: Engine, options: argparse.Namespace) -> tuple[bool, Any]:
    """Have unfinished jobs count as cancelled, so that nobody offers to go on with them."""
    queued = _own(engine)
    wanted = [r for r in queued.records if not r.state.terminal] if options.all else _named(queued, options.ids)
    return True, {"cancelled": [record.job_id for record in wanted if engine.cancel_job(record.job_id)]}


def clear_jobs(engine: Engine, say: Say) -> tuple[bool, Any]:
    """Forget the jobs that have ended."""
    ended = [record.job_id for record in _own(engine).records if record.state.terminal]
    engine.clear_jobs()
    _say_unreadable(engine.queued_jobs(), say)
    return True, {"cleared": ended}


def job_log(engine: Engine, options: argparse.Namespace) -> tuple[bool, Any]:
    """Return what happened to a job."""
    (record,) = _named(engine.queued_jobs(), [options.id])
    return True, {"job_id": record.job_id, **engine.job_log(record.job_id)}


#: How much of an id is shown, which is enough to name a job.
_SHORT = 8


def _own(engine: Engine) -> QueuedJobs:
    """Return the queue, if it is ours.

    :raises FolderInUse: another engine holds the folder; its jobs are for that one to retry and cancel.
    """
    queued = engine.queued_jobs()
    if queued.held_by:
        raise FolderInUse(f"{queued.held_by} Its jobs can only be changed there.")
    return queued


def _named(queued: QueuedJobs, ids: Sequence[str]) -> list[JobRecord]:
    """Return the jobs of ids, or of their beginnings.

    :raises UsageError: there is no such job, or more than one.
    """
    if not ids:
        raise UsageError("Say which jobs, by their ids, or --all.")
    found: dict[str, JobRecord] = {}
    for beginning in ids:
        fitting = [record for record in queued.records if record.job_id.startswith(beginning)]
        if len(fitting) != 1:
            raise UsageError(f"There {'is no job' if not fitting else 'are several jobs'} {beginning}; see: jobs list.")
        found[fitting[0].job_id] = fitting[0]
    return list(found.values())


def _say_unreadable(queued: QueuedJobs, say: Say) -> None:
    if queued.unreadable:
        say(f"Warning: {queued.unreadable} records in the queue cannot be read, and are left alone.")
