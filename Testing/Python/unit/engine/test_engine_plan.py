"""What a server announces, from a finder that answers from a list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from VisualDICOMBrowserLib.domain.cancel import CancelToken
from VisualDICOMBrowserLib.domain.errors import OperationRefused
from VisualDICOMBrowserLib.domain.model import Instance, Level, Patient, Series, Study, Target
from VisualDICOMBrowserLib.domain.servers import Server
from VisualDICOMBrowserLib.engine import plan as module
from VisualDICOMBrowserLib.engine.plan import CountedBy, Plan, make_plan

SERVER = Server("PACS", "localhost", 104, "PACS")
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


class FakeFinder:
    def __init__(self) -> None:
        self.unusable: list[Study | Series | Instance] = []
        self.damaged = 0
        self.held_studies = [
            Study("1.1", Patient("P", "Doe"), sop_classes=(CT, MR)),
            Study("1.2", Patient("P", "Doe")),
            Study("1.3", Patient("P2", "Roe")),
        ]
        self.held_series = [Series("1.1.1", "1.1", 1, "CT", instance_count=2), Series("1.1.2", "1.1", 2, "CT")]
        self.held_instances = [Instance(f"1.1.1.{n}", "1.1.1", "1.1", n, CT) for n in (1, 2)]
        self.lists_images = True
        self.cut_off: set[str] = set()
        self.takes_bare_uids = True

    def studies(self, keys: dict, limit: int) -> tuple[list[Study], bool]:
        return self.held_studies[:limit], "studies" in self.cut_off  # whatever was asked for, as some servers do

    def series(self, study_uid: str, keys: dict, limit: int) -> tuple[list[Series], bool]:
        if not study_uid and not self.takes_bare_uids:
            raise OperationRefused("No.", 0xC000)
        wanted = keys.get("SeriesInstanceUID", "")
        return [
            s for s in self.held_series if s.study_uid == study_uid or s.series_uid == wanted
        ], "series" in self.cut_off

    def instances(self, study_uid: str, series_uid: str, keys: dict, limit: int) -> tuple[list[Instance], bool]:
        if not self.lists_images or (not study_uid and not self.takes_bare_uids):
            raise OperationRefused("No.", 0xC000)
        wanted = keys.get("SOPInstanceUID", "")
        return [
            i for i in self.held_instances if i.series_uid == series_uid or (not series_uid and i.sop_uid == wanted)
        ], "instances" in self.cut_off


class FakeCatalogue:
    def __init__(self, known: dict[str, tuple[str, str]] | None = None) -> None:
        self.known = known or {}

    def parents(self, level: Level, uid: str) -> tuple[str, str] | None:
        return self.known.get(uid)


@pytest.fixture
def finder(monkeypatch) -> FakeFinder:
    made = FakeFinder()

    @contextmanager
    def connect(server: Server, token: CancelToken, associate: object = None) -> Iterator[FakeFinder]:
        yield made

    monkeypatch.setattr(module.Finder, "connect", connect)
    return made


def plan(level: Level, *uids: str, known: dict[str, tuple[str, str]] | None = None) -> Plan:
    return make_plan(SERVER, Target(level, uids), FakeCatalogue(known), CancelToken())  # type: ignore[arg-type]


def test_a_patient_is_all_studies_with_exactly_that_id(finder):
    made = plan(Level.PATIENT, "P")

    assert [s.study_uid for s in made.studies] == ["1.1", "1.2"]
    assert made.found == {"P"}


def test_a_study_is_the_one_of_that_uid_even_if_the_server_answers_with_all(finder):
    made = plan(Level.STUDY, "1.2", "9.9")

    assert [s.study_uid for s in made.studies] == ["1.2"]
    assert made.found == {"1.2"}


def test_listed_instances_are_counted_and_name_their_classes(finder):
    first, second = plan(Level.STUDY, "1.1").series

    assert (first.count, first.counted_by, first.sop_classes, first.certain) == (2, CountedBy.IMAGE_FIND, (CT,), True)
    assert (second.count, second.counted_by, second.certain) == (None, CountedBy.SUB_OPERATIONS, False)
    assert second.sop_classes == (CT, MR)


def test_one_instance_without_class_makes_the_classes_of_the_study_count(finder):
    finder.held_instances[1] = Instance("1.1.1.2", "1.1.1", "1.1", 2)

    assert plan(Level.STUDY, "1.1").series[0].sop_classes == (CT, MR)


def test_without_a_list_the_related_instances_count(finder):
    finder.lists_images = False
    first, second = plan(Level.STUDY, "1.1").series

    assert (first.count, first.counted_by, first.instances) == (2, CountedBy.RELATED_INSTANCES, {})
    assert (second.count, second.counted_by) == (None, CountedBy.SUB_OPERATIONS)


@pytest.mark.parametrize(
    ("level", "uid", "cut_off", "is_short"),
    [
        (Level.PATIENT, "P", "studies", True),
        (Level.PATIENT, "P", "series", True),
        (Level.STUDY, "1.1", "instances", True),
        (Level.SERIES, "1.1.1", "instances", True),
        (Level.STUDY, "1.1", "studies", False),  # it was among them
        (Level.SERIES, "1.1.1", "series", False),
        (Level.IMAGE, "1.1.1.1", "instances", False),
        (Level.PATIENT, "P", "", False),
    ],
)
def test_a_list_that_is_cut_off_makes_the_plan_short_if_it_matters(finder, level, uid, cut_off, is_short):
    finder.cut_off = {cut_off}

    assert plan(level, uid, known={"1.1.1": ("1.1", "1.1.1"), "1.1.1.1": ("1.1", "1.1.1")}).cut_off is is_short


@pytest.mark.parametrize("bare", [True, False])
def test_a_series_nobody_knows_is_located_first(finder, bare):
    finder.takes_bare_uids = bare
    made = plan(Level.SERIES, "1.1.1", "9.9")

    assert [s.series.series_uid for s in made.series] == ["1.1.1"]
    assert made.found == {"1.1.1"}


@pytest.mark.parametrize("bare", [True, False])
def test_instances_are_located_and_only_they_are_planned(finder, bare):
    finder.takes_bare_uids = bare
    made = plan(Level.IMAGE, "1.1.1.2")

    assert list(made.series[0].instances) == ["1.1.1.2"]
    assert (made.series[0].count, made.series[0].whole) == (1, False)
    assert made.found == {"1.1.1.2"}


def test_instances_of_a_server_that_lists_none_count_as_they_were_asked_for(finder):
    finder.lists_images = False
    made = plan(Level.IMAGE, "1.1.1.7", known={"1.1.1.7": ("1.1", "1.1.1")})

    assert list(made.series[0].instances) == ["1.1.1.7"]
    assert made.series[0].counted_by is CountedBy.REQUEST


def test_what_is_known_already_is_not_searched_for(finder):
    finder.takes_bare_uids = False
    finder.held_studies = [s for s in finder.held_studies if s.study_uid == "1.1"]

    assert plan(Level.SERIES, "1.1.2", known={"1.1.2": ("1.1", "1.1.2")}).found == {"1.1.2"}


def test_a_server_without_anything_of_the_target_gives_an_empty_plan(finder):
    finder.held_studies = []
    for level in Level:
        made = plan(level, "1.1")
        assert (made.studies, made.series, made.found) == ([], [], set())
