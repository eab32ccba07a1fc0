"""What would break inside Slicer, found by reading the code of the window.

Slicer's ``qt`` is PythonQt, which differs from PySide6 in ways that no test on a desktop meets; several of them crash
the whole program. Each finding names its rule and says what to write instead. Types come from simple local inference
(``pythonqt_types``): what is not known is not judged.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from .pythonqt_facts import facts
from .pythonqt_slots import check_connection, signal_of
from .pythonqt_types import (
    PASSING,
    Classes,
    Function,
    OwnClass,
    Scope,
    Type,
    assignments,
    expressions,
    is_self_attribute,
    statements,
)

#: Qt's classes that exist in Slicer and must not be used, with what to do instead.
BANNED = {
    "QThread": "crashes Slicer; work belongs into the engine",
    "QRunnable": "crashes Slicer; work belongs into the engine",
    "QThreadPool": "crashes Slicer; work belongs into the engine",
    "QMetaObject": "is not wrapped usefully",
}
#: Names of ``qt`` that are no classes, with what to do instead.
BANNED_NAMES = {
    "Signal": "crashes on some classes; use gui/parts/signals.py",
    "Slot": "does not exist in Slicer; a plain method is a slot",
    "Property": "is not portable",
    "QVariant": "does not exist; pass plain Python values",
    "SIGNAL": "string connections differ; use thing.signal.connect(f)",
    "SLOT": "string connections differ; use thing.signal.connect(f)",
}
#: Virtuals whose override crashed or is ignored.
BAD_OVERRIDES = {
    ("QIODevice", "readData"): "crashes Slicer",
    ("QIODevice", "writeData"): "crashes Slicer",
    ("QStandardItem", "__lt__"): "is ignored; sort with a proxy model's lessThan",
    ("QTreeWidgetItem", "__lt__"): "is ignored; sort with a proxy model's lessThan",
    ("QTableWidgetItem", "__lt__"): "is ignored; sort with a proxy model's lessThan",
}
#: Virtuals that may be overridden, beside all whose name ends in "Event" or "event".
VIRTUALS = frozenset(
    """
    eventFilter sizeHint minimumSizeHint heightForWidth hasHeightForWidth viewportSizeHint accept reject done setVisible
    rowCount columnCount data setData headerData setHeaderData flags index parent sibling sort canFetchMore fetchMore
    hasChildren itemData setItemData buddy match span roleNames mimeData mimeTypes dropMimeData canDropMimeData
    supportedDropActions supportedDragActions insertRows removeRows moveRows insertColumns removeColumns submit revert
    filterAcceptsRow filterAcceptsColumn lessThan mapFromSource mapToSource setSourceModel
    paint createEditor setEditorData setModelData updateEditorGeometry initStyleOption displayText destroyEditor
    validate fixup addItem count itemAt takeAt setGeometry expandingDirections minimumSize maximumSize invalidate
    isEmpty geometry boundingRect shape contains itemChange keyboardSearch visualRect scrollTo indexAt moveCursor
    horizontalOffset verticalOffset isIndexHidden setSelection visualRegionForSelection selectedIndexes
    selectionCommand startDrag setModel setSelectionModel setRootIndex reset doItemsLayout updateGeometries
    updateEditorGeometries selectionChanged currentChanged dataChanged rowsInserted rowsAboutToBeRemoved drawRow
    drawBranches drawBackground drawForeground sizeHintForColumn sizeHintForRow scrollContentsBy
    insertFromMimeData canInsertFromMimeData createMimeDataFromSelection highlightBlock createPopupMenu showPopup
    hidePopup stepBy stepEnabled valueFromText textFromValue nextCheckState checkStateSet hitButton sliderChange
    tabSizeHint focusNextPrevChild inputMethodQuery clone type layoutDirection
    """.split()  # noqa: SIM905 - as a list it would be eighty lines
)
#: Calls that keep neither a reference to nor the ownership of what they get.
NOT_KEEPING = {
    *("setModel", "setSourceModel", "setSelectionModel", "setItemDelegate", "setItemDelegateForColumn"),
    *("setItemDelegateForRow", "setValidator", "setCompleter", "installEventFilter"),
}
#: Objects that die with their last Python reference, and then do nothing.
DYING = ("QTimer", "QShortcut", "QAbstractAnimation", "QProcess", "QFileSystemWatcher")
#: hash() is the identity of the wrapper, so that equal values are different keys.
UNHASHABLE = (
    "QModelIndex",
    "QPersistentModelIndex",
    "QPoint",
    "QPointF",
    "QSize",
    "QSizeF",
    "QRect",
    "QRectF",
    "QDate",
)
#: Dialogs with an event loop of their own, as static methods.
MODAL_CLASSES = ("QMessageBox", "QInputDialog", "QColorDialog", "QFontDialog", "QErrorMessage")
#: Who may nevertheless wait, or open a modal dialog to confirm what cannot be undone: (module, function).
MODAL_ALLOWED: set[tuple[str, str]] = {("gui/engine_process.py", "wait"), ("host_slicer/self_test.py", "wait")}


@dataclass(frozen=True)
class Finding:
    """Something that would break in Slicer."""

    module: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: [{self.rule}] {self.text}"


@dataclass(frozen=True)
class Place:
    """Where an expression stands."""

    module: str
    scope: Scope
    function: str


Found = Iterator[tuple[str, str]]


def check(sources: Mapping[str, str]) -> list[Finding]:
    """Check modules that belong together: name and text of each."""
    trees = {name: ast.parse(text) for name, text in sources.items()}
    classes = Classes(trees)
    return [finding for name, tree in trees.items() for finding in _Module(name, tree, classes).findings()]


class _Module:
    """Walks one module."""

    def __init__(self, name: str, tree: ast.Module, classes: Classes) -> None:
        self._name = name
        self._tree = tree
        self._classes = classes
        self._found: list[Finding] = []

    def findings(self) -> list[Finding]:
        self._imports()
        self._body(self._tree.body, Scope(self._classes, None, {}), "", None)
        self._highlighter_and_validator()
        return sorted(set(self._found), key=lambda finding: finding.line)

    def _add(self, node: ast.AST, found: Found) -> None:
        self._found += [Finding(self._name, getattr(node, "lineno", 0), rule, text) for rule, text in found]

    def _imports(self) -> None:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ImportFrom) and node.module == "qt" and not node.level:
                self._add(node, iter([("import", "write `import qt` and qt.Name")]))
            if isinstance(node, ast.Import) and any(alias.name == "qt" and alias.asname for alias in node.names):
                self._add(node, iter([("import", "write `import qt` and qt.Name")]))

    def _highlighter_and_validator(self) -> None:
        bases = {own.qt for node in ast.walk(self._tree) if (own := self._own(node))}
        if "QSyntaxHighlighter" in bases and any(facts().inherits(base, "QValidator") for base in bases):
            text = "a highlighter and a validator in Python crashed Slicer together"
            self._add(self._tree, iter([("crashing-virtual", text)]))

    def _own(self, node: ast.AST) -> OwnClass | None:
        return self._classes.own.get(node.name) if isinstance(node, ast.ClassDef) else None

    def _body(self, body: list[ast.stmt], scope: Scope, function: str, own: OwnClass | None) -> None:
        place = Place(self._name, scope, function)
        inner: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
        for statement in statements(body):
            for node in expressions(statement):
                self._expression(node, place)
            for target, value in assignments(statement):
                self._add(statement, _assignment(target, value, place))
            scope.note(statement)
            if isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):
                scope.names.pop(statement.target.id, None)
            if isinstance(statement, ast.ClassDef):
                self._class(statement)
            elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                inner.append(statement)
        for definition in inner:
            if own is None:
                self._add(definition, _kept_by_closure(definition, scope))
            self._function(definition, scope, function)

    def _class(self, node: ast.ClassDef) -> None:
        own = self._classes.own[node.name]
        if own.qt:
            self._add(node, _class_rules(node, own))
        scope = Scope(self._classes, own, {})
        self._body(node.body, scope, "", own)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope, outer: str) -> None:
        inside = scope.inside(node)
        self._body(node.body, inside, f"{outer}.{node.name}".lstrip("."), None)
        self._add(node, _locals_that_die(node, inside))

    def _expression(self, node: ast.AST, place: Place) -> None:
        for rule in _RULES.get(type(node), ()):
            self._add(node, rule(node, place))
        if isinstance(node, ast.Lambda):
            self._add(node, _kept_by_closure(node, place.scope))
            inside = Place(place.module, place.scope.inside(node), place.function)
            for part in ast.walk(node.body):
                self._expression(part, inside)


# Attributes


def _attribute(node: ast.Attribute, place: Place) -> Found:
    if isinstance(node.value, ast.Name) and node.value.id == "qt":
        yield from _qt_name(node.attr)
        return
    if node.attr == "processEvents":
        yield "processEvents", "runs other handlers in the middle of this one"
    thing = place.scope.infer(node.value)
    if thing is None or node.attr.startswith("__"):
        return
    if not isinstance(node.ctx, ast.Load):
        yield from _write(node, thing)
    elif not (thing.own and node.attr in place.scope.classes.names_of(thing.own)):
        yield from _read(node, thing)


def _qt_name(name: str) -> Found:
    if name in BANNED or name in BANNED_NAMES:
        yield "banned-class", f"qt.{name} {BANNED.get(name) or BANNED_NAMES[name]}"
    elif name not in facts():
        yield "unknown-class", f"qt.{name} does not exist in both PythonQt and PySide6"


def _read(node: ast.Attribute, thing: Type) -> Found:
    name, member = node.attr, facts().member(thing.qt, node.attr)
    if member is None:
        if thing.is_class and name[:1].isupper():
            yield "enum", f"{thing.qt} has no {name} in both; enums are flat: qt.{thing.qt}.<value>"
        elif thing.exact:
            yield "unknown-member", f"{thing.qt} has no {name} in both PythonQt and PySide6"
    elif name == "sender":
        yield "sender", "sender() is None in Slicer; connect a lambda that knows"
    elif member.kind == "properties" and thing.is_class:
        yield "property", f"{name} of the class {thing.qt} does not exist in Slicer: take an object and value(...)"
    elif member.kind == "properties":
        yield "property", f'{name} is an attribute in Slicer and a method in PySide6: value({_short(node)}, "{name}")'
    elif member.kind == "only":
        yield "unknown-member", f"{name} of {thing.qt} is not the same in PythonQt and PySide6"


def _short(node: ast.Attribute) -> str:
    text = ast.unparse(node.value)
    return text if len(text) < 40 else "…"


def _write(node: ast.Attribute, thing: Type) -> Found:
    member = facts().member(thing.qt, node.attr)
    if thing.own and member is None:
        return
    if member is not None and member.kind == "attributes":
        return
    if is_self_attribute(node):
        yield "qt-name", f"self.{node.attr} is a name of {thing.qt}; choose another, or use the setter"
    else:
        yield "attribute-write", f"{node.attr} of a {thing.qt}: use a setter; a Qt object takes no new attributes"


# Calls


def _call(node: ast.Call, place: Place) -> Found:
    yield from _type_tests(node)
    yield from _super_call(node, place)
    yield from _keywords(node, place)
    yield from _image(node, place)
    yield from _temporary(node, place)
    yield from _modal(node, place)
    yield from _hash_calls(node, place)
    yield from _untyped_property(node, place)
    signal = signal_of(node, place.scope)
    if signal is not None:
        yield from check_connection(node, place.scope)
    elif isinstance(node.func, ast.Attribute) and node.func.attr in ("connect", "disconnect"):
        thing = place.scope.infer(node.func.value)
        if thing is not None and node.args and isinstance(node.args[0], ast.Constant):
            yield "string-connection", "PySide6 has no connections by string; use thing.signal.connect(f)"


def _type_tests(node: ast.Call) -> Found:
    if isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "issubclass") and len(node.args) == 2:
        for part in ast.walk(node.args[1]):
            if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "qt":
                yield "isinstance", f'is False for bases in Slicer; use thing.inherits("{part.attr}")'


def _super_call(node: ast.Call, place: Place) -> Found:
    func, own = node.func, place.scope.own
    if not (isinstance(func, ast.Attribute) and isinstance(func.value, ast.Call)) or own is None or not own.qt:
        return
    if not (isinstance(func.value.func, ast.Name) and func.value.func.id == "super") or func.attr == "__init__":
        return
    bases = [base for base in place.scope.classes.lineage(own.name) if base.name != own.name]
    if facts().member(own.qt, func.attr) and not any(func.attr in base.methods for base in bases):
        yield "super", f"super() does not find Qt's methods in Slicer; write qt.{own.qt}.{func.attr}(self, …)"


def _keywords(node: ast.Call, place: Place) -> Found:
    if not node.keywords:
        return
    text = "Qt's constructors and methods take no keyword arguments in Slicer"
    func, scope = node.func, place.scope
    called = scope.infer(func)
    if called is not None and called.is_class and (not called.own or not scope.classes.method(called.own, "__init__")):
        yield "keywords", text
    elif isinstance(func, ast.Attribute):
        thing = scope.infer(func.value)
        if thing is None and ast.unparse(func.value) == "super()" and scope.own is not None and scope.own.qt:
            bases = [base for base in scope.classes.lineage(scope.own.name) if base.name != scope.own.name]
            if not any(func.attr in base.methods for base in bases):
                yield "keywords", text
        if thing is not None and not (thing.own and func.attr in scope.classes.names_of(thing.own)):
            yield "keywords", text


def _image(node: ast.Call, place: Place) -> Found:
    called = place.scope.infer(node.func)
    thing = place.scope.infer(node.func.value) if isinstance(node.func, ast.Attribute) else None
    is_image = called is not None and called.is_class and called.qt in ("QImage", "QPixmap", "QBitmap")
    if is_image and called is not None and called.qt == "QImage" and len(node.args) >= 4:
        yield "image-data", "fill a QImage through bits(); its constructor reads other memory, or past the end"
    elif is_image or thing is not None:
        for argument in node.args:
            if _is_buffer(argument):
                yield "image-data", "PythonQt takes the text of a buffer that is not bytes"
            if isinstance(argument, ast.GeneratorExp) and thing is not None:
                yield "generator", "PythonQt takes lists and tuples, no generators"


def _is_buffer(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "data"
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func)
    if name.split(".")[0] in ("np", "numpy"):
        return not name.endswith("tobytes")
    return name in ("memoryview", "bytearray") or name.endswith((".astype", ".reshape", ".getbuffer"))


def _temporary(node: ast.Call, place: Place) -> Found:
    if isinstance(node.func, ast.Attribute) and node.func.attr in NOT_KEEPING:
        for argument in node.args:
            found = place.scope.infer(argument) if isinstance(argument, ast.Call) else None
            if found is not None and not found.owned:
                yield "lifetime", f"{node.func.attr} keeps nothing: give it a parent or keep a reference"


def _modal(node: ast.Call, place: Place) -> Found:
    if not isinstance(node.func, ast.Attribute) or (place.module, place.function) in MODAL_ALLOWED:
        return
    name, thing = node.func.attr, place.scope.infer(node.func.value)
    if name == "exec":
        yield "modal", "write exec_(), which both have; and only for menus and drags"
    elif name == "exec_" and not (thing is not None and facts().inherits(thing.qt, "QMenu", "QDrag")):
        yield "modal", "no event loop inside a handler, but for menus and drags"
    elif name in ("waitForFinished", "waitForStarted", "waitForReadyRead", "waitForBytesWritten") and thing is not None:
        yield "modal", "nothing waits on the GUI thread"
    elif thing is not None and thing.is_class and thing.qt in MODAL_CLASSES and name[0].islower():
        yield "modal", f"{thing.qt}.{name} is a modal dialog; show a message instead"


def _hash_calls(node: ast.Call, place: Place) -> Found:
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in ("add", "get", "setdefault", "discard", "pop"):
        return
    if node.args and place.scope.infer(node.func.value) is None:
        yield from _as_key(node.args[0], place)


def _untyped_property(node: ast.Call, place: Place) -> Found:
    func = node.func
    if isinstance(func, ast.Attribute) and not node.args and not node.keywords and func.attr in _always_properties():
        known = place.scope.infer(func.value) is not None
        if not known and not any(func.attr in own.names for own in place.scope.classes.own.values()):
            yield "property", f'{func.attr} is an attribute in Slicer: value({_short(func)}, "{func.attr}")'


@cache
def _always_properties() -> set[str]:
    """Give what is always a property, and that only Qt would name so."""
    return {name for name in facts().always("properties") if name != name.lower()}


# Keys


def _as_key(node: ast.expr, place: Place) -> Found:
    found = place.scope.infer(node)
    if found is not None and not found.is_class and facts().inherits(found.qt, *UNHASHABLE):
        yield "hash", f"equal {found.qt} objects are different keys in Slicer; use a tuple of numbers"


def _subscript(node: ast.Subscript, place: Place) -> Found:
    yield from _as_key(node.slice, place)
    thing = place.scope.infer(node.value.value) if isinstance(node.value, ast.Attribute) else None
    if thing is not None and isinstance(node.value, ast.Attribute):
        member = facts().member(thing.qt, node.value.attr)
        if member is not None and member.kind == "signals":
            yield "signal-overload", "signals have no overloads to choose from in Slicer"


def _dict(node: ast.Dict, place: Place) -> Found:
    for key in node.keys:
        if key is not None:
            yield from _as_key(key, place)


def _set(node: ast.Set, place: Place) -> Found:
    for element in node.elts:
        yield from _as_key(element, place)


# What outlives its handler


def _assignment(target: ast.expr, value: ast.expr, place: Place) -> Found:
    if isinstance(target, ast.Attribute):
        for part in _parts(value):
            found = place.scope.infer(part)
            if found is not None and found.borrowed and not found.is_class:
                yield "kept-event", f"what belongs to an event or painter changes afterwards: copy it, qt.{found.qt}(…)"
    if isinstance(target, ast.Subscript):
        yield from _assignment(ast.Attribute(target, "x", ast.Store()), value, place)


def _parts(value: ast.expr) -> Iterator[ast.expr]:
    """Give an expression and the elements of a display."""
    yield value
    for part in getattr(value, "elts", ()):
        yield from _parts(part)


def _kept_by_closure(node: Function, scope: Scope) -> Found:
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            found = scope.names.get(part.id)
            if found is not None and found.borrowed and facts().inherits(found.qt, *PASSING):
                yield "kept-event", f"{part.id} is gone when this function runs: take what is needed from it before"


def _locals_that_die(node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> Found:
    """Find objects without parent that only a local variable refers to."""
    unowned = {name: found for name, found in scope.names.items() if not found.owned and not found.is_class}
    if not unowned:
        return
    kept = {
        part.id
        for statement in ast.walk(node)
        if isinstance(statement, ast.Assign | ast.Return | ast.AnnAssign | ast.Yield)
        for part in ast.walk(statement.value or ast.Constant(None))
        if isinstance(part, ast.Name)
    }
    for statement in ast.walk(node):  # self._timer = timer = qt.QTimer()
        if isinstance(statement, ast.Assign) and any(isinstance(t, ast.Attribute) for t in statement.targets):
            kept |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    kept |= _arguments_of(node, {"append", "add"})
    given = _arguments_of(node, NOT_KEEPING)
    for name, found in unowned.items():
        if name not in kept and (name in given or facts().inherits(found.qt, *DYING)):
            yield "lifetime", f"{name} dies with this function: give it a parent or keep a reference"


def _arguments_of(node: ast.AST, methods: set[str]) -> set[str]:
    """Give the texts of what is handed to methods of such names."""
    return {
        ast.unparse(argument)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in methods
        for argument in call.args
    }


# Classes


def _class_rules(node: ast.ClassDef, own: OwnClass) -> Found:
    if node.keywords or any(base.split(".")[-1] in ("ABC", "Protocol") for base in own.bases):
        yield "metaclass", "a class of Qt's takes no other metaclass (abc.ABC, Protocol)"
    if own.qt in BANNED:
        yield "banned-class", f"qt.{own.qt} {BANNED[own.qt]}"
    for statement in node.body:
        names = [ast.unparse(target) for target, _ in assignments(statement)]
        if isinstance(statement, ast.FunctionDef):
            names.append(statement.name)
            yield from _bad_override(statement.name, own)
        for name in names:
            member = facts().member(own.qt, name)
            virtual = isinstance(statement, ast.FunctionDef) and _is_virtual(name)
            if member is not None and not virtual:
                yield "qt-name", f"{node.name}.{name} is a name of {own.qt} and no virtual: choose another"


def _is_virtual(name: str) -> bool:
    return name in VIRTUALS or name.endswith(("Event", "event"))


def _bad_override(name: str, own: OwnClass) -> Found:
    for (base, virtual), text in BAD_OVERRIDES.items():
        if name == virtual and facts().inherits(own.qt, base):
            yield "crashing-virtual", f"{name} of a {base} in Python {text}"


_RULES: dict[type[ast.AST], tuple[Callable[..., Found], ...]] = {
    ast.Attribute: (_attribute,),
    ast.Call: (_call,),
    ast.Subscript: (_subscript,),
    ast.Dict: (_dict,),
    ast.Set: (_set,),
}
