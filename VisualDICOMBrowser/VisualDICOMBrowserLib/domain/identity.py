"""How this program names itself to others."""

from __future__ import annotations

#: Under the UUID-derived arc 2.25 (PS3.5, B.2), fixed once for this implementation.
IMPLEMENTATION_CLASS_UID = "2.25.237194655130298735624318790255331160597"
#: At most 16 characters (PS3.7, D.3.3.2.3).
IMPLEMENTATION_VERSION = "VISUALDICOM_0.1"
