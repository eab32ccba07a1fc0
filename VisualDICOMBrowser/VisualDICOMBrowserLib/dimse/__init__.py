"""DIMSE services over TCP: associations, C-ECHO, C-FIND, C-GET, and a listener for C-ECHO and C-STORE.

pynetdicom supplies the association request (presentation contexts, roles) and the tables of SOP classes, and is loaded
when they are first needed (:mod:`.library`). The sockets, timers and the loop that moves messages are ours
(:mod:`.transport` tells why), and so is everything that reads what a peer sends: bounded, and silent about patients.
"""
