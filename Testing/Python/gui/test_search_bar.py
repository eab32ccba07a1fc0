"""The search bar, with real keys and clicks."""

from __future__ import annotations

from datetime import date

import pytest
import qt

from VisualDICOMBrowserLib.domain.filters import DateRange, QueryFilter
from VisualDICOMBrowserLib.domain.overview import Places
from VisualDICOMBrowserLib.gui.search.search_bar import NARROW_MS, SearchBar
from VisualDICOMBrowserLib.gui.search.search_terms import HERE, Days, PlaceChoice

TODAY = date(2026, 3, 2)


class Heard:
    """What a bar told, in order."""

    def __init__(self, bar: SearchBar) -> None:
        self.log: list[tuple] = []
        for name in ("narrowed", "places_changed", "searched", "stopped", "settings_asked", "left_downwards"):
            getattr(bar, name).connect(lambda *values, name=name: self.log.append((name, *values)))

    def names(self) -> list[str]:
        return [entry[0] for entry in self.log]


@pytest.fixture
def bar(session, qtbot):
    bar = SearchBar(session, None, lambda: TODAY)
    qtbot.addWidget(bar)
    session.asked("servers")[0].answer([{"name": "PACS"}, {"name": "Archive"}])
    bar.resize(1100, 60)
    with qtbot.waitExposed(bar):
        bar.show()
    bar.heard = Heard(bar)
    bar._narrow.cancel()
    bar.heard.log.clear()
    return bar


def click(qtbot, widget):
    # A tick box takes clicks on its mark and its text, not on all of a wide column.
    qtbot.mouseClick(widget, qt.Qt.LeftButton, pos=qt.QPoint(10, widget.height() // 2))


def test_typing_narrows_at_once_and_then_once_for_fast_letters(bar, qtbot):
    qtbot.keyClicks(bar._field, "doe")
    assert bar.heard.log == [("narrowed", QueryFilter(text="d"), Places())]
    qtbot.wait_until(lambda: len(bar.heard.log) == 2)
    assert bar.heard.log[1] == ("narrowed", QueryFilter(text="doe"), Places())


def test_enter_searches_and_the_narrowing_that_waits_is_not_told_too(bar, qtbot):
    qtbot.keyClicks(bar._field, "4711")
    qtbot.keyClick(bar._field, qt.Qt.Key_Return)
    assert bar.heard.names() == ["narrowed", "searched"]
    assert bar.heard.log[1] == ("searched", QueryFilter(text="4711"), Places())
    qtbot.wait(2 * NARROW_MS)
    assert len(bar.heard.log) == 2


def test_escape_clears_the_field_and_down_goes_to_the_list(bar, qtbot):
    qtbot.keyClicks(bar._field, "doe")
    qtbot.keyClick(bar._field, qt.Qt.Key_Escape)
    assert bar._field.text() == ""
    assert bar.terms.text == ""
    qtbot.keyClick(bar._field, qt.Qt.Key_Down)
    assert bar.heard.names() == ["narrowed", "left_downwards"]


def test_a_cross_in_the_field_empties_it(bar, qtbot):
    assert not bar._field._cross.isVisible()
    qtbot.keyClicks(bar._field, "doe")
    assert bar._field._cross.isVisible()
    bar._field._cross.trigger()
    assert bar.terms.text == ""
    assert not bar._field._cross.isVisible()


def test_the_pictograms_follow_the_palette(bar, qtbot):
    def ink() -> qt.QColor:
        image = bar._gear.icon().pixmap(18, 18).toImage()
        return image.pixelColor(9, 3)

    before = ink()
    palette = qt.QPalette(bar.palette())
    palette.setColor(qt.QPalette.ButtonText, qt.QColor("white"))
    bar.setPalette(palette)
    assert before != qt.QColor("white")
    assert ink().lightness() > 200


def test_the_button_searches_and_is_stop_while_a_search_runs(bar, qtbot):
    click(qtbot, bar._go)
    bar.set_running(True)
    assert bar._go.text() == "Stop"
    click(qtbot, bar._go)
    bar.set_running(False)
    assert bar._go.text() == "Search"
    assert bar.heard.names() == ["searched", "stopped"]


@pytest.mark.parametrize(
    ("key", "modifier"), [(qt.Qt.Key_F, qt.Qt.ControlModifier), (qt.Qt.Key_Slash, qt.Qt.NoModifier)]
)
def test_a_key_puts_the_cursor_into_the_field(bar, qtbot, key, modifier):
    bar.activateWindow()
    bar._go.setFocus()
    qtbot.keyClick(bar._go, key, modifier)
    assert bar._field.hasFocus()
    assert bar._field.text() == ""


def test_the_key_works_in_all_of_the_widget_that_has_the_bar(session, qtbot):
    window = qt.QWidget()
    qtbot.addWidget(window)
    box = qt.QVBoxLayout(window)
    bar, other = SearchBar(session, window), qt.QPushButton("other")
    box.addWidget(bar)
    box.addWidget(other)
    bar.listen_in(window)
    with qtbot.waitExposed(window):
        window.show()
    window.activateWindow()
    other.setFocus()
    qtbot.wait_until(other.hasFocus)
    qtbot.keyClick(other, qt.Qt.Key_F, qt.Qt.ControlModifier)
    assert bar._field.hasFocus()
    bar.cleanup()


def test_a_slash_can_be_typed_into_the_field(bar, qtbot):
    bar.focus_field()
    qtbot.keyClicks(bar._field, "1/2")
    assert bar.terms.text == "1/2"


def test_modalities_are_ticked_in_a_panel_that_stays_open(bar, qtbot):
    click(qtbot, bar._modality)
    panel = bar._modality_panel
    assert panel.isVisible()
    click(qtbot, panel.box("MR"))
    click(qtbot, panel.box("CT"))
    assert panel.isVisible()
    assert bar.current()[0].modalities == ("CT", "MR")
    assert bar._modality.text() == "CT, MR"
    click(qtbot, panel._any)
    assert bar.current()[0].modalities == ()
    assert not panel.box("CT").isChecked()
    qtbot.keyClick(panel, qt.Qt.Key_Escape)
    assert not panel.isVisible()


def test_the_space_bar_ticks_in_the_panel(bar, qtbot):
    bar._modality_panel.open_below(bar._modality)
    qtbot.keyClick(bar._modality_panel.box("US"), qt.Qt.Key_Space)
    assert bar.current()[0].modalities == ("US",)
    bar._modality_panel.hide()


def test_rare_modalities_are_shown_on_request(bar, qtbot):
    bar._modality_panel.open_below(bar._modality)
    assert not bar._modality_panel.box("SM").isVisible()
    click(qtbot, bar._modality_panel._more)
    assert bar._modality_panel.box("SM").isVisible()
    bar._modality_panel.hide()


def test_a_date_is_chosen_from_the_menu(bar, qtbot):
    bar._days_actions[Days.WEEK].trigger()
    assert bar.current()[0].study_date == DateRange("20260223", "20260302")
    assert bar._days.text() == "Last 7 days"
    assert bar._summary.words == "last 7 days"


def test_custom_dates_have_fields_of_their_own(bar, qtbot):
    assert not bar._days_row.isVisible()
    bar._days_actions[Days.CUSTOM].trigger()
    assert bar._days_row.isVisible()
    assert bar.current()[0].study_date == DateRange("20260101", "20260302")
    bar._first_day.setDate(qt.QDate(2025, 12, 24))
    assert bar.current()[0].study_date == DateRange("20251224", "20260302")
    bar._days_actions[Days.ANY].trigger()
    assert not bar._days_row.isVisible()


def test_more_opens_the_descriptions_and_enter_in_them_searches(bar, qtbot):
    assert not bar._study_text.isVisible()
    click(qtbot, bar._more)
    qtbot.keyClicks(bar._study_text, "abdomen")
    qtbot.keyClick(bar._study_text, qt.Qt.Key_Return)
    assert bar.heard.log[-1] == ("searched", QueryFilter(study_description="abdomen"), Places())


def test_places_can_be_unticked_and_the_choice_survives_a_change_of_servers(bar, session, qtbot):
    click(qtbot, bar._where)
    click(qtbot, bar._place_panel.box("Archive"))
    assert bar.current()[1] == Places(True, ("PACS",))
    session.servers_changed.emit()
    session.asked("servers")[-1].answer([{"name": "PACS"}, {"name": "Archive"}, {"name": "New"}])
    assert bar.current()[1] == Places(True, ("PACS", "New"))
    assert not bar._place_panel.box("Archive").isChecked()
    click(qtbot, bar._place_panel.box(HERE))
    assert bar.current()[1] == Places(False, ("PACS", "New"))
    bar._place_panel.hide()


def test_settings_are_reached_by_the_gear_and_from_the_places(bar, qtbot):
    click(qtbot, bar._gear)
    bar._place_panel._ask_settings()
    assert bar.heard.names() == ["settings_asked", "settings_asked"]


def test_the_filters_are_summed_up_and_cleared_but_not_the_text(bar, qtbot):
    qtbot.keyClicks(bar._field, "doe")
    bar._modality_panel.box("CT").click()
    bar._place_panel._toggle("PACS")
    bar._days_actions[Days.MONTH].trigger()
    assert bar._summary.words == "CT · last 30 days · only This computer, Archive"
    click(qtbot, bar._clear)
    assert not bar._summary_row.isVisible()
    assert bar.current() == (QueryFilter(text="doe"), Places())


def test_a_narrow_bar_has_two_rows_and_a_wide_one_has_one(bar, qtbot):
    bar.resize(1100, 60)
    qtbot.wait_until(lambda: bar._modality.mapTo(bar, qt.QPoint(0, 0)).y() < bar._field.geometry().bottom())
    bar.resize(420, 100)
    qtbot.wait_until(lambda: bar._modality.mapTo(bar, qt.QPoint(0, 0)).y() > bar._field.geometry().bottom())
    assert bar.width() == 420
    assert bar._more.mapTo(bar, qt.QPoint(bar._more.width(), 0)).x() <= 420


def test_servers_are_asked_for_when_the_engine_comes_up(session, qtbot):
    session.ready = False
    bar = SearchBar(session)
    qtbot.addWidget(bar)
    assert not session.asked("servers")
    session.ready_changed.emit(True, "")
    assert len(session.asked("servers")) == 1
    bar.cleanup()
    session.ready_changed.emit(True, "")
    session.servers_changed.emit()
    assert len(session.asked("servers")) == 1


def test_an_ampersand_in_the_name_of_a_server_is_no_mnemonic(bar):
    bar._set_choice(PlaceChoice(("A & B", "C"), frozenset({HERE, "C"})))
    assert bar._where.text() == "A && B"
    assert bar._place_panel.box("A & B").text() == "A && B"
