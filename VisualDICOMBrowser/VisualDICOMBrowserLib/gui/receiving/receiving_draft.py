"""The listener's settings as they are being typed: what is wrong with each value, what was changed; without Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...domain.errors import UsageError
from ...domain.listener import ListenerSettings
from ..servers.tls_errors import listener_tls_errors

#: What the address is for every interface.
EVERYWHERE = "0.0.0.0"  # noqa: S104
_CHECKED = ("aet", "port", "bind", "allowed")


class ReceivingDraft:
    """See the module.

    :ivar saved: as configured; None while nobody said.
    :ivar values: as typed, in the form of :meth:`.ListenerSettings.to_dict`.
    :ivar touched: the fields somebody typed in.
    """

    def __init__(self) -> None:
        self.saved: dict[str, Any] | None = None
        self.values: dict[str, Any] = ListenerSettings().to_dict()
        self.touched: set[str] = set()

    @property
    def changed(self) -> bool:
        """Whether there is something to save."""
        return self.saved is not None and self.saved != self.values

    def take(self, settings: Mapping[str, Any]) -> None:
        """Take the configuration; what is typed and not saved stays."""
        changed = self.changed
        self.saved = dict(settings)
        if not changed:
            self.discard()

    def edit(self, name: str, typed: Any) -> None:
        """Take what somebody typed."""
        self.values = {**self.values, name: typed}
        self.touched.add(name)

    def discard(self) -> None:
        """Go back to what is configured."""
        if self.saved is not None:
            self.values, self.touched = dict(self.saved), set()

    def errors(self) -> dict[str, str]:
        """Return what is wrong, by field, in sentences; ``tls.key`` is a field of the TLS settings."""
        errors = {name: sentence for name in _CHECKED if (sentence := _error(name, self.values[name]))}
        return {**errors, **listener_tls_errors(self.values["tls"])}


def _error(name: str, typed: Any) -> str:
    try:
        ListenerSettings.from_dict({name: typed})
    except UsageError as error:
        return str(error)
    return ""
