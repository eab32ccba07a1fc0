"""Pictures in memory: read within a budget, kept within bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
import qt
from PIL import Image

from VisualDICOMBrowserLib.gui.studies.thumbnail_store import BUDGET, ThumbnailStore


class Clock:
    """Every look at it takes half a budget."""

    now = 0.0

    def __call__(self) -> float:
        self.now += BUDGET / 2
        return self.now


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    made = [tmp_path / f"{index}.png" for index in range(6)]
    for path in made:
        Image.new("L", (40, 20), 200).save(path)
    return [str(path) for path in made]


@pytest.fixture
def owner(qapp):
    return qt.QObject()


def read_all(store: ThumbnailStore) -> None:
    for _ in range(20):
        store.work()


def test_a_picture_is_fitted_into_a_square_at_the_ratio_of_the_display(owner, paths):
    store = ThumbnailStore(owner, ratio=2.0)
    store.want([(paths[0], 32)])
    store.work()
    picture = store.picture(paths[0], 32)
    assert (picture.width(), picture.height(), picture.devicePixelRatio()) == (64, 64, 2.0)
    image = picture.toImage()
    assert image.pixelColor(32, 32).red() == 200
    assert image.pixelColor(32, 8).red() == 0
    assert image.pixelColor(0, 0).alpha() == 0


def test_a_tick_ends_with_its_budget_and_the_first_one_wanted_is_read_first(owner, paths):
    store = ThumbnailStore(owner, clock=Clock())
    told = []
    store.loaded.connect(told.append)
    store.want([(path, 32) for path in paths])
    store.work()
    assert told == [paths[:2]]


def test_the_rest_is_read_by_itself(owner, paths, qtbot):
    store = ThumbnailStore(owner, clock=Clock())
    store.want([(path, 32) for path in paths])
    qtbot.waitUntil(lambda: all(store.picture(path, 32) for path in paths))
    assert store.bytes == 6 * 32 * 32 * 4


def test_what_is_no_longer_wanted_is_not_read(owner, paths):
    store = ThumbnailStore(owner)
    store.want([(paths[0], 32)])
    store.want([(paths[1], 32)])
    read_all(store)
    assert store.picture(paths[0], 32) is None
    assert store.picture(paths[1], 32) is not None


def test_the_picture_that_was_not_shown_for_the_longest_time_makes_room(owner, paths):
    store = ThumbnailStore(owner, max_bytes=2 * 32 * 32 * 4)
    store.want([(path, 32) for path in paths[:2]])
    read_all(store)
    store.picture(paths[0], 32)
    store.want([(paths[2], 32)])
    read_all(store)
    assert [store.picture(path, 32) is not None for path in paths[:3]] == [True, False, True]
    assert store.bytes == 2 * 32 * 32 * 4


def test_what_is_no_picture_is_read_once_and_again_when_it_was_renewed(owner, paths):
    Path(paths[0]).write_bytes(b"not a picture")
    store = ThumbnailStore(owner)
    told = []
    store.loaded.connect(told.append)
    for _ in range(3):
        store.want([(paths[0], 32)])
        read_all(store)
    assert store.has_failed(paths[0])
    assert told == [[paths[0]]]
    Image.new("L", (8, 8), 90).save(paths[0])
    store.renew(paths[0])
    store.want([(paths[0], 32)])
    read_all(store)
    assert store.picture(paths[0], 32) is not None


def test_the_old_picture_stays_until_the_new_one_is_read(owner, paths):
    store = ThumbnailStore(owner)
    store.want([(paths[0], 32), (paths[0], 64)])
    read_all(store)
    Image.new("L", (40, 40), 30).save(paths[0])
    store.renew(paths[0])
    assert store.picture(paths[0], 32).toImage().pixelColor(16, 16).red() == 200
    store.want([(paths[0], 32)])
    read_all(store)
    assert store.picture(paths[0], 32).toImage().pixelColor(16, 16).red() == 30
    assert store.picture(paths[0], 64) is None
    assert store.bytes == 32 * 32 * 4


def test_another_display_has_pictures_of_its_own(owner, paths):
    store = ThumbnailStore(owner)
    store.want([(paths[0], 32)])
    read_all(store)
    store.set_ratio(2.0)
    assert (store.picture(paths[0], 32), store.bytes) == (None, 0)
