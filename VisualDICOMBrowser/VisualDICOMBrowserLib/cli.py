"""The command line.

``--json`` prints exactly one JSON document on standard output; everything else goes to standard error. Exit code
0: done and verified; 1: failed or incomplete; 2: wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from . import __version__, cli_jobs
from . import cli_grammar as grammar
from .cli_grammar import Parser, common_options, filter_of, listener_of, target_of
from .cli_text import as_text, printable
from .domain.cancel import CancelToken
from .domain.errors import (
    Cancelled,
    FolderInUse,
    PackageMissing,
    SchemaMismatch,
    UsageError,
    VisualDicomError,
)
from .domain.listener import ListenerSettings
from .domain.model import Level
from .domain.servers import RetrieveMethod, Server
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
    usage = isinstance(error, (UsageError, FolderInUse, SchemaMismatch, PackageMissing, _CannotOpen, _NoWindow))
    return EXIT_USAGE if usage else EXIT_FAILED


def _show(options: argparse.Namespace, document: Any) -> None:
    text = json.dumps(document, ensure_ascii=False) if options.json else printable(as_text(options.command, document))
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # not every console, file or pipe takes every name
        text = json.dumps(document) if options.json else text.encode(encoding, "backslashreplace").decode(encoding)
    if text:
        print(text)  # noqa: T201


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)  # noqa: T201


class _NoWindow(VisualDicomError):
    """There is no Qt to open a window with: a matter of installation."""


class _CannotOpen(VisualDicomError):
    """The database folder cannot be used: a matter of configuration."""


# The engine for a command


class _Session:
    """An engine for the length of a command; Ctrl-C raises its token."""

    def __init__(self, options: argparse.Namespace, **more: Any) -> None:
        from .domain.errors import StorageError  # noqa: PLC0415
        from .engine.configuration import default_database_folder  # noqa: PLC0415
        from .engine.engine import Engine  # noqa: PLC0415

        self.token = CancelToken()
        database = options.database or default_database_folder()
        try:
            self.engine = Engine(database, options.config, opening=_tell_opening, **more)
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
        fetch_ahead=options.fetch_ahead,
        tls=grammar.tls_of(options),
    )
    _configuration(options).add(server)
    return EXIT_DONE, {"added": server.to_dict()}


def _servers_remove(options: argparse.Namespace) -> _Result:
    _configuration(options).remove(options.name)
    return EXIT_DONE, {"removed": options.name}


def _servers_import_slicer(options: argparse.Namespace) -> _Result:
    from .store.slicer_ini import servers_in, slicer_settings_file  # noqa: PLC0415

    file = options.file or slicer_settings_file()
    if file is None:
        raise UsageError("There is no Slicer.ini at the usual places; say where it is with: --file.")
    _say(f"Reading {file}")
    found = servers_in(file, unchecked=options.all)
    document = _configuration(options).import_servers(found.servers).to_dict()
    unusable = [{"name": failure.subject, "reason": failure.reason} for failure in found.unusable]
    failed = unusable + document["skipped"]
    unchecked = [{"name": name, "reason": "It is not checked in Slicer; --all imports it."} for name in found.unchecked]
    if failed:
        _say(f"Error: {len(failed)} of Slicer's servers cannot be imported.")
    return (EXIT_FAILED if failed else EXIT_DONE), {**document, "skipped": failed + unchecked}


def _configuration(options: argparse.Namespace) -> Any:
    from .engine.configuration import Configuration, default_configuration_file  # noqa: PLC0415

    return Configuration(options.config or default_configuration_file())


def _echo(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        result = session.engine.echo(options.name, token=session.token)
    return (EXIT_DONE if result.ok else EXIT_FAILED), result.to_dict()


def _query(options: argparse.Namespace) -> _Result:
    wanted, level = filter_of(options), Level.from_word(options.level)
    with _Session(options) as session:
        result = session.engine.query(wanted, level, options.server, token=session.token)
    for warning in result.warnings:
        _say(f"Warning: {warning}")
    all_failed = result.servers_asked > 0 and result.servers_failed == result.servers_asked
    return (EXIT_FAILED if all_failed else EXIT_DONE), result.to_dict()


def _list(options: argparse.Namespace) -> _Result:
    wanted, level = filter_of(options), Level.from_word(options.level)
    with _Session(options) as session:
        result = session.engine.local(wanted, level)
    for warning in result.warnings:
        _say(f"Warning: {warning}")
    return EXIT_DONE, result.to_dict()


def _retrieve(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        unsubscribe = session.engine.subscribe(_Progress("instances"))
        result = session.engine.retrieve(target_of(options), options.server, force=options.force, token=session.token)
        unsubscribe()
    for warning in result.warnings:
        _say(f"Warning: {warning}")
    if not result.requested:
        _say(f"Error: {_nothing_to_fetch(result)}")
    elif result.verified < result.requested or result.missing:
        what = "were not fetched again" if options.force else "are missing"
        _say(f"Error: {result.requested - result.verified} of {result.requested} instances {what}.")
    elif not result.complete:
        _say("Error: All that was found is here, but there may be more.")
    done = _told_of_conflicts(result) and result.complete
    return (EXIT_DONE if done else EXIT_FAILED), result.to_dict()


def _nothing_to_fetch(result: Any) -> str:
    if not result.asked:
        return "Nothing was fetched, for no server could be asked."
    return "Nothing was found on the servers that could be asked." if result.unasked else "There is nothing to fetch."


def _told_of_conflicts(result: Any) -> bool:
    """Tell of instances that came with other content than they have here; True if there are none."""
    if result.conflicts:
        _say(f"Error: {len(result.conflicts)} instances are here with other content, which was kept.")
    return not result.conflicts


def _import(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        unsubscribe = session.engine.subscribe(_Progress("files"))
        result = session.engine.import_paths(options.paths, options.link, options.replace, token=session.token)
        unsubscribe()
    if result.not_kept:
        _say(f"Error: {result.shortfall} The same command takes in the rest.")
    elif not result.any_dicom:
        _say("Error: None of the files is a DICOM object that could be imported.")
    done = _told_of_conflicts(result) and result.any_dicom and not result.not_kept
    return (EXIT_DONE if done else EXIT_FAILED), result.to_dict()


def _export(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        unsubscribe = session.engine.subscribe(_Progress("files"))
        result = session.engine.export(target_of(options), options.folder.absolute(), token=session.token)
        unsubscribe()
    if result.failed:
        _say(f"Error: {len(result.failed)} files could not be exported.")
    return (EXIT_FAILED if result.failed else EXIT_DONE), result.to_dict()


def _send(options: argparse.Namespace) -> _Result:
    named = any((options.patient_id, options.study, options.series, options.instance))
    if named == bool(options.paths):
        raise UsageError("Say what to send: patients, studies, series or instances by their identifiers, or files.")
    with _Session(options) as session:
        unsubscribe = session.engine.subscribe(_Progress("instances"))
        verify, token = options.verify, session.token
        if named:
            result = session.engine.send(target_of(options), options.to, verify=verify, token=token)
        else:
            result = session.engine.send_files(options.paths, options.to, verify=verify, token=token)
        unsubscribe()
    for warning in result.warnings:
        _say(f"Warning: {warning}")
    if not result.requested:
        _say("Error: There is no instance that could be sent.")
    elif result.sent < result.requested:
        _say(f"Error: {result.requested - result.sent} of {result.requested} instances were not sent.")
    elif not result.complete:
        _say("Error: All instances were sent, but not all is well; see what failed.")
    return (EXIT_DONE if result.complete else EXIT_FAILED), result.to_dict()


def _remove(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        result = session.engine.remove(target_of(options))
    if not result.instances:
        _say("Error: Nothing of that is on this computer.")
    return (EXIT_DONE if result.instances else EXIT_FAILED), result.to_dict()


def _verify(options: argparse.Namespace) -> _Result:
    with _Session(options, rebuild=options.rebuild) as session:
        result, rebuilt = session.engine.verify(token=session.token), session.engine.rebuilt
    if rebuilt is None:
        return (EXIT_DONE if result.ok else EXIT_FAILED), result.to_dict()
    for one in rebuilt.aside:
        _say(
            f"{one.name} was made anew: {one.how}. What is left of it is in {one.kept_as}, until something is removed."
        )
    return (EXIT_DONE if result.ok else EXIT_FAILED), {**result.to_dict(), "rebuilt": rebuilt.to_dict()}


def _listen(options: argparse.Namespace) -> _Result:
    settings = listener_of(options, _configuration(options).listener())
    with _Session(options) as session:
        unsubscribe = session.engine.subscribe(_tell_of_call)

        def ready(listener: Any) -> None:
            if options.save:
                session.engine.configuration.set_listener(settings)
            how = ", secured by TLS" if listener.secured else ""
            _say(f"{listener.aet} listens at {listener.address}, port {listener.port}{how}. Ctrl-C ends it.")
            for hint in _hints(settings, session.engine.servers()):
                _say(f"Note: {hint}")

        result = session.engine.listen(settings, token=session.token, ready=ready)
        unsubscribe()
    if result.failed:
        _say(f"Error: {result.failed} instances came and could not be kept.")
    return (EXIT_FAILED if result.failed else EXIT_DONE), result.to_dict()


def _hints(settings: ListenerSettings, servers: Sequence[Server]) -> Iterator[str]:
    if settings.is_local:
        yield "Only this computer can call; --bind 0.0.0.0 lets others."
    if not settings.allowed and not servers:
        yield "Nobody is allowed to call; --allow AET@HOST names who is."
    if not settings.unsolicited:
        yield "Images that nobody asked for are refused; --unsolicited takes them."


def _tell_of_call(name: str, subject: str, data: Any) -> None:
    if name != "association" or not data["over"]:
        return
    words = [f"{data['stored']} stored of {data['studies']} studies, {data['bytes'] / 1e6:.1f} MB"]
    words += [f"{data[key]} {word}" for key, word in _COUNTS.items() if data[key]]
    words += [f"{data['conflicting']} here with other content"] if data["conflicting"] else []
    end = f" It broke off: {data['reason']}" if data["reason"] else ""
    _say(f"{data['aet']} at {data['address']}: {', '.join(words)}.{end}")


_COUNTS = {"duplicates": "here already", "refused": "refused", "failed": "failed"}


def _jobs_list(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        return _ended(cli_jobs.list_jobs(session.engine, options, _say))


def _jobs_retry(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        session.engine.subscribe(_Progress("items"))
        return _ended(cli_jobs.retry_jobs(session.engine, options, _say, session.token))


def _jobs_cancel(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        return _ended(cli_jobs.cancel_jobs(session.engine, options))


def _jobs_clear(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        return _ended(cli_jobs.clear_jobs(session.engine, _say))


def _jobs_log(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        return _ended(cli_jobs.job_log(session.engine, options))


def _ended(result: tuple[bool, Any]) -> _Result:
    return (EXIT_DONE if result[0] else EXIT_FAILED), result[1]


def _thumbnail(options: argparse.Namespace) -> _Result:
    with _Session(options) as session:
        result = session.engine.thumbnail(options.uid or options.series, options.server, token=session.token)
    if options.output is None:
        return EXIT_DONE, result.to_dict()
    try:
        shutil.copyfile(result.path, options.output)
    except OSError as error:
        raise UsageError(f"The picture cannot be written to {options.output}: {error.strerror}.") from error
    return EXIT_DONE, {**result.to_dict(), "path": str(options.output.absolute())}


def _metadata(options: argparse.Namespace) -> _Result:
    is_file = os.path.isfile(options.subject)  # noqa: PTH113  Path.is_file() raises where it may not look
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
    with _tidied_up_when_terminated():
        if not options.headless:
            with _needing_qt():
                from .host_desktop.demo_window import run_demo_window  # noqa: PLC0415
            return run_demo_window(_say, options.theme), {}
        from .demo_run import run_demo  # noqa: PLC0415

        result = run_demo(_say, options.output)
        return (EXIT_DONE if result["verified"] == result["requested"] > 0 else EXIT_FAILED), result


@contextmanager
def _tidied_up_when_terminated() -> Iterator[None]:
    """Make SIGTERM leave through all that tidies up; otherwise it ends the process where it stands."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _gui(options: argparse.Namespace) -> _Result:
    with _needing_qt():
        from .host_desktop.app import main as run_window  # noqa: PLC0415
    return run_window(options.database, options.config, theme_name=options.theme), {}


@contextmanager
def _needing_qt() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != "PySide6":
            raise
        raise _NoWindow(_sentence_without_qt(error)) from error


def _sentence_without_qt(error: ImportError) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "The window needs PySide6. Install it with: pip install 'visual-dicom-browser[desktop]'"
    return f"Qt cannot be loaded, because a library of the system is missing: {error}."


def _bench(options: argparse.Namespace) -> _Result:
    return EXIT_DONE, _beside_the_tests("bench.run").run_bench(options.case, _say)


def _screenshots(options: argparse.Namespace) -> _Result:
    with _needing_qt():
        made = _beside_the_tests("bench.screenshots").make(options.folder, _say)
    return EXIT_DONE, {"made": [str(path) for path in made]}


def _beside_the_tests(module: str) -> Any:
    """Import what is part of the source code, and not of the package."""
    tests = Path(__file__).resolve().parents[2] / "Testing" / "Python"
    if not (tests / "bench").is_dir():
        raise UsageError("This is part of the source code; run it there with: python3 run.py.")
    sys.path.insert(0, str(tests))
    return importlib.import_module(module)


def _tell_opening(done: int, total: int) -> None:
    """Say how far reading a large folder is, like :class:`_Progress`."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\rReading what is here: {done} of {total or '?'} studies\x1b[K\r")
        sys.stderr.flush()


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


# The grammar


def _parser() -> Parser:
    common = common_options()
    parser = Parser(prog="visual-dicom-browser", description="Find, fetch and keep DICOM images.", parents=[common])
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], _Result], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, parents=[common])
        sub.set_defaults(run=run)
        return sub

    grammar.add_demo(command("demo", _demo, "search, fetch and show sample patients of an embedded PACS"))
    grammar.add_gui(command("gui", _gui, "open the window"))
    _add_servers(commands.add_parser("servers", help="configured servers", parents=[common]), common)
    command("echo", _echo, "test whether a server answers").add_argument("name")
    grammar.add_query(command("query", _query, "search servers and this computer"))
    grammar.add_list(command("list", _list, "list what is on this computer"))
    grammar.add_retrieve(command("retrieve", _retrieve, "fetch from servers, and verify"))
    grammar.add_listen(command("listen", _listen, "receive what others send, until interrupted"))
    grammar.add_import(command("import", _import, "import files and folders"))
    grammar.add_export(command("export", _export, "copy what is here into a folder for others"))
    grammar.add_send(command("send", _send, "send to a server"))
    grammar.add_target(command("remove", _remove, "remove from this computer, never from a server"))
    _add_jobs(commands.add_parser("jobs", help="what is queued, and what could not be done", parents=[common]), common)
    grammar.add_verify(command("verify", _verify, "check rows against files"))
    grammar.add_thumbnail(command("thumbnail", _thumbnail, "make a picture of a series"))
    grammar.add_metadata(command("metadata", _metadata, "show all elements of an instance or a file"))
    grammar.add_screenshots(command("screenshots", _screenshots, "make the pictures of the README"))
    grammar.add_bench(command("bench", _bench, "measure, with peers side by side"))
    return parser


def _add_jobs(sub: argparse.ArgumentParser, common: Parser) -> None:
    verbs = sub.add_subparsers(dest="verb", required=True)
    for name, run, text in (
        ("list", _jobs_list, "show what is unfinished, failed or incomplete"),
        ("retry", _jobs_retry, "do now what is missing, and wait for it"),
        ("cancel", _jobs_cancel, "give up what is unfinished"),
        ("clear", _jobs_clear, "forget what has ended"),
        ("log", _jobs_log, "show what happened to one"),
    ):
        verb = verbs.add_parser(name, help=text, description=text, parents=[common])
        verb.set_defaults(run=run)
        grammar.add_jobs(verb, name)


def _add_servers(sub: argparse.ArgumentParser, common: Parser) -> None:
    verbs = sub.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="show them", parents=[common]).set_defaults(run=_servers_list)
    add = verbs.add_parser("add", help="add one, or replace the one of that name", parents=[common])
    add.set_defaults(run=_servers_add)
    grammar.add_server(add)
    text = "take over the servers that are checked in 3D Slicer's settings; nothing configured is changed"
    slicer = verbs.add_parser("import-slicer", help=text, description=text, parents=[common])
    slicer.set_defaults(run=_servers_import_slicer)
    grammar.add_import_slicer(slicer)
    remove = verbs.add_parser("remove", help="forget one", parents=[common])
    remove.set_defaults(run=_servers_remove)
    remove.add_argument("name")
