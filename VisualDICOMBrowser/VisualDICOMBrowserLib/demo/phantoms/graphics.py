"""Pictures and documents with text in them: a dose report screen and a one-page PDF."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_INK, _PAPER, _ACCENT = (226, 232, 240), (15, 23, 42), (56, 189, 248)


def dose_report(title: str, rows: Sequence[tuple[str, float]]) -> NDArray[np.uint8]:
    """Draw a bar chart with labels (ASCII) as ``(rows, columns, 3)`` RGB."""
    picture = Image.new("RGB", (480, 360), _PAPER)
    draw = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(22), ImageFont.load_default(14)
    draw.rectangle((0, 0, 480, 44), fill=(30, 58, 95))
    draw.text((16, 9), title, fill=_INK, font=large)
    highest = max(value for _, value in rows)
    for number, (label, value) in enumerate(rows):
        top = 66 + number * 46
        draw.text((16, top), label, fill=_INK, font=small)
        draw.rectangle((170, top, 170 + int(220 * value / highest), top + 20), fill=_ACCENT)
        draw.text((400, top), f"{value:.1f}", fill=_INK, font=small)
    for x in range(170, 391, 55):
        draw.line((x, 58, x, 66 + len(rows) * 46), fill=(51, 65, 85))
    for x in range(480):
        draw.line((x, 344, x, 354), fill=(x * 255 // 480, 120, 255 - x * 255 // 480))
    draw.text((16, 318), "Invented data - not for diagnosis", fill=(148, 163, 184), font=small)
    return np.asarray(picture, np.uint8)


def letter(lines: Sequence[str]) -> bytes:
    """Write a one-page PDF 1.4 with lines of ASCII text (no parentheses or backslashes in them)."""
    text = "".join(f"({line}) Tj T*\n" for line in lines)
    content = f"BT /F1 14 Tf 20 TL 60 770 Td\n{text}ET".encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    document = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(document)
    entries = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    document += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, entries)
    document += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(document)
