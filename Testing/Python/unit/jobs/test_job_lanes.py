from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.errors import ServerUnreachable, UsageError
from VisualDICOMBrowserLib.jobs.clock import SimulatedClock
from VisualDICOMBrowserLib.jobs.description import JobDescription, JobKind, Priority
from VisualDICOMBrowserLib.jobs.job import Outcome
from VisualDICOMBrowserLib.jobs.lanes import Lanes, Limits
from VisualDICOMBrowserLib.jobs.reach import Reach
from VisualDICOMBrowserLib.jobs.states import JobState


def job(job_id, kind=JobKind.FIND, server="A", priority=Priority.USER):
    return JobDescription(str(job_id), kind, server, priority=priority)


def make_lanes(limits):
    return Lanes(limits, Reach(SimulatedClock()))


def take_all(lanes):
    taken = []
    while (place := lanes.take()) is not None:
        taken.append(place)
    return taken


def take_in_turn(lanes):
    """Take jobs one after the other, each ended before the next."""
    order = []
    while (taken := lanes.take()) is not None:
        lanes.release(taken[0])
        order.append(taken[1].job_id)
    return order


def test_the_most_urgent_goes_first_then_the_oldest():
    lanes = make_lanes(Limits())
    for number, priority in enumerate([Priority.REST, Priority.USER, Priority.VISIBLE_THUMBNAIL, Priority.USER]):
        lanes.put(job(number, priority=priority))
    assert take_in_turn(lanes) == ["2", "1", "3", "0"]


def test_servers_take_turns_at_equal_urgency():
    lanes = make_lanes(Limits())
    for number in range(6):
        lanes.put(job(f"a{number}"))
    for number in range(2):
        lanes.put(job(f"b{number}", server="B"))
    assert take_in_turn(lanes) == ["a0", "b0", "a1", "b1", "a2", "a3", "a4", "a5"]


def test_a_saturated_server_does_not_hold_up_another():
    lanes = make_lanes(Limits())
    for number in range(100):
        lanes.put(job(number, server="dead", priority=Priority.VISIBLE_THUMBNAIL))
    lanes.put(job("other", server="B", priority=Priority.REST))
    assert [taken[1].job_id for taken in take_all(lanes)] == ["0", "1", "other"]


def test_bulk_jobs_leave_a_place_to_quick_ones_of_the_same_server():
    lanes = make_lanes(Limits(per_server=2))
    lanes.put(job("r1", JobKind.RETRIEVE))
    lanes.put(job("r2", JobKind.RETRIEVE))
    lanes.put(job("find", priority=Priority.REST))
    assert [taken[1].job_id for taken in take_all(lanes)] == ["r1", "find"]


def test_bulk_jobs_may_have_all_places_where_nothing_is_reserved():
    lanes = make_lanes(Limits(per_server=2, reserved=0))
    for number in range(3):
        lanes.put(job(number, JobKind.RETRIEVE))
    assert len(take_all(lanes)) == 2


def test_a_server_with_one_association_does_bulk_jobs_too():
    lanes = make_lanes(Limits(servers={"A": 1}))
    lanes.put(job("r", JobKind.RETRIEVE))
    assert len(take_all(lanes)) == 1


def test_who_fetches_by_way_of_a_proxy_takes_a_place_there_too():
    lanes = make_lanes(Limits(servers={"PROXY": 1}, proxies={"A": "PROXY", "B": "PROXY"}))
    for number, server in enumerate(["A", "B", "PROXY"]):
        lanes.put(job(number, JobKind.RETRIEVE, server))
        lanes.put(job(f"find {server}", JobKind.FIND, server, Priority.REST))
    assert sorted(taken[1].job_id for taken in take_all(lanes)) == ["0", "find A", "find B"]


def test_a_proxy_without_a_place_does_not_hold_up_others():
    lanes = make_lanes(Limits(servers={"PROXY": 1}, proxies={"A": "PROXY", "B": "PROXY"}))
    for number in range(20):
        lanes.put(job(number, JobKind.RETRIEVE, "AB"[number % 2], Priority.VISIBLE_THUMBNAIL))
    lanes.put(job("elsewhere", JobKind.RETRIEVE, "C", Priority.REST))
    assert [taken[1].job_id for taken in take_all(lanes)] == ["0", "elsewhere"]


def test_a_limited_kind_does_not_hold_up_others():
    lanes = make_lanes(Limits(per_kind={JobKind.THUMBNAIL: 1}))
    for number in range(5):
        lanes.put(job(number, JobKind.THUMBNAIL, priority=Priority.VISIBLE_THUMBNAIL))
    lanes.put(job("find"))
    assert [taken[1].job_id for taken in take_all(lanes)] == ["0", "find"]


def test_servers_that_did_not_answer_last_time_have_half_of_the_places():
    reach = Reach(SimulatedClock())
    lanes = Lanes(Limits(total=8, per_server=2), reach)
    silence = Outcome(state=JobState.FAILED, error=ServerUnreachable("No answer."))
    for server in ("dead 1", "dead 2", "dead 3", "dead 4"):
        reach.end(job("before", server=server), silence)
        for number in range(3):
            lanes.put(job(f"{server} {number}", server=server, priority=Priority.VISIBLE_THUMBNAIL))
    for number in range(3):
        lanes.put(job(f"well {number}", server="well", priority=Priority.REST))
    servers = Counter(taken[1].server for taken in take_all(lanes))
    assert servers == {"dead 1": 1, "dead 2": 1, "dead 3": 1, "dead 4": 1, "well": 2}


def test_a_job_that_only_stands_for_something_takes_no_place():
    lanes = make_lanes(Limits(total=1, local=1))
    for number in range(2):
        lanes.put(job(f"stands {number}", JobKind.LISTENER, None))
    for number in range(2):
        lanes.put(job(f"works {number}", JobKind.REMOVE, None))
    taken = [taken[1].job_id for taken in take_all(lanes)]
    assert sorted(taken) == ["stands 0", "stands 1", "works 0"]
    assert lanes.standing == 2


def test_a_job_that_was_discarded_is_not_taken():
    lanes = make_lanes(Limits())
    lanes.put(job("1"))
    lanes.discard("1")
    lanes.discard("1")
    assert lanes.take() is None


@pytest.mark.parametrize(
    "values", [{"total": 0}, {"per_server": 0}, {"servers": {"A": 0}}, {"local": -1}, {"reserved": -1}]
)
def test_limits_that_let_nothing_through_are_refused(values):
    with pytest.raises(UsageError):
        Limits(**values)


LIMITS = st.builds(
    Limits,
    total=st.integers(1, 6),
    per_server=st.integers(1, 3),
    servers=st.dictionaries(st.sampled_from("AB"), st.integers(1, 3)),
    proxies=st.dictionaries(st.sampled_from("AB"), st.just("C")),
    local=st.integers(1, 3),
    per_kind=st.dictionaries(st.sampled_from(JobKind), st.integers(1, 3), max_size=2),
    reserved=st.integers(0, 3),
)
JOBS = st.lists(
    st.tuples(st.sampled_from(JobKind), st.sampled_from(["A", "B", "C", None]), st.sampled_from(Priority)), max_size=40
)


@given(LIMITS, JOBS, st.data())
def test_limits_hold_and_everything_is_taken_in_the_end(limits, jobs, data):
    lanes = make_lanes(limits)
    for number, (kind, server, priority) in enumerate(jobs):
        lanes.put(job(number, kind, server, priority))
    running, done = [], []
    while len(done) < len(jobs):
        running += take_all(lanes)
        counted = [j for _, j in running if not j.kind.standing]
        assert len(counted) <= limits.total
        places = Counter(place for j in counted for place in limits.places_of(j))
        assert all(count <= limits.of_server(place) for place, count in places.items())
        assert all(count <= limits.per_kind.get(k, 99) for k, count in Counter(j.kind for j in counted).items())
        assert running, "jobs are queued, nothing runs, and none may start"
        ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
        lanes.release(ended[0])
        done.append(ended[1].job_id)
    assert sorted(done, key=int) == [str(number) for number in range(len(jobs))]
