"""The demo without a window: the whole way on the embedded PACS, leaving one picture behind."""

from __future__ import annotations

import os

from PIL import Image


def test_the_headless_demo_verifies_everything_and_touches_nothing_of_the_users(bench, tmp_path):
    workplace = tmp_path / "workplace"
    workplace.mkdir()
    done = bench.process("demo", "--headless", "--json", cwd=workplace)
    document = done.document

    assert done.code == 0, done.err
    assert done.seconds < 30 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert set(document) == {"patients", "series", "requested", "verified", "thumbnails", "contact_sheet"}
    assert document["verified"] == document["requested"] > 0
    assert document["patients"] == 7
    assert document["thumbnails"] == document["series"] > 10
    assert document["contact_sheet"] == str(workplace / "contact-sheet.png")
    assert [path.name for path in workplace.iterdir()] == ["contact-sheet.png"]
    with Image.open(workplace / "contact-sheet.png") as sheet:
        assert min(sheet.size) > 300
        assert len(sheet.convert("L").getcolors() or range(256)) > 100
    assert list(bench.home.rglob("*")) == []
    assert "Trying again" not in done.err
    assert "no thumbnail" not in done.err


def test_the_demo_says_at_once_where_it_cannot_write_its_picture(bench, tmp_path):
    (tmp_path / "file").touch()
    for output in (tmp_path / "file" / "sheet.png", tmp_path):
        done = bench.main("demo", "--headless", "--json", "--output", output)
        assert done.code == 2
        assert done.seconds < 2
        assert str(tmp_path) in done.document["error"]
