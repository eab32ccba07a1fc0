"""``python -m VisualDICOMBrowserLib.engine --database DIR``: the engine process.

It speaks the protocol of :mod:`.messages` on standard input and output, and ends with its parent. Exit code 0:
the client left; 1: the engine could not start, or the two did not understand each other.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .host import claim_stdio, run_host
from .service import HostedEngine


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the engine process on the given command line, and return its exit code."""
    options = _parse(arguments)
    stdin_fd, stdout_fd = claim_stdio(options.log)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )

    def make_engine(opening: Callable[[int, int], None]) -> HostedEngine:
        from .engine import Engine  # noqa: PLC0415  only once the watch over the parent has begun

        engine: HostedEngine = Engine(
            options.database, options.config, rows_by_host=options.rows_by_host, listen=True, opening=opening
        )
        return engine

    return run_host(make_engine, stdin_fd, stdout_fd, options.parent_pid, database=str(options.database))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="VisualDICOMBrowserLib.engine", description="The engine process.")
    parser.add_argument("--database", type=Path, required=True, help="the database folder")
    parser.add_argument("--config", type=Path, help="the configuration file")
    parser.add_argument("--rows-by-host", action="store_true", help="the client keeps the rows of the database")
    parser.add_argument("--log", type=Path, help="where messages go instead of standard error")
    parser.add_argument("--parent-pid", type=int, default=os.getppid(), help="end when this process does")
    return parser.parse_args(arguments)


def leave(code: int) -> None:
    """End the process now: threads that hang, or C libraries' exit handlers, get no chance to keep it."""
    logging.shutdown()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
