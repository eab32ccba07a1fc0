"""How a send ended, in words; without Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...jobs.description import JobRecord
from ...jobs.states import JobState
from ..messages import Message, Tone, counted

#: Reasons that are told in the details, and instances that are named for each.
_MOST_REASONS, _MOST_NAMED = 20, 3


def told(record: JobRecord, result: Mapping[str, Any] | None) -> Message:
    """Return what to tell of a send that has ended.

    :param result: as :meth:`.SendResult.to_dict` writes it; None if nobody knows any more.
    """
    server, about = record.description.server or "the server", about_job(record.job_id)
    if record.state is JobState.CANCELLED:
        amount = f" after {record.done:,} of {counted(record.total, 'image')}" if record.total else ""
        return Message(f"Sending to {server} was cancelled{amount}.", Tone.NOTE, about)
    tone = Tone.NOTE if record.state is JobState.COMPLETED else Tone.PROBLEM
    if result is None or not result["requested"]:
        sent = "All" if tone is Tone.NOTE else "Not all"
        return Message(f"{sent} was sent to {server}. {record.reason}".rstrip(), tone, about)
    if tone is Tone.PROBLEM and result["sent"]:
        tone = Tone.WARNING
    return Message(_sentences(record, result, server), tone, about, details=_details(result))


def about_job(job_id: str) -> str:
    """Return what messages on a send are about."""
    return f"send:{job_id}"


def _sentences(record: JobRecord, result: Mapping[str, Any], server: str) -> str:
    sent, requested = result["sent"], result["requested"]
    if sent == requested:
        text = f"{server} took {_all(sent)}{_listed(record, result)}."
    else:
        text = f"{server} took {f'{sent:,}' if sent else 'none'} of {counted(requested, 'image')}."
    reasons = _reasons(record, result)
    if len(reasons) > 1:
        return f"{text} The reasons are in the details."
    return f"{text} {reasons[0]}" if reasons else text


def _reasons(record: JobRecord, result: Mapping[str, Any]) -> list[str]:
    """Return why not all was taken."""
    if record.state is JobState.FAILED:
        return [record.reason]
    failed = result["failed"] if result["sent"] < result["requested"] else []  # else it is only not listed
    return list(dict.fromkeys(item["reason"] for item in (*failed, *result["rejected"])))


def _all(number: int) -> str:
    return "the image" if number == 1 else f"all {counted(number, 'image')}"


def _listed(record: JobRecord, result: Mapping[str, Any]) -> str:
    """Return what the server said afterwards, if it was to be asked."""
    verified, sent = result["verified"], result["sent"]
    if not record.description.params.get("verify"):
        return ""
    if verified is None:
        return ", but could not be asked what it lists"
    if verified == sent:
        return f", and lists {'it' if sent == 1 else 'them'}"
    return f", but lists only {verified:,}" if verified else ", but lists none of them"


def _details(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a line for each reason, with those that it holds for; the list of jobs names them all."""
    groups: dict[str, list[str]] = {}
    for item in (*result["failed"], *result["rejected"]):
        groups.setdefault(item["reason"], []).append(str(item.get("sop_uid") or item.get("path")))
    lines = [f"{reason} {_named(subjects)}" for reason, subjects in groups.items()]
    more = [f"and {len(lines) - _MOST_REASONS:,} more reasons"] if len(lines) > _MOST_REASONS else []
    warnings = [line for line in result["warnings"] if not any(reason in line for reason in groups)]
    return (*warnings, *lines[:_MOST_REASONS], *more)


def _named(subjects: list[str]) -> str:
    rest = len(subjects) - _MOST_NAMED
    return ", ".join(subjects[:_MOST_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
