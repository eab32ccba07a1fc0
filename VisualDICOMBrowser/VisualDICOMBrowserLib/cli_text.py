"""What commands print for people."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from .domain.model import readable_date
from .domain.people import display_name
from .domain.results import conflict_words


def as_text(command: str, document: Any) -> str:
    """Return a command's document as text; empty if there is nothing to say."""
    return "" if document == {} else _WRITERS.get(command, _plain)(document)


def printable(text: str) -> str:
    """Escape what would move a terminal's cursor, or is no character: names, and servers' comments, hold anything."""
    return "".join(c if c == "\n" or _is_printable(c) else c.encode("unicode_escape").decode() for c in text)


def _is_printable(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # an ideographic space is


def _plain(document: Any) -> str:
    if isinstance(document, list):
        return "\n".join(_plain(item) for item in document)
    return "\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in document.items() if value not in ([], ()))


def _tree(document: Mapping[str, Any]) -> str:
    lines = [line for patient in document["patients"] for line in _patient(patient)]
    return "\n".join(lines) if lines else "Nothing found."


def _patient(patient: Mapping[str, Any]) -> list[str]:
    facts = [
        f"ID {patient['patient_id']}" if patient["patient_id"] else "",
        readable_date(patient["birth_date"]),
        patient["sex"],
        "(not the only person with this ID)" if patient["shares_id"] else "",
    ]
    lines = ["  ".join(part for part in (display_name(patient["name"]) or "(no name)", *facts) if part)]
    for study in patient.get("studies", ()):
        lines += _study(study)
    return lines


def _study(study: Mapping[str, Any]) -> list[str]:
    where = ", ".join(study["servers"]) or "on this computer"
    facts = (readable_date(study["date"]), "/".join(study["modalities"]), study["description"], f"[{where}]")
    lines = ["  " + "  ".join(part for part in facts if part), f"    {study['study_uid']}"]
    for series in study.get("series", ()):
        lines += _series(series)
    return lines


def _series(series: Mapping[str, Any]) -> list[str]:
    count = "?" if series["instances"] is None else series["instances"]
    number = "" if series["number"] is None else f"{series['number']}:"
    facts = (number, series["modality"], series["description"], f"({series['local_instances']}/{count} here)")
    lines = ["      " + " ".join(part for part in facts if part), f"        {series['series_uid']}"]
    return lines + [f"          {image['sop_uid']}" for image in series.get("images", ())]


def _retrieved(document: Mapping[str, Any]) -> str:
    megabytes, seconds = document["bytes"] / 1e6, document["seconds"]
    here = f"{document['verified']} of {document['requested']} instances are here and verified"
    speed = f"{megabytes:.1f} MB in {seconds:.1f} s ({megabytes / max(seconds, 0.001):.1f} MB/s)"
    lines = [f"{here} (counted by {document['counted_by']}).", f"{document['received']} came now: {speed}."]
    reasons = {failure["sop_uid"]: failure["reason"] for failure in document["failed"]}
    if document["replaced"]:
        lines.append(f"{document['replaced']} of them took the place of what was here.")
    lines += [f"  missing: {uid}  {reasons.get(uid, '')}".rstrip() for uid in document["missing"]]
    return "\n".join([*lines, *_conflicts(document)])


def _imported(document: Mapping[str, Any]) -> str:
    summary = (
        f"{document['imported']} of {document['files']} files imported, {document['duplicates']} were here already,"
        f" {document['left_out']} rejected, in {document['seconds']:.1f} s."
    )
    lines = [summary, *([f"{document['replaced']} took the place of what was here."] if document["replaced"] else [])]
    lines += [f"  {item['path']}: {item['reason']}" for item in document["rejected"]]
    more = document["left_out"] - len(document["rejected"])
    lines += [f"  and {more} more rejected."] if more else []
    return "\n".join([*lines, *_conflicts(document)])


def _conflicts(document: Mapping[str, Any]) -> list[str]:
    more = document["conflicting"] - len(document["conflicts"])
    named = [f"  {conflict_words(conflict)}" for conflict in document["conflicts"]]
    return [*named, *([f"  and {more} more with other content."] if more else [])]


def _exported(document: Mapping[str, Any]) -> str:
    lines = [f"{document['files']} files are in {document['folder']} ({document['seconds']:.1f} s)."]
    return "\n".join([*lines, *(f"  missing: {item['sop_uid']}  {item['reason']}" for item in document["failed"])])


def _sent(document: Mapping[str, Any]) -> str:
    megabytes, seconds = document["bytes"] / 1e6, document["seconds"]
    speed = f"{megabytes:.1f} MB in {seconds:.1f} s ({megabytes / max(seconds, 0.001):.1f} MB/s)"
    lines = [f"{document['sent']} of {document['requested']} instances were sent: {speed}."]
    if document["verified"] is not None:
        lines.append(f"The server lists {document['verified']} of them.")
    lines += [f"  failed: {item['sop_uid']}  {item['reason']}" for item in document["failed"]]
    return "\n".join([*lines, *(f"  {item['path']}: {item['reason']}" for item in document["rejected"])])


def _verified(document: Mapping[str, Any]) -> str:
    lines = [f"{document['rows']} rows, {document['files']} files: {'all is well' if document['ok'] else 'not well'}."]
    lines += [f"  no readable file for {uid}" for uid in document["missing"]]
    return "\n".join(lines + [f"  no row for {path}" for path in document["orphans"]])


def _job_lines(document: Mapping[str, Any]) -> str:
    if "lines" in document:
        lines = [f"({document['dropped']} earlier lines were dropped)"] if document["dropped"] else []
        return "\n".join(lines + [f"{_time(line['at'])}  {line['text']}" for line in document["lines"]])
    if "jobs" in document:
        return "\n".join(line for job in document["jobs"] for line in _job(job)) or "No jobs."
    verb, ids = next(iter(document.items()))
    return f"{verb}: {len(ids)} {'job' if len(ids) == 1 else 'jobs'}"


def _job(job: Mapping[str, Any]) -> list[str]:
    what = job["job"]
    state = "unfinished" if job.get("interrupted") else job["state"]
    about = _subject(what["params"])
    facts = (what["job_id"][:8], _time(job["created"]), what["kind"], what["server"] or "", state, about)
    lines = ["  ".join(fact for fact in facts if fact)]
    return [*lines, f"          {job['reason']}"] if job["reason"] else lines


def _subject(params: Mapping[str, Any]) -> str:
    things = [*params.get("uids", ()), *params.get("paths", ())]
    more = f" and {len(things) - 1} more" if len(things) > 1 else ""
    return str(params.get("label") or (f"{params.get('level', '')} {things[0]}{more}".strip() if things else ""))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")[:19]


def _server_lines(document: Mapping[str, Any]) -> str:
    if "imported" in document:
        return _imported_servers(document)
    if "servers" not in document:
        verb, server = next(iter(document.items()))
        return f"{verb}: {server['name'] if isinstance(server, Mapping) else server}"
    return "\n".join(map(_server_line, document["servers"])) or "No servers are configured; add one with: servers add."


def _imported_servers(document: Mapping[str, Any]) -> str:
    lines = [f"imported: {_server_line(server)}" for server in document["imported"]]
    lines += [f"known already: {name}" for name in document["known"]]
    lines += [f"not imported: {item['name']}: {item['reason']}" for item in document["skipped"]]
    return "\n".join(lines) or "Slicer's settings have no servers."


def _server_line(server: Mapping[str, Any]) -> str:
    return (
        f"{server['name']}: {server['called_aet']} at {server['host']}:{server['port']},"
        f" called as {server['calling_aet']}, retrieve by {server['retrieve']}"
        + (f" through {server['proxy']}" if server["proxy"] else "")
        + (", fetched ahead" if server["fetch_ahead"] else "")
        + (", secured by TLS" if server["tls"] else "")
    )


def _echoed(document: Mapping[str, Any]) -> str:
    return f"{document['server']}: {document['message']} ({document['seconds']:.3f} s)"


def _metadata(document: Mapping[str, Any]) -> str:
    lines = [_element(element) for element in document["elements"]]
    return "\n".join(lines) or "No element matches."


def _element(element: Mapping[str, Any]) -> str:
    """Return one line."""
    value = element["value"].replace("\n", r"\n")
    line = f"{'  ' * element['depth']}{element['tag']} {element['vr']:2} {element['name']}"
    return f"{line}: {value}" if value else line


def _demonstrated(document: Mapping[str, Any]) -> str:
    return (
        f"{document['patients']} patients with {document['series']} series found,"
        f" {document['thumbnails']} thumbnails made.\n"
        f"{document['verified']} of {document['requested']} instances of one patient fetched and verified.\n"
        f"Contact sheet: {document['contact_sheet']}"
    )


def _figures(name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}:", *(f"  {line}" for key, inner in value.items() for line in _figures(key, inner))]
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [f"{name}:", *(f"  {text}" for text in value)]
    return [f"{name}: {value}"]


def _measured(document: Any) -> str:
    if isinstance(document, dict):
        return "\n".join(line for name, value in document.items() for line in _figures(name, value))
    return "\n".join(
        f"{row['case']} {row.get('way', 'from')} {row['peer']}: ours {row['ours']:.2f} {row['unit']},"
        f" theirs {row['theirs']:.2f} {row['unit']}, ratio {row['ratio']:.2f}"
        for row in document
    )


_WRITERS: Mapping[str, Callable[[Any], str]] = {
    "query": _tree,
    "list": _tree,
    "retrieve": _retrieved,
    "import": _imported,
    "export": _exported,
    "send": _sent,
    "verify": _verified,
    "servers": _server_lines,
    "jobs": _job_lines,
    "echo": _echoed,
    "metadata": _metadata,
    "demo": _demonstrated,
    "bench": _measured,
}
