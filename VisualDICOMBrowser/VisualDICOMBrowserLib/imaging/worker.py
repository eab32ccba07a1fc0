"""The process that makes pictures, so that a file that breaks a decoder breaks nothing else.

``python -m VisualDICOMBrowserLib.imaging.worker`` says ``{"ready": pid}`` and then answers requests, one JSON
object a line, on standard output::

    {"id": 1, "source": "/a.dcm", "destination": "/a.png", "modality": "CT", "size": 256}
    {"id": 1, "placeholder": false, "reason": "", "width": 256, "height": 256}
    {"id": 1, "error": "The picture cannot be written: No space left on device."}

With a ``kind`` it does other things than thumbnails: ``"frame"`` writes one frame (``"frame"``, from 0) as raw
pixels, see :class:`.View`, ``"elements"`` lists all elements, see :func:`.write_listing`, ``"convert"`` writes the data
set in another transfer syntax (``"syntax"``), see :func:`.convert`, and ``"compare"`` names the elements in which the
two files differ, see :func:`.differing_elements`; it writes nothing. What a file is to blame for is then the answer
``{"id": 1, "damaged": "The file ends before the picture does."}``.

It ends when standard input does, even in the middle of a picture: whoever asked is gone then.
"""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from ..domain.errors import BadData, LocalError
from .codecs import preload
from .comparison import differing_elements
from .convert import convert
from .listings import write_listing
from .placeholder import DAMAGED, THUMBNAIL_SIZE, draw_placeholder
from .thumbnail import render_thumbnail
from .views import FrameViewer

#: Address space of a worker, in bytes, where the system can limit it.
MEMORY_LIMIT = 3 << 30
OUT_OF_MEMORY = "The file could not be read: it needs too much memory."

_viewer = FrameViewer()


def main() -> int:
    """Serve until standard input ends."""
    logging.disable(logging.CRITICAL)  # parsers quote values of patients in what they log
    answers = _private_stdout()
    limit_resources()
    preload()
    _say(answers, {"ready": os.getpid()})
    for request in _requests():
        _say(answers, answer(request))
    return 0


def _private_stdout() -> BinaryIO:
    """Return a copy of descriptor 1 and point 1 at nothing: native decoders print."""
    kept = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
    return kept


def limit_resources(memory: int = MEMORY_LIMIT) -> None:
    """Limit the address space to ``memory`` bytes and write no core files, where the system knows such limits."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  there is no such module on Windows

    for kind, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        try:
            resource.setrlimit(kind, (allowed, allowed))
        except (ValueError, OSError) as error:  # macOS refuses limits below what is mapped already
            logging.getLogger(__name__).debug("no limit %s: %s", kind, error)


def _requests() -> Iterator[dict[str, Any]]:
    """Yield requests. A thread reads them, so that the end of input ends a decoder that hangs, too."""
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while True:
        yield json.loads(lines.get())


def _read(lines: queue.Queue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Make what was asked for and return the answer."""
    try:
        return {"id": request["id"], **_KINDS[request.get("kind", "thumbnail")](request)}
    except LocalError as error:
        return {"id": request["id"], "error": str(error)}
    except BadData as error:
        return {"id": request["id"], "damaged": str(error)}
    except MemoryError:
        return {"id": request["id"], "damaged": OUT_OF_MEMORY}


def _render(request: dict[str, Any]) -> dict[str, Any]:
    destination, modality = Path(request["destination"]), request.get("modality", "")
    size = request.get("size", THUMBNAIL_SIZE)
    try:
        outcome = render_thumbnail(Path(request["source"]), destination, size=size, modality=modality)
    except MemoryError:
        outcome = draw_placeholder(modality, destination, DAMAGED, reason=OUT_OF_MEMORY, size=size)
    return asdict(outcome)


def _frame(request: dict[str, Any]) -> dict[str, Any]:
    return asdict(_viewer.write(Path(request["source"]), request["frame"], Path(request["destination"])))


def _elements(request: dict[str, Any]) -> dict[str, Any]:
    return write_listing(Path(request["source"]), Path(request["destination"]))


def _convert(request: dict[str, Any]) -> dict[str, Any]:
    return {"size": convert(Path(request["source"]), Path(request["destination"]), str(request["syntax"]))}


def _compare(request: dict[str, Any]) -> dict[str, Any]:
    seconds = request.get("seconds", math.inf)
    return {"tags": differing_elements(Path(request["source"]), Path(request["destination"]), seconds)}


_KINDS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "thumbnail": _render,
    "frame": _frame,
    "elements": _elements,
    "convert": _convert,
    "compare": _compare,
}


def _say(stream: BinaryIO, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message).encode("ascii") + b"\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
