"""The test kit: real peers, a faulty wire, a peer that follows a script, files of many vendors.

Plain modules, imported as ``support.xxx``; the fixtures that use them are in ``conftest.py``.
"""
