"""Studies that are open on the screen are fetched whole from servers that are set to that, and from no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.fault_proxy import FaultProxy, Stall
from support.processes import free_port
from support.synthetic import make_ct_series
from support.waiting import wait_until
from VisualDICOMBrowserLib import Engine
from VisualDICOMBrowserLib.domain.filters import QueryFilter
from VisualDICOMBrowserLib.domain.model import Level, Target
from VisualDICOMBrowserLib.jobs.description import JobKind, JobRecord, Priority
from VisualDICOMBrowserLib.jobs.states import JobState

COUNT = 3
SIZE = 20_000


class Content:
    """A patient with a study of two series, and another study of one."""

    def __init__(self, peer, root: Path) -> None:
        self.peer = peer
        who = {"patient_id": "AHEAD", "patient_name": "Ahead^Ada"}
        self.series = [make_ct_series(root / str(n), COUNT, SIZE, study=81, series=n, **who) for n in (1, 2)]
        self.other = make_ct_series(root / "other", COUNT, SIZE, study=82, series=1, **who)
        assert peer.load([file.path for files in (*self.series, self.other) for file in files]) == []

    @property
    def study(self) -> str:
        return self.series[0][0].study_uid

    @property
    def uids(self) -> list[str]:
        return [files[0].series_uid for files in self.series]


@pytest.fixture(scope="module")
def content(orthanc, tmp_path_factory) -> Content:
    return Content(orthanc, tmp_path_factory.mktemp("ahead"))


def find(engine: Engine, *servers: str) -> None:
    engine.query(QueryFilter(patient_id="AHEAD"), Level.SERIES, servers or None)


def fetches(engine: Engine) -> list[JobRecord]:
    return [record for record in engine.jobs() if record.description.kind is JobKind.RETRIEVE]


def all_ended(engine: Engine) -> bool:
    return all(record.state.terminal for record in fetches(engine))


def test_an_open_study_of_a_server_that_is_set_to_it_comes_whole_and_once(bench, content, engine):
    bench.add("PACS", content.peer, fetch_ahead=True)
    find(engine)
    assert fetches(engine) == []  # however much was found
    engine.show(content.uids[:1], [content.study])
    wait_until(lambda: len(fetches(engine)) == 2 and all_ended(engine), what="both series of the study")
    assert {record.state for record in fetches(engine)} == {JobState.COMPLETED}
    assert [record.description.params["uids"] for record in fetches(engine)] == [[uid] for uid in content.uids]
    assert engine.verify().rows == 2 * COUNT
    engine.show(content.uids, [content.study])
    assert len(fetches(engine)) == 2


def test_nothing_is_fetched_ahead_unless_a_server_is_set_to_it(bench, content, engine):
    bench.add("PACS", content.peer)
    find(engine)
    engine.show(content.uids, [content.study])
    assert fetches(engine) == []
    bench.add("PACS", content.peer, fetch_ahead=True)
    engine.show(content.uids, [content.study])
    assert len(fetches(engine)) == 2  # the setting holds at once


def test_what_several_servers_have_comes_from_those_that_are_set_to_it(bench, content, engine):
    bench.add("First", content.peer)
    bench.add("Ahead", content.peer, fetch_ahead=True)
    find(engine)
    engine.show(content.uids, [content.study])
    wait_until(lambda: all_ended(engine), what="the fetches to end")
    assert [record.description.server for record in fetches(engine)] == ["Ahead", "Ahead"]
    assert engine.verify().rows == 2 * COUNT


def test_the_users_own_fetch_goes_first_and_what_left_the_screen_last(bench, content, engine):
    with FaultProxy(content.peer.address) as proxy:
        bench.add("PACS", proxy.address, called_aet=content.peer.ae_title, fetch_ahead=True, max_associations=1)
        find(engine)
        proxy.to_client = (Stall(after=0),)
        engine.show(content.uids[:1], [content.study])
        (asked,) = engine.fetch([content.other[0].series_uid])
        priorities = {record.job_id: record.description.priority for record in fetches(engine)}
        assert priorities.pop(asked) is Priority.USER
        assert list(priorities.values()) == [Priority.VISIBLE_STUDY, Priority.REST]
        engine.show([], [])
        assert {r.description.priority for r in fetches(engine) if r.job_id != asked} == {Priority.REST}
        first, last = (record.job_id for record in fetches(engine) if record.job_id != asked)
        assert engine.fetch(content.uids[1:]) == engine.fetch(content.uids[1:]) == [last]  # it is not fetched twice
        engine.show([], [])
        assert {r.job_id for r in fetches(engine) if r.description.priority is Priority.USER} == {asked, last}
        assert {r.job_id for r in fetches(engine) if r.description.priority is Priority.REST} == {first}
        proxy.heal()
        wait_until(lambda: all_ended(engine), what="all to end")
    assert engine.verify().rows == 3 * COUNT


def test_what_was_cancelled_or_removed_does_not_come_again_by_itself(bench, content, engine):
    with FaultProxy(content.peer.address) as proxy:
        bench.add("PACS", proxy.address, called_aet=content.peer.ae_title, fetch_ahead=True)
        find(engine)
        proxy.to_client = (Stall(after=0),)
        engine.show(content.uids, [content.study])
        for record in fetches(engine):
            engine.cancel_job(record.job_id)
        wait_until(lambda: all_ended(engine), what="the end of what was cancelled")
        proxy.heal()
        engine.show([], [])
        engine.show(content.uids, [content.study])
        assert len(fetches(engine)) == 2
        other = Target(Level.SERIES, (content.other[0].series_uid,))
        assert engine.retrieve(other).complete
        engine.remove(other)
        engine.show([], [content.other[0].study_uid])
        assert len(fetches(engine)) == 3  # the one that was asked for
    assert engine.verify().rows == 0


def test_what_is_here_or_being_fetched_already_is_not_fetched_ahead(bench, content, engine):
    bench.add("PACS", content.peer, fetch_ahead=True)
    find(engine)
    assert engine.retrieve(Target(Level.SERIES, tuple(content.uids[:1]))).complete
    engine.fetch(content.uids[1:])
    engine.show(content.uids, [content.study])
    wait_until(lambda: all_ended(engine), what="the fetch to end")
    assert len(fetches(engine)) == 2


def test_a_server_that_does_not_answer_is_not_asked_for_more(bench, content, engine):
    bench.add("PACS", content.peer, fetch_ahead=True)
    find(engine)
    bench.add("PACS", ("127.0.0.1", free_port()), fetch_ahead=True)
    engine.show(content.uids, [content.study])
    wait_until(lambda: engine._core.jobs.is_out_of_reach("PACS"), what="the engine to know")
    engine.show([], [content.other[0].study_uid])
    assert [record.description.params["uids"] for record in fetches(engine)] == [[uid] for uid in content.uids]


def test_a_folder_of_another_engine_gets_nothing_ahead(bench, content, engine):
    bench.add("PACS", content.peer, fetch_ahead=True)
    find(engine)
    with bench.engine() as second:
        assert second.read_only
        second.show(content.uids, [content.study])
        assert fetches(second) == []


def test_a_configuration_that_cannot_be_read_is_not_told_to_whoever_only_looks(bench, content, engine):
    bench.config.write_text("nonsense", encoding="utf-8")
    engine.show(content.uids, [content.study])
    assert engine.jobs() == []
