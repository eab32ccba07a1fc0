"""The whole window sends to an Orthanc: checked, cancelled and retried, and cut off by the end of the engine."""

from __future__ import annotations

from typing import Any

import pytest
import qt

from support.fault_proxy import Throttle
from support.synthetic import make_ct_series
from support.window_hands import Hands, kill_engine
from VisualDICOMBrowserLib.domain.servers import Server

COUNT = 12
#: Bytes a second: all of it would take five seconds.
SLOW = 250_000


@pytest.fixture
def files(tmp_path):
    return make_ct_series(tmp_path / "disc", COUNT, 100_000, patient_id="SND-1", patient_name="Send^Sam", study=91)


@pytest.fixture
def slow(open_window, orthanc, fault_proxy, files) -> tuple[Hands, Any]:
    """A window with a study of its own, and a slow way to an empty server."""
    orthanc.delete_all()
    proxy = fault_proxy(orthanc.address)
    hands = open_window(Server("Archive", *proxy.address, orthanc.ae_title))
    assert hands.drop(hands.browser, [files[0].path.parent])
    hands.wait_for_message(f"Imported {COUNT} images.")
    hands.wait(lambda: hands.names() == ["Send, Sam"], "the patient")
    hands.choose_patient("Send")
    hands.wait(hands.studies, "the study")
    proxy.to_server = (Throttle(bytes_per_second=SLOW),)
    return hands, proxy


def send(hands: Hands) -> None:
    """Press the button in the header, then Enter."""
    hands.press("Send…", hands.page)
    panel = hands.browser._send_panel
    hands.wait(panel._send_button.isEnabled, "the servers")
    hands.key(qt.Qt.Key_Return)


def sends(hands: Hands) -> list[Any]:
    return [one for one in hands.window.session.jobs.records() if one.description.kind.value == "send"]


def wait_for_images(hands: Hands) -> None:
    hands.wait(lambda: any(one.done >= 4 for one in sends(hands)), "some images")


def test_what_is_here_is_sent_and_checked(slow, orthanc, files):
    hands, proxy = slow
    proxy.heal()
    send(hands)
    hands.wait_for_message(f"Archive took all {COUNT} images, and lists them.")
    assert sorted(orthanc.instances()) == sorted(file.sop_uid for file in files)


def test_a_send_is_cancelled_in_the_list_and_continued_there(slow, orthanc, files):
    hands, proxy = slow
    send(hands)
    wait_for_images(hands)
    hands.press("Show the list of jobs", hands.browser._strip)
    hands.browser._jobs.choose(sends(hands)[0].job_id)
    hands.press("Cancel", hands.browser._jobs)
    hands.wait_for_message("Sending to Archive was cancelled after")
    proxy.heal()
    before = proxy.bytes_to_server
    hands.press("Retry", hands.browser._jobs)
    hands.wait_for_message(f"Archive took all {COUNT} images, and lists them.")
    # what it had confirmed was not sent again, whatever was still on its way
    assert proxy.bytes_to_server - before < 100_000 * (COUNT - 2)
    assert sorted(orthanc.instances()) == sorted(file.sop_uid for file in files)


def test_a_send_that_the_end_of_the_engine_cut_off_goes_on_with_the_next_one(slow, orthanc, files):
    hands, proxy = slow
    send(hands)
    wait_for_images(hands)
    kill_engine()
    hands.wait_for_message("The engine stopped unexpectedly")
    proxy.heal()
    hands.press("Start again", hands.browser._messages)
    hands.wait_for_message(f"Archive took all {COUNT} images, and lists them.")
    assert sorted(orthanc.instances()) == sorted(file.sop_uid for file in files)
