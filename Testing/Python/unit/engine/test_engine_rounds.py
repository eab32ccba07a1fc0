from __future__ import annotations

from collections.abc import Callable

from VisualDICOMBrowserLib.dimse.contexts import MAX_CONTEXTS, UNCOMPRESSED, Proposal, all_storage_classes
from VisualDICOMBrowserLib.dimse.negotiation import AcceptedContext
from VisualDICOMBrowserLib.engine.rounds import Experience, rounds

CT, MR, SC = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.7"
JPEG, J2K, RLE = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"

Takes = Callable[[str, str], bool]


def play(takes: Takes, classes: list[str], modalities: list[str], *, certain: bool) -> list[list[Proposal]]:
    """Go through all rounds with a server that takes some (class, syntax) pairs."""
    experience = Experience()
    seen = []
    for proposals in rounds(classes, modalities, experience, certain=certain):
        seen.append(proposals)
        accepted = [
            AcceptedContext(1, p.abstract_syntax, syntax)
            for p in proposals
            for syntax in p.transfer_syntaxes[:1]
            if takes(p.abstract_syntax, syntax)
        ]
        experience.note(proposals, accepted)
    return seen


def syntaxes(proposals: list[Proposal]) -> set[str]:
    return {syntax for p in proposals for syntax in p.transfer_syntaxes}


def test_the_first_round_offers_what_is_known_in_every_syntax_for_receiving():
    first = play(lambda *_: True, [CT], ["CT"], certain=True)[0]

    assert {p.abstract_syntax for p in first} == {CT}
    assert {*UNCOMPRESSED, JPEG, J2K, RLE} <= syntaxes(first)
    assert all(p.as_scp for p in first)


def test_a_certain_class_brings_no_others_into_play():
    for proposals in play(lambda *_: True, [CT], ["CT"], certain=True):
        assert {p.abstract_syntax for p in proposals} == {CT}


def test_a_server_of_uncompressed_objects_only_is_not_asked_syntax_by_syntax():
    played = play(lambda _, syntax: syntax in UNCOMPRESSED, [], ["CT"], certain=False)

    assert len(played) <= 3
    assert all(syntaxes(proposals) <= set(UNCOMPRESSED) for proposals in played[1:])


def test_accepted_compressed_syntaxes_are_offered_one_at_a_time_and_nothing_else_with_them():
    played = play(lambda _, syntax: syntax in (*UNCOMPRESSED, JPEG, J2K), [], ["CT"], certain=False)

    assert [syntaxes(proposals) for proposals in played[-2:]] == [{J2K}, {JPEG}]
    assert CT in {p.abstract_syntax for p in played[-1]}


def test_every_storage_class_is_offered_uncompressed_at_some_time():
    played = play(lambda *_: False, [], ["OT"], certain=False)
    offered = {p.abstract_syntax for proposals in played for p in proposals if p.transfer_syntaxes == UNCOMPRESSED}

    assert offered == set(all_storage_classes())


def test_private_classes_that_the_server_named_are_offered_too():
    first = play(lambda *_: True, ["1.2.3.4.5"], [], certain=False)[0]

    assert first[0].abstract_syntax == "1.2.3.4.5"


def test_no_round_holds_more_contexts_than_an_association_beside_c_get():
    classes = all_storage_classes()
    played = play(lambda *_: True, list(classes), ["CT", "MR", "OT"], certain=False)

    assert all(0 < len(proposals) <= MAX_CONTEXTS - 1 for proposals in played)


def test_a_server_that_takes_a_class_only_in_the_second_round_is_still_asked_for_the_likely_syntaxes():
    rare = all_storage_classes()[-1]
    played = play(lambda sop_class, _: sop_class == rare, [], ["CT"], certain=False)

    assert {JPEG} in [syntaxes(proposals) for proposals in played]
    assert len(played) < 20
