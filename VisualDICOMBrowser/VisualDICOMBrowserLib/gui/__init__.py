"""Models, views and the browser widget; the only layer, beside the hosts, that imports ``qt``.

Written to the subset that means the same in Slicer's PythonQt and in PySide6: setters and ``signal.connect``, state
read from our own models or from signal arguments, flat enums, positional constructor arguments, no ``super()``
for Qt virtuals, no ``isinstance`` against Qt base classes, no own attributes named like Qt members.
"""
