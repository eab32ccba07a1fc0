"""Which names of a module are Qt objects: simple, local inference, enough for the rules of ``pythonqt_rules``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from .pythonqt_facts import facts

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

#: Qt's classes whose objects are valid only until the handler that got them returns.
PASSING = ("QEvent", "QStyleOption", "QPainter")
#: What such objects hand out by reference.
BORROWED = {
    "QPoint",
    "QPointF",
    "QRect",
    "QRectF",
    "QRegion",
    "QSize",
    "QMimeData",
    "QFontMetrics",
    "QPalette",
    "QFont",
}

#: The parameters of overridden virtuals, where nothing annotates them.
VIRTUAL_PARAMETERS: dict[str, tuple[str, ...]] = {
    "paintEvent": ("QPaintEvent",),
    "mousePressEvent": ("QMouseEvent",),
    "mouseMoveEvent": ("QMouseEvent",),
    "mouseReleaseEvent": ("QMouseEvent",),
    "mouseDoubleClickEvent": ("QMouseEvent",),
    "wheelEvent": ("QWheelEvent",),
    "keyPressEvent": ("QKeyEvent",),
    "keyReleaseEvent": ("QKeyEvent",),
    "contextMenuEvent": ("QContextMenuEvent",),
    "resizeEvent": ("QResizeEvent",),
    "moveEvent": ("QMoveEvent",),
    "closeEvent": ("QCloseEvent",),
    "showEvent": ("QShowEvent",),
    "hideEvent": ("QHideEvent",),
    "dragEnterEvent": ("QDragEnterEvent",),
    "dragMoveEvent": ("QDragMoveEvent",),
    "dragLeaveEvent": ("QDragLeaveEvent",),
    "dropEvent": ("QDropEvent",),
    "focusInEvent": ("QFocusEvent",),
    "focusOutEvent": ("QFocusEvent",),
    "timerEvent": ("QTimerEvent",),
    "changeEvent": ("QEvent",),
    "enterEvent": ("QEvent",),
    "leaveEvent": ("QEvent",),
    "event": ("QEvent",),
    "viewportEvent": ("QEvent",),
    "eventFilter": ("QObject", "QEvent"),
    "paint": ("QPainter", "QStyleOptionViewItem", "QModelIndex"),
    "sizeHint": ("QStyleOptionViewItem", "QModelIndex"),
    "initStyleOption": ("QStyleOptionViewItem", "QModelIndex"),
    "createEditor": ("QWidget", "QStyleOptionViewItem", "QModelIndex"),
    "editorEvent": ("QEvent", "QAbstractItemModel", "QStyleOptionViewItem", "QModelIndex"),
    "helpEvent": ("QHelpEvent", "QAbstractItemView", "QStyleOptionViewItem", "QModelIndex"),
    "rowCount": ("QModelIndex",),
    "columnCount": ("QModelIndex",),
    "data": ("QModelIndex",),
    "setData": ("QModelIndex",),
    "flags": ("QModelIndex",),
    "lessThan": ("QModelIndex", "QModelIndex"),
}


@dataclass(frozen=True)
class Type:
    """A class of Qt, or of ours that derives from one.

    :ivar qt: the class of Qt.
    :ivar own: our class, if it is one.
    :ivar exact: nothing below ``qt`` can be meant.
    :ivar is_class: the class itself, not an object of it.
    :ivar borrowed: a reference into an event, or the like.
    :ivar owned: somebody besides a local variable keeps it: a parent was given, or it came from elsewhere.
    """

    qt: str
    own: str = ""
    exact: bool = False
    is_class: bool = False
    borrowed: bool = False
    owned: bool = True


@dataclass
class OwnClass:
    """A class of ours.

    :ivar names: what it defines: methods, class attributes, attributes set on ``self``.
    """

    name: str
    bases: list[str]
    names: set[str] = field(default_factory=set)
    methods: dict[str, ast.FunctionDef] = field(default_factory=dict)
    attributes: dict[str, Type] = field(default_factory=dict)
    qt: str = ""


Environment = dict[str, Type]


class Classes:
    """The classes of ours in all files that are looked at together."""

    def __init__(self, trees: Mapping[str, ast.Module]) -> None:
        self.own: dict[str, OwnClass] = {}
        for tree in trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    self.own[node.name] = _own_class(node)
        for own in self.own.values():
            own.qt = self._qt_base(own.name, set())
        for tree in trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    self._note_attributes(node)

    def names_of(self, name: str) -> set[str]:
        """Give all that a class of ours and its bases of ours define."""
        return set().union(*(own.names for own in self.lineage(name))) if name in self.own else set()

    def method(self, name: str, method: str) -> ast.FunctionDef | None:
        """Find a method in a class of ours or its bases of ours."""
        return next((own.methods[method] for own in self.lineage(name) if method in own.methods), None)

    def attribute(self, name: str, attribute: str) -> Type | None:
        """Find the type of what is set on ``self`` in a class of ours or its bases of ours."""
        return next((own.attributes[attribute] for own in self.lineage(name) if attribute in own.attributes), None)

    def lineage(self, name: str) -> Iterator[OwnClass]:
        """Give a class of ours and its bases of ours."""
        waiting, seen = [name], set()
        while waiting:
            own = self.own.get(waiting.pop(0))
            if own is not None and own.name not in seen:
                seen.add(own.name)
                yield own
                waiting += own.bases

    def _qt_base(self, name: str, seen: set[str]) -> str:
        own = self.own.get(name)
        if own is None or name in seen:
            return ""
        seen.add(name)
        for base in own.bases:
            if base.startswith("qt."):
                return base[3:]
            if found := self._qt_base(base, seen):
                return found
        return ""

    def _note_attributes(self, node: ast.ClassDef) -> None:
        own = self.own[node.name]
        for method in own.methods.values():
            scope = Scope(self, own, {}).inside(method)
            for statement in statements(method.body):
                scope.note(statement)
                for target, value in assignments(statement):
                    if is_self_attribute(target) and (found := scope.infer(value)) is not None:
                        own.attributes.setdefault(target.attr, replace(found, borrowed=False, owned=True))


class Scope:
    """What is known inside a function: the types of its variables."""

    def __init__(self, classes: Classes, own: OwnClass | None, names: Environment) -> None:
        self.classes = classes
        self.own = own
        self.names = names

    def inside(self, function: Function) -> Scope:
        """Give the scope of a function that is defined in this one."""
        names = dict(self.names)
        arguments = [*function.args.posonlyargs, *function.args.args]
        name = getattr(function, "name", "")
        in_qt_class = self.own is not None and bool(self.own.qt)
        expected = VIRTUAL_PARAMETERS.get(name, ()) if in_qt_class and not self.names else ()
        if arguments and arguments[0].arg == "self" and in_qt_class and self.own:
            names["self"] = Type(self.own.qt, self.own.name)
        for position, argument in enumerate(a for a in arguments if a.arg != "self"):
            names.pop(argument.arg, None)
            found = self.annotated(argument.annotation)
            if found is None and position < len(expected) and self._expects(name):
                found = Type(expected[position], exact=facts().is_leaf(expected[position]))
            if found is not None:
                passing = PASSING if name in VIRTUAL_PARAMETERS else ("QEvent",)
                borrowed = facts().inherits(found.qt, *passing)
                names[argument.arg] = replace(found, borrowed=borrowed)
        return Scope(self.classes, self.own, names)

    def note(self, statement: ast.stmt) -> None:
        """Take the variables that a statement sets."""
        for target, value in assignments(statement):
            if isinstance(target, ast.Name):
                found = self.infer(value)
                if found is not None:
                    self.names[target.id] = found
                elif not (isinstance(value, ast.Constant) and value.value is None):
                    self.names.pop(target.id, None)
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is None:
            found = self.annotated(statement.annotation)
            if found is not None:
                self.names[statement.target.id] = found

    def annotated(self, node: ast.expr | None) -> Type | None:
        """Give the type that an annotation names."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        if isinstance(node, ast.BinOp):
            return self.annotated(node.left) or self.annotated(node.right)
        if node is None:
            return None
        found = self.infer(node)
        if found is None or not found.is_class:
            return None
        return replace(found, is_class=False, exact=facts().is_leaf(found.qt) and not found.own)

    def infer(self, node: ast.expr) -> Type | None:
        """Give the type of an expression, or None."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id) or self._own_type(node.id)
        if isinstance(node, ast.Attribute):
            return self._infer_attribute(node)
        if isinstance(node, ast.Call):
            return self._infer_call(node)
        return next((found for part in _alternatives(node) if (found := self.infer(part))), None)

    def _expects(self, name: str) -> bool:
        """Tell whether a method of this class is the virtual that it is named like (sizeHint has two meanings)."""
        qt = self.own.qt if self.own else ""
        if name in ("paint", "sizeHint", "initStyleOption", "createEditor", "editorEvent", "helpEvent"):
            return facts().inherits(qt, "QAbstractItemDelegate")
        if name in ("rowCount", "columnCount", "data", "setData", "flags", "lessThan"):
            return facts().inherits(qt, "QAbstractItemModel")
        return True

    def _own_type(self, name: str) -> Type | None:
        own = self.classes.own.get(name)
        return Type(own.qt, own.name, is_class=True) if own is not None and own.qt else None

    def _infer_attribute(self, node: ast.Attribute) -> Type | None:
        if isinstance(node.value, ast.Name) and node.value.id == "qt" and "qt" not in self.names:
            return Type(node.attr, exact=True, is_class=True) if node.attr in facts() else None
        if isinstance(node.value, ast.Name) and node.value.id == "self" and self.own is not None:
            found = self.classes.attribute(self.own.name, node.attr)
            if found is not None:
                return found
        thing = self.infer(node.value)
        if thing is None:
            return None
        if thing.own and (found := self.classes.attribute(thing.own, node.attr)) is not None:
            return found
        member = facts().member(thing.qt, node.attr)
        if member is None or member.kind != "attributes" or not member.returns:
            return None
        return self._result(thing, member.returns)

    def _infer_call(self, node: ast.Call) -> Type | None:
        if isinstance(node.func, ast.Name) and node.func.id == "value" and len(node.args) == 2:
            thing, name = self.infer(node.args[0]), node.args[1]
            if thing is not None and isinstance(name, ast.Constant) and isinstance(name.value, str):
                member = facts().member(thing.qt, name.value)
                return self._result(thing, member.returns) if member is not None and member.returns else None
            return None
        called = self.infer(node.func)
        if called is not None and called.is_class:
            owned = any(self._is_owner(argument) for argument in node.args)
            return replace(called, is_class=False, exact=not called.own, owned=owned)
        if isinstance(node.func, ast.Attribute):
            thing = self.infer(node.func.value)
            if thing is None or (thing.own and node.func.attr in self.classes.names_of(thing.own)):
                return None
            member = facts().member(thing.qt, node.func.attr)
            if member is not None and member.kind == "methods" and member.returns:
                return self._result(thing, member.returns)
        return None

    def _is_owner(self, argument: ast.expr) -> bool:
        """Tell whether a constructor's argument can be a parent: any Qt object, or what is not known."""
        if isinstance(argument, ast.Constant):
            return False
        found = self.infer(argument)
        if found is None:
            return isinstance(argument, ast.Name | ast.Attribute) and "parent" in ast.unparse(argument)
        return facts().inherits(found.qt, "QObject")

    @staticmethod
    def _result(thing: Type, returns: str) -> Type:
        passing = thing.borrowed and facts().inherits(thing.qt, *PASSING)
        return Type(returns, exact=facts().is_leaf(returns), borrowed=passing and returns in BORROWED)


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the statements of a body in order, without those of functions and classes inside it."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for part in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, part, []))
        for handler in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from statements(handler.body)


def assignments(statement: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Give targets with values of a statement; walruses too."""
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
                yield from zip(target.elts, statement.value.elts, strict=False)
            else:
                yield target, statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        yield statement.target, statement.value
    elif isinstance(statement, ast.With):
        yield from ((item.optional_vars, item.context_expr) for item in statement.items if item.optional_vars)
    for node in expressions(statement):
        if isinstance(node, ast.NamedExpr):
            yield node.target, node.value


def expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Give the nodes of a statement's own expressions, without nested statements and functions."""
    waiting: list[ast.AST] = [n for n in ast.iter_child_nodes(statement) if not isinstance(n, ast.stmt)]
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        waiting = list(statement.decorator_list)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.Lambda):
            waiting += [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.stmt)]


def _alternatives(node: ast.expr) -> list[ast.expr]:
    """Give the expressions one of which is the value of another."""
    if isinstance(node, ast.NamedExpr):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    return node.values if isinstance(node, ast.BoolOp) else []


def is_self_attribute(node: ast.expr) -> bool:
    """Tell whether a node is ``self.name``."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _own_class(node: ast.ClassDef) -> OwnClass:
    own = OwnClass(node.name, [ast.unparse(base) for base in node.bases])
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef):
            own.names.add(statement.name)
            own.methods[statement.name] = statement
        for target, _ in assignments(statement):
            own.names.add(ast.unparse(target))
        if isinstance(statement, ast.AnnAssign):
            own.names.add(ast.unparse(statement.target))
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store) and is_self_attribute(inner):
            own.names.add(inner.attr)
    return own
