"""DIMSE services over TCP: associations, C-ECHO, C-FIND, C-GET.

pynetdicom supplies the PDUs, the negotiation items and the tables of SOP classes; the sockets, timers and
the loop that moves bytes are ours (see :mod:`.transport` for the reasons).
"""
