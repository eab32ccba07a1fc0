"""What is wrong with each value of TLS settings, as they are being typed; without Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...domain.errors import UsageError
from ...domain.tls import LISTENER_TLS_FIELDS, TLS_FIELDS, ListenerTls, TlsSettings

#: A certificate whose name is right, to find out whether another value is wrong.
_RIGHT = str(Path("certificate.pem").absolute())


def server_tls_errors(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what :class:`.TlsSettings` says of each value, by ``tls.NAME``, as if all others were right."""
    if values is None:
        return {}
    certificate = None if values["certificate"] is None else _RIGHT
    return _errors(
        TlsSettings.from_dict, {name: {"certificate": certificate, name: values[name]} for name in TLS_FIELDS}
    )


def listener_tls_errors(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what :class:`.ListenerTls` says of each value, by ``tls.NAME``, as if all others were right."""
    if values is None:
        return {}
    return _errors(
        ListenerTls.from_dict, {name: {"certificate": _RIGHT, name: values[name]} for name in LISTENER_TLS_FIELDS}
    )


def _errors(read: Callable[[Any], object], tries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    errors = {}
    for name, values in tries.items():
        try:
            read(values)
        except UsageError as error:
            sentence = str(error).removeprefix("TLS: ")
            errors[f"tls.{name}"] = sentence[:1].upper() + sentence[1:]
    return errors
