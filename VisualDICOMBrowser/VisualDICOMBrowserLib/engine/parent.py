"""Notices the end of another process, so that the engine never outlives its window."""

from __future__ import annotations

import os
import sys
import time

_POLL_S = 0.5


def wait_for_exit(pid: int) -> None:
    """Block until the process ``pid`` is gone, or has ended and waits to be reaped."""
    if sys.platform == "win32":
        _wait_for_handle(pid)
    elif sys.platform == "linux":
        _wait_for_pidfd(pid)
    else:
        _poll(pid)


if sys.platform == "linux":

    def _wait_for_pidfd(pid: int) -> None:
        import select  # noqa: PLC0415  has no poll() on Windows

        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError:  # an old kernel, or a container that forbids the call
            _poll(pid)
            return
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll()
        finally:
            os.close(descriptor)


if sys.platform == "win32":

    def _wait_for_handle(pid: int) -> None:
        import ctypes  # noqa: PLC0415

        synchronize, infinite, invalid_parameter = 0x0010_0000, 0xFFFF_FFFF, 87
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(synchronize, False, pid)
        if handle:
            kernel.WaitForSingleObject(ctypes.c_void_p(handle), infinite)
            kernel.CloseHandle(ctypes.c_void_p(handle))
        elif ctypes.get_last_error() != invalid_parameter:
            _wait_forever()  # it is there and not ours to watch: the end of standard input must do

    def _has_handle(pid: int) -> bool:
        import ctypes  # noqa: PLC0415

        synchronize, wait_timeout, invalid_parameter = 0x0010_0000, 0x102, 87
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(synchronize, False, pid)
        if not handle:
            return bool(ctypes.get_last_error() != invalid_parameter)
        state = kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0)
        kernel.CloseHandle(ctypes.c_void_p(handle))
        return bool(state == wait_timeout)

    def _wait_forever() -> None:
        while True:
            time.sleep(3600)


def is_running(pid: int) -> bool:
    """Tell whether there is a process ``pid``; one that cannot be looked at counts as running."""
    if sys.platform == "win32":
        return _has_handle(pid)
    return _exists(pid)


def _poll(pid: int) -> None:
    """Look twice a second. A child sees the end of its parent even if nobody reaps it."""
    is_child = os.getppid() == pid
    while (os.getppid() == pid) if is_child else _exists(pid):
        time.sleep(_POLL_S)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
