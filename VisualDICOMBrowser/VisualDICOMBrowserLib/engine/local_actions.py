"""What the engine does with files on this computer: import, removal, checks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..domain.cancel import CancelToken
from ..domain.errors import UsageError
from ..domain.model import Target
from ..domain.results import ImportResult, RemoveResult, VerifyResult
from ..jobs.description import JobKind
from ..jobs.job import JobContext
from ..store.importer import Importer
from .core import Core


class LocalActions:
    """The part of the engine that works on local files; its methods are described at :class:`.Engine`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def import_paths(self, paths: Sequence[Path], link: bool, token: CancelToken | None) -> ImportResult:
        """See :meth:`.Engine.import_paths`."""
        self._core.store.require_writable()
        for path in paths:
            if not path.exists():
                raise UsageError(f"There is no file or folder {path}.")

        def work(context: JobContext) -> ImportResult:
            importer = Importer(self._core.store, link=link, token=context.token, progress=context.progress)
            return importer.run(paths)

        params = {"paths": [str(path) for path in paths], "link": link}
        result: ImportResult = self._core.jobs.do(JobKind.IMPORT, work, params=params, token=token)
        return result

    def remove(self, target: Target) -> RemoveResult:
        """See :meth:`.Engine.remove`."""
        self._core.store.require_writable()
        result: RemoveResult = self._core.jobs.do(JobKind.REMOVE, lambda _: self._core.store.remove(target))
        return result

    def verify(self, token: CancelToken | None) -> VerifyResult:
        """See :meth:`.Engine.verify`."""
        result: VerifyResult = self._core.jobs.do(JobKind.VERIFY, lambda _: self._core.store.verify(), token=token)
        return result
