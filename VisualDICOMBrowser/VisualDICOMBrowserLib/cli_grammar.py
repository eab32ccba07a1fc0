"""The words of the command line: what each command takes, and what was asked for."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from .domain.errors import InternalError, UsageError
from .domain.filters import DEFAULT_LIMIT, DateRange, QueryFilter
from .domain.listener import DEFAULT_PORT, LOOPBACK, AllowedPeer, ListenerSettings
from .domain.model import Level, Target
from .domain.servers import DEFAULT_CALLING_AET, DEFAULT_MAX_ASSOCIATIONS, DEFAULT_TIMEOUT_S, RetrieveMethod
from .domain.tls import ListenerTls, TlsSettings

#: In the order of :class:`.TlsSettings`.
TLS_FILES = (
    ("--tls-ca", "who may have issued its certificate, or that certificate itself; instead of whom the system trusts"),
    ("--tls-cert", "our certificate, for a server that wants one"),
    ("--tls-key", "its private key, unless that is in the same file"),
    ("--tls-key-password-file", "a file whose first line is the password of the key"),
)

LISTENER_TLS_FILES = (
    ("--tls-cert", "our certificate: connections are secured by TLS 1.2 or newer then, and no others are taken"),
    ("--tls-key", "its private key, unless that is in the same file"),
    ("--tls-key-password-file", "a file whose first line is the password of the key"),
    ("--tls-ca", "who may have issued the callers' certificates, or these themselves; everybody must show one then"),
)
#: Fields of :class:`.ListenerTls`, and where their options are.
_LISTENER_TLS = {
    "certificate": "tls_cert",
    "key": "tls_key",
    "key_password_file": "tls_key_password_file",
    "ca_file": "tls_ca",
}


class Parser(argparse.ArgumentParser):
    """Raises instead of leaving the program, so that wrong words end like any other wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Refuse the words."""
        self.print_usage(sys.stderr)
        raise UsageError(f"{message[:1].upper()}{message[1:].rstrip('.')}.")


def common_options() -> Parser:
    """Return a parser of what is taken before and after every command."""
    common = Parser(add_help=False)
    # Accepted before and after the command: a default of its own there would undo what was said before.
    for name, help_text in (("--database", "the database folder"), ("--config", "the configuration file")):
        common.add_argument(name, type=Path, default=argparse.SUPPRESS, help=help_text)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    return common


def add_demo(sub: argparse.ArgumentParser) -> None:
    """Add what the demonstration takes."""
    sub.add_argument("--headless", action="store_true", help="without a window: search, fetch, draw a contact sheet")
    sub.add_argument(
        "--output", type=Path, default=Path("contact-sheet.png"), help="where the contact sheet goes (%(default)s)"
    )
    add_gui(sub)


def add_gui(sub: argparse.ArgumentParser) -> None:
    """Add what the window takes."""
    sub.add_argument("--theme", choices=["light", "dark"], help="how the window looks, instead of the system's own")


def add_server(add: argparse.ArgumentParser) -> None:
    """Add the settings of a server."""
    add.add_argument("name")
    add.add_argument("--host", required=True, help="host name or address")
    add.add_argument("--port", required=True, type=int)
    add.add_argument("--called-aet", required=True, help="the server's AE title")
    add.add_argument("--calling-aet", default=DEFAULT_CALLING_AET, help="our AE title (%(default)s)")
    add.add_argument("--retrieve", choices=[m.value for m in RetrieveMethod], default=RetrieveMethod.GET.value)
    add.add_argument("--proxy", help="a configured server that a C-MOVE sends to and that we C-GET from")
    add.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_S,
        help="seconds without a byte that mean stalled (%(default)s)",
    )
    add.add_argument("--tls", action="store_true", help="secure connections to it by TLS 1.2 or newer")
    for name, help_text in TLS_FILES:
        add.add_argument(name, type=Path, metavar="FILE", help=help_text)
    add.add_argument("--tls-host-name", metavar="NAME", help="the name in its certificate, if that is not the host")
    add.add_argument("--associations", type=int, default=DEFAULT_MAX_ASSOCIATIONS, help="most at once (%(default)s)")
    add.add_argument("--fetch-ahead", action="store_true", help="in the window, fetch studies whole that are opened")


def add_import_slicer(sub: argparse.ArgumentParser) -> None:
    """Add what says which servers of 3D Slicer are meant."""
    sub.add_argument("--file", type=Path, metavar="INI", help="Slicer's settings, instead of the user's Slicer.ini")
    sub.add_argument("--all", action="store_true", help="also those that are not checked in Slicer")


def tls_of(options: argparse.Namespace) -> TlsSettings | None:
    """Read how connections to a server are secured.

    :raises UsageError: settings of TLS without TLS.
    """
    names = [(name, getattr(options, name[2:].replace("-", "_"))) for name, _ in TLS_FILES]
    if not options.tls:
        given = next((name for name, path in names if path is not None), options.tls_host_name and "--tls-host-name")
        if given:
            raise UsageError(f"{given} needs --tls.")
        return None
    ca, certificate, key, password = [_full(path) for _, path in names]
    return TlsSettings(ca, certificate, key, password, options.tls_host_name)


def _full(path: Path | None) -> str | None:
    """Return the full path; links are not followed: what they point to changes when certificates are renewed."""
    return None if path is None else str(path.expanduser().absolute())


def add_filters(sub: argparse.ArgumentParser) -> None:
    """Add the search keys."""
    sub.add_argument("--patient-id", help="whole, or with * and ?")
    sub.add_argument("--patient-name", help="a part of it, or with * and ?")
    sub.add_argument("--accession")
    sub.add_argument("--study-date", metavar="FROM[-TO]", help="YYYYMMDD")
    sub.add_argument("--modality", action="append", help="may be repeated")
    sub.add_argument("--study-description", help="a part of it, or with * and ?")
    sub.add_argument("--study", metavar="UID")
    sub.add_argument("--series", metavar="UID")
    sub.add_argument("--limit", type=int, default=DEFAULT_LIMIT, help="most matches a server (%(default)s)")


def add_level(sub: argparse.ArgumentParser, default: Level) -> None:
    """Add how deep to look."""
    choices = [level.name.lower() for level in Level]
    sub.add_argument("--level", choices=choices, default=default.name.lower(), help="how deep (%(default)s)")


def add_query(sub: argparse.ArgumentParser) -> None:
    """Add what a search takes."""
    add_filters(sub)
    add_level(sub, Level.STUDY)
    sub.add_argument("--server", action="extend", nargs="+", metavar="NAME", help="only these servers")


def add_list(sub: argparse.ArgumentParser) -> None:
    """Add what a listing takes."""
    add_filters(sub)
    add_level(sub, Level.SERIES)


def add_target(sub: argparse.ArgumentParser) -> None:
    """Add what says which patients, studies, series or instances are meant."""
    which = sub.add_mutually_exclusive_group(required=True)
    for name in ("--patient-id", "--study", "--series", "--instance"):
        which.add_argument(name, action="extend", nargs="+", metavar="UID" if name != "--patient-id" else "ID")


def add_retrieve(sub: argparse.ArgumentParser) -> None:
    """Add what a retrieve takes."""
    add_target(sub)
    sub.add_argument("--server", metavar="NAME", help="from this server only")
    sub.add_argument("--force", action="store_true", help="fetch again what is here, and replace it")


def add_listen(sub: argparse.ArgumentParser) -> None:
    """Add how to listen; what is not said is as configured."""
    sub.add_argument("--aet", help=f"our AE title ({DEFAULT_CALLING_AET} unless configured)")
    sub.add_argument("--port", type=int, help=f"TCP port ({DEFAULT_PORT} unless configured)")
    sub.add_argument("--bind", metavar="ADDRESS", help=f"of the interface, 0.0.0.0 for all ({LOOPBACK})")
    sub.add_argument(
        "--allow",
        action="extend",
        nargs="+",
        metavar="AET@HOST",
        help="who may call beside the configured servers, instead of whom the configuration names; * is any",
    )
    sub.add_argument("--unsolicited", action="store_true", help="take what nobody here asked for")
    for name, help_text in LISTENER_TLS_FILES:
        sub.add_argument(name, type=Path, metavar="FILE", help=help_text)
    sub.add_argument("--no-tls", action="store_true", help="do not secure connections, though it is configured")
    sub.add_argument("--save", action="store_true", help="keep these settings in the configuration")


def listener_of(options: argparse.Namespace, configured: ListenerSettings) -> ListenerSettings:
    """Read how to listen.

    :raises UsageError: something cannot be right.
    """
    said = {name: getattr(options, name) for name in ("aet", "port", "bind") if getattr(options, name) is not None}
    allowed = configured.allowed if options.allow is None else tuple(map(AllowedPeer.parse, options.allow))
    unsolicited = configured.unsolicited or options.unsolicited
    tls = _listener_tls(options, configured.tls)
    return replace(configured, **said, allowed=allowed, unsolicited=unsolicited, tls=tls)


def _listener_tls(options: argparse.Namespace, configured: ListenerTls | None) -> ListenerTls | None:
    """Read how connections are secured: a certificate begins anew, all else changes what is configured."""
    values = {name: _full(getattr(options, word)) for name, word in _LISTENER_TLS.items()}
    said = {name: value for name, value in values.items() if value is not None}
    if options.no_tls:
        if said:
            raise UsageError("--no-tls cannot be given together with files for TLS.")
        return None
    if "certificate" in said:
        return ListenerTls(**said)
    if said and configured is None:
        raise UsageError("TLS needs our certificate: --tls-cert FILE.")
    return configured if configured is None else replace(configured, **said)


def add_import(sub: argparse.ArgumentParser) -> None:
    """Add what an import takes."""
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--copy", dest="link", action="store_false", help="copy the files into the folder (default)")
    how.add_argument("--link", dest="link", action="store_true", help="leave the files where they are")
    sub.set_defaults(link=False)
    sub.add_argument("--replace", action="store_true", help="have what is here already replaced by the files")
    sub.add_argument("paths", nargs="+", type=Path, metavar="PATH")


def add_export(sub: argparse.ArgumentParser) -> None:
    """Add what an export takes."""
    which = sub.add_mutually_exclusive_group(required=True)
    for name in ("--patient-id", "--study", "--series"):
        which.add_argument(name, action="append", metavar="UID" if name != "--patient-id" else "ID")
    sub.add_argument("folder", type=Path, metavar="DIR", help="where the files go; nothing in it is overwritten")
    sub.set_defaults(instance=None)


def add_send(sub: argparse.ArgumentParser) -> None:
    """Add what sending takes; :func:`target_of` or the paths say what."""
    which = sub.add_mutually_exclusive_group()
    for name in ("--patient-id", "--study", "--series", "--instance"):
        which.add_argument(name, action="extend", nargs="+", metavar="UID" if name != "--patient-id" else "ID")
    sub.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files, and folders with all below them")
    sub.add_argument("--to", required=True, metavar="NAME", help="the server that gets it")
    sub.add_argument("--verify", action="store_true", help="ask the server afterwards whether it lists all of it")


def add_jobs(sub: argparse.ArgumentParser, verb: str) -> None:
    """Add what says which jobs are meant."""
    if verb in ("retry", "cancel"):
        sub.add_argument("ids", nargs="*", metavar="ID", help="ids of jobs, or their beginnings")
        sub.add_argument("--all", action="store_true", help="all that can be; cancelled ones are retried by id only")
    elif verb == "list":
        sub.add_argument("--all", action="store_true", help="also those that were cancelled")
    elif verb == "log":
        sub.add_argument("id", metavar="ID", help="id of a job, or its beginning")


def add_thumbnail(sub: argparse.ArgumentParser) -> None:
    """Add what a thumbnail takes."""
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("uid", nargs="?", metavar="SERIES", help="Series Instance UID")
    which.add_argument("--series", metavar="UID", help="the same")
    sub.add_argument("--server", metavar="NAME", help="where from, if it is not here")
    sub.add_argument("--output", type=Path, metavar="FILE", help="where a copy of the picture goes")


def add_verify(sub: argparse.ArgumentParser) -> None:
    """Add what a check takes."""
    text = "make damaged databases anew from the files, and give rows to files without"
    sub.add_argument("--rebuild", action="store_true", help=text)


def add_metadata(sub: argparse.ArgumentParser) -> None:
    """Add what a listing of elements takes."""
    sub.add_argument("subject", metavar="UID|FILE", help="a SOP instance or series on this computer, or a file")
    sub.add_argument("--search", default="", metavar="TEXT", help="only where tag, name, keyword or value has it")


def add_screenshots(sub: argparse.ArgumentParser) -> None:
    """Add what the pictures of the README take."""
    sub.add_argument(
        "folder", nargs="?", type=Path, default=Path("Resources/Screenshots"), help="where they go (%(default)s)"
    )


def add_bench(sub: argparse.ArgumentParser) -> None:
    """Add what a measurement takes."""
    sub.add_argument("case", choices=["catalogue", "get", "gui", "listen", "send"], help="what to measure")


def filter_of(options: argparse.Namespace) -> QueryFilter:
    """Read the search keys."""
    return QueryFilter(
        patient_id=options.patient_id or "",
        patient_name=options.patient_name or "",
        accession_number=options.accession or "",
        study_date=DateRange.parse(options.study_date) if options.study_date else DateRange(),
        modalities=tuple(m.upper() for word in options.modality or () for m in word.replace(",", " ").split()),
        study_description=options.study_description or "",
        study_uid=options.study or "",
        series_uid=options.series or "",
        limit=options.limit,
    )


def target_of(options: argparse.Namespace) -> Target:
    """Read what is meant.

    :raises UsageError: an empty identifier.
    """
    for level, uids in (
        (Level.PATIENT, options.patient_id),
        (Level.STUDY, options.study),
        (Level.SERIES, options.series),
        (Level.IMAGE, options.instance),
    ):
        if uids:
            if not all(uid.strip() for uid in uids):
                raise UsageError("An empty identifier names nothing; leave it out.")
            return Target(level, tuple(uids))
    raise InternalError("argparse let a command without target pass.")
