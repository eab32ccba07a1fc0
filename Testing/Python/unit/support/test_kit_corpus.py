"""The corpus of real files."""

from __future__ import annotations

from support.corpus import Corpus


def test_the_corpus_has_more_than_a_hundred_usable_files(corpus: Corpus):
    assert len(corpus.files) > 100


def test_every_instance_is_in_the_corpus_once(corpus: Corpus):
    assert len(corpus.by_uid()) == len(corpus.files)


def test_every_file_left_out_has_a_reason(corpus: Corpus):
    assert corpus.left_out
    assert all(entry.reason for entry in corpus.left_out)


def test_the_corpus_spans_many_classes_and_transfer_syntaxes(corpus: Corpus):
    assert len({file.sop_class for file in corpus.files}) >= 10
    assert len({file.transfer_syntax for file in corpus.files}) >= 8


def test_a_file_that_is_not_encoded_as_it_says_is_left_out(corpus: Corpus):
    reasons = {entry.path.name: entry.reason for entry in corpus.left_out}
    assert "not encoded as its transfer syntax says" in reasons["SC_rgb_jpeg.dcm"]
