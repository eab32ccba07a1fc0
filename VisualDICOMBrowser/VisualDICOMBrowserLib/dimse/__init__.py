"""DIMSE services over TCP: associations, C-ECHO, C-FIND, C-GET.

pynetdicom supplies the negotiation (A-ASSOCIATE-RQ, presentation contexts, roles) and the tables of SOP classes. The
sockets, timers and the loop that moves messages are ours (:mod:`.transport` tells why), and so is everything that
reads what a peer sends: bounded, and silent about patients.
"""
