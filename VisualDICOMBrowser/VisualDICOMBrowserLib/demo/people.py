"""The invented patients of the demo, one for each of the character sets that are met most often."""

from __future__ import annotations

from dataclasses import dataclass

ISSUER = "DEMO HOSPITAL"


@dataclass(frozen=True)
class Person:
    """An invented patient.

    :ivar charset: Specific Character Set (0008,0005), several values where code extensions are used
        (PS3.3 C.12.1.1.2).
    :ivar referring: the referring physician, in the same character set.
    :ivar institution: where the images come from, in the same character set.
    """

    patient_id: str
    name: str
    charset: tuple[str, ...]
    birth_date: str
    sex: str
    referring: str
    institution: str


MUELLER = Person("DEMO-1001", "Müller^Jörg", ("ISO_IR 100",), "19560412", "M", "Beispiel^Änne^^Dr.", "Musterklinik Süd")
OBRAZTSOVA = Person(
    "DEMO-1002", "Образцова^Анна", ("ISO_IR 144",), "19710923", "F", "Примеров^Пётр", "Больница Образцовая"
)
YAMADA = Person(
    "DEMO-1003", "Yamada^Tarou=山田^太郎=やまだ^たろう", ("ISO 2022 IR 6", "ISO 2022 IR 87"),
    "19480105", "M", "Rei^Hanako=例^花子=れい^はなこ", "見本病院",
)  # fmt: skip
HONG = Person(
    "DEMO-1004", "Hong^Gildong=洪^吉洞=홍^길동", ("", "ISO 2022 IR 149"),
    "19831217", "M", "Bogi^Hana=^=보기^하나", "보기병원",
)  # fmt: skip
WANG = Person(
    "DEMO-1005", "Wang^XiaoDong=王^小东", ("GB18030",), "19670630", "M", "Shili^Yisheng=示例^医生", "示例医院"
)  # fmt: skip
ELENI = Person(
    "DEMO-1006", "Παράδειγμα^Ελένη", ("ISO_IR 192",), "19590228", "F", "Δείγμα^Νίκος", "Νοσοκομείο «Δείγμα»"
)  # fmt: skip
SAMPLE = Person("DEMO-1007", "Sample^Patricia", (), "19900815", "F", "Specimen^Robert", "Example General")

EVERYBODY = (MUELLER, OBRAZTSOVA, YAMADA, HONG, WANG, ELENI, SAMPLE)
