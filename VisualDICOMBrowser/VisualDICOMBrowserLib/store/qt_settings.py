r"""Reads the ini files of Qt's QSettings, without Qt.

A file has sections of lines ``key=value``. In the names of sections and keys, ``\`` stands for the ``/`` between the
parts of a key, ``%41`` and ``%U0041`` for characters; what has no group stands in the section General. Values have
C's escapes, quotation marks around what would be taken for something else, and commas between the items of a list. Qt 6
writes UTF-8, Qt 5 escapes what is not ASCII; bytes that are no UTF-8 count as Latin-1. Values that are not
texts are written as ``@ByteArray(…)``, ``@Variant(…)`` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..domain.errors import BadData, StorageError, UsageError
from .qt_variant import Plain, read_variant

#: More than any program's settings; what is read is held in memory.
MAX_BYTES = 4 * 1024 * 1024
#: More than any single setting that is asked for.
MAX_VALUE_BYTES = 256 * 1024

Value = Plain | dict[str, Plain] | list["Value"]

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb'[\r\n;]|(")|(\\(?:\r\n|\n\r|.|\Z))', re.DOTALL)
_EQUALS = re.compile(rb'=|(")|(\\(?:.|\Z))', re.DOTALL)
_BLANK_OR_COMMENT = re.compile(rb"[ \t\r\n\v\f]+|;[^\r\n]*")
_SPACE = b" \t\r\n\v\f"
_KEY_ESCAPE = re.compile(r"%U([0-9A-Fa-f]{4})|%([0-9A-Fa-f]{2})|(\\)")
_VALUE_PART = re.compile(
    rb'\\(?:x(?P<hex>[0-9A-Fa-f]+)|(?P<octal>[0-7]+)|(?P<end>\r\n|\n\r|\r|\n)|(?P<letter>.)|\Z)|(?P<quote>"[ \t]*)'
    rb'|(?P<comma>,[ \t]*)|(?P<text>[^\\",]+)',
    re.DOTALL,
)
_LETTERS = {b"a": "\a", b"b": "\b", b"f": "\f", b"n": "\n", b"r": "\r", b"t": "\t", b"v": "\v"}
_VERBATIM = (b'"', b"?", b"'", b"\\")


class QtSettings:
    """The settings of one file.

    :raises UsageError: there is no such file.
    :raises StorageError: it cannot be read.
    :raises BadData: it is too big, or no file of settings.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise UsageError(f"There is no file {path}.") from error
        except OSError as error:
            raise StorageError(f"The file {path} cannot be read: {error.strerror}.") from error
        if len(raw) > MAX_BYTES:
            raise BadData(f"The file {path} is too big for a file of settings.")
        self._raw = dict(_lines(raw.removeprefix(_BOM)))
        if raw.strip(_SPACE) and not self._raw:
            raise BadData(f"The file {path} is no file of settings.")

    def value(self, key: str) -> Value:
        """Return a value by its whole key, as in ``DICOM/ServerNodes/0``; None if there is none.

        :raises BadData: it is too long, or of a type that is not known here.
        """
        raw = self._raw.get(key)
        if raw is not None and len(raw) > MAX_VALUE_BYTES:
            raise BadData("A setting is too long.")
        return None if raw is None else _value(raw)


def _lines(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Give the whole key of each setting, and its value as it is written."""
    group, at = "", _begin(raw, 0)
    while at < len(raw):
        end = _find(_LINE_END, raw, at)
        line = raw[at:end]
        at = _begin(raw, end)
        if line.startswith(b"["):
            group = _group(line[1:].partition(b"]")[0].strip(_SPACE))
            continue
        equals = _find(_EQUALS, line, 0)
        if equals < len(line):
            yield group + _name(line[:equals].strip(_SPACE)), line[equals + 1 :]


def _begin(raw: bytes, at: int) -> int:
    """Return where the next line begins, behind blanks and comments."""
    while (between := _BLANK_OR_COMMENT.match(raw, at)) is not None:
        at = between.end()
    return at


def _find(mark: re.Pattern[bytes], raw: bytes, at: int) -> int:
    """Return where a mark is that does not stand behind a backslash or within quotation marks; else the end."""
    inside = False
    for found in mark.finditer(raw, at):
        if found[1]:
            inside = not inside
        elif not (inside or found[2]):
            return found.start()
    return len(raw)


def _group(written: bytes) -> str:
    if written.lower() == b"general":
        return ""
    name = _decoded(written[1:]) if written.lower() == b"%general" else _name(written)
    return f"{name}/"


def _name(written: bytes) -> str:
    def character(found: re.Match[str]) -> str:
        return "/" if found[3] else chr(int(found[1] or found[2], 16))

    return _joined(_KEY_ESCAPE.sub(character, _decoded(written)))


def _value(written: bytes) -> Value:
    items = _items(written.lstrip(b" \t"))
    return _typed(items[0]) if len(items) == 1 else [_typed(item) for item in items]


def _items(written: bytes) -> list[str]:
    """Return the items of a list, or the only text there is."""
    items, item, inside = [], _Item(), False
    at = 0
    while (part := _VALUE_PART.match(written, at)) is not None and at < len(written):
        at = part.end()
        if part["quote"]:
            inside = not inside
            item.quoted = True
            at = part.start() + 1 if inside else at  # the blanks behind an opening one belong to the text
        elif part["comma"] and inside:
            item.add(",")
            at = part.start() + 1
        elif part["comma"]:
            items.append(item.text())
            item = _Item()
        elif part["text"]:
            item.add(_decoded(part["text"]))
        else:
            item.add_escaped(_escaped(part))
    return [*items, item.text()]


class _Item:
    """A text as its parts are read. Blanks at its end do not count, unless they are escaped or it is quoted."""

    def __init__(self) -> None:
        self.quoted = False
        self._kept: list[str] = []
        self._last: list[str] = []

    def add(self, text: str) -> None:
        self._last.append(text)

    def add_escaped(self, text: str) -> None:
        self._kept += [*self._last, text]
        self._last = []

    def text(self) -> str:
        last = "".join(self._last)
        return _joined("".join(self._kept) + (last if self.quoted else last.rstrip(" \t")))


def _escaped(part: re.Match[bytes]) -> str:
    if part["hex"]:
        return chr(int(part["hex"], 16) & 0xFFFF)
    if part["octal"]:
        return chr(int(part["octal"], 8) & 0xFFFF)
    letter = part["letter"]
    if letter in _VERBATIM:
        return str(letter, "ascii")
    return _LETTERS.get(letter, "")


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _joined(text: str) -> str:
    """Make one character of the two halves of those that UTF-16 has in two."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _typed(text: str) -> Value:
    """Return what a text stands for."""
    if text.startswith("@@"):
        return text[1:]
    found = _TYPED.fullmatch(text)
    return text if found is None else _READERS[found[1]](found[2])


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise BadData("A setting has bytes that are none.") from error


def _refuse(_: str) -> Value:
    raise BadData("A setting has a value of a type that is not known here.")


_READERS: Mapping[str, Callable[[str], Value]] = {
    "ByteArray": _bytes,
    "String": str,
    "Variant": lambda text: read_variant(_bytes(text)),
    "Invalid": lambda _: None,
    **dict.fromkeys(("DateTime", "Rect", "Size", "Point"), _refuse),
}
_TYPED = re.compile(f"@({'|'.join(_READERS)})\\((.*)\\)", re.DOTALL)
