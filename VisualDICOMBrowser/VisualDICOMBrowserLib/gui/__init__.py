"""Models, views and the browser widget; the only layer, beside the hosts, that imports ``qt``.

The code runs on Slicer's PythonQt and on PySide6 and keeps to what means the same in both. A test reads all of it
(``Testing/Python/unit/structure/test_pythonqt_rules.py``), because a test on a desktop cannot meet what breaks in
Slicer. The ten most important rules:

 1. Write with setters, listen with ``thing.signal.connect(f)``, keep state in our own models. What must be read from
    a widget is read with ``value(thing, "text")``: properties are attributes in Slicer and methods in PySide6.
 2. ``import qt``, then ``qt.QLabel("text", self)``: positional arguments only, never keywords for Qt.
 3. Enums are flat: ``qt.Qt.AlignLeft``, never ``qt.Qt.AlignmentFlag.AlignLeft``.
 4. Call a virtual of Qt's by its class, ``qt.QWidget.paintEvent(self, event)``; ``super()`` does not find it.
 5. Never name an attribute or method like a member of the Qt class (``width``, ``layout``, ``name``, ``update``):
    use ``self._width``. No new attributes on plain Qt objects.
 6. Our own signals are :class:`.parts.signals.Signal`, never ``qt.Signal``. A slot is a plain method or a lambda: no
    ``functools.partial``, no decorated method, no ``sender()``, no queued connection.
 7. Keep a reference to, or give a parent to, every model, delegate, timer and window: views own nothing.
 8. Copy inside the handler what an event hands out: ``qt.QPoint(event.pos())``; never keep event, option or painter.
 9. Fill a QImage through ``bits()``; never hand an array or a memoryview to Qt.
10. No ``isinstance`` with Qt's classes (``thing.inherits("QWidget")``), no QModelIndex as a key, no QThread, no
    ``processEvents``, no modal dialog.
"""
