"""``demo``: the window on an embedded PACS, with a search already made, touching nothing of the user's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..demo.launcher import demo_pacs
from ..engine.configuration import Configuration
from ..gui.session import Session
from . import app


def run_demo_window(say: Callable[[str], None], theme_name: str | None = None) -> int:
    """Start the PACS, open the window and search; return the exit code when it is closed.

    :param say: hears what is being done before the window is there.
    """
    _held = app.application()  # first, because without a display it ends this process, and nobody would tidy up
    with tempfile.TemporaryDirectory(prefix="visual-dicom-browser-demo-", ignore_cleanup_errors=True) as folder:
        say("Starting the embedded PACS with sample studies ...")
        with demo_pacs() as pacs:
            config = Path(folder, "config.json")
            Configuration(config).add(pacs.server)
            say(f"  {pacs.patients} patients, {pacs.studies} studies, {pacs.series} series")
            return app.main(
                Path(folder, "database"),
                config,
                theme_name=theme_name,
                log_folder=Path(folder),
                make_browser=searching_browser,
            )


def searching_browser(session: Session, parent: Any) -> Any:
    """Return a browser that searches as soon as its engine is there."""
    from ..gui.browser_widget import BrowserWidget  # noqa: PLC0415 - the module qt must be there first

    browser = BrowserWidget(session, parent)
    session.ready_changed.connect(lambda ready, _: browser.search() if ready else None)
    return browser
