"""Asks the engine for the elements of an instance, page after page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from ...domain.errors import Cancelled, VisualDicomError
from ..parts.signals import Signal
from ..session import Call, Session

#: Rows of a page.
PAGE = 500


@dataclass(frozen=True)
class Question:
    """Which elements: those of an instance that match a search; all of them without one."""

    sop_uid: str
    search: str = ""


@dataclass(frozen=True)
class Page:
    """Some of the answer.

    :ivar offset: how many rows came before.
    :ivar total: how many there are in all.
    :ivar path: the file they were read from.
    :ivar warning: what is wrong with the file, or empty.
    """

    question: Question
    offset: int
    total: int
    rows: list[Any]
    path: str = ""
    warning: str = ""

    @property
    def last(self) -> bool:
        """Whether nothing comes after it."""
        return not self.rows or self.offset + len(self.rows) >= self.total


class ElementFeed:
    """One question at a time; a new one ends the old.

    ==========  =======================  =====================================
    signal      values                   when
    ==========  =======================  =====================================
    ``page``    :class:`Page`            rows came; the next page is asked for
    ``failed``  :class:`Question`, text  there is no answer, and why
    ==========  =======================  =====================================
    """

    def __init__(self, session: Session) -> None:
        self.page = Signal()
        self.failed = Signal()
        self._session = session
        self._question: Question | None = None
        self._call: Call | None = None

    def ask(self, question: Question) -> None:
        """Begin with the first page."""
        self.stop()
        self._question = question
        self._ask(question, 0)

    def stop(self) -> None:
        """End what is under way; no signal comes of it."""
        self._question = None
        if self._call is not None:
            self._call.stop()
            self._call = None

    def _ask(self, question: Question, offset: int) -> None:
        params = {"sop_uid": question.sop_uid, "offset": offset, "limit": PAGE}
        if question.search:
            params["search"] = question.search
        self._call = self._session.ask(
            "elements", params, partial(self._on_page, question, offset), partial(self._on_failed, question)
        )

    def _on_page(self, question: Question, offset: int, answer: dict[str, Any]) -> None:
        if question is not self._question:
            return
        self._call = None
        path, warning = str(answer.get("path", "")), str(answer.get("warning", ""))
        page = Page(question, offset, int(answer["total"]), list(answer["rows"]), path, warning)
        if not page.last:
            self._ask(question, offset + len(page.rows))
        self.page.emit(page)

    def _on_failed(self, question: Question, error: VisualDicomError) -> None:
        if question is self._question:
            self._call = None
            if not isinstance(error, Cancelled):
                self.failed.emit(question, str(error))
