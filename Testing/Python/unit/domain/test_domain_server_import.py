"""Servers of another program join the configured ones: names, what is known, proxies."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain.server_import import ServerImport, plan_import
from VisualDICOMBrowserLib.domain.servers import RetrieveMethod, Server


def server(name: str, host: str = "", **changes) -> Server:
    return replace(Server(name, host or f"{name.lower().replace(' ', '')}.example.org", 104, "ANY"), **changes)


def skipped(plan: ServerImport) -> dict[str, str]:
    return {failure.subject: failure.reason for failure in plan.skipped}


def test_what_is_new_is_added_in_its_order():
    assert plan_import([server("A")], [server("C"), server("B")]).added == (server("C"), server("B"))


def test_the_same_connection_is_known_whatever_its_name_and_timeout():
    mine = server("Mine", "PACS.example.org", timeout=60, max_associations=7)
    plan = plan_import([mine], [server("PACS"), server("Mine", "pacs.example.org")])
    assert plan == ServerImport(known=("Mine",))


def test_another_server_of_the_same_name_gets_a_free_one():
    mine = [server("PACS"), server("PACS (2)")]
    theirs = server("PACS", "elsewhere.example.org")
    plan = plan_import(mine, [theirs])
    assert [one.name for one in plan.added] == ["PACS (3)"]
    again = plan_import([*mine, *plan.added], [theirs])
    assert again == ServerImport(known=("PACS (3)",))


def test_a_free_name_is_not_too_long():
    long = "n" * 64
    (added,) = plan_import([server(long, "a")], [server(long, "b")]).added
    assert added.name == "n" * 60 + " (2)"


def test_each_other_way_to_connect_is_another_server():
    mine = server("PACS")
    others = [
        replace(mine, port=105),
        replace(mine, called_aet="OTHER"),
        replace(mine, calling_aet="OTHER"),
        replace(mine, retrieve=RetrieveMethod.MOVE),
    ]
    for other in others:
        assert [one.name for one in plan_import([mine], [other]).added] == ["PACS (2)"]


def test_proxies_come_first_and_are_followed_to_their_new_names():
    mine = server("Gate", "mine.example.org")
    wanted = [server("Far", proxy="Near"), server("Near", proxy="Gate"), server("Gate")]
    plan = plan_import([mine], wanted)
    assert [(one.name, one.proxy) for one in plan.added] == [("Gate (2)", None), ("Near", "Gate (2)"), ("Far", "Near")]
    assert plan_import([mine, *plan.added], wanted).added == ()


def test_a_proxy_that_is_known_is_referred_to_by_its_configured_name():
    mine = server("Door", "gate.example.org")
    plan = plan_import([mine], [server("PACS", proxy="Gate"), server("Gate")])
    assert ([(one.name, one.proxy) for one in plan.added], plan.known) == ([("PACS", "Door")], ("Door",))


def test_a_server_may_have_the_name_under_which_its_proxy_is_known():
    mine = server("PACS", "gate.example.org")
    plan = plan_import([mine], [server("PACS", "pacs.example.org", proxy="Gate"), server("Gate")])
    assert [(one.name, one.proxy) for one in plan.added] == [("PACS (2)", "PACS")]


def test_missing_proxies_and_circles_are_named():
    wanted = [
        server("Lost", proxy="Nowhere"),
        server("Behind", proxy="Lost"),
        server("A", proxy="B"),
        server("B", proxy="C"),
        server("C", proxy="A"),
        server("Before", proxy="A"),
        server("Good"),
    ]
    plan = plan_import([server("Nowhere")], wanted)
    assert [one.name for one in plan.added] == ["Good"]
    assert skipped(plan) == {
        "Lost": "Its proxy Nowhere is not there.",
        "Behind": "Its proxy Lost cannot be imported.",
        **dict.fromkeys("ABC", "Its proxies form a circle."),
        "Before": "Its proxy A cannot be imported.",
    }


def test_a_long_chain_is_no_trouble():
    wanted = [server(f"S{n}", proxy=f"S{n + 1}") for n in range(999)] + [server("S999")]
    assert len(plan_import([], wanted).added) == 1000


NAMES = st.sampled_from("ABCDE")
SERVERS = st.builds(
    lambda name, host, proxy: server(name, host, proxy=proxy if proxy != name else None),
    NAMES,
    st.sampled_from(["x", "y", "z"]),
    st.none() | NAMES,
)


@given(st.lists(SERVERS, max_size=4, unique_by=lambda one: one.name), st.lists(SERVERS, max_size=6))
def test_whatever_comes_the_outcome_can_be_configured_and_a_second_time_changes_nothing(mine, theirs):
    plan = plan_import(mine, theirs)
    names = [one.name for one in mine]
    for one in plan.added:
        assert one.name not in names
        assert one.proxy is None or one.proxy in names
        names.append(one.name)
    assert plan_import([*mine, *plan.added], theirs).added == ()
