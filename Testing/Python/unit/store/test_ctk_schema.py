from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from VisualDICOMBrowserLib.store.ctk_database import CtkDatabase


def _schema(path: Path) -> dict[str, str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, coalesce(sql, '') FROM sqlite_master").fetchall()
    connection.close()
    return {name: re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", sql)) for name, sql in rows}


def _rows(path: Path, table: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
    connection.close()
    return rows


def _pragmas(path: Path) -> list[object]:
    connection = sqlite3.connect(path)
    names = ("journal_mode", "page_size", "encoding", "user_version", "application_id", "auto_vacuum")
    values = [connection.execute(f"PRAGMA {name}").fetchall() for name in names]
    connection.close()
    return values


def test_a_new_folder_has_exactly_the_schema_that_ctk_makes(folder, ctk_sample):
    sample = ctk_sample("empty")
    CtkDatabase.open(folder).close()
    assert _schema(folder.ctk_database) == _schema(sample.ctk_database)
    assert _schema(folder.ctk_tag_cache) == _schema(sample.ctk_tag_cache)
    assert _pragmas(folder.ctk_database) == _pragmas(sample.ctk_database)
    assert _pragmas(folder.ctk_tag_cache) == _pragmas(sample.ctk_tag_cache)


def test_a_new_folder_has_exactly_the_seeded_rows(folder, ctk_sample):
    sample = ctk_sample("empty")
    CtkDatabase.open(folder).close()
    for table in _schema(sample.ctk_database):
        if not table.endswith(("Index", "_1")):
            assert _rows(folder.ctk_database, table) == _rows(sample.ctk_database, table), table
    assert len(_rows(folder.ctk_database, "ColumnDisplayProperties")) == 47
