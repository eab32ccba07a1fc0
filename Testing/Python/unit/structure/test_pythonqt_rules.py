"""The code of the window means the same in Slicer's PythonQt as in PySide6: held by reading it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from support.pythonqt_facts import facts
from support.pythonqt_rules import MODAL_ALLOWED, check

MODULE = Path(__file__).resolve().parents[4] / "VisualDICOMBrowser" / "VisualDICOMBrowser.py"
PACKAGE = MODULE.with_name("VisualDICOMBrowserLib")


def sources() -> dict[str, str]:
    """Give the modules that run inside Slicer."""
    paths = [path for layer in ("gui", "host_slicer") for path in sorted((PACKAGE / layer).rglob("*.py"))]
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    return texts | {MODULE.name: MODULE.read_text(encoding="utf-8")}


def rules_found(source: str) -> set[str]:
    return {finding.rule for finding in check({"gui/snippet.py": dedent(source)})}


def test_the_window_keeps_to_what_means_the_same_in_slicer():
    assert len(sources()) > 5
    assert [str(finding) for finding in check(sources())] == []


def test_every_function_that_may_open_a_dialog_exists():
    texts = sources()
    missing = [(module, name) for module, name in MODAL_ALLOWED if f"def {name}(" not in texts.get(module, "")]
    assert missing == []


BAD = [
    ("property", "label = qt.QLabel('x')\nlabel.text()"),
    ("property", "def f(box: qt.QComboBox):\n return box.currentIndex()"),
    ("property", "def f(box: qt.QComboBox):\n return box.count"),
    ("property", "view = qt.QListView()\nview.selectionModel().selectedIndexes()"),
    ("property", "class W(qt.QWidget):\n def f(self):\n  return self.width()"),
    (
        "property",
        "class W(qt.QWidget):\n def __init__(self):\n  self._e = qt.QLineEdit()\n  self._e.text()",
    ),
    ("property", "class W(qt.QWidget):\n def __init__(self, edit: qt.QLineEdit | None):\n  edit.text()"),
    ("property", "class A(qt.QWidget):\n pass\nclass B(A):\n def f(self):\n  self.rect()"),
    ("property", "qt.QApplication.applicationName()"),
    ("property", "def f(thing):\n return thing.windowTitle()"),
    ("property", "box = qt.QSpinBox()\nf = lambda: box.value()"),
    ("unknown-class", "qt.QRegExp('x')"),
    ("unknown-class", "qt.QWebEngineView()"),
    ("unknown-class", "qt.QPointer()"),
    ("unknown-member", "qt.QHBoxLayout().setMargin(3)"),
    ("unknown-member", "qt.QColor('red').getRgb()"),
    ("unknown-member", "qt.QProcess().error()"),
    ("enum", "qt.Qt.AlignMiddle"),
    ("unknown-member", "qt.QWidget().enabled"),
    ("unknown-member", "class W(qt.QWidget):\n def mousePressEvent(self, event):\n  event.position()"),
    ("enum", "qt.Qt.AlignmentFlag.AlignLeft"),
    ("enum", "qt.QSizePolicy.Policy.Expanding"),
    ("isinstance", "def f(x):\n return isinstance(x, qt.QWidget)"),
    ("isinstance", "def f(x):\n return isinstance(x, (int, qt.QLabel))"),
    ("isinstance", "issubclass(X, qt.QWidget)"),
    ("super", "class W(qt.QWidget):\n def paintEvent(self, event):\n  super().paintEvent(event)"),
    (
        "super",
        "class A(qt.QWidget):\n pass\nclass B(A):\n def resizeEvent(self, e):\n  super().resizeEvent(e)",
    ),
    ("keywords", "qt.QLabel(text='x')"),
    ("keywords", "layout = qt.QVBoxLayout()\nlayout.addWidget(w, stretch=1)"),
    ("keywords", "class W(qt.QWidget):\n def __init__(self, p=None):\n  qt.QWidget.__init__(self, parent=p)"),
    ("keywords", "class W(qt.QWidget):\n def __init__(self, p=None):\n  super().__init__(parent=p)"),
    ("qt-name", "class W(qt.QWidget):\n def __init__(self):\n  self.width = 3"),
    ("qt-name", "class W(qt.QWidget):\n def layout(self):\n  return 1"),
    ("qt-name", "class W(qt.QWidget):\n name = 'x'"),
    ("qt-name", "class W(qt.QPushButton):\n def __init__(self):\n  self.clicked = Signal()"),
    ("qt-name", "class W(qt.QWidget):\n @property\n def visible(self):\n  return 1"),
    ("attribute-write", "label = qt.QLabel('x')\nlabel.series = 4"),
    ("attribute-write", "label = qt.QLabel('x')\nlabel.text = 'y'"),
    ("slot", "import functools\nqt.QPushButton().clicked.connect(functools.partial(f, 1))"),
    ("slot", "def f(button):\n button.triggered.connect(partial(g, 1))"),
    ("slot", "b = qt.QPushButton('x')\nfor row in rows:\n b.clicked.connect(lambda row=row: f(row))"),
    (
        "slot",
        """
        class W(qt.QWidget):
            def __init__(self):
                self._b = qt.QPushButton("x", self)
                self._b.clicked.connect(self._go)
            @logged
            def _go(self):
                pass
        """,
    ),
    (
        "slot",
        """
        class W(qt.QWidget):
            def __init__(self):
                self._b = qt.QPushButton("x", self)
                self._b.clicked.connect(self._go)
            def _go(self, *, how):
                pass
        """,
    ),
    ("image-data", "import numpy as np\nqt.QImage(np.zeros(4), 2, 2, qt.QImage.Format_Grayscale8)"),
    ("image-data", "qt.QImage(data, 2, 2, qt.QImage.Format_Grayscale8)"),
    ("image-data", "pixmap = qt.QPixmap()\npixmap.loadFromData(memoryview(b''))"),
    ("kept-event", "class W(qt.QWidget):\n def mousePressEvent(self, event):\n  self._at = event.pos()"),
    (
        "kept-event",
        "class W(qt.QWidget):\n def paintEvent(self, e):\n  where = e.rect()\n  self._at = where",
    ),
    ("kept-event", "class W(qt.QWidget):\n def dropEvent(self, event):\n  self._d = (1, event.mimeData())"),
    (
        "kept-event",
        "class D(qt.QStyledItemDelegate):\n def paint(self, p, option, index):\n  self._o = option",
    ),
    ("kept-event", "class W(qt.QWidget):\n def keyPressEvent(self, e):\n  later(lambda: e.key())"),
    ("lifetime", "class M(qt.QAbstractListModel):\n pass\nview = qt.QListView()\nview.setModel(M())"),
    (
        "lifetime",
        "class W(qt.QListView):\n def f(self):\n  m = qt.QStandardItemModel()\n  self.setModel(m)",
    ),
    ("lifetime", "qt.QListView().setItemDelegate(qt.QStyledItemDelegate())"),
    ("lifetime", "def f():\n timer = qt.QTimer()\n timer.start(3)"),
    ("banned-class", "class T(qt.QThread):\n def run(self):\n  pass"),
    ("banned-class", "class T(qt.QRunnable):\n def run(self):\n  pass"),
    ("banned-class", "class W(qt.QObject):\n done = qt.Signal(int)"),
    ("banned-class", "@qt.Slot()\ndef f():\n pass"),
    ("banned-class", "qt.QVariant(3)"),
    ("signal-overload", "qt.QComboBox().currentIndexChanged[int].connect(f)"),
    ("connection-type", "qt.QTimer().timeout.connect(f, qt.Qt.QueuedConnection)"),
    ("string-connection", "qt.QPushButton('x').connect('clicked()', f)"),
    ("sender", "class W(qt.QWidget):\n def f(self):\n  self.sender()"),
    ("hash", "class M(qt.QAbstractListModel):\n def data(self, index, role):\n  return self._rows[index]"),
    ("hash", "def f(seen, index: qt.QModelIndex):\n seen.add(index)"),
    ("hash", "names = {qt.QPoint(1, 2): 'a'}"),
    ("processEvents", "qt.QApplication.processEvents()"),
    ("processEvents", "app.processEvents()"),
    ("modal", "dialog = qt.QDialog()\ndialog.exec_()"),
    ("modal", "menu = qt.QMenu()\nmenu.exec(p)"),
    ("modal", "qt.QMessageBox.question(None, 'a', 'b')"),
    ("modal", "qt.QProcess().waitForFinished(3)"),
    ("crashing-virtual", "class D(qt.QIODevice):\n def readData(self, n):\n  return b''"),
    ("crashing-virtual", "class I(qt.QStandardItem):\n def __lt__(self, other):\n  return True"),
    ("crashing-virtual", "class A(qt.QSyntaxHighlighter):\n pass\nclass B(qt.QValidator):\n pass"),
    ("metaclass", "import abc\nclass W(qt.QWidget, abc.ABC):\n pass"),
    ("generator", "menu = qt.QMenu()\nmenu.addActions(a for a in actions)"),
    ("import", "from qt import QLabel"),
]


@pytest.mark.parametrize(("rule", "source"), BAD)
def test_what_breaks_in_slicer_is_found(rule, source):
    assert rule in rules_found(f"import qt\n{dedent(source)}")


GOOD = [
    "label = qt.QLabel('x')\nlabel.setText('y')\nvalue(label, 'text')",
    "value(qt.QApplication.instance(), 'applicationName')",
    "def f(item: qt.QStandardItem):\n return item.text()",
    "def f(index: qt.QModelIndex):\n return index.row(), index.data(qt.Qt.UserRole)",
    "class W(qt.QWidget):\n def __init__(self):\n  self._width = 3\n  self.setObjectName('x')",
    "class W(qt.QWidget):\n def sizeHint(self):\n  return qt.QSize(3, 4)\n def f(self):\n  return self.sizeHint()",
    "class W(qt.QWidget):\n def paintEvent(self, event):\n  qt.QWidget.paintEvent(self, event)",
    "class W(qt.QWidget):\n def __init__(self, parent=None):\n  super().__init__(parent)",
    "class A(qt.QWidget):\n def show_it(self):\n  pass\nclass B(A):\n def show_it(self):\n  super().show_it()",
    "class W(qt.QWidget):\n def __init__(self, session, *, big=False):\n  pass\nW(1, big=True)",
    "alignment = qt.Qt.AlignLeft | qt.Qt.AlignVCenter",
    "def f(x):\n return isinstance(x, str) and x.inherits('QWidget')",
    "qt.QPushButton('x').clicked.connect(lambda: f())",
    "qt.QPushButton('x').clicked.connect(lambda _checked=False, row=3: f(row))",
    "class W(qt.QWidget):\n def __init__(self):\n  self.chosen = Signal()\n  self.chosen.connect(partial(f, 1))",
    "image = qt.QImage(4, 4, qt.QImage.Format_Grayscale8)\nimage.bits()",
    "qt.QImage(path)\nqt.QImage.fromData(data)",
    "class W(qt.QWidget):\n def mousePressEvent(self, event):\n  self._at = qt.QPoint(event.pos())",
    "class W(qt.QWidget):\n def mousePressEvent(self, event):\n  self._x = event.pos().x()",
    "class W(qt.QWidget):\n def mousePressEvent(self, event):\n  at = event.pos()\n  self.update(at.x(), 0, 1, 1)",
    "class D(qt.QStyledItemDelegate):\n def paint(self, painter, option, index):\n  painter.fillRect(option.rect, 3)",
    "class D(qt.QStyledItemDelegate):\n def initStyleOption(self, option, index):\n  option.text = ''",
    "class W(qt.QListView):\n def f(self):\n  self._m = qt.QStandardItemModel()\n  self.setModel(self._m)",
    "class W(qt.QListView):\n def f(self):\n  m = qt.QStandardItemModel()\n  self.setModel(m)\n  self._m = m",
    "class W(qt.QListView):\n def f(self):\n  self.setModel(qt.QStandardItemModel(self))",
    "class W(qt.QWidget):\n def f(self):\n  self._t = timer = qt.QTimer()\n  timer.start(3)",
    "class W(qt.QWidget):\n def f(self):\n  self._t = qt.QTimer()\n def g(self):\n  timer = self._t\n  timer.stop()",
    "class W(qt.QWidget):\n def f(self):\n  timer = qt.QTimer(self)\n  timer.start(3)",
    "class M(qt.QAbstractListModel):\n def data(self, index, role):\n  return self._rows[index.row()]",
    "menu = qt.QMenu()\nmenu.exec_(qt.QPoint(1, 2))",
    "qt.QFileDialog.getExistingDirectory(None, 'Choose')",
    "qt.QTimer.singleShot(0, f)",
    "view = qt.QListView()\nview.selectionModel().selectedRows()\nview.currentIndex()",
    "def f(record):\n return record.count, record.text(), record.value()",
]


@pytest.mark.parametrize("source", GOOD)
def test_what_is_right_in_both_passes(source):
    assert rules_found(f"import qt\n{source}") == set()


def test_a_class_of_another_module_is_known():
    base = "import qt\nclass Card(qt.QFrame):\n pass"
    user = "from .card import Card\ndef f(card: Card):\n return card.width()"
    assert {finding.rule for finding in check({"gui/card.py": base, "gui/user.py": user})} == {"property"}


def test_a_finding_says_where_and_what_to_do():
    (finding,) = check({"gui/a.py": "import qt\nqt.QLabel('x').text()"})
    assert str(finding).startswith("gui/a.py:2: [property] text is an attribute in Slicer")


def test_the_facts_agree_with_the_qt_of_the_desktop():
    widgets = pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    assert facts().inherits("QListView", "QWidget")
    for name in ("QWidget", "QLabel", "QListView", "QMenu"):
        assert hasattr(widgets, name)
        for member in ("show", "setToolTip", "customContextMenuRequested"):
            assert facts().member(name, member) is not None
            assert hasattr(getattr(widgets, name), member)
