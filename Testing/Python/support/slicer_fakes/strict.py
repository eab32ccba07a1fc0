"""What all fakes of Slicer have in common: they have the members that PythonQt wraps, and nothing else.

``ctk_facts.json`` says for each class how many arguments its methods take, which properties it has (true: they can be
written) and which signals. It was taken from an inspection of the real classes through PythonQt (CTK of August 2026).

A fake defines those members that its tests need. Everything else raises: a member that the real class lacks is
:class:`NotInSlicer`, one that only the fake lacks is ``NotImplementedError``, and so is a wrong number of arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FACTS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("ctk_facts.json").read_text(encoding="utf-8"))


class NotInSlicer(Exception):
    """The code under test used something that Slicer does not have."""


class FakeSignal:
    """A signal of a PythonQt object: connected, emitted, called and disconnected on one thread."""

    def __init__(self, signature: str) -> None:
        name, _, arguments = signature.rstrip(")").partition("(")
        self.name = name
        self._count = len(arguments.split(",")) if arguments else 0
        self._slots: list[Callable[..., object]] = []

    def connect(self, slot: Callable[..., object]) -> bool:
        """Have a function called."""
        self._slots.append(slot)
        return True

    def disconnect(self, slot: Callable[..., object]) -> bool:
        """Have it called no more."""
        self._slots.remove(slot)
        return True

    def emit(self, *values: object) -> None:
        """Call all functions; PythonQt prints what they raise, here the test fails by it."""
        if len(values) != self._count:
            raise NotInSlicer(f"{self.name} has {self._count} values, not {len(values)}")
        for slot in list(self._slots):
            slot(*values)

    __call__ = emit


class StrictFake:
    """Base of a fake of a ctk class, which the subclass names as ``REAL``."""

    REAL = ""

    def __init__(self) -> None:
        for signature in self._facts()["signals"]:
            object.__setattr__(self, signature.partition("(")[0], FakeSignal(signature))

    @classmethod
    def _facts(cls) -> dict[str, Any]:
        return _FACTS[cls.REAL]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if not cls.REAL:
            return
        methods: dict[str, list[int]] = cls._facts()["methods"]
        for name, member in list(vars(cls).items()):
            if name.startswith("_") or not callable(member):
                continue
            if name not in methods:
                raise NotInSlicer(f"{cls.REAL} has no method {name}")
            setattr(cls, name, _counted(cls.REAL, name, member, methods[name]))

    def __getattr__(self, name: str) -> Any:
        facts = self._facts()
        if name in facts["methods"] or name in facts["properties"]:
            raise NotImplementedError(f"the fake of {self.REAL} lacks {name}")
        raise NotInSlicer(f"{self.REAL} has no {name}")

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and not self._facts()["properties"].get(name, False):
            raise NotInSlicer(f"{self.REAL}.{name} cannot be set")
        object.__setattr__(self, name, value)

    def connect(self, signature: str, slot: Callable[..., object]) -> bool:
        """Connect by signature, as in ``indexer.connect("progress(int)", f)``: it must match exactly."""
        if signature not in self._facts()["signals"]:
            raise NotInSlicer(f"{self.REAL} has no signal {signature}")
        signal: FakeSignal = getattr(self, signature.partition("(")[0])
        return signal.connect(slot)

    def disconnect(self, signature: str, slot: Callable[..., object]) -> bool:
        """Disconnect what was connected by signature."""
        signal: FakeSignal = getattr(self, signature.partition("(")[0])
        return signal.disconnect(slot)


def _counted(real: str, name: str, method: Callable[..., Any], counts: list[int]) -> Callable[..., Any]:
    """Wrap a method of a fake: PythonQt takes no keywords, and just these numbers of arguments."""

    def call(self: object, *arguments: Any) -> Any:
        if len(arguments) not in counts:
            raise NotInSlicer(f"{real}.{name} takes {counts} arguments, not {len(arguments)}")
        return method(self, *arguments)

    return call
