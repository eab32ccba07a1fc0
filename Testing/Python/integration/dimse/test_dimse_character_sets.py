"""Names in their own script, asked of real servers that compare bytes or answer in a character set of their own."""

from __future__ import annotations

import pytest

from support.client import server_at
from support.corpus import Corpus
from support.dcmqrscp import Dcmqrscp
from support.orthanc import Orthanc
from VisualDICOMBrowserLib.dimse.find import Finder
from VisualDICOMBrowserLib.domain.cancel import CancelToken

LIMIT = 1000


def found(peer: Orthanc | Dcmqrscp, pattern: str) -> set[str]:
    with Finder.connect(server_at(peer.address, peer.ae_title, timeout=10), CancelToken()) as finder:
        by_patient = {patient.name for patient in finder.patients({"PatientName": pattern}, LIMIT)[0]}
        by_study = {study.patient.name for study in finder.studies({"PatientName": pattern}, LIMIT)[0]}
    assert by_patient == by_study
    return by_patient


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("*やまだ*", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("*길동*", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("*王*", "Wang^XiaoDong=王^小东="),
        ("*Jérôme*", "Buc^Jérôme"),
        ("Äneas^R?diger", "Äneas^Rüdiger"),
        ("Διον*", "Διονυσιος"),
        ("*бypг", "Люкceмбypг"),
        ("*דבורה*", "שרון^דבורה"),
    ],
)
def test_an_archive_that_compares_bytes_finds_names_of_every_script(
    dcmqrscp_with_corpus: Dcmqrscp, pattern: str, name: str
):
    assert name in found(dcmqrscp_with_corpus, pattern)


#: What each setting of Orthanc can answer in: a name, and a part of it to ask for.
ENCODINGS = {
    "Latin1": ("*Jérôme*", "Buc^Jérôme"),
    "Utf8": ("*山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Japanese": ("*山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "JapaneseKanji": ("*山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Korean": ("*길동*", "Hong^Gildong=洪^吉洞=홍^길동"),
    "SimplifiedChinese": ("*王*", "Wang^XiaoDong=王^小东"),
    "Chinese": ("*王*", "Wang^XiaoDong=王^小东"),
    "Cyrillic": ("*бypг", "Люкceмбypг"),
    "Greek": ("Διον*", "Διονυσιος"),
}


@pytest.fixture(scope="module")
def named(orthanc: Orthanc, corpus: Corpus) -> Orthanc:
    """An Orthanc with names in every script."""
    assert orthanc.load([file.path for file in corpus.files if file.path.name.startswith("chr")]) == []
    return orthanc


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_orthanc_is_understood_and_understands_whatever_it_answers_in(named: Orthanc, encoding: str):
    pattern, name = ENCODINGS[encoding]
    named.set_default_encoding(encoding)
    assert name in {n.rstrip("=") for n in found(named, pattern)} | found(named, pattern)
