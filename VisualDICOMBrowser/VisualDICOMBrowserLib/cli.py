"""The command line.

``--json`` prints exactly one JSON document on standard output; everything else goes to standard error. Exit code
0: done and verified; 1: failed or incomplete; 2: wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from . import __version__
from .cli_text import as_text
from .domain.cancel import CancelToken
from .domain.errors import (
    Cancelled,
    FolderInUse,
    InternalError,
    SchemaMismatch,
    UsageError,
    VisualDicomError,
)
from .domain.filters import DEFAULT_LIMIT, DateRange, QueryFilter
from .domain.model import Level, Target
from .domain.servers import (
    DEFAULT_CALLING_AET,
    DEFAULT_MAX_ASSOCIATIONS,
    DEFAULT_TIMEOUT_S,
    RetrieveMethod,
    Server,
)
from .domain.uids import is_uid
from .domain.views import ElementPage

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2

#: A command returns its exit code and the document it has to show.
_Result = tuple[int, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s: %(message)s")
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        # As a namespace: set as the parser's defaults they would, behind the command, undo what stands before it.
        options = _parser().parse_args(words, argparse.Namespace(database=None, config=None, json=False))
    except SystemExit as stop:  # --help and --version have said all there is to say
        return int(stop.code or 0)
    except UsageError as error:
        return _failed("--json" in words, error)
    try:
        code, document = options.run(options)
    except VisualDicomError as error:
        return _failed(options.json, error)
    except KeyboardInterrupt:
        return _failed(options.json, Cancelled())
    _show(options, document)
    return int(code)


def _failed(as_json: bool, error: VisualDicomError) -> int:
    """Say what went wrong: as a sentence, and with ``--json`` also as a document."""
    _say(f"Error: {error}")
    if as_json:
        print(json.dumps({"error": str(error), "retryable": error.retryable}))  # noqa: T201
    usage = isinstance(error, (UsageError, FolderInUse, SchemaMismatch, _CannotOpen, _NoWindow))
    return EXIT_USAGE if usage else EXIT_FAILED


def _show(options: argparse.Namespace, document: Any) -> None:
    text = json.dumps(document, ensure_ascii=False) if options.json else as_text(options.command, document)
    if options.json and sys.stdout.encoding and sys.stdout.encoding.lower().replace("-", "") != "utf8":
        text = json.dumps(document)  # a console that cannot show every name gets escapes instead
    if text:
        print(text)  # noqa: T201


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


class _NoWindow(VisualDicomError):
    """There is no Qt to open a window with: a matter of installation."""


class _CannotOpen(VisualDicomError):
    """The database folder cannot be used: a matter of configuration."""


# The engine for a command


class _Session:
    """An engine for the length of a command; Ctrl-C raises its token."""

    def __init__(self, options: argparse.Namespace) -> None:
        from .domain.errors import StorageError  # noqa: PLC0415
        from .engine.configuration import default_database_folder  # noqa: PLC0415
        from .engine.engine import Engine  # noqa: PLC0415

        self.token = CancelToken()
        database = options.database or default_database_folder()
        try:
            self.engine = Engine(database, options.config)
        except StorageError as error:
            raise _CannotOpen(f"The database folder {database} cannot be used: {error}") from error

    def __enter__(self) -> _Session:
        self._previous = [(number, signal.signal(number, self._cancel)) for number in (signal.SIGINT, signal.SIGTERM)]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous:
            signal.signal(number, handler)
        self.engine.close()

    def _cancel(self, number: int, frame: FrameType | None) -> None:
        self.token.cancel()


# Commands


def _servers_list(options: argparse.Namespace) -> _Result:
    return EXIT_DONE, {"servers": [server.to_dict() for server in _configuration(options).servers()]}


def _servers_add(options: argparse.Namespace) -> _Result:
    server = Server(
        name=options.name,
        host=options.host,
        port=options.port,
        called_aet=options.called_aet,
        calling_aet=options.calling_aet,
        retrieve=RetrieveMethod(options.retrieve),
        proxy=options.proxy,
        timeout=options.timeout,
        max_associations=options.associations,
    )
    _configuration(options).add(server)
    return EXIT_DONE, {"added": server.to_dict()}


def _servers_remove(options: argparse.Namespace) -> _Result:
    _configuration(options).remove(options.name)
    return EXIT_DONE, {"removed": options.name}


def _configuration(options: argparse.Namespace) -> Any:
    from .engine.configuration import Configuration, default_configuration_file  # noqa: PLC0415

    return Configuration(options.config or default_configuration_file())


def _echo(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        result = session.engine.echo(options.name, token=session.token)
    return (EXIT_DONE if result.ok else EXIT_FAILED), result.to_dict()


def _query(options: argparse.Namespace) -> _Result:
    wanted, level = _filter(options), Level.from_word(options.level)
    with _Session(options) as session:
        result = session.engine.query(wanted, level, options.server, token=session.token)
    for warning in result.warnings:
        _say(f"Warning: {warning}")
    all_failed = result.servers_asked > 0 and result.servers_failed == result.servers_asked
    return (EXIT_FAILED if all_failed else EXIT_DONE), result.to_dict()


def _list(options: argparse.Namespace) -> _Result:
    wanted, level = _filter(options), Level.from_word(options.level)
    with _Session(options) as session:
        result = session.engine.local(wanted, level)
    for warning in result.warnings:
        _say(f"Warning: {warning}")
    return EXIT_DONE, result.to_dict()


def _retrieve(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        unsubscribe = session.engine.subscribe(_Progress("instances"))
        result = session.engine.retrieve(_target(options), options.server, token=session.token)
        unsubscribe()
    for warning in result.warnings:
        _say(f"Warning: {warning}")
    if not result.requested:
        _say("Error: There is nothing to fetch.")
    elif result.verified < result.requested or result.missing:
        _say(f"Error: {result.requested - result.verified} of {result.requested} instances are missing.")
    elif not result.complete:
        _say("Error: All that was found is here, but there may be more.")
    return (EXIT_DONE if result.complete else EXIT_FAILED), result.to_dict()


def _import(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        unsubscribe = session.engine.subscribe(_Progress("files"))
        result = session.engine.import_paths(options.paths, options.link, token=session.token)
        unsubscribe()
    if not result.imported and not result.duplicates:
        _say("Error: None of the files is a DICOM object that could be imported.")
        return EXIT_FAILED, result.to_dict()
    return EXIT_DONE, result.to_dict()


def _remove(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        result = session.engine.remove(_target(options))
    if not result.instances:
        _say("Error: Nothing of that is on this computer.")
    return (EXIT_DONE if result.instances else EXIT_FAILED), result.to_dict()


def _verify(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        result = session.engine.verify(token=session.token)
    return (EXIT_DONE if result.ok else EXIT_FAILED), result.to_dict()


def _thumbnail(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        result = session.engine.thumbnail(options.series, options.server, token=session.token)
    return EXIT_DONE, result.to_dict()


def _metadata(options: argparse.Namespace) -> _Result:
    is_file = Path(options.subject).is_file()
    if not is_file and not is_uid(options.subject):
        raise UsageError("There is no such file, and this is no UID either.")
    document = _file_metadata(options) if is_file else _stored_metadata(options)
    if document["warning"]:
        _say(f"Warning: {document['warning']}")
    return EXIT_DONE, document


def _file_metadata(options: argparse.Namespace) -> dict[str, Any]:
    from .engine.listings import Listings  # noqa: PLC0415
    from .engine.session_folder import SessionFolder  # noqa: PLC0415
    from .imaging.children import Decoder  # noqa: PLC0415

    token, path = CancelToken(), Path(options.subject)
    with Decoder() as decoder, SessionFolder() as folder:
        listings = Listings(decoder, folder)
        return _all_elements(lambda offset: listings.page(path, offset, _PAGE, options.search, token))


def _stored_metadata(options: argparse.Namespace) -> dict[str, Any]:
    with _Session(options) as session:
        sop_uid = session.engine.representative(options.subject)
        found = _all_elements(
            lambda offset: session.engine.elements(sop_uid, offset, _PAGE, options.search, token=session.token)
        )
    return {"sop_uid": sop_uid, **found}


_PAGE = 1000
_ELEMENT = ("depth", "tag", "vr", "name", "length", "value", "parent")


def _all_elements(page: Callable[[int], ElementPage]) -> dict[str, Any]:
    """Collect all pages, the rows as objects."""
    first = page(0)
    rows = list(first.rows)
    while len(rows) < first.total and (more := page(len(rows)).rows):
        rows += more
    elements = [dict(zip(_ELEMENT, row, strict=True)) for row in rows]
    return {"path": first.path, "warning": first.warning, "total": first.total, "elements": elements}


def _demo(options: argparse.Namespace) -> _Result:
    from .demo_run import run_demo  # noqa: PLC0415

    result = run_demo(_say, options.output)
    return (EXIT_DONE if result["verified"] == result["requested"] > 0 else EXIT_FAILED), result


def _gui(options: argparse.Namespace) -> _Result:
    try:
        from .host_desktop.app import main as run_window  # noqa: PLC0415
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != "PySide6":
            raise
        raise _NoWindow(_sentence_without_qt(error)) from error
    return run_window(options.database, options.config, theme_name=options.theme), {}


def _sentence_without_qt(error: ImportError) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "The window needs PySide6. Install it with: pip install 'visual-dicom-browser[desktop]'"
    return f"Qt cannot be loaded, because a library of the system is missing: {error}."


def _bench(options: argparse.Namespace) -> _Result:
    tests = Path(__file__).resolve().parents[2] / "Testing" / "Python"
    if not (tests / "bench").is_dir():
        raise UsageError("The measurements are part of the source code; run them there with: python3 run.py bench.")
    sys.path.insert(0, str(tests))
    return EXIT_DONE, importlib.import_module("bench.run").run_bench(options.case, _say)


class _Progress:
    """Writes the progress of jobs to standard error: one line a terminal can rewrite, nothing into a file."""

    def __init__(self, unit: str) -> None:
        self._unit = unit

    def __call__(self, name: str, subject: str, data: Any) -> None:
        if name == "job" and data["state"] == "waiting":
            _say(data["reason"])
        elif name == "progress" and sys.stderr.isatty():
            total = f" of {data['total']}" if data["total"] else ""
            sys.stderr.write(f"\r{data['done']}{total} {self._unit}, {data['bytes'] / 1e6:.1f} MB\x1b[K\r")
            sys.stderr.flush()


# What was asked for


def _filter(options: argparse.Namespace) -> QueryFilter:
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


def _target(options: argparse.Namespace) -> Target:
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


# The grammar


class _Parser(argparse.ArgumentParser):
    """Raises instead of leaving the program, so that wrong words end like any other wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise UsageError(f"{message[:1].upper()}{message[1:].rstrip('.')}.")


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    # Accepted before and after the command: a default of its own there would undo what was said before.
    for name, help_text in (("--database", "the database folder"), ("--config", "the configuration file")):
        common.add_argument(name, type=Path, default=argparse.SUPPRESS, help=help_text)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    parser = _Parser(prog="visual-dicom-browser", description="Find, fetch and keep DICOM images.", parents=[common])
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], _Result], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(run=run)
        return sub

    _add_demo(command("demo", _demo, "search, fetch and show sample patients of an embedded PACS"))
    _add_gui(command("gui", _gui, "open the window"))
    _add_servers(commands.add_parser("servers", help="configured servers", parents=[common]), common)
    command("echo", _echo, "test whether a server answers").add_argument("name")
    _add_query(command("query", _query, "search servers and this computer"))
    _add_list(command("list", _list, "list what is on this computer"))
    _add_retrieve(command("retrieve", _retrieve, "fetch from servers, and verify"))
    _add_import(command("import", _import, "import files and folders"))
    _add_target(command("remove", _remove, "remove from this computer, never from a server"))
    command("verify", _verify, "check rows against files")
    _add_thumbnail(command("thumbnail", _thumbnail, "make a picture of a series"))
    _add_metadata(command("metadata", _metadata, "show all elements of an instance or a file"))
    _add_bench(command("bench", _bench, "measure, with peers side by side"))
    return parser


def _add_demo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--headless", action="store_true", help="without a window, as it always is so far")
    sub.add_argument(
        "--output", type=Path, default=Path("contact-sheet.png"), help="where the contact sheet goes (%(default)s)"
    )


def _add_gui(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--theme", choices=["light", "dark"], help="instead of the system's own")


def _add_servers(sub: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    verbs = sub.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="show them", parents=[common]).set_defaults(run=_servers_list)
    add = verbs.add_parser("add", help="add one, or replace the one of that name", parents=[common])
    add.set_defaults(run=_servers_add)
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
    add.add_argument("--associations", type=int, default=DEFAULT_MAX_ASSOCIATIONS, help="most at once (%(default)s)")
    remove = verbs.add_parser("remove", help="forget one", parents=[common])
    remove.set_defaults(run=_servers_remove)
    remove.add_argument("name")


def _add_filters(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--patient-id", help="whole, or with * and ?")
    sub.add_argument("--patient-name", help="a part of it, or with * and ?")
    sub.add_argument("--accession")
    sub.add_argument("--study-date", metavar="FROM[-TO]", help="YYYYMMDD")
    sub.add_argument("--modality", action="append", help="may be repeated")
    sub.add_argument("--study-description", help="a part of it, or with * and ?")
    sub.add_argument("--study", metavar="UID")
    sub.add_argument("--series", metavar="UID")
    sub.add_argument("--limit", type=int, default=DEFAULT_LIMIT, help="most matches a server (%(default)s)")


def _add_level(sub: argparse.ArgumentParser, default: Level) -> None:
    choices = [level.name.lower() for level in Level]
    sub.add_argument("--level", choices=choices, default=default.name.lower(), help="how deep (%(default)s)")


def _add_query(sub: argparse.ArgumentParser) -> None:
    _add_filters(sub)
    _add_level(sub, Level.STUDY)
    sub.add_argument("--server", action="extend", nargs="+", metavar="NAME", help="only these servers")


def _add_list(sub: argparse.ArgumentParser) -> None:
    _add_filters(sub)
    _add_level(sub, Level.SERIES)


def _add_target(sub: argparse.ArgumentParser) -> None:
    which = sub.add_mutually_exclusive_group(required=True)
    for name in ("--patient-id", "--study", "--series", "--instance"):
        which.add_argument(name, action="extend", nargs="+", metavar="UID" if name != "--patient-id" else "ID")


def _add_retrieve(sub: argparse.ArgumentParser) -> None:
    _add_target(sub)
    sub.add_argument("--server", metavar="NAME", help="from this server only")


def _add_import(sub: argparse.ArgumentParser) -> None:
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--copy", dest="link", action="store_false", help="copy the files into the folder (default)")
    how.add_argument("--link", dest="link", action="store_true", help="leave the files where they are")
    sub.set_defaults(link=False)
    sub.add_argument("paths", nargs="+", type=Path, metavar="PATH")


def _add_thumbnail(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--series", required=True, metavar="UID")
    sub.add_argument("--server", metavar="NAME", help="where from, if it is not here")


def _add_metadata(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("subject", metavar="UID|FILE", help="a SOP instance or series on this computer, or a file")
    sub.add_argument("--search", default="", metavar="TEXT", help="only where tag, name, keyword or value has it")


def _add_bench(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("case", choices=["get"], help="what to measure")
