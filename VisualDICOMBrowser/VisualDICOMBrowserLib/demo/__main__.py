"""Run the demo PACS as a process of its own: ``python -m VisualDICOMBrowserLib.demo [--port N]``.

When ready it prints one line of JSON on standard output: host, port, ae_title, and how many patients,
studies, series and instances it holds. It ends when its standard input ends, hence with its parent,
however that one ends.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from types import FrameType

from . import people
from .pacs import AE_TITLE, HOST, DemoPacs
from .studies import write_studies


def main(arguments: list[str] | None = None) -> int:
    """Serve until standard input ends; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m VisualDICOMBrowserLib.demo", description="A PACS to try things on."
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port on the loopback interface (default: a free one)")
    parser.add_argument(
        "--destination", type=_destination, action="append", default=[], metavar="AET=HOST:PORT",
        help="an AE title that C-MOVE may send to; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--patient", choices=[person.patient_id for person in people.EVERYBODY], action="append", default=[],
        help="hold only the studies of this one, to be ready sooner; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--scratch", type=_empty_folder, metavar="DIR", help="an empty folder for the files; is deleted at the end"
    )
    options = parser.parse_args(arguments)
    _be_quiet()
    scratch = options.scratch or Path(tempfile.mkdtemp(prefix="demo-pacs-"))
    try:
        _serve(scratch, options.port, dict(options.destination), options.patient)
    except OSError as error:
        sys.stderr.write(f"The demo PACS cannot run: {error}.\n")
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


def _empty_folder(text: str) -> Path:
    folder = Path(text)
    if not folder.is_dir() or any(folder.iterdir()):
        raise argparse.ArgumentTypeError(f"{text} is no empty folder")
    return folder


def _serve(folder: Path, port: int, destinations: dict[str, tuple[str, int]], patient_ids: list[str]) -> None:
    """Make the studies, say so, and serve them; leave as soon as standard input ends."""
    ended = threading.Event()
    threading.Thread(target=_watch_standard_input, args=(ended,), daemon=True).start()
    with DemoPacs(folder, port=port, destinations=destinations) as pacs:
        for held in write_studies(folder, patient_ids):
            pacs.index.add(held)
            if ended.is_set():
                return
        ready = {"host": HOST, "port": pacs.port, "ae_title": AE_TITLE, **pacs.index.counts()}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        ended.wait()


def _watch_standard_input(ended: threading.Event) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    ended.set()


def _destination(text: str) -> tuple[str, tuple[str, int]]:
    title, _, address = text.partition("=")
    host, _, port = address.rpartition(":")
    if not title or not host:
        raise argparse.ArgumentTypeError("expected AET=HOST:PORT")
    return title, (host, int(port))


def _be_quiet() -> None:
    """Keep what a client did wrong off the terminal: warnings, and the end of a connection's thread."""
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    threading.excepthook = lambda _: None


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _run() -> int:
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    try:
        return main()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 1


if __name__ == "__main__":
    code = _run()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread of an association that waits for its peer would keep the interpreter from ending.
    os._exit(code)
