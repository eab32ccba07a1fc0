"""The whole window: choosing a patient by the keyboard, studies newest first, thumbnails of what is seen."""

from __future__ import annotations

import pytest
import qt

from support.catalogue_filler import Filling, fill
from support.window_hands import Hands
from VisualDICOMBrowserLib.store.reader import CatalogueReader


class Spy:
    """Hears what the window asks the engine, and goes on asking it."""

    def __init__(self, session) -> None:
        self.asked = []
        self._ask = session.ask
        session.ask = self

    def __call__(self, method, params=None, done=None, failed=None):
        self.asked.append((method, dict(params or {})))
        return self._ask(method, params, done, failed)

    def series(self, method):
        return [params["series_uid"] for name, params in self.asked if name == method]


@pytest.fixture
def hands(open_window, demo) -> Hands:
    return open_window(demo.server)


def test_a_patient_chosen_by_keys_shows_studies_newest_first_and_pictures_one_by_one(hands):
    spy = Spy(hands.window.session)
    came = []
    hands.sheet._requests.answered.connect(came.append)
    hands.search("Müller")
    hands.key(qt.Qt.Key_Down)
    hands.wait_for_studies()
    content = hands.sheet.content
    days = [row.study.date for row in content.studies]
    assert days == ["20230420", "20230314", "20221102"]
    assert [content.is_unfolded(uid) for uid in hands.studies()] == [True, True, False]
    assert hands.page._header._name.words == "Müller, Jörg"
    hands.wait(hands.canvas.visible_rows, "series")
    hands.wait(lambda: all(hands.sheet._picture(row) for row in hands.canvas.visible_rows()), "the pictures")
    assert len(came) == len(set(came)) > 1
    seen = {row.uid for row in hands.canvas.visible_rows()}
    assert set(spy.series("thumbnail")) <= seen | set(came)
    folded = [row.uid for row in content.series_of(hands.studies()[-1])]
    assert not set(folded) & set(spy.series("thumbnail"))
    assert {row.local_instances for row in map(hands.row, came)} == {1}  # a picture is not a fetch


def test_pictures_are_asked_for_only_when_they_are_scrolled_into_view(open_window, demo):
    hands = open_window(demo.server)
    hands.browser.resize(900, 480)
    hands.find_patient("Müller")
    spy = Spy(hands.window.session)
    for uid in hands.studies():
        hands.unfold(uid)
    last = hands.sheet.content.series_of(hands.studies()[-1])[-1].uid
    assert last not in {row.uid for row in hands.canvas.visible_rows()}
    assert last not in spy.series("thumbnail")
    hands.turn_wheel(hands.canvas, -100)
    hands.wait(lambda: last in spy.series("thumbnail"), "the picture of the last series")
    hands.wait(lambda: hands.sheet._picture(hands.shown_row(last)), "its painting")


def test_thousands_of_patients_and_series_stay_lazy(open_window, tmp_path, monkeypatch):
    people = 3000
    fill(tmp_path / "window" / "database", Filling(people, 1, series=people, instances=1, local=False))
    read, asked = CatalogueReader.patients, []

    def counted(reader, rows):
        asked.append(len(rows))
        return read(reader, rows)

    monkeypatch.setattr(CatalogueReader, "patients", counted)
    hands = open_window()
    hands.wait(lambda: hands.people.isVisible() and asked, "the list")
    model = hands.people.model()
    assert model.rowCount() == people
    hands.wait(lambda: model.row_at(0), "the first rows")
    assert sum(asked) <= 128
    hands.people.setFocus()
    hands.key(qt.Qt.Key_End)
    hands.wait(lambda: model.row_at(people - 1), "the last rows")
    assert sum(asked) <= 384
    hands.wait(hands.patients.current, "the last person")
    hands.wait(lambda: len(hands.studies()) == 1, "the study")
