"""How connections are secured, as the user configured it: those to a server, and those of whoever calls us.

There is no setting that turns the verification of a server off: one with a certificate of its own making is trusted by
naming that certificate as ``ca_file``, and one whose certificate has another name by ``host_name``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError

_MAX_PATH = 4096
_MAX_HOST = 253


@dataclass(frozen=True)
class TlsSettings:
    """TLS to a server. Files are named by their full path, and in PEM format.

    :param ca_file: certificates of the authorities that may have issued the server's, or the server's own; they
        take the place of those that the system trusts, which are meant by None.
    :param certificate: our certificate, for servers that want one, with the authorities between.
    :param key: its private key; None if that is in the same file.
    :param key_password_file: a file whose first line is the password of the key.
    :param host_name: the name that the server's certificate must have, if it is not the host that is connected to.
    :raises UsageError: a value that cannot be right.
    """

    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password_file: str | None = None
    host_name: str | None = None

    def __post_init__(self) -> None:
        _check(self, TLS_FIELDS)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> TlsSettings:
        """Read settings from plain values.

        :raises UsageError: a key is unknown, or a value of the wrong type.
        """
        return cls(**_texts(values, TLS_FIELDS, "a server"))


@dataclass(frozen=True)
class ListenerTls:
    """TLS for those who call. Files are named by their full path, and in PEM format.

    :param certificate: our certificate, with the authorities between.
    :param key: its private key; None if that is in the same file.
    :param key_password_file: a file whose first line is the password of the key.
    :param ca_file: certificates of the authorities that may have issued the callers', or the callers' own: everybody
        has to show one then. None if callers need none.
    :raises UsageError: a value that cannot be right.
    """

    certificate: str
    key: str | None = None
    key_password_file: str | None = None
    ca_file: str | None = None

    def __post_init__(self) -> None:
        _check(self, LISTENER_TLS_FIELDS)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> ListenerTls:
        """Read settings from plain values.

        :raises UsageError: a key is unknown, a value of the wrong type, or there is no certificate.
        """
        texts = _texts(values, LISTENER_TLS_FIELDS, "the listener")
        if texts.get("certificate") is None:
            raise UsageError("TLS: the listener needs a certificate.")
        return cls(**texts)


TLS_FIELDS = tuple(field.name for field in dataclasses.fields(TlsSettings))
LISTENER_TLS_FIELDS = tuple(field.name for field in dataclasses.fields(ListenerTls))
_TITLES = {
    "ca_file": "the file of trusted certificates",
    "certificate": "our certificate",
    "key": "our private key",
    "key_password_file": "the file with the password",
}


def _check(settings: TlsSettings | ListenerTls, names: tuple[str, ...]) -> None:
    wrong = next((sentence for name in names if (sentence := _wrong(settings, name))), "")
    if wrong:
        raise UsageError(f"TLS: {wrong}")


def _wrong(settings: TlsSettings | ListenerTls, name: str) -> str:
    value = getattr(settings, name)
    if value is None:
        return ""
    if name == "host_name":
        return "" if is_host(value) else "the name in the certificate must be a host name or an address."
    if not (0 < len(value) <= _MAX_PATH and value.isprintable() and Path(value).is_absolute()):
        return f"{_TITLES[name]} must be named by its full path."
    if name == "key" and settings.certificate is None:
        return "a private key needs its certificate."
    if name == "key_password_file" and settings.certificate is None:
        return "a password needs the certificate and key that it is for."
    return ""


def _texts(values: Any, names: tuple[str, ...], owner: str) -> dict[str, Any]:
    """Return plain values whose keys are known and which are texts or None."""
    if not isinstance(values, dict):
        raise UsageError(f"The TLS settings of {owner} are no set of named values.")
    unknown = sorted(str(key) for key in values if key not in names)
    if unknown:
        raise UsageError(f"Unknown TLS setting: {', '.join(unknown)}.")
    for key, value in values.items():
        if not isinstance(value, (str, type(None))):
            raise UsageError(f"{owner.capitalize()} in the configuration has a wrong value for {key!r}.")
    return values


def is_host(text: str) -> bool:
    """Tell whether a text can be a host name or an address."""
    if not 1 <= len(text) <= _MAX_HOST or not text.isprintable() or " " in text:
        return False
    try:
        text.encode("idna")  # as Python does before it looks a name up
    except UnicodeError:
        return False
    return True
