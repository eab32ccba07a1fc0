"""What is proposed for a C-GET: everything that may come, in an order that makes sense, in batches that fit."""

from __future__ import annotations

import pytest

from VisualDICOMBrowserLib.dimse.contexts import (
    MAX_CONTEXTS,
    UNCOMPRESSED,
    Proposal,
    all_storage_classes,
    compressed_syntaxes,
    storage_batches,
)

ROOM = MAX_CONTEXTS - 1
CT, MR, SC = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.7"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
PRIVATE = "1.2.276.0.7230010.3.1.0.1"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def proposed(*classes: str, modalities: tuple[str, ...] = (), only_these: bool = False) -> list[list[Proposal]]:
    return list(storage_batches(classes, modalities, ROOM, only_these=only_these))


@pytest.mark.parametrize("classes", [(), (CT,), (CT, MR, SC, PRIVATE), tuple(f"1.2.{n}" for n in range(300))])
def test_no_batch_is_longer_than_an_association_has_room(classes: tuple[str, ...]):
    batches = proposed(*classes)
    assert all(1 <= len(batch) <= ROOM for batch in batches)
    assert all(len(batch) == ROOM for batch in batches[:-1])


def test_everything_is_proposed_exactly_once_and_as_storage_provider():
    proposals = [proposal for batch in proposed(CT) for proposal in batch]
    pairs = [(proposal.abstract_syntax, proposal.transfer_syntaxes) for proposal in proposals]
    assert len(set(pairs)) == len(pairs)
    assert all(proposal.as_scp for proposal in proposals)
    assert {proposal.abstract_syntax for proposal in proposals} == set(all_storage_classes())


def test_known_classes_come_first_and_uncompressed():
    (first, *_) = proposed(MR, PRIVATE, CT)
    assert [p.abstract_syntax for p in first[:3]] == [MR, PRIVATE, CT]
    assert {p.transfer_syntaxes for p in first[:3]} == {UNCOMPRESSED}
    assert [(p.abstract_syntax, p.transfer_syntaxes) for p in first[3:5]] == [
        (MR, (JPEG_2000,)),
        (PRIVATE, (JPEG_2000,)),
    ]


def test_each_compressed_syntax_has_a_context_of_its_own():
    (batch,) = proposed(CT, only_these=True)
    assert batch[0].transfer_syntaxes == UNCOMPRESSED
    assert [p.transfer_syntaxes for p in batch[1:]] == [(syntax,) for syntax in compressed_syntaxes()]


def test_compressed_syntaxes_are_all_but_references_and_the_uncompressed():
    syntaxes = compressed_syntaxes()
    assert len(set(syntaxes)) == len(syntaxes)
    assert not set(UNCOMPRESSED) & set(syntaxes)
    assert {JPEG_2000, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.201"} <= set(syntaxes)
    assert "1.2.840.10008.1.2.4.94" not in syntaxes  # JPIP referenced: there would be no pixels in it


def test_only_these_means_no_other_class():
    assert {p.abstract_syntax for batch in proposed(CT, SR, only_these=True) for p in batch} == {CT, SR}


def test_only_these_without_any_class_means_all():
    assert {p.abstract_syntax for b in proposed(modalities=("CT",), only_these=True) for p in b} == set(
        all_storage_classes()
    )


def test_reports_are_not_offered_in_pixel_syntaxes():
    (batch,) = proposed(SR, only_these=True)
    assert [p.transfer_syntaxes for p in batch] == [UNCOMPRESSED, ("1.2.840.10008.1.2.1.99",)]


def test_modalities_are_used_where_the_classes_are_not_known():
    (first, *_) = proposed(modalities=("MR", "XX", "SR"))
    assert first[0].abstract_syntax == MR
    assert SR in [p.abstract_syntax for p in first]
    assert first[0].transfer_syntaxes == UNCOMPRESSED


def test_known_classes_win_over_modalities():
    (first, *_) = proposed(PRIVATE, "", PRIVATE, modalities=("MR",))
    assert [p.abstract_syntax for p in first].count(PRIVATE) == 1 + len(compressed_syntaxes())
    assert first[0].abstract_syntax == PRIVATE


def test_the_likely_classes_of_any_modality_are_in_the_first_batch():
    for modality, sop_class in (
        ("CT", CT),
        ("US", "1.2.840.10008.5.1.4.1.1.6.1"),
        ("SEG", "1.2.840.10008.5.1.4.1.1.66.4"),
    ):
        (first, *_) = proposed(modalities=(modality,))
        assert Proposal(sop_class, UNCOMPRESSED, as_scp=True) in first
        assert Proposal(sop_class, (JPEG_2000,), as_scp=True) in first


def test_a_mixed_examination_fits_into_one_association():
    (first, *_) = proposed(CT, MR, SR)
    pairs = {(p.abstract_syntax, p.transfer_syntaxes[0]) for p in first}
    assert {(c, s) for c in (CT, MR) for s in (*UNCOMPRESSED[:1], *compressed_syntaxes())} <= pairs
