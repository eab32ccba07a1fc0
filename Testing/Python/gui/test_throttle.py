"""Throttles act at once and then seldom; debounces act when it has become quiet."""

from __future__ import annotations

import pytest
import qt

from VisualDICOMBrowserLib.gui.parts.throttle import Debounce, Throttle

SHORT_MS = 20
LONG_MS = 60_000


@pytest.fixture
def heard():
    return []


@pytest.mark.usefixtures("qapp")
def test_a_throttle_acts_at_once_the_first_time(heard):
    Throttle(LONG_MS, heard.append)(1)
    assert heard == [1]


def test_a_throttle_acts_later_with_the_last_values_only(qtbot, heard):
    throttle = Throttle(SHORT_MS, heard.append)
    for number in range(5):
        throttle(number)
    assert heard == [0]
    qtbot.waitUntil(lambda: len(heard) > 1)
    assert heard == [0, 4]


def test_a_throttle_that_has_rested_acts_at_once_again(qtbot, heard):
    throttle = Throttle(SHORT_MS, heard.append)
    throttle(1)
    qtbot.waitUntil(lambda: not throttle._timer.isActive())
    throttle(2)
    assert heard == [1, 2]


def test_a_throttle_rests_after_an_action_that_came_late(qtbot, heard):
    throttle = Throttle(SHORT_MS, heard.append)
    throttle(1)
    throttle(2)
    qtbot.waitUntil(lambda: heard == [1, 2])
    assert throttle._timer.isActive()


@pytest.mark.usefixtures("qapp")
def test_a_cancelled_throttle_forgets_and_then_acts_at_once(heard):
    throttle = Throttle(LONG_MS, heard.append)
    throttle(1)
    throttle(2)
    throttle.cancel()
    throttle(3)
    assert heard == [1, 3]


@pytest.mark.usefixtures("qapp")
def test_a_throttle_that_is_called_by_its_own_action_does_not_loop(heard):
    def act(number):
        heard.append(number)
        throttle(number + 1)

    throttle = Throttle(LONG_MS, act)
    throttle(1)
    assert heard == [1]


@pytest.mark.usefixtures("qapp")
def test_a_throttle_whose_action_fails_goes_on(heard):
    def act(number):
        if number == 1:
            raise ValueError(number)
        heard.append(number)

    throttle = Throttle(LONG_MS, act)
    with pytest.raises(ValueError, match="1"):
        throttle(1)
    throttle.cancel()
    throttle(2)
    assert heard == [2]


def test_a_debounce_acts_once_with_the_last_values(qtbot, heard):
    debounce = Debounce(SHORT_MS, heard.append)
    for number in range(5):
        debounce(number)
    assert heard == []
    qtbot.waitUntil(lambda: heard == [4])


@pytest.mark.usefixtures("qapp")
def test_a_debounce_can_be_hurried_and_acts_once(heard):
    debounce = Debounce(LONG_MS, heard.append)
    debounce(1)
    debounce.flush()
    debounce.flush()
    assert heard == [1]


@pytest.mark.usefixtures("qapp")
def test_a_cancelled_debounce_forgets(heard):
    debounce = Debounce(LONG_MS, heard.append)
    debounce(1)
    debounce.cancel()
    debounce.flush()
    assert heard == []


def test_a_throttle_that_waits_acts_once_after_the_first_of_many_calls(qtbot, heard):
    throttle = Throttle(SHORT_MS, heard.append, at_once=False)
    for number in range(5):
        throttle(number)
    assert heard == []
    qtbot.waitUntil(lambda: heard == [4])
    throttle(5)
    assert heard == [4]
    qtbot.waitUntil(lambda: heard == [4, 5])


def test_what_a_throttle_waits_with_ends_with_its_parent(qtbot, heard):
    parent = qt.QObject()
    throttle = Throttle(SHORT_MS, heard.append, parent, at_once=False)
    throttle(1)
    parent.deleteLater()
    qtbot.wait(5 * SHORT_MS)
    assert heard == []
