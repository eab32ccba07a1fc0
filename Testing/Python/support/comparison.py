"""Whether two data sets say the same, element by element.

Servers re-encode group and sequence lengths when they store, so bytes of files do not compare.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

DATA_SET_TRAILING_PADDING = Tag(0xFFFC, 0xFFFC)


def differences(first: Dataset | Path, second: Dataset | Path) -> list[str]:
    """Compare two data sets and return a line for each difference; an empty list means that they say the same.

    Not compared: file meta information, group lengths, data set trailing padding, how sequences and
    items are delimited, and the padding of values to even length.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd values compare as they are
        return list(_compare(_read(first), _read(second), ""))


def _read(source: Dataset | Path) -> Dataset:
    return source if isinstance(source, Dataset) else pydicom.dcmread(source)


def _compare(first: Dataset, second: Dataset, where: str) -> Iterator[str]:
    ours, theirs = _tags(first), _tags(second)
    for tag in sorted(ours | theirs):
        name = f"{where}{keyword_for_tag(tag) or tag}"
        if tag not in theirs:
            yield f"{name}: only in the first"
        elif tag not in ours:
            yield f"{name}: only in the second"
        else:
            yield from _compare_element(first, second, tag, name)


def _tags(dataset: Dataset) -> set[BaseTag]:
    return {tag for tag in dataset.keys() if tag.element != 0 and tag != DATA_SET_TRAILING_PADDING}  # noqa: SIM118


def _compare_element(first: Dataset, second: Dataset, tag: BaseTag, name: str) -> Iterator[str]:
    if _raw_equal(first.get_item(tag), second.get_item(tag)):
        return
    ours, theirs = first[tag], second[tag]
    if ours.VR == "SQ" and theirs.VR == "SQ":
        yield from _compare_items(ours.value, theirs.value, name)
    elif _plain(ours.value) != _plain(theirs.value):
        yield f"{name}: {_short(ours.value)} is not {_short(theirs.value)}"


def _raw_equal(ours: Any, theirs: Any) -> bool:
    """Tell whether both are still encoded, in the same byte order, and have the same bytes."""
    if not (isinstance(ours, RawDataElement) and isinstance(theirs, RawDataElement)):
        return False
    return ours.is_little_endian == theirs.is_little_endian and (ours.value or b"") == (theirs.value or b"")


def _compare_items(ours: Any, theirs: Any, name: str) -> Iterator[str]:
    if len(ours) != len(theirs):
        yield f"{name}: {len(ours)} items, not {len(theirs)}"
        return
    for number, (item, other) in enumerate(zip(ours, theirs, strict=True)):
        yield from _compare(item, other, f"{name}[{number}].")


def _plain(value: Any) -> Any:
    """Return a value without padding to even length, empty ones all alike."""
    if value is None or (hasattr(value, "__len__") and len(value) == 0):
        return ""
    if isinstance(value, bytes):
        return value.rstrip(b"\0 ")
    if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
        return [_plain(part) for part in value]
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - not a number equals nothing, here it must
        return "NaN"
    return value if isinstance(value, (int, float)) else str(value).rstrip("\0 ")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}… ({len(text)} characters)"
