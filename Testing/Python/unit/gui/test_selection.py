"""What mouse and keys choose."""

from __future__ import annotations

from VisualDICOMBrowserLib.gui.studies.selection import Selection

ORDER = ["a", "b", "c", "d", "e"]


def selection() -> Selection:
    return Selection(lambda: ORDER)


def test_a_click_chooses_one_alone():
    made = selection()
    assert made.choose("a")
    assert made.choose("b")
    assert made.uids == {"b"}


def test_the_same_click_again_changes_nothing():
    made = selection()
    made.choose("a")
    assert not made.choose("a")


def test_with_ctrl_one_goes_in_and_out():
    made = selection()
    made.choose("a")
    made.toggle("c")
    assert made.uids == {"a", "c"}
    made.toggle("a")
    assert made.uids == {"c"}


def test_shift_reaches_from_the_anchor_and_back_again():
    made = selection()
    made.choose("c")
    made.reach("e")
    assert made.uids == {"c", "d", "e"}
    made.reach("a")
    assert made.uids == {"a", "b", "c"}


def test_shift_and_ctrl_keep_the_others():
    made = selection()
    made.choose("a")
    made.toggle("d")
    made.reach("e", add=True)
    assert made.uids == {"a", "d", "e"}


def test_without_an_anchor_that_is_still_there_shift_is_a_click():
    made = selection()
    made.choose("gone")
    made.reach("b")
    assert made.uids == {"b"}


def test_a_rubber_band_lets_go_of_what_it_no_longer_meets():
    made = selection()
    made.choose("a")
    made.begin_band(add=False)
    made.stretch_band(["b", "c"])
    made.stretch_band(["b"])
    made.end_band()
    assert made.uids == {"b"}


def test_a_rubber_band_with_ctrl_turns_over_what_it_meets():
    made = selection()
    made.choose("a")
    made.begin_band(add=True)
    made.stretch_band(["a", "b"])
    assert made.uids == {"b"}
    made.stretch_band([])
    assert made.uids == {"a"}


def test_a_refresh_drops_only_what_is_gone():
    made = selection()
    made.set_all(["a", "b"])
    assert made.keep_only(["b", "c"])
    assert made.uids == {"b"}
    assert not made.keep_only(["b"])


def test_the_share_of_a_study_tells_none_some_and_all():
    made = selection()
    made.set_all(["a"])
    assert [made.share_of(uids) for uids in (["b"], ["a", "b"], ["a"], [])] == [0, 0.5, 1, 0]
