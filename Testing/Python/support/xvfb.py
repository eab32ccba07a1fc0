"""An X server without a screen, and real mouse and keyboard events through its extension XTEST.

The events take the way that a user's do: X server, Qt's platform plugin, focus and grabs included. libX11 and libXtst
(Debian: libx11-6, libxtst6) are called directly, so that no further package of Python's is needed.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pytest
from PIL import Image, ImageGrab

from .guardian import guardian
from .peers import require
from .processes import lasting

START_SECONDS = 20.0
STOP_SECONDS = 10.0
LEFT, MIDDLE, RIGHT, WHEEL_UP, WHEEL_DOWN = 1, 2, 3, 4, 5
SHIFT, CONTROL = "Shift_L", "Control_L"
#: X's names of characters that are not letters or digits.
_NAMES = {
    **{" ": "space", "\n": "Return", "\t": "Tab", ".": "period", ",": "comma", "-": "minus", "/": "slash"},
    **{"*": "asterisk", "^": "asciicircum", "_": "underscore", "=": "equal", ":": "colon", "?": "question"},
}
_SHIFTED = set("*^_:?")
_CLIENT_MESSAGE = 33
_IS_VIEWABLE = 2
_BETWEEN_CLICKS_S = 0.03


class Xvfb:
    """A server on a free display. A context manager: started on entry, gone on exit.

    :ivar display: for example ``:7``.
    """

    def __init__(self, width: int = 1280, height: int = 900) -> None:
        self._screen = f"{width}x{height}x24"
        self._process: subprocess.Popen[bytes] | None = None
        self.display = ""

    def __enter__(self) -> Xvfb:
        reading, writing = os.pipe()
        command = [require("Xvfb"), "-displayfd", str(writing), "-screen", "0", self._screen, "-nolisten", "tcp"]
        try:
            self._process = subprocess.Popen(
                [*command, "-noreset"],
                pass_fds=(writing,),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(writing)
        guardian.watch(self._process.pid)
        lasting.add(self._process.pid)  # a fixture may keep it for longer than one test
        with os.fdopen(reading, "rb") as pipe:
            number = pipe.readline().strip()  # end of file if it does not come up
        if not number:
            self.__exit__(None, None, None)
            raise AssertionError("Xvfb did not start.")
        self.display = f":{number.decode()}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_SECONDS)
        guardian.forget(process.pid)
        lasting.discard(process.pid)

    def picture(self) -> Image.Image:
        """Return what is on the screen."""
        return ImageGrab.grab(xdisplay=self.display)

    def environment(self, **more: str) -> dict[str, str]:
        """Give the environment of a program that draws here."""
        kept = {key: value for key, value in os.environ.items() if key not in ("WAYLAND_DISPLAY", "XAUTHORITY")}
        return {**kept, "DISPLAY": self.display, "QT_QPA_PLATFORM": "xcb", "QT_SCALE_FACTOR": "1", **more}


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def _GO_ON(_display: int, _event: int) -> int:
    """Take the place of Xlib's own handler of errors, which ends the process; a window may vanish at any time."""
    return 0


class _Message(ctypes.Structure):
    """XClientMessageEvent of Xlib, made as long as the union XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 24),
    )


class _Attributes(ctypes.Structure):
    """XWindowAttributes of Xlib."""

    _fields_ = (
        ("place", ctypes.c_int * 6),  # with the border's width and the depth
        ("visual_and_root", ctypes.c_void_p * 2),
        ("kind_and_hints", ctypes.c_int * 4),
        ("planes", ctypes.c_ulong * 2),
        ("save_under", ctypes.c_int),
        ("colormap", ctypes.c_ulong),
        ("map_installed", ctypes.c_int),
        ("map_state", ctypes.c_int),
        ("rest", ctypes.c_long * 8),
    )


class Hands:
    """A user's mouse and keyboard on a display."""

    def __init__(self, display: str) -> None:
        self._x11, self._xtst = _library("X11"), _library("Xtst")
        self._x11.XOpenDisplay.restype = ctypes.c_void_p
        self._x11.XStringToKeysym.restype = ctypes.c_ulong
        self._x11.XDefaultRootWindow.restype = ctypes.c_ulong
        self._x11.XInternAtom.restype = ctypes.c_ulong
        self._display = ctypes.c_void_p(self._x11.XOpenDisplay(display.encode()))
        self._x11.XSetErrorHandler(_GO_ON)
        if not self._display:
            raise AssertionError(f"The display {display} cannot be opened.")

    def close(self) -> None:
        """Let go of the display."""
        self._x11.XCloseDisplay(self._display)

    def move(self, x: int, y: int) -> None:
        """Move the mouse to a place on the screen."""
        self._xtst.XTestFakeMotionEvent(self._display, -1, x, y, ctypes.c_ulong(0))
        self._flush()

    def press(self, button: int = LEFT) -> None:
        """Press a button of the mouse."""
        self._button(button, True)

    def release(self, button: int = LEFT) -> None:
        """Release a button of the mouse."""
        self._button(button, False)

    def click(self, x: int, y: int, button: int = LEFT, times: int = 1) -> None:
        """Click somewhere."""
        self.move(x, y)
        for turn in range(times):
            if turn:
                time.sleep(_BETWEEN_CLICKS_S)  # to Qt, two in the same millisecond are not a double click
            self.press(button)
            self.release(button)

    def turn(self, notches: int) -> None:
        """Turn the wheel; positive is away from the user."""
        for _ in range(abs(notches)):
            button = WHEEL_UP if notches > 0 else WHEEL_DOWN
            self.press(button)
            self.release(button)

    def drag(self, start: tuple[int, int], end: tuple[int, int], button: int = LEFT, steps: int = 8) -> None:
        """Press at one place and release at another."""
        self.move(*start)
        self.press(button)
        for step in range(1, steps + 1):
            self.move(*(round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True)))
        self.release(button)

    def key(self, name: str, *modifiers: str) -> None:
        """Press and release a key, by X's name (``Return``, ``Down``, ``q``), while modifiers are held."""
        for modifier in modifiers:
            self._key(modifier, True)
        self._key(name, True)
        self._key(name, False)
        for modifier in reversed(modifiers):
            self._key(modifier, False)

    def type(self, text: str) -> None:
        """Type letters, digits and a few signs, as on an American keyboard."""
        for character in text:
            shifted = character.isupper() or character in _SHIFTED
            self.key(_NAMES.get(character, character.lower()), *([SHIFT] if shifted else []))

    def windows(self, name: str) -> list[int]:
        """Return the shown top-level windows whose title holds ``name``, as X's identifiers, the topmost last."""
        root, parent, number = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_uint()
        found = ctypes.POINTER(ctypes.c_ulong)()
        self._x11.XQueryTree(
            *(self._display, self._root(), ctypes.byref(root), ctypes.byref(parent)),
            *(ctypes.byref(found), ctypes.byref(number)),
        )
        windows = [int(found[at]) for at in range(number.value)]
        if windows:
            self._x11.XFree(found)
        return [window for window in windows if name in self._title(window) and self._is_shown(window)]

    def focus(self, window: int) -> None:
        """Give a window the keyboard, as a window manager does with a new one; there is none here."""
        self._x11.XSetInputFocus(self._display, ctypes.c_ulong(window), 1, ctypes.c_ulong(0))
        self._flush()

    def ask_to_close(self, window: int) -> None:
        """Do what a window manager does when the cross in the title bar is clicked (ICCCM 4.2.8.1)."""
        protocols, delete = self._atom("WM_PROTOCOLS"), self._atom("WM_DELETE_WINDOW")
        message = _Message(_CLIENT_MESSAGE, 0, 1, self._display, window, protocols, 32, (ctypes.c_long * 5)(delete))
        self._x11.XSendEvent(self._display, ctypes.c_ulong(window), False, 0, ctypes.byref(message))
        self._flush()

    def _root(self) -> ctypes.c_ulong:
        return ctypes.c_ulong(self._x11.XDefaultRootWindow(self._display))

    def _atom(self, name: str) -> int:
        return int(self._x11.XInternAtom(self._display, name.encode(), False))

    def _is_shown(self, window: int) -> bool:
        looks = _Attributes()
        self._x11.XGetWindowAttributes(self._display, ctypes.c_ulong(window), ctypes.byref(looks))
        return int(looks.map_state) == _IS_VIEWABLE

    def _title(self, window: int) -> str:
        name = ctypes.c_char_p()
        if not self._x11.XFetchName(self._display, ctypes.c_ulong(window), ctypes.byref(name)):
            return ""
        title = (name.value or b"").decode("utf-8", "replace")
        self._x11.XFree(name)
        return title

    def _button(self, button: int, down: bool) -> None:
        self._xtst.XTestFakeButtonEvent(self._display, button, down, ctypes.c_ulong(0))
        self._flush()

    def _key(self, name: str, down: bool) -> None:
        symbol = self._x11.XStringToKeysym(name.encode())
        code = self._x11.XKeysymToKeycode(self._display, ctypes.c_ulong(symbol))
        if not code:
            raise AssertionError(f"There is no key {name}.")
        self._xtst.XTestFakeKeyEvent(self._display, code, down, ctypes.c_ulong(0))
        self._flush()

    def _flush(self) -> None:
        self._x11.XSync(self._display, False)


@contextmanager
def hands_on(display: str) -> Iterator[Hands]:
    """Put a user's hands on a display."""
    hands = Hands(display)
    try:
        yield hands
    finally:
        hands.close()


def _library(name: str) -> ctypes.CDLL:
    """Load a library; without it the test is skipped, and fails where ``CI=true`` is set."""
    found = ctypes.util.find_library(name)
    if found is None:
        message = f"lib{name} is not installed."
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return ctypes.CDLL(found)


def socket_of(display: str) -> Path:
    """Where the server of a display listens."""
    return Path("/tmp/.X11-unix") / f"X{display.removeprefix(':')}"
