from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut

from VisualDICOMBrowserLib.domain.errors import BadData
from VisualDICOMBrowserLib.imaging.luts import LookupTable, expand_segments, palette_tables, sequence_table
from VisualDICOMBrowserLib.imaging.pixels import read_frame
from VisualDICOMBrowserLib.imaging.window import modality_values


def test_values_outside_of_the_table_get_its_ends():
    table = LookupTable(-2, np.array([5, 6, 7], np.uint16))
    values = np.array([-(2**31), -3, -2, -1, 0, 1, 2**31 - 1], np.int32)
    assert table.apply(values).tolist() == [5, 5, 5, 6, 7, 7, 7]


def test_a_modality_table_gives_what_pydicom_gives(sample):
    dataset = pydicom.dcmread(sample("mlut_18.dcm"))
    expected = apply_modality_lut(dataset.pixel_array, dataset)
    np.testing.assert_array_equal(modality_values(read_frame(sample("mlut_18.dcm"))), expected)


def test_segments_expand_as_the_standard_says():
    # discrete 3 values; linear to 6 in 3 steps; both again
    words = [0, 3, 1, 2, 3, 1, 3, 6, 2, 2, 0, 0]
    assert expand_segments(words, 100, wide=True) == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]


def test_an_indirect_segment_counts_in_bytes():
    # the last one points at the linear segment: word 4 is byte 8
    words = [0, 2, 9, 0, 1, 2, 4, 2, 1, 8, 0]
    assert expand_segments(words, 100, wide=True) == [9, 0, 2, 4, 4, 4]


def test_expansion_stops_at_the_size_of_the_table():
    bomb = [0, 1, 7] + [1, 65535, 9] * 20_000
    assert len(expand_segments(bomb, 65536, wide=True)) == 65536


def test_a_table_that_begins_with_a_line_is_bad_data():
    with pytest.raises(BadData):
        expand_segments([1, 3, 6], 10, wide=True)


@given(words=st.lists(st.integers(0, 255), max_size=60), wide=st.booleans(), limit=st.integers(1, 500))
def test_any_segments_give_a_bounded_table_or_bad_data(words, wide, limit):
    with suppress(BadData):
        assert len(expand_segments(words, limit, wide)) <= limit


def _palette(data: bytes, bits: int, entries: int, first: int = 0) -> Dataset:
    dataset = Dataset()
    for colour in ("Red", "Green", "Blue"):
        dataset[f"{colour}PaletteColorLookupTableDescriptor"] = pydicom.DataElement(
            {"Red": 0x00281101, "Green": 0x00281102, "Blue": 0x00281103}[colour], "US", [entries, first, bits]
        )
        setattr(dataset, f"{colour}PaletteColorLookupTableData", data)
    return dataset


@pytest.mark.parametrize("big_endian", [False, True])
def test_entries_of_8_bits_travel_in_pairs(big_endian):
    data = bytes([2, 1, 4, 3] if big_endian else [1, 2, 3, 4])
    tables = palette_tables(_palette(data, 8, 4), False, big_endian)
    assert [table.entries.tolist() for table in tables] == [[1, 2, 3, 4]] * 3


@pytest.mark.parametrize("big_endian", [False, True])
def test_entries_of_16_bits_follow_the_byte_order(big_endian):
    data = struct.pack(">3H" if big_endian else "<3H", 256, 2, 65535)
    tables = palette_tables(_palette(data, 16, 3, first=0xFFFE), True, big_endian)
    assert tables[0].entries.tolist() == [256, 2, 65535]
    assert tables[0].first == -2


def test_an_empty_table_is_bad_data():
    item = Dataset()
    item.LUTDescriptor = [4, 0, 8]
    item.LUTData = b""
    with pytest.raises(BadData):
        sequence_table(item, signed=False, big_endian=False)
