"""The browser inside 3D Slicer: its database, its loaders, its settings, its processes.

All access to ``slicer`` and ``ctk`` is here. Nothing in this process opens ``ctkDICOM*.sql`` with Python: Slicer's
Python has an SQLite of its own beside Qt's, and POSIX locks are per process, so neither would see the other's locks,
and would drop them. The engine, another process, reads these files; Slicer's own objects write them. An engine that has
to run in this process asks these objects too.
"""
