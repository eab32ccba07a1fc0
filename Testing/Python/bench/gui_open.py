"""Opens the window once, in a process of its own as a program does, and prints when what was painted.

Arguments: a database folder with a catalogue, a folder for configuration and logs, the key of the person to choose.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.gui_window import settled_frames
from support.browser_window import BrowserWidget, make_session, qt, theme, wait_for

DATABASE, FOLDER, PATIENT = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])


def main() -> None:
    app = qt.QApplication([])
    theme.apply(app, "light")
    session = make_session(DATABASE, FOLDER / "config.json", FOLDER)
    session.start()
    wait_for(lambda: session.ready, "the engine")
    before = time.perf_counter()
    browser = BrowserWidget(session)
    browser.resize(1280, 820)
    constructed = time.perf_counter()

    def show() -> None:
        browser.choose_patient(PATIENT)
        browser.show()

    shown = time.perf_counter()
    try:
        first, complete, frames = settled_frames(browser, show)
        check_what_is_seen(browser)
    finally:
        browser.hide()
        browser.close_session()
    told = {
        "open": complete - shown,
        "first_frame": first - shown,
        "with_construction": complete - before,
        "construction": constructed - before,
        "frames": frames,
    }
    print(json.dumps(told))  # noqa: T201


def check_what_is_seen(browser: Any) -> None:
    sheet = browser._page.sheet
    seen = sheet.canvas.visible_rows()
    assert len(seen) >= 8, f"only {len(seen)} series are seen"
    assert all(sheet._picture(row) is not None for row in seen), "a picture is missing"
    assert browser._patients.current().row == PATIENT
    assert len(browser._patients._model.keys) == 1000


if __name__ == "__main__":
    main()
