"""What is remembered of calls: all that run, a few that are over, and who was refused, counted."""

from __future__ import annotations

from VisualDICOMBrowserLib.domain.listener import CallRecord
from VisualDICOMBrowserLib.engine.call_log import MAX_OVER, CallLog, Refused

STRANGER = Refused("STRANGER", "192.0.2.7", "Nobody knows it.")


def call(number: int, **changes: object) -> CallRecord:
    return CallRecord(number, "MODALITY", "192.0.2.5", at=1000.0 + number, **changes)  # type: ignore[arg-type]


def numbers(log: CallLog) -> list[int]:
    return [record["number"] for record in log.records()]


def test_a_call_is_there_once_and_as_it_was_told_last():
    log, record = CallLog(), call(1)
    log.note(record)
    record.stored = 41
    log.note(record)
    assert [(one["stored"], one["over"]) for one in log.records()] == [(41, False)]
    record.over = True
    log.note(record)
    assert [one["over"] for one in log.records()] == [True]


def test_what_is_told_does_not_change_until_it_is_told_again():
    log, record = CallLog(), call(1)
    log.note(record)
    record.stored = 41
    assert log.records()[0]["stored"] == 0


def test_the_newest_is_first():
    log = CallLog()
    for number in (1, 2, 3):
        log.note(call(number, over=True))
    assert numbers(log) == [3, 2, 1]


def test_who_is_refused_again_is_counted_and_nobody_else_forgotten():
    log = CallLog()
    log.note(call(1, over=True))
    told = [log.note_refusal(STRANGER, number, secured=False) for number in range(2, 1000)]
    assert numbers(log) == [2, 1]
    assert (told[-1]["number"], told[-1]["times"], told[-1]["admitted"]) == (2, 998, False)


def test_another_reason_is_another_refusal():
    log = CallLog()
    log.note_refusal(STRANGER, 1, secured=False)
    log.note_refusal(Refused("STRANGER", "192.0.2.7", "It called somebody else."), 2, secured=False)
    assert len(log.records()) == 2


def test_only_the_last_are_kept_but_all_that_run():
    log = CallLog()
    log.note(call(0))
    for number in range(1, 100):
        log.note_refusal(Refused(f"S{number}", "192.0.2.7", "No."), number, secured=False)
    assert len(log.records()) == MAX_OVER + 1
    assert 0 in numbers(log)
