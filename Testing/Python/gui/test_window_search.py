"""The whole window on the embedded PACS: searching by keys, narrowing while one types, filters."""

from __future__ import annotations

import pytest
import qt

from support.window_hands import Hands

EVERYBODY = 7


@pytest.fixture
def hands(open_window, demo) -> Hands:
    return open_window(demo.server)


def test_the_whole_of_searching_with_real_keys(hands):
    hands.search("")
    assert len(hands.names()) == EVERYBODY
    asked = []
    hands.browser._search.running_changed.connect(asked.append)
    hands.fill(hands.search_bar._field, "sam")
    hands.wait(lambda: hands.names() == ["Sample, Patricia"], "the narrowed list")
    assert asked == []  # what is known already needs no server
    for text, found in (
        ("mül", "Müller, Jörg"),
        ("DEMO-1004", "Hong, Gildong"),
        ("A2025-1602", "Παράδειγμα"),
        ("山田", "Yamada"),
        ("小东", "Wang"),
    ):
        hands.search(text)
        (name,) = hands.names()
        assert found in name


def test_one_field_asks_the_servers_for_names_ids_accession_numbers_and_cjk(hands):
    seen: set[int] = set()
    for number, text in enumerate(("ample", "EMO-1001", "A2022-1501", "홍"), 1):
        hands.search(text)
        assert len(hands.names()) == 1, text
        seen.add(hands.people.model().key_at(0))
        assert len(seen) == number
    hands.key(qt.Qt.Key_Escape)
    hands.wait(lambda: len(hands.names()) == len(seen), "all that was found so far")


def test_a_name_that_nobody_has_says_so_and_offers_to_clear(hands):
    hands.search("sample")
    hands.search("nobody of that name")
    assert hands.names() == []
    assert hands.patients._empty.words == "No patients match."
    hands.press("Clear filters", hands.patients)
    hands.wait(lambda: hands.names() == ["Sample, Patricia"], "what is known")


def test_modalities_and_dates_narrow_and_ask(hands):
    bar = hands.search_bar
    hands.click(bar._modality)
    hands.wait(bar._modality_panel.isVisible, "the panel of modalities")
    hands.tick(bar._modality_panel.box("US"))
    hands.key(qt.Qt.Key_Escape)
    hands.search("")
    assert [name.split(",")[0] for name in hands.names()] == ["Yamada"]
    hands.press("Clear filters", bar)
    hands.click(bar._days)
    hands.choose("Custom…")
    for edit, day in ((bar._first_day, "20250101"), (bar._last_day, "20250131")):
        hands.wait(edit.isVisible, "the dates")
        hands.double_click(edit, qt.QPoint(12, edit.height() // 2))  # chooses the year
        hands.type(day)
    hands.search("")
    assert hands.names() == ["Sample, Patricia"]
    assert "2025-01-01" in bar._summary.words


def test_the_keyboard_leads_from_the_field_to_the_list_and_back(hands):
    hands.search("")
    hands.key(qt.Qt.Key_Down)
    hands.wait(lambda: hands.people.hasFocus() and hands.patients.current(), "the first person")
    hands.key(qt.Qt.Key_Up)
    hands.wait(hands.search_bar._field.hasFocus, "the field")
    assert not hands.people.hasFocus()
