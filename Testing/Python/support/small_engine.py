"""A small engine of the tests' own, run as a script behind the real engine's process host.

Its first argument is the parent's process id (0: whoever started it); further words make it misbehave.
"""

from __future__ import annotations

ENGINE = """
import ctypes, itertools, logging, os, sys, threading, time
from VisualDICOMBrowserLib.domain.errors import BadData, FolderInUse, OperationRefused
from VisualDICOMBrowserLib.engine.__main__ import leave
from VisualDICOMBrowserLib.engine.host import claim_stdio, run_host
from VisualDICOMBrowserLib.engine.methods import Method, number, text

class Engine:
    def __init__(self, opening):
        if "in use" in sys.argv: raise FolderInUse("Another engine holds the folder.")
        if "buggy" in sys.argv: raise RuntimeError("DOE^JANE")
        if "slow start" in sys.argv: time.sleep(60)
        if "long opening" in sys.argv:
            for done in itertools.count():
                opening(done, 1000)
                time.sleep(0.05)
        self.callback = None
    def subscribe(self, callback):
        self.callback = callback
        return lambda: None
    def close(self):
        if "hangs" in sys.argv: threading.Event().wait()
        if "hangs with the lock" in sys.argv: ctypes.PyDLL(None).sleep(60)
    def add(self, a, b): return a + b
    def refuse(self, status): raise OperationRefused("No.", status, retryable=True)
    def damaged(self): raise BadData("Damaged.")
    def bug(self): raise ValueError("DOE^JANE")
    def huge(self): return "x" * 17_000_000
    def strange(self): return object()
    def sleep(self, token):
        token.wait(60)
        token.check()
    def progress(self, count):
        for done in range(count): self.callback("progress", "job 1", {"done": done + 1})
        return time.monotonic()
    def flood(self, count, size):
        for number in range(count): self.callback("changed", f"series {number}", "x" * size)
        print("flooded", flush=True)
        return "done"
    def print(self):
        print("native noise")
        os.write(1, b"\\x00noise\\n")
        return "quiet"
    def crash(self):
        print("last words", flush=True)
        os._exit(7)

METHODS = {name: Method(name) for name in ("damaged", "bug", "huge", "strange", "print", "crash")}
METHODS["add"] = Method("add", {"a": number, "b": number})
METHODS["refuse"] = Method("refuse", {"status": number})
METHODS["sleep"] = Method("sleep", cancellable=True)
METHODS["progress"] = Method("progress", {"count": number})
METHODS["flood"] = Method("flood", {"count": number, "size": number})

def main():
    stdin_fd, stdout_fd = claim_stdio()
    parent = int(sys.argv[1]) or os.getppid()
    return run_host(Engine, stdin_fd, stdout_fd, parent, database="a folder", methods=METHODS)

if __name__ == "__main__":
    leave(main())
"""
