"""Loading step by step: queue, cancel, choice, failures, references, views, and what is marked as loaded."""

from __future__ import annotations

from itertools import pairwise

import pytest

from support.slicer_fakes import volumes_on_disk as disk
from support.slicer_fakes.core_here import require_slicer_core
from VisualDICOMBrowserLib.gui.host import LoadOption, LoadProgress
from VisualDICOMBrowserLib.gui.messages import Tone

require_slicer_core()

import slicer  # noqa: E402
import slicer.util  # noqa: E402

from support.slicer_fakes.dicom_plugins import RaisingPlugin, ReferencePlugin, RefusingPlugin, VolumePlugin  # noqa: E402
from support.slicer_fakes.loading_desk import loading_desk  # noqa: E402

REFERENCES = "DICOM/automaticallyLoadReferences"


@pytest.fixture
def desk(tmp_path, capfd):
    with loading_desk(tmp_path) as made:
        yield made
    assert capfd.readouterr().err == ""


def add_volume(desk, number: int = 1, **row) -> str:
    return desk.add(*disk.write_slices(desk.folder / str(number), number, disk.oblique(), range(3)), **row)


def add_references(desk, number: int, to: str) -> str:
    instances = desk.slicer.database.instancesForSeries(to)
    return desk.add(disk.write_reference(desk.folder / str(number), number, instances))


# Steps


def test_every_series_and_every_volume_has_a_turn_of_the_event_loop(desk):
    uids = [add_volume(desk, number) for number in (1, 2)]
    desk.loader.load(uids)
    shown_before_turns, counts = [], [0]
    while desk.turns:
        shown_before_turns += [one.text for one in desk.progress[-1:] if one]
        desk.turn()
        counts.append(len(desk.slicer.volumes()))
    assert {later - earlier for earlier, later in pairwise(counts)} == {0, 1}
    assert list(dict.fromkeys(shown_before_turns)) == [
        "Looking at “1: Series 1” …",
        "Looking at “2: Series 2” …",
        "Loading “1: Series 1” as Scalar Volume …",
        "Loading “2: Series 2” as Scalar Volume …",
    ]
    assert desk.progress[-1] is None


def test_progress_goes_up(desk):
    desk.load(add_volume(desk, 1), add_volume(desk, 2))
    fractions = [one.fraction for one in desk.progress if one and one.text.startswith("Looking")]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert fractions[-1] <= 1.0


def test_requests_wait_for_each_other_and_a_series_that_waits_is_loaded_once(desk):
    first, second = add_volume(desk, 1), add_volume(desk, 2)
    desk.loader.load([first])
    desk.loader.load([second])
    desk.loader.load([second, first])
    desk.run()
    assert [node.GetName() for node in desk.slicer.volumes()] == ["Series 1", "Series 2"]
    desk.load(first)
    assert len(desk.slicer.volumes()) == 3


def test_what_was_examined_is_remembered(desk):
    uid = add_volume(desk)
    desk.load(uid)
    desk.load(uid)
    (plugin,) = desk.loader._plugins._instances.values()
    assert plugin.examined == 1
    assert len(desk.slicer.volumes()) == 2


# Failures


def test_an_unknown_series_is_said_not_to_be_there(desk):
    desk.load("1.2.3")
    assert desk.message.text == "Slicer's database has no file of a series."
    assert desk.message.tone is Tone.PROBLEM
    assert desk.progress[-1] is None


def test_a_closed_database_has_nothing(desk):
    uid = add_volume(desk)
    desk.slicer.database._open = False
    desk.load(uid)
    assert desk.message.text == "Slicer's database has no file of “1: Series 1”."


def test_before_slicer_has_a_database_there_is_nothing(desk, monkeypatch):
    uid = add_volume(desk)
    monkeypatch.setattr(slicer, "dicomDatabase", None)
    desk.load(uid)
    assert desk.message.text == "Slicer's database has no file of “1: Series 1”."


def test_an_application_without_io_manager_loads_all_the_same(desk, monkeypatch):
    monkeypatch.setattr(desk.slicer.app, "ioManager", lambda: None)
    desk.load(add_volume(desk))
    assert desk.message.text == "Loaded 1 volume."


def test_a_long_warning_is_told_in_the_details(desk):
    class WaryPlugin(VolumePlugin):
        def look_at(self, files):
            (found,) = super().look_at(files)
            found.warning = "Beware.\n" * 40
            return [found]

    desk.use(WaryPlugin)
    desk.load(add_volume(desk))
    assert desk.message.text == "Loaded 1 volume. There is a warning."
    assert desk.message.details == ("“1: Series 1”: " + " ".join(["Beware."] * 40),)


def test_some_files_that_are_gone_are_told(desk):
    paths = disk.write_slices(desk.folder / "a", 1, disk.oblique(), range(3))
    uid = desk.add(*paths)
    paths[0].unlink()
    desk.use(RefusingPlugin)
    desk.load(uid)
    assert "“1: Series 1”: 1 of 3 files are not on the disk any more." in desk.message.text


def test_files_that_are_gone_are_told(desk):
    paths = disk.write_slices(desk.folder / "a", 1, disk.oblique(), range(3))
    uid = desk.add(*paths)
    for path in paths:
        path.unlink()
    desk.load(uid)
    assert desk.message.text == "The files of “1: Series 1” are not on the disk any more."


def test_what_no_plugin_reads_is_told_in_plain_words(desk):
    desk.use(ReferencePlugin)
    desk.load(add_volume(desk))
    assert desk.message.text == "No plugin of Slicer could read “1: Series 1”."
    assert desk.slicer.volumes() == []


def test_a_plugin_that_raises_does_not_keep_the_others_from_loading(desk):
    desk.use(RaisingPlugin, VolumePlugin)
    desk.load(add_volume(desk))
    assert desk.message.text == "Loaded 1 volume. “1: Series 1”: Plugin failed: RaisingPlugin."
    assert desk.message.tone is Tone.WARNING


def test_a_plugin_that_loads_nothing_is_told_and_nothing_is_marked(desk):
    desk.use(RefusingPlugin, VolumePlugin)
    desk.load(add_volume(desk))
    assert desk.message.text == "“1: Series 1” could not be loaded as Refusing."
    assert desk.loader.loaded == frozenset()
    assert desk.slicer.app.ioManager().loaded == []


@pytest.mark.expects_log("The DICOM plugins could not examine a series: RuntimeError.")
def test_slicers_own_failure_is_told_and_what_it_says_stays_out_of_the_log(desk, monkeypatch):
    def fail(*_):
        raise RuntimeError("Loader^Lou")

    uid = add_volume(desk)
    monkeypatch.setattr("DICOMLib.DICOMUtils.getLoadablesFromFileLists", fail)
    desk.load(uid)
    name = "“1: Series 1”"
    text = f"No plugin of Slicer could read {name}. {name}: The DICOM plugins failed (RuntimeError)."
    assert desk.message.text == text
    assert "Loader^Lou" not in str(desk.session.messages)


# Cancelling


def test_a_cancel_while_examining_loads_nothing(desk):
    uids = [add_volume(desk, number) for number in (1, 2)]
    desk.loader.load(uids)
    desk.turn()
    desk.loader.cancel()
    desk.run()
    assert desk.slicer.volumes() == []
    assert desk.message.text == "Nothing was loaded: cancelled."
    assert desk.progress[-1] is None


def test_a_cancel_within_the_plugins_stops_them(desk):
    uid = add_volume(desk)
    desk.use(RefusingPlugin, VolumePlugin)
    desk.loader.load([uid])
    told = iter([desk.loader.cancel])
    desk.loader.progress_changed.connect(lambda _: next(told, lambda: None)())
    desk.run()
    assert set(desk.loader._plugins._instances) == {"RefusingPlugin"}
    assert desk.message.text == "Nothing was loaded: cancelled."


def test_a_cancel_between_volumes_keeps_what_is_loaded(desk):
    uids = [add_volume(desk, number) for number in (1, 2, 3)]
    desk.loader.load(uids)
    while not desk.slicer.volumes():
        desk.turn()
    desk.loader.cancel()
    desk.run()
    assert len(desk.slicer.volumes()) == 1
    assert desk.message.text == "Loaded 1 volume. The rest was cancelled."
    assert desk.loader.loaded == {uids[0]}


def test_a_cancel_forgets_what_waits(desk):
    first, second = add_volume(desk, 1), add_volume(desk, 2)
    desk.loader.load([first])
    desk.loader.load([second])
    desk.loader.cancel()
    desk.run()
    assert desk.slicer.volumes() == []


def test_a_closed_loader_tells_nothing_more(desk):
    desk.loader.load([add_volume(desk)])
    desk.progress.clear()
    desk.loader.close()
    desk.run()
    assert desk.session.messages == []
    assert desk.progress == []
    assert desk.slicer.volumes() == []


# Choosing


def test_the_options_are_told_and_only_what_is_chosen_is_loaded(desk):
    desk.use(RefusingPlugin, VolumePlugin)
    desk.loader.load([add_volume(desk, 1), add_volume(desk, 2)], choose=True)
    desk.run()
    name = "“1: Series 1”"
    assert desk.options[0][:2] == (
        LoadOption(disk.series_uid(1), name, "Refusing", "Refused", 0.9, "", True),
        LoadOption(disk.series_uid(1), name, "Scalar Volume", "Series 1", 0.5, "", False),
    )
    assert desk.slicer.volumes() == []
    desk.loader.choose([3])
    desk.run()
    assert [node.GetName() for node in desk.slicer.volumes()] == ["Series 2"]
    assert desk.options[1:] == [()]


def test_no_choice_loads_nothing(desk):
    desk.load(add_volume(desk), choose=True)
    desk.loader.choose([])
    desk.run()
    assert desk.slicer.volumes() == []
    assert desk.message.text == "Nothing was loaded: cancelled."
    assert desk.options[-1] == ()


def test_a_cancel_closes_the_choice_and_the_next_request_begins(desk):
    desk.load(add_volume(desk, 1), choose=True)
    assert desk.progress[-1] == LoadProgress("Waiting for your choice of what to load.")
    desk.loader.cancel()
    assert desk.options[-1] == ()
    desk.load(add_volume(desk, 2))
    assert [node.GetName() for node in desk.slicer.volumes()] == ["Series 2"]


def test_a_request_waits_while_the_user_chooses(desk):
    first, second = add_volume(desk, 1), add_volume(desk, 2)
    desk.load(first, choose=True)
    desk.load(second)
    assert desk.slicer.volumes() == []
    desk.loader.choose([0])
    desk.run()
    assert [node.GetName() for node in desk.slicer.volumes()] == ["Series 1", "Series 2"]


# References


def test_referenced_series_are_offered(desk):
    volume = add_volume(desk, 1)
    desk.use(VolumePlugin, ReferencePlugin)
    desk.load(add_references(desk, 2, volume))
    assert desk.message.text == "Loaded 1 table. It refers to “1: Series 1”, here and not loaded."
    (remedy,) = desk.message.remedies
    assert remedy.label == "Load these too"
    remedy.act()
    desk.run()
    assert desk.loader.loaded == {disk.series_uid(1), disk.series_uid(2)}


@pytest.mark.parametrize("kept", ["16384", 16384])
def test_referenced_series_are_loaded_first_if_slicer_is_set_so(desk, kept):
    desk.slicer.settings[REFERENCES] = kept
    volume = add_volume(desk, 1)
    desk.use(VolumePlugin, ReferencePlugin)
    desk.load(add_references(desk, 2, volume))
    assert desk.message.text == "Loaded 1 volume and 1 table."
    assert desk.message.remedies == ()
    ids = [uid for call in desk.slicer.app.ioManager().loaded for uid in call["nodeIDs"]]
    assert [slicer.mrmlScene.GetNodeByID(uid).GetClassName() for uid in ids] == [
        "vtkMRMLScalarVolumeNode",
        "vtkMRMLTableNode",
    ]


def test_referenced_series_are_left_alone_if_slicer_is_set_so(desk):
    desk.slicer.settings[REFERENCES] = "65536"
    volume = add_volume(desk, 1)
    desk.use(VolumePlugin, ReferencePlugin)
    desk.load(add_references(desk, 2, volume))
    assert desk.message.text == "Loaded 1 table."
    assert desk.message.remedies == ()


def test_what_is_loaded_or_wanted_anyhow_is_not_offered(desk):
    volume = add_volume(desk, 1)
    desk.use(VolumePlugin, ReferencePlugin)
    references = add_references(desk, 2, volume)
    desk.load(references, volume)
    assert desk.message.remedies == ()
    desk.load(references)
    assert desk.message.remedies == ()


# Slice views


def views(desk) -> dict[str, tuple]:
    nodes = {name: logic.GetSliceNode() for name, logic in desk.slicer.slices.items()}
    return {
        name: (tuple(node.GetFieldOfView()), node.GetSliceOffset(), tuple(node.GetXYZOrigin()))
        for name, node in nodes.items()
    }


def test_the_first_volume_is_fitted(desk):
    before = views(desk)
    desk.load(add_volume(desk))
    after = views(desk)
    assert all(after[name] != before[name] for name in after)


def test_position_and_zoom_of_the_views_survive_a_load(desk):
    desk.load(add_volume(desk, 1))
    for name, offset, zoom in (("Red", 119.0, 7.0), ("Green", -38.0, 9.0), ("Yellow", 22.0, 11.0)):
        node = desk.slicer.slices[name].GetSliceNode()
        node.SetFieldOfView(zoom, zoom * 0.75, 1.0)
        node.SetXYZOrigin(2.0, 3.0, 0.0)
        node.SetSliceOffset(offset)
    before = views(desk)
    desk.load(add_volume(desk, 2))
    assert views(desk) == before
    assert desk.message.remedies == ()
    composite = desk.slicer.slices["Red"].GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() == desk.slicer.volumes()[1].GetID()


def test_views_that_are_elsewhere_can_be_brought_to_the_volume(desk):
    desk.load(add_volume(desk, 1))
    for logic in desk.slicer.slices.values():
        logic.GetSliceNode().SetSliceOffset(500.0)
    before = views(desk)
    desk.load(add_volume(desk, 2))
    assert views(desk) == before
    (remedy,) = desk.message.remedies
    assert remedy.label == "Show in slice views"
    remedy.act()
    assert all(abs(view[1]) < 200 for view in views(desk).values())


def test_what_the_user_scrolls_to_between_two_volumes_is_kept(desk):
    desk.load(add_volume(desk, 1))
    node = desk.slicer.slices["Red"].GetSliceNode()
    desk.loader.load([add_volume(desk, 2), add_volume(desk, 3)])
    while len(desk.slicer.volumes()) < 2:
        desk.turn()
    node.SetSliceOffset(118.5)
    desk.run()
    assert len(desk.slicer.volumes()) == 3
    assert node.GetSliceOffset() == pytest.approx(118.5)


# Marks


def test_loaded_series_are_told_also_to_slicers_database(desk):
    uid = add_volume(desk)
    desk.load(uid)
    assert desk.loaded == [frozenset({uid})]
    assert list(desk.slicer.database.loadedSeriesInstanceUIDs) == [uid]


def test_marks_follow_removal_of_a_node(desk):
    uids = [add_volume(desk, number) for number in (1, 2)]
    desk.load(*uids)
    slicer.mrmlScene.RemoveNode(desk.slicer.volumes()[0])
    desk.run()
    assert desk.loader.loaded == {uids[1]}
    assert list(desk.slicer.database.loadedSeriesInstanceUIDs) == [uids[1]]


def test_marks_follow_the_end_of_the_scene(desk):
    desk.load(add_volume(desk))
    slicer.mrmlScene.Clear(0)
    desk.run()
    assert desk.loaded[-1] == frozenset()


def test_a_node_without_a_place_in_the_hierarchy_is_known_by_its_instances(desk):
    uid = add_volume(desk)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "by somebody else")
    node.SetAttribute("DICOM.instanceUIDs", " ".join(desk.slicer.database.instancesForSeries(uid)))
    desk.run()
    assert desk.loader.loaded == {uid}


def test_what_others_load_is_marked(desk):
    uid = add_volume(desk)
    plugin = VolumePlugin()
    plugin.load(plugin.examineForImport([desk.slicer.database.filesForSeries(uid)])[0])
    desk.run()
    assert desk.loader.loaded == {uid}
