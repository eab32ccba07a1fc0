"""Rules about what may be connected to a signal of Qt's, part of ``pythonqt_rules``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from .pythonqt_facts import facts
from .pythonqt_types import Scope

#: The first parameter of a lambda that says that the signal's own value goes there.
_FOR_THE_SIGNAL = ("checked", "on")


def signal_of(node: ast.Call, scope: Scope) -> str | None:
    """Give the name of Qt's signal that a call connects to or disconnects from, or None."""
    func = node.func
    if not (isinstance(func, ast.Attribute) and func.attr in ("connect", "disconnect")):
        return None
    signal = func.value.value if isinstance(func.value, ast.Subscript) else func.value
    if not isinstance(signal, ast.Attribute):
        return None
    thing = scope.infer(signal.value)
    if thing is not None:
        if thing.own and signal.attr in scope.classes.names_of(thing.own):
            return None
        member = facts().member(thing.qt, signal.attr)
        return signal.attr if member is not None and member.kind == "signals" else None
    ours = any(signal.attr in own.names for own in scope.classes.own.values())
    return signal.attr if signal.attr in _only_signals() and not ours else None


def check_connection(node: ast.Call, scope: Scope) -> Iterator[tuple[str, str]]:
    """Check a call that connects to a signal of Qt's."""
    func = node.func
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Subscript):
        yield "signal-overload", "signals have no overloads to choose from in Slicer"
    if node.keywords or len(node.args) > 1:
        yield "connection-type", "Slicer takes no connection type with a Python function"
    if node.args:
        yield from _slot(node.args[0], scope)


def _slot(slot: ast.expr, scope: Scope) -> Iterator[tuple[str, str]]:
    if isinstance(slot, ast.Call) and ast.unparse(slot.func).split(".")[-1] == "partial":
        yield "slot", "a partial gets values that it does not expect in Slicer; use a lambda"
    elif isinstance(slot, ast.Lambda):
        arguments = slot.args.args
        first = arguments[0].arg if arguments else ""
        takes_default = len(slot.args.defaults) == len(arguments) > 0
        if takes_default and not first.startswith("_") and first not in _FOR_THE_SIGNAL:
            yield "slot", f"the signal's value lands in {first}; write `lambda _checked=False, {first}={first}: …`"
        yield from _keyword_only(slot.args)
    elif isinstance(slot, ast.Attribute):
        thing = scope.infer(slot.value)
        method = scope.classes.method(thing.own, slot.attr) if thing is not None and thing.own else None
        if method is None and ast.unparse(slot.value) == "self" and scope.own is not None:
            method = scope.classes.method(scope.own.name, slot.attr)
        if method is not None:
            if any(ast.unparse(decorator) != "staticmethod" for decorator in method.decorator_list):
                yield "slot", "a decorated method gets values that it does not expect in Slicer; use a lambda"
            yield from _keyword_only(method.args)


def _keyword_only(arguments: ast.arguments) -> Iterator[tuple[str, str]]:
    if any(default is None for default in arguments.kw_defaults):
        yield "slot", "a signal gives no keyword arguments"


@cache
def _only_signals() -> set[str]:
    return facts().always("signals")
