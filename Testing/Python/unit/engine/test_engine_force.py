"""What may take the place of something that is here when it is fetched again: what was asked for, and nothing else."""

from __future__ import annotations

import pytest

from unit.store.dicom_bytes import EXPLICIT_LITTLE
from unit.store.store_kit import Sample, receive, samples
from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.model import Instance, Level, Series, Target
from VisualDICOMBrowserLib.domain.protocol_log import ProtocolLog, writing_to
from VisualDICOMBrowserLib.domain.results import Conflict
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine.asking import Account
from VisualDICOMBrowserLib.engine.conflict_log import MAX_NAMED
from VisualDICOMBrowserLib.engine.fetch import Fetch
from VisualDICOMBrowserLib.engine.plan import Plan, SeriesPlan
from VisualDICOMBrowserLib.engine.retrieve import Retrieval
from VisualDICOMBrowserLib.engine.strategies import ByGet
from VisualDICOMBrowserLib.store.headers import read_header_bytes
from VisualDICOMBrowserLib.store.local import LocalStore

SERVER = Server("PACS", "127.0.0.1", 104, "PACS")


@pytest.fixture
def store(tmp_path):
    with LocalStore.open(tmp_path / "database") as opened:
        yield opened


def retrieval(store: LocalStore, items: list[Sample], *, listed: bool = True) -> Retrieval:
    series = Series(items[0].series_uid, items[0].study_uid)
    instances = {i.sop_uid: Instance(i.sop_uid, i.series_uid, i.study_uid) for i in items} if listed else {}
    plan = Plan(series=[SeriesPlan(series, (), instances, count=len(items))])
    target = Target(Level.SERIES, (items[0].series_uid,))
    return Retrieval(ByGet(SERVER), target, store, plan, force=True)


@pytest.mark.parametrize("listed", [True, False])
def test_what_was_asked_for_is_wanted_and_nothing_else(store, listed):
    made = retrieval(store, samples(2), listed=listed)

    def wanted(item: Sample) -> bool:
        return made.wants(read_header_bytes(item.dataset, EXPLICIT_LITTLE))

    assert wanted(Sample(number=2))
    assert wanted(Sample(number=3)) is not listed
    assert not wanted(Sample(series=2))


def test_what_comes_besides_replaces_nothing(store):
    mine, besides = Sample(number=1), Sample(series=2)
    receive(store, [mine, besides])
    fetch = Fetch(retrieval(store, [mine]), SERVER, CancelToken(), lambda *_: None)
    for item in (Sample(number=1, name="Roe^Mary"), Sample(series=2, name="Roe^Mary")):
        file = fetch._receiver.open(item)
        file.write(memoryview(item.dataset))
        file.finish()
    fetch._settle()
    assert fetch._retrieval.replaced == {mine.sop_uid}
    assert [conflict.sop_uid for conflict in fetch._retrieval.conflicts] == [besides.sop_uid]


def test_ten_thousand_conflicts_are_counted_at_once_and_the_first_are_named_in_the_log(store):
    made, log = retrieval(store, samples(1)), ProtocolLog()
    tags = ("(0010,0010) PatientName",)
    conflicts = [Conflict(f"1.9.{number}", "It differs.", tags, "PACS") for number in range(10_000)]
    with writing_to(log):
        for first in range(0, 10_000, 10):
            made.note_stored([], [], conflicts[first : first + 20], 0)  # half of them another time
    lines = [line["text"] for line in log.to_dict()["lines"]]
    assert len(made.conflicts) == 10_000
    assert lines[0] == "1.9.0 from PACS: It differs. Different: (0010,0010) PatientName."
    assert lines[MAX_NAMED - 1].startswith(f"1.9.{MAX_NAMED - 1} ")
    assert lines[MAX_NAMED:] == ["More such instances are not named here."]


def test_what_is_here_counts_only_once_it_came_again(store):
    receive(store, samples(2))
    made = retrieval(store, samples(2))
    (series,) = made.plan.series
    account = Account(made, CancelToken(), lambda *_: None)
    assert made.here(series) == set()
    assert account._wanted(series).missing == {sample.sop_uid for sample in samples(2)}
    made.note_stored([], [Sample(number=1).sop_uid], [], 0)
    assert made.here(series) == {Sample(number=1).sop_uid}
    assert account._wanted(series).missing == {Sample(number=2).sop_uid}
