"""What the ssl module reports, in words and in the error tree of the project.

OpenSSL's names of alerts change with its versions in front of ``_ALERT_`` only; those of RFC 8446, 6 stand behind.
"""

from __future__ import annotations

import ssl

from ..domain.errors import ConnectionLost, PeerError, PeerStalled, TlsFailed

#: Verification results (X509_V_ERR_… of OpenSSL's x509_vfy.h).
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _HOST_NAME, _ADDRESS = 9, 10, 18, 62, 64
_UNKNOWN_AUTHORITY = (2, 19, 20, 21)

#: What the peer says of our certificate, by the end of the alert's name.
_OURS_REFUSED = {
    "BAD_CERTIFICATE": "finds it damaged",
    "UNSUPPORTED_CERTIFICATE": "does not support its kind",
    "CERTIFICATE_REVOKED": "says that it was revoked",
    "CERTIFICATE_EXPIRED": "says that it has expired",
    "CERTIFICATE_UNKNOWN": "does not accept it",
    "UNKNOWN_CA": "does not know who issued it",
    "ACCESS_DENIED": "does not let it in",
    "DECRYPT_ERROR": "cannot verify it",
}
_VERSIONS = {"PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "INSUFFICIENT_SECURITY", "VERSION_TOO_LOW"}
#: Where bytes are no TLS records at all.
_NO_TLS = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "UNKNOWN_PROTOCOL",
    "RECORD_LAYER_FAILURE",
    "BAD_RECORD_TYPE",
    "UNEXPECTED_MESSAGE",
    "PACKET_LENGTH_TOO_LONG",
    "ENCRYPTED_LENGTH_TOO_LONG",
    "RECORD_TOO_SMALL",
}


def handshake_error(error: Exception, name: str | None) -> PeerError:
    """Return what a failed handshake means.

    :param name: what the server's certificate must be made out for; None for a connection that was accepted.
    """
    who = _who(name)
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFailed(_certificate_words(error, name))
    if isinstance(error, ssl.SSLEOFError) or not isinstance(error, ssl.SSLError):
        if isinstance(error, ValueError):
            return TlsFailed(f"No certificate can be made out for the name {name}.")
        return ConnectionLost(
            f"{who} closed the connection during the TLS handshake: perhaps it does not speak TLS here."
        )
    return _refused(error, who) or _odd(error, who)


def handshake_stalled(seconds: float, name: str | None) -> PeerStalled:
    """Return the error for a peer that did not finish in time."""
    return PeerStalled(
        f"{_who(name)} did not complete the TLS handshake within {seconds:.3g} seconds: "
        "perhaps it does not speak TLS here."
    )


def transfer_error(error: ssl.SSLError) -> Exception:
    """Return what an error after the handshake means; by then TLS 1.3 has not told yet what it wants of a client."""
    refused = _refused(error, "The server")
    if refused is not None:
        return refused
    if isinstance(error, ssl.SSLEOFError):
        return ConnectionResetError()
    return ConnectionLost("The secured connection broke: what came was damaged or altered on the way.")


def _who(name: str | None) -> str:
    return "The peer" if name is None else "The server"


def _end(error: ssl.SSLError) -> str:
    return (error.reason or "").rpartition("_ALERT_")[2]


def _refused(error: ssl.SSLError, who: str) -> PeerError | None:
    """Return the error for an alert that says what the peer does not like."""
    reason, end = error.reason or "", _end(error)
    if "_ALERT_" not in reason:
        return None
    if end == "CERTIFICATE_REQUIRED":
        return TlsFailed(f"{who} wants a client certificate, and none is configured.")
    if end in _OURS_REFUSED:
        return TlsFailed(f"{who} refuses our certificate: it {_OURS_REFUSED[end]}.")
    return None


def _odd(error: ssl.SSLError, who: str) -> PeerError:
    """Return the error for sides that do not find together."""
    end = _end(error)
    if end == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return TlsFailed(f"{who} showed no client certificate.")
    if end in _VERSIONS:
        return TlsFailed(f"{who} and this program share no version of TLS: 1.2 is the lowest that is used.")
    if end in ("HANDSHAKE_FAILURE", "NO_SHARED_CIPHER"):
        return TlsFailed(
            f"{who} refused the TLS handshake: it wants a client certificate that is not configured, or shares no "
            "cipher with this program."
        )
    if end in _NO_TLS:
        return TlsFailed(f"{who} does not speak TLS here: it answered with something else.")
    if end == "UNRECOGNIZED_NAME" or end.endswith("UNRECOGNIZED_NAME"):
        return TlsFailed(f"{who} does not go by the name that is asked for.")
    return TlsFailed(f"The TLS handshake failed: {(error.reason or 'no reason given').replace('_', ' ').lower()}.")


def _certificate_words(error: ssl.SSLCertVerificationError, name: str | None) -> str:
    owner = "The peer's" if name is None else "The server's"
    code = error.verify_code
    if code == _EXPIRED:
        return f"{owner} certificate has expired."
    if code == _NOT_YET_VALID:
        return f"{owner} certificate is not valid yet: is a clock wrong?"
    if code in (_HOST_NAME, _ADDRESS):
        return f"{owner} certificate is not made out for {name}: it may be another server, or be known by another name."
    if code == _SELF_SIGNED:
        return f"{owner} certificate is of its own making and not trusted: name its file as trusted if it is right."
    if code in _UNKNOWN_AUTHORITY:
        return f"{owner} certificate was issued by an authority that is not trusted."
    return f"{owner} certificate cannot be trusted: {error.verify_message}."
